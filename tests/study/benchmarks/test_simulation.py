"""The simulation's own pieces: what it calls the truth is the truth."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import average_precision_score

from study.benchmarks import simulation
from study.benchmarks.simulation import Setting, expected_average_precision, find_setting, simulate
from study.stats.auc import delong
from study.stats.comparison import fold_areas


def test_the_closed_form_of_the_true_auc_is_that_of_many_new_patients():
    """A fixed discriminant on a huge cohort: patient level and image level."""
    setting = Setting(20_000, 0.4, 0.4, 0.2, 0.8, 0.0)
    rng = np.random.default_rng(0)
    labels = (np.arange(20_000) < 8000).astype(int)
    images = simulation._features(setting, labels, rng)
    w = rng.normal(size=12)
    scores = images.mean(axis=1) @ w
    away = w @ setting.shifts / np.linalg.norm(w)
    spread = simulation.PATIENT + simulation.BREAST / 2 + simulation.IMAGE / 4
    assert delong(labels, scores).value[0] == pytest.approx(norm.cdf(away / np.sqrt(2 * spread)), abs=0.012)
    rows = np.repeat(labels, 4)
    assert delong(rows, (images @ w).ravel()).value[0] == pytest.approx(norm.cdf(away / np.sqrt(2)), abs=0.012)


def test_a_setting_is_as_asked_for():
    setting = find_setting(150, 0.37, 0.8, 0.05)
    draws = [simulate(setting, np.random.default_rng(1000 + k), repeats=1, seeds=1).truth for k in range(150)]
    first, second = np.mean(draws, axis=(0, 2, 3, 4))
    assert second == pytest.approx(0.8, abs=0.01) and first - second == pytest.approx(0.05, abs=0.01)


def test_test_patients_are_scored_by_models_that_did_not_see_them():
    setting = Setting(60, 0.37, 0.0, 0.0, 0.5, 0.0)
    areas = [simulate(setting, np.random.default_rng(k), repeats=1, seeds=1) for k in range(80)]
    assert np.mean([fold_areas(draw.pair).mean() for draw in areas]) == pytest.approx(0.5, abs=0.02)


def test_the_expected_average_precision_is_the_mean_over_many_test_sets():
    rng, labels = np.random.default_rng(3), np.repeat([1, 0], [5, 13])
    scores = rng.normal(size=(6000, 18)) + np.sqrt(2) * norm.ppf(0.75) * labels
    positive_at = labels[np.argsort(-scores, axis=1)]
    precision = np.cumsum(positive_at, axis=1) / np.arange(1, 19)
    found = (precision * positive_at).sum(axis=1) / 5
    assert found[:50] == pytest.approx([average_precision_score(labels, row) for row in scores[:50]], abs=1e-12)
    assert expected_average_precision(np.array([0.75]), 5, 13)[0] == pytest.approx(found.mean(), abs=0.006)
    assert expected_average_precision(np.array([0.5]), 1, 1)[0] == pytest.approx(0.75, abs=1e-6)
