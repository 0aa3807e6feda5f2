"""Figures of calls and their consequences: confusion matrices and decision curves."""

from collections.abc import Callable
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import FuncFormatter, NullFormatter

from study.reporting.figures.parts import (
    FEW,
    KEY_LINE,
    FigureAndData,
    Looks,
    arms_of,
    columns_of,
    key,
    key_columns,
    panel_width,
    small_multiples,
    wrapped,
)
from study.reporting.figures.style import GUIDE, NORMAL, OKABE_ITO, SMALL, canvas, journal_style, width
from study.text.format import half_up, tenths, whole

RIGHT, WRONG = OKABE_ITO[0], OKABE_ITO[1]
"""Colours of the cells of a confusion matrix."""
EVERYBODY: dict[str, Any] = {"color": "black", "linewidth": 0.8, "linestyle": (0, (4, 2))}
NOBODY: dict[str, Any] = {"color": GUIDE, "linewidth": 1.2}
PALE, FULL = 0.06, 0.7
"""Depth of the colour of a share of 0, and what a share of 1 adds: black letters are read on any."""
SHOWN = {"called": "at 0.5", "flagged": "90 % specificity"}
"""Thresholds of the confusion matrices: columns of calls, and what they are called."""


@journal_style()
def confusion_matrices(calls: pd.DataFrame, looks: Looks, level: str) -> FigureAndData:
    """Confusion matrices at probability 0.5 and, where there is one, at the threshold for 90 % specificity.

    Units of one run, mean over an arm's runs, and shares of the true class.

    Args:
        calls: lines of `Evaluation.cross_tabulation`: means over runs, whose cells add up to the units.
        looks: of all arms.
        level: of the units.

    Returns:
        Data: the lines of `calls` that are drawn.
    """
    data = calls[(calls["level"] == level) & calls["threshold"].isin(SHOWN)].reset_index(drop=True)
    shown = [threshold for threshold in SHOWN if threshold in set(data["threshold"])]
    arms = arms_of(data, looks)
    n_columns = columns_of(len(arms))
    side = min(panel_width(max(n_columns, 2)), 42)
    names = [looks[arm].name for arm in arms]
    runs = data.drop_duplicates("arm").set_index("arm")["n_runs"]
    below = ["one run" if runs[arm] == 1 else f"mean of {runs[arm]} runs" for arm in arms]
    heights = [0.8 * side] * len(shown)
    figure, panels = small_multiples(names, heights, wide=len(arms) > 2, below=below, margin=15)
    for number, (arm, column) in enumerate(zip(arms, panels, strict=True)):
        first = number % n_columns == 0
        for threshold, axes in zip(shown, column, strict=True):
            line = data[(data["arm"] == arm) & (data["threshold"] == threshold)]
            matrix(axes, line, first=first, as_text=whole if runs.max() == 1 else tenths)
            if first:
                axes.set_ylabel(f"True class,\n{SHOWN[threshold]}")
        for axes in column[:-1]:
            axes.set_xlabel("")
    return figure, data


def at_one_half(calls: pd.DataFrame, level: str) -> pd.DataFrame:
    """Return the calls at a probability of 0.5 at one level."""
    return calls[(calls["level"] == level) & (calls["threshold"] == "called")].reset_index(drop=True)


def matrix(axes: Axes, line: pd.DataFrame, *, first: bool = True, as_text: Callable[[float], str] = tenths) -> None:
    """Draw one arm's mean counts, true by called: what is right in blue, what is wrong in orange, by its share."""
    row = line.iloc[0]
    counts = np.array([[row["tp"], row["fn"]], [row["fp"], row["tn"]]], dtype=float)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    full = np.array([[to_rgb(RIGHT), to_rgb(WRONG)], [to_rgb(WRONG), to_rgb(RIGHT)]])
    axes.imshow(1 - (PALE + FULL * shares[..., None]) * (1 - full), aspect="auto")
    for (i, j), n in np.ndenumerate(counts):
        text = f"{as_text(n)}\n({half_up(100 * shares[i, j], 0):.0f} %)" if totals[i, 0] else "0"
        axes.text(j, i, text, ha="center", va="center", fontsize=NORMAL)
    axes.axhline(0.5, color="white", linewidth=1)
    axes.axvline(0.5, color="white", linewidth=1)
    axes.set_xticks([0, 1], ["positive", "negative"], fontsize=SMALL)
    axes.set_yticks([0, 1], ["positive", "negative"] if first else ["", ""], fontsize=SMALL, rotation=90, va="center")
    axes.set(xlabel="Predicted", ylabel="True" if first else "")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


@journal_style()
def decision_curves(decision: pd.DataFrame, looks: Looks, prevalence: float) -> FigureAndData:
    """Net benefit of all arms by threshold at the declared prevalence, with recalling everybody and nobody.

    Vickers and Elkin 2006.

    Args:
        decision: lines of `Evaluation.decision`.
        looks: of all arms.
        prevalence: declared; the ordinate ends a little above it, which no net benefit exceeds.

    Returns:
        Data: the lines of `decision`.
    """
    arms = arms_of(decision, looks)
    labels = [wrapped(looks[arm].name, width(wide=False) - 14, NORMAL) for arm in arms]
    lines = [{"color": looks[arm].colour, "linestyle": looks[arm].dash, "linewidth": 1.3} for arm in arms]
    entries = [*zip(labels, lines, strict=True), ("Recall everybody", EVERYBODY), ("Recall nobody", NOBODY)]
    figure = canvas(66 + KEY_LINE * ceil(len(entries) / key_columns(entries, width(wide=False))), wide=False)
    axes = figure.subplots()
    first = decision[decision["arm"] == arms[0]]
    axes.axhline(0, zorder=1, **NOBODY)
    axes.plot(100 * first["threshold"], 1000 * first["treat_all"], zorder=2, **EVERYBODY)
    for arm in arms:
        line, (colour, dash, *_) = decision[decision["arm"] == arm], looks[arm]
        x = 100 * line["threshold"]
        if len(arms) <= FEW:
            axes.fill_between(x, 1000 * line["low"], 1000 * line["high"], color=colour, alpha=0.08, linewidth=0)
        axes.plot(x, 1000 * line["value"], color=colour, linestyle=dash, linewidth=1.3, zorder=3)
    least = min(0.0, float(decision["value"].min()))
    axes.set_ylim(1000 * max(1.15 * least, -0.35 * prevalence) - 30 * prevalence, 1080 * prevalence)
    _thresholds(axes)
    axes.set_xlabel("Threshold: probability from which people are recalled (%)")
    axes.set_ylabel("Net benefit (true positives per 1,000 people)")
    key(figure, entries)
    return figure, decision


def _thresholds(axes: Axes) -> None:
    """Set a logarithmic axis of thresholds in percent, with figures and not powers of ten."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if low <= tick <= high]
    axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
