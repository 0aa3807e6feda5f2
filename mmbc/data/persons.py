"""Values of one person over several rows: blanks that another row fills, and keys under which there may be two persons.

Merged cells and exports that print a value once leave it on one row of a patient. It is the value of the patient's
other rows too, as long as nothing contradicts it.
"""

from collections.abc import Sequence

import pandas as pd

from mmbc.config import DataConfig
from mmbc.data.listing import Listing
from mmbc.data.tables.columns import Feature
from mmbc.data.tables.unknown_values import is_age, setting
from mmbc.errors import count, some

YEARS_APART = 10
"""Ages of one patient further apart are hardly two examinations of one person."""
YEARS_IN_CASE = 1
"""Ages within one examination further apart are hardly a birthday between two images."""


def filled(
    values: pd.DataFrame, features: Sequence[Feature], rows: pd.DataFrame, data: DataConfig
) -> tuple[pd.DataFrame, list[str]]:
    """Return clinical values with blanks filled from the same case, and a note on each column with such blanks.

    A blank is filled where the other rows of its case (of its patient, if the table has no examinations) have one value
    alone. With labels per breast a column may be of one breast, as the size of a lesion is: from the other breast a
    blank is filled only if the column is the patient's (an age, one that the user names, or one that is the same in
    both breasts wherever both have it).

    Args:
        values: clinical columns, NA where blank.
        features: those of them that are features.
        rows: `patient_id`, `case_id` and, with labels per breast, `breast`, with the same index.
        data: `label_level` and `patient_columns` matter.
    """
    values, notes = values.copy(), []
    unit = "patient" if (rows["case_id"] == rows["patient_id"]).all() else "case"
    for name in (feature.name for feature in features):
        of_breast = data.label_level == "breast" and not _is_of_patient(name, values[name], rows, data)
        keys = rows["case_id"] + "/" + rows["breast"].fillna("") if of_breast else rows["case_id"]
        column, cases = values[name], values[name].groupby(keys)
        fits = column.isna() & (cases.transform("nunique") == 1)
        stays = column.isna() & ~fits & column.notna().groupby(rows["patient_id"]).transform("any")
        values[name] = column.mask(fits, cases.transform("first"))
        if fits.any():
            notes.append(
                f"{name}: blank in {count(int(fits.sum()), 'row')} of"
                f" {count(keys[fits].nunique(), 'breast' if of_breast else unit)} with one value on the other rows; the"
                " blanks were filled with it."
            )
        if stays.any():
            whose = "another examination or of the other breast" if of_breast else "another examination"
            option = setting("patient_columns", [*data.patient_columns, name])
            way = f" If it is the patient's, not one breast's, {option} fills them."
            notes.append(
                f"{name}: blank in {count(int(stays.sum()), 'row')} of"
                f" {count(rows.loc[stays, 'patient_id'].nunique(), 'patient')} with other values, or values of {whose};"
                f" these rows stay without it.{way * of_breast}"
            )
    return values, notes


def _is_of_patient(name: str, values: pd.Series, rows: pd.DataFrame, data: DataConfig) -> bool:
    """Whether a clinical column describes the patient, not one breast."""
    if name in data.patient_columns or is_age(name):
        return True
    known = rows[["case_id", "breast"]].assign(value=values).dropna().groupby("case_id")
    both = known["breast"].nunique() > 1
    return bool(both.any()) and bool((known["value"].nunique()[both] == 1).all())


def doubts(listing: Listing) -> list[str]:
    """Return sentences on patient keys that may stand for two persons.

    Ages more than `YEARS_APART` years apart, or more than `YEARS_IN_CASE` within one examination; and two sites with
    different clinical values (or with none that could tell).
    """
    rows = listing.images
    names = dict.fromkeys([*(f.name for f in listing.features), *(name for name, _ in listing.left_out)])
    columns = [name for name in names if name in rows and name not in listing.aside]
    found = [sentence for name in columns if is_age(name) for sentence in _ages_apart(rows, name)]
    return [*found, *_several_sites(rows, columns)]


def _ages_apart(rows: pd.DataFrame, name: str) -> list[str]:
    ages = pd.to_numeric(rows[name], errors="coerce").astype("float64")
    apart = _range(ages, rows["patient_id"]) > YEARS_APART
    if (rows["case_id"] != rows["patient_id"]).any():
        apart |= _range(ages, rows["case_id"]) > YEARS_IN_CASE
    several = rows.assign(age=ages)[apart]
    if several.empty:
        return []
    shown = some((_with_ages(patient, own) for patient, own in several.groupby("patient_id", sort=False)), 5)
    n = several["patient_id"].nunique()
    return [
        f"{name}: {n} patient{'s have' if n > 1 else ' has'} ages too far apart for one person at one time: {shown}."
        " A misprint, or two persons under one key? Every row keeps its own."
    ]


def _range(values: pd.Series, groups: pd.Series) -> pd.Series:
    grouped = values.groupby(groups)
    return grouped.transform("max") - grouped.transform("min")


def _with_ages(patient: object, rows: pd.DataFrame) -> str:
    """Return `P00 has 77 (row 2) and 107 (row 3), 30 years apart`."""
    extremes = rows.loc[[rows["age"].idxmin(), rows["age"].idxmax()]]
    places = extremes["row"].map(lambda row: f" (row {row})") if "row" in extremes else [""] * 2
    words = [f"{age:g}{place}" for age, place in zip(extremes["age"], places, strict=True)]
    return f"{patient} has {' and '.join(words)}, {extremes['age'].max() - extremes['age'].min():g} years apart"


def _several_sites(rows: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    patients = rows.groupby("patient_id", sort=False)
    elsewhere = patients["site"].nunique() > 1
    differing = patients[list(columns)].nunique() > 1
    doubtful = elsewhere & differing.any(axis=1) if columns else elsewhere
    keys = doubtful.index[doubtful]
    if keys.empty:
        return []
    which = [name for name in columns if differing.loc[keys, name].any()]
    what = f"with different clinical values ({some(which, 5)})" if columns else "without clinical values to compare"
    n = f"{len(keys)} keys occur" if len(keys) > 1 else "1 key occurs"
    return [f"{n} at several sites {what}: {some(keys, 8)}: one person, or two?"]
