"""Shortcut probes: how well something that should not matter tells classes apart, cross-validated by patient.

A probe sees a few numbers of each image (its size, the grey of its border, ...) and never the lesion. Its out-of-fold
AUC is evidence about the cohort, not about a model: what a probe can use, a network can use.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
import pandas as pd
from sklearn import config_context
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, QuantileTransformer, StandardScaler

from mmbc.data.splits import inner_folds, patient_table
from study.stats import auc
from study.stats.estimate import Estimate

N_FOLDS = 5
FEWEST = 10
"""Patients of either class without which nothing is said."""
FEW_COLUMNS = 8
"""Up to so many columns a probe sees squares and products too; beyond, principal components."""
COMPONENTS = 40
REPEATS = 3
"""Cross-validations of a probe, each on other folds. Without labels that mean anything (14 phantoms of 150 patients),
logits of AUCs from one spread 0.23 to 0.32, from the mean of four 0.18 to 0.28, where DeLong's error is 0.235."""
OF_FOLDS = ("patient_id", "label", "status", "image_id")
"""Columns that folds depend on."""
METHOD = "patient-grouped 5-fold cross-validation, 3 repeats, fold-stratified DeLong"


@dataclass(frozen=True)
class Comparison:
    """Two classes of a cohort.

    Attributes:
        name: such as `Cancer against Benign`.
        rows: which images take part, (n_images,) of bool.
        label: (n_images,) of 0 and 1; what is said of other rows means nothing.
    """

    name: str
    rows: np.ndarray
    label: np.ndarray


def positive_classes(images: pd.DataFrame) -> tuple[str, ...]:
    """Return the classes of the rows that are labelled 1."""
    return tuple(sorted(images.loc[images["label"] == 1, "status"].astype(str).unique()))


def comparisons(images: pd.DataFrame, positive: tuple[str, ...]) -> list[Comparison]:
    """Return the comparison of the study, then those of single classes where there are more than two.

    A patient of two classes takes part in a comparison with the rows of both.
    """
    label = images["label"].to_numpy()
    status = images["status"].astype(str)
    name = " or ".join(positive) if positive else "positive"
    pairs = [Comparison(f"{name} against the rest", np.ones(len(images), dtype=bool), label)]
    classes = sorted(status.unique(), key=lambda word: (word not in positive, word))
    if len(classes) > 2:
        for first, second in combinations(classes, 2):
            rows = status.isin([first, second]).to_numpy()
            pairs.append(Comparison(f"{first} against {second}", rows, (status == first).to_numpy().astype(int)))
    return pairs


def probe(
    features: np.ndarray,
    images: pd.DataFrame,
    comparison: Comparison,
    *,
    seed: int = 0,
    n_folds: int = N_FOLDS,
    linear: bool = False,
) -> Estimate | None:
    """Return the out-of-fold AUC of patients with its interval, or None with too few patients.

    A patient's score is the mean over the patient's images. Constant features give 0.5 exactly. Folds are stratified by
    class, not by site: else what sites and classes have to do with each other in this sample would be found in every
    test part again.

    Args:
        features: (n_images, n_features) of float; NaN is replaced by the column's median.
        images: the cohort's rows (n_images,).
        comparison: which rows, against which.
        seed: of the folds.
        n_folds: how many.
        linear: see `out_of_fold`.
    """
    rows = np.flatnonzero(comparison.rows)
    among = images.iloc[rows].assign(label=comparison.label[rows]).reset_index(drop=True)
    drawn = _folds(tuple(among[list(OF_FOLDS)].itertuples(index=False, name=None)), n_folds, seed)
    runs = []
    for repeat, folds in enumerate(drawn):
        scores = out_of_fold(features[rows], among["label"].to_numpy(), folds, linear=linear)
        runs.append(among[["patient_id", "label"]].assign(score=scores, fold=folds, run=repeat))
    return estimate(pd.concat(runs), n_images=len(among)) if runs else None


