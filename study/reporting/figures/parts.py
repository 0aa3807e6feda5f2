"""Parts that several figures share: grids of small panels, one per arm, and lettering that fits into them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from study.reporting.figures.style import DARK, GUIDE, LARGE, MM, NORMAL, NOTICE, Look, canvas, journal_style, width

FigureAndData = tuple[Figure, pd.DataFrame]
Looks = Mapping[str, Look]
Entries = Sequence[tuple[str, dict[str, Any]]]
"""Of a legend: label, properties of a line."""
Panels = list[list[Axes]]
"""Axes by arm and by row within an arm's panels."""
MARGIN = 12.0
"""Millimetres that the labels of the leftmost panels take."""
APART, FOOT = 2.5, 8.0
"""Millimetres between panels side by side, and for the labels below them."""
KEY_LINE, HANDLE = 4.2, 10.5
"""Millimetres: height of a line of a legend, and width of what an entry has beside its label."""
PITCH = 1.13
"""From line to line of a name, in sizes of its font."""
MOST_COLUMNS = 6
FEW = 6
"""With more arms, bands and what else would hide the rest are left out."""
CELL = ["repeat", "seed", "fold"]
LARGE_PANEL = 50.0
"""Millimetres from which an axis from 0 to 1 has a tick at every fifth of it."""


def arms_of(frame: pd.DataFrame, looks: Looks) -> list[str]:
    """Return the arms of a frame in the order of the study's."""
    there = set(frame["arm"]) if "arm" in frame else set()
    return [arm for arm in looks if arm in there]


def columns_of(n_arms: int, most: int = MOST_COLUMNS) -> int:
    """Return how many panels stand side by side: as evenly as `most` allows."""
    return ceil(n_arms / ceil(n_arms / most))


def panel_width(n_columns: int, *, wide: bool = True, margin: float = MARGIN, apart: float = APART) -> float:
    """Return the width of each of some panels side by side, in mm."""
    return (width(wide) - margin - APART + apart) / n_columns - apart


@journal_style()
def small_multiples(
    names: Sequence[str],
    heights: list[float],
    *,
    most: int = MOST_COLUMNS,
    wide: bool = True,
    below: Sequence[str] = (),
    between: float = 3,
    entries: Entries = (),
    margin: float = MARGIN,
    aside: float = 0,
    apart: float = APART,
) -> tuple[Figure, Panels]:
    """Return a figure with a column of panels for each name, in blocks of at most `most` columns.

    Only the leftmost panels and the lowest of each block keep their tick labels.

    Args:
        names: titles of the columns, usually those of arms; long ones are broken into lines.
        heights: of the panels in a column, from top to bottom, in mm.
        most: columns side by side.
        wide: two journal columns.
        below: text of one or two lines under each name.
        between: millimetres for labels between the rows of a column.
        entries: of a legend above the panels.
        margin: millimetres that labels take left of the panels.
        aside: millimetres that text takes right of the panels.
        apart: millimetres between panels side by side.
    """
    n_columns, n_rows = columns_of(len(names), most), len(heights)
    available = panel_width(n_columns, wide=wide, margin=margin + aside, apart=apart)
    titles = [wrapped(name, available, LARGE) for name in names]
    sizes = [
        min((fit(text, available, size) for text in texts), default=size)
        for texts, size in ((titles, LARGE), (below, NORMAL))
    ]
    n_lines = [max((text.count("\n") + 1 for text in texts), default=0) for texts in (titles, below)]
    head = 2.9 * n_lines[0] + 2.6 * n_lines[1] + 1.5
    block = head + sum(heights) + between * (n_rows - 1) + FOOT
    whole, above = width(wide), KEY_LINE * ceil(len(entries) / key_columns(entries, width(wide))) if entries else 0.0
    height = above + ceil(len(names) / n_columns) * block + NOTICE
    figure = canvas(height, wide=wide, laid_out=False)
    if entries:
        key(figure, entries)
    columns: Panels = []
    for number, name in enumerate(titles):
        row, column = divmod(number, n_columns)
        x, y, panels = margin + column * (available + apart), height - above - row * block - head, []
        for place, tall in enumerate(heights):
            y -= tall
            axes = figure.add_axes((x / whole, y / height, available / whole, tall / height))
            axes.tick_params(labelleft=column == 0, labelbottom=place == n_rows - 1)
            panels.append(axes)
            y -= between
        entitle(panels[0], name, below[number] if below else "", sizes, n_lines[0])
        columns.append(panels)
    return figure, columns


