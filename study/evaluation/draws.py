"""The draws of the bootstrap: weights of patients, the same for every arm."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from study.records.stored_study import StoredStudy
from study.stats.bootstrap import patient_weights

N_REPLICATES = 2000
"""Draws of a report, unless others are asked for."""


def draws(
    study: StoredStudy, n_replicates: int, seed: int, among: Collection[str] | None = None
) -> tuple[pd.Index, np.ndarray]:
    """Return the tested patients and their weights (1 + n_replicates, n_patients); row 0 is the data as they are.

    Args:
        study: whose folds and classes are the strata.
        n_replicates: draws.
        seed: of the draws.
        among: of these patients alone; None for all.
    """
    fold_of = study.folds.test_fold_of()
    labels = study.cohort.images.groupby("patient_id")["label"].max()
    tested = {patient for fold in study.folds.folds for patient in fold.test}
    patients = pd.Index(sorted(tested if among is None else tested & set(among)))
    groups = np.array([2 * fold_of.get(patient, 0) + int(labels[patient]) for patient in patients])
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0])))
    drawn = patient_weights(groups, n_replicates, rng)
    return patients, np.vstack([np.ones(len(patients)), drawn])
