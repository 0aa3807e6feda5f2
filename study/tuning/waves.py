"""Waves of trials: asked for at once, trained in lockstep over one pass of the trunk, pruned epoch by epoch, told together.

There is no training code here: a trial is a configuration, its fits are cells, and `execute` trains them.
"""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from mmbc.config import Config
from mmbc.data.cohort import Cohort
from study.design.cells import TrialCell
from study.design.request import Executor
from study.design.search_results import FOLDER
from study.design.search_space import Trial, suggested
from study.evaluation.units import UnitScores, unit_auc
from study.records.cell_records import CellRecord
from study.records.progress import DIVERGED, FitSnapshot, Observer
from study.training.lockstep import execute
from study.training.workspace import Workspace
from study.tuning.targets import WORKER, Searching, Target
from study.tuning.workers import Worker

PRUNED = "pruned"
POLL = 2.0
"""Seconds between two looks at what other processes have finished."""


class Reporting(Trial, Protocol):
    """A trial that can be told how it goes, epoch by epoch."""

    def report(self, value: float, step: int) -> None:
        """Note the value after a step."""
        ...

    def should_prune(self) -> bool:
        """Whether it is not worth going on."""
        ...


@dataclass(frozen=True)
class Asked:
    """A trial that has its values.

    Attributes:
        target: what is searched.
        trial: where values came from and results go.
        number: Optuna's number of it.
        config: the resolved configuration.
        cells: its fits.
    """

    target: Target
    trial: Reporting
    number: int
    config: Config
    cells: tuple[TrialCell, ...]


def ask(target: Target, trial: Reporting, number: int) -> Asked:
    """Give a trial its values and its fits."""
    config = target.config(suggested(trial, target.holes))
    return Asked(target, trial, number, config, tuple(target.cells(number, config)))


@dataclass(frozen=True)
class Result:
    """What became of a trial: see `study.design.search_results.TRIAL_COLUMNS`."""

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


def train(
    wave: Sequence[Asked],
    workspace: Workspace,
    *,
    executor: Executor = "lockstep",
    max_live_fits: int | None = None,
    observer: Observer | None = None,
) -> list[Result]:
    """Train the fits of some trials together and return what became of each.

    Args:
        wave: trials with their values; any arms, folds and depths.
        workspace: as `search_workspace` returns it.
        executor: `sequential` trains one fit after the other; then no trial can be pruned.
        max_live_fits: as in `execute`.
        observer: told about the work.

    Returns:
        One result for each trial, in order.

    Raises:
        ConfigError: a configuration that cannot be built.
    """
    watch = Watch(wave, workspace.cohort)
    cells = [cell for asked in wave for cell in asked.cells]
    execute(
        cells,
        workspace,
        executor=executor,
        max_live_fits=max_live_fits,
        observer=observer,
        spare_diverged=True,
        after_epoch=watch if executor == "lockstep" else None,
    )
    return [_result(asked, workspace, watch.epochs_of(asked)) for asked in wave]


