"""Published and independently derived numbers, each with its source; third-party data is read where it lies."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, norm, t

from study.stats import auc, calibration, metrics, proportions
from study.stats.bootstrap import patient_weights, percentile_interval
from study.stats.comparison import holm
from study.stats.corrected_t import corrected_mean
from study.stats.kernel import areas, kernel
from study.stats.permutation import exchange_contributions, permutation_p

REFERENCE = Path(__file__).resolve().parents[4] / "shared" / "reference"
HERE = Path(__file__).parent
MODELS = ["p_multimodal", "p_image_only"]


@pytest.fixture(scope="module")
def known():
    if not REFERENCE.is_dir():
        pytest.skip("the reference numbers (../shared/reference beside the checkout) are not here")
    return json.loads((REFERENCE / "known_answers.json").read_text())


@pytest.fixture(scope="module")
def grouped():
    """150 patients, 2 to 4 images each, breast-level labels, out-of-fold scores of two models with ties."""
    return pd.read_csv(HERE / "synthetic_grouped_oof.csv")


def test_delong_as_proc(known):
    """R pROC 1.18.0 on the Wisconsin data that scikit-learn ships."""
    from sklearn.datasets import load_breast_cancer

    expected = known["delong_WDBC"]
    data = load_breast_cancer(as_frame=True)
    labels = 1 - data.target.to_numpy()
    names = list(expected["auc"])
    found = auc.delong(labels, data.data[names].to_numpy().T)
    assert found.value == pytest.approx(list(expected["auc"].values()), rel=1e-10)
    assert np.diag(found.covariance) == pytest.approx(list(expected["var"].values()), rel=1e-9)
    for name, interval in expected["ci95"].items():
        number = names.index(name)
        assert auc.normal_interval(found.value[number], found.se[number]) == pytest.approx(interval, rel=1e-9)
    pairs = {"texture-smoothness": (0, 1), "concave points-worst area": (2, 3)}
    for name, (first, second) in pairs.items():
        answer = expected["paired"][name]
        difference, se = found.difference(first, second)
        assert difference / se == pytest.approx(answer["Z"], rel=1e-8)
        assert auc.t_p(difference, se, np.inf) == pytest.approx(answer["p"], rel=1e-8)
        assert auc.normal_interval(difference, se) == pytest.approx(answer["ci"], rel=1e-8)
        assert found.covariance[first, second] == pytest.approx(answer["cov"], rel=1e-7)


def test_clustered_delong_as_didsr(known):
    """DIDSR mitoticFigureCounts, aucMRMCcluster.rda and a rerun of doAUCcluster."""
    expected = known["clustered_delong"]["mitotic_WSI"]
    data = pd.read_csv(REFERENCE / expected["file"])
    found = auc.clustered_delong(
        data["truth"].to_numpy(), data[expected["scores"]].to_numpy().T, data["wsi"].to_numpy()
    )
    assert found.value == pytest.approx(expected["auc"], rel=1e-9)
    assert np.diag(found.covariance) == pytest.approx(expected["var"], rel=1e-9)
    assert found.covariance[0, 1] == pytest.approx(expected["cov"], rel=1e-9)
    difference, se = found.difference(0, 1)
    assert se**2 == pytest.approx(expected["var_diff"], rel=1e-9)
    assert auc.t_p(difference, se, np.inf) == pytest.approx(expected["p"], rel=1e-8)


def test_clustered_delong_of_the_grouped_data(known, grouped):
    expected = known["clustered_delong"]["synthetic"]
    labels, scores = grouped["y"].to_numpy(), grouped[MODELS].to_numpy().T
    found = auc.clustered_delong(labels, scores, grouped["patient_id"].to_numpy())
    assert dict(zip(MODELS, found.value, strict=True)) == pytest.approx(expected["auc"], rel=1e-9)
    assert dict(zip(MODELS, np.diag(found.covariance), strict=True)) == pytest.approx(expected["var"], rel=1e-9)
    difference, se = found.difference(0, 1)
    assert se**2 == pytest.approx(expected["var_diff"], rel=1e-9)
    assert auc.normal_interval(difference, se) == pytest.approx(expected["diff_ci"], rel=1e-9)
    assert auc.t_p(difference, se, np.inf) == pytest.approx(expected["p"], rel=1e-6)
    independent = auc.delong(labels, scores)
    assert np.diag(independent.covariance) == pytest.approx(expected["naive_iid_var"], rel=1e-9)
    assert independent.covariance[0, 1] == pytest.approx(expected["naive_cov"], rel=1e-9)
    patients = np.unique(grouped["patient_id"], return_inverse=True)[1]
    without = areas(1 - np.eye(150), kernel(labels, scores, patients))[0]
    spread = np.sqrt(149 / 150 * ((without - without.mean()) ** 2).sum())
    assert spread == pytest.approx(expected["delete1_jackknife_SE"], rel=1e-6)


def test_fold_stratified_clustered_delong(known, grouped):
    expected = known["clustered_delong"]["foldstrat"]
    found = auc.cross_validated_delong(*columns(grouped))
    assert found.value == pytest.approx([expected["mean_A"], expected["mean_B"]], rel=1e-9)
    assert found.se == pytest.approx([expected["SE_A"], expected["SE_B"]], rel=1e-9)
    assert found.difference(0, 1) == pytest.approx((expected["diff"], expected["SE_diff"]), rel=1e-9)
    for fold in range(5):
        rows = (grouped["fold"] == sorted(grouped["fold"].unique())[fold]).to_numpy()
        labels, scores, patients, _ = columns(grouped[rows])
        part = auc.clustered_delong(labels, scores, patients)
        assert part.value == pytest.approx([expected["fold_auc_A"][fold], expected["fold_auc_B"][fold]], rel=1e-9)
        assert part.covariance[0, 0] == pytest.approx(expected["fold_var_A"][fold], rel=1e-9)


def columns(data):
    return (data["y"].to_numpy(), data[MODELS].to_numpy().T, data["patient_id"].to_numpy(), data["fold"].to_numpy())


def test_ledell_as_cvauc(known, grouped):
    """R cvAUC, ci.cvAUC.Rd: 0.9046473 / 0.01620238 / [0.8728913, 0.9364034]; ties count 0 there."""
    expected = known["ledell"]["admissions"]
    data = pd.read_csv(REFERENCE / expected["file"])
    labels, scores, folds = (data[name].to_numpy() for name in ("Y", "pred", "fold"))
    value, se = auc.ledell(labels, scores, np.arange(len(data)), folds, half_ties=False)
    assert (value, se) == pytest.approx((expected["cvAUC"], expected["se"]), rel=1e-9)
    assert auc.normal_interval(value, se) == pytest.approx(expected["ci"], rel=1e-9)
    assert auc.ledell(labels, scores, np.arange(len(data)), folds)[1] == pytest.approx(
        expected["se_with_half_ties"], rel=1e-9
    )
    assert auc.delong(labels, scores).value[0] == pytest.approx(expected["pooled_auc"], rel=1e-9)
    for model, answer in known["ledell"]["synthetic"].items():
        labels, scores, folds = (grouped[name].to_numpy() for name in ("y", model, "fold"))
        patients, rows = grouped["patient_id"].to_numpy(), np.arange(len(grouped))
        value, se = auc.ledell(labels, scores, patients, folds, half_ties=False)
        assert (value, se) == pytest.approx((answer["cvAUC"], answer["se_cl"]), rel=1e-9)
        assert auc.ledell(labels, scores, rows, folds, half_ties=False)[1] == pytest.approx(answer["se_iid"], rel=1e-9)
        assert auc.ledell(labels, scores, patients, folds)[1] == pytest.approx(answer["se_cl_halfties"], rel=1e-9)


def test_nadeau_bengio_as_correctr_and_scikit_learn(known):
    """R correctR's vignette; scikit-learn's example plot_grid_search_stats, whose Bayesian numbers are Benavoli's."""
    first = known["nadeau_bengio"]["correctR_resampled"]
    data = pd.read_csv(REFERENCE / first["file"])
    found = corrected_mean((data["x"] - data["y"]).to_numpy(), first["n2"] / first["n1"])
    assert found.value / found.se == pytest.approx(first["t"], rel=1e-9)
    assert found.p == pytest.approx(first["p"], rel=1e-8)
    second = known["nadeau_bengio"]["sklearn_doc"]
    data = pd.read_csv(REFERENCE / second["file"])
    found = corrected_mean((data["rbf"] - data["linear"]).to_numpy(), second["n_test"] / second["n_train"])
    assert found.value / found.se == pytest.approx(second["t"], rel=1e-8)
    assert found.p / 2 == pytest.approx(second["p1"], rel=1e-8)
    _, same, better = found.probabilities(0.01)
    assert found.probabilities(0.0)[2] == pytest.approx(second["P_better"], rel=1e-8)
    assert same == pytest.approx(second["P_rope_.01"], rel=1e-8)
    assert better == pytest.approx(1 - t.cdf((0.01 - found.value) / found.se, 99), rel=1e-9)
    assert found.interval() == pytest.approx(second["cred95"], rel=1e-8)


