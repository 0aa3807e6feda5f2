"""ROC and precision-recall curves: of every test part, their mean and their spread, without smoothing."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from study.reporting.figures.parts import (
    CELL,
    FEW,
    FigureAndData,
    Looks,
    arms_of,
    columns_of,
    diagonal,
    fit,
    panel_width,
    small_multiples,
)
from study.reporting.figures.parts import unit_square as square
from study.reporting.figures.style import GUIDE, NORMAL, journal_style
from study.text.format import interval

MOST_POINTS = 101
"""Points of a mean curve; with fewer distinct values it is exact."""
MOST_COLUMNS = 7
MOST_CORNERS = 80
MOST_LINES = 10
"""With more test parts the band is their 10th to 90th percentile instead of their range, and folds have no lines."""
Curve = tuple[np.ndarray, np.ndarray]
Between = Callable[[Curve, np.ndarray], np.ndarray]


def test_parts(scores: pd.DataFrame, arm: str, level: str, *, one_run: bool = False) -> Iterator[pd.DataFrame]:
    """Yield the units of each test part of an arm that has both classes; with `one_run` of its first run alone."""
    chosen = scores[(scores["arm"] == arm) & (scores["level"] == level)]
    if one_run:
        chosen = chosen[(chosen["repeat"] == chosen["repeat"].min()) & (chosen["seed"] == chosen["seed"].min())]
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


def average(curves: list[Curve], between: Between, ends: tuple[float, float] = (0, 100)) -> pd.DataFrame:
    """Return the mean of curves over their ordinates at equal abscissae, and their spread.

    The area under the mean is the mean of the areas.

    Args:
        curves: of the test parts.
        between: returns a curve's values below and above each abscissa.
        ends: percentiles of the spread.

    Returns:
        x (each value twice: before and after a jump), mean, low, high.
    """
    at = np.unique(np.concatenate([[0.0, 1.0], *(curve[0] for curve in curves)]))
    if len(at) > MOST_POINTS:
        at = np.linspace(0, 1, MOST_POINTS)
    values = np.stack([between(curve, at) for curve in curves])  # (n_curves, 2, n)
    low, high = np.percentile(values, ends, axis=0)
    columns = {"x": np.repeat(at, 2)} | {
        name: value.T.ravel() for name, value in (("mean", values.mean(axis=0)), ("low", low), ("high", high))
    }
    return pd.DataFrame(columns)


def mean_roc(scores: pd.DataFrame, arm: str, level: str) -> pd.DataFrame:
    """Return the mean ROC curve of an arm: x (false positive rate), mean, low, high."""
    return average([roc_of(part) for part in test_parts(scores, arm, level)], _linear_values)


KINDS: dict[str, tuple[Callable[[pd.DataFrame], Curve], Between, str]] = {
    "roc": (roc_of, _linear_values, "roc_auc"),
    "precision-recall": (precision_of, _step_values, "pr_auc"),
}


@journal_style()
def roc_pr(scores: pd.DataFrame, summary: pd.DataFrame, looks: Looks, level: str) -> FigureAndData:
    """ROC and precision-recall curves, two panels for each arm: test parts thin, mean thick, a band of their spread.

    Args:
        scores: units of `Evaluation.scores`.
        summary: lines of `Evaluation.summary`.
        looks: of all arms.
        level: of the units.

    Returns:
        Data: arm, curve, x, mean, low, high; x is the false positive rate, or the sensitivity.
    """
    arms = arms_of(summary, looks)
    texts = {(arm, kind): _area(summary, arm, level, kind, len(arms)) for arm in arms for kind in KINDS}
    figure, panels = _pairs(arms, texts)
    n_parts = max(len(list(test_parts(scores, arm, level))) for arm in arms)
    ends = (10, 90) if n_parts > MOST_LINES else (0, 100)
    rows = []
    for (arm, kind), axes in panels.items():
        curve_of, between, _ = KINDS[kind]
        curves = [curve_of(part) for part in test_parts(scores, arm, level)]
        mean = average(curves, between, ends)
        colour = looks[arm].colour
        if len(curves) > 1:
            axes.fill_between(mean["x"], mean["low"], mean["high"], color=colour, alpha=0.15, linewidth=0)
        lines = [curve_of(part) for part in test_parts(scores, arm, level, one_run=True)]
        for curve in lines if has_lines(len(lines), len(arms)) else []:
            axes.plot(*thin(curve, kind), color=colour, alpha=0.5, linewidth=0.35)
        axes.plot(mean["x"], mean["mean"], color=colour, linewidth=1.3)
        _guide(axes, kind, scores[scores["level"] == level])
        rows.append(mean.assign(arm=arm, curve=kind))
    return figure, pd.concat(rows, ignore_index=True)[["arm", "curve", "x", "mean", "low", "high"]]


def has_lines(n_folds: int, n_arms: int) -> bool:
    """Whether the curves of one run's folds are drawn: if they are several, but not too many for the panel."""
    return 1 < n_folds <= MOST_LINES and n_arms <= FEW


