"""A search from its plan to its report's facts: storage opened, trials run in waves, winners refitted, dashboard dressed."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from optuna.storages import BaseStorage

from mmbc.errors import MmbcError
from study.design.cells import Cell
from study.design.request import WAVE, Executor, Request
from study.design.search_results import FOLDER, WHOLE, Searched
from study.design.search_space import heaviest
from study.design.tuning_provenance import OPTIMISTIC
from study.evaluation.units import pool
from study.records import study_folder
from study.records.finding import Finding
from study.records.progress import Observer
from study.records.search_archive import write_searched
from study.reporting.figures.inner_roc import inner_roc
from study.training.duration import expected_seconds
from study.training.memory import Memory, expected_memory
from study.training.preparation import Planned, workspace_of
from study.training.run import begin
from study.tuning import dashboard
from study.tuning.refit import finish, inner_predictions, winner_cells
from study.tuning.storage import DATABASE, close_storage, open_storage
from study.tuning.targets import Searching, Target, targets_of
from study.tuning.waves import Loop, search_workspace
from study.tuning.winners import searched
from study.tuning.workers import BEAT, GRACE, Worker

PATIENCE = 24 * 3600.0
"""Seconds that a process waits for another one that is refitting the winners."""


@dataclass(frozen=True)
class SearchWork:
    """How the work is done; none of it is part of what is searched.

    Attributes:
        storage: address of the storage; None for an SQLite file beside the study.
        wave: trials of a target that are asked for at once, at most.
        beat, grace: seconds between signs of life, and without one until a process is given up.
    """

    storage: str | None = None
    wave: int = WAVE
    beat: float = BEAT
    grace: float = GRACE


def search(
    planned: Planned,
    request: Request,
    work: SearchWork,
    *,
    observer: Observer,
    said: Callable[[str], None],
    command: list[str],
    findings: Sequence[Finding],
) -> Searched:
    """Search until every target has its trials, then refit and test the winners.

    Several processes may do this at once with one storage; each returns when all is done.

    Raises:
        ConfigError: a space or storage that cannot be used.
        StudyError: the storage holds another search of the same name; or none of a target's trials completed.
    """
    targets = targets_of(planned)
    storage = open_storage(work.storage, planned.folder / FOLDER)
    try:
        with study_folder.lock(planned.folder, wait=PATIENCE):
            begin(planned, command, findings)
            searches = _join(planned, targets, storage)
        return _search(planned, request, work, searches, storage, observer=observer, said=said)
    finally:
        close_storage(storage)


def _join(planned: Planned, targets: Sequence[Target], storage: BaseStorage) -> list[Searching]:
    """Create or join the Optuna study of every target, with its note on the dashboard."""
    searches = [Searching(target, planned.folder.name, storage, planned.cohort.digest) for target in targets]
    for one in searches:
        dashboard.describe(one.study, note_of(one.target, planned), metric_of(planned))
    return searches


def _search(
    planned: Planned,
    request: Request,
    work: SearchWork,
    searches: Sequence[Searching],
    storage: BaseStorage,
    *,
    observer: Observer,
    said: Callable[[str], None],
) -> Searched:
    targets = [one.target for one in searches]
    anchor = storage.get_study_id_from_name(searches[0].study.study_name)
    workspace = workspace_of(planned, request)
    groups = wave_memory(planned, targets, work.wave, request.executor)
    with Worker(storage, anchor, beat=work.beat, grace=work.grace) as worker:
        Loop(
            searches,
            search_workspace(workspace),
            worker,
            wave=work.wave,
            most=trials_together(targets, work, request, groups),
            executor=request.executor,
            max_live_fits=request.max_live_fits,
            observer=observer,
            said=said,
            after_wave=lambda done: _after_wave(planned, searches, done),
        ).run()
    said("every target has its trials; the winners are trained and tested")
    with study_folder.lock(planned.folder, wait=PATIENCE):
        found = finish(
            planned,
            searches,
            workspace,
            executor=request.executor,
            max_live_fits=request.max_live_fits,
            observer=observer,
        )
        for one in searches:
            _dress(one, found, planned, request)
    return found


def _after_wave(planned: Planned, searches: Sequence[Searching], done: Sequence[Searching]) -> None:
    """Write what there is so far, for reports of an unfinished search, and bring the dashboard's figures up to date."""
    write_searched(planned.folder, searched(searches, finished=False))
    for one in done:
        dashboard.decorate(one.study)


def _dress(searching: Searching, found: Searched, planned: Planned, request: Request) -> None:
    """Bring a study's figures on the dashboard up to date and give its winner the ROC curves of its inner folds."""
    dashboard.decorate(searching.study)
    target = searching.target
    winner = found.winner(target.arm, target.repeat, target.fold)
    if winner is None:
        return
    place = search_workspace(workspace_of(planned, request))
    cells = winner_cells(searching, winner)
    if not all((place.folder / "cells" / cell.name / "record.json").exists() for cell in cells):
        return  # trained on another machine without a common disk
    protocol = planned.study.protocol
    rows = pool(
        inner_predictions(cells, place),
        planned.study.unit,
        protocol.pool_views,
        protocol.pool_breasts,
        by=["part_number"],
    ).rename(columns={"part_number": "fold"})
    trial = searching.study.get_trials(deepcopy=False)[winner.number]
    picture = inner_roc(rows, f"{winner.record}: inner validation", planned.cohort.notice)
    dashboard.attach_roc(searching.study, trial, picture, artifacts(planned.folder))


