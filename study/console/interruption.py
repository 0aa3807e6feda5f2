"""Sentence after Ctrl-C or SIGTERM: what is kept, and the command that continues."""

import shlex
from collections.abc import Sequence

from mmbc.errors import MmbcError
from study.console.live_view import View
from study.records.cell_records import kept_epochs
from study.records.search_archive import read_searched
from study.text.format import count, span
from study.training.preparation import Planned
from study.tuning.targets import targets_of

FORCE = "--force"
PASSWORD = "***"


def continuing(module: str, words: Sequence[str], *, begun: bool) -> str:
    """Return the command that continues, to be pasted; once a study is begun, `--force` would start it over."""
    kept = [word for word in words if word != FORCE or not begun]
    hidden = f" (write your password in place of {PASSWORD})" if any(PASSWORD in word for word in kept) else ""
    return f"To continue: {shlex.join(['python', '-m', module, *kept])}{hidden}"


def interrupted(view: View, module: str, words: Sequence[str]) -> str:
    """Return what an interrupted training left, read from its folder, and how to go on."""
    again = continuing(module, words, begun=view.folder is not None)
    if view.folder is None:
        return f"Interrupted before training; what was finished before is kept.\n{again}"
    return f"Interrupted. {models_kept(view)}\n{again}"


def models_kept(view: View) -> str:
    """Return how many models are finished and with which epoch the others continue."""
    assert view.folder is not None
    places = [view.folder / "cells" / cell.name for cell in view.expected]
    left = [place for place in places if not (place / "record.json").exists()]
    n_done, others = view.n_cells - len(left), "the others" if len(left) < view.n_cells else "they"
    done = f"{n_done} of {count(view.n_cells, 'model')} {'is' if n_done == 1 else 'are'} finished and kept"
    if not left:
        return f"{done}; the report is still to be written."
    epochs = [epoch for place in left if (epoch := kept_epochs(place))]
    if not epochs:
        return f"{done}; {others} begin with epoch 1."
    some_anew = len(left) - len(epochs)
    whole = others if not some_anew else f"{len(epochs)} of {others if others != 'they' else 'them'}"
    verb = "continues" if (len(epochs) == 1 and some_anew) else "continue"
    anew = f", and {some_anew} {'begins' if some_anew == 1 else 'begin'} with epoch 1" if some_anew else ""
    return f"{done}; {whole} {verb} from epoch {span(min(epochs) + 1, max(epochs) + 1)}{anew}."


def search_interrupted(view: View, planned: Planned | None, module: str, words: Sequence[str]) -> str:
    """Return what an interrupted search left, and how to go on; `planned` is None before it was planned."""
    if planned is None or not (planned.folder / "study.toml").exists():
        return f"Interrupted before the search; nothing was begun.\n{continuing(module, words, begun=False)}"
    again = continuing(module, words, begun=True)
    if view.folder is not None:
        return f"Interrupted. Every trial is finished and kept. Of the winners, {models_kept(view)}\n{again}"
    try:
        searched, targets = read_searched(planned.folder), targets_of(planned)
    except MmbcError as error:
        return f"Interrupted. {error}\n{again}"
    n, total = len(searched.trials) if searched is not None else 0, len(targets) * targets[0].search.trials
    done = f"{n} of {count(total, 'trial')} {'is' if n == 1 else 'are'} finished and kept"
    wave = f"; the trials of wave {view.wave.number} begin with epoch 1" if view.wave is not None else ""
    return f"Interrupted. {done}{wave}.\n{again}"
