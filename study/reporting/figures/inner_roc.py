"""ROC curves of one trial's inner folds, as the dashboard of a search shows them."""

import pandas as pd
from sklearn.metrics import auc

from study.reporting.figures.curves import mean_roc, roc_of
from study.reporting.figures.parts import diagonal, unit_square
from study.reporting.figures.style import DASHES, OKABE_ITO, canvas, journal_style, png
from study.text.format import number

HEIGHT = 78.0
"""Of the figure, in mm."""


@journal_style()
def inner_roc(scores: pd.DataFrame, title: str, notice: str) -> bytes:
    """Draw the ROC curve of each inner fold thin and their mean thick; the legend has the AUC of each and their mean.

    The mean is that of the AUCs, as a trial's value is; the mean curve averages sensitivities at equal specificities.

    Args:
        scores: one row per validation unit: fold, label, logit.
        title: of the figure.
        notice: a warning that the figure carries, or ''.

    Returns:
        The figure as PNG.
    """
    figure = canvas(HEIGHT, wide=False)
    axes = figure.add_subplot()
    areas = []
    for place, number_of_fold in enumerate(sorted(scores["fold"].unique())):
        fold, part = int(number_of_fold) + 1, scores[scores["fold"] == number_of_fold]
        if part["label"].nunique() < 2:
            axes.plot([], [], " ", label=f"fold {fold}: one class alone")
            continue
        curve = roc_of(part)
        areas.append(float(auc(*curve)))
        look = {"color": OKABE_ITO[place % len(OKABE_ITO)], "linestyle": DASHES[place % len(DASHES)]}
        axes.plot(*curve, linewidth=0.8, label=f"fold {fold}: {number('roc_auc', areas[-1])}", **look)
    if len(areas) > 1:
        mean = mean_roc(scores.assign(arm="", level="", repeat=0, seed=0), "", "")
        label = f"mean: {number('roc_auc', sum(areas) / len(areas))}"
        axes.plot(mean["x"], mean["mean"], color="black", linewidth=1.8, label=label)
    unit_square(axes)
    diagonal(axes)
    axes.set(title=title, xlabel="1 − specificity", ylabel="Sensitivity")
    axes.legend(loc="lower right", title="AUC", alignment="left")
    return png(figure, notice)