def artifacts(folder: Path) -> Path:
    """Return where the files lie that the dashboard shows of a study."""
    return folder / FOLDER / "artifacts"


def trials_together(targets: Sequence[Target], work: SearchWork, request: Request, groups: Sequence[Memory]) -> int:
    """Return how many trials a wave can have at most: as many as fit into memory were all as heavy as the space allows.

    Args:
        targets: everything that is searched.
        work: how many trials of each target.
        request: how many fits may train together.
        groups: see `wave_memory`.
    """
    n_fits, n_trials = len(targets[0].splits), work.wave * len(targets)
    shares = [min(group.n_live, request.max_live_fits or group.n_live) / group.n_cells for group in groups]
    return max(1, int(n_trials * n_fits * min(shares)) // n_fits)


def wave_memory(planned: Planned, targets: Sequence[Target], wave: int, executor: Executor) -> list[Memory]:
    """Return what a whole wave takes, by groups that share a stream, when every trial is as heavy as the space allows."""
    cells: list[Cell] = []
    for target in targets:
        config = heaviest(target.study, target.arm, target.holes)
        cells += [cell for number in range(wave) for cell in target.cells(number, config)]
    return expected_memory(cells, planned.cohort, executor)


def expected(planned: Planned, targets: Sequence[Target], request: Request, together: int) -> float:
    """Estimate the seconds of a search without pruning whose trials are all as heavy as the reference configuration.

    Args:
        planned: the study.
        targets: everything that is searched.
        request: for its executor.
        together: trials of a wave, see `trials_together`.
    """
    at_once = max(1, together // len(targets))
    cells = [c for target in targets for number in range(at_once) for c in target.cells(number, target.config({}))]
    n_waves = math.ceil(targets[0].search.trials * len(targets) / max(together, 1))
    return n_waves * expected_seconds(cells, len(planned.cohort.images), request.executor)


def metric_of(planned: Planned) -> str:
    """Return the name of a trial's value on the dashboard."""
    return f"inner validation ROC-AUC ({planned.study.unit}s)"


def note_of(target: Target, planned: Planned) -> str:
    """Return the dashboard's note on a target."""
    images, search = planned.cohort.images, target.search
    searched_ids = {patient for split in target.splits for part in (split.train, split.validation) for patient in part}
    label = images.groupby("patient_id")["label"].max()
    seen = label[label.index.isin(searched_ids)]
    people = (
        f"{len(seen)} patients ({int(seen.sum())} positive, {int(images['patient_id'].isin(searched_ids).sum())}"
        " images)"
    )
    n_folds = planned.folds.n_folds
    nested = search.mode == "nested"
    where = f"the training part of fold {target.fold} of {n_folds}" if target.fold != WHOLE else "the whole cohort"
    divided = (
        f"divided into {len(target.splits)} inner folds by patient" if nested else f"its {len(target.splits)} folds"
    )
    held = "" if target.fold == WHOLE else f"{len(label) - len(seen)} patients: the test part of fold {target.fold}"
    return dashboard.note(
        arm=target.arm,
        question=planned.study.arms[target.arm].question,
        searched_on=f"{people} of {planned.cohort.name}: {where}, {divided}",
        held_out=held,
        space={hole.key: hole.described() for hole in target.holes},
        rules=rules(target),
        optimistic=OPTIMISTIC in planned.cohort.notice and not nested,
    )


def rules(target: Target) -> list[str]:
    """Return how a target is searched, a sentence each."""
    search = target.search
    pruning = {
        "median": (
            "A trial is pruned whose mean over the folds is below the median of the completed trials at the same epoch."
        ),
        "halving": "Trials are pruned by asynchronous successive halving on their mean over the folds, epoch by epoch.",
        "none": "No trial is pruned.",
    }
    selection = {
        "best": "The best mean wins; ties go to fewer trainable parameters.",
        "one-se": "The trial with the fewest trainable parameters within one standard error of the best mean wins.",
    }
    refit = "It is trained on the whole training part for the median of its inner best epochs, and tested once."
    return [
        (
            f"{search.trials} trials; the first is the reference configuration, the others are drawn by TPE"
            " (multivariate, constant liar within a wave)."
        ),
        "A trial's value is the mean over its folds of the validation ROC-AUC at the best epoch of each.",
        pruning[search.pruner],
        selection[search.select],
        *([refit] if search.mode == "nested" and target.fold != WHOLE else []),
    ]


def storage_of(folder: Path, url: str | None) -> BaseStorage:
    """Open the storage of a study that has been begun, for the dashboard.

    Raises:
        MmbcError: there is no search.
    """
    if url is None and not (folder / FOLDER / DATABASE).exists():
        raise MmbcError(f"{folder}: has no search of its own to show; name one (--name) or the --storage that was used")
    return open_storage(url, folder / FOLDER)
