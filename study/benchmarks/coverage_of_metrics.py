"""Coverage of intervals of other metrics than the AUC: proportions, errors, calibration, net benefit, subgroups.

The scores of a simulated fold model are normal within a class, N(0, 1) and N(d, 1) after division by their scale. So
are its sensitivity, specificity, errors and calibration known: of a threshold that is fixed at the true 90 %
specificity, and of the true probabilities, whose calibration is ideal. All are about these fitted models (E1), at
patient level; the design effect of correlated rows is tried on images.

The ECE is not judged: it is biased upwards by construction, so that its interval leaves the truth of 0 out.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from study.benchmarks.simulation import BREAST, BREASTS, IMAGE, PATIENT, VIEWS, SimulatedStudy
from study.stats import metrics
from study.stats.auc import normal_interval
from study.stats.bootstrap import logit_t_interval, percentile_interval
from study.stats.calibration import recalibration
from study.stats.comparison import Pair
from study.stats.decision import at_prevalence, net_benefit, predictive_values
from study.stats.kernel import kernel, pair_sums
from study.stats.proportions import clustered_ratio, clustered_wilson, t_interval

Interval = tuple[float, float]
Found = dict[str, tuple[Interval, float]]
"""Name of an interval -> its ends, and the truth."""

PREVALENCE, RECALL = 0.05, 0.1
"""Declared prevalence, and the probability from which people are recalled."""
LEAST_SPECIFICITY = 0.8
MEAN_SD = float(np.sqrt(PATIENT + BREAST / BREASTS + IMAGE / (BREASTS * VIEWS)))
"""Standard deviation of the mean over a patient's images, over that of one image."""
POINT = float(norm.ppf(0.9))
NODES, SHARES = np.polynomial.hermite_e.hermegauss(40)
WILSON, PERCENTILE, ROBUST = "Wilson, patient design effect", "patient bootstrap, percentile", "cluster-robust"

METHODS = {
    "sensitivity": ("sensitivity", "E1", f"{WILSON} (primary)", "sensitivity_truth"),
    "sensitivity_images": ("sensitivity of images", "E1", f"{WILSON} (primary)", "sensitivity_images_truth"),
    "specificity": ("specificity", "E1", f"{WILSON} (primary)", "specificity_truth"),
    "brier": ("Brier score", "E1", f"{ROBUST} t (primary)", "brier_truth"),
    "log_loss": ("log loss", "E1", f"{ROBUST} t (primary)", "log_loss_truth"),
    "slope": ("calibration slope", "E1", f"{ROBUST} normal (primary)", "slope_truth"),
    "intercept": ("calibration intercept", "E1", f"{ROBUST} normal (primary)", "intercept_truth"),
    "large": ("calibration in the large", "E1", f"{ROBUST} normal (primary)", "large_truth"),
    "partial": ("partial AUC", "E1", "patient bootstrap, standard error, logit t (primary)", "partial_truth"),
    "f1": ("F1", "E1", f"{PERCENTILE} (primary)", "f1_truth"),
    "mcc": ("MCC", "E1", f"{PERCENTILE} (primary)", "mcc_truth"),
    "balanced": ("balanced accuracy", "E1", f"{PERCENTILE} (primary)", "balanced_truth"),
    "ppv": ("PPV at 5 %", "E1", f"{PERCENTILE} (primary)", "ppv_truth"),
    "npv": ("NPV at 5 %", "E1", f"{PERCENTILE} (primary)", "npv_truth"),
    "net_benefit": ("net benefit", "E1", f"{PERCENTILE} (primary)", "net_benefit_truth"),
    "scaled_brier": ("scaled Brier score", "E1", f"{PERCENTILE} (primary)", "scaled_brier_truth"),
    "subgroup": ("AUC of half the patients", "E1", f"{PERCENTILE} (primary)", "subgroup_truth"),
}
"""Interval -> (quantity, estimand, method, column of its truth), as in `study.benchmarks.coverage`."""


def metric_intervals(study: SimulatedStudy, single: Pair, weights: np.ndarray, df: float) -> Found:
    """Return the intervals of the second arm's first run, each with its truth.

    Args:
        study: the simulated one.
        single: the first run of its pair.
        weights: bootstrap weights (n_draws, n_patients).
        df: degrees of freedom of the AUC's variance.
    """
    distance = np.sqrt(2) * norm.ppf(study.truth[1, 0, :, 0])  # (n_folds,)
    order = np.argsort(single.patients)
    labels, folds = single.labels[order], single.folds[order]
    scores = single.scores[1, order] / study.scale[folds]
    weights = np.vstack([np.ones(len(labels)), weights])
    found = _counted(labels, folds, scores, distance, weights)
    found |= _probabilities(labels, folds, scores, distance, weights)
    found |= _of_images(study, distance)
    partial = np.mean(
        [
            metrics.partial_roc_auc(weights[:, folds == k], labels[folds == k], scores[folds == k], max_fpr=0.2)
            for k in range(len(distance))
        ],
        axis=0,
    )
    found["partial"] = (
        logit_t_interval(float(partial[0]), partial[1:], df, len(distance)),
        float(np.mean(_partial_truth(distance))),
    )
    return found | {"subgroup": _half(labels, folds, scores, distance, weights)}


