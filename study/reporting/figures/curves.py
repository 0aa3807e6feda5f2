"""ROC and precision-recall curves: their mean over the test parts, a band over patients, and operating points."""

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm
from sklearn.metrics import precision_recall_curve, roc_curve

from study.reporting.figures.parts import (
    CELL,
    FOOT,
    MARGIN,
    Entries,
    FigureAndData,
    Looks,
    arms_of,
    columns_of,
    diagonal,
    fit,
    panel_width,
    small_multiples,
    unit_square,
)
from study.reporting.figures.style import DARK, GUIDE, NORMAL, Look, journal_style
from study.stats.bootstrap import patient_weights
from study.stats.curve_errors import GRID, curve_errors
from study.text.format import interval

MOST_POINTS = 101
"""Points of a mean curve; with fewer distinct values it is exact."""
MOST_COLUMNS = 7
N_REPLICATES = 200
"""Resamples behind a band: the standard error is then known to 5 %."""
Curve = tuple[np.ndarray, np.ndarray]
Between = Callable[[Curve, np.ndarray], np.ndarray]
Bands = Callable[[str], dict[str, pd.DataFrame]]
"""Arm -> its mean curves by kind, as `with_bands` returns them."""
POINTS = {
    "threshold for 90 % specificity": ("sensitivity_at_90_specificity", "specificity_achieved", "^"),
    "threshold for 90 % sensitivity": ("sensitivity_achieved", "specificity_at_90_sensitivity", "v"),
    "probability 0.5": ("sensitivity", "specificity", "o"),
}
"""Operating points: the metrics they lie at, and their markers."""


def test_parts(scores: pd.DataFrame, arm: str, level: str) -> Iterator[pd.DataFrame]:
    """Yield the units of each test part of an arm that has both classes."""
    chosen = scores[(scores["arm"] == arm) & (scores["level"] == level)]
    for _, part in chosen.groupby(CELL):
        if part["label"].nunique() == 2:
            yield part


def roc_of(part: pd.DataFrame) -> Curve:
    """Return the false positive rates, ascending, and sensitivities of one test part."""
    false_positive, sensitivity, _ = roc_curve(part["label"], part["logit"], drop_intermediate=False)
    return false_positive, sensitivity


def precision_of(part: pd.DataFrame) -> Curve:
    """Return the distinct sensitivities above 0, ascending, and the precision at which each is first reached."""
    precision, sensitivity, _ = precision_recall_curve(part["label"], part["logit"])
    reached, last = np.unique(sensitivity[::-1], return_index=True)  # thresholds from high to low
    at_reached = precision[::-1][last]
    return reached[reached > 0], at_reached[reached > 0]


def _linear_values(curve: Curve, at: np.ndarray) -> np.ndarray:
    """Return a ROC curve just below and just above each rate: (2, n); ties are its slopes, jumps have two values."""
    rates = curve[0] + np.arange(len(curve[0])) * 1e-12
    return np.stack([np.interp(at - 1e-8, rates, curve[1]), np.interp(at + 1e-8, rates, curve[1])])


def _step_values(curve: Curve, at: np.ndarray) -> np.ndarray:
    """Return the precision below and above each sensitivity, (2, n): steps whose area is the average precision."""
    below, above = (np.searchsorted(curve[0], at + shift) for shift in (-1e-8, 1e-8))
    return np.stack([curve[1][np.minimum(place, len(curve[1]) - 1)] for place in (below, above)])


def average(curves: list[Curve], between: Between) -> pd.DataFrame:
    """Return the mean of curves over their ordinates at equal abscissae; the area under it is the mean of the areas.

    Args:
        curves: of the test parts.
        between: returns a curve's values below and above each abscissa.

    Returns:
        x (each value twice: before and after a jump), mean.
    """
    at = np.unique(np.concatenate([[0.0, 1.0], *(curve[0] for curve in curves)]))
    if len(at) > MOST_POINTS:
        at = np.linspace(0, 1, MOST_POINTS)
    mean = np.mean([between(curve, at) for curve in curves], axis=0)  # (2, n)
    return pd.DataFrame({"x": np.repeat(at, 2), "mean": mean.T.ravel()})


