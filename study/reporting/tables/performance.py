"""Tables of performance: metrics by level, by method, at the operating points and by fold."""

import pandas as pd

from study.evaluation.evaluation import LEVELS, RESTATED, Evaluation
from study.records.stored_study import StoredStudy
from study.reporting.tables.base import (
    ABSENT,
    PaperTable,
    at_unit,
    caption,
    cell,
    empty_table,
    is_retraining_assessed,
    metric_name,
    sample,
    trained_again,
)
from study.stats.procedure import CORRECTED, FLOOR
from study.text.format import NAMES, interval, mean_counts, number

SHOWN = (
    "roc_auc",
    "partial_auc",
    "pr_auc",
    "sensitivity_at_90_specificity",
    "specificity_achieved",
    "accuracy",
    "balanced_accuracy",
    "f1",
    "mcc",
    "brier",
)
"""Metrics of the tables by level; their data has every metric by every method."""
SIDE_BY_SIDE = ("roc_auc", "pr_auc", "sensitivity_at_90_specificity", "brier")
"""Metrics given at all three levels beside each other."""
FOLD_SHOWN = ("roc_auc", "pr_auc", "sensitivity_at_90_specificity", "specificity_achieved", "accuracy", "f1", "brier")
ABOUT = {"E1": "these fitted models, new patients", "E2": "trained again on such a cohort"}


def summary_table(study: StoredStudy, evaluation: Evaluation, level: str) -> PaperTable:
    """The main metrics of all arms at one level with their primary intervals; the data has every method."""
    data = evaluation.intervals[evaluation.intervals["level"] == level]
    primary = data[data["primary"]]
    if primary.empty:
        return empty_table(f"summary_{level}")
    known = [metric for metric in (*SHOWN, *RESTATED) if metric in set(primary["metric"])]
    shown = pd.DataFrame(
        [
            {"Arm": arm} | {metric_name(metric): cell(lines.set_index("metric"), metric) for metric in known}
            for arm, lines in primary.groupby("arm", sort=False)
        ]
    )
    tested_here = sample(evaluation, level)
    chance = number("pr_auc", tested_here.n_positive / tested_here.n_units)
    said = caption(
        "summary",
        study,
        evaluation,
        level=level,
        people=tested_here.text(level),
        chance=chance,
        n_noted=int((primary["metric"].eq("roc_auc") & primary["note"].ne("")).sum()),
    )
    return PaperTable(f"summary_{level}", f"Performance, {level} level", said, data, shown)


def levels_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """A few metrics of each arm at patient, breast and image level beside each other."""
    rows = evaluation.summary[evaluation.summary["metric"].isin(SIDE_BY_SIDE)]
    levels = [level for level in LEVELS if level in set(rows["level"])]
    if len(levels) < 2:
        return empty_table("levels")
    by_arm = dict(list(rows.groupby("arm", sort=False)))
    shown = pd.DataFrame(
        [
            {"Metric": metric_name(metric), "Arm": arm}
            | {
                f"{level.capitalize()} level": cell(lines[lines["level"] == level].set_index("metric"), metric)
                for level in levels
            }
            for metric in SIDE_BY_SIDE
            if metric in set(rows["metric"])
            for arm, lines in by_arm.items()
        ]
    )
    sizes = [f"{level} level: {sample(evaluation, level).text(level)}" for level in levels]
    said = caption("levels", study, evaluation, sizes=sizes)
    return PaperTable("levels", "Patient, breast and image level", said, rows, shown, n_keys=2)


def methods_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """The AUC of every arm with its interval by every method that was computed, and how wide each is.

    Intervals about training again are in the data alone where it was not assessed.
    """
    data = at_unit(evaluation.intervals, evaluation)
    data = data[data["metric"] == "roc_auc"].assign(width=lambda lines: lines["high"] - lines["low"])
    shown = pd.DataFrame(
        [
            {
                "Arm": row["arm"],
                "About": ABOUT.get(row["estimand"], ABSENT),
                "Method": row["method"],
                "AUC": interval("roc_auc", row["value"], row["low"], row["high"]),
                "Width": number("roc_auc", row["width"]),
            }
            for row in data.sort_values("estimand", kind="stable").to_dict("records")
            if row["estimand"] == "E1" or is_retraining_assessed(evaluation)
        ]
    )
    shown = shown.set_index("Arm").loc[data["arm"].unique()].reset_index()
    said = caption("interval_methods", study, evaluation)
    return PaperTable("interval_methods", "AUC with its interval by method", said, data, shown)


def by_estimand_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """The AUC of every arm for both estimands."""
    data, trained = at_unit(evaluation.intervals, evaluation), trained_again(evaluation)
    if trained.empty:
        return empty_table("auc_by_estimand")
    fitted = data[(data["metric"] == "roc_auc") & data["primary"]]
    e1, e2 = (
        {row["arm"]: interval("roc_auc", row["value"], row["low"], row["high"]) for row in rows.to_dict("records")}
        for rows in (fitted, trained)
    )
    shown = pd.DataFrame(
        [
            {
                "Arm": arm,
                "These fitted models, new patients": text,
                "Trained again on such a cohort": e2.get(arm, ABSENT),
            }
            for arm, text in e1.items()
        ]
    )
    methods = [CORRECTED, FLOOR] if study.settings.protocol.repeats == 1 else list(dict.fromkeys(trained["method"]))
    return PaperTable(
        "auc_by_estimand",
        "AUC of these fitted models and of the method trained again",
        caption("auc_by_estimand", study, evaluation, methods=methods),
        pd.concat([fitted, trained]),
        shown,
    )


