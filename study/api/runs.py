"""Studies trained from Python: `study.cross_validate` and `study.search`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from study.api.options import options_of
from study.api.results import Study, open
from study.api.wording import said_in_python
from study.checks.study_start import start_findings
from study.console import requests
from study.console.live_view import View
from study.console.options import CrossValidationOptions, SearchRunOptions
from study.records.progress import Observer
from study.records.python_call import written_call
from study.training.preparation import prepare
from study.training.run import carry_out

Settings = Mapping[str, Any] | str | Path


@said_in_python()
def cross_validate(
    data: str | Path | None = None,
    arms: str | Sequence[str] = "all",
    settings: Settings | None = None,
    *,
    progress: bool = True,
    **options: Any,
) -> Study:
    """Train every arm in every fold, or what is not finished of it, and return the study.

        run = study.cross_validate("phantom", ["image", "concat"], {"train.lr": 1e-4}, preset="tiny", name="first")

    The same call again continues; more repeats, seeds or arms extend the study. It lies in `out/name` as one of
    `python -m study.cv` does, with the same bits.

    Args:
        data: folder of a cohort, a table of images, `kind:path`, or `phantom`.
        arms: `all`, or names of arms of the study file.
        settings: a study file, or a mapping of dotted keys and values; both are laid over the preset.
        progress: show the live view.
        options: every other option of `python -m study.cv`, with `_` for `-`: `preset, folds, holdout, repeats, seeds,
            name, out, jobs, force, limit_patients, positive, columns` …

    Raises:
        ConfigError: an unknown argument, setting, arm or preset.
        MmbcError: what `python -m study.cv` refuses: cohorts, images and splits that do not hold, a study of the same
            name that differs.
    """
    asked = {"data": data, "arms": arms, **options}
    request = requests.cross_validation(options_of(CrossValidationOptions, asked, settings=settings))
    with _observer(progress=progress) as observer:
        planned = prepare(request, observer)
        findings = start_findings(planned, request, observer)
        command = written_call("cross_validate", data, {"arms": arms, "settings": settings, **options})
        carry_out(planned, request, observer, command=command, findings=findings)
    return open(planned.folder)


@said_in_python()
def search(
    data: str | Path | None = None,
    arms: str | Sequence[str] = "all",
    settings: Settings | None = None,
    *,
    progress: bool = True,
    **options: Any,
) -> Study:
    """Search every arm's settings with the same budget, train the winners, test each once, and return the study.

        run = study.search("phantom", ["concat"], preset="tiny", trials=4, name="searched")
        run.chosen, run.trials

    Args:
        data: the cohort, as in `study.cross_validate`.
        arms: `all`, or names of arms of the study file.
        settings: a study file, or a mapping of dotted keys and values.
        progress: show the live view.
        options: every other option of `python -m study.search`, with `_` for `-`: `trials, mode, space, inner_folds,
            pruner, select, wave, storage` … `space` is a file.

    Raises:
        ConfigError: an unknown argument or setting, a space or storage that cannot be used.
        MmbcError: what `python -m study.search` refuses.
    """
    from study.tuning.search import SearchWork, run_search

    asked = options_of(SearchRunOptions, {"data": data, "arms": arms, **options}, settings=settings)
    request = requests.search(asked)
    with _observer(progress=progress) as observer:
        planned = prepare(request, observer)
        run_search(
            planned,
            request,
            SearchWork(asked.storage, asked.wave),
            observer=observer,
            say=print if progress else lambda _: None,
            command=written_call("search", data, {"arms": arms, "settings": settings, **options}),
            findings=start_findings(planned, request, observer),
        )
    return open(planned.folder)


@contextmanager
def _observer(*, progress: bool) -> Iterator[Observer]:
    """Yield the live view, or an observer that shows nothing."""
    if not progress:
        yield Observer()
        return
    with View(Console()) as view:
        yield view
