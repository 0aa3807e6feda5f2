"""Every number of a study from its stored predictions, each with its interval.

`docs/explanation/estimands.md` explains what is estimated and why in this way.

Repeats and seeds are averaged inside every method, never treated as more patients. The same bootstrap draws serve all
arms.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mmbc.data.splits import patient_table
from mmbc.threads import in_one_thread
from study.design.study_file import BASELINE
from study.evaluation import contrasts, groups
from study.evaluation.added_arms import added_frames
from study.evaluation.arm_metrics import AREAS, COUNTED, METRICS, MIN_SPECIFICITY, RESTATED, summarise
from study.evaluation.draws import N_REPLICATES, draws
from study.evaluation.frames import EVALUATION
from study.evaluation.instability import instability
from study.evaluation.learning_curve import learning_curve
from study.evaluation.misclassification import errors_by_arm
from study.evaluation.reliability import reliability
from study.evaluation.units import LEVELS, Aligned, align, all_units, cell_units, hard_arms, pool
from study.records.cell_records import CELL_COLUMNS
from study.records.stored_study import StoredStudy, without_constant_baseline
from study.stats import metrics
from study.text.format import count

__all__ = ["LEVELS", "METRICS", "RESTATED", "Evaluation", "cell_units", "evaluate", "pool"]


@dataclass(frozen=True)
class Evaluation:
    """The numbers of a study, at full precision.

    The frames have one line for each arm, metric, contrast or unit; `study.evaluation.frames` documents their columns.

    Attributes:
        gaps: sentences about what is missing or not defined.
        unit: the primary unit of analysis, the one the label belongs to: patient or breast.
        n_replicates, seed: what it was made with, as `evaluate` takes them; a report says so.

    Raises:
        ValueError: a frame with other columns than those documented.
    """

    per_fold: pd.DataFrame = field(default_factory=pd.DataFrame)
    intervals: pd.DataFrame = field(default_factory=pd.DataFrame)
    summary: pd.DataFrame = field(default_factory=pd.DataFrame)
    contrasts_by_class: pd.DataFrame = field(default_factory=pd.DataFrame)
    comparisons: pd.DataFrame = field(default_factory=pd.DataFrame)
    comparisons_by_class: pd.DataFrame = field(default_factory=pd.DataFrame)
    comparisons_by_patient: pd.DataFrame = field(default_factory=pd.DataFrame)
    against_baseline: pd.DataFrame = field(default_factory=pd.DataFrame)
    variance: pd.DataFrame = field(default_factory=pd.DataFrame)
    reliability: pd.DataFrame = field(default_factory=pd.DataFrame)
    expected_ece: pd.DataFrame = field(default_factory=pd.DataFrame)
    decision: pd.DataFrame = field(default_factory=pd.DataFrame)
    subgroups: pd.DataFrame = field(default_factory=pd.DataFrame)
    subgroup_contrasts: pd.DataFrame = field(default_factory=pd.DataFrame)
    subgroup_performance: pd.DataFrame = field(default_factory=pd.DataFrame)
    confusion: pd.DataFrame = field(default_factory=pd.DataFrame)
    cross_tabulation: pd.DataFrame = field(default_factory=pd.DataFrame)
    errors: pd.DataFrame = field(default_factory=pd.DataFrame)
    instability: pd.DataFrame = field(default_factory=pd.DataFrame)
    learning_curve: pd.DataFrame = field(default_factory=pd.DataFrame)
    scores: pd.DataFrame = field(default_factory=pd.DataFrame)
    added: pd.DataFrame = field(default_factory=pd.DataFrame)
    added_contrasts: pd.DataFrame = field(default_factory=pd.DataFrame)
    gaps: tuple[str, ...] = ()
    unit: str = "patient"
    n_replicates: int = N_REPLICATES
    seed: int = 0

    def __post_init__(self) -> None:
        for name, frame in EVALUATION.items():
            object.__setattr__(self, name, frame.check(getattr(self, name), f"Evaluation.{name}"))

    @property
    def is_calibrated(self) -> bool:
        """Whether there were validation rows, so that probabilities are calibrated and thresholds exist."""
        return not self.summary.empty and bool((self.summary["metric"] == "sensitivity_at_90_specificity").any())


@in_one_thread
def evaluate(study: StoredStudy, *, n_replicates: int = N_REPLICATES, seed: int = 0) -> Evaluation:
    """Compute every number of a study from its predictions.

    Args:
        study: finished or not; what is missing is listed in `gaps`.
        n_replicates: bootstrap draws.
        seed: of the bootstrap and the permutations; the same for every arm, so that arms are compared on the same
            draws.

    Raises:
        StudyError: arms that were not tested on the same rows with the same labels.
    """
    study = without_constant_baseline(study)
    known = levels_of(study)
    units, gaps = all_units(study, known)
    gaps = _missing_cells(study) + gaps + _no_validation(study)
    facts: dict[str, Any] = {"unit": study.settings.unit, "n_replicates": n_replicates, "seed": seed}
    if units.empty:
        return Evaluation(gaps=tuple(gaps), **facts)
    facts |= {"per_fold": _per_fold(units), "scores": units.drop(columns=["called", "flagged", "cleared", "n_images"])}
    complete = [arm for arm in study.arms if not any(gap.startswith(f"{arm}, ") for gap in gaps)]
    added, added_contrasts, added_gaps = added_frames(study, units, complete, n_replicates=n_replicates, seed=seed)
    facts |= {"added": added, "gaps": (*gaps, *added_gaps)}
    facts["instability"] = instability(units, complete, study.settings.unit)
    if not complete:
        return Evaluation(**facts)
    patients, weights = draws(study, n_replicates, seed)
    levels = {level: align(units, complete, level, patients) for level in known}
    return Evaluation(**facts, added_contrasts=added_contrasts, **_frames(study, levels, weights, seed))


def _frames(study: StoredStudy, levels: dict[str, Aligned], weights: np.ndarray, seed: int) -> dict[str, Any]:
    """Return the frames that describe and compare complete arms.

    Args:
        study: with its contrasts and protocol.
        levels: level -> the units of all complete arms.
        weights: as `draws` returns them.
        seed: as `evaluate` takes it.
    """
    unit, protocol = study.settings.unit, study.settings.protocol
    intervals = pd.DataFrame(
        [line for rows in levels.values() for line in summarise(rows, weights, protocol.prevalence)]
    )
    primary, declared = levels[unit], contrasts.declared(study)
    hard = hard_arms(study.predictions) if study.imported else set()
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 2])))
    nothing = pd.DataFrame()
    return {
        "intervals": intervals,
        "summary": _with_pooled(intervals[intervals["primary"]], levels),
        "contrasts_by_class": pd.DataFrame(list(groups.by_class(primary, weights))),
        "comparisons": contrasts.compare_arms(primary, declared, weights[1:], delta=protocol.delta, seed=seed),
        "comparisons_by_class": contrasts.by_class(primary, declared),
        "comparisons_by_patient": (
            contrasts.by_patient(levels["patient"], declared) if unit == "breast" and "patient" in levels else nothing
        ),
        "against_baseline": contrasts.against_baseline(primary, declared, hard),
        "variance": contrasts.variance_parts(primary, declared),
        "reliability": reliability(primary),
        "expected_ece": groups.expected_errors(primary, rng),
        "decision": (
            nothing
            if protocol.prevalence is None
            else groups.decision_curves(primary, weights, protocol.prevalence, protocol.thresholds)
        ),
        "confusion": _confusion(levels),
        "cross_tabulation": _cross_tabulation(levels),
        **groups.subgroups(
            levels, unit, groups.subgroup_columns(study.cohort, protocol.subgroups), study.cohort, weights, declared
        ),
        "errors": errors_by_arm(primary),
        "learning_curve": learning_curve(study, primary, intervals),
    }


def levels_of(study: StoredStudy) -> tuple[str, ...]:
    """Return the levels to report: all three, or the unit of analysis alone where every patient has one image.

    Breasts can be compared where every patient has a cancer; then patients cannot.
    """
    if len(study.cohort.images) == study.cohort.n_patients:
        return (study.settings.unit,)
    if study.settings.unit == "breast" and patient_table(study.cohort.images)["both"].any():
        return tuple(level for level in LEVELS if level != "patient")
    return LEVELS


def _missing_cells(study: StoredStudy) -> list[str]:
    """One sentence for each arm that lacks cells; such an arm gets no summary."""
    absent = [name for name in study.planned if name not in study.records]
    arms = {name.split(".r")[0] for name in absent}
    n_absent = {arm: sum(name.startswith(f"{arm}.r") for name in absent) for arm in arms}
    return [
        f"{arm}, {count(n_absent[arm], 'fit')} {'is' if n_absent[arm] == 1 else 'are'} not finished; it is left out of"
        " the summary until then."
        for arm in [*study.settings.arms, BASELINE]
        if arm in arms
    ]


def _no_validation(study: StoredStudy) -> list[str]:
    """Say what cannot be known of predictions without validation rows."""
    if not study.imported or study.predictions.empty or (study.predictions["part"] == "validation").any():
        return []
    return [
        "The predictions have no validation rows (column `part`): probabilities were evaluated as given, without"
        " calibration, and there is no operating point at 90 % specificity or sensitivity, whose threshold would have"
        " to come from such rows."
    ]


def _with_pooled(primary: pd.DataFrame, levels: dict[str, Aligned]) -> pd.DataFrame:
    """Add the AUC and PR-AUC of scores pooled over folds, averaged over runs."""
    functions: dict[str, Callable[..., np.ndarray]] = {"roc_auc": metrics.roc_auc, "pr_auc": metrics.average_precision}
    values = []
    for arm, level, metric in primary[["arm", "level", "metric"]].to_numpy():
        rows, value = levels[level], float("nan")
        if metric in functions:
            runs, scores = rows.runs, rows.logit[rows.arms.index(arm)]
            by_run = [
                functions[metric](np.ones((1, in_run.sum())), rows.labels[in_run], scores[in_run])[0]
                for in_run in (runs == run for run in np.unique(runs))
            ]
            value = float(np.mean(by_run))
        values.append(value)
    return primary.drop(columns="primary").assign(pooled=values).reset_index(drop=True)


def _per_fold(units: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for coordinates, fold in units.groupby([*CELL_COLUMNS, "level"], sort=False):
        named = dict(zip([*CELL_COLUMNS, "level"], coordinates, strict=True))
        size = {
            "n_patients": fold["patient_id"].nunique(),
            "n_units": len(fold),
            "n_positive": int(fold["label"].sum()),
        }
        defined = fold["label"].nunique() == 2 and fold["prob_calibrated"].notna().all()
        values = _fold_values(fold) if defined else dict.fromkeys(PER_FOLD, float("nan"))
        rows += [named | {"metric": name, "value": value} | size for name, value in values.items()]
    return pd.DataFrame(rows)


PER_FOLD = (*AREAS, *COUNTED, "brier", "log_loss")
"""Metrics given by fold; recalibration and binned errors of one fold would be noise."""


def _fold_values(fold: pd.DataFrame) -> dict[str, float]:
    ones = np.ones((1, len(fold)))
    labels, scores = fold["label"].to_numpy(), fold["logit"].to_numpy()
    prob = np.clip(fold["prob_calibrated"].to_numpy(), 1e-15, 1 - 1e-15)
    values = {
        "roc_auc": metrics.roc_auc(ones, labels, scores),
        "partial_auc": metrics.partial_roc_auc(ones, labels, scores, max_fpr=1 - MIN_SPECIFICITY),
        "pr_auc": metrics.average_precision(ones, labels, scores),
    }
    for name, (column, compute) in COUNTED.items():
        if fold[column].isna().any():  # no validation rows, hence no threshold
            continue
        values[name] = compute(metrics.counts(ones, labels, fold[column].to_numpy()))
    values["brier"] = metrics.squared_error(ones, labels, prob) / len(fold)
    values["log_loss"] = np.array([-np.where(labels == 1, np.log(prob), np.log1p(-prob)).mean()])
    return {name: float(value[0]) for name, value in values.items()}


def _confusion(levels: dict[str, Aligned]) -> pd.DataFrame:
    rows = []
    for level, units in levels.items():
        for arm, name in enumerate(units.arms):
            count = metrics.counts(np.ones((1, len(units.rows))), units.labels, units.calls["called"][arm])
            cells = dict(zip(("tp", "fp", "fn", "tn"), count[:, 0].astype(int), strict=True))
            rows.append({"arm": name, "level": level} | cells)
    return pd.DataFrame(rows)


def _cross_tabulation(levels: dict[str, Aligned]) -> pd.DataFrame:
    """Return the calls of every arm at every threshold, mean over runs, so that they add up to the units."""
    rows = []
    for level, units in levels.items():
        for threshold, called in units.calls.items():
            for arm, name in enumerate(units.arms):
                n_runs = len(np.unique(units.runs[units.own_rows(arm)]))
                count = metrics.counts(np.ones((1, len(units.rows))), units.labels, called[arm])[:, 0] / units.n_runs
                cells = dict(zip(("tp", "fp", "fn", "tn"), map(float, count), strict=True))
                rows.append({"arm": name, "level": level, "threshold": threshold, **cells, "n_runs": n_runs})
    return pd.DataFrame(rows)
