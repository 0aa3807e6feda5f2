"""The AUC of arms by the number of patients they learn from."""

import pandas as pd

from study.reporting.figures.parts import FigureAndData, Looks, wrapped
from study.reporting.figures.style import NORMAL, canvas, journal_style, width

APART = 0.012
"""Shift of the points of an arm against those of the one before, as a share of the abscissa."""


@journal_style()
def by_training_patients(curve: pd.DataFrame, looks: Looks, level: str) -> FigureAndData:
    """AUC by the number of training patients, a line with 95 % intervals for each arm.

    Args:
        curve: lines of `Evaluation.learning_curve`.
        looks: of all arms.
        level: of the units.

    Returns:
        Data: the lines of `curve`.
    """
    figure = canvas(66, wide=False)
    axes = figure.subplots()
    arms = [arm for arm in looks if arm in set(curve["of"])]
    most = float(curve["n_patients"].max())
    for number, arm in enumerate(arms):
        lines, look = curve[curve["of"] == arm], looks[arm]
        x = lines["n_patients"] + APART * most * (number - (len(arms) - 1) / 2)
        ends = [lines["value"] - lines["low"], lines["high"] - lines["value"]]
        axes.errorbar(x, lines["value"], yerr=ends, fmt="none", ecolor=look.colour, elinewidth=0.7, capsize=1.5)
        name = wrapped(look.name, width(wide=False) - 30, NORMAL)
        style = {"color": look.colour, "linestyle": look.dash, "marker": look.marker}
        axes.plot(x, lines["value"], linewidth=1.1, markersize=3.2, label=name, **style)
    axes.set(xlabel="Training patients of a fold", ylabel=f"AUC, {level} level", xlim=(0, 1.05 * most))
    axes.margins(y=0.08)
    axes.locator_params(axis="y", nbins=6)
    figure.legend(loc="outside upper left", handlelength=3.4)
    return figure, curve
