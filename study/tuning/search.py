"""A search from its plan to its winners: storage, waves of trials, refits, dashboard."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from optuna.storages import BaseStorage

from study.design.request import WAVE, Request
from study.design.search_results import FOLDER, SearchResult
from study.evaluation.units import pool
from study.records import study_folder
from study.records.finding import Finding
from study.records.progress import Observer
from study.records.search_archive import write_searched
from study.reporting.figures.inner_roc import inner_roc
from study.training.preparation import Planned, workspace_of
from study.training.run import begin
from study.training.tracking import tracked
from study.training.worker_pool import WorkerPool
from study.training.workspace import Workspace
from study.tuning import dashboard
from study.tuning.dashboard_notes import target_note, value_name
from study.tuning.forecast import trials_together, wave_memory
from study.tuning.heartbeat import BEAT, GRACE, Heartbeat
from study.tuning.refit import inner_predictions, refit_winners, winner_cells
from study.tuning.search_loop import SearchLoop
from study.tuning.storage import artifacts_folder, close_storage, open_storage
from study.tuning.target_study import TargetStudy
from study.tuning.targets import targets_of
from study.tuning.waves import search_workspace
from study.tuning.winners import search_results

PATIENCE = 24 * 3600.0
"""Seconds that a process waits for another one that is refitting the winners."""


@dataclass(frozen=True)
class SearchWork:
    """Storage, waves and signs of life: how the work is done, none of it part of what is searched.

    Attributes:
        storage: address of the storage; None for an SQLite file beside the study.
        wave: trials of a target that are asked for at once, at most.
        beat, grace: seconds between signs of life, and without one until a process is given up.
    """

    storage: str | None = None
    wave: int = WAVE
    beat: float = BEAT
    grace: float = GRACE


def run_search(
    planned: Planned,
    request: Request,
    work: SearchWork,
    *,
    observer: Observer,
    say: Callable[[str], None],
    command: list[str],
    findings: Sequence[Finding],
) -> SearchResult:
    """Search until every target has its trials, then refit and test the winners.

    Several processes may do this at once with one storage; each returns when all is done.

    Args:
        planned: the study.
        request: how fits are trained.
        work: how the work is shared.
        observer: told about the work.
        say: told in a sentence what was done.
        command: what was typed, for the record.
        findings: of the audit at the start (`study.checks.study_start.start_findings`).

    Raises:
        ConfigError: a space or storage that cannot be used.
        StudyError: the storage holds another search of the same name; or none of a target's trials completed.
    """
    targets_of(planned)  # a space that cannot be used is refused before a storage is made
    storage = open_storage(work.storage, planned.folder / FOLDER)
    try:
        with study_folder.lock(planned.folder, wait=PATIENCE):
            begin(planned, command, findings)
            target_studies = _join(planned, storage)
        with tracked(observer, request, planned.folder, planned.folder.name) as told, WorkerPool(request.jobs) as pool:
            workspace = workspace_of(planned, request, pool)
            _search(planned, request, work, target_studies, storage, workspace, told, say)
            say("all trials are finished; the winners are trained and tested now")
            with study_folder.lock(planned.folder, wait=PATIENCE):
                return _refit(planned, target_studies, workspace, told)
    finally:
        close_storage(storage)


def _join(planned: Planned, storage: BaseStorage) -> list[TargetStudy]:
    """Create or join the Optuna study of every target, with its note on the dashboard."""
    name, digest = planned.folder.name, planned.cohort.digest
    target_studies = [TargetStudy(target, name, storage, digest) for target in targets_of(planned)]
    for one in target_studies:
        dashboard.describe(one.study, target_note(one.target, planned), value_name(planned))
    return target_studies


def _search(
    planned: Planned,
    request: Request,
    work: SearchWork,
    target_studies: Sequence[TargetStudy],
    storage: BaseStorage,
    workspace: Workspace,
    observer: Observer,
    say: Callable[[str], None],
) -> None:
    """Train waves of trials until every target has its own."""
    targets = [one.target for one in target_studies]
    anchor = storage.get_study_id_from_name(target_studies[0].study.study_name)
    groups = wave_memory(planned, targets, work.wave, request)
    with Heartbeat(storage, anchor, beat=work.beat, grace=work.grace) as heartbeat:
        SearchLoop(
            target_studies,
            search_workspace(workspace),
            heartbeat,
            wave=work.wave,
            most=trials_together(targets, work.wave, request, groups),
            observer=observer,
            say=say,
            after_wave=lambda changed: _keep_up(planned, target_studies, changed),
        ).run()


def _keep_up(planned: Planned, target_studies: Sequence[TargetStudy], changed: Sequence[TargetStudy]) -> None:
    """Write what there is so far, for reports of an unfinished search, and draw the dashboard's figures anew."""
    write_searched(planned.folder, search_results(target_studies, finished=False))
    for one in changed:
        dashboard.draw_figures(one.study)


def _refit(
    planned: Planned, target_studies: Sequence[TargetStudy], workspace: Workspace, observer: Observer
) -> SearchResult:
    """Train and test the winners; show each on the dashboard."""
    results = refit_winners(planned, target_studies, workspace, observer=observer)
    for one in target_studies:
        dashboard.draw_figures(one.study)
        _show_roc(one, results, planned, search_workspace(workspace))
    return results


def _show_roc(target_study: TargetStudy, results: SearchResult, planned: Planned, workspace: Workspace) -> None:
    """Show the ROC curves of a winner's inner folds on the dashboard."""
    target = target_study.target
    winner = results.winner(target.arm, target.repeat, target.fold)
    if winner is None:
        return
    cells = winner_cells(target_study, winner)
    if not all((workspace.cell_folder(cell.name) / "record.json").exists() for cell in cells):
        return  # trained on another machine without a common disk
    study = planned.study
    rows = pool(
        inner_predictions(cells, workspace),
        study.unit,
        study.protocol.pool_views,
        study.protocol.pool_breasts,
        by=["part_number"],
    ).rename(columns={"part_number": "fold"})
    trial = target_study.study.get_trials(deepcopy=False)[winner.number]
    picture = inner_roc(rows, f"{winner.record}: inner validation", planned.cohort.notice)
    dashboard.attach_roc(target_study.study, trial, picture, artifacts_folder(planned.folder))
