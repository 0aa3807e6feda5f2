"""Limit on how long OpenMP's threads spin at a barrier, which counts from when torch is loaded.

The threads of libgomp wait for each other busily. With one other busy process on two cores a training step then took
68 to 78 ms an image instead of 8; with `GOMP_SPINCOUNT=1000` it took 14 to 15 ms there, and on an idle machine
7.7 to 8.2 ms against 7.4 to 7.9.
"""

import os
import sys
from dataclasses import dataclass

VARIABLE, LIMIT = "GOMP_SPINCOUNT", "1000"
LATE = (
    f"torch was loaded before mmbc, so {VARIABLE}={LIMIT} came too late: where other programs use the processor too,"
    " training can take several times as long. Import mmbc or study first, or set it before Python starts."
)


@dataclass(frozen=True)
class SpinLimit:
    """The limit of this process.

    Attributes:
        value: of the environment variable; None where it is not set.
        in_effect: whether torch was loaded with it.
    """

    value: str | None
    in_effect: bool

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of it."""
        return (LATE,) if self.value is not None and not self.in_effect else ()


def limit_spinning() -> SpinLimit:
    """Set the limit in this process and those it starts, unless the user has set it or `OMP_WAIT_POLICY`."""
    if VARIABLE in os.environ or "OMP_WAIT_POLICY" in os.environ or sys.platform != "linux":
        return SpinLimit(os.environ.get(VARIABLE), VARIABLE in os.environ)
    os.environ[VARIABLE] = LIMIT
    return SpinLimit(LIMIT, "torch" not in sys.modules)
