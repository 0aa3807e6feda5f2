"""Simulated studies whose truth is known: correlated images of patients, two arms in patient-grouped cross-validation.

Patients have breasts, breasts have images, and every feature is a sum of a class shift, a patient, a breast and an
image part, so images of a patient are correlated. Two arms are linear discriminants: both see four shared features, the
first four of its own and the second four others; a seed perturbs the fitted weights. The true AUC of a fitted
discriminant is known in closed form.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.stats import binom, norm

from study.stats.comparison import Pair

SHARED, OWN = 4, 4
"""Features both arms see, and features each has to itself."""
PATIENT, BREAST, IMAGE = 0.5, 0.2, 0.3
"""Variance of a feature by source; they sum to 1."""
VIEWS, BREASTS = 2, 2
RIDGE = 0.1
FOLDS = 5
REPEATS, SEEDS = 4, 3
SEED_NOISE = 0.15
"""Length of the perturbation of the weights by a training seed, as a share of theirs."""
COLUMNS = ((0, 1, 2, 3, 4, 5, 6, 7), (0, 1, 2, 3, 8, 9, 10, 11))
"""Features of the first and of the second arm."""


@dataclass(frozen=True)
class Setting:
    """Size of a cohort and strength of its signals.

    Attributes:
        n_patients: in the cohort.
        prevalence: share of positive patients.
        shift: class shift of shared and of the second arm's own features, in standard deviations.
        extra: further shift of the first arm's own features.
        area: wanted mean true AUC of the second arm, for the record.
        difference: wanted mean true difference, for the record.
    """

    n_patients: int
    prevalence: float
    shift: float
    extra: float
    area: float
    difference: float

    @property
    def shifts(self) -> np.ndarray:
        """Class shift of every feature (12,)."""
        return np.r_[np.full(SHARED, self.shift), np.full(OWN, self.shift + self.extra), np.full(OWN, self.shift)]


@dataclass(frozen=True)
class SimulatedStudy:
    """Scores and truths of a simulated study.

    Attributes:
        pair: patient-level scores of both arms over all runs.
        truth: true patient-level AUC of every fitted model (2, n_repeats, n_folds, n_seeds).
        images: labels (n,), scores of the second arm (n,), patients (n,) and folds (n,) by image, first run.
        image_truth: true image-level AUC of the second arm's first-run models, mean over folds.
        scale: standard deviation of a patient's score within a class, of the second arm's first-run models (n_folds,).
    """

    pair: Pair
    truth: np.ndarray
    images: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    image_truth: float
    scale: np.ndarray


def simulate(
    setting: Setting, rng: np.random.Generator, *, repeats: int = REPEATS, seeds: int = SEEDS
) -> SimulatedStudy:
    """Draw a cohort, train both arms in every fold of every repeat with every seed, and score the test patients."""
    n = setting.n_patients
    labels = (np.arange(n) < round(setting.prevalence * n)).astype(int)
    images = _features(setting, labels, rng)  # (n, n_images, 12)
    by_patient, n_images = images.mean(axis=1), images.shape[1]
    folds = np.stack([_deal_folds(labels, rng) for _ in range(repeats)])  # (R, n)
    weights = _weights(images, labels, folds, seeds, rng)  # (R, K, S, 2, 8)
    scores = np.empty((2, repeats, seeds, n))
    truth = np.empty((2, repeats, FOLDS, seeds))
    variance = PATIENT + BREAST / BREASTS + IMAGE / (BREASTS * VIEWS)
    for arm, columns in enumerate(COLUMNS):
        w = weights[:, :, :, arm]
        of_test = np.take_along_axis(w, folds[:, :, None, None], axis=1)  # (R, n, S, 8)
        scores[arm] = np.einsum("rnsf,nf->rsn", of_test, by_patient[:, columns])
        truth[arm] = _true_area(setting, w, columns, variance)
    first = weights[0, :, 0, 1]  # (K, 8)
    by_image = np.einsum("nif,nf->ni", images[:, :, COLUMNS[1]], first[folds[0]])
    rows = np.repeat(np.arange(n), n_images)
    return SimulatedStudy(
        _pair(labels, scores, folds),
        truth,
        (labels[rows], by_image.ravel(), rows, folds[0][rows]),
        float(_true_area(setting, first, COLUMNS[1], 1.0).mean()),
        np.linalg.norm(first, axis=-1) * np.sqrt(variance),
    )


def _true_area(setting: Setting, weights: np.ndarray, columns: tuple[int, ...], variance: float) -> np.ndarray:
    """Return the true AUC (...) of discriminants (..., 8) of features with this variance."""
    distance = (weights @ setting.shifts[list(columns)]) / np.linalg.norm(weights, axis=-1)
    return np.asarray(norm.cdf(distance / np.sqrt(2 * variance)))


def _pair(labels: np.ndarray, scores: np.ndarray, folds: np.ndarray) -> Pair:
    """Return scores (2, R, S, n) of patients with labels (n,) and folds (R, n) as one line a patient and run."""
    _, repeats, seeds, n = scores.shape
    shape = (repeats, seeds, n)
    return Pair(
        np.broadcast_to(labels, shape).ravel(),
        scores.reshape(2, -1),
        np.broadcast_to(np.arange(n), shape).ravel(),
        np.broadcast_to(folds[:, None], shape).ravel(),
        *(np.broadcast_to(axis, shape).ravel() for axis in np.ogrid[:repeats, :seeds, :1][:2]),
    )


def _features(setting: Setting, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    n, width = setting.n_patients, SHARED + 2 * OWN
    patient = rng.normal(size=(n, 1, 1, width)) * np.sqrt(PATIENT)
    breast = rng.normal(size=(n, BREASTS, 1, width)) * np.sqrt(BREAST)
    image = rng.normal(size=(n, BREASTS, VIEWS, width)) * np.sqrt(IMAGE)
    shifted = patient + breast + image + labels[:, None, None, None] * setting.shifts
    return shifted.reshape(n, BREASTS * VIEWS, width)


def expected_average_precision(areas: np.ndarray, n_positive: int, n_negative: int) -> np.ndarray:
    """Return the average precision to expect of normal scores with true AUCs (n,), in a test set of this size: (n,).

    A positive at x that A of the other positives and B negatives exceed has precision (1 + A) / (1 + A + B), with A and
    B binomial; averaged over x by Gauss-Hermite quadrature.
    """
    grid, expected = _average_precisions(n_positive, n_negative)
    return np.interp(np.sqrt(2) * norm.ppf(areas), grid, expected)


@lru_cache
def _average_precisions(n_positive: int, n_negative: int) -> tuple[np.ndarray, np.ndarray]:
    """Return separations in standard deviations (g,) and the average precisions to expect there (g,)."""
    grid = np.linspace(-2, 6, 161)
    x, share = np.polynomial.hermite_e.hermegauss(64)
    above, below = np.arange(n_positive), np.arange(n_negative + 1)
    positives = binom.pmf(above, n_positive - 1, norm.sf(x)[:, None])  # (x, n_positive)
    negatives = binom.pmf(below, n_negative, norm.sf(x + grid[:, None])[..., None])  # (g, x, n_negative + 1)
    precision = (1 + above[:, None]) / (1 + above[:, None] + below)
    at_x = np.einsum("xb,gxb->gx", positives @ precision, negatives)
    return grid, at_x @ share / share.sum()


def _deal_folds(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Deal the patients of each class over the folds (n,)."""
    folds = np.empty(len(labels), dtype=int)
    for value in (0, 1):
        members = rng.permutation(np.flatnonzero(labels == value))
        folds[members] = np.arange(len(members)) % FOLDS
    return folds


