"""The cohort flow diagram: listed, left out and why, used."""

from textwrap import wrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Rectangle

from study.reporting.figures.parts import FigureAndData, fit
from study.reporting.figures.style import NORMAL, NOTICE, canvas, journal_style, width
from study.text.format import count

BOXES, LINES = 4, 6
"""Statuses shown side by side; more of them are listed in one box, and of those no more than `LINES`."""
LINE, PAD, GAP = 2.9, 1.8, 5.5
"""Millimetres: height of a line of text, room around the text of a box, length of an arrow."""
LETTER, BOLD = 1.5, 1.15
"""Millimetres of a bold letter of the normal size, and how much wider bold text is."""
Content = tuple[list[str], list[str]]
"""Lines of a box: the bold ones, the others."""


@journal_style()
def flow(counts: pd.DataFrame, n_patients: int, row: str = "image") -> FigureAndData:
    """Cohort flow diagram: listed, what was left out, used by status.

    Args:
        counts: `Cohort.flow`: step, status, n_images, n_patients; with the steps `listed` and `used`.
        n_patients: of the cohort used.
        row: what a row of the cohort is.

    Returns:
        Data: `counts`.
    """
    totals = counts.groupby("step", sort=False)["n_images"].sum()
    lost = [f"{step}: {count(int(n), row)}" for step, n in totals.items() if step not in ("listed", "used") and n]
    left_out: Content = ["Left out"], [line for text in lost for line in wrap(text, 26)] or ["nothing"]
    listed: Content = ["Listed"], [count(int(totals["listed"]), row)]
    used: Content = ["Used"], [f"{count(int(totals['used']), row)} of {count(n_patients, 'patient')}"]
    whole = width(wide=False)
    groups = _groups(counts[counts["step"] == "used"], whole, row)
    branch = max(GAP, _height(left_out) / 2 + 1)
    total = 2 * _height(listed) + 2 * branch + GAP + max(_height(group) for group in groups)
    figure = canvas(total + 3 + NOTICE, wide=False, laid_out=False)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, whole), ylim=(-(total + 1.5 + NOTICE), 1.5))
    axes.axis("off")
    left, right = 0.32 * whole, 0.8 * whole
    middle = _box(axes, (left, 0), 0.5 * whole, listed) - branch
    _arrow(axes, (left, middle + branch), (left, middle - branch))
    _box(axes, (right, middle + _height(left_out) / 2), 0.36 * whole, left_out)
    _arrow(axes, (left, middle), (right - 0.18 * whole, middle))
    _statuses(axes, groups, (left, _box(axes, (left, middle - branch), 0.5 * whole, used)), whole)
    return figure, counts


def _groups(used: pd.DataFrame, whole: float, row: str) -> list[Content]:
    """Return the content of the lowest boxes: one for each status, or one for all where they are many."""
    rows = used.to_dict("records")
    sizes = [[count(line["n_images"], row), count(line["n_patients"], "patient")] for line in rows]
    names = [str(row["status"]) for row in rows]
    if len(rows) <= BOXES:
        letters = max(int((_share(len(rows), whole) - 4) / LETTER), 8)
        return [(wrap(name, letters), size) for name, size in zip(names, sizes, strict=True)]
    lines = [f"{name}: {', '.join(size)}" for name, size in zip(names[:LINES], sizes[:LINES], strict=True)]
    return [(["By status"], [*lines, f"and {len(rows) - LINES} more"] if len(rows) > LINES else lines)]


def _share(n: int, whole: float) -> float:
    """Return the width of each of n boxes side by side, in mm."""
    return (whole - 4) / n - 2


def _statuses(axes: Axes, groups: list[Content], start: tuple[float, float], whole: float) -> None:
    one = len(groups) == 1
    share = 0.6 * whole if one else _share(len(groups), whole)
    places = [start[0]] if one else 2 + (share + 2) * (np.arange(len(groups)) + 0.5)
    for place, content in zip(places, groups, strict=True):
        _box(axes, (float(place), start[1] - GAP), share, content)
        _arrow(axes, start, (float(place), start[1] - GAP))


def _height(content: Content) -> float:
    return LINE * sum(map(len, content)) + 2 * PAD


def _box(axes: Axes, top: tuple[float, float], wide: float, content: Content) -> float:
    """Draw a box of so many mm width below a point and return where it ends."""
    (x, y), (bold, plain) = top, content
    tall = _height(content)
    axes.add_patch(Rectangle((x - wide / 2, y - tall), wide, tall, facecolor="white", edgecolor="black"))
    for number, text in enumerate([*bold, *plain]):
        is_bold = number < len(bold)
        size = fit(text, (wide - 2) / (BOLD if is_bold else 1), NORMAL)
        place = (x, y - PAD - LINE * (number + 0.5))
        axes.text(*place, text, ha="center", va="center", fontsize=size, fontweight="bold" if is_bold else "normal")
    return y - tall


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    arrow = FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=5, linewidth=0.6, shrinkA=0, shrinkB=0)
    arrow.set_color("black")
    axes.add_patch(arrow)
