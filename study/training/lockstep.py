"""The training of any list of cells: two loops over one stream of trunk features.

    sequential:  for fit in fits:                      lockstep:  for epoch in ...:
                   for epoch in ...:                                  for chunk in stream(seed, epoch):  # trunk: once
                     for chunk in stream(seed, epoch):                  for fit in live_fits:
                       fit.consume(chunk)                                 fit.consume(chunk)

Both give the same bits; `sequential` is the plain reference, which is lockstep over groups of one. Workers that share
the fits of a lockstep run (`study.training.crew`) give the same bits too.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from mmbc.config import digest
from mmbc.errors import StudyError
from mmbc.model.backbone import Backbone
from mmbc.training.device import computing_with, configure
from mmbc.training.fit import FitDivergedError
from mmbc.training.stream import TrunkTask
from study.design.cells import Cell
from study.records.cell_records import finished
from study.records.progress import FitProgress, FitSnapshot, Observer
from study.training.crew import Crew
from study.training.fit_share import WORK, EpochEnd, FitShare
from study.training.memory import Memory, group_memory
from study.training.process_number import process_number
from study.training.processes import execute_apart
from study.training.stream_groups import Backbones, name_of_pass, stream_groups
from study.training.worker_pool import WorkerDiedError, WorkerPool
from study.training.workspace import Workspace

AfterEpoch = Callable[[int, Sequence[FitSnapshot]], Mapping[str, str] | None]
"""Called with the epoch's number (0, 1, ...) and every fit that ran in it; returns name -> reason of any to stop."""


def execute(
    cells: Sequence[Cell],
    workspace: Workspace,
    *,
    after_epoch: AfterEpoch | None = None,
    observer: Observer | None = None,
    spare_diverged: bool = False,
) -> dict[str, float]:
    """Train cells of any configurations and splits; each leaves its record in `workspace.folder / "cells"`.

    Args:
        cells: what to train.
        workspace: on what, how, by how many processes, and where the records go.
        after_epoch: called after every epoch; may stop fits.
        observer: told about the work.
        spare_diverged: let a fit whose loss is no number any more stop as `diverged`, without a record, instead of
            raising.

    Returns:
        Seconds by kind of work: augmentation, trunk, tails, evaluation (clean features count as trunk); the mean over
        the processes. The rest of the time went into reading, writing and waiting.

    Raises:
        ConfigError: a configuration that cannot be built.
        FitDivergedError: a loss that is no number.
        StudyError: cells that differ in how the process computes (threads, device), or a worker that died.
    """
    seconds = dict.fromkeys(WORK, 0.0)
    if not cells:
        return seconds
    run = cells[0].config.run
    if len({digest(cell.config.run) for cell in cells}) > 1:
        raise StudyError("cells of one run share device, threads, precision and batch sizes; these differ")
    observer = observer or Observer()
    if run.device != "cpu" and workspace.jobs > 1 and after_epoch is None and not spare_diverged:
        assert workspace.pool is not None
        return execute_apart(execute, cells, workspace, observer, workspace.pool)
    backbones = Backbones()
    with computing_with(run.threads):
        configure(run)
        for group in stream_groups(cells, workspace.executor):
            backbone = backbones.of(group)
            memory = _memory(group, workspace, backbone)
            limit = workspace.max_live_fits or memory.n_live
            for start in range(0, len(group), limit):
                wave = _Wave(group[start : start + limit], backbone, workspace, after_epoch, observer, spare_diverged)
                for kind, took in wave.train(memory.n_processes).items():
                    seconds[kind] += took
    return seconds


def _memory(group: Sequence[Cell], workspace: Workspace, backbone: Backbone | None) -> Memory:
    """Return the memory of cells that share a stream; nothing is measured for one cell in one process."""
    if len(group) == 1 and process_number(workspace.jobs, group, len(workspace.cohort.images), sys.maxsize) == 1:
        return Memory(0, 0, 0, 1)
    return group_memory(group, workspace.cohort, backbone, workspace.jobs)


class _Trainer(Protocol):
    """Whoever trains the fits of a wave: this process, or workers."""

    def begin(self) -> dict[str, int]: ...
    def train(self, epoch: int, live: Mapping[str, int]) -> list[EpochEnd]: ...
    def settle(self, names: Sequence[str], reasons: Mapping[str, str]) -> dict[str, FitProgress | None]: ...
    def seconds(self) -> dict[str, float]: ...


