"""Probabilities: calibration, reliability and net benefit."""

import pandas as pd

from study.evaluation.evaluation import Evaluation
from study.evaluation.groups import shown_thresholds
from study.records.stored_study import StoredStudy
from study.reporting.tables.base import (
    PaperTable,
    at_unit,
    averaging_note,
    calibration_word,
    cell,
    empty_table,
    has_validation,
    metric_name,
    one_split,
)
from study.text.format import interval, number, per_thousand, percentage

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
    pooled = "" if one_split(study) else ", pooled over folds"
    caption = (
        f"{evaluation.unit.capitalize()} level, {calibration_word(evaluation)}probabilities{pooled}, 95 % intervals"
        " for these fitted models. A slope of 1 and an intercept or calibration in the large of 0 are ideal; n/a"
        " where probabilities are"
        " all but constant. An ECE is biased upwards: the last column is what perfectly calibrated probabilities would"
        f" show.{averaging_note(study)}"
    )
    return PaperTable("calibration", "Calibration", caption, data, pd.DataFrame(rows))


def reliability_table(evaluation: Evaluation) -> PaperTable:
    """Observed shares by bin of calibrated probability; the data has the uncalibrated too."""
    data = evaluation.reliability
    if data.empty:
        return empty_table("reliability")
    shown = pd.DataFrame(
        [
            {
                "Arm": row["arm"],
                "Bin": str(row["bin"] + 1),
                "Mean predicted": number("brier", row["mean_prob"]),
                "Observed share": interval("brier", row["observed"], row["low"], row["high"]),
                "Predictions": f"{row['n_units']:,}",
            }
            for row in data[data["stage"] == "after"].to_dict("records")
        ]
    )
    before = " The CSV and the workbook also have the probabilities before calibration." * has_validation(evaluation)
    caption = (
        f"{evaluation.unit.capitalize()} level. Bins of equal size by"
        f" {calibration_word(evaluation)}probability;"
        " observed share of positives with 95 % interval (these fitted models, Wilson with the patients' design"
        " effect). Predictions are"
        f" counted over all repeats and seeds.{before}"
    )
    return PaperTable("reliability", "Reliability", caption, data, shown, n_keys=2)


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
    caption = (
        f"Net benefit in true positives per 1000 people at the declared prevalence of {100 * prevalence:g} %, by"
        " the"
        f" probability above which people are recalled, {evaluation.unit} level, 95 % interval for these fitted"
        " models (bootstrap of patients). Recalling nobody is 0. It assumes that sensitivity and specificity"
        " carry over to that prevalence."
    )
    return PaperTable("decision", "Net benefit", caption, around.reset_index(drop=True), pd.DataFrame(rows))
