"""Figures of calls and their consequences: confusion matrices and decision curves."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from study.reporting.figures.parts import (
    FEW,
    FigureAndData,
    Looks,
    arms_of,
    columns_of,
    key,
    panel_width,
    small_multiples,
)
from study.reporting.figures.style import FAINT, GUIDE, NORMAL, SMALL, journal_style


@journal_style()
def confusion_matrices(confusion: pd.DataFrame, looks: Looks, level: str) -> FigureAndData:
    """Confusion matrices at calibrated probability 0.5: counts, and shares of the true class.

    Args:
        confusion: lines of `Evaluation.confusion`.
        looks: of all arms.
        level: of the units.

    Returns:
        Data: the lines of `confusion` at this level.
    """
    chosen = confusion[confusion["level"] == level].set_index("arm")
    arms = arms_of(chosen.reset_index(), looks)
    chosen = chosen.loc[arms]
    n_columns = columns_of(len(arms))
    side = min(panel_width(max(n_columns, 2)), 42)
    figure, panels = small_multiples(arms, [0.8 * side], wide=len(arms) > 2)
    for number, (arm, (axes,)) in enumerate(zip(arms, panels, strict=True)):
        row = chosen.loc[arm]
        _matrix(axes, np.array([[row["tn"], row["fp"]], [row["fn"], row["tp"]]], dtype=float))
        first = number % n_columns == 0
        axes.set_xticks([0, 1], ["negative", "positive"], fontsize=SMALL)
        axes.set_yticks(
            [0, 1], ["negative", "positive"] if first else ["", ""], fontsize=SMALL, rotation=90, va="center"
        )
        axes.set(xlabel="Called", ylabel="True" if first else "")
    return figure, chosen.reset_index()


def _matrix(axes: Axes, matrix: np.ndarray) -> None:
    """Draw counts (2, 2), true by called, shaded by the share of the true class."""
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros_like(matrix), where=totals > 0)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (i, j), n in np.ndenumerate(matrix):
        text = f"{n:.0f}\n{100 * shares[i, j]:.0f} %" if totals[i, 0] else "0"
        colour = "white" if shares[i, j] > 0.55 else "black"
        axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=NORMAL)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


@journal_style()
def decision_curves(decision: pd.DataFrame, looks: Looks, prevalence: float) -> FigureAndData:
    """Net benefit by threshold at the declared prevalence, a panel for each arm, with recalling everybody and nobody.

    Vickers and Elkin 2006. The other arms stand behind in grey.

    Args:
        decision: lines of `Evaluation.decision`.
        looks: of all arms.
        prevalence: declared; the ordinate ends a little above it, which no net benefit exceeds.

    Returns:
        Data: the lines of `decision`.
    """
    arms = arms_of(decision, looks)
    n_columns = columns_of(len(arms))
    height = min(0.9 * panel_width(max(n_columns, 2)), 55)
    figure, panels = small_multiples(arms, [height], wide=len(arms) > 1, extra=5)
    for number, (arm, (axes,)) in enumerate(zip(arms, panels, strict=True)):
        for other in arms:
            if other != arm and len(arms) <= FEW:
                line = decision[decision["arm"] == other]
                axes.plot(100 * line["threshold"], 1000 * line["value"], color=FAINT, linewidth=0.5, zorder=1)
        _net_benefit(axes, decision[decision["arm"] == arm], looks[arm].colour)
        least = min(0.0, float(decision["value"].min()))
        axes.set_ylim(1000 * max(1.15 * least, -0.35 * prevalence) - 30 * prevalence, 1080 * prevalence)
        _thresholds(axes)
        axes.set_xlabel("Threshold (%)")
        if number % n_columns == 0:
            axes.set_ylabel("Net benefit (per 1000)")
    others: list[tuple[str, dict[str, object]]] = [("other arms", {"color": FAINT})] if 1 < len(arms) <= FEW else []
    everybody: tuple[str, dict[str, object]] = (
        "recall everybody",
        {"color": "black", "linewidth": 0.7, "linestyle": (0, (4, 2))},
    )
    key(figure, [everybody, ("recall nobody", {"color": GUIDE, "linewidth": 0.7}), *others])
    return figure, decision


def _net_benefit(axes: Axes, line: pd.DataFrame, colour: str) -> None:
    x = 100 * line["threshold"]
    axes.axhline(0, color=GUIDE, linewidth=0.7, zorder=0)
    axes.plot(x, 1000 * line["treat_all"], color="black", linewidth=0.7, linestyle=(0, (4, 2)), zorder=2)
    axes.fill_between(x, 1000 * line["low"], 1000 * line["high"], color=colour, alpha=0.18, linewidth=0)
    axes.plot(x, 1000 * line["value"], color=colour, linewidth=1.2, zorder=3)


def _thresholds(axes: Axes) -> None:
    """Set a logarithmic axis of thresholds in percent, with figures and not powers of ten."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if low <= tick <= high]
    axes.set_xticks(ticks[:: 1 + len(ticks) // 5])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
