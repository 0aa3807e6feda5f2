"""Progress of a run, in a form that can travel between processes."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from study.design.cells import Cell
from study.design.study_file import BASELINE
from study.text.format import count

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


def models_finished(planned: Iterable[str], finished: Container[str]) -> str:
    """Return `4 of 6 models finished`, of names of cells; the baseline, which is fitted in passing, does not count."""
    models = [name for name in planned if not name.startswith(f"{BASELINE}.")]
    return f"{sum(name in finished for name in models)} of {count(len(models), 'model')} finished"


class Observer:
    """Listener to the work; every method does nothing unless overridden."""

    def preparing(self, what: str, done: int, total: int) -> None:
        """A step before training has come this far."""

    def expect(self, cells: Sequence[Cell], n_done: int, folder: Path) -> None:
        """These cells of a study's folder are still to train, and so many are already done."""

    def wave_begun(self, number: int, trials: Mapping[str, Sequence[Cell]], n_done: int, n_total: int) -> None:
        """A search trains these trials, name -> fits, as its wave of this number; so many of all are done."""

    def begun(self, names: Sequence[str]) -> None:
        """These cells train together from now on."""

    def restored(self, name: str, epoch: int) -> None:
        """A fit continues after this epoch, where an earlier run left it."""

    def advanced(self, epoch: int, done: int, total: int) -> None:
        """So many of the cohort's images have passed by in this epoch."""

    def epoch_ended(self, progress: FitProgress) -> None:
        """A fit has finished an epoch."""

    def finished(self, progress: FitProgress) -> None:
        """A cell's record is written."""

    def dropped(self, name: str) -> None:
        """A fit has diverged and leaves no record."""

    def noted(self, text: str) -> None:
        """A sentence for the user."""


class Observers(Observer):
    """Several observers, each of which is told everything."""

    def __init__(self, *observers: Observer) -> None:
        self.observers = observers


def _told_to_all(method: str) -> Callable[..., None]:
    def tell(self: Observers, *arguments: Any) -> None:
        for observer in self.observers:
            getattr(observer, method)(*arguments)

    return tell


for _method in [name for name in vars(Observer) if not name.startswith("_")]:
    setattr(Observers, _method, _told_to_all(_method))
