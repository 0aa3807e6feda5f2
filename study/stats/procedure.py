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
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from study.stats import auc
from study.stats.corrected_t import CorrectedMean, corrected_mean

PROCEDURE = "patients, training and repeats"
CORRECTED = "Nadeau-Bengio corrected t"
BOUNDED = f"{CORRECTED}, not narrower than patients and training allow"


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


def lower_bound(scores: np.ndarray, patient_variance: float, df: float) -> Procedure:
    """Return a lower bound for one repeat, whose splits are not known to add anything; arguments as `procedure`."""
    variance = patients_and_training(patient_variance, scores.shape[1])
    return Procedure(float(scores.mean()), float(np.sqrt(variance)), df)


def wider(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    """Return the wider of two intervals, the first where one is NaN."""
    return second if second[1] - second[0] > first[1] - first[0] else first


def fold_mean(scores: np.ndarray) -> CorrectedMean:
    """Return the mean over folds of scores (n_repeats, n_folds, n_seeds) with Nadeau and Bengio's variance."""
    by_fold = scores.mean(axis=2)
    if by_fold.shape[1] < 2:
        return CorrectedMean(float(by_fold.mean()), float("nan"), by_fold.size)
    return corrected_mean(by_fold, 1 / (by_fold.shape[1] - 1))


def on_logit_scale(value: float, half_width: float) -> tuple[float, float]:
    """Return the logit-scale interval of an AUC from its half width on the plain scale; (NaN, NaN) at 0 and 1."""
    return auc.logit_interval(value, half_width / norm.ppf(0.975))