def entitle(axes: Axes, name: str, below: str, sizes: Sequence[float], n_lines: int = 1) -> None:
    """Write a name above a panel, and lines of smaller text under the name, in two sizes in points.

    With text under it, a name begins at the same height as one of `n_lines`.
    """
    raised = 3.0
    where: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
    if below:
        axes.annotate(below, (0, 1), xytext=(0, raised), fontsize=sizes[1], **where)
        raised += 1.2 * NORMAL * (below.count("\n") + 1) + PITCH * sizes[0] * (n_lines - 1 - name.count("\n"))
    look: dict[str, Any] = {"fontsize": sizes[0], "fontweight": "bold", "linespacing": 1.05}
    axes.annotate(name, (0, 1), xytext=(0, raised), **where, **look)


def fit(text: str, available: float, largest: float) -> float:
    """Return the size in points, 5 at least, at which the longest line of a text fits a width in mm."""
    return float(np.clip(largest * available / max(1.06 * extent(text, largest), 1e-9), 5, largest))


def wrapped(text: str, available: float, size: float) -> str:
    """Return a text in lines that fit a width in mm, broken between words and behind hyphens and underscores.

    A word that is wider than a line is cut.
    """
    lines = [""]
    for piece in _pieces(text, available, size):
        if lines[-1] and 1.06 * extent((lines[-1] + piece).strip(), size) > available:  # bold is wider
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.strip() for line in lines)


def _pieces(text: str, available: float, size: float) -> Iterator[str]:
    """Yield what stays together on a line: words, cut where they are wider than a line."""
    for piece in re.findall(r"[^\s_-]*[_-]|[^\s_-]+\s*|\s+", text):
        while len(piece.strip()) > 1 and 1.06 * extent(piece.strip(), size) > available:
            n = next(n for n in range(len(piece) - 1, 0, -1) if n == 1 or 1.06 * extent(piece[:n], size) <= available)
            yield piece[:n]
            piece = piece[n:]
        yield piece


@lru_cache(4096)
def extent(text: str, size: float) -> float:
    """Return the width of the longest line of a text in mm, in the font of the figures."""
    with journal_style():
        font = FontProperties(size=size)
        lines = [line for line in text.split("\n") if line.strip()]
        paths = [TextPath((0, 0), line, size=size, prop=font) for line in lines]
        # letters have a point wherever they reach farthest, so that their curves need not be followed
        widths = [float(np.ptp(path.vertices[path.codes != Path.CLOSEPOLY, 0])) for path in paths if len(path.vertices)]
    return max(widths, default=0.0) / 72 / MM


def unit_square(axes: Axes, upper: float = 1.0, *, box: bool = True, side: float = 0.0) -> None:
    """Set both axes from 0 to `upper`, of equal length if `box`; the larger the side in mm, the more ticks."""
    axes.set(xlim=(-0.01 * upper, 1.01 * upper), ylim=(-0.01 * upper, 1.01 * upper), box_aspect=1 if box else None)
    ticks = np.linspace(0, upper, 6 if side >= LARGE_PANEL else 3)
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


def key_columns(entries: Entries, whole: float) -> int:
    """Return how many entries of a legend stand side by side in a width in mm."""
    widest = max(extent(label, NORMAL) for label, _ in entries) + HANDLE
    together = sum(extent(label, NORMAL) + HANDLE for label, _ in entries)
    return len(entries) if together <= whole else max(int(whole / widest), 1)


def key(figure: Figure, entries: Entries) -> None:
    """Put a legend above the panels, in as few lines as its width allows."""
    columns = key_columns(entries, figure.get_size_inches()[0] / MM)
    handles = [Line2D([], [], label=label, **{"color": DARK, **look}) for label, look in entries]
    outside = "outside " if figure.get_layout_engine() is not None else ""
    look: dict[str, Any] = {
        "loc": f"{outside}upper right",
        "borderpad": 0.2,
        "columnspacing": 1.4,
        "borderaxespad": 0.2,
    }
    figure.legend(handles=handles, ncols=columns, **look)


def letter(axes: Axes, name: str, title: str = "") -> None:
    """Write the letter of a panel, and what it shows, above its upper left corner."""
    axes.set_title(title, fontsize=LARGE, pad=5)
    where: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(name, (0, 1), xytext=(-10, 5), fontsize=8, fontweight="bold", annotation_clip=False, **where)
