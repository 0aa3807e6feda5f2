"""Work shared by threads, and its progress.

Decoding, hashing, resizing and inpainting release the interpreter lock (two threads beat two spawned processes on the
real images), and threads are safe where torch is loaded and stop on Ctrl-C.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, and how many there are."""

T = TypeVar("T")
R = TypeVar("R")


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
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
