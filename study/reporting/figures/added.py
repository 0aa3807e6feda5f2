"""Figure of added predictions: the ROC curve of each added model above its differences from the study's models."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from study.records.added_predictions import UNVERIFIED
from study.reporting.figures.curves import area, draw_curve, with_bands
from study.reporting.figures.parts import (
    FOOT,
    FigureAndData,
    Looks,
    arms_of,
    columns_of,
    diagonal,
    extent,
    panel_width,
    small_multiples,
    unit_square,
)
from study.reporting.figures.style import DARK, GUIDE, NORMAL, journal_style

PITCH = 4.2
"""Millimetres of a line of the forest plot."""
MOST = 4
"""Panels side by side; the names of the study's models take the rest of the width."""
INTERVAL: dict[str, Any] = {"color": DARK, "linewidth": 1.2}


@journal_style()
def added(
    scores: pd.DataFrame, summary: pd.DataFrame, contrasts: pd.DataFrame, looks: Looks, level: str
) -> FigureAndData:
    """ROC curve of each added model with its band, above its differences to the models of the study.

    Args:
        scores: test units of the added models.
        summary: `Evaluation.added`.
        contrasts: `Evaluation.added_contrasts`.
        looks: of the models of the study and of the added ones.
        level: of the units.

    Returns:
        Data: arm, what (roc, or the model of the study), x, value, low, high; x is the false positive rate.
    """
    arms = arms_of(summary, looks)
    others = arms_of(contrasts.rename(columns={"second": "arm"}), looks)
    margin = max([extent(looks[other].name, NORMAL) for other in others] + [9.0]) + 3
    n_columns = columns_of(len(arms), MOST)
    side = panel_width(n_columns, wide=len(arms) > 1, margin=margin)
    heights = [side, PITCH * len(others) + 2] if others else [side]
    figure, panels = small_multiples(
        [looks[arm].name for arm in arms],
        heights,
        most=MOST,
        wide=len(arms) > 1,
        below=[area(summary, arm, level, "roc") for arm in arms],
        between=FOOT + 5,
        margin=margin,
        entries=[("95 % CI, these fitted models", INTERVAL), (f"exploratory: {UNVERIFIED}", {"linestyle": "none"})],
    )
    rows = []
    for number, (arm, (roc, *forest)) in enumerate(zip(arms, panels, strict=True)):
        first = number % n_columns == 0
        curve = with_bands(scores, arm, level)["roc"]
        draw_curve(roc, curve, looks[arm])
        diagonal(roc)
        unit_square(roc, box=False)
        roc.tick_params(labelbottom=True)
        roc.set(xlabel="1 − specificity", ylabel="Sensitivity" if first else "")
        rows.append(curve.rename(columns={"mean": "value"}).assign(arm=arm, what="roc"))
        for axes in forest:
            found = contrasts[contrasts["first"] == arm].set_index("second").reindex(others)
            _differences(axes, found, looks, arm)
            axes.set_yticks(
                range(len(others)), [looks[other].name for other in others] if first else [""] * len(others)
            )
            rows.append(found.rename(columns={"difference": "value"}).rename_axis("what").reset_index().assign(arm=arm))
    _same_range([axes for _, *forest in panels for axes in forest])
    return figure, pd.concat(rows, ignore_index=True)[["arm", "what", "x", "value", "low", "high"]]


def _differences(axes: Axes, found: pd.DataFrame, looks: Looks, arm: str) -> None:
    """Draw the differences of one added model, a line for each model of the study."""
    axes.axvline(0, color=GUIDE, linewidth=0.6, zorder=0)
    for place, (value, low, high) in enumerate(found[["difference", "low", "high"]].to_numpy(dtype=float)):
        axes.plot([low, high], [place] * 2, solid_capstyle="butt", **INTERVAL)
        axes.plot(value, place, marker=looks[arm].marker, color=looks[arm].colour, markersize=3.2)
    axes.set(ylim=(len(found) - 0.4, -0.6), xlabel="Difference in AUC")
    axes.set_title("minus each model of the study", fontsize=NORMAL)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _same_range(forests: list[Axes]) -> None:
    """Give the forest plots one abscissa that has 0 in it."""
    ends = [end for axes in forests for end in axes.get_xlim()]
    for axes in forests:
        axes.set_xlim(min([*ends, 0.0]), max([*ends, 0.0]))
        axes.locator_params(axis="x", nbins=4)