def thin(curve: Curve, kind: str) -> Curve:
    """Return the corners of a curve as it is drawn thin, at most `MOST_CORNERS` steps of it."""
    x, y = curve
    if kind == "roc" and len(x) > 2:
        turns = np.r_[True, np.diff(x[:-1]) * np.diff(y[1:]) != np.diff(y[:-1]) * np.diff(x[1:]), True]
        x, y = x[turns], y[turns]
    chosen = np.unique(np.linspace(0, len(x) - 1, MOST_CORNERS).round().astype(int))
    x, y = x[chosen], y[chosen]
    return (x, y) if kind == "roc" else (np.r_[0, np.repeat(x, 2)[:-1]], np.repeat(y, 2))


def _area(summary: pd.DataFrame, arm: str, level: str, kind: str, n_arms: int) -> str:
    """Return the table's area with its interval, on two lines where panels are narrow."""
    chosen = (summary["arm"] == arm) & (summary["level"] == level) & (summary["metric"] == KINDS[kind][2])
    value, low, high = summary.loc[chosen, ["value", "low", "high"]].to_numpy()[0]
    text = f"{AREAS[kind]} {interval(KINDS[kind][2], value, low, high)}"
    return text.replace(" (", "\n(") if n_arms > WIDE_ENOUGH else text


AREAS = {"roc": "AUC", "precision-recall": "PR-AUC"}
WIDE_ENOUGH = 4


def _pairs(arms: list[str], texts: dict[tuple[str, str], str]) -> tuple[Figure, dict[tuple[str, str], Axes]]:
    """Return panels by arm and kind: ROC above precision-recall, or beside it where there are one or two arms."""
    if len(arms) <= 2:
        names = [(arm, kind) for arm in arms for kind in KINDS]
        n_columns, below = len(names), [texts[name] for name in names]
        side = panel_width(n_columns, wide=len(arms) > 1)
        figure, panels = small_multiples([arm for arm, _ in names], [side], wide=len(arms) > 1, below=below)
        axes_of = {name: axes for name, (axes,) in zip(names, panels, strict=True)}
    else:
        n_columns, below = columns_of(len(arms), MOST_COLUMNS), [texts[arm, "roc"] for arm in arms]
        side = panel_width(n_columns)
        figure, panels = small_multiples(arms, [side, side], most=MOST_COLUMNS, below=below, between=15)
        axes_of = {
            (arm, kind): pair[row] for arm, pair in zip(arms, panels, strict=True) for row, kind in enumerate(KINDS)
        }
        for arm in arms:
            text = texts[arm, "precision-recall"]
            axes_of[arm, "precision-recall"].set_title(text, fontsize=fit(text, side, NORMAL))
    for number, ((_, kind), axes) in enumerate(axes_of.items()):
        first = len(arms) <= 2 or (number // 2) % n_columns == 0
        square(axes)
        axes.tick_params(labelbottom=True, labelleft=first)
        axes.set_xlabel("1 − specificity" if kind == "roc" else "Sensitivity (recall)")
        axes.set_ylabel(("Sensitivity" if kind == "roc" else "Precision (PPV)") if first else "")
    return figure, axes_of


def _guide(axes: Axes, kind: str, units: pd.DataFrame) -> None:
    """Draw what a score without information would give: the diagonal, or the cohort's share of positives."""
    if kind == "roc":
        diagonal(axes)
    else:
        axes.axhline(share_positive(units), color=GUIDE, linewidth=0.6, zorder=0)


def share_positive(units: pd.DataFrame) -> float:
    """Return the share of positive units among those tested, over all runs of the first arm."""
    return float(units.loc[units["arm"] == units["arm"].iloc[0], "label"].mean())
