"""Test parts: their areas across arms, and which cells of a study are there."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from study.reporting.figures.parts import FEW, FigureAndData, Looks, arms_of, extent
from study.reporting.figures.style import DARK, GUIDE, NORMAL, SMALL, canvas, journal_style, width
from study.text.format import number

MOST_WRITTEN = 24
"""With more folds the grid's values are not written into it."""


@journal_style()
def fold_dots(per_fold: pd.DataFrame, summary: pd.DataFrame, looks: Looks, level: str) -> FigureAndData:
    """ROC-AUC of every test fold at one level; folds joined across arms; beside them mean and 95 % interval.

    Args:
        per_fold: lines of `Evaluation.per_fold`.
        summary: lines of `Evaluation.summary`.
        looks: of all arms.
        level: of the units.

    Returns:
        Data: arm, repeat, fold, value (mean over seeds), n_seeds.
    """
    arms = arms_of(summary, looks)
    chosen = per_fold[(per_fold["level"] == level) & (per_fold["metric"] == "roc_auc") & per_fold["arm"].isin(arms)]
    data = chosen.groupby(["arm", "repeat", "fold"], sort=False)["value"].agg(["mean", "count"]).reset_index()
    data = data.rename(columns={"mean": "value", "count": "n_seeds"})
    wide = len(arms) > FEW
    each = (width(wide) - 12) / len(arms)
    turned = max(extent(arm, NORMAL) for arm in arms) > each - 1
    figure = canvas(60 + 12 * turned, wide=wide)
    axes = figure.subplots()
    table = data.pivot(index=["repeat", "fold"], columns="arm", values="value").reindex(columns=arms)
    axes.plot(range(len(arms)), table.to_numpy(dtype=float).T, color="#CCCCCC", linewidth=0.5, zorder=1)
    for place, arm in enumerate(arms):
        _dots(axes, place, table[arm], looks[arm].colour, looks[arm].marker)
        _mean(axes, place + 0.24, summary, arm, level)
    axes.axhline(0.5, color=GUIDE, linewidth=0.6, zorder=0)
    axes.set_xticks(range(len(arms)), arms, rotation=30 if turned else 0, ha="right" if turned else "center")
    axes.set(ylabel=f"ROC-AUC, {level} level", xlim=(-0.4, len(arms) - 0.4))
    return figure, data


def _dots(axes: Axes, place: int, values: pd.Series, colour: str, marker: str) -> None:
    axes.scatter(
        np.full(len(values), place),
        values,
        s=9,
        color=colour,
        marker=marker,
        zorder=2,
        linewidths=0.7 if marker == "x" else 0,
    )


def _mean(axes: Axes, place: float, summary: pd.DataFrame, arm: str, level: str) -> None:
    chosen = (summary["arm"] == arm) & (summary["level"] == level) & (summary["metric"] == "roc_auc")
    value, low, high = summary.loc[chosen, ["value", "low", "high"]].to_numpy(dtype=float)[0]
    axes.plot([place] * 2, [low, high], color="black", linewidth=0.9, solid_capstyle="butt")
    axes.plot(place, value, marker="_", color="black", markersize=5, markeredgewidth=1.2)


@journal_style()
def study_grid(cells: pd.DataFrame, looks: Looks, level: str) -> FigureAndData:
    """Arms by folds: the mean ROC-AUC of the finished cells, and which are missing.

    Args:
        cells: planned cells: arm, repeat, fold, seed, finished, value (the ROC-AUC at this level; NaN where not
            defined).
        looks: of all arms.
        level: of the units.

    Returns:
        Data: arm, fold, n_planned, n_finished, value (mean over finished repeats and seeds).
    """
    arms, folds = arms_of(cells, looks), sorted(cells["fold"].unique())
    data = (
        cells.groupby(["arm", "fold"], sort=False)
        .agg(n_planned=("finished", "size"), n_finished=("finished", "sum"), value=("value", "mean"))
        .reset_index()
    )
    figure = canvas(6.5 * len(arms) + 15, wide=True)
    axes = figure.subplots()
    values = (
        data.pivot(index="arm", columns="fold", values="value").reindex(index=arms, columns=folds).to_numpy(dtype=float)
    )
    known = values[~np.isnan(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.5, 1.0)
    margin = max(0.02, 0.1 * (high - low))
    image = axes.imshow(values, cmap="Blues", vmin=low - margin, vmax=high + margin, aspect="auto")
    for row in data.to_dict("records"):
        _cell(axes, row, (folds.index(row["fold"]), arms.index(row["arm"])), image, len(folds))
    axes.set_xticks(range(len(folds)), [str(fold) for fold in folds])
    axes.set_yticks(range(len(arms)), arms)
    axes.set(xlabel="Test fold", ylim=(len(arms) - 0.5, -0.5), xlim=(-0.5, len(folds) - 0.5))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(f"ROC-AUC, {level} level", fontsize=NORMAL)
    if len(known) and len(folds) > MOST_WRITTEN:
        bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.01, aspect=18)
        bar.set_label(f"ROC-AUC, {level} level")
        bar.outline.set_visible(False)
    return figure, data


def _cell(axes: Axes, row: Mapping[Hashable, Any], at: tuple[int, int], image: Any, n_folds: int) -> None:
    """Write a cell's value, or mark what is missing of it."""
    value, n_planned, n_finished = float(row["value"]), int(row["n_planned"]), int(row["n_finished"])
    if not n_finished:
        square = {"facecolor": "white", "edgecolor": GUIDE, "hatch": "//////", "linewidth": 0}
        axes.add_patch(Rectangle((at[0] - 0.5, at[1] - 0.5), 1, 1, **square))  # type: ignore[arg-type]
    axes.add_patch(Rectangle((at[0] - 0.5, at[1] - 0.5), 1, 1, fill=False, edgecolor="white", linewidth=1.2))
    if n_folds > MOST_WRITTEN:
        return
    text = "missing" if not n_finished else number("roc_auc", value)
    if 0 < n_finished < n_planned:
        text += f"\n{n_finished} of {n_planned}"
    dark = not np.isnan(value) and bool(image.norm(np.array([value]))[0] > 0.52)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1} if not n_finished else None
    size = SMALL if n_folds <= 12 else 5
    axes.text(
        *at, text, ha="center", va="center", fontsize=size, color="white" if dark else DARK, bbox=box, linespacing=1
    )