def _counted(
    labels: np.ndarray, folds: np.ndarray, scores: np.ndarray, distance: np.ndarray, weights: np.ndarray
) -> Found:
    """Intervals at a threshold that is fixed: proportions, and the bootstrap of functions of counts."""
    called, positive = scores > POINT, labels == 1
    sensitivity = float(norm.sf(POINT - distance)[folds[positive]].mean())
    found: Found = {}
    for name, side, right, truth in (
        ("sensitivity", positive, called, sensitivity),
        ("specificity", ~positive, ~called, 0.9),
    ):
        found[name] = (clustered_wilson(clustered_ratio((side & right).astype(float), side.astype(float))), truth)
    drawn = metrics.counts(weights, labels, called)
    expected = np.array([[sensitivity], [0.1], [1 - sensitivity], [0.9]])
    expected = expected * np.array([positive.sum(), (~positive).sum()] * 2)[:, None]
    functions: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "f1": metrics.f1,
        "mcc": metrics.mcc,
        "balanced": metrics.balanced_accuracy,
        "ppv": lambda count: _predictive(count)[0],
        "npv": lambda count: _predictive(count)[1],
    }
    for name, compute in functions.items():
        found[name] = (percentile_interval(compute(drawn)[1:]), float(compute(expected)[0]))
    return found


def _predictive(count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return predictive_values(metrics.sensitivity(count), metrics.specificity(count), PREVALENCE)


def _probabilities(
    labels: np.ndarray, folds: np.ndarray, scores: np.ndarray, distance: np.ndarray, weights: np.ndarray
) -> Found:
    """Intervals of errors, calibration and net benefit of the true probabilities."""
    share, d, patients = float(labels.mean()), distance[folds], np.arange(len(labels))
    prob = _prob(scores, d, share)
    squared = (prob - labels) ** 2
    loss = -np.where(labels == 1, np.log(prob), np.log1p(-prob))
    at = NODES[:, None] + np.outer(np.ones(len(NODES)), d * labels)  # scores to expect of each patient
    expected = _prob(at, d, share)
    weight = SHARES / SHARES.sum()
    truth = {
        "brier": float((weight @ (expected - labels) ** 2).mean()),
        "log_loss": float((weight @ -np.where(labels == 1, np.log(expected), np.log1p(-expected))).mean()),
    }
    ones = np.ones(len(labels))
    found: Found = {
        name: (t_interval(clustered_ratio(errors, ones)), truth[name])
        for name, errors in (("brier", squared), ("log_loss", loss))
    }
    fit = recalibration(labels, prob, patients)
    for name, value, se, ideal in (
        ("slope", fit.slope, fit.slope_se, 1.0),
        ("intercept", fit.intercept, fit.intercept_se, 0.0),
        ("large", fit.in_the_large, fit.in_the_large_se, 0.0),
    ):
        found[name] = (normal_interval(value, se), ideal)
    drawn = (weights @ squared) / weights.sum(axis=1)
    found["scaled_brier"] = (
        percentile_interval(1 - drawn[1:] / (share * (1 - share))),
        1 - truth["brier"] / (share * (1 - share)),
    )
    recalled = at_prevalence(prob, share, PREVALENCE) >= RECALL
    count = metrics.counts(weights, labels, recalled)
    benefit = net_benefit(metrics.sensitivity(count), metrics.specificity(count), PREVALENCE, RECALL)
    # the score at which the restated probability is RECALL, in each fold
    cut = (logit(RECALL) - logit(PREVALENCE) + distance**2 / 2) / distance
    sensitivity, specificity = (
        norm.sf(cut - distance)[folds[labels == 1]].mean(),
        norm.cdf(cut)[folds[labels == 0]].mean(),
    )
    found["net_benefit"] = (
        percentile_interval(benefit[1:]),
        float(net_benefit(sensitivity.mean(), specificity.mean(), PREVALENCE, RECALL)),
    )
    return found


def _prob(scores: np.ndarray, distance: np.ndarray, share: float) -> np.ndarray:
    """Return the true probability of a positive label at a score, at this share of positives."""
    return expit(distance * scores - distance**2 / 2 + logit(share))


def _of_images(study: SimulatedStudy, distance: np.ndarray) -> Found:
    """The sensitivity of images at a threshold of theirs: correlated rows of patients."""
    labels, scores, patients, folds = study.images
    called, positive = scores / (study.scale / MEAN_SD)[folds] > POINT, labels == 1
    truth = norm.sf(POINT - MEAN_SD * distance)[folds[positive]].mean()
    above, below = (np.bincount(patients, values) for values in (positive & called, positive))
    share = clustered_ratio(above.astype(float), below.astype(float))
    return {"sensitivity_images": (clustered_wilson(share), float(truth))}


def _partial_truth(distance: np.ndarray) -> np.ndarray:
    """Return the standardised partial areas of binormal curves (n_folds,)."""
    most = 1 - LEAST_SPECIFICITY
    rates = (np.arange(2000) + 0.5) / 2000 * most
    area = norm.sf(norm.isf(rates)[:, None] - distance).mean(axis=0) * most
    least = most**2 / 2
    return (1 + (area - least) / (most - least)) / 2


def _half(
    labels: np.ndarray, folds: np.ndarray, scores: np.ndarray, distance: np.ndarray, weights: np.ndarray
) -> tuple[Interval, float]:
    """The AUC of every other patient of each class, over pairs of the same fold."""
    chosen = np.zeros(len(labels), dtype=bool)
    for value in (0, 1):
        chosen[np.flatnonzero(labels == value)[::2]] = True
    above, pairs, truth = np.zeros(len(weights)), np.zeros(len(weights)), 0.0
    for k in np.unique(folds):
        at = np.flatnonzero(chosen & (folds == k))
        if 0 < labels[at].sum() < len(at):
            concordant, of_fold = pair_sums(weights, kernel(labels[at], scores[None, at], at))
            above, pairs = above + concordant[0], pairs + of_fold
            truth += of_fold[0] * norm.cdf(distance[k] / np.sqrt(2))
    drawn = metrics.ratio(above, pairs)
    return percentile_interval(drawn[1:]), float(truth / pairs[0])