def _weights(
    images: np.ndarray, labels: np.ndarray, folds: np.ndarray, seeds: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the fitted weights (R, K, S, 2, 8) of images (n, n_images, 12) and folds (R, n)."""
    gram = np.einsum("nif,nig->nfg", images, images)
    by_patient, n_images = images.mean(axis=1), images.shape[1]
    weights = np.stack([_discriminants(by_patient, gram, labels, of_run, n_images) for of_run in folds])  # (R, K, 2, 8)
    noise = rng.normal(size=(*weights.shape[:2], seeds, *weights.shape[2:])) / np.sqrt(weights.shape[-1])
    length = np.linalg.norm(weights, axis=-1, keepdims=True)
    return weights[:, :, None] + SEED_NOISE * noise * length[:, :, None]


def _discriminants(
    by_patient: np.ndarray, gram: np.ndarray, labels: np.ndarray, folds: np.ndarray, n_images: int
) -> np.ndarray:
    """Return the ridge discriminants of every fold and arm (n_folds, 2, 8), from sums over training patients."""
    weights = np.empty((FOLDS, 2, SHARED + OWN))
    for fold in range(FOLDS):
        train = folds != fold
        means = [by_patient[train & (labels == value)].mean(axis=0) for value in (0, 1)]
        counts = [(train & (labels == value)).sum() for value in (0, 1)]
        within = gram[train].sum(axis=0) / (n_images * train.sum())
        for mean, count in zip(means, counts, strict=True):
            within = within - count / train.sum() * np.outer(mean, mean)
        for arm, columns in enumerate(COLUMNS):
            chosen = np.ix_(columns, columns)
            distance = (means[1] - means[0])[list(columns)]
            weights[fold, arm] = np.linalg.solve(within[chosen] + RIDGE * np.eye(len(columns)), distance)
    return weights


def find_setting(n_patients: int, prevalence: float, area: float, difference: float) -> Setting:
    """Return the setting in which the second arm's mean true AUC, and the first arm's lead, are as wanted.

    Shifts are found by bisection on 60 pilot data sets of common random numbers.
    """
    setting = Setting(n_patients, prevalence, 0.0, 0.0, area, difference)

    def mean_areas(candidate: Setting) -> np.ndarray:
        draws = [simulate(candidate, np.random.default_rng(k), repeats=1, seeds=1).truth for k in range(60)]
        return np.mean(draws, axis=(0, 2, 3, 4))

    shift = _bisect(lambda value: mean_areas(replace(setting, shift=value))[1] < area, 2.0)
    setting = replace(setting, shift=shift)
    if difference:
        extra = _bisect(lambda value: np.subtract(*mean_areas(replace(setting, extra=value))) < difference, 3.0)
        setting = replace(setting, extra=extra)
    return setting


def _bisect(is_too_small: Callable[[float], bool], high: float) -> float:
    """Return where the answer changes between 0 and `high`."""
    low = 0.0
    for _ in range(18):
        middle = (low + high) / 2
        low, high = (middle, high) if is_too_small(middle) else (low, middle)
    return (low + high) / 2
