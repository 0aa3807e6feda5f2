"""Resampling of patients: all of a patient's images come along, within her fold and her outcome."""

import numpy as np


def patient_weights(
    strata: np.ndarray, n_replicates: int, rng: np.random.Generator
) -> np.ndarray:  # fmt: skip
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
