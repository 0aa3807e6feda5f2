"""Operating points, chosen on validation rows."""

import numpy as np


def threshold_at_specificity(scores: np.ndarray, labels: np.ndarray, target: float = 0.9) -> float:
    """Return the lowest threshold at which the specificity on these rows is at least `target`.

    A unit is called positive when its score is strictly above the threshold, so the threshold is the smallest
    negative score with at least `target` of the negatives at or below it; ties stay together on the negative side.

    Args:
        scores: (n,) of validation rows.
        labels: (n,), 0 or 1.
        target: wanted specificity.

    Raises:
        ValueError: no negative among the rows.
    """
    negatives = np.sort(scores[labels == 0])
    if not len(negatives):
        raise ValueError("a threshold for a specificity needs negative validation rows")
    needed = int(np.ceil(target * len(negatives) - 1e-9))
    return float(negatives[max(needed, 1) - 1])


def threshold_at_sensitivity(scores: np.ndarray, labels: np.ndarray, target: float = 0.9) -> float:
    """Return the highest threshold at which the sensitivity on these rows is at least `target`.

    A unit is called positive when its score is strictly above the threshold, so the threshold lies just below a
    positive score: at the next smaller score among all rows, or below them all.

    Args:
        scores: (n,) of validation rows.
        labels: (n,), 0 or 1.
        target: wanted sensitivity.

    Raises:
        ValueError: no positive among the rows.
    """
    positives = np.sort(scores[labels == 1])[::-1]
    if not len(positives):
        raise ValueError("a threshold for a sensitivity needs positive validation rows")
    last = positives[max(int(np.ceil(target * len(positives) - 1e-9)), 1) - 1]
    smaller = scores[scores < last]
    return float(smaller.max()) if len(smaller) else float(np.nextafter(last, -np.inf))
