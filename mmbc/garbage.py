"""Python's search for cyclic garbage, which costs a fifth of the time of a report and finds next to nothing there."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Search for no cyclic garbage meanwhile; it also decorates functions.

    For work that makes millions of objects that live to its end anyway: the demo's report takes 13 instead of 16 s of a
    processor, and 710 instead of 570 MiB.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
