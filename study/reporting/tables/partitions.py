"""Table of the patients of each part: test folds, or training, validation and test part (TRIPOD+AI 20b and 20c)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mmbc.data.splits import n_with_several_values, patient_table, patient_values
from study.records.stored_study import StoredStudy
from study.reporting.facts.arm_names import codes, column_name
from study.reporting.tables.base import PaperTable, caption, empty_table
from study.reporting.tables.cohort import standardised_difference
from study.text.format import characteristic, plain, signed

PARTS = {"train": "Training", "validation": "Validation", "test": "Test"}
ALL = "All"

Groups = dict[str, pd.Series]
"""Name -> which of the patients are in it."""
Row = dict[str, Any]


def partitions_table(study: StoredStudy) -> PaperTable:
    """Patients of each part of the first repeat: counts, classes, clinical columns and sites."""
    images, features = study.cohort.images, study.cohort.features
    patients = patient_table(images).set_index("patient_id")
    groups, compared = _groups(study, patients.index)
    if len(groups) < 2:  # of a single test part nothing else is known
        return empty_table("partitions")
    groups = groups | {ALL: pd.Series(True, index=patients.index)}
    names = [*(feature.name for feature in features), "site"]
    values = patient_values(images, names)
    rows = _counts("Patients, n", groups, pd.Series(1, index=patients.index))
    rows += _shares("Positive, n (%)", groups, compared, patients["label"] == 1)
    if len(images) > len(patients):
        rows += _counts("Images, n", groups, patients["n_images"])
    statuses = sorted(patients["status"].dropna().unique())
    for status in statuses if len(statuses) > 2 else []:
        of_status = patients["status"] == status
        if not of_status.equals(patients["label"] == 1):  # the positives have a row of their own
            rows += _shares(f"{status}, n (%)", groups, compared, of_status)
    for feature in features:
        column = values[feature.name]
        name, short = column_name(study, feature.name)
        if feature.kind == "numeric":
            rows += _numbers(f"{name}, mean (SD)", groups, compared, column.astype(float))
        else:
            for value in feature.order or sorted(column.dropna().unique()):
                has = (column == value)[column.notna()]
                rows += _shares(f"{short} {plain(value)}, n (%)", groups, compared, has)
        rows += _counts(f"{short} missing, n", groups, column.isna().astype(int))
    for site in sorted(values["site"].dropna().unique()):
        rows += _shares(f"Site {site}, n (%)", groups, compared, values["site"].dropna() == site)
    columns = ["characteristic", "group", "n", "share", "mean", "sd", "standardised_difference"]
    data = pd.DataFrame(rows, columns=columns)
    by_fold = len(compared) > 1
    title = "Patients by test fold" if by_fold else "Patients by part"
    said = caption(
        "partitions",
        study,
        n=len(patients),
        by_fold=by_fold,
        n_several=n_with_several_values(images, names),
        codes=codes(study),
    )
    return PaperTable("partitions", title, said, data, _shown(data, list(groups), by_fold=by_fold))


def _groups(study: StoredStudy, patients: pd.Index) -> tuple[Groups, list[str]]:
    """Return the patients of each part, and the parts that are compared with all others."""
    first = study.folds.until(1)
    if study.folds.holdout:
        named = {PARTS[part]: ids for part, ids in first[0].split.parts().items() if ids}
        compared = [PARTS["test"]]
    else:
        named = {fold.name or f"Fold {fold.fold + 1}": fold.split.test for fold in first}
        compared = list(named)
    return {name: pd.Series(patients.isin(ids), index=patients) for name, ids in named.items()}, compared


def _counts(name: str, groups: Groups, counted: pd.Series) -> list[Row]:
    return [{"characteristic": name, "group": group, "n": int(counted[mask].sum())} for group, mask in groups.items()]


def _numbers(name: str, groups: Groups, compared: list[str], column: pd.Series) -> list[Row]:
    """Return mean and standard deviation of the known values."""
    apart = {
        group: standardised_difference(one.mean() - other.mean(), one.var(), other.var())
        for group, (one, other) in _against(groups, compared, column).items()
    }
    rows = []
    for group, mask in groups.items():
        known = column[mask].dropna()
        spread = {"mean": float(known.mean()), "sd": float(known.std())}
        rows.append({"characteristic": name, "group": group, "n": len(known), **spread})
    return _with_differences(rows, apart)


def _shares(name: str, groups: Groups, compared: list[str], has: pd.Series) -> list[Row]:
    """Return how many of the patients with a known value have a characteristic, and which share."""
    apart = {}
    for group, (one, other) in _against(groups, compared, has).items():
        p, q = float(one.mean()), float(other.mean())
        apart[group] = standardised_difference(p - q, p * (1 - p), q * (1 - q))
    inside = {group: has[mask.reindex(has.index)] for group, mask in groups.items()}
    rows = [
        {"characteristic": name, "group": group, "n": int(of.sum()), "share": float(of.mean())}
        for group, of in inside.items()
    ]
    return _with_differences(rows, apart)


def _against(groups: Groups, compared: list[str], column: pd.Series) -> dict[str, tuple[pd.Series, pd.Series]]:
    """Return the values of each compared part, and those of all other patients."""
    masks = {group: groups[group].reindex(column.index) for group in compared}
    return {group: (column[mask], column[~mask]) for group, mask in masks.items()}


def _with_differences(rows: list[Row], apart: Mapping[str, float]) -> list[Row]:
    return [row | {"standardised_difference": apart.get(row["group"], np.nan)} for row in rows]


def _shown(data: pd.DataFrame, groups: list[str], *, by_fold: bool) -> pd.DataFrame:
    last = "Largest standardised difference" if by_fold else "Standardised difference"
    lines = []
    for name, rows in data.groupby("characteristic", sort=False):
        cells = {row["group"]: _cell(row) for row in rows.to_dict("records")}
        known = rows["standardised_difference"].dropna()
        compared = rows[["share", "mean"]].notna().any(axis=None)
        largest = max(known.astype(float), key=abs, default=np.nan)
        lines.append({"": name, **cells, last: signed(largest) if compared else ""})
    return pd.DataFrame(lines, columns=["", *groups, last])


def _cell(row: Mapping[Any, Any]) -> str:
    return characteristic(row["n"], row["share"], row["mean"], row["sd"])
