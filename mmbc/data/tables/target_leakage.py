"""Clinical columns that nearly determine the label: results of the diagnosis, not predictors of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import hypergeom
from sklearn.metrics import roc_auc_score

from mmbc.data.tables.columns import Feature
from mmbc.errors import CohortError, count

AUC = 0.97
"""A clinical column that alone reaches this AUC stops the run."""

FEWEST = 3
"""Smallest number of units of either class from which a column is judged."""

USUAL = 5
"""A category of at least this many units is also judged by its share of positives, the unit itself included."""

MOST_VALUES = 10
"""Numeric columns with at most this many values are also judged as categories (codes need not be in order)."""

CHANCE = 1e-6
"""A category that so many patients of one class have, and none of the other, is no accident below this probability."""

USUAL_CLASS = 2 / 3
"""Share of patients from which a class is so usual that a category without the other one does not stop a run."""

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
    if min(int(labels.sum()), len(labels) - int(labels.sum())) < FEWEST:
        return 0.5
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


@dataclass(frozen=True)
class PureCategory:
    """A category whose patients are all of one class.

    Attributes:
        column: its column.
        value: as written; `known` and `not known` where it is the absence of a value that tells.
        n_patients: how many have it.
        positive: whether they are positive.
        chance: probability that so many patients drawn at random are all of this class (hypergeometric).
        stops: whether it stops a run; a class that most patients belong to gives reason to a warning only.
    """

    column: str
    value: str
    n_patients: int
    positive: bool
    chance: float
    stops: bool

    @property
    def evidence(self) -> str:
        """What was counted, in words."""
        value = self.value if self.value in (KNOWN, NOT_KNOWN) else repr(self.value)
        side = "positive" if self.positive else "negative"
        return f"{value} in {count(self.n_patients, 'patient')}, all {side}, by chance {self.chance:.0e}"


KNOWN, NOT_KNOWN = "known", "not known"


def pure_categories(rows: pd.DataFrame, features: Sequence[Feature]) -> list[PureCategory]:
    """Return the categories, and absences of a value, that one class alone has and that are no accident.

    Patients are counted: their label is positive if any of their rows is, their value the first that is known.

    Args:
        rows: one row per image with `patient_id`, `label` and the columns.
        features: the columns.
    """
    names = [feature.name for feature in features]
    patients = rows.groupby("patient_id")[["label", *names]].agg({"label": "max"} | dict.fromkeys(names, "first"))
    n_positive = int(patients["label"].sum())
    sizes = {True: n_positive, False: len(patients) - n_positive}
    if min(sizes.values()) < FEWEST:
        return []
    found = []
    for feature in features:
        values = patients[feature.name]
        known = values.notna()
        groupings = [known.map({True: KNOWN, False: NOT_KNOWN})]
        if feature.kind == "categorical" or feature.order or values.nunique() <= MOST_VALUES:
            groupings.append(values[known].map(lambda value: f"{value:g}" if isinstance(value, float) else str(value)))
        counts = pd.concat([patients["label"].groupby(group).agg(["size", "sum"]) for group in groupings])
        for value, (size, n_of_positive) in zip(counts.index, counts.to_numpy(dtype=int), strict=True):
            if n_of_positive not in (0, size):
                continue
            side = bool(n_of_positive)
            chance = float(hypergeom.pmf(size, len(patients), sizes[side], size))
            if chance < CHANCE:
                stops = sizes[side] < USUAL_CLASS * len(patients)
                found.append(PureCategory(feature.name, str(value), int(size), side, chance, stops))
    return found


def check(rows: pd.DataFrame, features: Sequence[Feature], level: str, allowed: Sequence[str], where: str) -> list[str]:
    """Return a note on every column that nearly determines the label and is allowed.

    Raises:
        CohortError: there is one that is not allowed; names it.
    """
    telling = {
        name: [f"AUC {area:.2f} alone"] for name, area in separation(rows, features, level).items() if area >= AUC
    }
    for pure in pure_categories(rows, [feature for feature in features if feature.name not in telling]):
        if pure.stops:
            telling.setdefault(pure.column, []).append(pure.evidence)
    stopping = [name for name in telling if name not in allowed]
    if stopping:
        shown = "; ".join(f"{name!r} ({'; '.join(telling[name])})" for name in stopping)
        flags = " ".join(f"--allow-leaky-column {_quoted(name)}" for name in stopping)
        raise CohortError(
            f"{where}: a clinical column nearly determines the label: {shown}. Is it a result of the diagnosis? Leave"
            f" it out (--features with the others, or data.feature_kinds with 'skip'), or, if it is meant: {flags}."
            " Check A22 of the audit has the numbers"
        )
    return [
        f"The clinical column {name} {TELLING} ({'; '.join(evidence)}) and was allowed."
        for name, evidence in telling.items()
    ]


def _quoted(name: str) -> str:
    return f"'{name}'" if " " in name else name
