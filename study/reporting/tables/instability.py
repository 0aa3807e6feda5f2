"""The table of how far predictions change between runs."""

import pandas as pd

from study.evaluation.evaluation import Evaluation
from study.records.stored_study import StoredStudy
from study.reporting.tables.base import PaperTable, caption, empty_table, has_validation
from study.text.format import number


def instability_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """Instability of the predictions of every arm that has several runs."""
    data, unit = evaluation.instability, evaluation.unit
    if data.empty:
        return empty_table("instability")
    shown = pd.DataFrame(
        {
            "Arm": data["arm"],
            "Runs": data["n_runs"].astype(str),
            "Mean absolute prediction error": [number("brier", value) for value in data["mape"]],
            f"95th percentile over {unit}s": [number("brier", value) for value in data["mape_95"]],
            "Changed at probability 0.5": [number("sensitivity", share) for share in data["called_changed"]],
            "Changed at 90 % specificity": [number("sensitivity", share) for share in data["flagged_changed"]],
        }
    )
    if not has_validation(evaluation):
        shown = shown.drop(columns="Changed at 90 % specificity")
    left_out = bool(set(evaluation.summary["arm"]) - set(data["arm"]))
    said = caption("instability", study, evaluation, left_out=left_out, never=bool((data["called_changed"] == 0).any()))
    return PaperTable("instability", "Stability of the predictions between runs", said, data, shown)
