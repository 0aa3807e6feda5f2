"""Signs of life of the processes that share a search: each counts up a number of its own in the storage while it lives.

Optuna's own heartbeat works with `Study.optimize` on databases alone; a search asks for waves, on any storage. No clock
of one machine is compared with another's: a process is given up when its number has not moved for a while as seen from
here, or at once when it ran on this machine and is gone.
"""

import os
import platform
import threading
import time
import uuid
from pathlib import Path
from typing import Self

from optuna.storages import BaseStorage

BEAT = 10.0
"""Seconds between two beats."""
GRACE = 90.0
"""Seconds without a beat after which a process is given up."""
PREFIX = "mmbc:worker:"


class Heartbeat:
    """The sign of life of this process, and how it sees those of others; use it as a context manager around the work.

    Args:
        storage: the search's.
        anchor: id of the Optuna study that carries the numbers of all processes of a search.
        beat: seconds between two beats.
        grace: seconds without a beat after which another process is given up.
    """

    def __init__(self, storage: BaseStorage, anchor: int, *, beat: float = BEAT, grace: float = GRACE) -> None:
        self.name = f"{_machine()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._storage, self._anchor = storage, anchor
        self._beat, self._grace = beat, grace
        self._seen: dict[str, tuple[int, float]] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._count = 0

    def __enter__(self) -> Self:
        self._tick()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    @property
    def short(self) -> str:
        """The last part of the name, which tells processes apart."""
        return self.name.rpartition(":")[2]

    def _tick(self) -> None:
        self._count += 1
        self._storage.set_study_system_attr(self._anchor, PREFIX + self.name, self._count)

    def _live(self) -> None:
        while not self._stopping.wait(self._beat):
            try:
                self._tick()
            except Exception:  # a storage that cannot be reached for a moment; the work tells if it stays away
                continue

    def is_dead(self, name: str | None) -> bool:
        """Whether another process has ended before its trials; one without a name died before it had one."""
        if name == self.name:
            return False
        machine, _, rest = (name or "").partition(":")
        if machine == _machine() and not _runs(int(rest.partition(":")[0])):
            return True
        beats = self._storage.get_study_system_attrs(self._anchor).get(PREFIX + str(name), 0)
        now = time.monotonic()
        before, since = self._seen.get(str(name), (-1, now))
        if beats != before:
            self._seen[str(name)] = (beats, now)
            return False
        return now - since > self._grace


def _machine() -> str:
    """Return a name of this machine, since its start, or of this container: process numbers mean something in it."""
    parts = [platform.node()]
    for fact in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        path = Path(fact)
        if path.is_symlink():
            parts.append(str(path.readlink()))
        elif path.exists():
            parts.append(path.read_text(encoding="ascii").strip())
    return uuid.uuid5(uuid.NAMESPACE_OID, "|".join(parts)).hex[:12]


def _runs(number: int) -> bool:
    """Whether a process of this number runs on this machine."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
