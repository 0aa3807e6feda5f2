"""The table of the AUC by the number of training patients."""

import pandas as pd

from study.evaluation.evaluation import Evaluation
from study.records.stored_study import StoredStudy
from study.reporting.tables.base import PaperTable, caption, empty_table
from study.text.format import difference_interval, half_up, interval


def learning_curve_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """AUC of every arm of a learning curve, and its difference to the arm that learns from all patients."""
    data = evaluation.learning_curve
    if data.empty:
        return empty_table("learning_curve")
    ends = ["difference", "difference_low", "difference_high"]
    shown = pd.DataFrame(
        {
            "Arm": data["of"],
            "Training patients": [f"{half_up(n, 0):.0f}" for n in data["n_patients"]],
            "Share": [f"{100 * share:g} %" for share in data["fraction"]],
            "AUC": [interval("roc_auc", *values) for values in data[["value", "low", "high"]].to_numpy()],
            "Difference to all": [
                "reference" if pd.isna(values[0]) else difference_interval(*values) for values in data[ends].to_numpy()
            ],
        }
    )
    said = caption("learning_curve", study, evaluation)
    return PaperTable("learning_curve", "AUC by the number of training patients", said, data, shown, n_keys=2)
