"""Metrics of binary predictions under patient weights, all bootstrap replicates at once.

Weights are (n_replicates, n_units); a row of ones gives the plain metric, equal to scikit-learn's. A replicate in which
a metric is not defined (one class alone) is NaN.
"""

import numpy as np


def _tie_groups(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ascending order of scores (n,) and where each group of equal scores starts in it."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    return order, np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])


def _by_group(weights: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the positive and negative weight in each group of equal scores: twice (n_replicates, n_groups)."""
    order, starts = _tie_groups(scores)
    ordered, positive = weights[:, order], labels[order] == 1
    return (np.add.reduceat(ordered * positive, starts, axis=1), np.add.reduceat(ordered * ~positive, starts, axis=1))


def concordance(weights: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight of concordant pairs (ties count half) and of all pairs: twice (n_replicates,)."""
    positive, negative = _by_group(weights, labels, scores)
    below = np.cumsum(negative, axis=1) - negative
    return (positive * (below + negative / 2)).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1)


def roc_auc(weights: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Area under the ROC curve, (n_replicates,), of labels (n_units,) and scores (n_units,)."""
    return ratio(*concordance(weights, labels, scores))


def average_precision(weights: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Average precision (step-wise area under the precision-recall curve), (n_replicates,)."""
    return curve_areas(weights, np.arange(len(labels)), labels, scores, max_fpr=1.0)[1]


def partial_roc_auc(weights: np.ndarray, labels: np.ndarray, scores: np.ndarray, *, max_fpr: float) -> np.ndarray:
    """Area under the ROC curve up to a false positive rate, (n_replicates,), standardised as by McClish (1989).

    0.5 is chance and 1 perfect. Equal to scikit-learn's `roc_auc_score(max_fpr=...)` under equal weights.
    """
    return curve_areas(weights, np.arange(len(labels)), labels, scores, max_fpr=max_fpr)[0]


BLOCK = 64
"""Replicates computed at once: their arrays then stay in the processor's cache (1.3 to 3.6 times faster than all 2001
together, 1936 rows of 2421 patients, two cores). The last bits of the sums depend on it."""
LEAST = np.finfo(np.float64).tiny
"""In place of a denominator of 0 below a numerator of 0; plain division takes half the time of one with `where`."""


def curve_areas(
    weights: np.ndarray, units: np.ndarray, labels: np.ndarray, scores: np.ndarray, *, max_fpr: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the standardised partial ROC area and the average precision, each (n_replicates,).

    Args:
        weights: (n_replicates, n_patients).
        units: the column of `weights` that each row belongs to, (n,).
        labels: (n,).
        scores: (n,).
        max_fpr: false positive rate up to which the ROC area counts.
    """
    order, starts = _tie_groups(-scores)
    positive, columns = (labels[order] == 1).astype(np.float64), units[order]
    tied = len(starts) < len(order)
    partial, average = np.empty(len(weights)), np.empty(len(weights))
    for begin in range(0, len(weights), BLOCK):
        drawn = weights[begin : begin + BLOCK, columns]
        hit = drawn * positive
        if tied:
            drawn, hit = (np.add.reduceat(part, starts, axis=1) for part in (drawn, hit))
        true_positive, called = np.cumsum(hit, axis=1), np.cumsum(drawn, axis=1)
        precision = true_positive / np.maximum(called, LEAST)  # 0 where nothing is called
        average[begin : begin + BLOCK] = ratio(np.einsum("ij,ij->i", hit, precision), true_positive[:, -1])
        partial[begin : begin + BLOCK] = _partial(true_positive, called, hit, drawn - hit, max_fpr)
    return partial, average


def _partial(
    true_positive: np.ndarray, called: np.ndarray, hit: np.ndarray, missed: np.ndarray, max_fpr: float
) -> np.ndarray:
    """Return the standardised area up to `max_fpr`; cumulative and single weights are (n_replicates, n_groups)."""
    n_positive, n_negative = true_positive[:, -1], called[:, -1] - true_positive[:, -1]
    limit = (max_fpr * n_negative)[:, None]
    before = called - true_positive - missed  # negatives above each group
    covered = np.minimum(np.maximum(limit - before, 0), missed)
    share = covered / np.maximum(missed, LEAST)
    area = np.einsum("ij,ij->i", covered, true_positive - hit + hit * share / 2)
    area = ratio(area, n_positive * n_negative)
    least = max_fpr**2 / 2
    return (1 + (area - least) / (max_fpr - least)) / 2


def counts(weights: np.ndarray, labels: np.ndarray, called: np.ndarray) -> np.ndarray:
    """Confusion counts (4, n_replicates): true positive, false positive, false negative, true negative."""
    truth, called = labels == 1, np.asarray(called, dtype=bool)
    cells = (truth & called, ~truth & called, truth & ~called, ~truth & ~called)
    return np.stack([weights @ cell.astype(np.float64) for cell in cells])


def squared_error(weights: np.ndarray, labels: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Sum of squared errors of probabilities, (n_replicates,); over the sum of weights it is the Brier score."""
    return weights @ (probs - labels) ** 2


def accuracy(count: np.ndarray) -> np.ndarray:
    """Share called right, (n_replicates,), from counts (4, n_replicates)."""
    return ratio(count[0] + count[3], count.sum(axis=0))


def sensitivity(count: np.ndarray) -> np.ndarray:
    """Share of positives called positive."""
    return ratio(count[0], count[0] + count[2])


def specificity(count: np.ndarray) -> np.ndarray:
    """Share of negatives called negative."""
    return ratio(count[3], count[3] + count[1])


def balanced_accuracy(count: np.ndarray) -> np.ndarray:
    """Mean of sensitivity and specificity."""
    return (sensitivity(count) + specificity(count)) / 2


def f1(count: np.ndarray) -> np.ndarray:
    """Harmonic mean of precision and sensitivity; 0 where nothing positive is called or there."""
    below = 2 * count[0] + count[1] + count[2]
    return np.divide(2 * count[0], below, out=np.zeros_like(below), where=below > 0)


def mcc(count: np.ndarray) -> np.ndarray:
    """Matthews correlation coefficient; 0 where a row or column of the table is empty, as in scikit-learn."""
    tp, fp, fn, tn = count
    below = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return np.divide(tp * tn - fp * fn, below, out=np.zeros_like(below), where=below > 0)


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Divide, with NaN where the denominator is 0."""
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
