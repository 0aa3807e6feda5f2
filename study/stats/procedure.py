"""An interval about the procedure (estimand E2) from the patients' variance and the spread between repeats.

Nadeau and Bengio's variance s² (1/J + 1/(K-1)) takes the variance of one fold's score from the spread of J overlapping
fold scores, hence t with few degrees of freedom. The clustered influence values give the same quantity from every
patient: with many repeats the corrected variance tends to s² / (K-1), and s² is K times the patients' variance of the
mean. So

    Var = (patients' variance of the mean) K / (K-1)  +  (variance between repeats' means) / (number of repeats),

whose first term keeps Nadeau and Bengio's allowance for training sets and whose second is the chance of splits and
seeds that averaging left. Its quantile is Student's with the degrees of freedom of the patients' variance. In the
simulation (`python -m study.bench --coverage`) it covers an AUC as it should and is narrower than theirs; for
differences between arms `comparison` takes the wider of the two.

One repeat has no variance between repeats. What another training seed would have changed is known all the same, and E2
is about the mean over seeds, so that

    Var = (patients' variance of the mean) K / (K - 1)  +  (variance between the seeds' means) / (number of seeds)

is a floor under Nadeau and Bengio's interval (`floor`). Its degrees of freedom are Satterthwaite's (1946), as those of
its two parts differ widely.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from study.stats import auc
from study.stats.corrected_t import CorrectedMean, corrected_mean

PROCEDURE = "patients, training and repeats"
CORRECTED = "Nadeau-Bengio corrected t"
FLOOR = "patients, training sets and seeds"


@dataclass(frozen=True)
class Procedure:
    """A mean over repeats, folds and seeds, as an estimate of the procedure.

    Attributes:
        value: the mean.
        se: its standard error; NaN with fewer than two repeats or folds.
        df: degrees of freedom.
    """

    value: float
    se: float
    df: float

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return value ± t SE."""
        return auc.t_interval(self.value, self.se, self.df, level)

    @property
    def p(self) -> float:
        """Two-sided p value against 0."""
        return float("nan") if np.isnan(self.se) else auc.t_p(self.value, self.se, self.df)


Estimate = Procedure | CorrectedMean


def procedure(scores: np.ndarray, patient_variance: float, df: float) -> Procedure:
    """Estimate the procedure's mean score, or difference of two.

    Args:
        scores: (n_repeats, n_folds, n_seeds) fold scores or differences; at least two repeats.
        patient_variance: of their mean, over test patients (`auc.cross_validated_delong`).
        df: degrees of freedom of that variance.
    """
    n_repeats, n_folds, _ = scores.shape
    if n_repeats < 2 or n_folds < 2:
        return Procedure(float(scores.mean()), float("nan"), df)
    between = float(scores.mean(axis=(1, 2)).var(ddof=1))
    variance = patients_and_training(patient_variance, n_folds) + between / n_repeats
    return Procedure(float(scores.mean()), float(np.sqrt(variance)), df)


def patients_and_training(patient_variance: float, n_folds: int) -> float:
    """Return the patients' variance with Nadeau and Bengio's allowance for training sets; NaN with one fold."""
    return patient_variance * n_folds / (n_folds - 1) if n_folds > 1 else float("nan")


def floor(scores: np.ndarray, patient_variance: float, df: float) -> Procedure:
    """Return a lower bound for one repeat, whose splits are not known to add anything; arguments as `procedure`.

    With one seed it is given that seed: nothing is known of what others would add.
    """
    n_seeds = scores.shape[2]
    patients = patients_and_training(patient_variance, scores.shape[1])
    seeds = float(scores.mean(axis=(0, 1)).var(ddof=1)) / n_seeds if n_seeds > 1 else 0.0
    df = satterthwaite((patients, df), (seeds, n_seeds - 1))
    return Procedure(float(scores.mean()), float(np.sqrt(patients + seeds)), df)


def satterthwaite(*parts: tuple[float, float]) -> float:
    """Return the degrees of freedom of a sum of independent variances (variance, df) (Satterthwaite 1946)."""
    total = sum(variance for variance, _ in parts)
    below = sum(variance**2 / df for variance, df in parts if variance)
    return total**2 / below if below else parts[0][1]


def training_sd(scores: np.ndarray) -> float:
    """Return the SD of one training: of the mean over folds, between the seeds of a repeat; NaN with one seed."""
    by_run = scores.mean(axis=1)  # (n_repeats, n_folds, n_seeds) -> (n_repeats, n_seeds)
    return float(np.sqrt(by_run.var(axis=1, ddof=1).mean())) if scores.shape[2] > 1 else float("nan")


def wider(first: Estimate, second: Estimate, level: float = 0.95) -> Estimate:
    """Return the estimate with the wider interval, the first where one has none."""
    low, high = first.interval(level)
    other_low, other_high = second.interval(level)
    return second if other_high - other_low > high - low else first


def fold_mean(scores: np.ndarray) -> CorrectedMean:
    """Return the mean over folds of scores (n_repeats, n_folds, n_seeds) with Nadeau and Bengio's variance."""
    by_fold = scores.mean(axis=2)
    if by_fold.shape[1] < 2:
        return CorrectedMean(float(by_fold.mean()), float("nan"), by_fold.size)
    return corrected_mean(by_fold, 1 / (by_fold.shape[1] - 1))


def on_logit_scale(value: float, half_width: float) -> tuple[float, float]:
    """Return the logit-scale interval of an AUC from its half width on the plain scale; (NaN, NaN) at 0 and 1."""
    return auc.logit_interval(value, half_width / norm.ppf(0.975))
