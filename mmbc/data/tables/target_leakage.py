"""Clinical columns that nearly determine the label: results of the diagnosis, not predictors of it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from mmbc.data.tables.columns import Feature
from mmbc.errors import CohortError

AUC = 0.97
"""A column with which, alone, positives are told from negatives this well, stops the run."""

FEWEST = 3
"""Units of either class without which nothing is said."""

USUAL = 5
"""A category of at least this many units is also judged by its own share of positives, units themselves included."""

MOST_VALUES = 10
"""Numeric columns with at most this many values are also judged as categories (codes need not be in order)."""
TELLING = "nearly determines the label"
"""What is said of such a column; a report repeats it among the limitations."""


def separation(rows: pd.DataFrame, features: Sequence[Feature], level: str) -> dict[str, float]:
    """Return for each column the AUC with which it alone tells the units of the label apart.

    Numbers are compared by size, either way round, among the units that have one; categories, and whether a value is
    missing, by the share of positives in the category, or, so that small ones count too, among its other units.
    """
    keys = ["patient_id", "case_id", *(["breast"] if level == "breast" else [])]
    names = [feature.name for feature in features]
    units = rows.groupby(keys, sort=False, dropna=False)[["label", *names]].first()
    labels = units["label"].to_numpy()
    return {feature.name: _separation(units[feature.name], labels, feature) for feature in features}


def _separation(values: pd.Series, labels: np.ndarray, feature: Feature) -> float:
    known = values.notna().to_numpy()
    found = [_by_category(pd.Series(known), labels)]
    if feature.kind != "categorical" and not feature.order:
        numbers = pd.to_numeric(values[known], errors="coerce").to_numpy(dtype=float)
        area = _auc(labels[known], numbers)
        found.append(max(area, 1 - area))
    if feature.kind == "categorical" or feature.order or values.nunique() <= MOST_VALUES:
        found.append(_by_category(values.astype(object).where(values.notna(), None).map(str), labels))
    return float(max(found))


def _by_category(values: pd.Series, labels: np.ndarray) -> float:
    """The greater of two AUCs: of the category's share of positives, and of that among its other units."""
    frame = pd.DataFrame({"value": values.to_numpy(), "label": labels})
    group = frame.groupby("value")["label"]
    size, positive = group.transform("size"), group.transform("sum")
    own = (positive / size).where(size >= USUAL, labels.mean())
    others = ((positive - frame["label"]) / (size - 1).where(size > 1)).fillna(labels.mean())
    return max(_auc(labels, own.to_numpy()), _auc(labels, others.to_numpy()))


def _auc(labels: np.ndarray, scores: np.ndarray) -> float:
    n_positive = int(labels.sum())
    if min(n_positive, len(labels) - n_positive) < FEWEST:
        return 0.5
    return float(roc_auc_score(labels, scores))


def check(rows: pd.DataFrame, features: Sequence[Feature], level: str, allowed: Sequence[str], where: str) -> list[str]:
    """Return a note for every leaky column that is allowed.

    Raises:
        CohortError: one that is not, with its name.
    """
    found = {name: area for name, area in separation(rows, features, level).items() if area >= AUC}
    stopping = [name for name in found if name not in allowed]
    if stopping:
        shown = "; ".join(f"{name!r} (AUC {found[name]:.2f} alone)" for name in stopping)
        flags = " ".join(f"--allow-leaky-column {_quoted(name)}" for name in stopping)
        raise CohortError(
            f"{where}: a clinical column nearly determines the label: {shown}. Is it a result of the diagnosis? Leave"
            f" it out (--features with the others, or data.feature_kinds with 'skip'), or, if it is meant: {flags}"
        )
    return [
        f"The clinical column {name} {TELLING} (AUC {area:.2f} alone) and was allowed." for name, area in found.items()
    ]


def _quoted(name: str) -> str:
    return f"'{name}'" if " " in name else name
