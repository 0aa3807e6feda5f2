"""Predicted probabilities: how well they are calibrated, and how they lie in each class."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from study.reporting.figures.parts import (
    FigureAndData,
    Looks,
    arms_of,
    columns_of,
    diagonal,
    key,
    panel_width,
    small_multiples,
    unit_square,
)
from study.reporting.figures.style import DARK, FAINT, GUIDE, SMALL, journal_style

N_BINS = 25
LEAST_FILLED = 0.02
CROWDED = 0.5
"""Axes of probabilities end at 1, or, where all of them lie below this, at the next tenth."""


def reach(units: pd.DataFrame, reliability: pd.DataFrame) -> float:
    """Return where axes of probabilities end, so that rare outcomes are not pressed into a corner."""
    columns = [units["prob_calibrated"], reliability["mean_prob"], reliability["observed"]]
    if "high" in reliability:
        columns.append(reliability["high"])
    greatest = float(np.nanmax([column.max() for column in columns] + [0.0]))
    return 1.0 if greatest > CROWDED else max(np.ceil(10 * greatest) / 10, 0.1)


@journal_style()
def calibration(scores: pd.DataFrame, reliability: pd.DataFrame, looks: Looks, level: str) -> FigureAndData:
    """Observed against predicted share of positives by arm, with intervals, above a histogram of the predictions.

    Args:
        scores: units of `Evaluation.scores`.
        reliability: lines of `Evaluation.reliability`; those before scaling are drawn in grey where they differ.
        looks: of all arms.
        level: of the units.

    Returns:
        Data: the lines of `reliability` that were drawn.
    """
    arms, units = arms_of(reliability, looks), scores[scores["level"] == level]
    upper, side = reach(units, reliability), panel_width(columns_of(len(arms)), wide=len(arms) > 1)
    figure, panels = small_multiples(arms, [min(side, 74), 9], wide=len(arms) > 1, extra=5)
    n_columns = columns_of(len(arms))
    shown, scaled = [], False
    for number, (arm, (axes, below)) in enumerate(zip(arms, panels, strict=True)):
        lines = reliability[reliability["arm"] == arm].sort_values(["stage", "mean_prob"])
        after, before = (lines[lines["stage"] == stage] for stage in ("after", "before"))
        scaled |= _before(axes, before, after)
        _after(axes, after, looks[arm].colour, looks[arm].marker)
        diagonal(axes, upper)
        unit_square(axes, upper, box=False)  # the histogram below is to be as wide
        axes.tick_params(labelbottom=False)
        _histogram(below, units.loc[units["arm"] == arm, "prob_calibrated"], upper, looks[arm].colour)
        below.set_xlabel("Predicted probability")
        if number % n_columns == 0:
            axes.set_ylabel("Observed share")
            below.set_ylabel("Share (%)")
        shown.append(lines)
    grey = [("before scaling", {"color": GUIDE, "marker": ".", "linewidth": 0.8})] if scaled else []
    said = "after scaling" if scaled else "observed share"
    key(figure, [(f"{said}, with 95 % interval", {"marker": "o", "markersize": 3}), *grey])
    return figure, pd.concat(shown, ignore_index=True)


def has_enough_units(bins: pd.DataFrame) -> pd.Series:
    """Return which bins hold enough units to be joined by a line: tied predictions leave a bin with hardly any."""
    return bins["n_units"] >= LEAST_FILLED * bins["n_units"].sum()


def _before(axes: Axes, before: pd.DataFrame, after: pd.DataFrame) -> bool:
    """Draw the probabilities before scaling lightly; nothing where there are none or scaling changed none."""
    same = len(before) == len(after) and np.allclose(before["mean_prob"], after["mean_prob"])
    if before.empty or same:
        return False
    axes.plot(before["mean_prob"], before["observed"], color=GUIDE, linewidth=0.8, marker=".", markersize=2.5, zorder=1)
    return True


def _after(axes: Axes, after: pd.DataFrame, colour: str, marker: str) -> None:
    length = np.stack([after["observed"] - after["low"], after["high"] - after["observed"]])
    joined = after[has_enough_units(after)]
    axes.plot(joined["mean_prob"], joined["observed"], color=colour, linewidth=0.9)
    axes.errorbar(
        after["mean_prob"],
        after["observed"],
        yerr=np.clip(length, 0, None),
        color=colour,
        marker=marker,
        markersize=2.6,
        linestyle="",
        elinewidth=0.5,
        markeredgewidth=0.6,
    )


def _histogram(axes: Axes, probs: pd.Series, upper: float, colour: str) -> None:
    n, edges = np.histogram(probs.dropna(), bins=N_BINS, range=(0, upper))
    axes.stairs(100 * n / max(n.sum(), 1), edges, fill=True, color=colour, linewidth=0)
    axes.set(xlim=(-0.01 * upper, 1.01 * upper), ylim=(0, None))
    ticks = np.linspace(0, upper, 3)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.locator_params(axis="y", nbins=2)
    axes.tick_params(labelleft=True)


@journal_style()
def risk(scores: pd.DataFrame, looks: Looks, level: str, *, name: str = "Calibrated probability") -> FigureAndData:
    """Distribution of predicted probabilities by class, and by status where there are several, for every arm.

    Van Calster et al. 2025: the distribution of probabilities by outcome belongs to every report.

    Args:
        scores: units of `Evaluation.scores`.
        looks: of all arms.
        level: of the units.
        name: of the probabilities.

    Returns:
        Data: arm, label, status, low, high (of the bin), share (of the class's units), n_units.
    """
    units = scores[(scores["level"] == level) & scores["prob_calibrated"].notna()]
    arms, groups = arms_of(units, looks), _groups(units)
    upper = (
        1.0 if units["prob_calibrated"].max() > CROWDED else max(np.ceil(10 * units["prob_calibrated"].max()) / 10, 0.1)
    )
    figure, panels = small_multiples(arms, [4 + 7.0 * len(groups)], wide=len(arms) > 1)
    rows: list[pd.DataFrame] = []
    for number, (arm, (axes,)) in enumerate(zip(arms, panels, strict=True)):
        of_arm = units[units["arm"] == arm]
        for place, (label, status) in enumerate(groups):
            chosen = of_arm.loc[(of_arm["label"] == label) & (of_arm["status"] == status), "prob_calibrated"]
            rows.append(
                _ridge(axes, chosen, place, upper, looks[arm].colour, filled=label == 1).assign(
                    arm=arm, label=label, status=status
                )
            )
        _ridge_axes(axes, groups, upper, first=number % columns_of(len(arms)) == 0, name=name)
    data = pd.concat(rows, ignore_index=True)
    return figure, data[["arm", "label", "status", "low", "high", "share", "n_units"]]


def _groups(units: pd.DataFrame) -> list[tuple[int, str]]:
    """Return (label, status) from positive to negative, each in order of size."""
    sizes = units.groupby(["label", "status"], observed=True).size().sort_values(ascending=False, kind="stable")
    return sorted(((int(label), str(status)) for label, status in sizes.index), key=lambda group: -group[0])


def _ridge(axes: Axes, probs: pd.Series, place: int, upper: float, colour: str, *, filled: bool) -> pd.DataFrame:
    """Draw a histogram on its own line, with its median and quartiles below; return its bins."""
    n, edges = np.histogram(probs, bins=N_BINS, range=(0, upper))
    share, base = n / max(n.sum(), 1), place + 0.3
    axes.stairs(
        base - 0.76 * share / max(share.max(), 1e-12),
        edges,
        baseline=base,
        fill=True,
        facecolor=colour if filled else FAINT,
        edgecolor=colour,
        linewidth=0.5,
    )
    if len(probs):
        low, middle, high = np.quantile(probs, [0.25, 0.5, 0.75])
        axes.plot([low, high], [base + 0.1] * 2, color=DARK, linewidth=1.2, solid_capstyle="butt")
        axes.plot(
            middle, base + 0.1, marker="o", color=DARK, markersize=2.2, markerfacecolor="white", markeredgewidth=0.6
        )
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "share": share, "n_units": int(n.sum())})


def _ridge_axes(axes: Axes, groups: list[tuple[int, str]], upper: float, *, first: bool, name: str) -> None:
    labels = [f"{status}\n{'positive' if label else 'negative'}" for label, status in groups]
    axes.set(xlim=(-0.01 * upper, 1.01 * upper), ylim=(len(groups) - 0.45, -0.65), xlabel=name)
    axes.set_yticks(range(len(groups)), labels if first else [""] * len(groups), fontsize=SMALL)
    ticks = np.linspace(0, upper, 3)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
