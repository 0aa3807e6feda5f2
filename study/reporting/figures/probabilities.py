"""Predicted probabilities: how well they are calibrated, and how they lie in each class."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from study.reporting.facts.counts import CURVE_NEEDS
from study.reporting.figures.parts import (
    FigureAndData,
    Looks,
    arms_of,
    columns_of,
    diagonal,
    panel_width,
    same_limits,
    small_multiples,
    unit_square,
)
from study.reporting.figures.style import DARK, DPI, FAINT, GUIDE, MM, SMALL, journal_style
from study.stats.calibration import EDGE

N_BINS = 25
CROWDED = 0.5
"""Axes of probabilities end at 1, or, where all of them lie below this, at the next tenth."""
KNOTS, ENDS, N_POINTS = (0.1, 0.5, 0.9), (0.01, 0.99), 60
"""Of the smoothed curves: quantiles of the knots, quantiles between which they are drawn, points."""
FEWEST, LEAST, WEAK = 5, 30, 100.0
"""Distinct probabilities that a smoothed curve needs, patients of the rarer class that a flexible one needs, and its
inverse penalty, so that small samples have a curve at all."""
BEFORE: dict[str, Any] = {"color": DARK, "linewidth": 0.9, "linestyle": (0, (1, 1.2))}


def reach(units: pd.DataFrame, reliability: pd.DataFrame) -> float:
    """Return where axes of probabilities end, so that rare outcomes are not pressed into a corner."""
    columns = [units["prob_calibrated"], reliability["mean_prob"], reliability["observed"]]
    if "high" in reliability:
        columns.append(reliability["high"])
    greatest = float(np.nanmax([column.max() for column in columns] + [0.0]))
    return 1.0 if greatest > CROWDED else max(np.ceil(10 * greatest) / 10, 0.1)


def smooth(probs: pd.Series, labels: pd.Series, *, flexible: bool) -> pd.DataFrame:
    """Return the calibration curve of probabilities where 98 % of them lie: x, y; empty where they hardly vary.

    Logistic regression of the outcome on the logit, if `flexible` on its restricted cubic spline with three knots
    (Harrell 2015, section 2.4; Austin and Steyerberg 2014).
    """
    known = probs.notna()
    x, y = logit(np.clip(probs[known].to_numpy(dtype=float), EDGE, 1 - EDGE)), labels[known].to_numpy()
    if len(np.unique(x)) < FEWEST or len(np.unique(y)) < 2:
        return pd.DataFrame({"x": [], "y": []})
    knots = np.quantile(x, KNOTS if flexible else (0, 0, 0))
    low, high = expit(np.quantile(x, ENDS))
    at = logit(np.linspace(low, high, N_POINTS))
    fitted = LogisticRegression(C=WEAK, max_iter=1000).fit(_spline(x, knots), y)
    return pd.DataFrame({"x": expit(at), "y": fitted.predict_proba(_spline(at, knots))[:, 1]})


def _spline(x: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Return x and, where the three knots differ, the one further term of its restricted cubic spline: (n, 2)."""
    low, middle, high = knots
    if not low < middle < high:
        return x[:, None]
    one, two, three = (np.clip(x - knot, 0, None) ** 3 for knot in knots)
    further = one - two * (high - low) / (high - middle) + three * (middle - low) / (high - middle)
    return np.stack([x, further / (high - low) ** 2], axis=1)


def smoothed(units: pd.DataFrame, stage: str = "after") -> pd.DataFrame:
    """Return the flexible calibration curve of some units of one arm, before or after Platt scaling; empty for few."""
    probs = units["prob_calibrated"] if stage == "after" else pd.Series(expit(units["logit"]), units.index)
    labels = units.groupby("patient_id")["label"].max()
    rarer = min(labels.sum(), len(labels) - labels.sum())
    if rarer < CURVE_NEEDS:
        return pd.DataFrame({"x": [], "y": []})
    return smooth(probs, units["label"], flexible=rarer >= LEAST)


