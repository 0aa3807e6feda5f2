"""Work shared by threads, its progress, and work that is better not shared.

Decoding, hashing, resizing and inpainting release the interpreter lock (two threads beat two spawned processes on the
real images), and threads are safe where torch is loaded and stop on Ctrl-C.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, and how many there are."""

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Microseconds of the processor in a period, and the period, or `max`: of the control group, on Linux."""

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")


def in_one_thread(function: Callable[P, R]) -> Callable[P, R]:
    """Have numpy, scipy and scikit-learn compute with one thread inside a function.

    Their matrices are small here, and the threads of BLAS and OpenMP wait for each other busily: on two cores, with
    others at work on them too, a report took twice as long with two threads, a logistic regression seven times.
    """

    @wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        from threadpoolctl import threadpool_limits  # with numpy, which a command's help does not load

        with threadpool_limits(1):
            return function(*args, **kwargs)

    return limited


def map_parallel(
    function: Callable[[T], R], items: Sequence[T], workers: int, what: str, progress: Progress | None
) -> Iterator[tuple[T, R]]:
    """Yield (item, result) as results come; an error or Ctrl-C drops the work that has not begun.

    Args:
        function: the work on one item.
        items: whatever the function takes.
        workers: threads; 0 means one per core.
        what: the work in words, for `progress`.
        progress: told about each finished item.
    """
    threads = ThreadPoolExecutor(workers or available_cores())
    try:
        futures = {threads.submit(function, item): item for item in items}
        for done, future in enumerate(as_completed(futures), start=1):
            yield futures[future], future.result()
            if progress is not None:
                progress(what, done, len(items))
    finally:
        threads.shutdown(cancel_futures=True)


def available_cores() -> int:
    """Return how many cores this process may use, by its affinity and its control group's quota."""
    n = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no Linux, or no quota ("max")
        quota, period = QUOTA.read_text(encoding="ascii").split()
        n = min(n, math.ceil(int(quota) / int(period)))
    return max(1, n)
