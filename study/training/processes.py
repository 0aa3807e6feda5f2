"""Several processes, each of which trains a share of the cells alone, for GPUs: process i on GPU i modulo their number.

On processors cells are shared out in another way, see `study.training.crew`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from study.design.cells import Cell
from study.records.progress import Observer
from study.training.worker_pool import Event, WorkerPool, answering
from study.training.workspace import Workspace


class Reporter(Observer):
    """An observer in a worker that passes on what its parent needs."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection


def _passed_on(method: str) -> Callable[..., None]:
    def tell(self: Reporter, *arguments: Any) -> None:
        self.connection.send((Event(method, arguments), None))

    return tell


for _method in ("preparing", "begun", "restored", "epoch_ended", "finished", "dropped"):
    setattr(Reporter, _method, _passed_on(_method))


def deal(cells: Sequence[Cell], n: int) -> list[list[Cell]]:
    """Divide cells into at most n shares of about equal work: cells with images and without are dealt separately."""
    ordered = sorted(cells, key=lambda cell: not cell.config.uses_images)
    return [share for start in range(n) if (share := list(ordered[start::n]))]


def execute_apart(
    execute: Callable[..., dict[str, float]],
    cells: Sequence[Cell],
    workspace: Workspace,
    observer: Observer,
    pool: WorkerPool,
) -> dict[str, float]:
    """Have `study.training.lockstep.execute` train cells in `pool.jobs` processes.

    Raises:
        MmbcError: a process ended, or its training did, with an error; finished cells are kept.
    """
    alone = replace(workspace, pool=None)
    shares = deal(cells, pool.jobs)
    workers = pool.take(len(shares))
    for number, (worker, share) in enumerate(zip(workers, shares, strict=True)):
        worker.ask("execute", (execute, share, alone, number))
    seconds: dict[str, float] = {}
    while any(worker.asked for worker in workers):
        for worker in answering(workers):
            answer = worker.answer()
            if isinstance(answer, Event):
                getattr(observer, answer.method)(*answer.arguments)
            else:
                seconds = {kind: seconds.get(kind, 0.0) + took / len(workers) for kind, took in answer.items()}
    return seconds
