"""A wave of trials that belongs to no stored search, to be trained again and again for timing."""

from dataclasses import replace

from optuna.storages import InMemoryStorage
from optuna.trial import FixedTrial

from study.training.preparation import Planned
from study.tuning.target_study import TargetStudy
from study.tuning.targets import targets_of
from study.tuning.waves import TrialPlan, plan_trial


def rehearsal_wave(planned: Planned) -> list[TrialPlan]:
    """Return every trial of the budget of every target: the reference and random draws, none of which can be pruned."""
    wave = []
    for target in targets_of(planned):
        target_study = TargetStudy(target, "rehearsal", InMemoryStorage(), planned.cohort.digest)
        for _ in range(target.search.trials):
            trial = target_study.ask("rehearsal")
            assert trial is not None
            wave.append(replace(plan_trial(target, trial, trial.number), trial=FixedTrial(trial.params)))
    return wave
