"""The learning curve of an arm: its AUC by the number of training patients."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mmbc.data.splits import nested_share
from study.evaluation.contrasts import paired_differences
from study.evaluation.units import Aligned
from study.records.stored_study import StoredStudy


def learning_curve(study: StoredStudy, rows: Aligned, intervals: pd.DataFrame) -> pd.DataFrame:
    """Return one line per arm of a curve, the fewest training patients first (see `study.evaluation.frames`).

    Args:
        study: whose arms set `train.fraction`.
        rows: units of the complete arms, at the unit of analysis.
        intervals: lines of `Evaluation.intervals`.
    """
    if study.imported:
        return pd.DataFrame()
    shares = {arm: of for arm, of in study.settings.shares.items() if {arm, of} <= set(rows.arms)}
    areas = intervals[(intervals["metric"] == "roc_auc") & (intervals["level"] == rows.level) & intervals["primary"]]
    areas = areas.set_index("arm")[["value", "low", "high"]]
    differences = paired_differences(rows.with_both_classes(), list(shares.items()))
    apart: dict[str, dict[str, Any]] = {str(line["first"]): line for line in differences}
    lines: list[dict[str, Any]] = []
    for of in dict.fromkeys(shares.values()):
        points = sorted([of, *(arm for arm in shares if shares[arm] == of)], key=lambda arm: _fraction(study, arm))
        for arm in points:
            paired = apart.get(arm, {})
            line: dict[str, Any] = {"arm": arm, "of": of, "fraction": _fraction(study, arm)}
            line["n_patients"] = float(np.mean(_n_training(study, line["fraction"])))
            line |= {str(name): value for name, value in areas.loc[arm].items()}
            lines.append(line | {name: float(paired.get(key, np.nan)) for name, key in DIFFERENCE.items()})
    return pd.DataFrame(lines)


DIFFERENCE = {"difference": "difference", "difference_low": "low", "difference_high": "high"}


def _fraction(study: StoredStudy, arm: str) -> float:
    return study.configs[arm].train.fraction


def _n_training(study: StoredStudy, fraction: float) -> Sequence[int]:
    """Return how many patients a model of each fold learns from."""
    by_patient = study.cohort.images.groupby("patient_id")["label"].max()
    labels = {str(patient): int(label) for patient, label in by_patient.items()}
    rng = np.random.default_rng(0)  # the number does not depend on who is drawn
    return [len(nested_share(fold.train, labels, fraction, rng)) for fold in study.folds.folds]