@journal_style()
def calibration(scores: pd.DataFrame, reliability: pd.DataFrame, looks: Looks, level: str) -> FigureAndData:
    """Observed against predicted share of positives by arm: smoothed curve, bins with intervals, histogram by class.

    Args:
        scores: units of `Evaluation.scores`.
        reliability: lines of `Evaluation.reliability`; the curve before scaling is drawn where it differs.
        looks: of all arms.
        level: of the units.

    Returns:
        Data: the lines of `reliability` that were drawn as points.
    """
    arms, units = arms_of(reliability, looks), scores[scores["level"] == level]
    n_columns = columns_of(len(arms))
    upper, side = reach(units, reliability), panel_width(n_columns, wide=len(arms) > 1)
    names = [looks[arm].name for arm in arms]
    scaled = {arm for arm in arms if _differ(reliability[reliability["arm"] == arm])}
    entries = [("smoothed", {"linewidth": 1.4}), ("tenths of the cohort, 95 % CI", POINT)]
    entries += [("before scaling, smoothed", BEFORE)] if scaled else []
    figure, panels = small_multiples(names, [min(side, 74), 11], wide=len(arms) > 1, entries=entries)
    shown = []
    for number, (arm, (axes, below)) in enumerate(zip(arms, panels, strict=True)):
        of_arm, lines = units[units["arm"] == arm], reliability[reliability["arm"] == arm]
        after = lines[lines["stage"] == "after"].sort_values("mean_prob")
        if arm in scaled:
            curve = smoothed(of_arm, "before")
            axes.plot(curve["x"], curve["y"], zorder=2, **BEFORE)
        curve = smoothed(of_arm)
        axes.plot(curve["x"], curve["y"], color=looks[arm].colour, linewidth=1.4, zorder=3)
        _bins(axes, after, looks[arm].colour)
        diagonal(axes, upper)
        unit_square(axes, upper, box=False, side=side)  # the histogram below is to be as wide
        axes.tick_params(labelbottom=False)
        mirrored(below, by_class(of_arm, upper), looks[arm].colour)
        below.set_xticks(axes.get_xticks(), [f"{tick:g}" for tick in axes.get_xticks()])
        below.set(xlim=axes.get_xlim(), xlabel="Predicted probability")
        below.locator_params(axis="y", nbins=3)
        below.yaxis.set_major_formatter(lambda share, _: f"{abs(share):g}")
        if number % n_columns == 0:
            axes.set_ylabel("Observed share of positives")
            below.set_ylabel("%")
        shown.append(after)
    same_limits([below for _, below in panels])
    return figure, pd.concat(shown, ignore_index=True)


def _differ(lines: pd.DataFrame) -> bool:
    """Whether an arm's probabilities before scaling are others than those after it."""
    before, after = (lines.loc[lines["stage"] == stage, "mean_prob"].to_numpy() for stage in ("before", "after"))
    return bool(len(before)) and not (len(before) == len(after) and np.allclose(before, after))


POINT: dict[str, Any] = {
    "marker": "o",
    "markersize": 2.6,
    "linestyle": "none",
    "markerfacecolor": "white",
    "markeredgewidth": 0.7,
}


def _bins(axes: Axes, after: pd.DataFrame, colour: str) -> None:
    """Draw the observed share in each bin with its interval."""
    length = np.stack([after["observed"] - after["low"], after["high"] - after["observed"]])
    look = POINT | {"color": colour, "elinewidth": 0.5, "zorder": 4, "clip_on": False}
    axes.errorbar(after["mean_prob"], after["observed"], yerr=np.clip(length, 0, None), **look)


def by_class(units: pd.DataFrame, upper: float, n_bins: int = N_BINS) -> pd.DataFrame:
    """Return the histogram of an arm's probabilities up to `upper`: label, low, high (of the bin), share (of all)."""
    found = {
        label: np.histogram(
            units.loc[units["label"] == label, "prob_calibrated"].dropna(), bins=n_bins, range=(0, upper)
        )
        for label in (1, 0)
    }
    return pd.concat(
        [
            pd.DataFrame({"label": label, "low": edges[:-1], "high": edges[1:], "share": n / max(len(units), 1)})
            for label, (n, edges) in found.items()
        ],
        ignore_index=True,
    )


