"""Inference on the area under the ROC curve: DeLong, clustered DeLong (Obuchowski), and both under cross-validation.

Arrays: `labels` (n,) of 0 and 1; `scores` (n_models, n), paired over the rows; `patients` (n,) of any values that name
the independent unit. Everything is about fitted models on new patients (estimand E1).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm, t


@dataclass(frozen=True)
class Areas:
    """AUCs of several models on the same rows.

    Attributes:
        value: (n_models,).
        covariance: (n_models, n_models); NaN where it cannot be estimated.
        undetermined: number of test parts whose variance the data do not give (a model separates them perfectly, or
            fewer than two patients of a class) and was taken from Hanley and McNeil's formula instead.
        df: degrees of freedom of the variances: patients of the rarer class, less one for each test part's mean.
    """

    value: np.ndarray
    covariance: np.ndarray
    undetermined: int = 0
    df: float = float("inf")

    @property
    def se(self) -> np.ndarray:
        """Standard errors (n_models,)."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))  # rounding may leave a zero variance below 0

    def difference(self, first: int, second: int) -> tuple[float, float]:
        """Return value and standard error of the difference of two models, first minus second."""
        c = self.covariance
        variance = c[first, first] + c[second, second] - 2 * c[first, second]
        return float(self.value[first] - self.value[second]), float(np.sqrt(max(variance, 0.0)))


