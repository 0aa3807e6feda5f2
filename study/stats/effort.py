"""Expected best value of a search of hyper-parameters with fewer trials (Dodge et al. 2019)."""

import numpy as np


def expected_best(values: np.ndarray, n: np.ndarray | int) -> np.ndarray:
    """Return the expected greatest of n values drawn, with replacement, from those of N trials.

    Dodge et al. 2019 (Show Your Work, EMNLP): with v_1 <= ... <= v_N the greatest of n draws is at most v_i
    with probability (i/N)^n, so that E = sum_i v_i ((i/N)^n - ((i-1)/N)^n). The trials are taken for independent draws
    of one distribution, as random search makes them; a sampler that learns from earlier trials, such as TPE, does not,
    and then E describes the values at hand in a random order rather than what a shorter search would have found.

    Args:
        values: of the trials (N,). NaN is a trial that ended without a value: it has cost a trial, so it counts as one
            that is no better than the worst observed. To leave it out would make a space in which trials fail look
            cheaper.
        n: how many trials, at least 1; a number or an array of any shape.

    Returns:
        The expectations, of n's shape; NaN where no trial has a value.

    Raises:
        ValueError: an n below 1.
    """
    values, n = np.asarray(values, dtype=float), np.asarray(n)
    if (n < 1).any():
        raise ValueError(f"the best of {n.min()} trials is not defined; n begins at 1")
    if np.isnan(values).all():
        return np.full(n.shape, np.nan)
    ascending = np.sort(np.where(np.isnan(values), np.nanmin(values), values))
    below = np.arange(len(ascending) + 1) / len(ascending)
    weights = np.diff(below ** n[..., None])  # (*n.shape, N)
    return np.asarray(weights @ ascending)


def best_so_far(values: np.ndarray) -> np.ndarray:
    """Return the greatest of the first values (n,), one after the other; NaN until there is one."""
    return np.fmax.accumulate(np.asarray(values, dtype=float))