AT_POINTS = {
    "sensitivity_at_90_specificity": NAMES["sensitivity_at_90_specificity"],
    "specificity_achieved": "Specificity achieved",
    "specificity_at_90_sensitivity": NAMES["specificity_at_90_sensitivity"],
    "sensitivity_achieved": "Sensitivity achieved",
    "sensitivity": "Sensitivity at 0.5",
    "specificity": "Specificity at 0.5",
    "accuracy": "Accuracy at 0.5",
    "ppv": "PPV",
    "npv": "NPV",
}
COUNTS = ("tp", "fp", "fn", "tn")


def operating_points_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """Sensitivity and specificity at both thresholds and at probability 0.5; the CSV has the mean counts at 0.5."""
    data = at_unit(evaluation.summary, evaluation)
    data = data[data["metric"].isin(AT_POINTS)]
    if data.empty:
        return empty_table("operating_points")
    counts = at_unit(evaluation.cross_tabulation, evaluation)
    counts = counts[counts["threshold"] == "called"].set_index("arm")
    known = {metric: name for metric, name in AT_POINTS.items() if metric in set(data["metric"])}
    rows = []
    for arm, lines in data.groupby("arm", sort=False):
        row = {"Arm": arm} | {name: cell(lines.set_index("metric"), metric) for metric, name in known.items()}
        rows.append(row)
    shown = pd.DataFrame(rows)
    shown = shown[[*shown.columns.drop(["PPV", "NPV"], errors="ignore"), *(c for c in ("PPV", "NPV") if c in shown)]]
    merged = data.merge(counts[list(COUNTS)].reset_index(), on="arm", how="left")
    return PaperTable("operating_points", "Operating points", _points_caption(study, evaluation, known), merged, shown)


def _points_caption(study: StoredStudy, evaluation: Evaluation, known: dict[str, str]) -> str:
    prevalence = study.settings.protocol.prevalence
    return caption(
        "operating_points",
        study,
        evaluation,
        people=sample(evaluation, evaluation.unit).text(evaluation.unit),
        prevalence=f"{100 * prevalence:g}" if prevalence is not None and "ppv" in known else "",
    )


THRESHOLDS = {"flagged": "90 % specificity", "cleared": "90 % sensitivity", "called": "probability 0.5"}


def cross_tabulation_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """The calls against the truth at each threshold: counts that add up to the units of one run."""
    data = at_unit(evaluation.cross_tabulation, evaluation)
    if data.empty:
        return empty_table("cross_tabulation")
    rows, runs = [], int(data["n_runs"].max())
    for threshold, name in THRESHOLDS.items():
        for row in data[data["threshold"] == threshold].to_dict("records"):
            (tp, fn), (fp, tn) = (mean_counts(row[a], row[b], runs) for a, b in (("tp", "fn"), ("fp", "tn")))
            shown = {"Threshold": name, "Arm": row["arm"], "True positive": tp, "False negative": fn}
            rows.append(shown | {"False positive": fp, "True negative": tn})
    people = sample(evaluation, evaluation.unit).text(evaluation.unit)
    said = caption("cross_tabulation", study, evaluation, people=people, runs=runs)
    return PaperTable("cross_tabulation", "Predicted against true class", said, data, pd.DataFrame(rows), n_keys=2)


def per_fold_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """Every metric in every fold, at the level of the primary unit; all levels in the CSV."""
    data = evaluation.per_fold
    if data.empty or at_unit(data, evaluation).empty:
        return empty_table("per_fold")
    chosen = at_unit(data, evaluation)
    known = [metric for metric in FOLD_SHOWN if metric in set(chosen["metric"])]
    chosen = chosen.assign(text=[number(m, v) for m, v in zip(chosen["metric"], chosen["value"], strict=True)])
    keys = ["arm", "repeat", "seed", "fold", "n_patients", "n_positive"]
    shown = chosen.pivot(index=keys, columns="metric", values="text")[known].rename(columns=metric_name)
    shown = shown.reindex(chosen["arm"].unique(), level="arm").reset_index()
    names = {
        "arm": "Arm",
        "repeat": "Repeat",
        "seed": "Seed",
        "fold": "Fold",
        "n_patients": "Patients",
        "n_positive": "Positive",
    }
    title = f"Performance by fold, {evaluation.unit} level"
    cells = ["arm", "level", "repeat", "seed", "fold", "n_patients", "n_units", "n_positive"]
    wide = data.pivot(index=cells, columns="metric", values="value")[list(data["metric"].unique())]
    wide = wide.reindex(data["arm"].unique(), level="arm").rename_axis(columns=None).reset_index()
    said = caption("per_fold", study, evaluation)
    return PaperTable("per_fold", title, said, wide, shown.rename(columns=names).fillna(ABSENT), n_keys=4)
