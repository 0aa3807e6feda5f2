"""Parts that several figures share: grids of small panels, one per arm, and lettering that fits into them."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath

from study.reporting.figures.style import DARK, GUIDE, LARGE, MM, NORMAL, Look, canvas, journal_style, width

FigureAndData = tuple[Figure, pd.DataFrame]
Looks = Mapping[str, Look]
Panels = list[list[Axes]]
"""Axes by arm and by row within an arm's panels."""
MARGIN = 12.0
"""Millimetres that the labels of the leftmost panels take."""
MOST_COLUMNS = 6
FEW = 6
"""With more arms, what would stand behind or between is left out: it would hide the rest."""
CELL = ["repeat", "seed", "fold"]


def arms_of(frame: pd.DataFrame, looks: Looks) -> list[str]:
    """Return the arms of a frame in the order of the study's."""
    there = set(frame["arm"]) if "arm" in frame else set()
    return [arm for arm in looks if arm in there]


def columns_of(n_arms: int, most: int = MOST_COLUMNS) -> int:
    """Return how many panels stand side by side: as evenly as `most` allows."""
    return ceil(n_arms / ceil(n_arms / most))


def panel_width(n_columns: int, *, wide: bool = True, margin: float = MARGIN) -> float:
    """Return the width of each of some panels side by side, in mm."""
    return (width(wide) - margin) / n_columns - 2.5


@journal_style()
def small_multiples(
    names: list[str],
    heights: list[float],
    *,
    most: int = MOST_COLUMNS,
    wide: bool = True,
    below: Sequence[str] = (),
    between: float = 2,
    extra: float = 0,
    margin: float = MARGIN,
) -> tuple[Figure, Panels]:
    """Return a figure with a column of panels for each name, in blocks of at most `most` columns.

    Only the leftmost panels and the lowest of each block keep their tick labels.

    Args:
        names: titles of the columns, usually arms.
        heights: of the panels in a column, from top to bottom, in mm.
        most: columns side by side.
        wide: two journal columns.
        below: text of one or two lines under each name.
        between: millimetres for labels between the rows of a column.
        extra: millimetres for what else there is in the figure (a legend).
        margin: millimetres that labels take beside the panels.
    """
    n_columns, n_rows = columns_of(len(names), most), len(heights)
    n_blocks, available = ceil(len(names) / n_columns), panel_width(n_columns, wide=wide, margin=margin)
    n_lines = 1 + max((text.count("\n") + 1 for text in below), default=0)
    figure = canvas(n_blocks * (sum(heights) + 3 * n_lines + 8 + between * (n_rows - 1)) + extra, wide=wide)
    grid = figure.add_gridspec(n_blocks * n_rows, n_columns, height_ratios=heights * n_blocks)
    columns: Panels = []
    for number, name in enumerate(names):
        block, column = divmod(number, n_columns)
        panels = [figure.add_subplot(grid[block * n_rows + row, column]) for row in range(n_rows)]
        for row, axes in enumerate(panels):
            axes.tick_params(labelleft=column == 0, labelbottom=row == n_rows - 1)
        entitle(panels[0], name, below[number] if below else "", available)
        columns.append(panels)
    return figure, columns


def entitle(axes: Axes, name: str, below: str, available: float) -> None:
    """Write a name above a panel, and lines of smaller text under the name, all within a width in mm."""
    size = fit(name, available, LARGE)
    if not below:
        axes.set_title(name, fontsize=size)
        return
    axes.set_title(below, fontsize=fit(below, available, NORMAL))
    raised = 4 + 1.25 * NORMAL * (below.count("\n") + 1)
    where: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(name, (0, 1), xytext=(0, raised), fontsize=size, annotation_clip=False, **where)


def fit(text: str, available: float, largest: float) -> float:
    """Return the size in points, 5 at least, at which the longest line of a text fits a width in mm."""
    return float(np.clip(largest * available / max(extent(text, largest), 1e-9), 5, largest))


def extent(text: str, size: float) -> float:
    """Return the width of the longest line of a text in mm, in the font in force."""
    font = FontProperties(size=size)
    lines = [line for line in text.split("\n") if line.strip()]
    widths = [TextPath((0, 0), line, size=size, prop=font).get_extents().width for line in lines]
    return max(widths, default=0.0) / 72 / MM


def unit_square(axes: Axes, upper: float = 1.0, *, box: bool = True) -> None:
    """Set both axes from 0 to `upper`, with few ticks, and of equal length if `box`."""
    axes.set(xlim=(-0.01 * upper, 1.01 * upper), ylim=(-0.01 * upper, 1.01 * upper), box_aspect=1 if box else None)
    ticks = np.linspace(0, upper, 3)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])


def diagonal(axes: Axes, upper: float = 1.0) -> None:
    """Draw the line of identity, or of chance, behind everything."""
    axes.plot([0, upper], [0, upper], color=GUIDE, linewidth=0.6, zorder=0)


def same_limits(panels: Sequence[Axes]) -> None:
    """Give panels the same ordinate, wide enough for all of them."""
    limits = [axes.get_ylim() for axes in panels]
    for axes in panels:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def key(figure: Figure, entries: list[tuple[str, dict[str, Any]]], *, columns: int | None = None) -> None:
    """Put a legend above the panels, in one line unless it has fewer columns: (label, properties of a line)."""
    handles = [Line2D([], [], label=label, **{"color": DARK, **look}) for label, look in entries]
    ncols = columns or len(entries)
    figure.legend(handles=handles, loc="outside upper right", ncols=ncols, borderpad=0.2, columnspacing=1.4)
