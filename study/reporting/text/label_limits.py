"""What labels per breast, pooled labels and rows left out for their labels mean for a reader of the numbers."""

import shlex
from collections.abc import Sequence

import numpy as np
import pandas as pd

from mmbc.data.readers.manifest import OWN_PATIENTS
from mmbc.data.tables.contradictions import EXCLUDED, SELECTION
from study.design.study_file import BASELINE
from study.records.stored_study import StoredStudy
from study.stats.metrics import roc_auc
from study.text.format import count, listed, number


def label_limitations(study: StoredStudy) -> list[str]:
    """Return what labels and patients that were settled by an option mean, one sentence or two each."""
    notes = study.cohort.notes
    lost = [note for note in notes if EXCLUDED in note]
    points = [note for note in notes if note.startswith(OWN_PATIENTS)] + lost
    if any(note.endswith(SELECTION) for note in lost):
        copies = not all(note.endswith(SELECTION) for note in lost)
        first = " (without the identical images in the table, whose label it cannot decide)" if copies else ""
        command = with_any(study.environment.without_paths().command)
        points[-1] += f" For comparison, a run that keeps these breasts{first}: `{command}`."
    return points + _tabular_ceiling(study)


def with_any(command: Sequence[str]) -> str:
    """Return a command that leaves rows out as one that keeps them, under a name of its own.

    Args:
        command: as typed, with `--conflicts exclude` or `data.conflicts=exclude`, or with neither (a study file's).
    """
    words: list[str] = []
    changed = False
    for word in command:
        before = words[-1] if words else ""
        if before == "--conflicts":
            word, changed = "any", True
        elif word.startswith("--conflicts="):
            word, changed = "--conflicts=any", True
        elif "data.conflicts" in word and "=" in word:
            word, changed = "data.conflicts=any", True
        elif before == "--name" or word.startswith("--name="):
            word = f"{word}-any"
        words.append(word)
    return shlex.join(words if changed else [*words, "--conflicts", "any"])


def ceiling(images: pd.DataFrame, features: list[str]) -> float:
    """Return the highest breast-level ROC-AUC that scores of clinical columns alone can reach; 1 where nothing caps it.

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


def _tabular_ceiling(study: StoredStudy) -> list[str]:
    """Say what clinical columns alone can reach where they cannot tell the breasts of a patient apart."""
    features = [str(feature.name) for feature in study.cohort.features]
    if study.settings.unit != "breast" or not features:
        return []
    images = study.cohort.images
    tested = [
        images[images["patient_id"].isin(fold.test)] for fold in study.folds.until(study.settings.protocol.repeats)
    ]
    highest = float(np.mean([ceiling(rows, features) for rows in tested if rows["label"].nunique() == 2] or [1.0]))
    if highest >= 1:
        return []
    breasts = images.groupby(["patient_id", "case_id", "breast"], dropna=False)["label"].max()
    mixed = int((breasts.groupby("patient_id").nunique() > 1).sum())
    alone = [] if study.imported else [a for a in study.settings.arms if not study.settings.arm_config(a).uses_images]
    arms = listed([*alone, *([BASELINE] if BASELINE in study.arms else [])])
    whom = f" ({arms})" if arms else ""
    return [
        f"Clinical columns are the same for both breasts of a patient, and in {count(mixed, 'patient')} one breast is"
        f" positive and the other is not. A model of clinical columns alone{whom} cannot reach a breast-level ROC-AUC"
        f" above {number('roc_auc', highest)} in these test parts, however good it is, and contrasts with it favour"
        " images. The contrasts at patient level stand beside (chapter Differences between arms of the supplement)."
    ]
