"""Standard errors of mean curves: against the definition, and against what can be known by hand."""

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve

from study.stats.bootstrap import patient_weights
from study.stats.curve_errors import GRID, curve_errors


def test_they_are_the_spread_of_the_curves_of_the_resamples():
    rng = np.random.default_rng(0)
    parts, strata = [], np.repeat([0, 1, 2, 3], [6, 9, 7, 8])  # two folds by outcome
    labels = strata % 2
    for fold in (0, 1):
        patients = np.flatnonzero(strata // 2 == fold)
        scores = np.round(rng.normal(labels[patients]), 1)  # with ties
        parts.append((labels[patients], scores, patients))
    weights = patient_weights(strata, 40, rng)
    sensitivities, precisions = [], []
    for drawn in weights:
        roc, pr = [], []
        for truth, scores, patients in parts:
            often = drawn[patients]
            rate, reached, _ = roc_curve(truth, scores, sample_weight=often, drop_intermediate=False)
            roc.append(np.interp(GRID, rate + 1e-12 * np.arange(len(rate)), reached))
            precision, recall, _ = precision_recall_curve(truth, scores, sample_weight=often)
            at = [precision[recall >= max(x, 1e-9) - 1e-10][-1] for x in GRID]
            pr.append(at)
        sensitivities.append(np.mean(roc, axis=0))
        precisions.append(np.mean(pr, axis=0))
    found = curve_errors(parts, weights)
    inside = np.ones(len(GRID), dtype=bool)
    for part in parts:  # at a jump either end is right
        inside &= np.abs(GRID[:, None] * (part[0] == 0).sum() % 1 - 0.5).ravel() < 0.49
    assert found[0][inside] == pytest.approx(np.std(sensitivities, axis=0, ddof=1)[inside], abs=1e-6)
    assert found[1] == pytest.approx(np.std(precisions, axis=0, ddof=1), abs=1e-9)


def test_a_perfect_score_has_none():
    labels, patients = np.array([0, 0, 1, 1]), np.arange(4)
    weights = patient_weights(labels, 20, np.random.default_rng(1))
    errors = curve_errors([(labels, labels.astype(float), patients)], weights)
    assert np.abs(errors).max() == 0