def mean_roc(scores: pd.DataFrame, arm: str, level: str) -> pd.DataFrame:
    """Return the mean ROC curve of an arm: x (false positive rate), mean."""
    return average([roc_of(part) for part in test_parts(scores, arm, level)], _linear_values)


KINDS: dict[str, tuple[Callable[[pd.DataFrame], Curve], Between, str]] = {
    "roc": (roc_of, _linear_values, "roc_auc"),
    "precision-recall": (precision_of, _step_values, "pr_auc"),
}


def with_bands(scores: pd.DataFrame, arm: str, level: str) -> dict[str, pd.DataFrame]:
    """Return the mean curves of an arm by kind, each with a pointwise 95 % band over patients: x, mean, low, high."""
    parts = list(test_parts(scores, arm, level))
    units = pd.concat(parts)
    people = units.groupby("patient_id", sort=True).agg(label=("label", "max"), fold=("fold", "first"))
    rng = np.random.Generator(np.random.PCG64(0))
    weights = patient_weights((2 * people["fold"] + people["label"]).to_numpy(), N_REPLICATES, rng)
    arrays = (
        (part["label"].to_numpy(), part["logit"].to_numpy(), people.index.get_indexer(pd.Index(part["patient_id"])))
        for part in parts
    )
    curves = {}
    for kind, errors in zip(KINDS, curve_errors(arrays, weights), strict=True):
        curve_of, between, _ = KINDS[kind]
        mean = average([curve_of(part) for part in parts], between)
        half = norm.ppf(0.975) * np.interp(mean["x"], GRID, errors)
        low, high = (np.clip(mean["mean"] + sign * half, 0, 1) for sign in (-1, 1))
        curves[kind] = mean.assign(low=low, high=high)
    return curves


def bands_of(scores: pd.DataFrame, level: str) -> Bands:
    """Return what computes the curves of an arm once, for all figures that show them."""
    return cache(partial(with_bands, scores, level=level))


@journal_style()
def roc_pr(
    scores: pd.DataFrame, summary: pd.DataFrame, looks: Looks, level: str, bands: Bands | None = None
) -> FigureAndData:
    """ROC and precision-recall curves, two panels for each arm: mean over test parts, band, operating points.

    Args:
        scores: units of `Evaluation.scores`.
        summary: lines of `Evaluation.summary`.
        looks: of all arms.
        level: of the units.
        bands: `bands_of` these scores, where other figures have it too.

    Returns:
        Data: arm, curve, what (curve, or the operating point), x, mean, low, high; x is the false positive rate, or
        the sensitivity.
    """
    arms = arms_of(summary, looks)
    texts = {(arm, kind): area(summary, arm, level, kind, len(arms)) for arm in arms for kind in KINDS}
    shown = {what for arm in arms for what in operating_points(summary, arm, level)["what"]}
    entries = [(what, _mark(marker)) for what, (*_, marker) in POINTS.items() if what in shown]
    figure, panels = _pairs(arms, texts, looks, entries)
    share, bands = share_positive(scores[scores["level"] == level]), bands or bands_of(scores, level)
    rows = []
    for arm in arms:
        points = operating_points(summary, arm, level)
        for kind, curve in bands(arm).items():
            axes = panels[arm, kind]
            draw_curve(axes, curve, looks[arm])
            if kind == "roc":
                diagonal(axes)
            else:
                axes.axhline(share, color=GUIDE, linewidth=0.6, zorder=0)
            at = mark_points(axes, points, kind, share)
            rows += [curve.assign(arm=arm, curve=kind, what="curve"), at.assign(arm=arm, curve=kind)]
    return figure, pd.concat(rows, ignore_index=True)[["arm", "curve", "what", "x", "mean", "low", "high"]]


def draw_curve(axes: Axes, curve: pd.DataFrame, look: Look) -> None:
    """Draw a mean curve with its band."""
    axes.fill_between(curve["x"], curve["low"], curve["high"], color=look.colour, alpha=0.18, linewidth=0)
    axes.plot(curve["x"], curve["mean"], color=look.colour, linewidth=1.2)


def operating_points(summary: pd.DataFrame, arm: str, level: str) -> pd.DataFrame:
    """Return what, sensitivity and specificity of an arm's operating points, as the tables have them."""
    values = summary[(summary["arm"] == arm) & (summary["level"] == level)].set_index("metric")["value"]
    rows = [(what, values.get(one, np.nan), values.get(other, np.nan)) for what, (one, other, _) in POINTS.items()]
    return pd.DataFrame(rows, columns=["what", "sensitivity", "specificity"]).dropna()