class Watch:
    """After every epoch: scores the fits, reports each trial's mean over its folds, and stops the fits of pruned trials.

    A fit's score is the validation ROC-AUC, pooled to the unit of analysis, at its best epoch so far: what it would end
    with if it stopped now. So the last value reported is the trial's value.
    """

    def __init__(self, wave: Sequence[Asked], cohort: Cohort) -> None:
        self._asked = {cell.name: asked for asked in wave for cell in asked.cells}
        self._cells = {cell.name: cell for asked in wave for cell in asked.cells}
        self._images = cohort.images
        self._pooled: dict[str, UnitScores] = {}
        self._scores: dict[str, tuple[int, float]] = {}
        self._epochs: dict[str, int] = {}
        self._apart: set[int] = set()
        """Trials whose fits do not all train together, for want of memory: nothing can be said of them before their end."""

    def __call__(self, epoch: int, fits: Sequence[FitSnapshot]) -> dict[str, str]:
        """Follow `study.training.lockstep.AfterEpoch`."""
        by_trial: dict[int, list[FitSnapshot]] = {}
        for fit in fits:
            self._epochs[fit.name] = fit.epoch
            self._score(fit)
            by_trial.setdefault(id(self._asked[fit.name]), []).append(fit)
        reasons: dict[str, str] = {}
        for trial, trial_fits in by_trial.items():
            asked = self._asked[trial_fits[0].name]
            if epoch == 0 and len(trial_fits) < len(asked.cells):
                self._apart.add(trial)
            if any(fit.stopped == DIVERGED for fit in trial_fits):
                reasons |= {fit.name: DIVERGED for fit in trial_fits}
            elif trial not in self._apart and self._is_pruned(asked, trial_fits, epoch):
                reasons |= {fit.name: PRUNED for fit in trial_fits}
        return reasons

    def epochs_of(self, asked: Asked) -> tuple[int, ...]:
        """Return how many epochs each fit of a trial finished, also those that left no record."""
        return tuple(self._epochs.get(cell.name, 0) for cell in asked.cells)

    def _score(self, fit: FitSnapshot) -> None:
        known = self._scores.get(fit.name)
        if fit.stopped == DIVERGED or (known is not None and known[0] == fit.best_epoch):
            return
        if fit.name not in self._pooled:
            study = self._asked[fit.name].target.study
            validation = self._images["patient_id"].isin(self._cells[fit.name].split.validation)
            self._pooled[fit.name] = UnitScores(self._images[validation], study.unit, study.protocol)
        self._scores[fit.name] = fit.best_epoch, self._pooled[fit.name].auc(fit.validation_logits)

    def _is_pruned(self, asked: Asked, fits: Sequence[FitSnapshot], epoch: int) -> bool:
        """Report a trial's mean over its folds; whether it is given up."""
        asked.trial.report(float(np.mean([self._scores[cell.name][1] for cell in asked.cells])), epoch + 1)
        return not all(fit.stopped for fit in fits) and asked.trial.should_prune()


def _result(asked: Asked, workspace: Workspace, epochs: tuple[int, ...]) -> Result:
    """Read what a trial's cells left."""
    places = [workspace.folder / "cells" / cell.name for cell in asked.cells]
    records = [CellRecord.read(place / "record.json") for place in places if (place / "record.json").exists()]
    stops = {record.stopped for record in records}
    # a fit that diverged leaves no record, nor do those of its trial that were still training
    state = "diverged" if len(records) < len(places) else "pruned" if PRUNED in stops else "complete"
    study = asked.target.study
    scores = tuple(
        unit_auc(pd.read_parquet(place / "predictions.parquet"), study.unit, study.protocol)
        for place in (places if state != "diverged" else [])
    )
    return Result(
        state=state,
        value=float(np.mean(scores)) if scores else float("nan"),
        scores=scores,
        best_epochs=tuple(record.best_epoch or 0 for record in records),
        epochs=tuple(record.n_epochs or 0 for record in records) if len(records) == len(places) else epochs,
        n_trainable=max((record.n_trainable or 0 for record in records), default=0),
        seconds=float(sum(record.seconds or 0.0 for record in records)),
    )


