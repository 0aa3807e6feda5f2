"""One study with several numbers of processes, and beside a busy neighbour: `study.bench --workers`, `--contention`."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from mmbc.errors import ConfigError
from mmbc.threads import available_cores
from study.benchmarks.contenders import Task, Timing, timing_of
from study.benchmarks.contest import task_of
from study.benchmarks.material import Material
from study.design.request import MOST_PROCESSES
from study.training.crew import shares

Said = Callable[[str], None]
BUSY = "while True: pass"
"""A neighbour that never waits."""
NOT_WORK = ("decode", "waiting")
"""Parts of a run's time that are no work of its processes."""


def parse_numbers(text: str) -> list[int]:
    """Return numbers of processes, ascending.

    Raises:
        ConfigError: anything but whole numbers from 1.
    """
    numbers = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if not all(1 <= number <= MOST_PROCESSES for number in numbers):
        raise ConfigError(f"--workers {text}: write numbers of processes, for example 1,2,4")
    return sorted(set(numbers))


def worker_curve(material: Material, numbers: Sequence[int], epochs: int, replicate: int, said: Said) -> dict[str, Any]:
    """Time one study with several numbers of processes, each from cold.

    Returns:
        Seconds without those of decoding, speed-up over the first number, and the bound: what all work would take if it
        were shared evenly, or the own work of the process that trains most fits, whichever is longer.

    Raises:
        MmbcError: a run ended with an error.
    """
    task = task_of(material, epochs, replicate)
    timings: dict[int, Timing] = {}
    for number in numbers:
        said(f"running with {number} process{'es' if number > 1 else ''}")
        timings[number] = timing_of("lockstep", replace(task, jobs=number))
    least = timings[numbers[0]]
    work = numbers[0] * sum(part for name, part in least.parts.items() if name not in NOT_WORK)
    seconds = {number: _training(timing) for number, timing in timings.items()}
    return {
        **_facts(task),
        "workers": list(numbers),
        "seconds": list(seconds.values()),
        "speed_up": [seconds[numbers[0]] / took for took in seconds.values()],
        "bound": [max(work / number, _largest_share(task, least.own, number)) for number in numbers],
        "peak_mib": [timing.peak_mib for timing in timings.values()],
        "parts": {name: numbers[0] * part for name, part in least.parts.items() if name not in NOT_WORK},
    }


def contention(material: Material, epochs: int, replicate: int, said: Said) -> dict[str, Any]:
    """Time one study alone, beside one busy process, and alone again.

    Returns:
        Seconds of each, and the ratio of the second to the mean of the others.

    Raises:
        MmbcError: a run ended with an error.
    """
    task = task_of(material, epochs, replicate)
    said("running alone")
    before = _training(timing_of("lockstep", task))
    said("running beside a busy process")
    with _busy_neighbour():
        beside = _training(timing_of("lockstep", task))
    said("running alone again")
    after = _training(timing_of("lockstep", task))
    return {
        **_facts(task),
        "alone_seconds": [before, after],
        "beside_seconds": beside,
        "ratio": beside / ((before + after) / 2),
    }


@contextmanager
def _busy_neighbour() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _facts(task: Task) -> dict[str, Any]:
    return {
        "n_cells": len(task.cells),
        "n_images": len(task.cohort.images),
        "epochs": task.study.train.max_epochs,
        "cores": available_cores(),
        "threads": task.study.run.threads,
    }


def _training(timing: Timing) -> float:
    """Return the seconds without those of decoding, which every run shares out over threads."""
    return timing.total - timing.parts["decode"]


def _largest_share(task: Task, own: Mapping[str, float], number: int) -> float:
    """Return the seconds of the fits that one process trains, of the one that has most."""
    return max(sum(own[cell.name] for cell in share) for share in shares(task.cells, number))