@pytest.mark.parametrize(("name", "repeats", "k"), [("k5", 1, 5), ("k10", 1, 10), ("5x5", 5, 5), ("10x10", 10, 10)])
def test_the_correction_inflates_as_it_should(known, name, repeats, k):
    scores = np.random.default_rng(0).normal(size=(repeats, k))
    naive = scores.std(ddof=1) / np.sqrt(scores.size)
    inflation = corrected_mean(scores, 1 / (k - 1)).se / naive
    assert inflation == pytest.approx(known["nadeau_bengio"]["se_inflation"][name], rel=1e-9)


def test_holm(known):
    assert holm(known["holm"]["p"]) == pytest.approx(known["holm"]["holm"])
    assert np.isnan(holm([0.01, float("nan")])[1]) and holm([0.01, float("nan")])[0] == 0.02


@pytest.mark.parametrize("shown", ["81/263", "15/148", "0/20", "1/29"])
def test_proportions_of_newcombe(known, shown):
    """Newcombe 1998, Table I, methods 3 and 5."""
    x, n = map(int, shown.split("/"))
    assert proportions.wilson(x, n) == pytest.approx(known["proportions"][shown]["wilson"], abs=1e-9)
    assert proportions.clopper_pearson(x, n) == pytest.approx(known["proportions"][shown]["CP"], abs=1e-9)


