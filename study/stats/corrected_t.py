"""Inference on fold scores: the corrected resampled t test and its Bayesian counterpart (estimand E2, the procedure).

Fold scores overlap in their training patients, so their spread says too little. Nadeau and Bengio (2003) add
n_test / n_train to 1 / J; for K folds that is 1 / (K - 1), repeats or not (Bouckaert and Frank 2004).
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t


@dataclass(frozen=True)
class CorrectedMean:
    """Mean of J fold scores (or differences) with Nadeau and Bengio's variance.

    Attributes:
        value: the mean.
        se: its standard error.
        n_scores: J; the degrees of freedom are J - 1.
    """

    value: float
    se: float
    n_scores: int

    @property
    def df(self) -> int:
        """Degrees of freedom."""
        return self.n_scores - 1

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return value ± t SE."""
        if np.isnan(self.se):
            return float("nan"), float("nan")
        half = t.ppf(0.5 + level / 2, self.n_scores - 1) * self.se
        return self.value - half, self.value + half

    @property
    def p(self) -> float:
        """Two-sided p value against 0; 1 where the mean is 0 without spread, 0 where it is not 0 without spread."""
        if np.isnan(self.se):
            return float("nan")
        if self.se == 0:
            return 1.0 if self.value == 0 else 0.0
        return float(2 * t.sf(abs(self.value) / self.se, self.n_scores - 1))

    def probabilities(self, delta: float) -> tuple[float, float, float]:
        """Return P(below -delta), P(within ±delta), P(above delta) of the Bayesian correlated t test.

        The posterior of the mean is Student's t with J - 1 degrees of freedom at `value` with scale `se` (Benavoli et
        al. 2017, equation 10, with correlation 1 / K).
        """
        if np.isnan(self.se):
            return (float("nan"),) * 3
        if self.se == 0:
            return float(self.value < -delta), float(abs(self.value) <= delta), float(self.value > delta)
        low, high = t.cdf((np.array([-delta, delta]) - self.value) / self.se, self.n_scores - 1)
        return float(low), float(high - low), float(1 - high)


def corrected_mean(scores: np.ndarray, test_over_train: float) -> CorrectedMean:
    """Return the mean of fold scores with the corrected variance s² (1 / J + n_test / n_train).

    Args:
        scores: (n_repeats, n_folds), or any shape: all are used. Seeds are averaged within a fold before.
        test_over_train: patients tested over patients trained on in a split: 1 / (K - 1) for K folds.
    """
    flat = np.asarray(scores, dtype=np.float64).ravel()
    if len(flat) < 2 or np.isnan(flat).any():
        return CorrectedMean(float(flat.mean()) if len(flat) else float("nan"), float("nan"), len(flat))
    variance = flat.var(ddof=1) * (1 / len(flat) + test_over_train)
    return CorrectedMean(float(flat.mean()), float(np.sqrt(variance)), len(flat))


@dataclass(frozen=True)
class Spread:
    """Variances behind a mean over runs.

    Attributes:
        seed: of one fold's score between training seeds; NaN with one seed.
        split: of a repeat's mean between repeats, the seeds' share taken out; NaN with one repeat.
        patients: of the mean over test patients (E1).
        of_mean: (seed, split, patients) shares of the variance of the reported mean.
    """

    seed: float
    split: float
    patients: float
    of_mean: tuple[float, float, float]


def spread(scores: np.ndarray, patient_variance: float) -> Spread:
    """Split the variance of fold scores into seed, split and patient parts by the method of moments.

    Args:
        scores: (n_repeats, n_folds, n_seeds).
        patient_variance: of their mean, over test patients (`auc.cross_validated_delong`).
    """
    n_repeats, n_folds, n_seeds = scores.shape
    seed = float(scores.var(axis=2, ddof=1).mean()) if n_seeds > 1 else float("nan")
    between = float(scores.mean(axis=(1, 2)).var(ddof=1)) if n_repeats > 1 else float("nan")
    of_seeds = 0.0 if np.isnan(seed) else seed / (n_folds * n_seeds)
    split = max(between - of_seeds, 0.0) if n_repeats > 1 else float("nan")
    in_mean = (
        float("nan") if np.isnan(seed) else seed / (n_repeats * n_folds * n_seeds),
        float("nan") if np.isnan(split) else split / n_repeats,
        patient_variance,
    )
    return Spread(seed, split, patient_variance, in_mean)
