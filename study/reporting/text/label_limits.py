"""What labels per breast, pooled labels and rows left out for their labels mean for a reader of the numbers."""

from typing import Any

import numpy as np
import pandas as pd

from mmbc.data.readers.manifest import OWN_PATIENTS
from mmbc.data.tables.contradictions import EXCLUDED, SELECTION
from study.design.study_file import BASELINE
from study.records.stored_study import StoredStudy
from study.reporting.facts.arm_names import display_name
from study.stats.metrics import roc_auc
from study.text.format import number


def label_facts(study: StoredStudy) -> dict[str, Any]:
    """Return what labels and patients that were settled by an option mean, as facts of the limitations."""
    notes = study.cohort.notes
    lost = [note for note in notes if EXCLUDED in note]
    selected = [note for note in lost if note.endswith(SELECTION)]
    return {
        "own_patients": [note for note in notes if note.startswith(OWN_PATIENTS)],
        "lost": [note.replace(f" {EXCLUDED}", "") for note in lost],
        "copies": len(selected) < len(lost),
        "selected": bool(selected),
        **_tabular_ceiling(study),
    }


def ceiling(images: pd.DataFrame, features: list[str]) -> float:
    """Return the highest breast-level AUC that scores of clinical columns alone can reach; 1 where nothing caps it.

    Breasts of a patient with the same values get the same score, so their pairs count half. The best order of such
    groups is by their share of positive breasts: for two groups with p and n positive and negative breasts, the order
    that gains more pairs puts the greater p / n first.

    Args:
        images: rows of a cohort.
        features: names of the clinical columns.
    """
    breasts = images.groupby(["patient_id", "case_id", "breast"], dropna=False, sort=True)
    units = breasts.agg({"label": "max"} | dict.fromkeys(features, "first")).reset_index()
    share = units.groupby(["patient_id", *features], dropna=False)["label"].transform("mean")
    return float(roc_auc(np.ones((1, len(units))), units["label"].to_numpy(), share.to_numpy())[0])


def _tabular_ceiling(study: StoredStudy) -> dict[str, Any]:
    """Return what clinical columns alone can reach where they cannot tell the breasts of a patient apart."""
    nothing = {"ceiling": "", "n_mixed": 0, "clinical_models": []}
    features = [str(feature.name) for feature in study.cohort.features]
    if study.settings.unit != "breast" or not features:
        return nothing
    images = study.cohort.images
    tested = [
        images[images["patient_id"].isin(fold.test)] for fold in study.folds.until(study.settings.protocol.repeats)
    ]
    highest = float(np.mean([ceiling(rows, features) for rows in tested if rows["label"].nunique() == 2] or [1.0]))
    if highest >= 1:
        return nothing
    breasts = images.groupby(["patient_id", "case_id", "breast"], dropna=False)["label"].max()
    alone = [] if study.imported else [a for a in study.settings.arms if not study.configs[a].uses_images]
    return {
        "ceiling": number("roc_auc", highest),
        "n_mixed": int((breasts.groupby("patient_id").nunique() > 1).sum()),
        "clinical_models": [
            display_name(study, arm) for arm in [*alone, *([BASELINE] if BASELINE in study.arms else [])]
        ],
    }
