"""Work in a process of its own, which has its own allocator and its own peak of memory."""

import multiprocessing
import queue
import resource
from collections.abc import Callable
from multiprocessing.queues import Queue
from typing import Any, TypeVar

from mmbc.errors import MmbcError, StudyError

T = TypeVar("T")


def in_fresh_process(name: str, work: Callable[..., T], *arguments: Any) -> T:
    """Return what `work(*arguments)` returns in a newly started interpreter.

    Args:
        name: what the work is called in an error.
        work: a function of a module, so that the other interpreter can import it.
        arguments: what it is given; they are pickled.

    Raises:
        StudyError: the work raised an error of the user's, or its process died.
    """
    context = multiprocessing.get_context("spawn")
    channel = context.Queue()
    process = context.Process(target=_send_result, args=(channel, work, arguments))
    process.start()
    result: T
    while True:
        try:
            result, error = channel.get(timeout=1)
            break
        except queue.Empty:
            if process.exitcode is not None:
                raise StudyError(f"{name}: its process ended with exit code {process.exitcode}") from None
    process.join()
    if error is not None:
        raise StudyError(f"{name}: {error}")
    return result


def _send_result(channel: "Queue[Any]", work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        channel.put((work(*arguments), None))
    except MmbcError as error:
        channel.put((None, str(error)))


def peak_mib(*, of_children: bool = False) -> float:
    """Return the greatest memory in MiB that this process has taken so far, or any child of it that has ended."""
    return resource.getrusage(resource.RUSAGE_CHILDREN if of_children else resource.RUSAGE_SELF).ru_maxrss / 1024