class _Alone:
    """This process, which trains all fits of a wave; see `Crew` for what the methods do."""

    def __init__(
        self, cells: Sequence[Cell], backbone: Backbone | None, workspace: Workspace, observer: Observer
    ) -> None:
        self.cells = {cell.name: cell for cell in cells}
        self.images = workspace.cohort.images
        self.share = FitShare(cells[0], backbone, workspace)
        self.observer = observer

    def begin(self) -> dict[str, int]:
        return self.share.begin(list(self.cells.values()), self._fill)

    def _fill(self, tasks: Sequence[TrunkTask]) -> None:
        done, total = 0, sum(len(task.rows) for task in tasks)
        for task in tasks:
            self.share.stream.fill(task)
            done += len(task.rows)
            self.observer.preparing(name_of_pass(task.epoch), done, total)

    def train(self, epoch: int, live: Mapping[str, int]) -> list[EpochEnd]:
        names = [name for name, at in live.items() if at == epoch]
        stream = self.share.stream
        wanted = np.zeros(stream.n_rows, dtype=bool)
        for name in names:
            wanted[self.share.live[name].rows["train"]] = True
        passed = 0
        for chunk in stream.chunks(epoch, wanted, self.share.taps(names)):
            self.share.consume(names, chunk)
            passed += len(chunk.rows)
            self.observer.advanced(epoch, passed, stream.n_rows)
        return self.share.end_epoch(names)

    def settle(self, names: Sequence[str], reasons: Mapping[str, str]) -> dict[str, FitProgress | None]:
        return self.share.settle(names, reasons)

    def seconds(self) -> dict[str, float]:
        return self.share.seconds()


class _Wave:
    """Cells that share a stream and train together, from their first epoch to their records."""

    def __init__(
        self,
        cells: Sequence[Cell],
        backbone: Backbone | None,
        workspace: Workspace,
        after_epoch: AfterEpoch | None,
        observer: Observer,
        spare_diverged: bool,
    ) -> None:
        self.cells = cells
        self.backbone = backbone
        self.workspace = workspace
        self.after_epoch = after_epoch
        self.observer = observer
        self.spare_diverged = spare_diverged

    def train(self, n_processes: int) -> dict[str, float]:
        """Train the cells in this process, or over so many workers; return the seconds by work."""
        pool = self.workspace.pool
        if n_processes == 1 or pool is None:
            return self._run(_Alone(self.cells, self.backbone, self.workspace, self.observer))
        try:
            return self._share_out(pool, n_processes)
        except WorkerDiedError:
            if self.after_epoch is not None:
                raise
        self.observer.noted("A worker process ended unexpectedly; its models continue from their last checkpoint.")
        place = self.workspace.cell_folder
        self.cells = [cell for cell in self.cells if not finished(place(cell.name), cell.key)]
        # it is mostly memory that was short
        return self._share_out(pool, max(1, n_processes // 2)) if self.cells else {}

    def _share_out(self, pool: WorkerPool, n_workers: int) -> dict[str, float]:
        with Crew(self.cells, self.backbone, self.workspace, pool, n_workers, self.observer) as crew:
            return self._run(crew)

    def _run(self, trainer: _Trainer) -> dict[str, float]:
        """Advance every live fit epoch by epoch; a fit that has stopped leaves."""
        self.observer.begun([cell.name for cell in self.cells])
        live = trainer.begin()
        for name, epoch in live.items():
            if epoch:
                self.observer.restored(name, epoch)
        while live:
            # fits that were continued from an older checkpoint catch up first
            epoch = min(live.values())
            ended = trainer.train(epoch, live)
            self._tell(ended)
            reasons = self._reasons(epoch, [end.snapshot for end in ended])
            names = [end.snapshot.name for end in ended]
            live |= dict.fromkeys(names, epoch + 1)
            for name, progress in trainer.settle(names, reasons).items():
                del live[name]
                if progress is None:
                    self.observer.dropped(name)
                else:
                    self.observer.finished(progress)
        return trainer.seconds()

    def _tell(self, ended: Sequence[EpochEnd]) -> None:
        for end in ended:
            if end.progress is not None:
                self.observer.epoch_ended(end.progress)
            elif not self.spare_diverged:
                raise FitDivergedError(end.error)

    def _reasons(self, epoch: int, fits: Sequence[FitSnapshot]) -> Mapping[str, str]:
        """Show the fits of an epoch to whoever looks on; return name -> reason of those to stop."""
        for fit in fits:
            fit.validation_logits.flags.writeable = False  # which is lost between processes
        return (self.after_epoch(epoch, fits) if self.after_epoch is not None else None) or {}
