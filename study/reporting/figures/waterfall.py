"""The waterfall of the optimism ledger: from the honest AUC, leak by leak, to what a published recipe would report."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from study.reporting.figures.parts import FigureAndData, extent, fit
from study.reporting.figures.style import (
    DARK,
    FAINT,
    GUIDE,
    LARGE,
    MM,
    NORMAL,
    NOTICE,
    SMALL,
    canvas,
    journal_style,
    width,
)
from study.text.format import difference_interval, interval

RED = "#B00000"
HONEST, UP, DOWN = "#0072B2", "#D55E00", "#56B4E9"
"""Colours of the honest bar, of what leaks add, and of what they take away (which is hatched too)."""
CHANCE = 0.5
PITCH, TOP, BOTTOM, GAP = 4.6, 8.5, 9.0, 2.0
"""Millimetres: of a line, above and below the panels, and between plot and text."""
MOST = 2
"""Panels side by side."""
BEYOND = {frozenset({True}): "Together: more than the sum", frozenset({False}): "Together: less than the sum"}
"""Name of the bar of all leaks beyond their sum, where it rises, or falls, in all panels."""
REPORTED = "As reported elsewhere"
HEADING = -1.02
"""Place of the heading of the text, on the ordinate of a panel."""
WIDEST = "+0.000 (−0.000 to +0.000)"


@dataclass(frozen=True)
class Bar:
    """One line of a panel.

    Attributes:
        what: honest, leak, together, total or reported.
        title: at the left.
        start, end: of the bar, in AUC.
        low, high: of its whisker, in AUC; NaN for none.
        text: at the right.
        nothing: whether the leak changes nothing of this ablation.
    """

    what: str
    title: str
    start: float
    end: float
    low: float
    high: float
    text: str
    nothing: bool = False


@journal_style()
def waterfall(ledger: pd.DataFrame, reported: float | None = None) -> FigureAndData:
    """A panel for each ablation: the honest AUC, a floating bar for each leak, what they give together, and the total.

    Whiskers are 95 % intervals: of the two totals, and of each difference, from where its bar starts.

    Args:
        ledger: columns as in `study.leaks.measurement.table`.
        reported: AUC that a published recipe reports, or None.

    Returns:
        Data: arm, what, title, start, end, low, high, text, nothing.
    """
    rises = frozenset(ledger.loc[ledger["leak"] == "together", "difference"] >= 0)
    ledger = ledger.assign(
        title=ledger["title"].mask(ledger["leak"] == "together", BEYOND.get(rises, "Together, beyond the sum"))
    )
    panels = {str(arm): bars(of_arm, reported) for arm, of_arm in ledger.groupby("arm", sort=False)}
    figure, places = _layout(list(panels), max(len(lines) for lines in panels.values()))
    limits = _limits([bar for lines in panels.values() for bar in lines])
    for number, ((arm, lines), axes) in enumerate(zip(panels.items(), places, strict=True)):
        _panel(axes, lines, limits, labelled=number % MOST == 0)
        axes.set_title(arm, fontsize=fit(arm, 30, LARGE), fontweight="bold", loc="left")
    tall = figure.get_size_inches()[1] / MM
    figure.text(
        0.5, 1 - 1.2 / tall, "LEAKY BY DESIGN", color=RED, fontsize=LARGE, fontweight="bold", ha="center", va="top"
    )
    rows = [{"arm": arm, **vars(bar)} for arm, lines in panels.items() for bar in lines]
    return figure, pd.DataFrame(rows)


def bars(of_arm: pd.DataFrame, reported: float | None) -> list[Bar]:
    """Return the lines of one ablation's panel, from top to bottom."""
    lines, level = [], float("nan")
    for row in of_arm.to_dict("records"):
        value, low, high = (float(row[f"auc{end}"]) for end in ("", "_low", "_high"))
        if row["leak"] == "honest":
            lines.append(Bar("honest", row["title"], CHANCE, value, low, high, interval("roc_auc", value, low, high)))
            level = value
        elif row["leak"] == "published-recipe":
            lines.append(Bar("total", row["title"], CHANCE, value, low, high, interval("roc_auc", value, low, high)))
        else:
            lines.append(_step(row, level))
            level = lines[-1].end
    if reported is not None:
        lines.append(Bar("reported", REPORTED, reported, reported, np.nan, np.nan, f"{reported:.3f}"))
    return lines


