"""Several local processes, each of which trains a share of the cells and reports back.

Threads stay as configured and every cell owns its random state, so the results do not depend on the number of
processes. On CUDA process i uses GPU i modulo their number.
"""

import multiprocessing
import queue
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from typing import Any

from mmbc.errors import MmbcError, StudyError
from mmbc.training.device import choose_gpu
from study.design.cells import Cell
from study.records.progress import FitProgress, Observer
from study.training.lockstep import execute
from study.training.workspace import Workspace

WAIT = 1.0
"""Seconds between two looks at whether the processes are alive."""


@dataclass(frozen=True)
class _Message:
    """A call of an observer's method, or the error a process ended with."""

    method: str
    arguments: tuple[Any, ...]


class _Reporter(Observer):
    """An observer that passes everything on to the parent process."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel

    def preparing(self, what: str, done: int, total: int) -> None:
        if done >= total:
            self.channel.put(_Message("preparing", (what, done, total)))

    def begun(self, names: Sequence[str]) -> None:
        self.channel.put(_Message("begun", (list(names),)))

    def restored(self, name: str, epoch: int) -> None:
        self.channel.put(_Message("restored", (name, epoch)))

    def epoch_ended(self, progress: FitProgress) -> None:
        self.channel.put(_Message("epoch_ended", (progress,)))

    def finished(self, progress: FitProgress) -> None:
        self.channel.put(_Message("finished", (progress,)))


def deal(cells: Sequence[Cell], n: int) -> list[list[Cell]]:
    """Divide cells into at most n shares of about equal work: cells with images and without are dealt separately."""
    ordered = sorted(cells, key=lambda cell: not cell.config.uses_images)
    shares = [list(ordered[start::n]) for start in range(n)]
    return [share for share in shares if share]


def execute_in_processes(cells: Sequence[Cell], workspace: Workspace, observer: Observer, *, n_processes: int) -> None:
    """Train cells in several processes, which get the rows as they are and map the stored pixels; see `execute`.

    Raises:
        StudyError: a process ended with an error; finished cells are kept.
    """
    context = multiprocessing.get_context("spawn")
    channel = context.Queue()
    processes = [
        context.Process(target=_work, args=(share, workspace, number, channel), daemon=True)
        for number, share in enumerate(deal(cells, n_processes))
    ]
    try:
        with _interrupt_held():
            for process in processes:
                process.start()
        _listen(processes, channel, observer)
    finally:
        for process in [process for process in processes if process.pid is not None]:
            if process.is_alive():
                process.terminate()
            process.join()


@contextmanager
def _interrupt_held() -> Iterator[None]:
    """Hold Ctrl-C back: processes inherit that and leave it to this one, which gets it when the block ends."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _listen(processes: list[SpawnProcess], channel: Any, observer: Observer) -> None:
    """Pass messages on until every process has ended."""
    while True:
        try:
            message = channel.get(timeout=WAIT)
        except queue.Empty:
            if all(process.exitcode is not None for process in processes):
                break
            dead = [process.exitcode for process in processes if process.exitcode not in (None, 0)]
            if dead:
                raise StudyError(
                    f"a process ended with exit code {dead[0]} (out of memory?); finished cells are kept, run the same "
                    "command again, with fewer --jobs"
                ) from None
            continue
        if message.method == "error":
            raise StudyError(message.arguments[0])
        getattr(observer, message.method)(*message.arguments)
    failed = [process.exitcode for process in processes if process.exitcode]
    if failed:
        raise StudyError(f"a process ended with exit code {failed[0]}; finished cells are kept, run the command again")


def _work(cells: list[Cell], workspace: Workspace, number: int, channel: Any) -> None:
    """Train cells in a process of its own."""
    try:
        choose_gpu(cells[0].config.run.device, number)
        execute(cells, workspace, observer=_Reporter(channel))
    except MmbcError as error:
        channel.put(_Message("error", (str(error),)))