@lru_cache(maxsize=64)  # dozens of probes look at the same images
def _folds(rows: tuple[tuple[object, ...], ...], n_folds: int, seed: int) -> tuple[np.ndarray, ...]:
    """Return the fold of each image (`OF_FOLDS`) in each repeat; none with too few patients of a class."""
    among = pd.DataFrame(rows, columns=list(OF_FOLDS))
    patients = patient_table(among.assign(site=""))
    n_positive = int(patients["label"].sum())
    if min(n_positive, len(patients) - n_positive) < FEWEST:
        return ()
    drawn = []
    for repeat in range(REPEATS):
        parts = inner_folds(patients, n_folds=n_folds, rng=np.random.default_rng([seed, repeat]))
        fold_of = {patient: number for number, part in enumerate(parts) for patient in part}
        drawn.append(among["patient_id"].map(fold_of).to_numpy())
    return tuple(drawn)


def estimate(scored: pd.DataFrame, *, n_images: int) -> Estimate:
    """Return the mean of within-fold AUCs over patients and runs.

    Args:
        scored: one row per image and run with `patient_id`, `label`, `score`, `fold` and `run`.
        n_images: how many images there are.
    """
    units = scored.groupby(["run", "patient_id"]).agg(
        label=("label", "max"), score=("score", "mean"), fold=("fold", "first")
    )
    units = units.reset_index()
    scores = units["score"].to_numpy()[None]
    if np.ptp(scores) == 0:
        value, low, high = 0.5, 0.5, 0.5
    else:
        area = auc.cross_validated_delong(
            units["label"].to_numpy(),
            scores,
            units["patient_id"].to_numpy(),
            units["fold"].to_numpy(),
            units["run"].to_numpy(),
        )
        value = round(float(area.value[0]), 12)  # a sum of fifteenths is not quite 1
        low, high = auc.logit_interval(value, float(area.se[0]))
    return Estimate(value, low, high, "patient", METHOD, "E1", units["patient_id"].nunique(), n_images)


def out_of_fold(features: np.ndarray, labels: np.ndarray, folds: np.ndarray, *, linear: bool = False) -> np.ndarray:
    """Return a score (n,) for every row from a model fitted on the other folds; 0 where no column varies.

    A linear model sees no squares and products, however few the columns; it cannot use that a class varies more.
    """
    features = _filled(np.asarray(features, dtype=np.float64))
    scores = np.zeros(len(labels))
    for fold in np.unique(folds):
        train, test = folds != fold, folds == fold
        varies = np.ptp(features[train], axis=0) > 0
        if not varies.any() or len(np.unique(labels[train])) < 2:
            continue
        model = _model(int(varies.sum()), int(train.sum()), linear)
        with config_context(assume_finite=True, skip_parameter_validation=True):  # a fifth of the time
            model.fit(features[train][:, varies], labels[train])
            scores[test] = model.decision_function(features[test][:, varies])
    return scores


def _model(n_columns: int, n_rows: int, linear: bool) -> Pipeline:
    if n_columns <= FEW_COLUMNS and not linear:
        ranks = QuantileTransformer(n_quantiles=min(200, n_rows), random_state=0)
        squares = PolynomialFeatures(2, include_bias=False)
        return make_pipeline(ranks, squares, StandardScaler(), LogisticRegression(C=1.0, max_iter=500))
    kept = min(COMPONENTS, n_columns, n_rows // 2)
    return make_pipeline(
        StandardScaler(), PCA(kept, random_state=0), StandardScaler(), LogisticRegression(C=0.1, max_iter=500)
    )


def _filled(features: np.ndarray) -> np.ndarray:
    if not np.isnan(features).any():
        return features
    known = ~np.isnan(features).all(axis=0)
    middle = np.zeros(features.shape[1])
    middle[known] = np.nanmedian(features[:, known], axis=0)
    return np.where(np.isnan(features), middle, features)


def shown(estimate: Estimate | None) -> str:
    """Return `0.79 (0.75 to 0.83)`."""
    if estimate is None:
        return "too few patients"
    if math.isnan(estimate.low):
        return f"{estimate.value:.2f} (no interval: nothing is confused)"
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def measured(
    features: np.ndarray, images: pd.DataFrame, positive: tuple[str, ...]
) -> Iterator[tuple[Comparison, Estimate]]:
    """Yield every comparison that has enough patients, with its estimate."""
    for comparison in comparisons(images, positive):
        if (auc_of_patients := probe(features, images, comparison)) is not None:
            yield comparison, auc_of_patients
