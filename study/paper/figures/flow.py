"""The cohort flow diagram: listed, left out and why, used."""

from textwrap import wrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Rectangle

from study.paper.figures.parts import Drawn, fit
from study.paper.format import count
from study.paper.style import NORMAL, NOTICE, canvas, styled, width

BOXES, LINES = 4, 6
"""Statuses shown side by side; more of them are listed in one box, and of those no more than `LINES`."""
LINE, PAD, GAP = 2.9, 1.8, 5.5
"""Millimetres: height of a line of text, room around the text of a box, length of an arrow."""


@styled()
def flow(counts: pd.DataFrame, n_patients: int) -> Drawn:
    """Cohort flow diagram: listed, what was left out, used by status.

    Args:
        counts: `Cohort.flow`: step, status, n_images, n_patients.
        n_patients: of the cohort used.

    Returns:
        Data: `counts`.
    """
    totals = counts.groupby("step", sort=False)["n_images"].sum()
    lost = [f"{step}: {count(int(n), 'image')}" for step, n in totals.items() if step not in ("listed", "used") and n]
    left_out = ["Left out", *(line for text in lost for line in wrap(text, 26))] if lost else ["Left out: nothing"]
    listed = ["Listed", count(int(totals["listed"]), "image")]
    used = ["Used", f"{count(int(totals['used']), 'image')} of {count(n_patients, 'patient')}"]
    groups = _groups(counts[counts["step"] == "used"])
    whole, tall = width(wide=False), max(len(box) for box in groups)
    branch = max(GAP, _height(left_out) / 2 + 1)
    total = 2 * _height(listed) + 2 * branch + GAP + LINE * tall + 2 * PAD + 2
    figure = canvas(total + 3 + NOTICE, wide=False, laid_out=False)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, whole), ylim=(-(total + 1.5 + NOTICE), 1.5))
    axes.axis("off")
    left, right = 0.32 * whole, 0.8 * whole
    bottom = _box(axes, (left, 0), 0.5 * whole, listed)
    middle = bottom - branch
    _arrow(axes, (left, bottom), (left, middle - branch))
    _box(axes, (right, middle + _height(left_out) / 2), 0.36 * whole, left_out)
    _arrow(axes, (left, middle), (right - 0.18 * whole, middle))
    end = _box(axes, (left, middle - branch), 0.5 * whole, used)
    _statuses(axes, groups, (left, end), whole, tall)
    return figure, counts


def _groups(used: pd.DataFrame) -> list[list[str]]:
    """Return the lines of the lowest boxes: one for each status, or all statuses in one where they are many."""
    rows = used.to_dict("records")
    if len(rows) <= BOXES:
        return [[str(r["status"]), count(r["n_images"], "image"), count(r["n_patients"], "patient")] for r in rows]
    lines = [
        f"{r['status']}: {count(r['n_images'], 'image')}, {count(r['n_patients'], 'patient')}" for r in rows[:LINES]
    ]
    return [[*lines, f"and {len(rows) - LINES} more"] if len(rows) > LINES else lines]


def _statuses(axes: Axes, groups: list[list[str]], start: tuple[float, float], whole: float, tall: int) -> None:
    share = (whole - 4) / len(groups) if len(groups) > 1 else 0.6 * whole
    places = [start[0]] if len(groups) == 1 else 2 + share * (np.arange(len(groups)) + 0.5)
    for place, lines in zip(places, groups, strict=True):
        _box(axes, (float(place), start[1] - GAP), share - 2, [*lines, *[""] * (tall - len(lines))])
        _arrow(axes, start, (float(place), start[1] - GAP))


def _height(lines: list[str]) -> float:
    return LINE * len(lines) + 2 * PAD


def _box(axes: Axes, top: tuple[float, float], wide: float, lines: list[str]) -> float:
    """Draw a box of so many mm width below a point, its first line bold, and return where it ends."""
    x, y = top
    axes.add_patch(
        Rectangle((x - wide / 2, y - _height(lines)), wide, _height(lines), facecolor="white", edgecolor="black")
    )
    for number, text in enumerate(lines):
        axes.text(
            x, y - PAD - LINE * (number + 0.5), text, ha="center", va="center", fontsize=fit(text, wide - 2, NORMAL),
            fontweight="normal" if number else "bold",
        )  # fmt: skip
    return y - _height(lines)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=5, linewidth=0.6, color="black", shrinkA=0, shrinkB=0
        )
    )
