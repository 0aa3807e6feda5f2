"""A planned study carried out: folder begun, baseline fitted, cells trained."""

from collections.abc import Sequence

from study.design.request import Request
from study.records import study_folder
from study.records.analysis_plan import write_plan
from study.records.environment import describe
from study.records.finding import Finding, write_findings
from study.records.progress import Observer
from study.training.baseline import run_baseline
from study.training.lockstep import execute
from study.training.preparation import Planned, workspace_of
from study.training.tracking import tracked
from study.training.worker_pool import WorkerPool


def begin(planned: Planned, command: list[str], findings: Sequence[Finding]) -> None:
    """Write a study's own files, what it is run with and what the audit found; the caller holds the study's lock.

    Raises:
        StudyError: the folder belongs to another cohort.
    """
    environment = describe(
        command=command,
        cohort_digest=planned.cohort.digest,
        device=planned.study.run.device,
        store_digest=planned.store.digest if planned.store is not None else None,
        plan=planned.plan.digest if planned.plan is not None else None,
    )
    left = planned.unfinished([*planned.cells, *planned.baseline])
    study_folder.begin(
        planned.folder, planned.study, planned.cohort, planned.folds, environment, trains_more=bool(left)
    )
    write_findings(planned.folder, findings)
    if planned.plan is not None:
        write_plan(planned.folder, planned.plan)


def carry_out(
    planned: Planned, request: Request, observer: Observer, *, command: list[str], findings: Sequence[Finding]
) -> None:
    """Train what is not finished; every cell's record is on disk as soon as it ends.

    Args:
        planned: the study.
        request: how the work is done.
        observer: told about the work.
        command: what was typed, for the record.
        findings: of the audit at the start (`study.checks.study_start.start_findings`).

    Raises:
        StudyError: another process is at work on this study, or a finished cell is damaged.
    """
    with study_folder.lock(planned.folder):
        begin(planned, command, findings)
        run_baseline(planned.unfinished(planned.baseline), planned.cohort, planned.folder / "cells")
        cells = planned.unfinished(planned.cells)
        with tracked(observer, request, planned.folder, planned.folder.name) as told, WorkerPool(request.jobs) as pool:
            told.expect(cells, len(planned.cells) - len(cells), planned.folder)
            execute(cells, workspace_of(planned, request, pool), observer=told)
