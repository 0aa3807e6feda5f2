"""Standard errors of mean ROC and precision-recall curves, by resampling patients."""

from collections.abc import Iterable

import numpy as np

GRID = np.linspace(0, 1, 101)
"""Abscissae of the standard errors: false positive rates, and sensitivities."""
Part = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Labels, scores and the weights' column of each unit of a test part, each (n_units,)."""


def curve_errors(parts: Iterable[Part], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the standard error of the mean curve over test parts at each abscissa of `GRID`.

    Resamples have fewer distinct patients than the cohort, which shifts curves upwards at their steep ends, so that
    their percentiles are shifted too; their standard deviation is not (cf. `study.stats.bootstrap.logit_t_interval`).

    Args:
        parts: each with both classes.
        weights: (n_replicates, n_patients), as `study.stats.bootstrap.patient_weights` draws them.

    Returns:
        of the sensitivity by false positive rate, and of the precision by sensitivity, each (101,).
    """
    apart = 2.0 * np.arange(len(weights))[:, None]  # replicates one after the other on one axis
    sensitivities, precisions = np.zeros((2, len(weights), len(GRID)))
    n_parts = 0
    for labels, scores, patients in parts:
        order = np.argsort(-scores, kind="stable")
        ends = np.flatnonzero(np.r_[np.diff(scores[order]) != 0, True])  # of groups of equal scores
        drawn, positive = weights[:, patients[order]], labels[order] == 1
        hits, alarms = (np.cumsum(drawn * side, axis=1)[:, ends] for side in (positive, ~positive))
        start = np.zeros((len(weights), 1))
        rate, reached = (np.hstack([start, part / part[:, -1:]]) + apart for part in (alarms, hits))
        found = np.interp((GRID + apart).ravel(), rate.ravel(), reached.ravel()).reshape(len(weights), -1) - apart
        place = np.searchsorted((reached[:, 1:]).ravel(), (np.maximum(GRID, 1e-9) - 1e-10 + apart).ravel())
        precision = hits / np.maximum(hits + alarms, 1e-12)
        sensitivities += found
        precisions += precision.ravel()[np.minimum(place, precision.size - 1)].reshape(found.shape)
        n_parts += 1
    return tuple(total.std(axis=0, ddof=1) / n_parts for total in (sensitivities, precisions))