def test_clustered_proportions(known, grouped):
    expected = known["clustered_proportions_synthetic_at_0.5"]
    labels, called = grouped["y"].to_numpy() == 1, grouped["p_multimodal"].to_numpy() >= 0.5
    patients = np.unique(grouped["patient_id"], return_inverse=True)[1]
    right = labels == called
    for name, counted in {"accuracy": np.ones_like(labels), "sensitivity": labels, "specificity": ~labels}.items():
        answer = expected[name]
        found = proportions.clustered_ratio(np.bincount(patients, right & counted), np.bincount(patients, counted))
        assert (found.value, found.n, found.n_patients) == (pytest.approx(answer["p"]), answer["n"], answer["I"])
        assert found.se == pytest.approx(answer.get("se", answer.get("se_I44")), rel=1e-8)
        assert proportions.clustered_wilson(found) == pytest.approx(answer["wilson_deff"], abs=1e-8)
        assert proportions.wilson(answer["x"], answer["n"]) == pytest.approx(answer["wilson_iid"], abs=1e-8)
        if "deff_n" in answer:
            assert found.design_effect == pytest.approx(answer["deff_n"], rel=1e-8)
    count = metrics.counts(np.ones((1, len(labels))), labels, called)
    (tn, fp), (fn, tp) = expected["confusion"]
    assert count[:, 0].tolist() == [tp, fp, fn, tn]
    assert metrics.f1(count)[0] == pytest.approx(expected["f1"]) and metrics.mcc(count)[0] == pytest.approx(
        expected["mcc"]
    )