def _step(row: dict[Any, Any], level: float) -> Bar:
    """Return the bar of a difference, standing where the one before has ended."""
    value, low, high = (float(row[f"difference{end}"]) for end in ("", "_low", "_high"))
    nothing = row["nothing"] if isinstance(row["nothing"], str) else ""
    if nothing:
        return Bar("leak", row["title"], level, level, np.nan, np.nan, nothing, nothing=True)
    what = "together" if row["leak"] == "together" else "leak"
    text = difference_interval(value, low, high)
    return Bar(what, row["title"], level, level + value, level + low, level + high, text)


def _layout(arms: Sequence[str], n_lines: int) -> tuple[Figure, list[Axes]]:
    """Return a figure and the panels' axes, with room for labels left of each row and for text right of each panel."""
    wide, n_columns = len(arms) > 1, min(MOST, len(arms))
    whole, n_rows = width(wide), ceil(len(arms) / MOST)
    left, text = max(extent(title, NORMAL) for title in BEYOND.values()) + 3, extent(WIDEST, SMALL) + 2 * GAP
    side, tall = (whole - left - n_columns * text) / n_columns, PITCH * n_lines
    block = TOP + tall + BOTTOM
    height = n_rows * block + NOTICE
    figure = canvas(height, wide=wide, laid_out=False)
    axes = []
    for number in range(len(arms)):
        row, column = divmod(number, MOST)
        x, y = left + column * (side + text), height - row * block - TOP - tall
        axes.append(figure.add_axes((x / whole, y / height, side / whole, tall / height)))
    return figure, axes


def _limits(lines: list[Bar]) -> tuple[float, float]:
    ends = np.array([[bar.start, bar.end, bar.low, bar.high] for bar in lines])
    low, high = min(np.nanmin(ends), CHANCE), np.nanmax(ends)
    margin = 0.04 * (high - low)
    return low - margin, high + margin


def _panel(axes: Axes, lines: list[Bar], limits: tuple[float, float], *, labelled: bool) -> None:
    axes.axvline(CHANCE, color=GUIDE, linewidth=0.6, zorder=0)
    for place, bar in enumerate(lines):
        _draw(axes, place, bar)
        if bar.what in ("honest", "leak", "together") and place + 1 < len(lines):
            axes.plot([bar.end] * 2, [place, place + 1], color=GUIDE, linewidth=0.5, zorder=1)
        _beside(axes, place, bar.text, color="#7F7F7F" if bar.nothing else DARK)
    _beside(axes, HEADING, "Value (95 % CI)", color=DARK, fontweight="bold")
    axes.set(xlim=limits, ylim=(len(lines) - 0.4, -0.6), xlabel="AUC of images")
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.set_yticks(range(len(lines)), [bar.title for bar in lines] if labelled else [""] * len(lines))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    for label, bar in zip(axes.get_yticklabels(), lines, strict=True):
        leaky = bar.what not in ("honest", "reported")
        label.set(color=RED if leaky else DARK, fontweight="bold" if bar.what in ("honest", "total") else "normal")


def _beside(axes: Axes, place: float, text: str, **look: Any) -> None:
    """Write text to the right of a panel, at a place on its ordinate."""
    at: dict[str, Any] = {
        "xycoords": axes.get_yaxis_transform(),
        "textcoords": "offset points",
        "va": "center_baseline",
    }
    axes.annotate(text, (1, place), xytext=(GAP * MM * 72, 0), fontsize=SMALL, annotation_clip=False, **(at | look))


def _draw(axes: Axes, place: int, bar: Bar) -> None:
    """Draw one line: a bar with its whisker, or the mark of a reported value."""
    if bar.what == "reported":
        axes.plot(bar.end, place, marker="D", color=DARK, markersize=3)
        return
    falls = bar.end < bar.start
    colour = HONEST if bar.what == "honest" else DOWN if falls and bar.what != "total" else UP
    look: dict[str, Any] = {"color": colour, "alpha": 0.55 if bar.what == "together" else 1.0, "linewidth": 0}
    axes.barh(place, bar.end - bar.start, left=bar.start, height=0.62, zorder=2, **look)
    if falls and bar.what in ("leak", "together"):
        axes.barh(
            place,
            bar.end - bar.start,
            left=bar.start,
            height=0.62,
            zorder=2.5,
            facecolor="none",
            edgecolor=DARK,
            hatch="////",
            linewidth=0,
        )
    if bar.nothing:
        axes.plot([bar.end] * 2, [place - 0.31, place + 0.31], color=FAINT, linewidth=1)
    elif not np.isnan(bar.low):
        axes.plot([bar.low, bar.high], [place] * 2, color=DARK, linewidth=0.8, solid_capstyle="butt", zorder=3)
        for end in (bar.low, bar.high):
            axes.plot([end] * 2, [place - 0.14, place + 0.14], color=DARK, linewidth=0.8, zorder=3)
