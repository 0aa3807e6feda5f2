"""Patient-level permutation test of a difference between two models' AUCs."""

import numpy as np
from scipy.stats import rankdata

from study.stats.kernel import kernel

MOST_ENUMERATED = 2**12
"""Up to so many exchanges of patients are enumerated instead of drawn."""


def exchange_contributions(
    labels: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    patients: np.ndarray,
    parts: np.ndarray,
    *,
    ranked: bool = True,
) -> np.ndarray:
    """Return what every patient contributes to the difference of AUCs: c (n_patients,), with difference(t) = t' c.

    Exchanging the two models' scores of a patient flips the sign t_i of the patient's contribution, and nothing else:
    with the pair kernels K_AA, K_BB of the models and K_AB, K_BA of positives scored by one and negatives by the other,
    the difference under signs t is ½ sum_ij [(t_i + t_j) (K_AA - K_BB) + (t_i - t_j) (K_AB - K_BA)]_ij / (M N). So no
    permutation needs a new AUC.

    Args:
        labels: (n,).
        first: scores of one model (n,).
        second: scores of the other (n,).
        patients: (n,) positions 0 to n_patients - 1.
        parts: (n,) test part (run and fold); the difference is the mean over parts.
        ranked: replace scores by their ranks within each part, which makes models on different scales exchangeable.
    """
    total = np.zeros(int(patients.max()) + 1)
    known = [part for part in np.unique(parts) if 0 < labels[parts == part].sum() < (parts == part).sum()]
    for part in known:
        rows = np.flatnonzero(parts == part)
        truth = labels[rows] == 1
        a, b = (rankdata(scores[rows]) if ranked else scores[rows] for scores in (first, second))
        crossed = np.stack([a, b, np.where(truth, a, b), np.where(truth, b, a)])
        k = kernel(labels[rows], crossed, patients[rows])
        same, mixed = k.pairs[0] - k.pairs[1], k.pairs[2] - k.pairs[3]
        pairs = 2 * k.m.sum() * k.n.sum() * len(known)
        total[k.positive] += (same + mixed).sum(axis=1) / pairs
        total[k.negative] += (same - mixed).sum(axis=0) / pairs
    return total


def permutation_p(contributions: np.ndarray, n_permutations: int, rng: np.random.Generator) -> float:
    """Return the two-sided p value of a difference under exchange of whole patients.

    All exchanges are enumerated where they are few; otherwise p = (1 + #{|D*| >= |D|}) / (n_permutations + 1).

    Args:
        contributions: from `exchange_contributions` (n_patients,).
        n_permutations: draws.
        rng: the source of chance.
    """
    observed = abs(contributions.sum()) - 1e-12
    n = len(contributions)
    if n <= np.log2(MOST_ENUMERATED):
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        return float((np.abs(signs @ contributions) >= observed).mean())
    reached = 0
    for start in range(0, n_permutations, 1000):
        draws = rng.integers(0, 2, (min(1000, n_permutations - start), n), dtype=np.int8)
        reached += int((np.abs((1 - 2.0 * draws) @ contributions) >= observed).sum())
    return (1 + reached) / (n_permutations + 1)
