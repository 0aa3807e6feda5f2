"""Laws that hold whatever the data, and what degenerate data gives."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from study.evaluation.verdicts import sentence
from study.stats import auc, calibration, metrics, proportions
from study.stats.bootstrap import logit_t_interval, patient_weights, percentile_interval
from study.stats.comparison import Pair, compare, fold_areas, judge
from study.stats.corrected_t import corrected_mean, spread
from study.stats.decision import at_prevalence, net_benefit, predictive_values, treat_all
from study.stats.kernel import areas, kernel, mean_areas
from study.stats.permutation import exchange_contributions, permutation_p
from study.stats.procedure import CORRECTED, FLOOR, PROCEDURE, floor, fold_mean, on_logit_scale, procedure, training_sd
from study.stats.thresholds import threshold_at_sensitivity


def cohort(seed, n_patients=30, n_models=2, decimals=1):
    """Labels, scores with ties, and patients with 1 to 4 rows; both classes, some patients with both."""
    rng = np.random.default_rng(seed)
    patients = np.repeat(np.arange(n_patients), rng.integers(1, 5, n_patients))
    labels = (rng.random(len(patients)) < 0.4).astype(int)
    labels[:2], patients = (0, 1), patients
    scores = np.round(
        rng.normal(size=(n_models, len(patients))) + labels + rng.normal(size=n_patients)[patients], decimals
    )
    return labels, scores, patients


seeds = st.integers(0, 10_000)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_duplicating_every_row_changes_no_clustered_variance_and_halves_the_independent_one(seed):
    labels, scores, patients = cohort(seed)
    once, twice = (auc.clustered_delong(*(np.tile(part, k) for part in (labels, scores, patients))) for k in (1, 2))
    np.testing.assert_allclose(once.covariance, twice.covariance, rtol=1e-9)
    single = np.diag(auc.delong(labels, scores).covariance)
    double = np.diag(auc.delong(np.tile(labels, 2), np.tile(scores, 2)).covariance)
    np.testing.assert_allclose(double, single / 2, rtol=0.15)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_flipping_labels_and_monotone_transforms_and_the_order_of_rows(seed):
    labels, scores, patients = cohort(seed)
    found = auc.clustered_delong(labels, scores, patients)
    flipped = auc.clustered_delong(1 - labels, scores, patients)
    np.testing.assert_allclose(flipped.value, 1 - found.value)
    np.testing.assert_allclose(flipped.covariance, found.covariance, rtol=1e-9, atol=1e-15)
    stretched = auc.clustered_delong(labels, np.exp(scores / 3), patients)
    np.testing.assert_allclose(stretched.covariance, found.covariance, rtol=1e-9)
    order = np.random.default_rng(seed).permutation(len(labels))
    shuffled = auc.clustered_delong(labels[order], scores[:, order], patients[order])
    np.testing.assert_allclose(shuffled.covariance, found.covariance, rtol=1e-9)
    swapped = auc.clustered_delong(labels, scores[::-1], patients)
    assert swapped.difference(0, 1) == pytest.approx((-found.difference(0, 1)[0], found.difference(0, 1)[1]))


def test_singleton_clusters_are_delong_exactly():
    labels, scores, _ = cohort(3)
    alone = auc.clustered_delong(labels, scores, np.arange(len(labels)))
    v10, v01 = auc.placements(labels, scores)
    expected = np.cov(v10) / v10.shape[1] + np.cov(v01) / v01.shape[1]
    np.testing.assert_allclose(alone.covariance, expected, rtol=1e-12)
    assert alone.value == pytest.approx([roc_auc_score(labels, row) for row in scores])


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_the_kernel_is_naive_resampling(seed):
    labels, scores, patients = cohort(seed, n_patients=12)
    rng = np.random.default_rng(seed)
    weights = patient_weights(np.zeros(12, dtype=int), 5, rng)
    found = areas(weights, kernel(labels, scores, patients))
    for number, weight in enumerate(weights):
        rows = np.concatenate([np.flatnonzero(patients == i) for i in np.repeat(np.arange(12), weight.astype(int))])
        for model in range(2):
            drawn = labels[rows]
            expected = roc_auc_score(drawn, scores[model, rows]) if 0 < drawn.sum() < len(drawn) else np.nan
            assert found[model, number] == pytest.approx(expected, nan_ok=True)


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_exchanging_patients_by_signs_is_exchanging_their_scores(seed):
    labels, scores, patients = cohort(seed, n_patients=10)
    parts = patients % 2
    if any(labels[parts == part].min() == labels[parts == part].max() for part in (0, 1)):
        return
    contributions = exchange_contributions(labels, *scores, patients, parts, ranked=False)
    signs = np.random.default_rng(seed).choice([-1, 1], 10)
    keep = (signs == 1)[patients]
    mixed = np.where(keep, scores, scores[::-1])
    both = [np.mean([roc_auc_score(labels[parts == part], row[parts == part]) for part in (0, 1)]) for row in mixed]
    assert signs @ contributions == pytest.approx(both[0] - both[1])


def test_repeats_that_are_copies_add_nothing():
    """Averaging influence values over identical runs gives the variance of one run."""
    labels, scores, patients = cohort(5, n_patients=60)
    folds = patients % 5
    once = auc.cross_validated_delong(labels, scores, patients, folds)
    runs = np.repeat(np.arange(4), len(labels))
    copied = auc.cross_validated_delong(*(np.tile(part, 4) for part in (labels, scores, patients, folds)), runs)
    np.testing.assert_allclose(copied.covariance, once.covariance, rtol=1e-12)
    np.testing.assert_allclose(copied.value, once.value)


def test_the_bootstrap_agrees_with_the_formula_and_repeats_itself():
    labels, scores, patients = cohort(8, n_patients=400)
    folds = patients % 5
    positive = np.bincount(patients, labels) > 0
    weights = patient_weights(2 * (np.arange(400) % 5) + positive, 3000, np.random.default_rng(0))
    drawn = mean_areas(weights, labels, scores, patients, folds)
    found = auc.cross_validated_delong(labels, scores, patients, folds)
    np.testing.assert_allclose(np.cov(drawn), found.covariance, rtol=0.12)
    again = patient_weights(2 * (np.arange(400) % 5) + positive, 3000, np.random.default_rng(0))
    assert np.array_equal(weights, again)


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from([0.1, 0.2, 0.5, 1.0]))
def test_weighted_metrics_are_those_of_scikit_learn(seed, max_fpr):
    labels, scores, _ = cohort(seed)
    ones = np.ones((1, len(labels)))
    found = metrics.partial_roc_auc(ones, labels, scores[0], max_fpr=max_fpr)[0]
    if max_fpr == 1.0:
        assert (1 + (found * 2 - 1) * 0.5 - 0.5) * 2 - 1 + 0.5 != found or found >= 0
        assert found == pytest.approx((1 + (roc_auc_score(labels, scores[0]) - 0.5) / 0.5) / 2)
    else:
        assert found == pytest.approx(roc_auc_score(labels, scores[0], max_fpr=max_fpr))


def test_a_threshold_for_a_sensitivity_reaches_it_and_no_more():
    rng = np.random.default_rng(2)
    labels, scores = rng.integers(0, 2, 200), np.round(rng.normal(size=200), 1)
    threshold = threshold_at_sensitivity(scores, labels, 0.9)
    reached = (scores[labels == 1] > threshold).mean()
    assert reached >= 0.9
    higher = np.sort(scores[scores > threshold])[0]
    assert (scores[labels == 1] > higher).mean() < 0.9
    assert threshold_at_sensitivity(np.array([0.0, 1.0]), np.array([1, 0]), 0.9) < 0.0
    with pytest.raises(ValueError, match="positive"):
        threshold_at_sensitivity(scores, np.zeros(200))


def test_perfect_separation_has_an_interval_that_does_not_claim_certainty():
    labels, patients = np.tile([0, 0, 1], 20), np.arange(60)
    scores = labels + 0.0
    found = auc.cross_validated_delong(labels, scores, patients, patients // 12)
    assert found.value[0] == 1.0 and found.undetermined == 5
    low, high = auc.newcombe(1.0, 20, 40)
    assert 0.85 < low < 0.99 and high == 1.0
    scores[0] = 2.0  # one fold is no longer perfect: the others keep an unknown variance, not 0
    mixed = auc.cross_validated_delong(labels, scores, patients, patients // 12)
    alone = auc.clustered_delong(labels[:12], scores[:12], patients[:12])
    assert mixed.undetermined == 4 and mixed.se[0] > alone.se[0] / 5
    low, high = auc.logit_interval(mixed.value[0], mixed.se[0])
    assert low < mixed.value[0] < high < 1


def test_degenerate_data_gives_a_defined_answer_or_an_error():
    ones = np.ones(6, dtype=int)
    with pytest.raises(ValueError, match="both classes"):
        auc.delong(ones, np.arange(6.0))
    with pytest.raises(ValueError, match="NaN"):
        auc.delong(np.array([0, 1]), np.array([0.0, np.nan]))
    constant = auc.cross_validated_delong(np.tile([0, 1], 10), np.zeros(20), np.arange(20), np.arange(20) // 10)
    assert (constant.value[0], constant.se[0]) == (0.5, 0.0)
    one_patient = auc.clustered_delong(np.array([0, 1, 1]), np.array([0.0, 1.0, 2.0]), np.zeros(3))
    assert np.isnan(one_patient.covariance).all()
    assert calibration.recalibration(np.array([0, 1]), np.array([0.5, 0.5]), np.arange(2)) == calibration.UNDEFINED
    assert (
        calibration.recalibration(np.array([0, 1, 1]), np.array([0.1, 0.6, 0.7]), np.arange(3)) == calibration.UNDEFINED
    )
    nearly = np.array([0.3, 0.3, 0.3 + 1e-16, 0.3]) + np.array([0, 1e-12, 0, 0])
    assert calibration.recalibration(np.array([0, 1, 1, 0]), nearly, np.arange(4)) == calibration.UNDEFINED
    nobody = proportions.clustered_ratio(np.zeros(3), np.zeros(3))
    assert np.isnan(nobody.value) and np.isnan(proportions.clustered_wilson(nobody)).all()
    everybody = proportions.clustered_ratio(np.ones(5), np.ones(5))
    assert proportions.clustered_wilson(everybody) == pytest.approx(proportions.clopper_pearson(5, 5))
    assert np.isnan(corrected_mean(np.array([0.7]), 0.25).interval()).all()
    same = corrected_mean(np.zeros(5), 0.25)
    assert same.p == 1.0 and same.probabilities(0.01) == (0.0, 1.0, 0.0)
    assert np.isnan(percentile_interval(np.full(3, np.nan))).all()
    assert np.isnan(logit_t_interval(0.5, np.array([0.5, np.nan]), 10, 5)).all()
    assert np.isnan(logit_t_interval(1.0, np.array([0.9, 1.0]), 10, 5)).all()


def test_an_interval_from_the_spread_holds_the_value_and_is_not_shifted_by_the_replicates():
    replicates = np.array([0.75, 0.8, 0.85])
    low, high = logit_t_interval(0.7, replicates, 20, 5)
    assert (low, high) == pytest.approx(logit_t_interval(0.7, replicates + 0.1, 20, 5)) and 0 < low < 0.7 < high < 1
    half = scipy.stats.t.ppf(0.975, 20) * 0.05 * np.sqrt(25 / 20) / (0.7 * 0.3)
    assert (low, high) == pytest.approx(expit(logit(0.7) + np.array([-half, half])))
    wide = logit_t_interval(0.7, replicates, 2, 5)
    assert wide[0] < low and high < wide[1], "few degrees of freedom"


def test_predictive_values_and_net_benefit_by_hand():
    ppv, npv = predictive_values(np.array(0.9), np.array(0.9), 0.01)
    assert ppv == pytest.approx(0.009 / (0.009 + 0.099)) and npv == pytest.approx(0.891 / (0.891 + 0.001))
    assert net_benefit(np.array(0.8), np.array(0.7), 0.2, 0.1) == pytest.approx(0.16 - 0.24 / 9)
    assert treat_all(0.2, 0.2) == pytest.approx(0)
    assert at_prevalence(np.array([0.5]), 0.5, 0.01)[0] == pytest.approx(0.01)


def test_ece_of_calibrated_probabilities_is_what_chance_says():
    rng = np.random.default_rng(0)
    probs = rng.random(500)
    seen = [calibration.ece((rng.random(500) < probs).astype(int), probs) for _ in range(50)]
    assert np.mean(seen) == pytest.approx(calibration.expected_ece(probs, 10, "equal-width", rng), rel=0.1)


def test_variance_is_split_into_what_was_put_in():
    rng = np.random.default_rng(1)
    scores = 0.8 + rng.normal(size=(400, 1, 1)) * 0.03 + rng.normal(size=(400, 5, 3)) * 0.02
    parts = spread(scores, 0.001)
    assert parts.seed == pytest.approx(0.02**2, rel=0.1) and parts.split == pytest.approx(0.03**2, rel=0.2)
    assert np.isnan(spread(scores[:1, :, :1], 0.001).seed) and np.isnan(spread(scores[:1], 0.001).split)


def pair(seed, gain=0.0, n_patients=200, n_repeats=2, n_seeds=3):
    rng = np.random.default_rng(seed)
    labels = (np.arange(n_patients) % 3 == 0).astype(int)
    shared = rng.normal(size=n_patients) + 1.2 * labels
    columns = []
    for repeat in range(n_repeats):
        folds = rng.permutation(np.arange(n_patients) % 5)
        for seed_ in range(n_seeds):
            first, second = (
                shared + gain * labels + rng.normal(size=n_patients) * 0.1,
                shared + rng.normal(size=n_patients) * 0.1,
            )
            numbers = (np.full(n_patients, number) for number in (repeat, seed_))
            columns.append((labels, first, second, np.arange(n_patients), folds, *numbers))
    labels, first, second, patients, folds, repeats, seeds_ = (np.concatenate(c) for c in zip(*columns, strict=True))
    return Pair(labels, np.stack([first, second]), patients, folds, repeats, seeds_)


def test_a_comparison_swaps_its_signs_and_finds_a_planted_gain():
    found = pair(0, gain=1.0)
    weights = patient_weights(np.zeros(200, dtype=int), 200, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    one = compare("a", "b", found, weights, rng, delta=0.02, n_permutations=500)
    turned = replace(found, scores=found.scores[::-1])
    other = compare("b", "a", turned, weights, rng, delta=0.02, n_permutations=500)
    assert (one.e1_low, one.e2_high, one.p_better) == pytest.approx((-other.e1_high, -other.e2_low, other.p_worse))
    assert one.patients_needed == pytest.approx(other.patients_needed)
    assert one.patients_low < one.patients_needed < one.patients_high
    better, worse = judge([one], delta=0.02)[0], judge([other], delta=0.02)[0]
    assert (better.verdict, worse.verdict) == ("better", "worse")
    assert "a is better than b, by more than 0.02" in sentence(better, 0.02)
    assert one.permutation_p == pytest.approx(1 / 501)


def test_one_split_has_no_e2_and_one_repeat_has_the_corrected_t():
    single, weights, rng = pair(1, n_repeats=1, n_seeds=1), np.ones((20, 200)), np.random.default_rng(0)
    whole = Pair(single.labels, single.scores, single.patients, single.folds * 0, single.repeats, single.seeds)
    found = {
        name: compare("a", "b", data, weights, rng, delta=0.02)
        for name, data in (("whole", whole), ("single", single), ("repeated", pair(1)))
    }
    assert np.isnan(found["whole"].e2_p) and np.isnan(found["whole"].e2_low)
    assert found["single"].e2_method in (CORRECTED, FLOOR) and found["single"].e2_p >= found["single"].corrected_p
    assert np.isnan(found["single"].procedure_p)
    c = found["repeated"]
    widest = max((c.corrected_high - c.corrected_low, CORRECTED), (c.procedure_high - c.procedure_low, PROCEDURE))
    assert c.e2_method == widest[1] and c.e2_p == max(c.corrected_p, c.procedure_p) and c.corrected_p != c.procedure_p
    assert c.e2_high - c.e2_low == max(c.corrected_high - c.corrected_low, c.procedure_high - c.procedure_low)
    assert c.e2_low < c.e2_low_90 < c.e2_high_90 < c.e2_high


def test_an_e2_interval_of_a_difference_is_never_narrower_than_the_patients_allow():
    """Five fold differences that happen to agree are no evidence that other patients would give the same."""
    weights, rng = np.ones((20, 200)), np.random.default_rng(0)
    for seed in range(12):
        c = compare("a", "b", pair(seed, n_repeats=1, n_seeds=1), weights, rng, delta=0.02, n_permutations=10)
        widths = c.e1_high - c.e1_low, c.corrected_high - c.corrected_low
        assert c.e2_high - c.e2_low >= max(np.sqrt(5 / 4) * widths[0], widths[1]) - 1e-12


SEEDS = np.array([-0.035, 0.012, 0.014])
"""Differences of three training seeds, mean over folds."""


def test_the_floor_contains_the_spread_between_seeds():
    """Their mean is what E2 is about: ±0.045 from patients and training sets alone becomes ±0.058."""
    scores = np.broadcast_to(SEEDS, (1, 5, 3))
    patients = (0.045 / scipy.stats.t.ppf(0.975, 75)) ** 2
    found = floor(scores, patients * 4 / 5, 75)
    assert found.se**2 == pytest.approx(patients + SEEDS.var(ddof=1) / 3)
    assert found.df == pytest.approx(found.se**4 / (patients**2 / 75 + (SEEDS.var(ddof=1) / 3) ** 2 / 2))
    assert np.subtract(*found.interval()[::-1]) / 2 == pytest.approx(0.058, abs=1e-3)
    alone = floor(scores[:, :, :1], patients * 4 / 5, 75)
    assert np.subtract(*alone.interval()[::-1]) / 2 == pytest.approx(0.045, abs=1e-9), "given this seed"
    assert training_sd(scores) == pytest.approx(SEEDS.std(ddof=1)) and np.isnan(training_sd(scores[:, :, :1]))


def test_an_interval_is_named_after_what_made_it():
    """Folds that agree leave the floor, which is not Nadeau and Bengio's."""
    weights, rng = np.ones((20, 200)), np.random.default_rng(0)
    data = [pair(seed, n_repeats=1) for seed in range(12)]
    found = [compare("a", "b", one, weights, rng, delta=0.02, n_permutations=10) for one in data]
    for c in found:
        is_floor = c.e2_high - c.e2_low > c.corrected_high - c.corrected_low
        assert c.e2_method == (FLOOR if is_floor else CORRECTED) and c.training_sd > 0
    assert {c.e2_method for c in found} == {CORRECTED, FLOOR}


