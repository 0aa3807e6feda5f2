"""The training contest: every contender trains the same models to the same schedule; see `study.benchmarks.loops`."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mmbc.data.cohort import Cohort
from mmbc.errors import ConfigError
from mmbc.threads import available_cores
from study.benchmarks.contenders import DEFAULT, KNOWN, Task, Timing, bound_of, timing_of
from study.benchmarks.material import Material
from study.design import partition
from study.design.cells import Cell, plan
from study.design.study_file import StudyFile
from study.records.environment import memory_gib, processor

SLOW = DEFAULT[:-1]
"""Contenders that train some cells of each arm; the time of all of them is scaled from these."""
TENFOLD = 10


@dataclass(frozen=True)
class Rules:
    """How a contest is run.

    Attributes:
        contenders: names of `KNOWN`.
        epochs: that every contender trains.
        replicate: how often the cohort repeats under new patient ids.
        cells_per_arm: cells of an arm that the slow contenders train.
    """

    contenders: Sequence[str] = DEFAULT
    epochs: int = 2
    replicate: int = 1
    cells_per_arm: int = 1

    @classmethod
    def parse(cls, contenders: str, **rules: Any) -> "Rules":
        """Return the rules for names separated by commas.

        Raises:
            ConfigError: a contender that does not exist.
        """
        names = [name.strip() for name in contenders.split(",") if name.strip()]
        for name in names:
            if name not in KNOWN:
                raise ConfigError(f"--contenders {name}: known are {', '.join(KNOWN)}")
        return cls(names, **rules)


def training_contest(material: Material, rules: Rules, said: Callable[[str], None]) -> dict[str, Any]:
    """Run the contenders one after the other.

    Returns:
        Seconds, ratios, memory, shares, and the time of the full study.

    Raises:
        MmbcError: a contender ended with an error.
    """
    task = task_of(material, rules.epochs, rules.replicate)
    slow = replace(task, cells=first_cells(task.cells, rules.cells_per_arm))
    tasks: dict[str, Callable[[], Task]] = {
        "repeat": lambda: task_of(material, rules.epochs, rules.replicate, repeats=2),
        "tenfold": lambda: task_of(material, rules.epochs, TENFOLD * rules.replicate),
        "lockstep": lambda: task,
    }
    timings: dict[str, Timing] = {}
    bounds = []
    for name in rules.contenders:
        around = ("lower_bound", name, "lower_bound") if name == "lockstep" else (name,)
        # a machine's speed drifts within minutes, so the bound is measured on both sides of what it bounds
        for step in around:
            if step == "lower_bound":
                said("measuring the lower bound")
                bounds.append(bound_of(task))
            else:
                said(f"running {step}")
                timings[step] = timing_of(step, tasks[step]() if step in tasks else slow)
    if bounds:
        timings["lower_bound"] = _mean_timing(bounds)
    return _facts(task, material.study, timings, rules.cells_per_arm)


def task_of(material: Material, epochs: int, replicate: int, *, repeats: int = 1) -> Task:
    """Return what is to be trained: the material's arms for so many epochs, on a cohort that is repeated."""
    full = material.study
    schedule = full.train.model_copy(update={"max_epochs": epochs, "patience": epochs})
    protocol = full.protocol.model_copy(update={"repeats": repeats, "seeds": 1})
    study = full.model_copy(update={"train": schedule, "protocol": protocol})
    cohort = replicate_cohort(material.cohort, replicate)
    cells = plan(study, tuple(study.arms), partition.make(cohort.images, protocol).splits)
    return Task(study, cohort, cells, material.paths, replicate, material.folder)


def replicate_cohort(cohort: Cohort, n: int) -> Cohort:
    """Return the cohort n times over, each copy under patient ids of its own: for timing alone."""
    copies = []
    for number in range(n):
        images = cohort.images.copy()
        for column in ("image_id", "patient_id", "case_id"):
            images[column] = images[column] + (f"~{number}" if number else "")
        copies.append(images)
    return replace(cohort, images=pd.concat(copies, ignore_index=True))


