"""A wave of trials that belongs to no stored search, to be trained again and again for timing."""

from dataclasses import replace

from optuna.storages import InMemoryStorage
from optuna.trial import FixedTrial

from study.training.preparation import Planned
from study.tuning.targets import Searching, targets_of
from study.tuning.waves import Asked, ask


def rehearsal_wave(planned: Planned) -> list[Asked]:
    """Return every trial of the budget of every target: the reference and random draws, none of which can be pruned."""
    wave = []
    for target in targets_of(planned):
        searching = Searching(target, "rehearsal", InMemoryStorage(), planned.cohort.digest)
        for _ in range(target.search.trials):
            trial = searching.ask("rehearsal")
            assert trial is not None
            wave.append(replace(ask(target, trial, trial.number), trial=FixedTrial(trial.params)))
    return wave
