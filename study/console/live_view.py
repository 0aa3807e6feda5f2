"""Progress of a run: a live view on a terminal, a line for each epoch elsewhere."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from study.design.cells import Cell
from study.records.progress import FitProgress, Observer
from study.text.format import count, span

SHOWN = 20
"""Rows of the table at once."""
BESIDES = 6
"""Lines of the view beside the rows of the table."""
EPOCHS_A_LINE = 10
"""Without a terminal, a model that trains alone has a line in epochs 1, 11, 21, ..."""
HEADERS = ("epoch", "validation loss", "AUC (images)", "best epoch")
"""Columns after the first; where a terminal is narrow, the last are left out."""


@dataclass
class Wave:
    """A wave of a search: its number, its trials with the names of fits that are left, trials done and in all."""

    number: int
    fits: dict[str, set[str]]
    n_done: int
    n_total: int
    trial_of: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.trial_of = {name: trial for trial, names in self.fits.items() for name in names}

    def ended(self, name: str) -> None:
        """Take a fit off; a trial without fits is done."""
        fits = self.fits.get(self.trial_of.get(name, ""))
        if fits is not None and name in fits:
            fits.remove(name)
            self.n_done += not fits


class View(Observer):
    """An observer that draws; use it as a context manager around a run.

    Attributes:
        expected: the cells that were still to train; of a search, its winners once they are known.
        folder: of their study; None before they were known.
        n_cells, n_done: models of the study, and those that are finished.
        wave: of a search; None where no wave trains.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.expected: Sequence[Cell] = ()
        self.folder: Path | None = None
        self.n_cells = self.n_done = 0
        self.wave: Wave | None = None
        self._terminal = console.is_terminal
        self._bar = BarColumn()
        self._progress = Progress(TextColumn("{task.description}"), self._bar, MofNCompleteColumn(), console=console)
        self._tasks: dict[str, TaskID] = {}
        self._running: dict[str, int] = {}
        self._fits: dict[str, FitProgress] = {}
        self._waiting: dict[str, Cell] = {}
        self._said = 0
        self._seconds: dict[bool, list[float]] = {True: [], False: []}
        self._began = self._mark = time.perf_counter()
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

    def expect(self, cells: Sequence[Cell], n_done: int, folder: Path) -> None:
        """Announce the cells that are still to train and how many are already done."""
        self.expected, self.folder, self.wave = cells, folder, None
        self._begin(cells)
        self.n_done, self.n_cells = n_done, n_done + len(cells)

    def wave_begun(self, number: int, trials: Mapping[str, Sequence[Cell]], n_done: int, n_total: int) -> None:
        """Announce the trials of a wave."""
        fits = {trial: {cell.name for cell in cells} for trial, cells in trials.items()}
        self.wave = Wave(number, fits, n_done, n_total)
        self._begin([cell for cells in trials.values() for cell in cells])

    def _begin(self, cells: Sequence[Cell]) -> None:
        self._waiting = {cell.name: cell for cell in cells}
        self._running, self._fits = {}, {}
        self._began = time.perf_counter()

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
        self._running |= dict.fromkeys(names, 0)
        self._said = 0
        if not self._terminal and self.wave is None:
            self._say(f"training {len(names)} models together" if len(names) > 1 else f"training {names[0]}")

    def restored(self, name: str, epoch: int) -> None:
        """Count the epochs of an earlier run."""
        self._running[name] = epoch
        self._said = min(self._running.values())

    def epoch_ended(self, progress: FitProgress) -> None:
        """Count the epoch; where there is no terminal, print a line when it is the last fit's."""
        now = time.perf_counter()
        self._seconds[progress.uses_images].append(now - self._mark)
        self._mark = now
        self._fits[progress.name] = progress
        self._running[progress.name] = progress.epoch
        self._waiting.pop(progress.name, None)
        reached = min(self._running.values())
        if self._terminal or reached <= self._said:
            return
        self._said = reached
        if len(self._running) > 1 or (reached - 1) % EPOCHS_A_LINE == 0:
            self._say(self.epoch_line())

    def finished(self, progress: FitProgress) -> None:
        """Take the model off the view; say when it was the last."""
        self.n_done += 1
        self._end(progress.name)
        if self.wave is None and self.n_done == self.n_cells:
            self._say(f"{self._how_many()}, in {duration(time.perf_counter() - self._began)}")

    def dropped(self, name: str) -> None:
        """Take a fit off the view that leaves nothing."""
        self._waiting.pop(name, None)
        self._end(name)

    def noted(self, text: str) -> None:
        """Print a sentence."""
        self._say(text)

    def _end(self, name: str) -> None:
        self._running.pop(name, None)
        self._fits.pop(name, None)
        if self.wave is not None:
            self.wave.ended(name)

    def epoch_line(self) -> str:
        """Return how far training is: epoch, models at work and finished, mean losses, time left."""
        fits = list(self._fits.values())
        epochs = [fit.epoch for fit in fits]
        low, high, most = min(epochs), max(epochs), max(fit.max_epochs for fit in fits)
        text = f"{'epoch' if low == high else 'epochs'} {span(low, high)} of at most {most}: "
        if self.wave is not None:
            trials = {self.wave.trial_of.get(fit.name) for fit in fits}
            text = f"wave {self.wave.number}, {text}{count(len(trials), 'trial')} ({count(len(fits), 'fit')}) at work"
        else:
            text += f"{count(len(fits), 'model')} at work"
        return f"{text}, {self._how_many()}; {_losses(fits)}; {self.time_left()}"

    def _how_many(self) -> str:
        if self.wave is not None:
            return f"{self.wave.n_done} of {count(self.wave.n_total, 'trial')} finished"
        return f"{self.n_done} of {count(self.n_cells, 'model')} finished"

    def time_left(self) -> str:
        """Return the longest time that the run, or a search's wave, can still take at the pace so far."""
        left = 0.0
        for uses_images, seconds in self._seconds.items():
            pace = sum(seconds) / len(seconds) if seconds else 0.0
            fits = [fit for fit in self._fits.values() if fit.uses_images == uses_images]
            waiting = [cell for cell in self._waiting.values() if cell.config.uses_images == uses_images]
            epochs = sum(fit.max_epochs - fit.epoch for fit in fits)
            left += pace * (epochs + sum(cell.config.train.max_epochs for cell in waiting))
        return f"at most {duration(left)} left" + (" for this wave" if self.wave is not None else "")

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _render(self) -> Group:
        parts: list[Progress | Text | Table] = []
        if self._tasks:
            self._bar.bar_width = max(4, min(40, self.console.width - 50))
            parts.append(self._progress)
        if self.wave is not None:
            parts.append(Text(f"wave {self.wave.number}: {self._how_many()}, {self.time_left()}"))
        elif self.n_cells:
            parts.append(Text(f"{self._how_many()}, {self.time_left()}"))
        if self._fits:
            parts.append(self._table())
        return Group(*parts)

    def _table(self) -> Table:
        """Return a row for each model at work, or for each trial of a wave, as far as the terminal has room."""
        groups: dict[str, list[FitProgress]] = {}
        for fit in list(self._fits.values()):
            groups.setdefault(self.wave.trial_of.get(fit.name, fit.name) if self.wave else fit.name, []).append(fit)
        shown = max(1, min(SHOWN, self.console.height - BESIDES))
        first = ("trial and its fits" if self.wave else "model", *HEADERS)
        rows = [_row(name, fits, counted=self.wave is not None) for name, fits in list(groups.items())[:shown]]
        n_columns, width = 0, 0
        for column in zip(first, *rows, strict=True):
            width += max(map(len, column)) + 2
            if n_columns < 2 or width <= self.console.width:
                n_columns += 1
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for header in first[:n_columns]:
            table.add_column(header, no_wrap=True, overflow="ellipsis")
        for row in rows:
            table.add_row(*row[:n_columns])
        if len(groups) > shown:
            table.add_row(f"and {len(groups) - shown} more")
        return table


