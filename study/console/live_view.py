"""Progress of a run: a live view on a terminal, plain lines elsewhere."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from study.design.cells import Cell
from study.records.progress import FitProgress, Observer

SHOWN = 20
"""Fits listed at once."""

EPOCHS_A_LINE = 10
"""Without a terminal, a fit has a line in epochs 1, 11, 21, ..."""


class View(Observer):
    """An observer that draws; use it as a context manager around a run."""

    def __init__(self, console: Console, *, n_cells: int = 0, n_done: int = 0) -> None:
        self.console = console
        self.n_cells = n_cells
        self.n_done = n_done
        self._terminal = console.is_terminal
        self._progress = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console)
        self._tasks: dict[str, TaskID] = {}
        self._fits: dict[str, FitProgress] = {}
        self._waiting: dict[str, Cell] = {}
        self._seconds: dict[bool, list[float]] = {True: [], False: []}
        self._mark = time.perf_counter()
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=2, transient=True)

    def __enter__(self) -> Self:
        if self._terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._terminal:
            self._live.stop()

    def expect(self, cells: Sequence[Cell], n_done: int) -> None:
        """Announce the cells that are still to train and how many are already done."""
        self._waiting = {cell.name: cell for cell in cells}
        self.n_done, self.n_cells = n_done, n_done + len(cells)

    def preparing(self, what: str, done: int, total: int) -> None:
        """Show a bar, or one line when a step ends."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)
        if done >= total:
            self._progress.remove_task(self._tasks.pop(what))
            if not self._terminal:
                self._say(f"{what}: {total}")

    def begun(self, names: Sequence[str]) -> None:
        """Start the clock of a group of cells."""
        self._mark = time.perf_counter()
        if not self._terminal:
            self._say(f"training {len(names)} cells together" if len(names) > 1 else f"training {names[0]}")

    def epoch_ended(self, progress: FitProgress) -> None:
        """Count the epoch; print a line now and then where there is no terminal."""
        now = time.perf_counter()
        self._seconds[progress.uses_images].append(now - self._mark)
        self._mark = now
        self._fits[progress.name] = progress
        self._waiting.pop(progress.name, None)
        if not self._terminal and (progress.epoch - 1) % EPOCHS_A_LINE == 0:
            row = progress.latest
            self._say(
                f"{progress.name} epoch {progress.epoch}: training loss {row['train_loss']:.3f}, validation loss "
                f"{row['val_loss']:.3f}, validation AUC {row['val_auc']:.3f} (images), {self.time_left()}"
            )

    def finished(self, progress: FitProgress) -> None:
        """Take the cell off the view."""
        self.n_done += 1
        self._fits.pop(progress.name, None)
        self._say(
            f"{progress.name} finished: best epoch {progress.best_epoch} of {progress.epoch} ({progress.stopped}), "
            f"{self.n_done} of {self.n_cells} cells done"
        )

    def time_left(self) -> str:
        """Return the longest time the run can still take, at the pace so far."""
        left = 0.0
        for uses_images, seconds in self._seconds.items():
            pace = sum(seconds) / len(seconds) if seconds else 0.0
            fits = [fit for fit in self._fits.values() if fit.uses_images == uses_images]
            waiting = [cell for cell in self._waiting.values() if cell.config.uses_images == uses_images]
            epochs = sum(fit.max_epochs - fit.epoch for fit in fits)
            left += pace * (epochs + sum(cell.config.train.max_epochs for cell in waiting))
        return f"at most {duration(left)} left"

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)

    def _render(self) -> Group:
        parts: list[Progress | Text | Table] = [self._progress] if self._tasks else []
        if self.n_cells:
            parts.append(Text(f"{self.n_done} of {self.n_cells} cells done, {self.time_left()}"))
        if self._fits:
            parts.append(self._table())
        return Group(*parts)

    def _table(self) -> Table:
        table = Table("cell", "epoch", "best", "validation loss", "validation AUC (images)", box=None)
        for fit in list(self._fits.values())[:SHOWN]:
            row = fit.latest
            epoch = f"{fit.epoch}/{fit.max_epochs}"
            table.add_row(fit.name, epoch, str(fit.best_epoch), f"{row['val_loss']:.3f}", f"{row['val_auc']:.3f}")
        return table


def duration(seconds: float) -> str:
    """Return `45 s`, `3 min` or `2 h 05 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
