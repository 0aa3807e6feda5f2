import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

from mmbc.training.fit import _scores


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 60))
def test_the_metrics_of_an_epoch_are_those_of_scikit_learn(seed, n):
    rng = np.random.default_rng(seed)
    logits = np.round(rng.normal(size=n) * 3, 1).astype(np.float32)
    labels = (rng.random(n) < 0.4).astype(np.float32)
    found = _scores("val", logits, labels)
    probs = 1 / (1 + np.exp(-logits.astype(np.float64)))
    assert found["val_loss"] == pytest.approx(log_loss(labels, probs, labels=[0, 1]), abs=1e-9)
    assert found["val_accuracy"] == pytest.approx(accuracy_score(labels, probs >= 0.5))
    assert found["val_f1"] == pytest.approx(f1_score(labels, probs >= 0.5, zero_division=0.0))
    if len(set(labels)) == 2:
        assert found["val_auc"] == pytest.approx(roc_auc_score(labels, logits))
    else:
        assert np.isnan(found["val_auc"])


def test_a_logit_that_is_no_number_gives_no_number():
    assert all(np.isnan(value) for value in _scores("val", np.array([np.nan, 1.0]), np.array([0.0, 1.0])).values())
