"""Check of the folds, measured in images: labels that were permuted over patients must not be predictable."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from mmbc.data.images.appearance import GREYS, NOISES, Appearance
from mmbc.data.splits import inner_folds, patient_table
from study.checks.check import Outcome, failed, not_checked, passed
from study.checks.probes import COMPONENTS, FEWEST, N_FOLDS
from study.stats import auc
from study.text.format import count

N_PERMUTATIONS = 100

ERRORS = 3.5
"""Monte Carlo standard errors by which permuted labels may miss 0.5: once in 1400 times by chance (t, 99 df)."""

N_NEIGHBOURS = 10


def permuted_labels(
    images: pd.DataFrame,
    appearance: Appearance,
    folds: np.ndarray | None = None,
    *,
    seed: int = 0,
    n_permutations: int = N_PERMUTATIONS,
) -> Outcome:
    """Result of the check with permuted labels: nothing predicts them unless a patient is on both sides of a fold.

    Given the training labels, those of the other patients are in random order: the expected AUC within a fold is 0.5
    exactly.

    Args:
        images: the cohort's rows.
        appearance: of their images; the probe sees border, silhouette, rim, grey and noise.
        folds: (n_images,) of int, the fold whose test part an image is in; None for patient-grouped ones made here.
        seed: of the permutations.
        n_permutations: how many.
    """
    folds = _grouped(images, seed) if folds is None else np.asarray(folds)
    people, person = np.unique(images["patient_id"].to_numpy(dtype=str), return_inverse=True)
    label = np.zeros(len(people), dtype=int)
    np.maximum.at(label, person, images["label"].to_numpy(dtype=int))
    if min(label.sum(), len(label) - label.sum()) < FEWEST:
        return not_checked(f"Fewer than {FEWEST} patients of a class.")
    near, rng = neighbours(richest(appearance), folds), np.random.default_rng([seed, 21])
    areas = np.array([_permuted(near, rng.permutation(label)[person], person, folds) for _ in range(n_permutations)])
    mean, error = float(areas.mean()), float(areas.std(ddof=1) / math.sqrt(len(areas)))
    as_expected = abs(mean - 0.5) <= ERRORS * error
    n_divided = int((pd.Series(folds).groupby(person).nunique() > 1).sum())
    divided = f" {count(n_divided, 'patient is', 'patients are')} in more than one fold." if n_divided else ""
    evidence = f"Labels permuted over patients {n_permutations} times: AUC {mean:.3f}, Monte Carlo error {error:.3f}"
    evidence += f"; 0.5 is expected.{divided}" if as_expected else f", not 0.5: the folds leak.{divided}"
    row = {
        "comparison": "permuted labels",
        "AUC": mean,
        "low": mean - ERRORS * error,
        "high": mean + ERRORS * error,
        "n_patients": len(people),
        "n_images": len(images),
    }
    return (passed if as_expected and not n_divided else failed)(evidence, rows=[row])


def _grouped(images: pd.DataFrame, seed: int) -> np.ndarray:
    patients = patient_table(images)
    n_folds = int(min(N_FOLDS, patients["label"].value_counts().min()))
    parts: Sequence[tuple[str, ...]] = inner_folds(patients, n_folds=max(2, n_folds), rng=np.random.default_rng(seed))
    fold_of = {patient: number for number, part in enumerate(parts) for patient in part}
    return images["patient_id"].map(fold_of).to_numpy()


def richest(appearance: Appearance) -> np.ndarray:
    """Return principal components (n_images, at most 40) of everything measured; no label is looked at."""
    table = appearance.table[[*GREYS, *NOISES]]
    parts = (table.fillna(table.median()).fillna(0.0), appearance.border, appearance.silhouette, appearance.uncentred)
    blocks = [StandardScaler().fit_transform(np.asarray(part, dtype=np.float64)) for part in parts]
    features = np.hstack([block / math.sqrt(block.shape[1]) for block in blocks])
    return PCA(min(COMPONENTS, *features.shape), random_state=0).fit_transform(features)


def neighbours(features: np.ndarray, folds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for every image the nearest images of the other folds and their weights, both (n_images, 10).

    Who is near is not learned from labels, so that it serves all permutations; and nothing knows another image of the
    same patient as well as it knows the nearest neighbours.
    """
    n_near = min(N_NEIGHBOURS, min(int((folds != fold).sum()) for fold in np.unique(folds)))
    index, weight = np.zeros((len(folds), n_near), dtype=int), np.zeros((len(folds), n_near))
    for fold in np.unique(folds):
        others, own = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        distance, near = NearestNeighbors(n_neighbors=n_near).fit(features[others]).kneighbors(features[own])
        index[own] = others[near]
        weight[own] = np.exp(-2 * (distance / np.maximum(distance[:, :1], 1e-9)) ** 2)
    return index, weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)


def _permuted(near: tuple[np.ndarray, np.ndarray], labels: np.ndarray, person: np.ndarray, folds: np.ndarray) -> float:
    """Return the mean of within-fold AUCs over the parts of patients that lie in a fold."""
    index, weight = near
    scored = pd.DataFrame(
        {"score": (labels[index] * weight).sum(axis=1), "label": labels, "fold": folds, "who": person}
    )
    units = scored.groupby(["fold", "who"], as_index=False).agg(score=("score", "mean"), label=("label", "first"))
    parts = [part for _, part in units.groupby("fold") if part["label"].nunique() == 2]
    areas = [auc.delong(part["label"].to_numpy(), part["score"].to_numpy()[None]).value[0] for part in parts]
    return float(np.mean(areas))
