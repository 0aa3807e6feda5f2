"""The arms one by one: every metric with its primary and secondary intervals.

`docs/explanation/estimands.md` has the formulas ("Point estimates" and "Intervals").
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

from study.evaluation.units import Aligned
from study.stats import auc, metrics
from study.stats.bootstrap import logit_t_interval, percentile_interval
from study.stats.calibration import bin_numbers, bin_sums, calibration_error, recalibration
from study.stats.decision import predictive_values
from study.stats.estimate import Estimate
from study.stats.kernel import mean_areas
from study.stats.procedure import CORRECTED, FLOOR, PROCEDURE, floor, fold_mean, on_logit_scale, procedure
from study.stats.proportions import Ratio, clustered_ratio, clustered_wilson, t_interval

BOOTSTRAP = "patient bootstrap within folds, percentile"
BOOTSTRAP_SE = "patient bootstrap within folds, standard error, logit t"
"""Its standard error allows for the number of patients in a fold (`study.stats.bootstrap.logit_t_interval`)."""
DELONG = "fold-stratified clustered DeLong, logit"
WILSON = "Wilson, patient design effect"
ROBUST = "cluster-robust t"
GLM = "logistic recalibration, cluster-robust"
LEDELL = "LeDell influence curve, clustered"
NEWCOMBE = "Newcombe, perfect separation"
NO_INTERVAL = "none"
UPWARDS = "biased upwards: also calibrated probabilities have an ECE"
MIN_SPECIFICITY = 0.8
"""The partial AUC covers specificities from here to 1."""
N_BINS = 10

Weights = np.ndarray
Counted = Callable[[np.ndarray], np.ndarray]

AREAS = ("roc_auc", "partial_auc", "pr_auc")
"""Means of within-fold values; the other metrics are pooled over folds."""
COUNTED: dict[str, tuple[str, Counted]] = {
    "sensitivity_at_90_specificity": ("flagged", metrics.sensitivity),
    "specificity_achieved": ("flagged", metrics.specificity),
    "specificity_at_90_sensitivity": ("cleared", metrics.specificity),
    "sensitivity_achieved": ("cleared", metrics.sensitivity),
    "accuracy": ("called", metrics.accuracy),
    "sensitivity": ("called", metrics.sensitivity),
    "specificity": ("called", metrics.specificity),
    "balanced_accuracy": ("called", metrics.balanced_accuracy),
    "f1": ("called", metrics.f1),
    "mcc": ("called", metrics.mcc),
}
"""Metric -> which calls it counts, and how."""
PROPORTIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "sensitivity_at_90_specificity": ((0,), (0, 2)),
    "specificity_achieved": ((3,), (1, 3)),
    "specificity_at_90_sensitivity": ((3,), (1, 3)),
    "sensitivity_achieved": ((0,), (0, 2)),
    "accuracy": ((0, 3), (0, 1, 2, 3)),
    "sensitivity": ((0,), (0, 2)),
    "specificity": ((3,), (1, 3)),
}
"""Metrics that are proportions: numerator and denominator, as places among the counts tp, fp, fn and tn."""
RESTATED = ("ppv", "npv")
"""Predictive values at the threshold for 90 % specificity, at the declared prevalence; absent without one."""
CALIBRATION = ("calibration_slope", "calibration_intercept", "calibration_in_the_large")
ERRORS = ("ece", "ece_equal_mass")
METRICS = (*AREAS, *COUNTED, "brier", "scaled_brier", "log_loss", *CALIBRATION, *ERRORS)


@dataclass(frozen=True)
class PatientSums:
    """Sums by patient of one arm in one run.

    Attributes:
        counts: name of calls -> (n_patients, 4): true positive, false positive, false negative, true negative.
        n: rows by patient (n_patients,).
        n_positive: positive rows by patient.
        squared: squared errors of calibrated probabilities.
        log_loss: their log losses.
        gaps: kind of bins -> label minus probability by patient and bin (n_patients, n_bins).
        sizes: kind of bins -> rows by patient and bin.
    """

    counts: dict[str, np.ndarray]
    n: np.ndarray
    n_positive: np.ndarray
    squared: np.ndarray
    log_loss: np.ndarray
    gaps: dict[str, np.ndarray]
    sizes: dict[str, np.ndarray]


def add_up(rows: Aligned, arm: int, n_patients: int) -> PatientSums:
    """Add up one run of one arm by patient."""
    patients, labels, prob = rows.patients, rows.labels, rows.prob[arm]

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(patients, values, n_patients)

    counts = {}
    for name, called in rows.calls.items():
        truth, yes = labels == 1, called[arm]
        counts[name] = np.stack([total(cell) for cell in (truth & yes, ~truth & yes, truth & ~yes, ~truth & ~yes)], 1)
    clipped = np.clip(prob, 1e-15, 1 - 1e-15)
    gaps, sizes = {}, {}
    for metric, kind in zip(ERRORS, ("equal-width", "equal-mass"), strict=True):
        bins = bin_numbers(prob, N_BINS, kind)  # type: ignore[arg-type]
        gaps[metric] = bin_sums(labels - prob, bins, patients, n_patients, N_BINS)
        sizes[metric] = bin_sums(np.ones(len(bins)), bins, patients, n_patients, N_BINS)
    return PatientSums(
        counts,
        total(np.ones(len(labels))),
        total(labels.astype(float)),
        total((prob - labels) ** 2),
        total(-np.where(labels == 1, np.log(clipped), np.log1p(-clipped))),
        gaps,
        sizes,
    )


def pooled_metrics(weights: Weights, added: PatientSums, prevalence: float | None = None) -> dict[str, np.ndarray]:
    """Return every pooled metric of one run under patient weights (n_draws, n_patients): name -> (n_draws,)."""
    count = {name: (weights @ by_patient).T for name, by_patient in added.counts.items()}
    by_metric = {metric: compute(count[name]) for metric, (name, compute) in COUNTED.items() if name in count}
    n, n_positive = weights @ added.n, weights @ added.n_positive
    by_metric["brier"], by_metric["log_loss"] = weights @ added.squared / n, weights @ added.log_loss / n
    share = n_positive / n
    by_metric["scaled_brier"] = 1 - metrics.ratio(by_metric["brier"], share * (1 - share))
    for metric in ERRORS:
        by_metric[metric] = calibration_error(weights @ added.gaps[metric], weights @ added.sizes[metric])
    if prevalence is not None and "flagged" in count:
        values = predictive_values(
            by_metric["sensitivity_at_90_specificity"], by_metric["specificity_achieved"], prevalence
        )
        by_metric |= dict(zip(RESTATED, values, strict=True))
    return by_metric


def within_folds(weights: Weights, rows: Aligned, arm: int) -> dict[str, np.ndarray]:
    """Return partial AUC and PR-AUC of one arm, mean of within-part values, under patient weights: (n_draws,)."""
    partial, average = [], []
    parts = rows.parts
    for part in np.unique(parts):
        chosen = parts == part
        patients, labels, scores = rows.patients[chosen], rows.labels[chosen], rows.logit[arm][chosen]
        areas = metrics.curve_areas(weights, patients, labels, scores, max_fpr=1 - MIN_SPECIFICITY)
        partial.append(areas[0])
        average.append(areas[1])
    return {"partial_auc": np.mean(partial, axis=0), "pr_auc": np.mean(average, axis=0)}


def summarise(rows: Aligned, weights: Weights, prevalence: float | None) -> Iterator[dict[str, object]]:
    """Yield the intervals of every arm and metric at one level: the fields of `Estimate`, arm, metric, primary, note.

    Args:
        rows: units of the arms.
        weights: (1 + n_replicates, n_patients), ones in the first row.
        prevalence: declared, for predictive values; None for none.
    """
    rows = rows.with_both_classes()
    n_parts = len(np.unique(rows.folds))
    drawn = mean_areas(weights, rows.labels, rows.logit, rows.patients, rows.parts)
    areas = auc.cross_validated_delong(rows.labels, rows.logit, rows.patients, rows.folds, rows.runs)
    for arm, name in enumerate(rows.arms):
        row = ArmLines(rows, name, weights)
        yield from _roc_auc(row, rows, arm, areas, drawn[arm])
        for metric, values in within_folds(weights, rows, arm).items():
            yield from row.by_spread(metric, values, areas.df, n_parts)
        runs = [add_up(rows.where(rows.runs == run), arm, weights.shape[1]) for run in range(rows.n_runs)]
        draws = [pooled_metrics(weights, added, prevalence) for added in runs]
        for metric in draws[0]:
            values = np.mean([draw[metric] for draw in draws], axis=0)
            if metric in ERRORS:
                yield from row.by_spread(metric, values, areas.df, n_parts, note=UPWARDS)
            else:
                yield from _pooled_metric(row, metric, runs, values)
        yield from _calibration(row, rows, arm)


class ArmLines:
    """Makes lines of one arm and level."""

    def __init__(self, rows: Aligned, arm: str, weights: Weights) -> None:
        first = rows.rows[rows.runs == 0]
        self.arm, self.level = arm, rows.level
        self.n_patients, self.n_images = first["patient_id"].nunique(), int(first["n_images"].sum())

    def line(
        self,
        metric: str,
        value: float,
        interval: tuple[float, float],
        method: str,
        *,
        estimand: str = "E1",
        primary: bool = True,
        note: str = "",
    ) -> dict[str, object]:
        """Return one line."""
        if np.isnan(value) or np.isnan(interval).any():
            interval = (float("nan"), float("nan"))
        low, high = float(interval[0]), float(interval[1])
        estimate = Estimate(float(value), low, high, self.level, method, estimand, self.n_patients, self.n_images)
        return {"arm": self.arm, "metric": metric, **asdict(estimate), "primary": primary, "note": note}

    def bootstrap(self, metric: str, draws: np.ndarray, *, primary: bool = True, note: str = "") -> dict[str, object]:
        """Return the line of the patient bootstrap from draws (1 + n_replicates,), the first of which is the value."""
        return self._of_draws(metric, draws, percentile_interval(draws[1:]), BOOTSTRAP, primary, note)

    def by_spread(
        self, metric: str, draws: np.ndarray, df: float, n_parts: int, note: str = ""
    ) -> Iterator[dict[str, object]]:
        """Yield an interval from the replicates' spread, for metrics that resampling shifts, and their percentiles."""
        value = float(draws[0])
        interval = logit_t_interval(value, draws[1:], df, n_parts)
        yield self._of_draws(metric, draws, interval, BOOTSTRAP_SE, True, note)
        yield self.bootstrap(metric, draws, primary=False, note=note)

    def _of_draws(
        self, metric: str, draws: np.ndarray, interval: tuple[float, float], method: str, primary: bool, note: str
    ) -> dict[str, object]:
        drawn, notes = draws[1:], [note]
        undefined = float(np.isnan(drawn).mean()) if len(drawn) else 0.0
        if undefined:
            notes.append(f"not defined in {undefined:.1%} of the replicates, which were left out")
        known = drawn[~np.isnan(drawn)]
        if len(known) and np.ptp(known) == 0:
            interval, method = (float("nan"), float("nan")), NO_INTERVAL
            notes.append("no interval: the same in every replicate, so resampling says nothing about its uncertainty")
        return self.line(
            metric, float(draws[0]), interval, method, primary=primary, note="; ".join(filter(None, notes))
        )


