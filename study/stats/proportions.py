"""Intervals of proportions: Wilson and Clopper-Pearson, with a design effect where rows are clustered in patients."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t
from statsmodels.stats.proportion import proportion_confint


@dataclass(frozen=True)
class Ratio:
    """A ratio of sums over patients, sum x_i / sum n_i.

    Attributes:
        value: the ratio; NaN without a denominator.
        se: cluster-robust standard error.
        n: sum of the denominators.
        n_patients: patients that contribute to the denominator.
    """

    value: float
    se: float
    n: float
    n_patients: int

    @property
    def design_effect(self) -> float:
        """Variance over that of independent rows, p (1 - p) / n; NaN where p is 0 or 1."""
        independent = self.value * (1 - self.value) / self.n if self.n else 0.0
        return self.se**2 / independent if independent > 0 else float("nan")


def clustered_ratio(above: np.ndarray, below: np.ndarray) -> Ratio:
    """Return a ratio of sums with its variance over patients, I/(I-1) sum (x_i - p n_i)² / N².

    Args:
        above: x_i (n_patients,).
        below: n_i (n_patients,); patients with 0 do not count.
    """
    counted = below > 0
    x, n = above[counted], below[counted]
    if not len(n):
        return Ratio(float("nan"), float("nan"), 0.0, 0)
    value, total, patients = float(x.sum() / n.sum()), float(n.sum()), len(n)
    se = (
        float(np.sqrt(patients / (patients - 1) * ((x - value * n) ** 2).sum()) / total)
        if patients > 1
        else float("nan")
    )
    return Ratio(value, se, total, patients)


def wilson(n_true: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval; the numbers need not be whole (effective sizes)."""
    low, high = proportion_confint(n_true, n, 1 - level, method="wilson")
    return float(max(low, 0.0)), float(min(high, 1.0))


def clopper_pearson(n_true: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval."""
    low, high = proportion_confint(n_true, n, 1 - level, method="beta")
    return (0.0 if np.isnan(low) else float(low)), (1.0 if np.isnan(high) else float(high))


def clustered_wilson(ratio: Ratio, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's interval with n / max(1, design effect) rows; exact on patients when the proportion is 0 or 1."""
    if not ratio.n_patients:
        return float("nan"), float("nan")
    if ratio.value in (0.0, 1.0):
        return clopper_pearson(round(ratio.value * ratio.n_patients), ratio.n_patients, level)
    if np.isnan(ratio.se):
        return float("nan"), float("nan")
    effective = ratio.n / max(1.0, ratio.design_effect)
    return wilson(ratio.value * effective, effective, level)


def t_interval(ratio: Ratio, level: float = 0.95) -> tuple[float, float]:
    """Return value ± t SE with n_patients - 1 degrees of freedom; for means (Brier score, log loss)."""
    if np.isnan(ratio.se):
        return float("nan"), float("nan")
    half = t.ppf(0.5 + level / 2, ratio.n_patients - 1) * ratio.se
    return ratio.value - half, ratio.value + half
