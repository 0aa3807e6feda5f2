"""Calibration of probabilities: recalibration intercept and slope, expected calibration error, reliability by bin."""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import expit, logit
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM
from statsmodels.tools.tools import add_constant

Bins = Literal["equal-width", "equal-mass"]
EDGE = 1e-12
"""Probabilities are kept this far from 0 and 1 where their logit is taken."""
LEAST_SPREAD = 1e-6


@dataclass(frozen=True)
class Recalibration:
    """Logistic recalibration of probabilities on the rows they were made for (Cox 1958; Van Calster et al. 2016).

    Attributes:
        slope: of logit(probability); 1 is right, below 1 the probabilities are too extreme.
        intercept: of the same model.
        in_the_large: intercept with the slope held at 1; 0 is right, above 0 the probabilities are too low.
        slope_se, intercept_se, in_the_large_se: cluster-robust standard errors.
    """

    slope: float
    intercept: float
    in_the_large: float
    slope_se: float
    intercept_se: float
    in_the_large_se: float


UNDEFINED = Recalibration(*(float("nan"),) * 6)


def recalibration(labels: np.ndarray, probs: np.ndarray, patients: np.ndarray) -> Recalibration:
    """Fit labels (n,) on the logit of probabilities (n,), with standard errors clustered in patients (n,).

    Everything is NaN where the fit does not exist: one class alone, probabilities that are all equal (to `LEAST_SPREAD`
    on the logit scale, where the slope of a Platt scaling went to 0), or classes that the probabilities separate
    completely.
    """
    scores = logit(np.clip(probs, EDGE, 1 - EDGE))
    truth = np.asarray(labels) == 1
    if truth.all() or not truth.any() or np.ptp(scores) < LEAST_SPREAD:
        return UNDEFINED
    if scores[truth].min() >= scores[~truth].max() or scores[truth].max() <= scores[~truth].min():
        return UNDEFINED
    _, groups = np.unique(patients, return_inverse=True)
    clusters = {"cov_type": "cluster", "cov_kwds": {"groups": groups}}
    family = Binomial()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            both = GLM(truth.astype(float), add_constant(scores), family=family).fit(**clusters)
            large = GLM(truth.astype(float), np.ones((len(scores), 1)), family=family, offset=scores).fit(**clusters)
        except (Warning, ValueError, np.linalg.LinAlgError):
            return UNDEFINED
    return Recalibration(
        slope=float(both.params[1]),
        intercept=float(both.params[0]),
        in_the_large=float(large.params[0]),
        slope_se=float(both.bse[1]),
        intercept_se=float(both.bse[0]),
        in_the_large_se=float(large.bse[0]),
    )


def in_the_large(labels: np.ndarray, probs: np.ndarray, patients: np.ndarray) -> tuple[float, float]:
    """Return calibration in the large and its cluster-robust standard error, as `recalibration` does, and faster.

    NaN with one class alone. Newton's method for the intercept of labels (n,) with the logit of probabilities (n,) as
    offset; the variance is the sandwich, I / (I - 1) times the squared sums of residuals by patient.
    """
    scores = logit(np.clip(probs, EDGE, 1 - EDGE))
    truth = (np.asarray(labels) == 1).astype(float)
    if truth.min() == truth.max():
        return float("nan"), float("nan")
    shift = 0.0
    for _ in range(100):
        fitted = expit(scores + shift)
        step = (truth - fitted).sum() / (fitted * (1 - fitted)).sum()
        shift += float(np.clip(step, -2, 2))
        if abs(step) < 1e-10:
            break
    fitted = expit(scores + shift)
    _, groups = np.unique(patients, return_inverse=True)
    sums = np.bincount(groups, truth - fitted)
    bread = (fitted * (1 - fitted)).sum()
    return shift, float(np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / bread)


def bin_numbers(probs: np.ndarray, n_bins: int, kind: Bins) -> np.ndarray:
    """Return the bin (n,) of each probability, 0 to n_bins - 1; equal probabilities share a bin."""
    edges = (
        np.linspace(0, 1, n_bins + 1) if kind == "equal-width" else np.quantile(probs, np.linspace(0, 1, n_bins + 1))
    )
    return np.clip(np.searchsorted(edges[1:-1], probs, side="left"), 0, n_bins - 1)


def bin_sums(values: np.ndarray, bins: np.ndarray, patients: np.ndarray, n_patients: int, n_bins: int) -> np.ndarray:
    """Return sums of values (n,) by patient and bin: (n_patients, n_bins), ready for patient weights."""
    return np.bincount(patients * n_bins + bins, values, n_patients * n_bins).reshape(n_patients, n_bins)


def calibration_error(gaps: np.ndarray, sizes: np.ndarray, norm: Literal["l1", "l2", "max"] = "l1") -> np.ndarray:
    """Return the calibration error of the positive class: the mean over rows of |observed share - mean probability|.

    `l1` is the ECE (Naeini et al. 2015, for the positive class). Another quantity has the same name: that of the
    predicted class ("top label", Guo et al. 2017), which is far smaller on the same predictions and is not given here.

    Args:
        gaps: sum of label minus probability by bin (..., n_bins).
        sizes: rows by bin (..., n_bins).
        norm: `l2` the root of the mean square, `max` the greatest bin.
    """
    away = np.divide(np.abs(gaps), sizes, out=np.zeros_like(gaps, dtype=float), where=sizes > 0)
    share = sizes / sizes.sum(axis=-1, keepdims=True)
    if norm == "max":
        return away.max(axis=-1)
    return (share * away).sum(axis=-1) if norm == "l1" else np.sqrt((share * away**2).sum(axis=-1))


def ece(
    labels: np.ndarray,
    probs: np.ndarray,
    n_bins: int = 10,
    kind: Bins = "equal-width",
    norm: Literal["l1", "l2", "max"] = "l1",
) -> float:
    """Return the calibration error of the positive class of labels (n,) and probabilities (n,)."""
    bins = bin_numbers(probs, n_bins, kind)
    gaps, sizes = np.bincount(bins, labels - probs, n_bins), np.bincount(bins, minlength=n_bins)
    return float(calibration_error(gaps, sizes, norm))


def expected_ece(probs: np.ndarray, n_bins: int, kind: Bins, rng: np.random.Generator, n_draws: int = 200) -> float:
    """Return the mean ECE that perfectly calibrated probabilities (n,) of independent rows would show by chance."""
    bins = bin_numbers(probs, n_bins, kind)
    drawn = (rng.random((n_draws, len(probs))) < probs) - probs
    inside = np.eye(n_bins)[bins]  # (n, n_bins)
    return float(calibration_error(drawn @ inside, inside.sum(axis=0)[None]).mean())
