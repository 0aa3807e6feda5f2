"""A worker process: does what its parent asks, one thing at a time, until the parent is gone."""

import os
import pickle
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch

from mmbc.model.backbone import Tap
from mmbc.training.device import choose_gpu, configure
from mmbc.training.stream import Chunk, TrunkTask, as_computed
from study.design.cells import Cell
from study.records.progress import FitProgress
from study.training.fit_share import EpochEnd, FitShare
from study.training.processes import Reporter
from study.training.stream_groups import Backbones
from study.training.worker_pool import inherited
from study.training.workspace import Workspace


class Worker:
    """What a worker can be asked; trunks stay with it from one call of `open` to the next."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.backbones = Backbones()
        self.share: FitShare

    def open(self, cell: Cell, workspace: Workspace) -> None:
        """Get ready for the stream of a cell."""
        configure(cell.config.run)
        self.share = FitShare(cell, self.backbones.of([cell]), workspace)

    def fill(self, task: TrunkTask) -> None:
        """Compute a trunk batch."""
        self.share.stream.fill(task)

    def begin(self, cells: Sequence[Cell]) -> dict[str, int]:
        """Begin fits; the clean features are there, unless somebody has cleared the cache meanwhile."""
        return self.share.begin(cells, self._fill_all)

    def _fill_all(self, tasks: Sequence[TrunkTask]) -> None:
        for task in tasks:
            self.fill(task)

    def consume(self, names: Sequence[str], epoch: int, rows: np.ndarray, files: Mapping[Tap, Path]) -> None:
        """Train fits on a chunk that lies in files, see `TrunkTask`; or, without files, in the view bank."""
        if files:
            maps = {tap: np.load(file, mmap_mode="r+")[: len(rows)] for tap, file in files.items()}
            chunk = Chunk(rows, {tap: as_computed(torch.from_numpy(stored)) for tap, stored in maps.items()})
        else:
            chunk = self.share.stream.stored_chunk(rows, epoch, self.share.taps(names))
        self.share.consume(names, chunk)

    def end_epoch(self, names: Sequence[str]) -> list[EpochEnd]:
        """End the epoch of fits."""
        return self.share.end_epoch(names)

    def settle(self, names: Sequence[str], reasons: Mapping[str, str]) -> dict[str, FitProgress | None]:
        """Stop fits, write records and checkpoints."""
        return self.share.settle(names, reasons)

    def execute(
        self, execute: Callable[..., dict[str, float]], cells: Sequence[Cell], workspace: Workspace, number: int
    ) -> dict[str, float]:
        """Train cells in this process alone, on the GPU of this number; see `study.training.processes`."""
        choose_gpu(cells[0].config.run.device, number)
        return execute(cells, workspace, observer=Reporter(self.connection))

    def seconds(self) -> dict[str, float]:
        """Return the seconds of this process by kind of work."""
        return self.share.seconds()


def serve(connection: Connection) -> None:
    """Answer what is asked, with a value or the error it ended with, until the parent closes the connection."""
    worker = Worker(connection)
    with suppress(EOFError, OSError):  # the parent is gone
        while True:
            method, arguments = connection.recv()
            try:
                answer, error = getattr(worker, method)(*arguments), None
            except Exception as raised:
                answer, error = None, _portable(raised)
            connection.send((answer, error))


def serve_copy(connection: Connection, others: Sequence[Connection]) -> None:
    """Serve in a copy of the parent, without the parent's ends of connections, which would hide its end."""
    for other in others:
        other.close()
    _end_with_parent()
    serve(connection)


def _portable(error: Exception) -> Exception:
    """Return an error that can be sent to the parent, with the place in the code where it arose as a note."""
    error.add_note(traceback.format_exc())
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError("".join(traceback.format_exception(error)))
    return error


def _end_with_parent() -> None:
    """End this process when its parent is gone, even in the middle of something."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    _end_with_parent()
    serve(inherited(int(sys.argv[1])))