def bca_interval(value, replicates, jackknife):
    """The bias-corrected and accelerated interval (Efron 1987) of replicates; reports give percentiles."""
    z0 = norm.ppf(((replicates < value).sum() + 0.5 * (replicates == value).sum()) / len(replicates))
    z = z0 + norm.ppf([0.025, 0.975])
    return tuple(np.quantile(replicates, norm.cdf(z0 + z / (1 - acceleration(jackknife) * z))))


def acceleration(jackknife):
    away = jackknife.mean() - jackknife
    return (away**3).sum() / (6 * (away**2).sum() ** 1.5)


def test_bca_of_a_mean_as_r_boot(known):
    """scipy's comparison with R boot; the replicates are resampled means."""
    expected = known["bca"]["scipy_vs_R_boot_mean"]
    x = np.array(expected["x"])
    weights = patient_weights(np.zeros(len(x), dtype=int), 200_000, np.random.default_rng(1))
    drawn = weights @ x / len(x)
    without = (x.sum() - x) / (len(x) - 1)
    assert percentile_interval(drawn) == pytest.approx(expected["percentile"], rel=0.005)
    assert bca_interval(x.mean(), drawn, without) == pytest.approx(expected["BCa"], rel=0.005)


def test_cluster_bootstrap_and_bca_of_the_grouped_data(known, grouped):
    expected = known["bca"]["synthetic_cluster_200k"]
    labels, scores = grouped["y"].to_numpy(), grouped[MODELS].to_numpy().T
    patients = np.unique(grouped["patient_id"], return_inverse=True)[1]
    pairs = kernel(labels, scores, patients)
    drawn = areas(patient_weights(np.zeros(150, dtype=int), 40_000, np.random.default_rng(2)), pairs)
    without = areas(1 - np.eye(150), pairs)
    value = areas(np.ones((1, 150)), pairs)[:, 0]
    assert np.nanstd(drawn[0]) == pytest.approx(expected["sd"], rel=0.02)
    assert percentile_interval(drawn[0]) == pytest.approx(expected["pct"], abs=0.002)
    assert acceleration(without[0]) == pytest.approx(expected["a"], rel=1e-6)
    assert bca_interval(value[0], drawn[0], without[0]) == pytest.approx(expected["BCa"], abs=0.002)
    change = drawn[0] - drawn[1]
    assert change.std() == pytest.approx(expected["diff_sd"], rel=0.02)
    assert percentile_interval(change) == pytest.approx(expected["diff_pct"], abs=0.001)
    assert bca_interval(value[0] - value[1], change, without[0] - without[1]) == pytest.approx(
        expected["diff_BCa"], abs=0.001
    )


def test_the_bootstrap_of_four_patients_enumerated(known):
    """All 4^4 resamples of four patients, by the kernel."""
    expected = known["exhaustive"]["cluster_bootstrap"]
    patients, labels, scores = (np.array(expected[name]) for name in ("G", "Y", "S"))
    resamples = np.array(np.meshgrid(*[range(4)] * 4)).reshape(4, -1).T
    weights = np.stack([np.bincount(drawn, minlength=4) for drawn in resamples]).astype(float)
    values = areas(weights, kernel(labels, scores, patients))[0]
    valid = values[~np.isnan(values)]
    assert (len(valid), len(values)) == (expected["valid"], expected["of"])
    assert valid.mean() == pytest.approx(expected["mean"]) and valid.std() == pytest.approx(expected["sd_pop"])
    assert percentile_interval(values) == pytest.approx(expected["q"])