def _roc_auc(
    row: ArmLines, rows: Aligned, arm: int, areas: auc.Areas, drawn: np.ndarray
) -> Iterator[dict[str, object]]:
    value, se = float(areas.value[arm]), float(areas.se[arm])
    method, note = DELONG, ""
    if areas.undetermined:
        note = (
            f"{areas.undetermined} of {len(np.unique(rows.parts))} test parts give no variance of their own (perfect"
            " separation, or a class with one patient); theirs is Hanley and McNeil's at the mean AUC"
        )
    interval = auc.logit_interval(value, se)
    if value in (0.0, 1.0):
        by_patient = rows.rows[rows.runs == 0].groupby("patient_id")["label"].max()
        n_positive = int(by_patient.sum())
        interval, method = auc.newcombe(value, n_positive, max(len(by_patient) - n_positive, 1)), NEWCOMBE
    yield row.line("roc_auc", value, interval, method, note=note)
    yield row.bootstrap("roc_auc", drawn, primary=False)
    scores = fold_scores(rows, arm)
    given = "" if scores.shape[2] > 1 else ", given this training seed"
    folds, repeated = fold_mean(scores), procedure(scores, se**2, areas.df)
    about_the_procedure = {CORRECTED: folds.interval(), PROCEDURE: repeated.interval()}
    if np.isnan(repeated.se):
        about_the_procedure[FLOOR] = floor(scores, se**2, areas.df).interval()
    for method, (low, high) in about_the_procedure.items():
        if not np.isnan(low):
            ends = on_logit_scale(folds.value, (high - low) / 2)
            note = f"{folds.n_scores} fold scores{given}, logit scale"
            yield row.line("roc_auc", folds.value, ends, method, estimand="E2", primary=False, note=note)
    if rows.n_runs == 1:
        mean_auc, spread = auc.ledell(rows.labels, rows.logit[arm], rows.patients, rows.folds)
        yield row.line("roc_auc", mean_auc, auc.normal_interval(mean_auc, spread), LEDELL, primary=False)