def first_cells(cells: Sequence[Cell], per_arm: int) -> list[Cell]:
    """Return the first cells of every arm."""
    by_arm: dict[str, list[Cell]] = {}
    for cell in cells:
        by_arm.setdefault(cell.arm, []).append(cell)
    return [cell for arm_cells in by_arm.values() for cell in arm_cells[:per_arm]]


def _mean_timing(timings: Sequence[Timing]) -> Timing:
    parts = {part: sum(timing.parts[part] for timing in timings) / len(timings) for part in timings[0].parts}
    return replace(timings[0], parts=parts, total=sum(parts.values()))


def scale_seconds(timing: Timing, cells: Sequence[Cell]) -> float:
    """Return the seconds of all cells from those measured: what is done once, and each arm's mean times its cells."""
    total = timing.once
    for arm in dict.fromkeys(cell.arm for cell in cells):
        names = [cell.name for cell in cells if cell.arm == arm]
        measured = [timing.cells[name] for name in names if name in timing.cells]
        total += float(np.mean(measured)) * len(names)
    return total


def _facts(task: Task, full: StudyFile, timings: Mapping[str, Timing], cells_per_arm: int) -> dict[str, Any]:
    slow = [name for name in SLOW if name in timings]
    seconds = {name: scale_seconds(timings[name], task.cells) for name in slow}
    seconds |= {name: timing.total for name, timing in timings.items() if name not in slow}
    looped = [name for name in DEFAULT if name in seconds]
    n_images, epochs = len(task.cohort.images), task.study.train.max_epochs
    runs = full.protocol.repeats * full.protocol.seeds
    n_seen = _n_images_seen(task)
    return {
        "seconds": seconds,
        "ratios": _ratios(seconds),
        "peak_mib": {name: timing.peak_mib for name, timing in timings.items() if name != "lower_bound"},
        "images_per_second": {name: n_seen / seconds[name] for name in looped},
        "lockstep_parts": timings["lockstep"].parts if "lockstep" in timings else {},
        "lower_bound_parts": timings["lower_bound"].parts if "lower_bound" in timings else {},
        "n_images": n_images,
        "n_cells": len(task.cells),
        "epochs": epochs,
        "measured_cells": {name: len(timings[name].cells) for name in slow},
        "cells_per_arm": cells_per_arm,
        "model": {
            **full.model.model_dump(include={"backbone", "fine_tuned_blocks"}),
            "image_size": full.data.image_size,
        },
        "machine": {
            "platform": platform.platform(),
            "processor": processor(),
            "cores": available_cores(),
            "memory_gib": memory_gib(),
            "threads": full.run.threads,
            "device": full.run.device,
        },
        "full_study": {name: seconds[name] * full.train.max_epochs / epochs * runs for name in looped},
        "full_study_of": {"max_epochs": full.train.max_epochs, "runs": runs, "n_images": n_images},
    }


def _ratios(seconds: Mapping[str, float]) -> dict[str, float]:
    if "lockstep" not in seconds:
        return {}
    others = [name for name in (*SLOW, "repeat", "tenfold") if name in seconds]
    ratios = {f"{name}/lockstep": seconds[name] / seconds["lockstep"] for name in others}
    return ratios | {"lockstep/lower_bound": seconds["lockstep"] / seconds["lower_bound"]}


def _n_images_seen(task: Task) -> int:
    """Return how many images all cells with an image branch train on or evaluate."""
    per_patient = task.cohort.images.groupby("patient_id").size()
    epochs = task.study.train.max_epochs
    seen = 0
    for cell in task.cells:
        if cell.config.uses_images:
            n = {part: int(per_patient.loc[list(ids)].sum()) for part, ids in cell.split.parts().items()}
            seen += epochs * (n["train"] + n["validation"]) + n["test"]
    return seen
