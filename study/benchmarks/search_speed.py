"""Time of one wave of a nested search, against the same trials one after another: `python -m study.bench --search`."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from study.benchmarks.material import Material, workspace_of
from study.design import partition
from study.design.request import Executor
from study.design.search_space import read_space
from study.design.study_file import Search
from study.training.preparation import Planned
from study.training.worker_pool import WorkerPool
from study.training.workspace import Workspace
from study.tuning.rehearsal import rehearsal_wave
from study.tuning.waves import TrialPlan, train_wave

TRIALS = 4
"""Trials of every arm in every fold."""
TRIALS_MEASURED = 4
"""Trials of an arm that are trained one after another; the time of the others is taken from these."""


def search_speed(material: Material, epochs: int, said: Callable[[str], None]) -> dict[str, Any]:
    """Time a wave in lockstep, trial by trial, and fit by fit: the same fits, none pruned, images and features at hand.

    Args:
        material: arms and cohort; the reference must lie in the default space.
        epochs: that every fit trains.
        said: told what is being measured.

    Returns:
        Seconds and ratios of the three, and numbers of trials, fits, images and epochs.
    """
    with WorkerPool() as pool:
        return _search_speed(material, epochs, said, replace(workspace_of(material), pool=pool))


def _search_speed(material: Material, epochs: int, said: Callable[[str], None], workspace: Workspace) -> dict[str, Any]:
    wave = wave_of(material, epochs)
    train_wave(sample_trials(wave, 1), workspace)  # makes the clean features of every depth, and warms up
    said(f"running {len(wave)} trials in lockstep")
    seconds = {"lockstep": _seconds(wave, workspace, "lockstep")}
    sample = sample_trials(wave, TRIALS_MEASURED)
    executors: dict[str, Executor] = {"trial_by_trial": "lockstep", "fit_by_fit": "sequential"}
    for name, executor in executors.items():
        said(f"running {len(sample)} of them {name.replace('_', ' ')}")
        by_arm: dict[str, list[float]] = {}
        for asked in sample:
            by_arm.setdefault(asked.target.arm, []).append(_seconds([asked], workspace, executor))
        n_trials = {arm: sum(asked.target.arm == arm for asked in wave) for arm in by_arm}
        seconds[name] = sum(n_trials[arm] * float(np.mean(times)) for arm, times in by_arm.items())
    return {
        "seconds": seconds,
        "ratios": {f"{name}/lockstep": seconds[name] / seconds["lockstep"] for name in executors},
        "n_trials": len(wave),
        "n_measured": len(sample),
        "n_fits": sum(len(asked.cells) for asked in wave),
        "epochs": epochs,
        "n_images": len(material.cohort.images),
    }


def wave_of(material: Material, epochs: int) -> list[TrialPlan]:
    """Return the first wave of a nested search of the default space."""
    study = material.study
    search = study.search or Search(trials=TRIALS, pruner="none", space=read_space(None)[1])
    schedule = study.train.model_copy(update={"max_epochs": epochs, "patience": epochs})
    study = study.model_copy(update={"search": search, "train": schedule})
    folds = partition.make(material.cohort.images, study.protocol, n_inner=search.inner_folds)
    return rehearsal_wave(Planned(material.folder, study, material.cohort, None, folds, [], [], []))


def sample_trials(wave: Sequence[TrialPlan], per_arm: int) -> list[TrialPlan]:
    """Return some trials of every arm, spread evenly over the wave."""
    sample = []
    for arm in dict.fromkeys(asked.target.arm for asked in wave):
        of_arm = [asked for asked in wave if asked.target.arm == arm]
        sample += of_arm[:: max(1, len(of_arm) // per_arm)][:per_arm]
    return sample


def _seconds(wave: Sequence[TrialPlan], workspace: Workspace, executor: Executor) -> float:
    began = time.perf_counter()
    train_wave(wave, replace(workspace, executor=executor))
    return time.perf_counter() - began
