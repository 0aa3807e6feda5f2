"""Probabilities: calibration, reliability and net benefit."""

import pandas as pd

from study.evaluation.arm_metrics import N_BINS
from study.evaluation.evaluation import Evaluation
from study.evaluation.groups import shown_thresholds
from study.records.stored_study import StoredStudy
from study.reporting.tables.base import PaperTable, at_unit, caption, cell, empty_table, metric_name
from study.text.format import interval, number, per_thousand, percentage, tenths, whole

CALIBRATION = (
    "calibration_slope",
    "calibration_intercept",
    "calibration_in_the_large",
    "brier",
    "scaled_brier",
    "log_loss",
    "ece",
    "ece_equal_mass",
)


def calibration_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """Calibration of every arm, with the ECE that chance alone would show."""
    if evaluation.summary.empty:
        return empty_table("calibration")
    data = at_unit(evaluation.summary, evaluation)
    data = data[data["metric"].isin(CALIBRATION)]
    if data.empty:
        return empty_table("calibration")
    known = [metric for metric in CALIBRATION if metric in set(data["metric"])]
    chance = {(row["arm"], row["metric"]): row["expected"] for row in evaluation.expected_ece.to_dict("records")}
    rows = []
    for arm, lines in data.groupby("arm", sort=False):
        row = {"Arm": str(arm)} | {metric_name(metric): cell(lines.set_index("metric"), metric) for metric in known}
        by_chance = [number("ece", chance.get((arm, metric))) for metric in ("ece", "ece_equal_mass")]
        rows.append(row | {"ECE expected by chance (width / mass)": " / ".join(by_chance)})
    if chance:
        data = data.merge(evaluation.expected_ece, on=["arm", "metric"], how="left")
    return PaperTable("calibration", "Calibration", caption("calibration", study, evaluation), data, pd.DataFrame(rows))


def reliability_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """Observed shares by bin of calibrated probability; the data has the uncalibrated too."""
    data = evaluation.reliability
    if data.empty:
        return empty_table("reliability")
    as_text = tenths if data["n_runs"].max() > 1 else whole
    shown = pd.DataFrame(
        [
            {
                "Arm": row["arm"],
                "Bin": str(row["bin"] + 1),
                "Mean predicted": number("brier", row["mean_prob"]),
                "Observed share": interval("brier", row["observed"], row["low"], row["high"]),
                "Runs": str(row["n_runs"]),
                f"{evaluation.unit.capitalize()}s, mean over runs": as_text(row["n_units"] / row["n_runs"]),
            }
            for row in data[data["stage"] == "after"].to_dict("records")
        ]
    )
    merged = bool((data[data["stage"] == "after"].groupby("arm").size() < N_BINS).any())
    said = caption("reliability", study, evaluation, merged=merged, n_bins=N_BINS)
    return PaperTable("reliability", "Reliability", said, data, shown, n_keys=2)


def decision_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """Net benefit at some thresholds around the declared prevalence; the whole curves are beside the figure."""
    data, prevalence = evaluation.decision, study.settings.protocol.prevalence
    if data.empty or prevalence is None:
        return empty_table("decision")
    rows = []
    around = data[data["threshold"].isin(shown_thresholds(prevalence, study.settings.protocol.thresholds))]
    for threshold, lines in around.groupby("threshold"):
        values = {row["arm"]: per_thousand(row["value"], row["low"], row["high"]) for row in lines.to_dict("records")}
        everybody = per_thousand(lines["treat_all"].iloc[0])
        rows.append({"Threshold": percentage(float(str(threshold)))} | values | {"Recall all": everybody})
    said = caption("decision", study, evaluation, prevalence=f"{100 * prevalence:g}")
    return PaperTable("decision", "Net benefit", said, around.reset_index(drop=True), pd.DataFrame(rows))
