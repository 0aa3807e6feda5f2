"""Clinical columns that nearly determine the label: results of the diagnosis, not predictors of it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from mmbc.data.tables.columns import Feature
from mmbc.errors import CohortError

AUC = 0.97
"""A clinical column that alone reaches this AUC stops the run."""

FEWEST = 3
"""Smallest number of units of either class from which a column is judged."""

USUAL = 5
"""A category of at least this many units is also judged by its share of positives, the unit itself included."""

MOST_VALUES = 10
"""Numeric columns with at most this many values are also judged as categories (codes need not be in order)."""

TELLING = "nearly determines the label"
"""The verdict on such a column; a report repeats it among the limitations."""


def separation(rows: pd.DataFrame, features: Sequence[Feature], level: str) -> dict[str, float]:
    """Return for each column the AUC with which it alone separates positive from negative units.

    Numbers are compared by size, in the better direction, among the units that have one. Categories, and whether a
    value is missing, are compared by the share of positives in the category, or, so that small ones count too, among
    its other units.

    Args:
        rows: one row per image with `patient_id`, `case_id`, `breast`, `label` and the columns.
        features: the columns.
        level: the unit of the label, `case` or `breast`.
    """
    keys = ["patient_id", "case_id", *(["breast"] if level == "breast" else [])]
    names = [feature.name for feature in features]
    units = rows.groupby(keys, sort=False, dropna=False)[["label", *names]].agg(
        {"label": "max"} | dict.fromkeys(names, "first")
    )
    labels = units["label"].to_numpy()
    return {feature.name: _separation(units[feature.name], labels, feature) for feature in features}


def _separation(values: pd.Series, labels: np.ndarray, feature: Feature) -> float:
    known = values.notna().to_numpy()
    areas = [_by_category(pd.Series(known), labels)]
    if feature.kind != "categorical" and not feature.order:
        numbers = pd.to_numeric(values[known], errors="coerce").to_numpy(dtype=float)
        area = _auc(labels[known], numbers)
        areas.append(max(area, 1 - area))
    if feature.kind == "categorical" or feature.order or values.nunique() <= MOST_VALUES:
        areas.append(_by_category(values.astype(object).where(values.notna(), None).map(str), labels))
    return float(max(areas))


def _by_category(values: pd.Series, labels: np.ndarray) -> float:
    """Return the greater of two AUCs: of the category's share of positives, and of the share among its other units."""
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
    """Return a note on every column that nearly determines the label and is allowed.

    Raises:
        CohortError: there is one that is not allowed; names it.
    """
    areas = {name: area for name, area in separation(rows, features, level).items() if area >= AUC}
    stopping = [name for name in areas if name not in allowed]
    if stopping:
        shown = "; ".join(f"{name!r} (AUC {areas[name]:.2f} alone)" for name in stopping)
        flags = " ".join(f"--allow-leaky-column {_quoted(name)}" for name in stopping)
        raise CohortError(
            f"{where}: a clinical column nearly determines the label: {shown}. Is it a result of the diagnosis? Leave"
            f" it out (--features with the others, or data.feature_kinds with 'skip'), or, if it is meant: {flags}"
        )
    return [
        f"The clinical column {name} {TELLING} (AUC {area:.2f} alone) and was allowed." for name, area in areas.items()
    ]


def _quoted(name: str) -> str:
    return f"'{name}'" if " " in name else name
