"""The main figure: discrimination and calibration of every arm, side by side."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.reporting.figures.curves import mean_roc
from study.reporting.figures.parts import FigureAndData, Looks, arms_of, diagonal, extent, fit, unit_square
from study.reporting.figures.probabilities import has_enough_units, reach
from study.reporting.figures.style import NORMAL, SMALL, canvas, journal_style, width
from study.text.format import interval

N_BINS = 50
ROW = 4.4
"""Millimetres of an arm's line in the legend, which is its line of the histogram too."""


@journal_style()
def main(
    scores: pd.DataFrame, summary: pd.DataFrame, reliability: pd.DataFrame, looks: Looks, level: str
) -> FigureAndData:
    """Two panels: one ROC curve per arm with the table's AUC, and each arm's calibration above its predictions.

    Args:
        scores: units of `Evaluation.scores`.
        summary: lines of `Evaluation.summary`.
        reliability: lines of `Evaluation.reliability`; those after scaling are drawn.
        looks: of all arms.
        level: of the units.

    Returns:
        Data: panel (roc, calibration, histogram), arm, x, y: false positive rate and sensitivity, mean predicted and
        observed share, middle of a bin and its share of the units.
    """
    arms, units = arms_of(summary, looks), scores[scores["level"] == level]
    upper = reach(units, reliability)
    figure, (left, right, names, strips) = _layout(len(arms))
    diagonal(left)
    diagonal(right, upper)
    rows = []
    for place, arm in enumerate(arms):
        roc = mean_roc(scores, arm, level)
        rows.append(pd.DataFrame({"panel": "roc", "arm": arm, "x": roc["x"], "y": roc["mean"]}))
        left.plot(roc["x"], roc["mean"], color=looks[arm].colour, linestyle=looks[arm].dash, linewidth=1.2)
        rows.append(_calibration(right, reliability, arm, looks))
        rows.append(_strip(strips, units, arm, looks, place, upper))
    _legend(names, summary, arms, looks, level)
    unit_square(left)
    unit_square(right, upper)
    left.set(xlabel="1 − specificity", ylabel="Sensitivity")
    right.set(ylabel="Observed share of positives")
    right.tick_params(labelbottom=False)
    strips.set(xlim=right.get_xlim(), ylim=(len(arms) - 0.4, -1), xlabel="Predicted probability")
    strips.set_xticks(right.get_xticks(), [f"{tick:g}" for tick in right.get_xticks()])
    strips.set_yticks([])
    strips.spines["left"].set_visible(False)
    return figure, pd.concat(rows, ignore_index=True)


def _layout(n_arms: int) -> tuple[Figure, list[Axes]]:
    """Return the axes of ROC, calibration, legend and histograms, the lower ones as wide as those above them."""
    whole, left, gap, top, bottom = width(wide=True), 10.0, 15.0, 5.0, 11.0
    side, lines = (whole - left - gap - 2) / 2, ROW * (n_arms + 0.6)
    between = 10.0
    height = top + side + between + lines + bottom
    figure = canvas(height, wide=True, laid_out=False)
    panels = []
    for y, tall in ((bottom + lines + between, side), (bottom, lines)):
        for x in (left, left + side + gap):
            panels.append(figure.add_axes((x / whole, y / height, side / whole, tall / height)))
    for x, letter in ((1.0, "a"), (left + side + gap - 9, "b")):
        figure.text(x / whole, 1 - 1 / height, letter, fontweight="bold", fontsize=8, va="top")
    return figure, panels


def _calibration(axes: Axes, reliability: pd.DataFrame, arm: str, looks: Looks) -> pd.DataFrame:
    after = reliability[(reliability["arm"] == arm) & (reliability["stage"] == "after")].sort_values("mean_prob")
    after = after[has_enough_units(after)]
    colour, dash, marker = looks[arm]
    axes.plot(
        after["mean_prob"],
        after["observed"],
        color=colour,
        linestyle=dash,
        linewidth=0.9,
        markersize=3,
        marker=marker,
        markeredgewidth=0.6,
    )
    return pd.DataFrame({"panel": "calibration", "arm": arm, "x": after["mean_prob"], "y": after["observed"]})


def _strip(axes: Axes, units: pd.DataFrame, arm: str, looks: Looks, place: int, upper: float) -> pd.DataFrame:
    """Draw an arm's histogram of predicted probabilities as one line of its own, scaled to its highest bin."""
    probs = units.loc[units["arm"] == arm, "prob_calibrated"].dropna()
    n, edges = np.histogram(probs, bins=N_BINS, range=(0, upper))
    share = n / max(n.sum(), 1)
    tops = place + 0.4 - 0.8 * share / max(share.max(), 1e-12)
    axes.stairs(tops, edges, baseline=place + 0.4, fill=True, color=looks[arm].colour, linewidth=0)
    axes.plot([0, upper], [place + 0.4] * 2, color=looks[arm].colour, linewidth=0.4)
    return pd.DataFrame({"panel": "histogram", "arm": arm, "x": (edges[1:] + edges[:-1]) / 2, "y": share})


def _legend(axes: Axes, summary: pd.DataFrame, arms: list[str], looks: Looks, level: str) -> None:
    """Write each arm's line, name and AUC with its interval in the line of its histogram."""
    axes.axis("off")
    full = axes.get_position().width * width(wide=True)  # mm
    axes.set(xlim=(0, full), ylim=(len(arms) - 0.4, -1))
    chosen = summary[(summary["level"] == level) & (summary["metric"] == "roc_auc")].set_index("arm")
    right = full - extent("0.000 (0.000 to 0.000)", NORMAL)
    axes.text(right, -0.75, "ROC-AUC (95 % interval)", fontsize=SMALL, va="center")
    for place, arm in enumerate(arms):
        colour, dash, marker = looks[arm]
        axes.plot([0, 5, 10], [place] * 3, color=colour, linestyle=dash, marker=marker, markevery=[1], markersize=3)
        axes.text(12, place, arm, fontsize=fit(arm, right - 14, NORMAL), va="center")
        value, low, high = chosen.loc[[arm], ["value", "low", "high"]].to_numpy(dtype=float)[0]
        axes.text(right, place, interval("roc_auc", value, low, high), fontsize=NORMAL, va="center")
