"""The patient bootstrap of an AUC by matrix products.

With patient weights w, K_ij = sum over (positive row of patient i, negative row of patient j) of [s > s'] + ½ [s = s'],
and m_i, n_i patient i's numbers of positive and negative rows, the AUC of the reweighted sample is exactly

    AUC*(w) = w' K w / ((w' m) (w' n)).

So thousands of replicates are one matrix product, and a difference of two models uses the difference of their kernels.
"""

from dataclasses import dataclass

import numpy as np

from study.stats.metrics import ratio

BLOCK = 2000
"""Replicates computed at once."""


@dataclass(frozen=True)
class Kernel:
    """Pair counts of one test part.

    Attributes:
        positive: patients with a positive row: positions (n_i,) in the weights' columns.
        negative: patients with a negative row (n_j,).
        pairs: K of each model (n_models, n_i, n_j).
        m: positive rows of each (n_i,).
        n: negative rows of each (n_j,).
    """

    positive: np.ndarray
    negative: np.ndarray
    pairs: np.ndarray
    m: np.ndarray
    n: np.ndarray


def kernel(labels: np.ndarray, scores: np.ndarray, patients: np.ndarray) -> Kernel:
    """Count the concordant pairs between patients.

    Args:
        labels: (n,), 0 or 1; both classes.
        scores: (n_models, n).
        patients: (n,) positions of the rows' patients in the weights' columns.
    """
    truth = np.asarray(labels) == 1
    scores = np.atleast_2d(scores)
    order = np.argsort(patients, kind="stable")
    above, below = order[truth[order]], order[~truth[order]]
    positive, first_positive, m = np.unique(patients[above], return_index=True, return_counts=True)
    negative, first_negative, n = np.unique(patients[below], return_index=True, return_counts=True)
    pairs = np.empty((len(scores), len(positive), len(negative)))
    for model, row in enumerate(scores):
        high, low = row[above][:, None], row[below][None, :]
        won = (high > low) + 0.5 * (high == low)  # (n_positive_rows, n_negative_rows)
        pairs[model] = np.add.reduceat(np.add.reduceat(won, first_positive, axis=0), first_negative, axis=1)
    return Kernel(positive, negative, pairs, m.astype(np.float64), n.astype(np.float64))


def pair_sums(weights: np.ndarray, kernel: Kernel) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight of concordant pairs (n_models, n_replicates) and of all pairs (n_replicates,).

    Args:
        weights: (n_replicates, n_patients).
        kernel: of a test part whose patients are columns of the weights.
    """
    concordant = np.empty((len(kernel.pairs), len(weights)))
    total = np.empty(len(weights))
    for start in range(0, len(weights), BLOCK):
        block = slice(start, start + BLOCK)
        above, below = weights[block][:, kernel.positive], weights[block][:, kernel.negative]
        total[block] = (above @ kernel.m) * (below @ kernel.n)
        for model, pairs in enumerate(kernel.pairs):
            concordant[model, block] = np.einsum("rj,rj->r", above @ pairs, below)
    return concordant, total


def areas(weights: np.ndarray, kernel: Kernel) -> np.ndarray:
    """Return the AUC of every model and replicate (n_models, n_replicates); NaN where a class has no weight."""
    concordant, total = pair_sums(weights, kernel)
    return np.stack([ratio(row, total) for row in concordant])


def mean_areas(
    weights: np.ndarray, labels: np.ndarray, scores: np.ndarray, patients: np.ndarray, parts: np.ndarray
) -> np.ndarray:
    """Return the mean of within-part AUCs of every model and replicate (n_models, n_replicates).

    Args:
        weights: (n_replicates, n_patients).
        labels: (n,).
        scores: (n_models, n).
        patients: (n,) positions in the weights' columns.
        parts: (n,) the test part (run and fold) of each row; those with one class alone have no AUC and are left out.

    Raises:
        ValueError: no part has both classes.
    """
    scores = np.atleast_2d(scores)
    values = []
    for part in np.unique(parts):
        rows = np.flatnonzero(parts == part)
        if 0 < labels[rows].sum() < len(rows):
            values.append(areas(weights, kernel(labels[rows], scores[:, rows], patients[rows])))
    if not values:
        raise ValueError("an AUC needs both classes in a test part")
    return np.mean(values, axis=0)
