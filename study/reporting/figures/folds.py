"""Test parts: their areas by arm."""

import re

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from study.reporting.figures.narrow import SLICED
from study.reporting.figures.parts import FigureAndData, Looks, arms_of, extent, wrapped
from study.reporting.figures.style import GUIDE, NORMAL, canvas, journal_style, width

MOST_NUMBERED = 10
"""With more folds their numbers are not written."""
MOST_NARROW = 3
"""Arms that one journal column has room for."""
SPREAD, ASIDE = 0.52, 0.4
"""Parts of an arm's width that its folds take, and where its mean stands right of its middle."""


@journal_style()
def fold_dots(per_fold: pd.DataFrame, summary: pd.DataFrame, looks: Looks, level: str) -> FigureAndData:
    """AUC of every test fold at one level, in the order of the folds; beside them mean and 95 % interval.

    Args:
        per_fold: lines of `Evaluation.per_fold`.
        summary: lines of `Evaluation.summary`.
        looks: of all arms.
        level: of the units.

    Returns:
        Data: arm, repeat, fold (from 1), value (mean over seeds), least, greatest (over seeds), n_seeds.
    """
    arms = arms_of(summary, looks)
    chosen = per_fold[(per_fold["level"] == level) & (per_fold["metric"] == "roc_auc") & per_fold["arm"].isin(arms)]
    data = (
        chosen.assign(fold=chosen["fold"] + 1)
        .groupby(["arm", "repeat", "fold"], sort=False)["value"]
        .agg(value="mean", least="min", greatest="max", n_seeds="count")
        .reset_index()
    )
    wide = len(arms) > MOST_NARROW
    each = (width(wide) - 12) / len(arms)
    # where a word is longer than its place at this size, all names are smaller
    longest = max(extent(word, NORMAL) for arm in arms for word in re.split(r"(?<=[\s_-])", looks[arm].name))
    size = min(NORMAL, max(5.0, NORMAL * (each - 1) / (1.06 * longest)))
    names = [wrapped(looks[arm].name, each - 1, size) for arm in arms]
    figure = canvas(62 + 2.6 * max(name.count("\n") for name in names), wide=wide)
    axes = figure.subplots()
    axes.set_label(SLICED)
    axes.axhline(0.5, color=GUIDE, linewidth=0.6, zorder=0)
    folds = sorted(data["fold"].unique())
    places = dict(zip(folds, np.linspace(-SPREAD / 2, SPREAD / 2, len(folds)) - 0.1, strict=True))
    for at, arm in enumerate(arms):
        rows = data[data["arm"] == arm]
        x = at + rows["fold"].map(places).to_numpy(dtype=float)
        _dots(axes, x, rows, looks[arm].colour, looks[arm].marker)
        _mean(axes, at + ASIDE - 0.05, summary, arm, level)
    axes.set_xticks(range(len(arms)), names, fontsize=size)
    axes.tick_params(axis="x", length=0, pad=9 if len(folds) <= MOST_NUMBERED else 3)
    if len(folds) <= MOST_NUMBERED:
        ticks = [(at + place, str(fold)) for at in range(len(arms)) for fold, place in places.items()]
        axes.set_xticks([x for x, _ in ticks], [text for _, text in ticks], minor=True, fontsize=5)
        axes.tick_params(axis="x", which="minor", length=1.5, pad=1)
    for at in range(1, len(arms)):
        axes.axvline(at - 0.5, color="#E6E6E6", linewidth=0.5, zorder=0)
    axes.set_xlabel("Model; above its name, the number of each test fold" if len(folds) <= MOST_NUMBERED else "Model")
    axes.set(ylabel=f"AUC, {level} level", xlim=(-0.5, len(arms) - 0.5))
    axes.margins(y=0.06)
    axes.locator_params(axis="y", nbins=8)
    return figure, data


def _dots(axes: Axes, x: np.ndarray, rows: pd.DataFrame, colour: str, marker: str) -> None:
    axes.vlines(x, rows["least"], rows["greatest"], color=colour, linewidth=0.6, alpha=0.5)
    axes.scatter(x, rows["value"], s=9, color=colour, marker=marker, zorder=2, linewidths=0.7 if marker == "x" else 0)


def _mean(axes: Axes, place: float, summary: pd.DataFrame, arm: str, level: str) -> None:
    chosen = (summary["arm"] == arm) & (summary["level"] == level) & (summary["metric"] == "roc_auc")
    value, low, high = summary.loc[chosen, ["value", "low", "high"]].to_numpy(dtype=float)[0]
    axes.plot([place] * 2, [low, high], color="black", linewidth=1.2, solid_capstyle="butt")
    axes.plot(place, value, "D", color="white", markersize=3.2, markeredgecolor="black", markeredgewidth=0.8)
