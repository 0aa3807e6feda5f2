"""Precision of a study before it is run: expected intervals, detectable differences, patients needed.

Closed formulas of a few assumed numbers; nothing is drawn at random. Labels are per case, so every image of a patient
carries the patient's label. E1 and E2 are those of docs/explanation/estimands.md. Differences between ablations are at
patient level.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import optimize, special

MOST_PATIENTS = 10_000_000
"""Larger sample sizes are not reported."""

QUANTILES = (np.arange(4000) + 0.5) / 4000
"""Grid over which the estimated standard deviation is averaged out in the power of a t test."""

BOUNDS: tuple[tuple[str, str, Callable[[float], bool]], ...] = (
    ("n_patients", "at least 1", lambda value: 1 <= value < math.inf),
    ("prevalence", "between 0 and 1", lambda value: 0 < value < 1),
    ("auc", "at least 0.5 and below 1", lambda value: 0.5 <= value < 1),
    ("images_per_patient", "at least 1", lambda value: 1 <= value < math.inf),
    ("folds", "at least 2", lambda value: 2 <= value < math.inf),
    ("repeats", "at least 1", lambda value: 1 <= value < math.inf),
    ("correlation", "above -1 and below 1", lambda value: -1 < value < 1),
    ("icc", "from 0 to 1", lambda value: 0 <= value <= 1),
    ("delta", "above 0 and at most 0.5", lambda value: 0 < value <= 0.5),
    ("power", "at least 0.5 and below 1", lambda value: 0.5 <= value < 1),
    ("half_width", "above 0 and below 0.5", lambda value: 0 < value < 0.5),
)


@dataclass(frozen=True)
class Plan:
    """A study in numbers, and what is assumed of its results.

    Attributes:
        n_patients: patients in the cohort.
        prevalence: share of patients with a positive label.
        auc: expected AUC, taken to be the same at patient and at image level and in both ablations of a comparison.
        images_per_patient: mean number of images of a patient.
        folds, repeats: of the cross-validation.
        correlation: correlation of the AUC estimates of two ablations on the same patients (Hanley and McNeil 1983).
        icc: correlation of the placement values of two images of a patient (placement value: share of the other class
            that an image's score ranks correctly against).
        delta: half width of the region of practical equivalence, in AUC.
        power: probability with which a difference, or equivalence, is to be shown.
        half_width: half the width wanted of the 95 % E1 interval.

    Raises:
        ValueError: a field outside its range, or less than one patient of a class in a fold.
    """

    n_patients: int
    prevalence: float
    auc: float
    images_per_patient: float
    folds: int
    repeats: int = 1
    correlation: float = 0.6
    icc: float = 0.5
    delta: float = 0.02
    power: float = 0.8
    half_width: float = 0.05

    def __post_init__(self) -> None:
        for name, wanted, holds in BOUNDS:
            if not holds(getattr(self, name)):
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {wanted}")
        if self.n_patients < fewest_patients(self):
            raise ValueError(
                f"n_patients is {self.n_patients}; {self.folds} folds at prevalence {self.prevalence:g} need at least "
                f"{fewest_patients(self)}, so that every fold has a patient of each class"
            )

    @property
    def df(self) -> float:
        """Degrees of freedom of the E2 interval: of the spread between the folds of one repeat; unlimited with several.

        The evaluation of several repeats uses those of the rarer class's patients, which matters below about 50 of
        them.
        """
        return self.folds - 1 if self.repeats == 1 else math.inf

    @property
    def per_fold(self) -> tuple[float, float]:
        """Expected number of positive and negative patients in a test fold."""
        each = self.n_patients / self.folds
        return each * self.prevalence, each * (1 - self.prevalence)


@dataclass(frozen=True)
class Interval:
    """An expected 95 % interval of the AUC."""

    low: float
    high: float

    @property
    def width(self) -> float:
        """Distance between its ends."""
        return self.high - self.low


@dataclass(frozen=True)
class SampleSize:
    """Number of patients that reach an aim; None, with the reason, where no reasonable number does."""

    n_patients: int | None
    reason: str = ""


@dataclass(frozen=True)
class PlanResult:
    """Expected precision of a plan; standard errors and widths are in units of AUC.

    Attributes:
        inputs: the plan.
        se_patient, se_image: standard error of the fold-mean AUC (E1).
        e1_patient, e1_image: 95 % interval on the logit scale (E1).
        se_procedure, e2_width: standard error of the procedure at patient level, and width of its 95 % interval (E2).
        se_difference_e1, se_difference_e2: standard error of the difference of two ablations.
        detectable_e1, detectable_e2: smallest true difference found at two-sided .05 with the planned power.
        equivalence_half_width: expected half width of the 90 % E2 interval of a difference.
        delta_fits: that interval lies within the region of practical equivalence when centred on 0.
        equivalence_chance: probability that the interval of a true difference of 0 lies within it.
        patients_precision: for an E1 interval of half width `half_width`.
        patients_difference_e1, patients_difference_e2: to detect a difference of `delta`.
        patients_equivalence: for the verdict "equivalent" with the planned power when the true difference is 0.
    """

    inputs: Plan
    se_patient: float
    se_image: float
    e1_patient: Interval
    e1_image: Interval
    se_procedure: float
    e2_width: float
    se_difference_e1: float
    se_difference_e2: float
    detectable_e1: float
    detectable_e2: float
    equivalence_half_width: float
    delta_fits: bool
    equivalence_chance: float
    patients_precision: SampleSize
    patients_difference_e1: SampleSize
    patients_difference_e2: SampleSize
    patients_equivalence: SampleSize


def auc_variance(auc: float, n_positive: float, n_negative: float, shared: float = 1.0) -> float:
    """Variance of an AUC by Hanley and McNeil (1982), whose Q1 and Q2 suppose exponential scores.

    It is the variance of the positives' placement values (Q2 - A²) over n_positive, that of the negatives' (Q1 - A²)
    over n_negative, and a remainder of single pairs over their product. For binormal scores of equal spread the
    standard error at A = 0.8 is 7 % too large when 37 % are positive and 4 % too small when 63 % are.

    Args:
        auc: the true AUC.
        n_positive: positive patients; an expected number need not be whole.
        n_negative: negative patients.
        shared: variance of a patient's mean placement value over that of one image's (`clustering`). The remainder
            has it squared, once for either patient of a pair: exact when the images are independent or all alike.
    """
    of_positives = 2 * auc**2 / (1 + auc) - auc**2
    of_negatives = auc / (2 - auc) - auc**2
    of_pairs = auc * (1 - auc) - of_positives - of_negatives
    return shared * (of_positives / n_positive + of_negatives / n_negative) + shared**2 * of_pairs / (
        n_positive * n_negative
    )


def clustering(images_per_patient: float, icc: float) -> float:
    """Variance of the mean of c equally correlated values over that of one: (1 + (c - 1) icc) / c."""
    return (1 + (images_per_patient - 1) * icc) / images_per_patient


def fold_variance(inputs: Plan, level: str = "patient") -> float:
    """Variance of the AUC of one test fold, at `patient` or `image` level."""
    shared = clustering(inputs.images_per_patient, inputs.icc) if level == "image" else 1.0
    return auc_variance(inputs.auc, *inputs.per_fold, shared)


def se_fitted(inputs: Plan, level: str = "patient") -> float:
    """Standard error of the fold-mean AUC (E1): the square root of the sum of fold variances over K².

    Repeats do not narrow it, since they test the same patients. They do compare patients that one partition keeps in
    different folds, which takes away part of the variance of single pairs; that is neglected.
    """
    return math.sqrt(fold_variance(inputs, level) / inputs.folds)


def se_procedure(inputs: Plan) -> float:
    """Standard error of the procedure (E2) at patient level, as the evaluation will compute it.

    One repeat: Nadeau and Bengio's (2003) s² (1/K + 1/(K - 1)), s² being the variance of one fold's AUC given its
    model. Several: `study.stats.procedure`, whose first term is s² / (K - 1). Both are too small by what splits and
    seeds add, which nobody knows before the run.
    """
    of_spread = 1 / inputs.folds if inputs.repeats == 1 else 0.0
    return math.sqrt(fold_variance(inputs) * (of_spread + 1 / (inputs.folds - 1)))


def difference(se: float, correlation: float) -> float:
    """Standard error of the difference of two AUCs of equal standard error and given correlation."""
    return se * math.sqrt(2 * (1 - correlation))


def logit_interval(auc: float, se: float) -> Interval:
    """95 % interval expit(logit A ± z SE / (A (1 - A)))."""
    reach = float(special.ndtri(0.975)) * se / (auc * (1 - auc))
    return Interval(*(float(special.expit(special.logit(auc) + side * reach)) for side in (-1, 1)))


def t_quantile(df: float, prob: float) -> float:
    """Quantile of Student's distribution; the normal one with infinite degrees of freedom."""
    return float(special.ndtri(prob) if math.isinf(df) else special.stdtrit(df, prob))


def difference_power(effect: float, df: float) -> float:
    """Power of a two-sided t test at .05, whose other side is neglected, for a difference of `effect` standard errors.

    The upper tail of the noncentral t distribution: the normal probability averaged over the estimated standard
    deviation.
    """
    return float(special.ndtr(effect - t_quantile(df, 0.975) * _sd_ratios(df)).mean())


def equivalence_power(margin: float, df: float) -> float:
    """Probability that the 90 % t interval of a true difference of 0 lies within `margin` standard errors of 0."""
    room = margin - t_quantile(df, 0.95) * _sd_ratios(df)
    return float(np.maximum(2 * special.ndtr(room) - 1, 0.0).mean())


@cache
def _sd_ratios(df: float) -> np.ndarray:
    """Quantiles (n_quantiles,) of the estimated over the true standard deviation of a normal sample."""
    return np.ones(1) if math.isinf(df) else np.sqrt(2 * special.gammaincinv(df / 2, QUANTILES) / df)


@cache
def _effect_for(power: Callable[[float, float], float], df: float, wanted: float) -> float:
    """Number of standard errors at which an increasing power function reaches the wanted power."""
    high = 1.0
    while power(high, df) < wanted:
        high *= 2
    return float(optimize.brentq(lambda effect: power(effect, df) - wanted, 0.0, high))


def patients_for_equivalence(
    se: float, df: float, n_patients: int, *, delta: float, power: float
) -> tuple[float, float, float]:
    """Patients with whom the 90 % E2 interval of a true difference of 0 lies within ±delta, and the range of that.

    The one answer to "how many would be needed", before a study and after it: `plan` gives an expected standard error,
    a report the one of its contrast.

    Args:
        se: E2 standard error of the difference with `n_patients`; it falls with the root of their number.
        df: its degrees of freedom, which a study of the same design has again.
        n_patients: patients it is of.
        delta: half width of the region of practical equivalence.
        power: wanted probability.

    Returns:
        The number of patients, and its 80 % range from the uncertainty of the variance se² (chi-square with df); NaN
        without a standard error.
    """
    if math.isnan(se):
        return (math.nan,) * 3
    needed = n_patients * (_effect_for(equivalence_power, df, power) * se / delta) ** 2
    if math.isinf(df):
        return (needed,) * 3
    low, high = (needed * df / float(special.chdtri(df, upper)) for upper in (0.1, 0.9))
    return needed, low, high


def fewest_patients(inputs: Plan) -> int:
    """Patients at which every fold is expected to have one of each class."""
    return math.ceil(inputs.folds / min(inputs.prevalence, 1 - inputs.prevalence) - 1e-9)


def patients_needed(inputs: Plan, reached: Callable[[Plan], bool]) -> SampleSize:
    """Return the smallest number of patients with which a plan that is otherwise the same reaches an aim.

    Args:
        inputs: the plan; its n_patients is not used.
        reached: whether a plan reaches the aim; once it does, larger plans must too.
    """
    fewest = low = fewest_patients(inputs)
    high = MOST_PATIENTS
    if low > high or not reached(replace(inputs, n_patients=high)):
        return SampleSize(None, f"more than {MOST_PATIENTS:,} patients")
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(replace(inputs, n_patients=middle)) else (middle + 1, high)
    return SampleSize(low, "the fewest that the folds allow" if low == fewest else "")


def plan(inputs: Plan) -> PlanResult:
    """Work out what a study can be expected to show."""
    df = inputs.df
    effect_e1 = float(special.ndtri(0.975) + special.ndtri(inputs.power))
    effect_e2 = _effect_for(difference_power, df, inputs.power)
    se_e1, se_e2 = _se_difference_e1(inputs), _se_difference_e2(inputs)
    half_width = t_quantile(df, 0.95) * se_e2
    e1 = {level: logit_interval(inputs.auc, se_fitted(inputs, level)) for level in ("patient", "image")}
    return PlanResult(
        inputs=inputs,
        se_patient=se_fitted(inputs),
        se_image=se_fitted(inputs, "image"),
        e1_patient=e1["patient"],
        e1_image=e1["image"],
        se_procedure=se_procedure(inputs),
        e2_width=2 * t_quantile(df, 0.975) * se_procedure(inputs),
        se_difference_e1=se_e1,
        se_difference_e2=se_e2,
        detectable_e1=effect_e1 * se_e1,
        detectable_e2=effect_e2 * se_e2,
        equivalence_half_width=half_width,
        delta_fits=half_width < inputs.delta,
        equivalence_chance=equivalence_power(inputs.delta / se_e2, df),
        patients_precision=patients_needed(
            inputs, lambda p: logit_interval(p.auc, se_fitted(p)).width <= 2 * p.half_width
        ),
        patients_difference_e1=patients_needed(inputs, lambda p: effect_e1 * _se_difference_e1(p) <= p.delta),
        patients_difference_e2=patients_needed(inputs, lambda p: effect_e2 * _se_difference_e2(p) <= p.delta),
        patients_equivalence=patients_needed(inputs, _shows_equivalence),
    )


def _shows_equivalence(p: Plan) -> bool:
    needed, _, _ = patients_for_equivalence(_se_difference_e2(p), p.df, p.n_patients, delta=p.delta, power=p.power)
    return needed <= p.n_patients


def _se_difference_e1(inputs: Plan) -> float:
    return difference(se_fitted(inputs), inputs.correlation)


def _se_difference_e2(inputs: Plan) -> float:
    return difference(se_procedure(inputs), inputs.correlation)
