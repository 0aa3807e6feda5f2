"""One number with its interval, its estimand and its n: what every table and figure takes."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A value and how sure one can be of it.

    Attributes:
        value: the point estimate; NaN where it is not defined.
        low, high: 95 % interval; both NaN where there is none.
        level: `patient`, `breast` or `image`.
        method: how the interval was made.
        estimand: what it is about: E1 the fitted fold models on new patients, E2 the procedure
            (docs/explanation/estimands.md).
        n_patients, n_images: on how many it rests.
    """

    value: float
    low: float
    high: float
    level: str
    method: str
    estimand: str
    n_patients: int
    n_images: int

    def __post_init__(self) -> None:
        if math.isnan(self.low) != math.isnan(self.high):
            raise ValueError("an interval has both ends or none")
        if not math.isnan(self.low) and self.low > self.high:
            raise ValueError(f"interval from {self.low} to {self.high}")
        if self.level not in ("patient", "breast", "image"):
            raise ValueError(f"level {self.level!r}")