def test_calibration_in_the_large_by_itself_is_that_of_the_recalibration():
    rng = np.random.default_rng(5)
    prob, patients = rng.uniform(0.02, 0.9, 300), rng.integers(0, 120, 300)
    labels = (rng.random(300) < expit(logit(prob) + 0.4)).astype(int)
    both = calibration.recalibration(labels, prob, patients)
    expected = (both.in_the_large, both.in_the_large_se)
    assert calibration.in_the_large(labels, prob, patients) == pytest.approx(expected, rel=1e-6)
    assert np.isnan(calibration.in_the_large(np.ones(300), prob, patients)).all()


def test_intervals_of_a_difference_stay_where_differences_can_be():
    scores = np.array([[[0.1], [0.9]], [[0.9], [0.1]]])
    low, high = fold_mean(scores - scores[::-1]).interval()
    assert low < -1 and high > 1
    rng = np.random.default_rng(0)
    labels, patients = np.tile([0, 0, 1, 1], 2), np.arange(8)
    folds = np.repeat([0, 1], 4)
    pair = Pair(labels, rng.normal(size=(2, 8)), patients, folds, np.zeros(8, int), np.zeros(8, int))
    found = compare("a", "b", pair, patient_weights(2 * folds + labels, 20, rng), rng, delta=0.02, n_permutations=20)
    for low, high in (
        (found.e1_low, found.e1_high),
        (found.e2_low, found.e2_high),
        (found.e2_low_90, found.e2_high_90),
    ):
        assert -1 <= low <= found.difference <= high <= 1


