"""Resampling of patients: all of a patient's images come along, within fold and outcome."""

import numpy as np
from scipy.stats import norm, t

from study.stats.auc import logit_interval


def patient_weights(strata: np.ndarray, n_replicates: int, rng: np.random.Generator) -> np.ndarray:
    """Draw how often each patient is in each bootstrap sample.

    Args:
        strata: (n_patients,) of ints; sampling with replacement is within each stratum (fold by outcome).
        n_replicates: number of samples.
        rng: the source of chance; the same generator gives the same weights.

    Returns:
        (n_replicates, n_patients) of float64; each stratum's columns sum to its size.
    """
    weights = np.zeros((n_replicates, len(strata)))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        weights[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), n_replicates)
    return weights


def percentile_interval(replicates: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of replicates (n,); NaN replicates are left out, all NaN gives (NaN, NaN)."""
    known = replicates[~np.isnan(replicates)]
    if not len(known):
        return float("nan"), float("nan")
    tail = (1 - level) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


def logit_t_interval(
    value: float, replicates: np.ndarray, df: float, n_parts: int, level: float = 0.95
) -> tuple[float, float]:
    """Return expit(logit v ± t SE / (v (1 - v))) for a value v between 0 and 1, SE from the spread of the replicates.

    Patients who repeat in a replicate shift a within-fold PR-AUC, a partial AUC and an ECE upwards, and so the
    percentiles; the spread is not shifted. It is too small, as resampling m patients of a fold and class has (m - 1)/m
    of their variance (Davison and Hinkley 1997, section 3.2), which is made good for the rarer class: SE = SD √((df +
    n_parts) / df). `study.benchmarks.coverage` has the coverage for the PR-AUC.

    Args:
        value: the estimate.
        replicates: (n_replicates,); NaN are left out.
        df: degrees of freedom: patients of the rarer class less one for each test part (`auc.cross_validated_delong`).
        n_parts: test parts of a run.
        level: of the interval.

    Returns:
        the interval; (NaN, NaN) at 0 and 1 and with fewer than two replicates.
    """
    known = replicates[~np.isnan(replicates)]
    if len(known) < 2:
        return float("nan"), float("nan")
    wider = t.ppf(0.5 + level / 2, df) / norm.ppf(0.5 + level / 2) * np.sqrt((df + n_parts) / df)
    return logit_interval(value, float(known.std(ddof=1) * wider), level)
