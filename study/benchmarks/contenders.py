"""The contenders of the training contest, each timed in a fresh process: see `study.benchmarks.contest`."""

import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mmbc.data.cohort import Cohort
from mmbc.data.images.facts import read_images
from mmbc.data.images.store import ImageStore, open_store
from mmbc.data.tables import encoding
from mmbc.threads import available_cores
from study.benchmarks.fresh_process import in_fresh_process, peak_mib
from study.benchmarks.loops import careful, naive
from study.benchmarks.lower_bound import lower_bound
from study.design.cells import Cell
from study.design.request import Executor
from study.design.study_file import StudyFile
from study.records.progress import FitProgress, Observer
from study.training.lockstep import execute
from study.training.worker_pool import WorkerPool
from study.training.workspace import Workspace

DEFAULT = ("naive", "careful", "sequential", "lockstep")
KNOWN = (*DEFAULT, "repeat", "tenfold")
"""Names of contenders: the four loops, and lockstep with a second repeat and with ten times the cohort."""


@dataclass(frozen=True)
class Task:
    """What one contender is given.

    Attributes:
        study: settings, with the epochs of the benchmark.
        cohort: rows, replicated if asked for.
        cells: the cells to train.
        paths: the files that are decoded, each once.
        replicate: how often they repeat in the cohort.
        folder: where it may write.
        jobs: processes that lockstep shares its work over; 0 for as many as pay.
    """

    study: StudyFile
    cohort: Cohort
    cells: list[Cell]
    paths: list[Path]
    replicate: int
    folder: Path
    jobs: int = 0


@dataclass(frozen=True)
class Timing:
    """Time and memory of one contender.

    Attributes:
        total: seconds from the first file to the last prediction.
        once: seconds of what is done once for the study, however many cells it has.
        cells: seconds of each cell, by name.
        own: of them, the seconds of the cell's own work.
        parts: seconds by kind of work, the mean over its processes.
        peak_mib: memory of its process and of its workers; pages that they share count in each.
    """

    total: float
    once: float = 0.0
    cells: dict[str, float] = field(default_factory=dict)
    own: dict[str, float] = field(default_factory=dict)
    parts: dict[str, float] = field(default_factory=dict)
    peak_mib: float = 0.0


def timing_of(name: str, task: Task) -> Timing:
    """Time a contender, or the lower bound, in a fresh process.

    Raises:
        StudyError: it ended with an error.
    """
    with tempfile.TemporaryDirectory(dir=task.folder) as folder:
        return in_fresh_process(name, _contend, name, replace(task, folder=Path(folder)))


def bound_of(task: Task) -> Timing:
    """Return the lower bound on all cores: pure compute in as many processes at once, and no waiting between them.

    Raises:
        StudyError: a process ended with an error.
    """
    n = available_cores() if task.study.run.device == "cpu" else 1
    with ThreadPoolExecutor(n) as threads:
        timings = list(threads.map(lambda _: timing_of("lower_bound", task), range(n)))
    parts = {part: sum(timing.parts[part] for timing in timings) / n**2 for part in timings[0].parts}
    return Timing(sum(parts.values()), parts=parts)


def _contend(name: str, task: Task) -> Timing:
    if name in ("naive", "careful"):
        timing = _loop_timing(name, task)
    elif name == "lower_bound":
        n_tabular = encoding.fit(task.cohort.images, task.cohort.features).n_outputs
        parts = lower_bound(task.cells, len(task.cohort.images), n_tabular)
        timing = Timing(sum(parts.values()), parts=parts)
    else:
        timing = _executor_timing("sequential" if name == "sequential" else "lockstep", task)
    return replace(timing, peak_mib=timing.peak_mib + peak_mib())


def _loop_timing(name: str, task: Task) -> Timing:
    began = time.perf_counter()
    once, cells = (naive if name == "naive" else careful)(task.cells, task.cohort)
    return Timing(time.perf_counter() - began, once, cells)


def _executor_timing(executor: Executor, task: Task) -> Timing:
    """Time one of this project's executors from cold: files decoded, cells trained."""
    began = time.perf_counter()
    facts = read_images(task.paths, cache=task.folder)
    store = open_store(task.paths, facts, task.study.data, cache=task.folder)
    store = _replicated_store(store, task.replicate, task.folder)
    decoding = time.perf_counter() - began
    stopwatch = _Stopwatch()
    place = task.folder / "study"
    with WorkerPool(task.jobs) as pool:
        workspace = Workspace(task.cohort, store, place, task.folder, checkpoint_every=0, executor=executor, pool=pool)
        seconds = execute(task.cells, workspace, observer=stopwatch)
        total = time.perf_counter() - began
        n_workers = pool.n_workers
    parts = {"decode": decoding, **seconds, "waiting": total - decoding - sum(seconds.values())}
    workers_mib = n_workers * peak_mib(of_children=True)
    return Timing(total, decoding + stopwatch.clean, stopwatch.cells, stopwatch.own, parts, workers_mib)


class _Stopwatch(Observer):
    """Seconds of the features that are kept, of each cell, and of its own work."""

    def __init__(self) -> None:
        self.mark = time.perf_counter()
        self.clean = 0.0
        self.cells: dict[str, float] = {}
        self.own: dict[str, float] = {}

    def preparing(self, what: str, done: int, total: int) -> None:
        if done >= total:
            self.clean += self._lap()

    def begun(self, names: Sequence[str]) -> None:
        self._lap()

    def epoch_ended(self, progress: FitProgress) -> None:
        self.own[progress.name] = self.own.get(progress.name, 0.0) + progress.latest["seconds"]

    def finished(self, progress: FitProgress) -> None:
        self.cells[progress.name] = self._lap()

    def _lap(self) -> float:
        before, self.mark = self.mark, time.perf_counter()
        return self.mark - before


def _replicated_store(store: ImageStore, n: int, folder: Path) -> ImageStore:
    """Return the store n times over, on disk like any other."""
    if n == 1:
        return store
    shape = (n * len(store.pixels), *store.pixels.shape[1:])
    pixels = np.memmap(folder / "replicated.u8", dtype=np.uint8, mode="w+", shape=shape)
    for start in range(0, shape[0], len(store.pixels)):
        pixels[start : start + len(store.pixels)] = store.pixels
    pixels.flush()
    pixels = np.memmap(folder / "replicated.u8", dtype=np.uint8, mode="r", shape=shape)
    return ImageStore(pixels, store.digest, store.pool)
