"""Screen of a search: its plan, its waves, its winners."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mmbc.command import Terminal
from mmbc.config import flatten
from mmbc.errors import ConfigError, some
from study.console.forecast import in_bytes
from study.console.live_view import duration
from study.console.plan_screen import flow_table, fold_table, show_audit, titled
from study.design.request import Request
from study.design.search_results import FOLDER, WHOLE, SearchResult
from study.design.search_space import holes_of
from study.design.study_name import check_name
from study.design.tuning_provenance import OPTIMISTIC
from study.records.finding import Finding
from study.records.search_archive import read_searched
from study.text.format import count
from study.text.image_name import worded
from study.training.memory import Memory
from study.training.preparation import Planned
from study.tuning import dashboard
from study.tuning.forecast import trials_together, wave_memory
from study.tuning.search import SearchWork
from study.tuning.storage import DATABASE, artifacts_folder, hide_password, open_own_storage
from study.tuning.targets import Target


def show(
    console: Console, planned: Planned, targets: Sequence[Target], findings: Sequence[Finding], audit: str
) -> None:
    """Print a planned search: cohort, folds, what is searched where, and by which rules."""
    cohort, search = planned.cohort, targets[0].search
    if cohort.notice:
        console.print(f"[bold]{escape(cohort.notice)}[/]")
    console.print(f"Search {escape(str(planned.folder))}: {len(cohort.images)} images of {cohort.n_patients} patients")
    console.print(flow_table(cohort), fold_table(planned.folds, cohort.images, cohort.notice))
    console.print(_arms(planned, targets), _space(planned, targets))
    console.print(plan_line(targets), highlight=False, markup=False)
    for note in (*cohort.notes, *planned.notes):
        console.print(f"- {note}", highlight=False, markup=False)
    show_audit(console, findings, audit)
    if OPTIMISTIC in cohort.notice and search.mode == "flat":
        console.print(
            "- Flat: the patients who choose the settings test them in other folds, so the result is optimistic. A"
            " nested search (--mode nested) is not.",
            highlight=False,
            markup=False,
        )


def _arms(planned: Planned, targets: Sequence[Target]) -> Table:
    table = Table("arm", "question", "searched", title=titled("Arms", planned.cohort.notice))
    for arm in planned.study.arms:
        question = worded(planned.study.arms[arm].question, planned.cohort.name, planned.study.data.image_name)
        table.add_row(arm, question, _times([one for one in targets if one.arm == arm]))
    return table


def _space(planned: Planned, targets: Sequence[Target]) -> Table:
    table = Table("searched setting", "tried", "reference", "arms")
    values = flatten(planned.study.config)
    for hole in {hole.key: hole for target in targets for hole in target.holes}.values():
        arms = dict.fromkeys(target.arm for target in targets if hole in target.holes)
        table.add_row(hole.key, hole.described(), str(values[hole.key]), ", ".join(arms))
    return table


def _times(targets: Sequence[Target]) -> str:
    folds, whole = [t for t in targets if t.fold != WHOLE], [t for t in targets if t.fold == WHOLE]
    if not folds:
        return "once"
    return f"in {count(len(folds), 'fold')}" + (", and on the whole cohort" if whole else "")


def plan_line(targets: Sequence[Target]) -> str:
    """Return budget and rules in words."""
    search, n_fits = targets[0].search, len(targets[0].splits)
    searches = count(len(targets), "search", "searches")
    parts = count(n_fits, "inner fold" if search.mode == "nested" else "fold")
    return (
        f"{searches} of {count(search.trials, 'trial')} each; a trial is a fit in each of {parts}, so there are at most"
        f" {len(targets) * search.trials * n_fits} fits. Pruning: {search.pruner}; selection: {search.select}."
    )


def memory_line(groups: Sequence[Memory], together: int, n_wave: int) -> str:
    """Return the size of a wave, and its limit."""
    group = max(groups, key=lambda group: group.needed)
    limit = "" if together >= n_wave else f" (of {n_wave} asked for; more do not fit into memory)"
    return (
        f"A wave has up to {count(together, 'trial')}{limit}; a fit takes up to {in_bytes(group.per_fit)} beside "
        f"{in_bytes(group.shared)} that all share, {in_bytes(group.free)} are free."
    )


def cost_line(seconds: float) -> str:
    """Return the longest time a search takes."""
    return (
        f"At most about {duration(seconds)} if nothing is pruned and every trial is as heavy as the reference"
        " configuration."
    )


def show_waves(
    console: Console, planned: Planned, targets: Sequence[Target], work: SearchWork, request: Request
) -> int:
    """Print how large a wave is and where trials are kept; return how many trials a wave has."""
    groups = wave_memory(planned, targets, work.wave, request)
    n_together = trials_together(targets, work.wave, request, groups)
    console.print(memory_line(groups, n_together, work.wave * len(targets)), highlight=False)
    kept = hide_password(work.storage) or str(planned.folder / FOLDER / DATABASE)
    console.print(f"Trials are kept in {kept}", highlight=False, soft_wrap=True)
    return n_together


def show_progress(console: Console, planned: Planned, request: Request) -> None:
    """Print how much of a continued search is done, and whether it is larger than asked for."""
    asked, search, searched = request.study.search, planned.study.search, read_searched(planned.folder)
    assert asked is not None and search is not None
    if searched is not None:
        n = count(len(searched.trials), "trial of this search is", "trials of this search are")
        console.print(f"{n} there already.", highlight=False)
    if asked.trials < search.trials:
        console.print(f"It was begun with {count(search.trials, 'trial')} each and ends with these.", highlight=False)


def plan_facts(planned: Planned, targets: Sequence[Target]) -> dict[str, Any]:
    """Return a planned search for `--json`: flow, searches, space, and the largest number of fits."""
    search = targets[0].search
    return {
        "study": planned.folder.name,
        "flow": planned.cohort.flow.to_dict("records"),
        "searches": [target.name for target in targets],
        "trials": search.trials,
        "space": {hole.key: hole.described() for hole in holes_of(planned.study)},
        "fits": len(targets) * search.trials * len(targets[0].splits),
    }


def show_places(terminal: Terminal, planned: Planned, storage: str | None) -> None:
    """Print where the settings for new data are, and how the dashboard is opened."""
    best = planned.folder / FOLDER / "best.toml"
    if best.exists():
        terminal.say(f"Settings for new data: {best}")
    words = ["--dashboard", "--name", planned.folder.name]
    words += ["--out", str(planned.folder.parent)] if planned.folder.parent != Path("results") else []
    words += ["--storage", hide_password(storage)] if storage is not None else []
    terminal.say(f"Dashboard: {shlex.join(['python', '-m', 'study.search', *words])}")


def serve_dashboard(terminal: Terminal, out: Path, name: str, storage: str | None, port: int) -> None:
    """Serve Optuna's dashboard until Ctrl-C.

    Raises:
        ConfigError: no search, or more than one, below `out`, and none is named.
    """
    folder = out / check_name(name) if name else _only_search(out, storage)
    dashboard.serve(
        open_own_storage(folder, storage),
        artifacts_folder(folder),
        port=port,
        announce=lambda address: terminal.say(f"Optuna's dashboard: {address} (Ctrl-C ends it)"),
    )


def _only_search(out: Path, storage: str | None) -> Path:
    """Return the one search there is below a folder, or with a storage any."""
    searches = sorted(path.parent.parent for path in out.glob(f"*/{FOLDER}/{DATABASE}"))
    if len(searches) == 1 or storage is not None:
        return searches[0] if searches else out / "search"
    known = f"it has {some(path.name for path in searches)}; name one with --name" if searches else "it has none"
    raise ConfigError(f"--dashboard: which search below {out}? {known}")


def winners_table(searched: SearchResult, arms: Sequence[str], notice: str) -> Table:
    """Return the winners by arm and fold."""
    keys = searched.keys
    nested = any(one.epochs is not None for one in searched.chosen)
    judged = "inner validation AUC" if nested else "validation AUC"
    table = Table(
        "arm",
        "fold",
        *(key.rpartition(".")[2].replace("_", " ") for key in keys),
        "epochs",
        "AUC",
        "trial",
        title=titled(f"Winners, by {judged} (* the reference configuration)", notice),
        box=SIMPLE,
        padding=(0, 1, 0, 0),
    )
    for one in sorted(searched.chosen, key=lambda one: (arms.index(one.arm), one.repeat, one.fold == WHOLE, one.fold)):
        where = ("all" if one.fold == WHOLE else str(one.fold + 1)) + (
            f" (repeat {one.repeat + 1})" if one.repeat else ""
        )
        values = [_short(one.set[key]) if key in one.set else "-" for key in keys]
        trial = f"{one.number}{'*' if one.default else ''}"
        table.add_row(one.arm, where, *values, str(one.epochs or "-"), f"{one.value:.3f}", trial)
    return table


def _short(value: object) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def trials_line(searched: SearchResult) -> str:
    """Return the number of trials by outcome, and their time."""
    trials = searched.trials
    counts = trials["state"].value_counts()
    states = ", ".join(f"{counts[state]} {state}" for state in ("complete", "pruned", "diverged") if state in counts)
    waves = trials.drop_duplicates("wave")
    seconds = float(waves["wave_seconds"].sum())
    return f"{count(len(trials), 'trial')} ({states}) in {count(len(waves), 'wave')}, {duration(seconds)} together"
