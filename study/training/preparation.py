"""A study before its first epoch: the cohort read, the patients split, the cells planned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mmbc import SPIN_LIMIT
from mmbc.config import parse
from mmbc.data.cohort import Cohort
from mmbc.data.images.store import ImageStore
from mmbc.errors import ConfigError
from mmbc.model.backbone import check_model
from mmbc.toml import read_toml
from mmbc.training.device import resolve
from mmbc.training.memory import FLOAT, available_bytes
from study.cohort.loading import Opened, check_features, open_cohort
from study.design import partition
from study.design.cells import Cell, baseline_cells, plan
from study.design.folds import Folds
from study.design.request import Request
from study.design.study_file import StudyFile
from study.design.study_name import default_name
from study.design.tuning_provenance import joined, warning
from study.evaluation.groups import check_subgroups
from study.evaluation.planned_analysis import planned_facts, setting_deviations
from study.records import study_folder
from study.records.analysis_plan import AnalysisPlan, locked_plan, plan_to_follow
from study.records.cell_records import finished
from study.records.progress import Observer
from study.records.search_archive import read_searched
from study.training.worker_pool import WorkerPool
from study.training.workspace import Workspace


@dataclass(frozen=True)
class Planned:
    """A study before its first epoch.

    Attributes:
        folder: where it lies or will lie.
        study: resolved settings; what was there before included.
        cohort: its rows.
        store: their pixels; None where no arm uses images.
        folds: every split, by patient.
        cells: every cell, the finished ones included.
        baseline: the cells of the logistic baseline.
        notes: sentences the user should read before the run.
        weights: backbone -> where its weights are, in words; empty where no arm uses images.
        plan: the analysis plan that it follows; None for none.
        opened: the cohort as it was read, before any notice of the study; None where it was not read from files.
    """

    folder: Path
    study: StudyFile
    cohort: Cohort
    store: ImageStore | None
    folds: Folds
    cells: list[Cell]
    baseline: list[Cell]
    notes: Sequence[str]
    opened: Opened | None = None
    weights: Mapping[str, str] = field(default_factory=dict)
    plan: AnalysisPlan | None = None

    def unfinished(self, cells: Sequence[Cell]) -> list[Cell]:
        """Return the cells whose record is not there yet; a damaged or foreign record is an error."""
        return [cell for cell in cells if not finished(self.folder / "cells" / cell.name, cell.key)]


def prepare(request: Request, observer: Observer, *, open_files: bool = True) -> Planned:
    """Read the cohort, split it by patient and plan the cells; nothing of the study is written yet.

    With `request.force` a study of this name is set aside. The audit of what is prepared is a step of its own
    (`study.checks.study_start.start_findings`). Device, backbones and weights are checked first.

    Args:
        request: what is asked for.
        observer: told about the work.
        open_files: False for a plan made of what the cohort lists; it is known in seconds, and never trained.

    Raises:
        MmbcError: of the kind that fits: configuration, cohort, images, splits, or a folder of another study.
    """
    asked = with_resolved_run(request.study)
    given = locked_plan(request.plan) if request.plan is not None else None
    weights = check_models(asked)
    needs_images = open_files and bool(weights)
    if weights:
        check_image_size(asked)
    opened = open_cohort(request, observer, needs_images=needs_images)
    cohort = opened.cohort
    check_features(asked, cohort)
    check_subgroups(cohort, asked.protocol.subgroups)
    folder = request.out / (request.name or default_name(cohort.name, asked, request.tolerance))
    aside = study_folder.set_aside(folder) if request.force else None
    study = study_folder.continued(folder, with_resolved_run(request.study, begun=folder / "study.toml"))
    if open_files:
        study_folder.check_cohort(folder, cohort)
    folds = _folds(folder / "folds.json" if open_files else None, request, study, cohort)
    plan_followed = plan_to_follow(folder, given)
    cohort = replace(cohort, notice=joined((cohort.notice, warning(study, cohort))))
    return Planned(
        folder=folder,
        study=study,
        cohort=cohort,
        store=opened.store,
        folds=folds,
        cells=plan(study, tuple(study.arms), folds.splits, read_searched(folder)),
        baseline=baseline_cells(study, folds.splits),
        weights=weights,
        notes=[
            *([f"The old study is kept at {aside}."] if aside is not None else []),
            *folds.warnings(cohort.images),
            *SPIN_LIMIT.notes,
            *(_deviations(plan_followed, study, cohort, folds) if plan_followed is not None and open_files else []),
        ],
        plan=plan_followed,
        opened=opened,
    )


def _deviations(followed: AnalysisPlan, study: StudyFile, cohort: Cohort, folds: Folds) -> list[str]:
    """Say which plan is followed, and in what the study departs from it."""
    found = setting_deviations(followed.facts, planned_facts(study, cohort, cohort.digest, folds), folds)
    notes = [f"The study deviates from the analysis plan of {followed.date}. {deviation}." for deviation in found]
    return notes or [f"The study follows the analysis plan of {followed.date}."]


def with_resolved_run(study: StudyFile, begun: Path | None = None) -> StudyFile:
    """Return the settings with device, precision and threads in place of `auto`.

    Args:
        study: the settings.
        begun: settings file of a study that may have been begun; it keeps its number of threads unless another is asked
            for.
    """
    run = study.run
    if not run.threads and begun is not None and begun.exists():
        run = parse(StudyFile, read_toml(begun), str(begun)).run.model_copy(update=run.model_dump(exclude={"threads"}))
    return study.model_copy(update={"run": resolve(run)})


def check_image_size(study: StudyFile) -> None:
    """Refuse images so large that no batch of them fits into memory, before any file is read.

    Raises:
        ConfigError: one batch, and as many values that the first layer makes of it, are more than the device has free.
    """
    size, batch = study.data.image_size, study.run.trunk_batch
    needed, free = 2 * FLOAT * 3 * batch * size**2, available_bytes(study.run.device)
    if needed > free:
        raise ConfigError(
            f"data.image_size={size}: a batch of {batch} images takes at least {needed / 2**30:,.1f} GiB, and"
            f" {free / 2**30:.1f} GiB are free; use smaller images (--set data.image_size=224) or, where little is"
            " lacking, a smaller run.trunk_batch"
        )


def check_models(study: StudyFile) -> dict[str, str]:
    """Check backbone and weights of every arm with an image branch; return backbone -> where its weights are.

    Raises:
        MmbcError: a backbone that does not exist, or weights that cannot be had or do not fit.
    """
    configs = [study.arm_config(arm) for arm in study.arms]
    models = {}
    for model in (config.model for config in configs if config.uses_images):
        models[model.backbone, model.weights, model.fine_tuned_blocks, model.allow_random_trunk] = model
    return {model.backbone: check_model(model) for model in models.values()}


def _folds(file: Path | None, request: Request, study: StudyFile, cohort: Cohort) -> Folds:
    """Return the folds of a study: those of its file, the user's own, or new ones."""
    search = study.search
    n_inner = search.inner_folds if search is not None and search.mode == "nested" else None
    return partition.for_study(file, request.folds_file, cohort.images, study.protocol, study.data, n_inner=n_inner)


def workspace_of(planned: Planned, request: Request, pool: WorkerPool | None = None) -> Workspace:
    """Return what the cells of a planned study are trained on, and by which processes."""
    return Workspace.of(request, planned.cohort, planned.store, planned.folder, pool)
