"""Stability of predictions: those of every run against their mean."""

import numpy as np
import pandas as pd

from study.evaluation.instability import several_runs
from study.evaluation.units import UNIT_KEYS
from study.reporting.figures.parts import (
    FigureAndData,
    Looks,
    arms_of,
    columns_of,
    diagonal,
    panel_width,
    small_multiples,
    unit_square,
)
from study.reporting.figures.probabilities import reach
from study.reporting.figures.style import GUIDE, journal_style
from study.text.format import number

MOST = 1500
"""Points of an arm; with more units, some are drawn, evenly spread over the predictions."""
DIGITS = 5
"""Of the probabilities beside the figure."""
NEGATIVE = "#9A9A9A"


@journal_style()
def predictions_by_run(scores: pd.DataFrame, instability: pd.DataFrame, looks: Looks, level: str) -> FigureAndData:
    """Probability of every unit in each run against its mean over runs, a panel for each arm with several runs.

    Riley and Collins 2023, figure 2, with the mean over runs in place of the original model.

    Args:
        scores: units of `Evaluation.scores`.
        instability: lines of `Evaluation.instability`.
        looks: of all arms.
        level: of the units.

    Returns:
        Data: arm, unit (numbered), label, repeat, seed, mean_prob, prob_calibrated of the points that are drawn.
    """
    arms, rows = arms_of(instability, looks), several_runs(scores[scores["level"] == level], level)
    rows = rows.assign(unit=rows.groupby(UNIT_KEYS[level], sort=True, dropna=False, observed=True).ngroup() + 1)
    upper = reach(rows, pd.DataFrame({"mean_prob": [], "observed": []}))
    at_threshold, lines = has_thresholds(instability), instability.set_index("arm")
    mape = lines["mape"].astype(float)
    changed = lines["flagged_changed" if at_threshold else "called_changed"].astype(float)
    below = [
        f"mean absolute change {number('brier', mape[arm])}"
        f"\n{number('sensitivity', changed[arm])} classified differently"
        for arm in arms
    ]
    wide = len(arms) > 1
    side = min(panel_width(columns_of(len(arms)), wide=wide), 74)
    figure, panels = small_multiples([looks[arm].name for arm in arms], [side], wide=wide, below=below)
    shown = []
    for number_of, (arm, (axes,)) in enumerate(zip(arms, panels, strict=True)):
        points = _some(rows[rows["arm"] == arm], units_drawn(instability))
        diagonal(axes, upper)
        for draw in () if at_threshold else (axes.axhline, axes.axvline):
            draw(0.5, color=GUIDE, linewidth=0.6, linestyle=(0, (1, 1.4)), zorder=0)
        for label, colour in ((0, NEGATIVE), (1, looks[arm].colour)):
            side_of = points[points["label"] == label]
            axes.scatter(
                side_of["mean_prob"],
                side_of["prob_calibrated"],
                s=2.2,
                color=colour,
                alpha=0.65,
                linewidths=0,
                zorder=2,
            )
        unit_square(axes, upper, side=side)
        axes.set_xlabel("Mean over runs")
        if number_of % columns_of(len(arms)) == 0:
            axes.set_ylabel("Probability in each run")
        shown.append(points[["arm", "unit", "label", "repeat", "seed", "mean_prob", "prob_calibrated"]])
    return figure, pd.concat(shown, ignore_index=True).round({"mean_prob": DIGITS, "prob_calibrated": DIGITS})


def has_thresholds(instability: pd.DataFrame) -> bool:
    """Whether all arms have a threshold for 90 % specificity; else changes are counted at a probability of 0.5."""
    return bool(instability["flagged_changed"].notna().all())


def units_drawn(instability: pd.DataFrame) -> int | None:
    """Return how many units of each arm there is room for; None where all are drawn."""
    n = max(MOST // int(instability["n_runs"].max()), 2)
    return n if n < instability["n_units"].max() else None


def _some(rows: pd.DataFrame, n: int | None) -> pd.DataFrame:
    """Return the rows of n units of an arm, evenly spread by their means, or all."""
    units = rows.drop_duplicates("unit").sort_values("mean_prob", kind="stable")["unit"].to_numpy()
    if n is None or n >= len(units):
        return rows
    return rows[rows["unit"].isin(units[np.linspace(0, len(units) - 1, n).round().astype(int)])]
