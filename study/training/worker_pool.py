"""Worker processes: started when they are needed, asked one thing at a time, gone when their parent is.

On Linux a worker that computes with one thread is a copy of its parent, which has imported and read everything. Any
other is `python -m study.training.worker`, started anew: OpenMP's threads and a GPU do not survive a copy. Either way
scripts without a `__main__` guard and notebooks can train. Parent and worker talk through a pair of sockets, one end of
which the worker inherits: where the other side is gone, both see the end of the file.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mmbc.errors import StudyError

END = 10.0
"""Seconds that a worker has to end by itself."""


@dataclass(frozen=True)
class Event:
    """A call of an observer's method, sent before the answer."""

    method: str
    arguments: tuple[Any, ...]


Serve = Callable[[Connection, Sequence[Connection]], None]
"""Serves a parent at the other end of a connection, after it has closed the parent's own ends."""


class WorkerDiedError(StudyError):
    """A worker that ended before it had answered."""


class _Copy:
    """A worker that is a copy of this process."""

    def __init__(self, serve: Serve, connection: Connection, others: Sequence[Connection]) -> None:
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=serve, args=(connection, others), daemon=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads of screens and trackers: workers use neither
            self._process.start()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def wait(self, timeout: float | None = None) -> None:
        self._process.join(timeout)

    def kill(self) -> None:
        self._process.kill()


def can_copy(n_threads: int) -> bool:
    """Whether workers that compute with so many threads can be copies of this process."""
    return sys.platform == "linux" and n_threads == 1 and not multiprocessing.current_process().daemon


def _started(connection: Connection) -> "subprocess.Popen[bytes]":
    """Start a worker anew at the other end of a connection."""
    paths = [str(Path(path).absolute()) for path in sys.path]  # '' is the working directory
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    end = connection.fileno()
    command = [sys.executable, "-P", "-m", "study.training.worker", str(end)]
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, pass_fds=[end])


class WorkerProcess:
    """A worker as its parent sees it: `ask` it something, and take the `answer` before the next question.

    Args:
        serve: what a copy of this process does; None to start a worker anew.
        others: connections to other workers.

    Attributes:
        asked: what it is at work on; None while it is idle.
    """

    def __init__(self, serve: Serve | None, others: Sequence[Connection]) -> None:
        self.connection, theirs = Pipe()
        self.process: subprocess.Popen[bytes] | _Copy
        with theirs, _signals_held():
            if serve is None:
                self.process = _started(theirs)
            else:
                self.process = _Copy(serve, theirs, [*others, self.connection])
        self.asked: Any = None

    def ask(self, method: str, arguments: Sequence[Any], asked: Any = True) -> None:
        """Have it call a method of `study.training.worker.Worker`; `asked` is remembered until it answers."""
        self.asked = asked
        with suppress(OSError):  # it is gone, which the answer tells
            self.connection.send((method, tuple(arguments)))

    def answer(self) -> Any:
        """Return the answer, or an event before it; or raise the error that the call ended with.

        Raises:
            WorkerDiedError: there will be none.
        """
        try:
            value, error = self.connection.recv()
        except (EOFError, OSError):
            raise WorkerDiedError(self._death()) from None
        if isinstance(value, Event):
            return value
        self.asked = None
        if error is not None:
            raise error
        return value

    def _death(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(END)
        code = self.process.returncode
        how = f"exit code {code}" if code is None or code >= 0 else signal.Signals(-code).name
        reason = "; the memory may have run out" if code == -signal.SIGKILL else ""
        return (
            f"a worker process ended unexpectedly ({how}{reason}). Finished models are kept, and the others continue"
            " from their last checkpoint: run the same command again, with fewer processes (--jobs) if memory is short"
        )

    def end(self, *, kill: bool) -> None:
        """End it, at once or after what it is at work on."""
        self.connection.close()
        if not kill:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(END)
        self.process.kill()
        self.process.wait()


def answering(workers: Iterable[WorkerProcess]) -> list[WorkerProcess]:
    """Wait until some of the workers that were asked have answered or died, and return them."""
    asked: dict[Any, WorkerProcess] = {worker.connection: worker for worker in workers if worker.asked is not None}
    return [asked[connection] for connection in wait(list(asked))]


class WorkerPool:
    """The workers of one command; use it as a context manager around everything it trains.

    Args:
        jobs: processes that share the work; 0 for as many as pay (`study.training.process_number`).
    """

    def __init__(self, jobs: int = 0) -> None:
        self.jobs = jobs
        self._workers: list[WorkerProcess] = []

    def take(self, n: int, serve: Serve | None = None) -> list[WorkerProcess]:
        """Return n workers; those that are lacking are started anew or, to `serve`, as copies of this process."""
        while len(self._workers) < n:
            self._workers.append(WorkerProcess(serve, [worker.connection for worker in self._workers]))
        return self._workers[:n]

    @property
    def n_workers(self) -> int:
        """Number of workers that run."""
        return len(self._workers)

    def close(self, *, kill: bool = False) -> None:
        """End all workers; later calls start others."""
        workers, self._workers = self._workers, []
        if kill:
            for worker in workers:
                worker.process.kill()
        for worker in workers:
            worker.connection.close()
        for worker in workers:
            worker.end(kill=kill)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(kill=kind is not None)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back: workers inherit that and leave both to their parent, which gets them afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def inherited(descriptor: int) -> Connection:
    """Return the connection to its parent that a worker has inherited."""
    return Connection(descriptor)
