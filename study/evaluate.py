"""From stored predictions to metrics: pooled to breasts and patients, calibrated and thresholded on validation rows.

Point estimates follow PROTOCOL sections 1 and 3: areas under curves are means of within-fold values; counts and the
Brier score are pooled over the out-of-fold predictions of a repeat and seed. Repeats and seeds are averaged, inside
every bootstrap draw too. The interval is the patient bootstrap within folds (E1: these fitted models, new patients).
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from mmbc.calibration import apply_platt, fit_platt
from study.record import CELL_COLUMNS, StoredStudy
from study.settings import BASELINE, Protocol
from study.stats import metrics
from study.stats.bootstrap import patient_weights, percentile_interval
from study.stats.estimate import Estimate
from study.stats.operating import threshold_at_specificity

LEVELS = ("patient", "breast", "image")
UNIT_KEYS = {
    "image": ["patient_id", "case_id", "breast", "image_id"],
    "breast": ["patient_id", "case_id", "breast"],
    "patient": ["patient_id"],
}
SPECIFICITY = 0.9
METHOD = "patient bootstrap within folds, percentile"
ESTIMAND = "E1"

Weights = np.ndarray
PerFold = Callable[[Weights, pd.DataFrame], np.ndarray]


@dataclass(frozen=True)
class Evaluation:
    """The numbers of a study, at full precision.

    Attributes:
        per_fold: arm, level, repeat, fold, seed, metric, value, n_patients, n_units, n_positive.
        summary: arm, level, metric, the fields of `Estimate`, `pooled` (areas alone: the value over all folds' scores).
        contrasts_by_class: as `summary`, at the level of `unit`: AUC against each negative status, and stratified by site.
        confusion: arm, level, tp, fp, fn, tn at calibrated probability 0.5, pooled, summed over repeats and seeds.
        scores: pooled out-of-fold units: arm, repeat, fold, seed, level, ids, status, site, label, logit, prob_calibrated.
        gaps: sentences about what is missing or not defined.
        unit: the primary unit of analysis, the one the label belongs to: patient or breast.
    """

    per_fold: pd.DataFrame
    summary: pd.DataFrame
    contrasts_by_class: pd.DataFrame
    confusion: pd.DataFrame
    scores: pd.DataFrame
    gaps: tuple[str, ...]
    unit: str = "patient"


def pool(rows: pd.DataFrame, level: str, views: str = "mean", breasts: str = "max") -> pd.DataFrame:
    """Pool image predictions to units: logits over a breast's views, then over a patient's breasts (PROTOCOL section 1).

    Args:
        rows: predictions of one cell and part.
        level: one of `LEVELS`.
        views: `mean` or `max` over a breast's views.
        breasts: `max`, `mean` or `noisy-or` over a patient's breasts; the last gives the logit of 1 - prod(1 - p).

    Returns:
        One row per unit with `UNIT_KEYS[level]`, `status`, `site`, `label` (any positive), `logit`, `n_images`.
    """
    status = rows.sort_values("label", ascending=False, kind="stable")
    first = {"status": ("status", "first"), "site": ("site", "first"), "label": ("label", "max")}
    pooled = status.groupby(UNIT_KEYS["image" if level == "image" else "breast"], sort=True, dropna=False).agg(
        **first, logit=("logit", "mean" if level == "image" else views), n_images=("logit", "size")
    )
    if level != "patient":
        return pooled.reset_index()
    over = _noisy_or if breasts == "noisy-or" else breasts
    by_patient = pooled.reset_index().sort_values("label", ascending=False, kind="stable")
    return by_patient.groupby("patient_id", sort=True).agg(
        **first, logit=("logit", over), n_images=("n_images", "sum")
    ).reset_index()  # fmt: skip


def _noisy_or(logits: pd.Series) -> float:
    """Return the logit of 1 - prod(1 - expit(logits)), without leaving the scale of logits."""
    scores = logits.to_numpy(dtype=np.float64)
    nobody = -np.logaddexp(0, scores)  # log(1 - p) of each breast
    total = float(nobody.sum())
    if total < -1e-3:
        return -total + float(np.log1p(-np.exp(total)))
    # every p is tiny: log(1 - exp(total)) is about log(sum p), and p about exp(score)
    return float(logsumexp(scores + nobody)) - total / 2


def cell_units(rows: pd.DataFrame, level: str, protocol: Protocol) -> tuple[pd.DataFrame, str]:
    """Return a cell's test units, calibrated and called with what its validation units give; and a gap, or ''.

    Columns added to those of `pool`: `prob_calibrated`, `called` (at 0.5), `flagged` (above the threshold for
    `SPECIFICITY` on validation rows).
    """
    how = protocol.pool_views, protocol.pool_breasts
    validation, test = (pool(rows[rows["part"] == part], level, *how) for part in ("validation", "test"))
    labels = validation["label"].to_numpy()
    if len(set(labels)) < 2 or test["label"].nunique() < 2:
        return test.assign(prob_calibrated=np.nan, called=False, flagged=False), "one class alone"
    logits = validation["logit"].to_numpy()
    slope, intercept = fit_platt(logits, labels)
    threshold = threshold_at_specificity(logits, labels, SPECIFICITY)
    probs = apply_platt(test["logit"].to_numpy(), slope, intercept)
    return test.assign(prob_calibrated=probs, called=probs >= 0.5, flagged=test["logit"] > threshold), ""


def all_units(study: StoredStudy) -> tuple[pd.DataFrame, list[str]]:
    """Return the test units of every finished cell at every level, and the gaps found on the way."""
    frames, gaps = [], []
    for level in LEVELS:
        for coordinates, rows in study.predictions.groupby(list(CELL_COLUMNS), sort=False):
            units, gap = cell_units(rows, level, study.settings.protocol)
            named: dict[str, Any] = dict(zip(CELL_COLUMNS, coordinates, strict=True))
            frames.append(units.assign(level=level, **named))
            if gap:
                arm, repeat, fold, seed = coordinates
                gaps.append(f"{arm}, repeat {repeat}, fold {fold}, seed {seed}, {level} level: {gap}; no metric there.")
    return (pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()), gaps


def evaluate(study: StoredStudy, *, n_replicates: int = 2000, seed: int = 0) -> Evaluation:
    """Compute every number of a study from its predictions.

    Args:
        study: finished or not; what is missing is listed in `gaps`.
        n_replicates: bootstrap draws.
        seed: of the bootstrap; the same for every arm, so that arms are compared on the same draws.
    """
    units, gaps = all_units(study)
    unit = study.settings.unit
    gaps = _missing_cells(study) + gaps
    if units.empty:
        empty = pd.DataFrame()
        return Evaluation(empty, empty, empty, empty, empty, tuple(gaps), unit)
    patients, weights = _draws(study, n_replicates, seed)
    complete = [arm for arm in study.arms if not any(gap.startswith(f"{arm}, ") for gap in gaps)]
    summary, by_class = [], []
    for (arm, level), rows in units.groupby(["arm", "level"], sort=False):
        if arm in complete:
            runs = _Runs(rows, patients, weights)
            summary += _summarise(runs, str(arm), str(level))
            if level == unit:
                by_class += _by_class(runs, str(arm), unit)
    scores = units.drop(columns=["called", "flagged", "n_images"])
    return Evaluation(
        per_fold=_per_fold(units), summary=pd.DataFrame(summary), contrasts_by_class=pd.DataFrame(by_class),
        confusion=_confusion(units[units["arm"].isin(complete)]), scores=scores, gaps=tuple(gaps), unit=unit,
    )  # fmt: skip


def _missing_cells(study: StoredStudy) -> list[str]:
    """One sentence for each arm that lacks cells; such an arm gets no summary."""
    absent = [name for name in study.planned if name not in study.records]
    arms = {name.split(".r")[0] for name in absent}
    return [
        f"{arm}, {sum(name.startswith(arm + '.r') for name in absent)} of its cells are not finished; "
        "it is left out of the summary until they are."
        for arm in [*study.settings.arms, BASELINE]
        if arm in arms
    ]


def _draws(study: StoredStudy, n_replicates: int, seed: int) -> tuple[pd.Index, np.ndarray]:
    """Return the tested patients and their weights (1 + n_replicates, n_patients); row 0 is the data as they are."""
    folds = [entry for entry in study.folds["folds"] if entry["repeat"] == 0]
    fold_of = {patient: entry["fold"] for entry in folds for patient in entry["test"]}
    labels = study.cohort.images.groupby("patient_id")["label"].max()
    patients = pd.Index(sorted({p for entry in study.folds["folds"] for p in entry["test"]}))
    strata = np.array([2 * fold_of.get(patient, 0) + int(labels[patient]) for patient in patients])
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0])))
    drawn = patient_weights(strata, n_replicates, rng)
    return patients, np.vstack([np.ones(len(patients)), drawn])


class _Runs:
    """The units of one arm and level: metrics averaged over repeats and seeds, under all weights at once."""

    def __init__(self, rows: pd.DataFrame, patients: pd.Index, weights: np.ndarray) -> None:
        self.rows = rows
        self.patients = patients
        self.weights = weights

    def units(self, rows: pd.DataFrame) -> np.ndarray:
        """Return the weights of some units: (n_draws, n_units)."""
        return self.weights[:, self.patients.get_indexer(pd.Index(rows["patient_id"])).astype(np.int64)]

    def runs(self) -> Iterator[pd.DataFrame]:
        """Yield the rows of each repeat and seed."""
        for _, rows in self.rows.groupby(["repeat", "seed"], sort=True):
            yield rows

    def mean_over_folds(self, metric: PerFold) -> np.ndarray:
        """Return the mean of within-fold values: (n_draws,)."""
        values = [metric(self.units(fold), fold) for run in self.runs() for _, fold in run.groupby("fold", sort=True)]
        # a predefined fold may lack a negative status: its value is not defined, whatever is drawn
        return np.mean([value for value in values if not np.isnan(value[0])] or values, axis=0)

    def pooled(self, metric: PerFold) -> np.ndarray:
        """Return the metric over each run's out-of-fold units, averaged over runs: (n_draws,)."""
        return np.mean([metric(self.units(run), run) for run in self.runs()], axis=0)


def _auc(weights: Weights, rows: pd.DataFrame) -> np.ndarray:
    return metrics.roc_auc(weights, rows["label"].to_numpy(), rows["logit"].to_numpy())


def _average_precision(weights: Weights, rows: pd.DataFrame) -> np.ndarray:
    return metrics.average_precision(weights, rows["label"].to_numpy(), rows["logit"].to_numpy())


def _brier(weights: Weights, rows: pd.DataFrame) -> np.ndarray:
    error = metrics.squared_error(weights, rows["label"].to_numpy(), rows["prob_calibrated"].to_numpy())
    return error / weights.sum(axis=1)


def _counted(metric: Callable[[np.ndarray], np.ndarray], column: str) -> PerFold:
    def compute(weights: Weights, rows: pd.DataFrame) -> np.ndarray:
        return metric(metrics.counts(weights, rows["label"].to_numpy(), rows[column].to_numpy()))

    return compute


AREAS: dict[str, PerFold] = {"roc_auc": _auc, "pr_auc": _average_precision}
POOLED: dict[str, PerFold] = {
    "sensitivity_at_90_specificity": _counted(metrics.sensitivity, "flagged"),
    "specificity_achieved": _counted(metrics.specificity, "flagged"),
    "accuracy": _counted(metrics.accuracy, "called"),
    "balanced_accuracy": _counted(metrics.balanced_accuracy, "called"),
    "f1": _counted(metrics.f1, "called"),
    "brier": _brier,
}
METRICS = (*AREAS, *POOLED)


def _summarise(runs: _Runs, arm: str, level: str) -> list[dict[str, object]]:
    rows = []
    as_it_is = _Runs(runs.rows, runs.patients, runs.weights[:1])
    for name, metric in AREAS.items():
        pooled = float(as_it_is.pooled(metric)[0])
        rows.append(_row(runs, arm, level, name, runs.mean_over_folds(metric)) | {"pooled": pooled})
    for name, metric in POOLED.items():
        rows.append(_row(runs, arm, level, name, runs.pooled(metric)) | {"pooled": np.nan})
    return rows


def _row(runs: _Runs, arm: str, level: str, metric: str, draws: np.ndarray) -> dict[str, object]:
    """Return one line of the summary from draws (1 + n_replicates,), the first of which is the value."""
    first = next(runs.runs())
    low, high = percentile_interval(draws[1:]) if not np.isnan(draws[0]) else (np.nan, np.nan)
    estimate = Estimate(
        float(draws[0]), low, high, level, METHOD, ESTIMAND, first["patient_id"].nunique(), int(first["n_images"].sum())
    )
    excluded = float(np.isnan(draws[1:]).mean()) if len(draws) > 1 else 0.0
    return {"arm": arm, "metric": metric, **asdict(estimate), "undefined_draws": excluded}


def _by_class(runs: _Runs, arm: str, unit: str) -> list[dict[str, object]]:
    """AUC against each negative status, and within sites, at the level of the primary unit."""
    negatives = sorted(runs.rows.loc[runs.rows["label"] == 0, "status"].unique())
    rows = []
    for status in negatives if len(negatives) > 1 else []:
        compared = _Runs(
            runs.rows[(runs.rows["label"] == 1) | (runs.rows["status"] == status)], runs.patients, runs.weights
        )
        rows.append(_row(compared, arm, unit, f"against {status}", compared.mean_over_folds(_auc)))
    if runs.rows["site"].nunique() > 1:
        rows.append(_row(runs, arm, unit, "within sites", runs.mean_over_folds(_within_sites)))
    return rows


def _within_sites(weights: Weights, fold: pd.DataFrame) -> np.ndarray:
    """AUC over pairs of patients of the same site."""
    concordant, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for _, index in fold.groupby("site").indices.items():
        site = fold.iloc[index]
        above, below = metrics.concordance(weights[:, index], site["label"].to_numpy(), site["logit"].to_numpy())
        concordant, pairs = concordant + above, pairs + below
    return metrics.ratio(concordant, pairs)


def _per_fold(units: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for coordinates, fold in units.groupby([*CELL_COLUMNS, "level"], sort=False):
        named = dict(zip([*CELL_COLUMNS, "level"], coordinates, strict=True))
        size = {
            "n_patients": fold["patient_id"].nunique(), "n_units": len(fold), "n_positive": int(fold["label"].sum())
        }  # fmt: skip
        ones = np.ones((1, len(fold)))
        defined = fold["label"].nunique() == 2 and fold["prob_calibrated"].notna().all()
        for name, metric in {**AREAS, **POOLED}.items():
            rows.append(named | {"metric": name, "value": float(metric(ones, fold)[0]) if defined else np.nan} | size)
    return pd.DataFrame(rows)


def _confusion(units: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (arm, level), chosen in units.groupby(["arm", "level"], sort=False):
        count = metrics.counts(np.ones((1, len(chosen))), chosen["label"].to_numpy(), chosen["called"].to_numpy())
        rows.append(
            {"arm": arm, "level": level} | dict(zip(("tp", "fp", "fn", "tn"), count[:, 0].astype(int), strict=True))
        )
    return pd.DataFrame(rows)
