"""A wave of trials that belongs to no search, for the benchmark."""

from dataclasses import replace
from pathlib import Path

from optuna.storages import InMemoryStorage
from optuna.trial import FixedTrial

from mmbc.data.cohort import Cohort
from study.design import folds
from study.design.search_space import read_space
from study.design.study_file import Search, StudyFile
from study.training.preparation import Planned
from study.tuning.targets import Searching, targets_of
from study.tuning.waves import Asked, ask

TRIALS = 4
"""Trials of every arm in every fold."""


def wave_of(study: StudyFile, cohort: Cohort, epochs: int, folder: Path) -> list[Asked]:
    """Return the first wave of a nested search of the default space: the reference and random draws, none of them pruned.

    Args:
        study: arms and settings; the reference must lie in the default space.
        cohort: its rows.
        epochs: that every fit trains.
        folder: where nothing of the study is written.
    """
    search = study.search or Search(trials=TRIALS, pruner="none", space=read_space(None)[1])
    schedule = study.train.model_copy(update={"max_epochs": epochs, "patience": epochs})
    study = study.model_copy(update={"search": search, "train": schedule})
    content = folds.make(cohort.images, study.protocol, n_inner=search.inner_folds)
    planned = Planned(folder, study, cohort, None, content, [], [], [])
    searches = [Searching(target, "wave", InMemoryStorage(), cohort.digest) for target in targets_of(planned)]
    asked = []
    for searching in searches:
        for _ in range(search.trials):
            trial = searching.ask("bench")
            assert trial is not None
            drawn = ask(searching.target, trial, trial.number)
            asked.append(replace(drawn, trial=FixedTrial(trial.params)))  # may be trained again and again
    return asked
