"""Axes for the values of a searched setting: its declared range, logarithmic where the search was, or its choices."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from study.design.search_space import Hole
from study.reporting.facts.search_facts import value_text

MOST_LEVELS = 12
"""A setting of more whole numbers is drawn as numbers are."""
LONGEST = 16
"""Letters of all tick labels together beyond which they are turned."""
TICK = 6.5
"""Millimetres that the label of a power of ten needs."""
GOLDEN = 0.618034
SPREAD = 0.5
"""Spread of trials around a level, by their number, so that they do not hide each other."""


def scale(values: pd.Series, hole: Hole | None) -> "Levels | Numbers":
    """Return the axis of a setting, the same for all arms.

    Args:
        values: tried by any arm; lists as JSON text.
        hole: its declaration, or None where it is not known.
    """
    known = list(values.dropna())
    numeric = all(isinstance(v, int | float | np.number) and not isinstance(v, bool | np.bool_) for v in known)
    declared = list(hole.values) if hole is not None else []
    if hole is not None and hole.kind == "int" and declared[1] - declared[0] < MOST_LEVELS:
        return Levels([*range(declared[0], declared[1] + 1), *known])
    if not numeric or (hole is not None and hole.kind == "choice"):
        return Levels([*declared, *known])
    ends = [float(value) for value in [*declared, *known]]
    return Numbers(min(ends, default=0.0), max(ends, default=1.0), logarithmic=hole is not None and hole.kind == "log")


class Levels:
    """Choices and a few whole numbers: a tick for each, trials spread around it.

    Args:
        values: in order; each is one level, however often it comes.
    """

    def __init__(self, values: Sequence[object]) -> None:
        self.names = list(dict.fromkeys(map(value_text, values)))
        self.turned = sum(map(len, self.names)) > LONGEST

    @property
    def lines(self) -> float:
        """Lines of text that the tick labels take."""
        return 1 + (max(map(len, self.names)) / 2.2 if self.turned else 0)

    def at(self, trials: pd.DataFrame) -> pd.Series:
        """Return where trials are drawn: `parameter` and `trial` of each."""
        places = trials["parameter"].map(lambda value: self.names.index(value_text(value))).astype(float)
        return places + SPREAD * ((trials["trial"] * GOLDEN) % 1 - 0.5)

    def apply(self, axes: Axes, available: float, *, lowest: bool) -> None:
        """Set limits and ticks of a panel; only the lowest has labels."""
        names = self.names if lowest else [""] * len(self.names)
        axes.set_xticks(range(len(names)), names, rotation=90 if self.turned else 0)
        axes.set_xlim(-0.6, len(names) - 0.4)


class Numbers:
    """Numbers between two ends.

    Args:
        low, high: the ends.
        logarithmic: whether they were drawn on a logarithmic scale.
    """

    lines = 1.0
    """Of text that the tick labels take."""

    def __init__(self, low: float, high: float, *, logarithmic: bool) -> None:
        self.low, self.high, self.logarithmic = low, high, logarithmic

    def at(self, trials: pd.DataFrame) -> pd.Series:
        """Return where trials are drawn."""
        return trials["parameter"].astype(float)

    def apply(self, axes: Axes, available: float, *, lowest: bool) -> None:
        """Set limits and ticks of a panel of so many mm width; only the lowest has labels."""
        if self.logarithmic:
            self._logarithmic(axes, available)
        else:
            margin = 0.06 * (self.high - self.low) or 0.1 * abs(self.high) or 0.5
            axes.set_xlim(self.low - margin, self.high + margin)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=3))
        axes.tick_params(labelbottom=lowest)

    def _logarithmic(self, axes: Axes, available: float) -> None:
        axes.set_xscale("log")
        margin = (self.high / self.low) ** 0.06 if self.high > self.low else 1.5
        axes.set_xlim(self.low / margin, self.high * margin)
        tens = 10.0 ** np.arange(np.floor(np.log10(self.low / margin)), np.ceil(np.log10(self.high * margin)) + 1)
        n_tens = int(((tens >= self.low / margin) & (tens <= self.high * margin)).sum())
        if n_tens >= 2:
            n_labelled = max(int(available / TICK), 2)
            axes.xaxis.set_major_locator(LogLocator(numticks=n_labelled))
            if n_labelled < n_tens:  # the others keep a mark, and nothing between them
                axes.xaxis.set_minor_locator(LogLocator(subs=(1.0,), numticks=99))
            axes.xaxis.set_minor_formatter(NullFormatter())
        else:  # too few powers of ten for an axis
            ticks = np.geomspace(self.low, self.high, 3 if self.high > self.low else 1)
            axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
            axes.minorticks_off()
