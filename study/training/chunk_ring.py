"""Ring of files through which the features of chunks pass between processes.

They lie in the cache folder and are mapped into memory, since `/dev/shm` has only 64 MB in many containers.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from mmbc.model.backbone import Tap

SLOTS = 3
"""Chunks whose features have room at the same time."""


class ChunkRing:
    """Files for the features of some chunks; those that a killed run has left are removed when the next ring is made.

    Args:
        cache: folder in whose subfolder `ring` they lie.
        n_rows: images that a chunk has at most.
        shapes: tap -> shape of one image's features, see `Stream.shapes`.

    Attributes:
        files: for each slot, tap -> `.npy` file (n_rows, *shape) of float32.

    Raises:
        OSError: the disk has no room.
    """

    def __init__(self, cache: Path, n_rows: int, shapes: Mapping[Tap, tuple[int, ...]]) -> None:
        place = cache / "ring"
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(place / ".lock"):
            for left in place.glob("of-*"):
                with suppress(Timeout, OSError), FileLock(left / ".lock", timeout=0):
                    shutil.rmtree(left, ignore_errors=True)
            self.folder = Path(tempfile.mkdtemp(prefix="of-", dir=place))
            self._lock = FileLock(self.folder / ".lock")
            self._lock.acquire()
        self.files = [{tap: self.folder / f"{slot}-{n}.npy" for n, tap in enumerate(shapes)} for slot in range(SLOTS)]
        try:
            for files in self.files:
                for tap, file in files.items():
                    _create(file, (n_rows, *shapes[tap]))
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        """Delete the files."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()


def _create(file: Path, shape: tuple[int, ...]) -> None:
    """Create a file with its room on the disk: a map of a file without ends its process where the disk is full."""
    np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with file.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
