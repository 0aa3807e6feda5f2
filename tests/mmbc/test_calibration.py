import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mmbc.calibration import apply_platt, fit_platt


def test_recovers_the_logistic_model():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=20000)
    labels = (rng.random(20000) < apply_platt(logits, 1.7, -0.4)).astype(int)
    slope, intercept = fit_platt(logits, labels)
    assert (slope, intercept) == (pytest.approx(1.7, abs=0.06), pytest.approx(-0.4, abs=0.06))
    reference = LogisticRegression(C=np.inf).fit(logits[:, None], labels)
    assert slope == pytest.approx(float(reference.coef_[0, 0]), abs=5e-3)


def test_perfect_separation_is_finite_and_reversal_gives_the_prevalence():
    logits, labels = np.array([-3.0, -2, -1, 1, 2]), np.array([0, 0, 0, 1, 1])
    assert 0 < fit_platt(logits, labels)[0] < 100
    slope, intercept = fit_platt(-logits, labels)
    assert slope == 0 and apply_platt(logits, slope, intercept) == pytest.approx([0.42] * 5, abs=0.02)


def test_scale_and_shift_of_the_logits_change_no_probability():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=300), rng.integers(0, 2, 300)
    one = apply_platt(logits, *fit_platt(logits, labels))
    other = apply_platt(50 * logits - 7, *fit_platt(50 * logits - 7, labels))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_undefined_input_is_refused():
    with pytest.raises(ValueError, match="both classes"):
        fit_platt(np.arange(3.0), np.ones(3))
    with pytest.raises(ValueError, match="not finite"):
        fit_platt(np.array([0, np.nan]), np.array([0, 1]))
    assert fit_platt(np.ones(4), np.array([0, 1, 0, 1]))[0] == 0
