"""Progress of a run, in a form that can travel between processes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from study.design.cells import Cell

DIVERGED = "diverged"
"""Why a fit stopped that left no record: its loss was no number any more."""


@dataclass(frozen=True)
class FitProgress:
    """Progress of a fit.

    Attributes:
        name: its cell.
        uses_images: whether it has an image branch.
        epoch: epochs finished.
        max_epochs: at most so many.
        best_epoch: the best so far.
        stopped: why it ended; empty while it runs.
        latest: the last row of its history.
    """

    name: str
    uses_images: bool
    epoch: int
    max_epochs: int
    best_epoch: int
    stopped: str
    latest: dict[str, float]


@dataclass(frozen=True, eq=False)
class FitSnapshot:
    """A fit between two epochs, as data: what decides whether it goes on.

    Attributes:
        name: its cell.
        epoch: epochs finished.
        best_epoch: the best so far; 0 before the first.
        validation_logits: of its validation rows (n,) by the best epoch's weights, in the cohort's order; read-only.
        stopped: why it ended; empty while it goes on.
    """

    name: str
    epoch: int
    best_epoch: int
    validation_logits: np.ndarray
    stopped: str


class Observer:
    """Listener to the work; every method does nothing unless overridden."""

    def preparing(self, what: str, done: int, total: int) -> None:
        """A step before training has come this far."""

    def expect(self, cells: Sequence[Cell], n_done: int) -> None:
        """These cells are still to train, and so many are already done."""

    def begun(self, names: Sequence[str]) -> None:
        """These cells train together from now on."""

    def advanced(self, epoch: int, done: int, total: int) -> None:
        """So many of the cohort's images have passed by in this epoch."""

    def epoch_ended(self, progress: FitProgress) -> None:
        """A fit has finished an epoch."""

    def finished(self, progress: FitProgress) -> None:
        """A cell's record is written."""
