"""Independent pieces of work shared with a forked copy of this process, where forking is cheap and safe."""

import multiprocessing
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from mmbc.threads import available_cores

T = TypeVar("T")
FEWEST = 6
"""With fewer pieces a copy of the process is not worth while."""
PATIENCE = 60.0
"""Seconds to wait for the copy when all other pieces are done."""


def share(pieces: Sequence[Callable[[], None]], meanwhile: Callable[[], T]) -> T:
    """Do every piece and `meanwhile`, and return what that gives.

    A copy of this process begins with the first piece, this one with `meanwhile` and then the last piece, until they
    meet. What the copy does not finish, for whatever reason, is done here, so an error is raised where it can be read.

    Args:
        pieces: in any order; each leaves its result in files, and doing one twice does no harm.
        meanwhile: what this process does first.
    """
    done = None
    if len(pieces) >= FEWEST and _may_fork():
        context = multiprocessing.get_context("fork")
        begun, done = (context.Array("b", len(pieces), lock=False) for _ in range(2))
        copy = context.Process(target=_help, args=(pieces, begun, done), daemon=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads of libraries, which the copy does not use
            copy.start()
    try:
        result = meanwhile()
        if done is not None:
            _work(pieces, begun, done, range(len(pieces) - 1, -1, -1))
            copy.join(PATIENCE)
    finally:
        if done is not None:
            copy.kill()
            copy.join()
    for place, piece in enumerate(pieces):
        if done is None or not done[place]:
            piece()
    return result


def _may_fork() -> bool:
    """Whether another core is there, and no thread could hold a lock that the copy would wait for."""
    return (
        sys.platform == "linux"
        and available_cores() > 1
        and threading.active_count() == 1
        and not multiprocessing.current_process().daemon
    )


def _help(pieces: Sequence[Callable[[], None]], begun: "list[int]", done: "list[int]") -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process is interrupted too, and ends this one
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with suppress(Exception):
        _work(pieces, begun, done, range(len(pieces)))


def _work(pieces: Sequence[Callable[[], None]], begun: "list[int]", done: "list[int]", order: range) -> None:
    for place in order:
        if not begun[place]:
            begun[place] = 1
            pieces[place]()
            done[place] = 1