def test_the_procedure_by_hand():
    scores = np.array([[0.7, 0.8], [0.8, 0.9]])[:, :, None]
    found = procedure(scores, 0.001, 12.0)
    assert found.value == pytest.approx(0.8) and found.se**2 == pytest.approx(0.001 * 2 + 0.005 / 2)
    assert np.isnan(procedure(scores[:1], 0.001, 12.0).se)
    assert fold_mean(scores).se ** 2 == pytest.approx(scores.var(ddof=1) * (1 / 4 + 1))
    assert found.interval() == pytest.approx(scipy.stats.t.interval(0.95, 12.0, 0.8, found.se))
    low, high = on_logit_scale(0.9, 0.1)
    assert 0 < low < 0.9 < high < 1
    assert np.ptp(fold_areas(pair(0))) > 0


def test_permutation_p_is_uniform_under_exchange_and_needs_no_luck():
    rng = np.random.default_rng(4)
    p = []
    for _ in range(200):
        found = pair(int(rng.integers(1e6)), n_patients=40, n_repeats=1, n_seeds=1)
        contributions = exchange_contributions(found.labels, *found.scores, found.patients, found.parts)
        p.append(permutation_p(contributions, 200, rng))
    assert 0.01 <= np.mean(np.array(p) <= 0.1) <= 0.18