def placements(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the structural components V10 (n_models, n_positive) and V01 (n_models, n_negative); ties count half.

    V10 of a positive is the share of negatives below it, V01 of a negative the share of positives above it (DeLong et
    al. 1988); by binary search, which costs O(n log n) as midranks do (Sun and Xu 2014).

    Raises:
        ValueError: one class alone, or a score that is no number.
    """
    positive = np.asarray(labels) == 1
    scores = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        raise ValueError("an AUC needs both classes")
    if np.isnan(scores).any():
        raise ValueError("a score is NaN")
    v10 = np.stack([_share_below(row[positive], row[~positive]) for row in scores])
    v01 = 1 - np.stack([_share_below(row[~positive], row[positive]) for row in scores])
    return v10, v01


def _share_below(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return for each score (n,) the share of others (n_others,) below it, ties by half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, scores, side="left") + np.searchsorted(ordered, scores, side="right")
    return below / (2 * len(others))


def delong(labels: np.ndarray, scores: np.ndarray) -> Areas:
    """Return AUCs and covariance for independent rows (DeLong et al. 1988)."""
    return clustered_delong(labels, scores, np.arange(len(labels)))


def clustered_delong(labels: np.ndarray, scores: np.ndarray, patients: np.ndarray) -> Areas:
    """Return AUCs and covariance for rows clustered in patients (Obuchowski 1997).

    With one row a patient it is DeLong's.
    """
    part = _Part(labels, scores, patients)
    return Areas(part.value, part.covariance)


class _Part:
    """Sums of the structural components by patient: the terms X_i - m_i A and Y_i - n_i A of Obuchowski's variance.

    Attributes:
        value: (n_models,).
        patients: the patients (n_patients,).
        x, y: (n_models, n_patients), already divided by the number of positive and negative rows.
        c10, c01, c11: small-sample factors I/(I-1); NaN with fewer than two patients.
    """

    def __init__(self, labels: np.ndarray, scores: np.ndarray, patients: np.ndarray) -> None:
        v10, v01 = placements(labels, scores)
        self.value = v10.mean(axis=1)
        self.patients, index = np.unique(patients, return_inverse=True)
        positive, n = np.asarray(labels) == 1, len(self.patients)
        self.x, self.y = (
            np.stack([np.bincount(index[chosen], row, n) for row in v - self.value[:, None]]) / chosen.sum()
            for v, chosen in ((v10, positive), (v01, ~positive))
        )
        self.n_positive, self.n_negative = len(np.unique(index[positive])), len(np.unique(index[~positive]))
        self.c10, self.c01, self.c11 = (_correction(count) for count in (self.n_positive, self.n_negative, n))

    @property
    def covariance(self) -> np.ndarray:
        """Obuchowski's covariance (n_models, n_models)."""
        crossed = self.x @ self.y.T
        return self.c10 * self.x @ self.x.T + self.c01 * self.y @ self.y.T + self.c11 * (crossed + crossed.T)

    @property
    def undetermined(self) -> bool:
        """Whether the data give no variance: too few patients, or a perfect (or perfectly wrong) model."""
        return np.isnan(self.c10 + self.c01) or bool(np.isin(self.value, (0.0, 1.0)).any())


def _correction(n: int) -> float:
    return n / (n - 1) if n > 1 else float("nan")


def cross_validated_delong(
    labels: np.ndarray, scores: np.ndarray, patients: np.ndarray, folds: np.ndarray, runs: np.ndarray | None = None
) -> Areas:
    """Return the mean of within-fold AUCs and its covariance, over patients.

    One run: Var = sum of the folds' clustered variances / K². Several runs (repeats, seeds) share patients: each
    patient's influence values are averaged over the runs first, then squared and summed over patients.
    A fold that a model separates perfectly has an unknown variance, not 0: it gets Hanley and McNeil's (1982) at the
    mean AUC, with the correlation between models that the other folds show.

    Args:
        labels: (n,).
        scores: (n_models, n).
        patients: (n,).
        folds: (n,) test fold of each row.
        runs: (n,) run (repeat and seed) of each row; None for a single one.

    Raises:
        ValueError: a fold with one class alone, or a score that is no number.
    """
    scores = np.atleast_2d(scores)
    runs = np.zeros(len(labels), dtype=int) if runs is None else np.asarray(runs)
    people, index = np.unique(patients, return_inverse=True)
    n_runs, n_models, df = len(np.unique(runs)), len(scores), 0.0
    value = np.zeros(n_models)
    x, y, crossed_x, crossed_y = np.zeros((4, n_models, len(people)))
    unknown = []
    for run in np.unique(runs):
        tested = np.unique(np.asarray(folds)[runs == run])
        for fold in tested:
            rows = np.flatnonzero((runs == run) & (folds == fold))
            part = _Part(labels[rows], scores[:, rows], index[rows])
            share = 1 / (len(tested) * n_runs)
            value += share * part.value
            df += (min(part.n_positive, part.n_negative) - 1) / n_runs
            if part.undetermined:
                unknown.append((part.n_positive, part.n_negative, 1 / len(tested) ** 2 / n_runs))
                continue
            at = part.patients
            x[:, at] += share * np.sqrt(part.c10) * part.x
            y[:, at] += share * np.sqrt(part.c01) * part.y
            crossed_x[:, at] += share * np.sqrt(part.c11) * part.x
            crossed_y[:, at] += share * np.sqrt(part.c11) * part.y
    crossed = crossed_x @ crossed_y.T
    covariance = x @ x.T + y @ y.T + crossed + crossed.T
    if unknown:
        covariance = covariance + _substitute(value, covariance, unknown)
    return Areas(value, covariance, len(unknown), max(df, 1.0))


def _substitute(value: np.ndarray, known: np.ndarray, unknown: list[tuple[int, int, float]]) -> np.ndarray:
    """Return the covariance of test parts without one of their own, at the correlation of the others."""
    se = np.zeros(len(value))
    for n_positive, n_negative, weight in unknown:
        se = np.sqrt(se**2 + weight * np.array([hanley_mcneil(area, n_positive, n_negative) for area in value]))
    spread = np.sqrt(np.diag(known))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.where(np.outer(spread, spread) > 0, known / np.outer(spread, spread), 0.0)
    np.fill_diagonal(correlation, 1.0)
    return correlation * np.outer(se, se)


def hanley_mcneil(area: float, n_positive: float, n_negative: float) -> float:
    """Return the variance of an AUC of independent patients from its value alone (Hanley and McNeil 1982)."""
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    above = area * (1 - area) + (n_positive - 1) * (q1 - area**2) + (n_negative - 1) * (q2 - area**2)
    return max(above, 0.0) / (n_positive * n_negative)


def newcombe(area: float, n_positive: int, n_negative: int, level: float = 0.95) -> tuple[float, float]:
    """Return Newcombe's (2006, method 5) interval of an AUC, which holds at 0 and 1.

    Its ends are the areas at distance z sqrt(V) from the observed one, V being Hanley and McNeil's variance there with
    (n_positive + n_negative) / 2 in place of both numbers.
    """
    n, z = (n_positive + n_negative) / 2, norm.ppf(0.5 + level / 2)
    grid = np.linspace(0, 1, 20001)
    q1, q2 = grid / (2 - grid), 2 * grid**2 / (1 + grid)
    variance = (grid * (1 - grid) + (n - 1) * (q1 + q2 - 2 * grid**2)) / (n_positive * n_negative)
    inside = grid[np.abs(grid - area) <= z * np.sqrt(np.maximum(variance, 0)) + 1e-12]
    return float(inside.min(initial=area)), float(inside.max(initial=area))


def logit_interval(area: float, se: float, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of an AUC on the logit scale: expit(logit A ± z SE / (A (1 - A))); (NaN, NaN) at 0 and 1."""
    if np.isnan(se) or not 0 < area < 1:
        return float("nan"), float("nan")
    if se == 0:
        return area, area
    half = norm.ppf(0.5 + level / 2) * se / (area * (1 - area))
    return float(expit(logit(area) - half)), float(expit(logit(area) + half))


def normal_interval(value: float, se: float, level: float = 0.95) -> tuple[float, float]:
    """Return value ± z SE."""
    half = norm.ppf(0.5 + level / 2) * se
    return value - half, value + half


def t_interval(value: float, se: float, df: float, level: float = 0.95) -> tuple[float, float]:
    """Return value ± t SE.

    For differences: with few patients of a class the normal quantile covers too little (`study.benchmarks.coverage`).
    """
    half = t.ppf(0.5 + level / 2, df) * se
    return value - half, value + half


def t_p(value: float, se: float, df: float) -> float:
    """Return the two-sided p value that belongs to `t_interval`; 1 where the difference is 0 without spread."""
    if se == 0:
        return 1.0 if value == 0 else 0.0
    return float(2 * t.sf(abs(value) / se, df))


def ledell(
    labels: np.ndarray, scores: np.ndarray, patients: np.ndarray, folds: np.ndarray, *, half_ties: bool = True
) -> tuple[float, float]:
    """Return the mean of within-fold AUCs and its standard error from influence values (LeDell et al. 2015).

    Args:
        labels: (n,).
        scores: (n,), of one model.
        patients: (n,); all different for independent rows.
        folds: (n,).
        half_ties: count a tied pair half in the influence values; R's cvAUC counts it 0.
    """
    positive = np.asarray(labels) == 1
    share = positive.mean()
    people, index = np.unique(patients, return_inverse=True)
    rows_each = len(labels) / len(people)
    areas, spreads = [], []
    for fold in np.unique(folds):
        rows = np.flatnonzero(folds == fold)
        truth = positive[rows]
        v10, v01 = placements(truth, scores[rows])
        area = float(v10.mean())
        if not half_ties:
            v10, v01 = _without_ties(truth, scores[rows])
        influence = np.empty(len(rows))
        influence[truth], influence[~truth] = (v10[0] - area) / share, (v01[0] - area) / (1 - share)
        in_fold, within = np.unique(index[rows], return_inverse=True)
        by_patient = np.bincount(within, influence, len(in_fold)) / rows_each
        areas.append(area)
        spreads.append(np.mean(by_patient**2))
    return float(np.mean(areas)), float(np.sqrt(np.mean(spreads) / len(people)))


def _without_ties(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return V10 and V01 with strict comparisons, (1, n_positive) and (1, n_negative)."""
    above, below = np.sort(scores[positive]), np.sort(scores[~positive])
    v10 = np.searchsorted(below, scores[positive], side="left") / len(below)
    v01 = 1 - np.searchsorted(above, scores[~positive], side="right") / len(above)
    return v10[None], v01[None]
