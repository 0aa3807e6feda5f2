"""Fits in lockstep over several workers: each trains a share of them, and all compute the trunk's batches.

This process only schedules. A worker that can train on the next chunk does so; one that cannot computes the trunk batch
that is needed soonest, of this epoch or, ahead, of the next, while there is room for its chunk. So uneven shares even
out, and nobody waits for long but at an epoch's end. Features pass between processes in memory-mapped files.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np

from mmbc.model.backbone import Backbone, Tap
from mmbc.training.stream import TrunkTask
from study.design.cells import Cell
from study.records.progress import FitProgress, Observer
from study.training.chunk_ring import SLOTS, ChunkRing
from study.training.fit_share import EpochEnd, FitShare, train_rows
from study.training.process_number import cost
from study.training.stream_groups import image_taps, name_of_pass
from study.training.worker import serve_copy
from study.training.worker_pool import WorkerPool, WorkerProcess, answering, can_copy
from study.training.workspace import Workspace

T = TypeVar("T")


@dataclass(eq=False)
class _Chunk:
    """A chunk of an epoch, from its first trunk batch until every worker has trained on it.

    Attributes:
        rows: cohort row numbers (n,).
        waiting: batches that nobody computes yet.
        n_missing: batches that are not there yet.
        start: position of the next batch.
        slot: of the ring; None before the first batch.
        readers: how many workers have yet to train on it.
    """

    rows: np.ndarray
    waiting: deque[np.ndarray]
    n_missing: int
    start: int = 0
    slot: int | None = None
    readers: int = 0


@dataclass(eq=False)
class _Pass:
    """An epoch's chunks in order, tapped for some fits."""

    epoch: int
    taps: list[Tap]
    chunks: list[_Chunk]


@dataclass(eq=False)
class _Job:
    """A question for one worker, and the chunk that it fills or trains on."""

    method: str
    arguments: tuple[Any, ...]
    chunk: _Chunk | None = None


