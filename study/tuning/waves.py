"""Waves of trials: trained in lockstep over one pass of the trunk, pruned epoch by epoch.

There is no training code here: a trial is a configuration, its fits are cells, and `execute` trains them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from mmbc.config import Config
from mmbc.data.cohort import Cohort
from study.design.cells import TrialCell
from study.design.search_results import FOLDER
from study.design.search_space import Trial, suggested
from study.evaluation.units import UnitScores, unit_auc
from study.records.cell_records import PREDICTION_COLUMNS, CellRecord
from study.records.progress import DIVERGED, FitSnapshot, Observer
from study.records.stored_frame import read_frame
from study.training.lockstep import execute
from study.training.workspace import Workspace
from study.tuning.targets import Target

PRUNED = "pruned"
"""Why the fits of a trial stopped that was given up."""


class PrunableTrial(Trial, Protocol):
    """A trial that can be told how it goes, epoch by epoch."""

    def report(self, value: float, step: int) -> None:
        """Note the value after a step."""
        ...

    def should_prune(self) -> bool:
        """Whether it is not worth going on."""
        ...


@dataclass(frozen=True)
class TrialPlan:
    """A trial with its values and its fits.

    Attributes:
        target: what is searched.
        trial: where values came from and results go.
        number: Optuna's number of it.
        config: the resolved configuration.
        cells: its fits.
    """

    target: Target
    trial: PrunableTrial
    number: int
    config: Config
    cells: tuple[TrialCell, ...]


def plan_trial(target: Target, trial: PrunableTrial, number: int) -> TrialPlan:
    """Give a trial its values and its fits."""
    config = target.config(suggested(trial, target.holes))
    return TrialPlan(target, trial, number, config, tuple(target.cells(number, config)))


@dataclass(frozen=True)
class TrialResult:
    """Outcome of a trial: see `study.design.search_results.TRIAL_COLUMNS`."""

    state: str
    value: float
    scores: tuple[float, ...]
    best_epochs: tuple[int, ...]
    epochs: tuple[int, ...]
    n_trainable: int
    seconds: float


def search_workspace(workspace: Workspace) -> Workspace:
    """Return where trials leave their records: predictions alone, below the study's `search`."""
    return replace(workspace, folder=workspace.folder / FOLDER, keep_models=False, checkpoint_every=0)


def train_wave(
    wave: Sequence[TrialPlan], workspace: Workspace, *, observer: Observer | None = None
) -> list[TrialResult]:
    """Train the fits of some trials together.

    Args:
        wave: trials with their values; any arms, folds and depths.
        workspace: as `search_workspace` returns it; where fits train one after the other no trial can be pruned.
        observer: told about the work.

    Returns:
        One result for each trial, in order.

    Raises:
        ConfigError: a configuration that cannot be built.
    """
    monitor = WaveMonitor(wave, workspace.cohort)
    cells = [cell for plan in wave for cell in plan.cells]
    after_epoch = monitor if workspace.executor == "lockstep" else None
    execute(cells, workspace, observer=observer, spare_diverged=True, after_epoch=after_epoch)
    return [_result(plan, workspace, monitor.epochs_of(plan)) for plan in wave]


class WaveMonitor:
    """Monitor of a wave: scores the fits after every epoch and gives up trials.

    It reports each trial's mean over its folds and has the fits of pruned trials stopped. A fit's score is the
    validation AUC, pooled to the unit of analysis, at its best epoch so far: what it would end with if it stopped
    now. So the last value reported is the trial's value.
    """

    def __init__(self, wave: Sequence[TrialPlan], cohort: Cohort) -> None:
        self._plans = {cell.name: plan for plan in wave for cell in plan.cells}
        self._cells = {cell.name: cell for plan in wave for cell in plan.cells}
        self._images = cohort.images
        self._pooled: dict[str, UnitScores] = {}
        self._scores: dict[str, tuple[int, float]] = {}
        self._epochs: dict[str, int] = {}
        self._apart: set[int] = set()
        """Trials whose fits do not all train together, for want of memory: only their end tells how good they are."""

    def __call__(self, epoch: int, fits: Sequence[FitSnapshot]) -> dict[str, str]:
        """Follow `study.training.lockstep.AfterEpoch`."""
        by_trial: dict[int, list[FitSnapshot]] = {}
        for fit in fits:
            self._epochs[fit.name] = fit.epoch
            self._score(fit)
            by_trial.setdefault(id(self._plans[fit.name]), []).append(fit)
        reasons: dict[str, str] = {}
        for trial, trial_fits in by_trial.items():
            plan = self._plans[trial_fits[0].name]
            if epoch == 0 and len(trial_fits) < len(plan.cells):
                self._apart.add(trial)
            if any(fit.stopped == DIVERGED for fit in trial_fits):
                reasons |= {fit.name: DIVERGED for fit in trial_fits}
            elif trial not in self._apart and self._is_pruned(plan, trial_fits, epoch):
                reasons |= {fit.name: PRUNED for fit in trial_fits}
        return reasons

    def epochs_of(self, plan: TrialPlan) -> tuple[int, ...]:
        """Return how many epochs each fit of a trial finished, also those that left no record."""
        return tuple(self._epochs.get(cell.name, 0) for cell in plan.cells)

    def _score(self, fit: FitSnapshot) -> None:
        known = self._scores.get(fit.name)
        if fit.stopped == DIVERGED or (known is not None and known[0] == fit.best_epoch):
            return
        if fit.name not in self._pooled:
            study = self._plans[fit.name].target.study
            validation = self._images["patient_id"].isin(self._cells[fit.name].split.validation)
            self._pooled[fit.name] = UnitScores(self._images[validation], study.unit, study.protocol)
        self._scores[fit.name] = fit.best_epoch, self._pooled[fit.name].auc(fit.validation_logits)

    def _is_pruned(self, plan: TrialPlan, fits: Sequence[FitSnapshot], epoch: int) -> bool:
        """Report a trial's mean over its folds; whether it is given up."""
        plan.trial.report(float(np.mean([self._scores[cell.name][1] for cell in plan.cells])), epoch + 1)
        return not all(fit.stopped for fit in fits) and plan.trial.should_prune()


def _result(plan: TrialPlan, workspace: Workspace, epochs: tuple[int, ...]) -> TrialResult:
    """Read what a trial's cells left."""
    places = [workspace.folder / "cells" / cell.name for cell in plan.cells]
    records = [CellRecord.read(place / "record.json") for place in places if (place / "record.json").exists()]
    stops = {record.stopped for record in records}
    # a fit that diverged leaves no record, nor do those of its trial that were still training
    state = "diverged" if len(records) < len(places) else "pruned" if PRUNED in stops else "complete"
    study = plan.target.study
    scores = tuple(
        unit_auc(read_frame(place / "predictions.parquet", PREDICTION_COLUMNS), study.unit, study.protocol)
        for place in (places if state != "diverged" else [])
    )
    return TrialResult(
        state=state,
        value=float(np.mean(scores)) if scores else float("nan"),
        scores=scores,
        best_epochs=tuple(record.best_epoch or 0 for record in records),
        epochs=tuple(record.n_epochs or 0 for record in records) if len(records) == len(places) else epochs,
        n_trainable=max((record.n_trainable or 0 for record in records), default=0),
        seconds=float(sum(record.seconds or 0.0 for record in records)),
    )
