"""Added predictions in tables: rows below the arms of the study, and their differences to each of them."""

import pandas as pd

from study.evaluation.evaluation import Evaluation
from study.records.added_predictions import UNVERIFIED
from study.records.stored_study import StoredStudy
from study.reporting.facts.arm_names import display_name
from study.reporting.tables.base import PaperTable, caption, empty_table
from study.text.format import difference_interval

HEADER = "AUC difference (95 % CI, these fitted models)"


def marked(arm: str) -> str:
    """Return the name of an added arm as tables show it."""
    return f"{arm} (added; {UNVERIFIED})"


def added_contrasts_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """Every added arm minus every arm of the study."""
    data = evaluation.added_contrasts
    if study.added is None or data.empty:
        return empty_table("added_contrasts")
    pairs = data[["first", "second"]].to_numpy()
    shown = pd.DataFrame(
        {
            "Difference": [f"{marked(first)} minus {display_name(study, second)}" for first, second in pairs],
            HEADER: [difference_interval(*v) for v in data[["difference", "low", "high"]].to_numpy()],
            "Patients": [str(n) for n in data["n_patients"]],
        }
    )
    said = caption("added_contrasts", study, evaluation, file=study.added.facts.file, unverified=UNVERIFIED)
    title = f"Differences of added predictions, {UNVERIFIED}"
    return PaperTable("added_contrasts", title, said, data, shown)