def leading_e2(areas: pd.DataFrame) -> pd.DataFrame:
    """Return the line of each arm with the E2 interval of its AUC to quote, from AUC lines of `Evaluation.intervals`.

    With several repeats the procedure's; with one the wider of Nadeau and Bengio's and of what patients, training sets
    and seeds allow. No line where there is a single split.
    """
    lines = areas[areas["estimand"] == "E2"]
    lines = lines.assign(order=(lines["method"] != PROCEDURE).astype(int), width=lines["low"] - lines["high"])
    return lines.sort_values(["order", "width"], kind="stable").drop_duplicates("arm").loc[:, list(areas.columns)]


def fold_scores(rows: Aligned, arm: int) -> np.ndarray:
    """Return the within-fold AUCs of one arm: (n_repeats, n_folds, n_seeds)."""
    at = [np.unique(rows.rows[key], return_inverse=True)[1] for key in ("repeat", "fold", "seed")]
    scores = np.full(tuple(int(axis.max()) + 1 for axis in at), np.nan)
    parts = rows.parts
    for part in np.unique(parts):
        chosen = np.flatnonzero(parts == part)
        v10, _ = auc.placements(rows.labels[chosen], rows.logit[arm, chosen])
        scores[tuple(axis[chosen[0]] for axis in at)] = v10.mean()
    return scores


