"""Predictions of models that nobody trained: an example of a table for `study.report --predictions`, and for timing."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

IMAGES = (("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"))


def predictions(
    n_patients: int, gains: Mapping[str, float], *, n_folds: int = 5, n_seeds: int = 1, seed: int = 0
) -> pd.DataFrame:
    """Return a table of out-of-fold predictions, four images a patient, with validation rows and clinical columns.

    Scores share a patient part between arms, as those of real models do; an arm's gain is the shift of the positives.

    Args:
        n_patients: of whom 37 % are positive, the others benign or normal, from four sites.
        gains: arm -> shift of the logit of positives.
        n_folds: each patient is tested in one and a validation patient of the one before.
        n_seeds: training seeds.
        seed: of all that is drawn.
    """
    rng = np.random.default_rng(seed)
    positive = rng.random(n_patients) < 0.37
    patients = pd.DataFrame(
        {
            "patient_id": [f"P{number:05d}" for number in range(n_patients)],
            "label": positive.astype(int),
            "status": np.where(positive, "Cancer", np.where(rng.random(n_patients) < 0.55, "Benign", "Normal")),
            "site": rng.choice(list("ABCD"), n_patients),
            "age": np.round(rng.normal(55 + 5 * positive, 11)),
            "density": rng.integers(1, 5, n_patients),
            "tested": rng.permutation(np.arange(n_patients) % n_folds),
        }
    )
    rows = patients.loc[np.repeat(patients.index, len(IMAGES))].reset_index(drop=True)
    breasts, views = zip(*IMAGES, strict=True)
    rows = rows.assign(breast=np.tile(breasts, n_patients), view=np.tile(views, n_patients))
    woman = np.repeat(rng.normal(0, 0.7, n_patients), len(IMAGES))
    frames = []
    for arm, gain in gains.items():
        own = np.repeat(rng.normal(0, 0.4, n_patients), len(IMAGES))
        for number in range(n_seeds):
            logit = gain * rows["label"] - 0.8 + woman + own + rng.normal(0, 0.5, len(rows))
            prob = 1 / (1 + np.exp(-logit))
            for fold in range(n_folds):
                parts = {"test": rows["tested"] == fold, "validation": rows["tested"] == (fold + 1) % n_folds}
                frames += [
                    rows[mask].assign(arm=arm, fold=fold, seed=number, part=part, prob=prob[mask])
                    for part, mask in parts.items()
                ]
    return pd.concat(frames, ignore_index=True).drop(columns="tested")