def _mark(marker: str) -> dict[str, Any]:
    return {
        "marker": marker,
        "linestyle": "none",
        "color": DARK,
        "markersize": 3.8,
        "markeredgecolor": "white",
        "markeredgewidth": 0.5,
    }


def mark_points(axes: Axes, points: pd.DataFrame, kind: str, share: float) -> pd.DataFrame:
    """Mark operating points in a panel and return where they lie: what, x, mean.

    The precision at a point is that of the cohort's share of positives.
    """
    sensitivity, alarms = points["sensitivity"], 1 - points["specificity"]
    called = sensitivity * share + alarms * (1 - share)
    precision = (sensitivity * share).divide(called.where(called > 0))
    x, y = (alarms, sensitivity) if kind == "roc" else (sensitivity, precision)
    at = pd.DataFrame({"what": points["what"], "x": x, "mean": y})
    for what, place, height in zip(at["what"], at["x"], at["mean"], strict=True):
        axes.plot(place, height, zorder=5, clip_on=False, **_mark(POINTS[what][2]))
    return at


def area(summary: pd.DataFrame, arm: str, level: str, kind: str, n_arms: int = 1) -> str:
    """Return the table's area with its interval, on two lines where panels are narrow."""
    chosen = (summary["arm"] == arm) & (summary["level"] == level) & (summary["metric"] == KINDS[kind][2])
    value, low, high = summary.loc[chosen, ["value", "low", "high"]].to_numpy()[0]
    text = f"{AREAS[kind]} {interval(KINDS[kind][2], value, low, high)}"
    return text.replace(" (", "\n(") if n_arms > WIDE_ENOUGH else text


AREAS = {"roc": "AUC", "precision-recall": "PR-AUC"}
WIDE_ENOUGH = 4
LABELS = {"roc": ("1 − specificity", "Sensitivity"), "precision-recall": ("Sensitivity (recall)", "Precision (PPV)")}


def _pairs(
    arms: list[str], texts: dict[tuple[str, str], str], looks: Looks, entries: Entries
) -> tuple[Figure, dict[tuple[str, str], Axes]]:
    """Return panels by arm and kind: ROC above precision-recall, or beside it where there are one or two arms."""
    if len(arms) <= 2:
        keys = [(arm, kind) for arm in arms for kind in KINDS]
        n_columns, below = len(keys), [texts[one] for one in keys]
        where: dict[str, Any] = {"wide": len(arms) > 1, "apart": MARGIN}
        side, names = panel_width(n_columns, **where), [looks[arm].name for arm, _ in keys]
        figure, panels = small_multiples(names, [side], below=below, entries=entries, **where)
        axes_of = {one: axes for one, (axes,) in zip(keys, panels, strict=True)}
    else:
        n_columns, below = columns_of(len(arms), MOST_COLUMNS), [texts[arm, "roc"] for arm in arms]
        side, names = panel_width(n_columns), [looks[arm].name for arm in arms]
        figure, panels = small_multiples(
            names,
            [side, side],
            most=MOST_COLUMNS,
            below=below,
            between=FOOT + 3 * (below[0].count("\n") + 1),
            entries=entries,
        )
        axes_of = {
            (arm, kind): pair[row] for arm, pair in zip(arms, panels, strict=True) for row, kind in enumerate(KINDS)
        }
        for arm in arms:
            text = texts[arm, "precision-recall"]
            axes_of[arm, "precision-recall"].set_title(text, fontsize=fit(text, side, NORMAL))
    for number, ((_, kind), axes) in enumerate(axes_of.items()):
        first = len(arms) <= 2 or (number // 2) % n_columns == 0
        unit_square(axes, box=False)  # its sides are equal already
        axes.tick_params(labelbottom=True, labelleft=first)
        axes.set(xlabel=LABELS[kind][0], ylabel=LABELS[kind][1] if first else "")
    return figure, axes_of


def share_positive(units: pd.DataFrame) -> float:
    """Return the share of positive units among those tested, over all runs of the first arm."""
    return float(units.loc[units["arm"] == units["arm"].iloc[0], "label"].mean())
