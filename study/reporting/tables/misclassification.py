"""Tables of errors for a failure analysis: counts by class, and the worst errors one by one."""

import pandas as pd

from study.design.study_file import BASELINE
from study.evaluation.evaluation import Evaluation
from study.evaluation.misclassification import errors_by_unit
from study.evaluation.units import UNIT_KEYS
from study.records.stored_study import StoredStudy
from study.reporting.facts.counts import unit_noun
from study.reporting.facts.sentences import in_runs, kind_of_model
from study.reporting.tables.base import ABSENT, PaperTable, caption, empty_table
from study.text.format import mean_count, percent, probability

LISTED = 10
"""Positive and negative units listed; the CSV has all."""


def errors_by_class_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """Units on the wrong side of probability 0.5 by original class, for every arm, and by all arms together."""
    errors = evaluation.errors
    if errors.empty:
        return empty_table("errors_by_class")
    units = f"{unit_noun(study.cohort.images, evaluation.unit).capitalize()}s"
    lines = errors.groupby(["status", "label", "arm"], sort=False)["wrong"].agg(["size", "sum", "mean"]).reset_index()
    data = lines.rename(columns={"size": "n", "sum": "wrong", "mean": "share"})
    rows, runs = [], study.settings.protocol.repeats * study.settings.protocol.seeds
    for (status, label), of_class in data.groupby(["status", "label"], sort=True):
        cells = {
            row["arm"]: f"{mean_count(row['wrong'], runs)} ({percent(row['share'])})"
            for row in of_class.to_dict("records")
        }
        side = "positive" if label == 1 else "negative"
        rows.append({"Class": f"{status} ({side})", units: str(of_class["n"].iloc[0])} | cells)
    said = caption("errors_by_class", study, evaluation, scaled=evaluation.is_calibrated)
    return PaperTable("errors_by_class", "Errors by class", said, data, pd.DataFrame(rows), n_keys=2)


def errors_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """The units that some arm has wrong with the worst probabilities, mean over arms and runs, by label."""
    arms = evaluation.errors[evaluation.errors["arm"] != BASELINE] if not evaluation.errors.empty else evaluation.errors
    if arms.empty:
        return empty_table("errors")
    data = errors_by_unit(arms, evaluation.unit).sort_values(
        "distance", ascending=False, kind="stable", ignore_index=True
    )
    wrong = data[data["n_wrong"] > 0]
    if wrong.empty:
        return empty_table("errors")
    worst = pd.concat([wrong[wrong["label"] == label].head(LISTED) for label in (1, 0)])
    kind, often = kind_of_model(study), in_runs(study.settings.protocol.repeats * study.settings.protocol.seeds)
    ids = [key for key in UNIT_KEYS[evaluation.unit] if key != "case_id"]
    shown = pd.DataFrame(
        [
            {name.removesuffix("_id").capitalize(): row[name] for name in ids}
            | {
                "Class": row["status"],
                "Site": ABSENT if pd.isna(row["site"]) else row["site"],
                "Label": "positive" if row["label"] == 1 else "negative",
                "Mean probability": probability(row["mean_prob"]),
                f"{kind.capitalize()}s wrong{often}": f"{row['n_wrong']} of {row['n_arms']}",
            }
            for row in worst.to_dict("records")
        ]
    )
    baseline = BASELINE in set(evaluation.errors["arm"])
    facts = {"n": LISTED, "baseline": baseline, "kind": kind, "often": often}
    said = caption("errors", study, evaluation, scaled=evaluation.is_calibrated, **facts)
    return PaperTable("errors", "Worst errors", said, data, shown, n_keys=len(ids))
