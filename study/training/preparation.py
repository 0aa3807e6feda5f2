"""A study before its first epoch: the cohort read, the patients split, the cells planned."""

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmbc.data.cohort import Cohort
from mmbc.data.images.store import ImageStore
from mmbc.errors import CohortError, some
from mmbc.training.device import resolve
from study.checks.fast import at_start
from study.cohort.loading import Opened, open_cohort
from study.design import partition
from study.design.cells import Cell, baseline_cells, plan
from study.design.folds import Folds
from study.design.request import Request, Tolerance
from study.design.study_file import StudyFile
from study.design.tuning_provenance import joined, warning
from study.evaluation.groups import check_subgroups
from study.records import study_folder
from study.records.cell_records import finished
from study.records.finding import Finding
from study.records.progress import Observer
from study.records.search_archive import read_searched
from study.training.lockstep import Workspace


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
        opened: the cohort as it was read, before any notice of the study; None where it was not read from files.
        findings: of the audit's fast checks.
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
    findings: Sequence[Finding] = ()

    def unfinished(self, cells: Sequence[Cell]) -> list[Cell]:
        """Return the cells whose record is not there yet; a damaged or foreign record is an error."""
        return [cell for cell in cells if not finished(self.folder / "cells" / cell.name, cell.key)]


def with_resolved_run(study: StudyFile) -> StudyFile:
    """Return the settings with device, precision and threads of this machine in place of `auto`."""
    return study.model_copy(update={"run": resolve(study.run)})


def prepare(request: Request, observer: Observer) -> Planned:
    """Read the cohort, split it by patient and plan the cells; nothing of the study is written yet.

    Raises:
        MmbcError: of the kind that fits: configuration, cohort, images, splits, or a folder of another study.
    """
    asked = with_resolved_run(request.study)
    needs_images = any(asked.arm_config(arm).uses_images for arm in asked.arms)
    opened = open_cohort(
        request.source,
        asked.data,
        needs_images=needs_images,
        cache=request.cache,
        aside=partition.columns_used(asked.protocol),
        tolerance=request.tolerance,
        observer=observer,
    )
    cohort = opened.cohort
    check_features(asked, cohort)
    check_subgroups(cohort, asked.protocol.subgroups)
    place = request.out / (request.name or default_name(cohort.name, asked, request.tolerance))
    notes = []
    if request.force and (aside := study_folder.set_aside(place)) is not None:
        notes.append(f"The old study is kept at {aside}.")
    study = study_folder.continued(place, asked)
    study_folder.check_cohort(place, cohort)
    n_inner = study.search.inner_folds if study.search is not None and study.search.mode == "nested" else None
    folds = partition.for_study(
        place / "folds.json", request.folds_file, cohort.images, study.protocol, n_inner=n_inner
    )
    cohort = dataclasses.replace(cohort, notice=joined((cohort.notice, warning(study, cohort))))
    notes += folds.warnings(cohort.images)
    return Planned(
        folder=place,
        study=study,
        cohort=cohort,
        store=opened.store,
        folds=folds,
        cells=plan(study, tuple(study.arms), folds.splits, read_searched(place)),
        baseline=baseline_cells(study, folds.splits),
        notes=notes,
        opened=opened,
        findings=at_start(opened, study, folds, request.tolerance, request.cache, observer),
    )


def check_features(study: StudyFile, cohort: Cohort) -> None:
    """Refuse arms with a tabular branch for a cohort without a clinical column."""
    tabular = [arm for arm in study.arms if "tabular" in study.arm_config(arm).model.inputs]
    if tabular and not cohort.features:
        images = [arm for arm in study.arms if arm not in tabular]
        raise CohortError(
            f"{cohort.name}: has no clinical column, which the arms {some(tabular)} need; "
            f"use --ablation {','.join(images) or 'image'}, or see --describe for the columns that were left out"
        )


def default_name(cohort: str, study: StudyFile, tolerance: Tolerance) -> str:
    """Return cohort and preset; other labels, splits or a sample get a name of their own, so that none blocks another."""
    return file_name([cohort, study.preset, *variant(study, tolerance)])


def file_name(parts: Sequence[str]) -> str:
    """Return words as the name of a folder."""
    return re.sub(r"[^\w.-]+", "-", "-".join(parts))


def variant(study: StudyFile, tolerance: Tolerance) -> list[str]:
    """Return the words that tell a study of other labels, splits or a sample from the usual one."""
    parts = []
    if study.data.negative:
        parts += ["vs", *study.data.negative]
    if study.data.label_level != "case":
        parts.append(study.data.label_level)
    if study.protocol.fold_column:
        parts += ["by", study.protocol.fold_column]
    if study.protocol.test_where:
        parts.append("test-part")
    if study.search is not None:
        parts.append(study.search.mode)
    if tolerance.limit_patients is not None:
        parts.append(f"{tolerance.limit_patients}-patients")
    return parts


def workspace_of(planned: Planned, request: Request) -> Workspace:
    """Return what the cells of a planned study are trained on."""
    return Workspace(
        planned.cohort,
        planned.store,
        planned.folder,
        request.cache,
        cache_gib=request.cache_gib,
        checkpoint_every=request.checkpoint_every,
    )
