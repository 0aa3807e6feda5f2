"""The loop of one process on a search: ask for a wave of trials, train it, store the results, until nothing is left."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from study.records.progress import Observer
from study.text.format import count
from study.training.workspace import Workspace
from study.tuning.heartbeat import Heartbeat
from study.tuning.target_study import WORKER, TargetStudy
from study.tuning.targets import Target
from study.tuning.waves import TrialPlan, TrialResult, plan_trial, train_wave

POLL = 2.0
"""Seconds between two looks at what other processes have finished."""


@dataclass
class SearchLoop:
    """The work of one process on a search: waves until every target has its trials.

    Attributes:
        target_studies: everything that is searched.
        workspace: as `search_workspace` returns it.
        heartbeat: of this process.
        wave: trials of a target that are asked for at once.
        most: trials that fit into memory together.
        observer: told about the work.
        say: told in a sentence what was done.
        after_wave: called after each wave with the targets that had a trial in it.
    """

    target_studies: Sequence[TargetStudy]
    workspace: Workspace
    heartbeat: Heartbeat
    wave: int
    most: int
    observer: Observer = field(default_factory=Observer)
    say: Callable[[str], None] = lambda text: None
    after_wave: Callable[[Sequence[TargetStudy]], None] = lambda target_studies: None
    n_waves: int = field(default=0, init=False)

    def run(self) -> None:
        """Search until nothing is left; trials of other processes are waited for, and made again if these die."""
        waiting = False
        while True:
            self.redo_lost()
            wave = self.ask()
            if wave:
                self._train(wave)
                waiting = False
            elif all(target_study.is_done for target_study in self.target_studies):
                return
            else:
                if not waiting:
                    self.say("waiting for other processes to finish the trials they have begun")
                waiting = True
                time.sleep(POLL)

    def redo_lost(self) -> None:
        """Have the trials of dead processes made again."""
        for target_study in self.target_studies:
            for trial in target_study.running_trials():
                if self.heartbeat.is_dead(trial.user_attrs.get(WORKER)) and target_study.give_up(trial):
                    self._forget(target_study.target, trial)
                    lost = f"trial {trial.number} of {target_study.target.name}"
                    self.say(f"{lost} was lost with its process and will be run again")

    def _forget(self, target: Target, trial: FrozenTrial) -> None:
        for place in (self.workspace.folder / "cells").glob(f"{target.record(trial.number)}.*"):
            shutil.rmtree(place, ignore_errors=True)

    def ask(self) -> list[tuple[TargetStudy, TrialPlan]]:
        """Ask for a wave: round by round one trial of each target, those with the fewest first, as memory allows."""
        wave: list[tuple[TargetStudy, TrialPlan]] = []
        counts = {id(target_study): len(target_study.counted_trials()) for target_study in self.target_studies}
        for target_study in sorted([*self.target_studies] * self.wave, key=lambda one: counts[id(one)]):
            if len(wave) >= self.most:
                break
            trial = target_study.ask(self.heartbeat.name)
            if trial is not None:
                wave.append((target_study, plan_trial(target_study.target, trial, trial.number)))
        return wave

    def _train(self, wave: Sequence[tuple[TargetStudy, TrialPlan]]) -> None:
        began = time.perf_counter()
        name = f"{self.heartbeat.short}-{self.n_waves}"
        self.n_waves += 1
        trials = {f"{plan.target.name} trial {plan.number}": plan.cells for _, plan in wave}
        n_done = sum(len(one.finished_trials()) for one in self.target_studies)
        n_total = sum(one.target.search.trials for one in self.target_studies)
        self.observer.wave_begun(self.n_waves, trials, n_done, n_total)
        try:
            results = train_wave([plan for _, plan in wave], self.workspace, observer=self.observer)
        except BaseException:
            self._hand_back(wave)
            raise
        took = time.perf_counter() - began
        facts = {"wave": name, "wave_seconds": took, "trials_in_wave": len(wave)}
        for (target_study, plan), result in zip(wave, results, strict=True):
            store_result(target_study.study, plan, result, facts)
        self.say(_wave_line(self.n_waves, [plan for _, plan in wave], results, took))
        self.after_wave(list(dict.fromkeys(target_study for target_study, _ in wave)))

    def _hand_back(self, wave: Sequence[tuple[TargetStudy, TrialPlan]]) -> None:
        """Leave the trials of an interrupted wave to whoever goes on."""
        for target_study, plan in wave:
            for trial in target_study.running_trials():
                if trial.number == plan.number:
                    target_study.give_up(trial)
                    self._forget(target_study.target, trial)


def store_result(study: optuna.Study, plan: TrialPlan, result: TrialResult, wave: Mapping[str, Any]) -> None:
    """Store the outcome of a trial; one that was given up meanwhile keeps that state, and the result is dropped."""
    trial = plan.trial
    assert isinstance(trial, optuna.Trial)
    facts = {
        "fold_scores": list(result.scores),
        "best_epochs": list(result.best_epochs),
        "epochs": list(result.epochs),
        "max_epochs": plan.config.train.max_epochs,
        "seconds": result.seconds,
        "n_trainable": result.n_trainable,
        "record": plan.target.record(plan.number),
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
        if study.get_trials(deepcopy=False)[plan.number].state.is_finished():
            return  # somebody took this process for dead and has the trial made again
        raise error


def _wave_line(number: int, wave: Sequence[TrialPlan], results: Sequence[TrialResult], took: float) -> str:
    counts = {state: sum(result.state == state for result in results) for state in ("complete", "pruned", "diverged")}
    others = "".join(f", {n} {state}" for state, n in counts.items() if n and state != "complete")
    best: dict[str, float] = {}
    for plan, result in zip(wave, results, strict=True):
        if result.state == "complete":
            best[plan.target.arm] = max(best.get(plan.target.arm, 0.0), result.value)
    values = ", ".join(f"{arm} {value:.3f}" for arm, value in best.items())
    trials = count(len(wave), "trial")
    return f"wave {number}: {trials}{others} in {took:.0f} s; its best validation AUC: {values or 'none'}"