def _row(name: str, fits: Sequence[FitProgress], *, counted: bool) -> tuple[str, ...]:
    """Return a row of the table: what, epoch, mean validation loss and AUC, best epoch."""
    loss, auc = (float(np.mean([fit.latest[key] for fit in fits])) for key in ("val_loss", "val_auc"))
    best = span(min(fit.best_epoch for fit in fits), max(fit.best_epoch for fit in fits))
    epoch = f"{min(fit.epoch for fit in fits)}/{max(fit.max_epochs for fit in fits)}"
    return f"{name} ({len(fits)})" if counted else name, epoch, _figure(loss), _figure(auc), best


def _figure(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def _losses(fits: Sequence[FitProgress]) -> str:
    """Return the mean loss in training and, where there is validation, in validation with its range."""
    training, validation = (np.array([fit.latest[key] for fit in fits]) for key in ("train_loss", "val_loss"))
    text = f"{'mean loss' if len(fits) > 1 else 'loss'} {training.mean():.3f} in training"
    known = validation[~np.isnan(validation)]
    if not len(known):
        return text
    low, high = f"{known.min():.3f}", f"{known.max():.3f}"
    return f"{text}, {known.mean():.3f} in validation" + (f" ({low} to {high})" if low != high else "")


def duration(seconds: float) -> str:
    """Return `45 s`, `3 min` or `2 h 05 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