def _pooled_metric(
    row: ArmLines, metric: str, runs: list[PatientSums], draws: np.ndarray
) -> Iterator[dict[str, object]]:
    value = float(draws[0])
    if metric in PROPORTIONS:
        above, below = PROPORTIONS[metric]
        by_patient = np.mean([added.counts[COUNTED[metric][0]] for added in runs], axis=0)
        proportion = clustered_ratio(by_patient[:, above].sum(axis=1), by_patient[:, below].sum(axis=1))
        yield row.line(metric, value, clustered_wilson(proportion), WILSON)
        yield row.bootstrap(metric, draws, primary=False)
    elif metric in ("brier", "log_loss"):
        errors = np.mean([added.squared if metric == "brier" else added.log_loss for added in runs], axis=0)
        mean: Ratio = clustered_ratio(errors, runs[0].n)
        low, high = t_interval(mean)
        yield row.line(metric, value, (max(low, 0.0), high), ROBUST)
        yield row.bootstrap(metric, draws, primary=False)
    else:
        yield row.bootstrap(metric, draws)


def _calibration(row: ArmLines, rows: Aligned, arm: int) -> Iterator[dict[str, object]]:
    """Recalibrate the calibrated probabilities; several runs are averaged, and so are their standard errors."""
    fits = []
    runs = rows.runs
    for run in np.unique(runs):
        in_run = runs == run
        fits.append(recalibration(rows.labels[in_run], rows.prob[arm, in_run], rows.patients[in_run]))
    for metric, field in zip(CALIBRATION, ("slope", "intercept", "in_the_large"), strict=True):
        value = float(np.mean([getattr(fit, field) for fit in fits]))
        se = float(np.mean([getattr(fit, f"{field}_se") for fit in fits]))
        note = (
            "not defined: (nearly) constant or perfectly separating probabilities in a run" if np.isnan(value) else ""
        )
        yield row.line(metric, value, auc.normal_interval(value, se), GLM if not note else NO_INTERVAL, note=note)


def raw_probs(rows: Aligned) -> np.ndarray:
    """Return the probabilities before calibration (n_arms, n_rows)."""
    return expit(rows.logit)