class Crew:
    """Workers at work on cells that share a stream; use it as a context manager.

    Args:
        cells: that train together.
        backbone: their trunk; None without images.
        workspace: on what they are trained, and where their records go.
        pool: where workers come from.
        n_workers: how many.
        observer: told about the work.

    Raises:
        WorkerDiedError: in any method, one has ended.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        backbone: Backbone | None,
        workspace: Workspace,
        pool: WorkerPool,
        n_workers: int,
        observer: Observer,
    ) -> None:
        self.cells = {cell.name: cell for cell in cells}
        self.pool, self.observer = pool, observer
        self.workspace = replace(workspace, pool=None)
        self.share = FitShare(cells[0], backbone, self.workspace)
        """Trains nothing: it knows the stream's plan, and has features prepared."""
        self.rows = {cell.name: train_rows(cell, workspace.cohort.images) for cell in cells}
        self.workers = pool.take(n_workers, serve_copy if can_copy(cells[0].config.run.threads) else None)
        dealt = zip(self.workers, shares(cells, n_workers), strict=True)
        self.owners = {cell.name: worker for worker, share in dealt for cell in share}
        self.jobs: dict[WorkerProcess, deque[_Job]] = {worker: deque() for worker in self.workers}
        self.answers: dict[WorkerProcess, Any] = {}
        self.tasks: deque[TrunkTask] = deque()
        self.passes: list[_Pass] = []
        self.ring: ChunkRing | None = None
        self.free = list(range(SLOTS))
        self.passed = self.total = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None or issubclass(kind, Exception):
                with suppress(Exception):  # of a batch that nobody needs any more, or of a worker that died
                    self._finish_batches()
        finally:
            if any(worker.asked for worker in self.workers):
                self.pool.close(kill=True)
            if self.ring is not None:
                self.ring.remove()

    def begin(self) -> dict[str, int]:
        """Begin all fits, or continue them from their checkpoints; return name -> epochs that are finished."""
        cells, stream = list(self.cells.values()), self.share.stream
        self._ask("open", dict.fromkeys(self.workers, (cells[0], self.workspace)))
        self.share.prepare(cells, self._fill)
        if stream.computes:
            self.ring = ChunkRing(self.workspace.cache, stream.run.chunk_size, stream.shapes(image_taps(cells)))
        owned = self._by_owner(self.cells)
        answers = self._ask("begin", {worker: ([self.cells[name] for name in own],) for worker, own in owned.items()})
        return self._in_order(answers)

    def train(self, epoch: int, live: Mapping[str, int]) -> list[EpochEnd]:
        """Train the fits that have finished `epoch` epochs for one more, and return how they ended it, in order.

        Args:
            epoch: 0, 1, ...
            live: all fits in progress: name -> epochs that are finished.
        """
        names = [name for name, at in live.items() if at == epoch]
        current = self._pass(epoch, names)
        following = [name for name in names if self.cells[name].config.train.max_epochs > epoch + 1]
        following += [name for name, at in live.items() if at == epoch + 1]
        if following and self.share.stream.computes:
            self.passes.append(self._plan(epoch + 1, following))
        owned = self._by_owner(names)
        self.passed, self.total = 0, self.share.stream.n_rows
        for chunk in current.chunks:
            chunk.readers = len(owned)
        for worker, own in owned.items():
            self.jobs[worker] += [_Job("consume", (own, epoch, chunk.rows), chunk) for chunk in current.chunks]
        answers = self._ask("end_epoch", {worker: (own,) for worker, own in owned.items()})
        self.passes.remove(current)
        by_name = {end.snapshot.name: end for ended in answers for end in ended}
        return [by_name[name] for name in names]

    def settle(self, names: Sequence[str], reasons: Mapping[str, str]) -> dict[str, FitProgress | None]:
        """See `FitShare.settle`."""
        owned = self._by_owner(names)
        return self._in_order(self._ask("settle", {worker: (own, reasons) for worker, own in owned.items()}))

    def seconds(self) -> dict[str, float]:
        """Return the seconds by kind of work, the mean over the workers."""
        answers = self._ask("seconds", dict.fromkeys(self.workers, ()))
        return {kind: sum(one[kind] for one in answers) / len(answers) for kind in answers[0]}

    def _by_owner(self, names: Iterable[str]) -> dict[WorkerProcess, list[str]]:
        """Return the share of every worker that has one."""
        owned: dict[WorkerProcess, list[str]] = {}
        for name in names:
            owned.setdefault(self.owners[name], []).append(name)
        return owned

    def _in_order(self, answers: Sequence[Mapping[str, T]]) -> dict[str, T]:
        """Join what the workers say of their fits, in the order of the cells."""
        joined = {name: value for answer in answers for name, value in answer.items()}
        return {name: joined[name] for name in self.cells if name in joined}

    def _pass(self, epoch: int, names: Sequence[str]) -> _Pass:
        """Return the pass of an epoch: what was begun ahead, if it was this one."""
        if self.passes and self.passes[0].epoch != epoch:  # every fit that it was for has stopped
            self._finish_batches()
            self.free += [chunk.slot for chunk in self.passes.pop().chunks if chunk.slot is not None]
        if not self.passes:
            self.passes.append(self._plan(epoch, names))
        return self.passes[0]

    def _plan(self, epoch: int, names: Sequence[str]) -> _Pass:
        stream = self.share.stream
        wanted = np.zeros(stream.n_rows, dtype=bool)
        for name in names:
            wanted[self.rows[name]] = True
        chunks = []
        for batches in stream.plan(epoch, wanted):
            waiting = deque(batches if stream.computes else ())
            chunks.append(_Chunk(np.concatenate(batches), waiting, len(waiting)))
        return _Pass(epoch, image_taps([self.cells[name] for name in names]), chunks)

    def _ask(self, method: str, arguments: Mapping[WorkerProcess, tuple[Any, ...]]) -> list[Any]:
        """Ask some workers, after what else they have to do, and return their answers in order."""
        self.answers.clear()
        for worker, own in arguments.items():
            self.jobs[worker].append(_Job(method, own))
        self._work(lambda: len(self.answers) == len(arguments))
        return [self.answers[worker] for worker in arguments]

    def _fill(self, tasks: Sequence[TrunkTask]) -> None:
        """Have the trunk batches of a pass that is kept computed."""
        self.tasks.extend(tasks)
        self.passed, self.total = 0, sum(len(task.rows) for task in tasks)
        self._work(lambda: self.passed == self.total)

    def _finish_batches(self) -> None:
        """Wait for what workers are at work on; nothing else is begun."""
        while any(worker.asked for worker in self.workers):
            self._take_answers()

    def _work(self, is_done: Callable[[], bool]) -> None:
        """Keep every worker at work until something is done."""
        while not is_done():
            for worker in self.workers:
                if worker.asked is None and (job := self._next_job(worker)) is not None:
                    worker.ask(job.method, job.arguments, job)
            self._take_answers()

    def _next_job(self, worker: WorkerProcess) -> _Job | None:
        """Return what a worker does next: its own work if it can, else a trunk batch, else nothing."""
        own = self.jobs[worker]
        if own and (own[0].chunk is None or not own[0].chunk.n_missing):
            job = own.popleft()
            if job.chunk is not None:
                job.arguments += (self._files(self.passes[0], job.chunk),)
            return job
        if self.tasks:
            return _Job("fill", (self.tasks.popleft(),))
        for one in self.passes:
            for chunk in one.chunks:
                if chunk.waiting:
                    return self._batch(one, chunk)
        return None

    def _batch(self, one: _Pass, chunk: _Chunk) -> _Job | None:
        """Return the next batch of a chunk; None while there is no room for it."""
        if chunk.slot is None:
            if not self.free:
                return None
            chunk.slot = self.free.pop()
        rows, start = chunk.waiting.popleft(), chunk.start
        chunk.start += len(rows)
        return _Job("fill", (TrunkTask(rows, one.epoch, self._files(one, chunk), start),), chunk)

    def _files(self, one: _Pass, chunk: _Chunk) -> dict[Tap, Path]:
        """Return tap -> file of the slot that a chunk lies in; empty where nothing is computed."""
        if self.ring is None or chunk.slot is None:
            return {}
        return {tap: self.ring.files[chunk.slot][tap] for tap in one.taps}

    def _take_answers(self) -> None:
        """Wait for answers of workers, and note what they mean."""
        for worker in answering(self.workers):
            job: _Job = worker.asked
            answer = worker.answer()
            if job.method == "consume" and job.chunk is not None:
                self._consumed(job.chunk)
            elif job.method != "fill":
                self.answers[worker] = answer
            elif job.chunk is not None:
                job.chunk.n_missing -= 1
            else:
                self.passed += len(job.arguments[0].rows)
                self.observer.preparing(name_of_pass(job.arguments[0].epoch), self.passed, self.total)

    def _consumed(self, chunk: _Chunk) -> None:
        """Note that a worker has trained on a chunk; after the last one its room is free."""
        chunk.readers -= 1
        if not chunk.readers:
            self.free += [chunk.slot] if chunk.slot is not None else []
            self.passed += len(chunk.rows)
            self.observer.advanced(self.passes[0].epoch, self.passed, self.total)


def shares(cells: Sequence[Cell], n: int) -> list[list[Cell]]:
    """Return n shares of about equal cost: the most expensive cells first, each to whom has the least to do."""
    dealt: list[list[Cell]] = [[] for _ in range(n)]
    for cell in sorted(cells, key=cost, reverse=True):
        min(dealt, key=lambda share: sum(map(cost, share))).append(cell)
    return dealt