def test_the_permutation_of_eight_patients_enumerated(known):
    expected = known["exhaustive"]["swap_permutation"]
    labels, first, second = (np.array(expected[name]) for name in ("Y", "P", "Q"))
    # the published count exchanges raw scores; ranks within the part would make another test of the same kind
    contributions = exchange_contributions(labels, first, second, np.arange(8), np.zeros(8, dtype=int), ranked=False)
    assert contributions.sum() == pytest.approx(expected["D"])
    p = permutation_p(contributions, 0, np.random.default_rng(0))
    assert p == expected["p"] == expected["count"] / expected["of"]


def test_calibration_as_torchmetrics_and_by_glm(known, grouped):
    """torchmetrics' documentation; the grouped data by two other programs."""
    expected = known["calibration"]["torchmetrics_doc"]
    probs, labels = np.array(expected["p"]), np.array(expected["y"])
    for power in ("l1", "l2", "max"):
        assert calibration.ece(labels, probs, expected["bins"], norm=power) == pytest.approx(expected[power], abs=5e-5)
    expected = known["calibration"]["synthetic_multimodal"]
    labels, probs = grouped["y"].to_numpy(), grouped["p_multimodal"].to_numpy()
    assert calibration.ece(labels, probs, 10) == pytest.approx(expected["ECE10_positive_class"], rel=1e-9)
    assert calibration.ece(labels, probs, 15) == pytest.approx(expected["ECE15"], rel=1e-9)
    called = probs >= 0.5
    right, confidence = (called == (labels == 1)).astype(float), np.where(called, probs, 1 - probs)
    assert calibration.ece(right, confidence) == pytest.approx(expected["ECE10_top_label"], rel=1e-9)
    found = calibration.recalibration(labels, probs, grouped["patient_id"].to_numpy())
    assert found.slope == pytest.approx(expected["slope"], rel=1e-6)
    assert found.intercept == pytest.approx(expected["intercept"], rel=1e-6)
    assert found.in_the_large == pytest.approx(expected["CITL"], rel=1e-6)
    assert ((probs - labels) ** 2).mean() == pytest.approx(expected["brier"])


def test_a_clustered_difference_of_shares_as_mcnemar_of_agresti(known):
    """Agresti 2013, approval ratings. With one row a patient only the centring of the variance is another."""
    expected = known["mcnemar_agresti"]
    (a, b), (c, d) = expected["table"]
    change, n = np.repeat([0.0, 1.0, -1.0, 0.0], [a, b, c, d]), a + b + c + d
    found = proportions.clustered_ratio(change, np.ones(n))
    around_0 = (found.se**2 * (n - 1) + found.value**2) / n
    chi2_ = found.value**2 / around_0
    assert chi2_ == pytest.approx(expected["chi2_nocorr"], rel=1e-7)
    assert chi2.sf(chi2_, 1) == pytest.approx(expected["p"], rel=1e-7)


def test_small_numbers_of_scikit_learn(known):
    expected = known["sklearn_small"]
    labels, scores, ones = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]), np.ones((1, 4))
    assert metrics.average_precision(ones, labels, scores)[0] == pytest.approx(expected["AP([0,0,1,1],[.1,.4,.35,.8])"])
    assert metrics.roc_auc(ones, labels, scores)[0] == expected["AUC"]
    count = metrics.counts(ones, np.array([1, 1, 1, 0]), np.array([1, 0, 1, 1]))
    assert metrics.mcc(count)[0] == pytest.approx(expected["MCC([1,1,1,-1],[1,-1,1,1])"])
    brier = metrics.squared_error(ones, np.array([0, 1, 1, 0]), np.array([0.1, 0.9, 0.8, 0.3]))[0] / 4
    assert brier == pytest.approx(expected["brier([0,1,1,0],[.1,.9,.8,.3])"])