@dataclass
class Loop:
    """The work of one process on a search: waves until every target has its trials.

    Attributes:
        searches: everything that is searched.
        workspace: as `search_workspace` returns it.
        worker: this process.
        wave: trials of a target that are asked for at once.
        most: trials that fit into memory together.
        executor, max_live_fits, observer: as in `train`.
        said: told in a sentence what was done.
        after_wave: called after each wave with the searches that had a trial in it.
    """

    searches: Sequence[Searching]
    workspace: Workspace
    worker: Worker
    wave: int
    most: int
    executor: Executor = "lockstep"
    max_live_fits: int | None = None
    observer: Observer | None = None
    said: Callable[[str], None] = lambda text: None
    after_wave: Callable[[Sequence[Searching]], None] = lambda searches: None
    n_waves: int = field(default=0, init=False)

    def run(self) -> None:
        """Search until nothing is left; what other processes are at work on is waited for, and made again if they die."""
        waiting = False
        while True:
            self.redo_lost()
            wave = self.ask()
            if wave:
                self._train(wave)
                waiting = False
            elif all(searching.done for searching in self.searches):
                return
            else:
                if not waiting:
                    self.said("waiting for other processes to finish the trials they have begun")
                waiting = True
                time.sleep(POLL)

    def redo_lost(self) -> None:
        """Have the trials of dead processes made again."""
        for searching in self.searches:
            for trial in searching.running():
                if self.worker.is_dead(trial.user_attrs.get(WORKER)) and searching.give_up(trial):
                    self._forget(searching.target, trial)
                    self.said(
                        f"trial {trial.number} of {searching.target.name} was lost with its process; it is made again"
                    )

    def _forget(self, target: Target, trial: FrozenTrial) -> None:
        for place in (self.workspace.folder / "cells").glob(f"{target.record(trial.number)}.*"):
            shutil.rmtree(place, ignore_errors=True)

    def ask(self) -> list[tuple[Searching, Asked]]:
        """Ask for a wave: round by round one trial of each target, those with the fewest first, as many as memory allows."""
        wave: list[tuple[Searching, Asked]] = []
        counts = {id(searching): len(searching.counted()) for searching in self.searches}
        for searching in sorted([*self.searches] * self.wave, key=lambda searching: counts[id(searching)]):
            if len(wave) >= self.most:
                break
            trial = searching.ask(self.worker.name)
            if trial is not None:
                wave.append((searching, ask(searching.target, trial, trial.number)))
        return wave

    def _train(self, wave: Sequence[tuple[Searching, Asked]]) -> None:
        began = time.perf_counter()
        name = f"{self.worker.short}-{self.n_waves}"
        self.n_waves += 1
        try:
            results = train(
                [asked for _, asked in wave],
                self.workspace,
                executor=self.executor,
                max_live_fits=self.max_live_fits,
                observer=self.observer,
            )
        except BaseException:
            self._hand_back(wave)
            raise
        took = time.perf_counter() - began
        for (searching, asked), result in zip(wave, results, strict=True):
            tell(searching.study, asked, result, {"wave": name, "wave_seconds": took, "trials_in_wave": len(wave)})
        self.said(_wave_line(self.n_waves, [asked for _, asked in wave], results, took))
        self.after_wave(list(dict.fromkeys(searching for searching, _ in wave)))

    def _hand_back(self, wave: Sequence[tuple[Searching, Asked]]) -> None:
        """Leave the trials of an interrupted wave to whoever goes on."""
        for searching, asked in wave:
            found = [trial for trial in searching.running() if trial.number == asked.number]
            if found:
                searching.give_up(found[0])
                self._forget(searching.target, found[0])


def tell(study: optuna.Study, asked: Asked, result: Result, wave: Mapping[str, Any]) -> None:
    """Store what became of a trial; one that was given up meanwhile keeps that state, and the result is dropped."""
    trial = asked.trial
    assert isinstance(trial, optuna.Trial)
    facts = {
        "fold_scores": list(result.scores),
        "best_epochs": list(result.best_epochs),
        "epochs": list(result.epochs),
        "max_epochs": asked.config.train.max_epochs,
        "seconds": result.seconds,
        "n_trainable": result.n_trainable,
        "record": asked.target.record(asked.number),
        "diverged": result.state == "diverged",
        **wave,
    }
    try:
        for key, value in facts.items():
            trial.set_user_attr(key, value)
        if result.state == "complete":
            study.tell(trial, result.value)
        else:
            study.tell(trial, state=TrialState.PRUNED)
    except (ValueError, RuntimeError) as error:
        if study.get_trials(deepcopy=False)[asked.number].state.is_finished():
            return  # somebody took this process for dead and has the trial made again
        raise error


def _wave_line(number: int, wave: Sequence[Asked], results: Sequence[Result], took: float) -> str:
    counts = {state: sum(result.state == state for result in results) for state in ("complete", "pruned", "diverged")}
    others = "".join(f", {n} {state}" for state, n in counts.items() if n and state != "complete")
    best: dict[str, float] = {}
    for asked, result in zip(wave, results, strict=True):
        if result.state == "complete":
            best[asked.target.arm] = max(best.get(asked.target.arm, 0.0), result.value)
    found = ", ".join(f"{arm} {value:.3f}" for arm, value in best.items())
    return f"wave {number}: {len(wave)} trials{others} in {took:.0f} s; its best validation ROC-AUC: {found or 'none'}"
