import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from study.stats import metrics
from study.stats.bootstrap import patient_weights, percentile_interval
from study.stats.estimate import Estimate
from study.stats.thresholds import threshold_at_specificity

units = st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3)), min_size=4, max_size=40).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


def arrays(rows):
    labels, scores = np.array(rows).T
    return labels, scores.astype(float)


def ones(n):
    return np.ones((1, n))


@settings(max_examples=100, deadline=None)
@given(units)
def test_unweighted_metrics_are_scikit_learns(rows):
    labels, scores = arrays(rows)
    called = scores > 0
    w = ones(len(labels))
    count = metrics.counts(w, labels, called)
    assert metrics.roc_auc(w, labels, scores)[0] == pytest.approx(reference.roc_auc_score(labels, scores))
    assert metrics.average_precision(w, labels, scores)[0] == pytest.approx(
        reference.average_precision_score(labels, scores)
    )
    assert count[:, 0].tolist() == reference.confusion_matrix(labels, called)[[1, 0, 1, 0], [1, 1, 0, 0]].tolist()
    assert metrics.accuracy(count)[0] == pytest.approx(reference.accuracy_score(labels, called))
    assert metrics.balanced_accuracy(count)[0] == pytest.approx(reference.balanced_accuracy_score(labels, called))
    assert metrics.f1(count)[0] == pytest.approx(reference.f1_score(labels, called, zero_division=0.0))
    probs = 1 / (1 + np.exp(-scores))
    assert metrics.squared_error(w, labels, probs)[0] / len(labels) == pytest.approx(
        reference.brier_score_loss(labels, probs)
    )


@settings(max_examples=60, deadline=None)
@given(units, st.integers(0, 1000))
def test_weights_are_naive_resampling(rows, seed):
    labels, scores = arrays(rows)
    weights = np.random.default_rng(seed).integers(0, 4, (5, len(labels))).astype(float)
    for metric in (metrics.roc_auc, metrics.average_precision):
        values = metric(weights, labels, scores)
        for row, value in zip(weights.astype(int), values, strict=True):
            chosen = np.repeat(np.arange(len(labels)), row)
            if len(set(labels[chosen])) == 2:
                naive = metric(ones(len(chosen)), labels[chosen], scores[chosen])[0]
                assert value == pytest.approx(naive)
            elif metric is metrics.roc_auc:
                assert np.isnan(value)


@settings(max_examples=60, deadline=None)
@given(units, st.permutations(range(4)))
def test_laws(rows, _):
    labels, scores = arrays(rows)
    w = ones(len(labels))
    auc = metrics.roc_auc(w, labels, scores)[0]
    assert metrics.roc_auc(w, 1 - labels, scores)[0] == pytest.approx(1 - auc)
    assert metrics.roc_auc(w, labels, np.exp(scores / 2) - 5)[0] == pytest.approx(auc)
    order = np.random.default_rng(0).permutation(len(labels))
    assert metrics.roc_auc(w, labels[order], scores[order])[0] == pytest.approx(auc)
    assert metrics.roc_auc(w, labels, np.zeros(len(labels)))[0] == 0.5


class TestBootstrap:
    strata = np.array([0] * 7 + [1] * 5 + [2])

    def test_every_stratum_keeps_its_size(self):
        weights = patient_weights(self.strata, 200, np.random.default_rng(0))
        for stratum in (0, 1, 2):
            assert (weights[:, self.strata == stratum].sum(axis=1) == (self.strata == stratum).sum()).all()

    def test_the_same_generator_gives_the_same_weights(self):
        one, two = (patient_weights(self.strata, 50, np.random.default_rng(3)) for _ in range(2))
        assert np.array_equal(one, two)

    def test_percentiles_leave_out_what_is_not_defined(self):
        values = np.r_[np.linspace(0, 1, 101), np.full(50, np.nan)]
        assert percentile_interval(values) == (pytest.approx(0.025), pytest.approx(0.975))
        assert np.isnan(percentile_interval(np.full(3, np.nan))).all()


class TestThreshold:
    def test_by_hand(self):
        scores, labels = np.arange(12.0), np.r_[np.zeros(10), 1, 1]
        assert threshold_at_specificity(scores, labels, 0.9) == 8.0  # one of ten negatives lies above
        assert threshold_at_specificity(scores, labels, 0.95) == 9.0

    @settings(max_examples=100, deadline=None)
    @given(units)
    def test_reaches_the_target_with_ties_and_no_lower_score_does(self, rows):
        labels, scores = arrays(rows)
        threshold = threshold_at_specificity(scores, labels, 0.9)
        negatives = scores[labels == 0]
        assert (negatives <= threshold).mean() >= 0.9
        assert all((negatives <= lower).mean() < 0.9 for lower in set(negatives) if lower < threshold)

    def test_without_negatives_it_is_refused(self):
        with pytest.raises(ValueError, match="negative"):
            threshold_at_specificity(np.ones(2), np.ones(2))


def test_estimate_refuses_nonsense():
    good = {
        "value": 0.7,
        "low": 0.6,
        "high": 0.8,
        "level": "patient",
        "method": "m",
        "estimand": "E1",
        "n_patients": 9,
        "n_images": 9,
    }
    assert Estimate(**good).value == 0.7
    for change in ({"low": 0.9}, {"low": float("nan")}, {"level": "slice"}):
        with pytest.raises(ValueError):
            Estimate(**{**good, **change})


def test_areas_of_many_replicates_are_those_of_each_alone():
    """Blocks of replicates, ties and several rows of a unit change nothing; scikit-learn agrees for integer weights."""
    rng = np.random.default_rng(4)
    units = rng.integers(0, 30, 90)
    labels, scores = rng.integers(0, 2, 90), np.round(rng.normal(size=90), 1)
    weights = rng.poisson(1.0, (3 * metrics.BLOCK + 7, 30)).astype(float)
    partial, average = metrics.curve_areas(weights, units, labels, scores, max_fpr=0.2)
    for number in (0, 1, metrics.BLOCK, len(weights) - 1):
        alone = metrics.curve_areas(weights[[number]], units, labels, scores, max_fpr=0.2)
        assert (partial[number], average[number]) == (alone[0][0], alone[1][0])
        drawn = weights[number, units]
        assert average[number] == pytest.approx(
            reference.average_precision_score(labels, scores, sample_weight=drawn), rel=1e-12
        )
        assert partial[number] == pytest.approx(
            reference.roc_auc_score(labels, scores, sample_weight=drawn, max_fpr=0.2), rel=1e-12
        )
    nobody = metrics.curve_areas(np.zeros((1, 30)), units, labels, scores, max_fpr=0.2)
    assert np.isnan(nobody).all()