def mirrored(axes: Axes, bins: pd.DataFrame, colour: str, *, at: float = 0.0, per: float = 100.0) -> None:
    """Draw a histogram of `by_class`, positives upwards in colour, negatives downwards in grey.

    Args:
        axes: where.
        bins: of one arm.
        colour: of the positives.
        at: the base line.
        per: height of a share of 1; negative where the ordinate points downwards.
    """
    for label, fill in ((1, colour), (0, GUIDE)):
        side = bins[bins["label"] == label]
        tops = at + (1 if label else -1) * per * side["share"]
        axes.stairs(tops, [*side["low"], side["high"].iloc[-1]], baseline=at, fill=True, color=fill, linewidth=0)
    axes.plot([0, bins["high"].max()], [at] * 2, color=DARK, linewidth=0.4)


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
    greatest = units["prob_calibrated"].max()
    upper = 1.0 if greatest > CROWDED else max(np.ceil(10 * greatest) / 10, 0.1)
    places = [(arm, label, status) for arm in arms for label, status in groups]
    probs = {
        (arm, label, status): units.loc[
            (units["arm"] == arm) & (units["label"] == label) & (units["status"] == status), "prob_calibrated"
        ]
        for arm, label, status in places
    }
    data = pd.concat([_shares(probs[place], upper, *place) for place in places], ignore_index=True)
    most = float(data["share"].max())
    names = [looks[arm].name for arm in arms]
    figure, panels = small_multiples(names, [4 + 8.0 * len(groups)], wide=len(arms) > 1, margin=14, aside=6)
    for number, (arm, (axes,)) in enumerate(zip(arms, panels, strict=True)):
        for place, (label, status) in enumerate(groups):
            bins = data[(data["arm"] == arm) & (data["label"] == label) & (data["status"] == status)]
            _ridge(axes, probs[arm, label, status], bins, place, most, looks[arm].colour, filled=label == 1)
        _ridge_axes(axes, groups, upper, first=number % columns_of(len(arms)) == 0, name=name)
        if number == len(arms) - 1:
            _scale_bar(axes, most)
    return figure, data


def _groups(units: pd.DataFrame) -> list[tuple[int, str]]:
    """Return (label, status) from positive to negative, each in order of size."""
    sizes = units.groupby(["label", "status"], observed=True).size().sort_values(ascending=False, kind="stable")
    return sorted(((int(label), str(status)) for label, status in sizes.index), key=lambda group: -group[0])


def _shares(probs: pd.Series, upper: float, arm: str, label: int, status: str) -> pd.DataFrame:
    n, edges = np.histogram(probs, bins=N_BINS, range=(0, upper))
    ends = {"low": edges[:-1], "high": edges[1:]}
    return pd.DataFrame(
        {"arm": arm, "label": label, "status": status, **ends, "share": n / max(n.sum(), 1), "n_units": int(n.sum())}
    )


RISE = 0.74
"""Height of the highest bin of all panels, in lines."""


def _ridge(
    axes: Axes, probs: pd.Series, bins: pd.DataFrame, place: int, most: float, colour: str, *, filled: bool
) -> None:
    """Draw a histogram on its own line, with its median and quartiles below."""
    base = place + 0.3
    axes.stairs(
        base - RISE * bins["share"] / max(most, 1e-12),
        [*bins["low"], bins["high"].iloc[-1]],
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


def _scale_bar(axes: Axes, most: float) -> None:
    """Draw the height of a round share at the right, which goes for all panels."""
    share = max((s for s in (0.5, 0.2, 0.1, 0.05, 0.02) if s <= most), default=most)
    at: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points"}
    line = {"arrowstyle": "-", "linewidth": 1, "color": DARK, "shrinkA": 0, "shrinkB": 0}
    x = 1 + 2.0 / (axes.get_window_extent().width / DPI / MM)  # 2 mm aside
    axes.annotate("", (x, 0.3), (x, 0.3 - RISE * share / most), axes.get_yaxis_transform(), arrowprops=line)
    axes.annotate(f"{100 * share:g} %", (x, 0.3), xytext=(2, 0), fontsize=SMALL, annotation_clip=False, **at)


def _ridge_axes(axes: Axes, groups: list[tuple[int, str]], upper: float, *, first: bool, name: str) -> None:
    labels = [f"{status}\n{'positive' if label else 'negative'}" for label, status in groups]
    axes.set(xlim=(-0.01 * upper, 1.01 * upper), ylim=(len(groups) - 0.45, -0.65), xlabel=name)
    axes.set_yticks(range(len(groups)), labels if first else [""] * len(groups), fontsize=SMALL)
    ticks = np.linspace(0, upper, 3)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
