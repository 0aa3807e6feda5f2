"""A table of predictions from anywhere, read and checked row by row (see `study.imports.imported_study`)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from mmbc.config import DataConfig
from mmbc.data import persons
from mmbc.data.cohort import Cohort, assemble
from mmbc.data.listing import Listing
from mmbc.data.readers import manifest
from mmbc.data.tables import identifiers
from mmbc.data.tables.columns import to_numbers
from mmbc.data.tables.text_table import assign_roles, read_table
from mmbc.errors import CohortError, StudyError, some
from study.design.study_file import BASELINE

NEEDED = ("patient_id", "label", "fold", "arm", "prob")
OPTIONAL = ("repeat", "seed", "part", "image_id", "case_id", "breast", "view", "status", "site")
PART_WORDS = {"test": "test", "validation": "validation", "val": "validation", "valid": "validation", "train": "train"}


def read_predictions(path: Path, data: DataConfig) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the table with its roles under their own names (typed), and which column had which role."""
    told_by = [data.columns.get(key, key) for key in ("patient_id", "label")]
    table = read_table(path, sheet=data.sheet, missing=data.missing_values, needed=told_by)
    roles = assign_roles(path, list(table.columns), NEEDED, OPTIONAL, data.columns)
    manifest.check_filled(path, {key: table[roles[key]] for key in NEEDED}, roles)
    others = table.drop(columns=list(roles.values()))
    taken = [name for name in others if name in (*NEEDED, *OPTIONAL)]
    if taken:
        raise CohortError(
            f"{path}: columns {some(taken)} have the names of roles that other columns were given; rename them"
        )
    rows = table[list(roles.values())].set_axis(list(roles), axis=1)
    for key in OPTIONAL:
        if key not in roles:
            rows[key] = pd.Series(pd.NA, index=rows.index, dtype="str")
    rows["prob"] = _probabilities(path, rows["prob"], roles["prob"])
    rows["part"] = _parts(path, rows["part"], roles.get("part", "part"))
    rows["breast"] = manifest.breasts(path, rows["breast"], roles, rows.index)
    rows["called"] = rows["arm"]
    rows["arm"] = _arm_names(path, rows["arm"])
    rows["row"] = rows.index
    for key in ("repeat", "seed"):
        if key in roles and rows[key].isna().any():
            raise CohortError(
                f"{path}: column {roles[key]!r} ({key}) is empty in rows {some(rows.index[rows[key].isna()])}"
            )
    kept = rows["part"] != "train"
    if not kept.any() or not (rows["part"] == "test").any():
        raise CohortError(f"{path}: no row is of the test part (column {roles.get('part')!r})")
    return pd.concat([rows, others], axis=1)[kept], roles


def _probabilities(path: Path, values: pd.Series, column: str) -> pd.Series:
    numbers = to_numbers(values)
    bad = values[numbers.isna() | (numbers < 0) | (numbers > 1)]
    if len(bad):
        shown = some((f"row {row}: {value!r}" for row, value in bad.items()), 5)
        raise CohortError(
            f"{path}: column {column!r} (prob) must hold probabilities of the positive class between 0 and 1;"
            f" {len(bad)} rows do not: {shown}. Scores on another scale become probabilities by 1 / (1 + exp(-score))"
        )
    return numbers.astype(float)


def _parts(path: Path, values: pd.Series, column: str) -> pd.Series:
    parts = values.fillna("test").str.lower().map(PART_WORDS)
    bad = values[parts.isna()]
    if len(bad):
        raise CohortError(
            f"{path}: column {column!r} (part) is test, validation or train: {some(map(repr, bad.unique()))}"
        )
    return parts


def arm_name(name: str) -> str:
    """Return an arm's name in letters, digits, `-` and `_`, as file names and macros need it."""
    return re.sub(r"-{2,}", "-", re.sub(r"[^\w-]+", "-", re.sub(r"\s*\+\s*", "_plus_", name))).strip("-_") or "arm"


def _arm_names(path: Path, values: pd.Series) -> pd.Series:
    """Return arm names fit for files and macros; two never become one, and none takes the baseline's."""
    names = {name: arm_name(name) for name in values.unique()}
    if len(set(names.values())) < len(names):
        raise CohortError(f"{path}: arms {some(names)} cannot be told apart by letters and digits; rename them")
    if BASELINE in names.values():
        raise CohortError(
            f"{path}: the arm name {BASELINE!r} is that of the baseline this program fits on the clinical columns;"
            " rename the arm"
        )
    return values.map(names)


def cohort_of(
    path: Path, rows: pd.DataFrame, roles: Mapping[str, str], data: DataConfig, allow_leaky: Sequence[str]
) -> tuple[Cohort, pd.DataFrame]:
    """Return the cohort of all images predicted, and the rows of the classes that are compared, with their labels."""
    typed = rows["patient_id"]
    if data.spellings == "merge":
        rows = rows.assign(patient_id=identifiers.joined(typed))
    examinations = rows["case_id"].fillna("") if "case_id" in roles else None
    rows = rows.assign(case_id=manifest.cases(rows["patient_id"], examinations, data))
    identifiers.check(str(path), rows, data)
    rows = rows.assign(image_id=_image_ids(rows, roles), outcome=manifest.outcomes(rows["label"]))
    rows = rows.assign(status=manifest.statuses(rows["outcome"], rows["status"], roles["label"]))
    _check_once(path, rows)
    others = [str(name) for name in rows if name not in (*NEEDED, *OPTIONAL, "row", "outcome", "called")]
    _check_same(path, rows, ["patient_id", "outcome", "status", "site", *others])
    images = rows.drop_duplicates("image_id")
    features, values, left_out = manifest.clinical_columns(path, images[others], images["patient_id"], data, ())
    values, blanks = persons.filled(values, features, images)
    keys = ["image_id", "patient_id", "case_id", "breast", "view", "status", "site", "outcome", "row"]
    listed = pd.concat([images[keys], values], axis=1).reset_index(drop=True)
    listing = Listing(
        name=manifest.cohort_name(path),
        images=listed.assign(path=""),
        features=features,
        positive=manifest.default_positive(listed["outcome"]),
        sides="given",
        left_out=left_out,
        notes=tuple(blanks + identifiers.merge_notes(typed, rows["patient_id"])),
    )
    listing = replace(listing, notes=(*listing.notes, *persons.doubts(listing)))
    cohort = assemble(listing, data, allow_leaky=allow_leaky)
    label = cohort.images.set_index("image_id")["label"]
    rows = rows[rows["image_id"].isin(label.index)]
    return cohort, rows.assign(label=rows["image_id"].map(label))


def _image_ids(rows: pd.DataFrame, roles: Mapping[str, str]) -> pd.Series:
    """Return what identifies a row's image: its id, else patient, case, breast and view."""
    if "image_id" in roles:
        return rows["image_id"].where(rows["image_id"].notna(), rows["patient_id"])
    parts = [rows[key].fillna("") for key in ("breast", "view") if key in roles]
    named = rows["case_id"]
    for part in parts:
        named = named + "/" + part
    return named


def _check_once(path: Path, rows: pd.DataFrame) -> None:
    repeated = rows[rows.duplicated(["arm", "repeat", "fold", "seed", "part", "image_id"], keep=False)]
    if len(repeated):
        first = repeated[repeated["image_id"] == repeated["image_id"].iloc[0]]
        raise CohortError(
            f"{path}: rows {some(first['row'], 4)} predict the same thing ({repeated['image_id'].iloc[0]}, arm"
            f" {repeated['arm'].iloc[0]}) in the same fold, {len(repeated)} rows are concerned; columns image_id,"
            " breast or view tell a patient's images apart, repeat and seed tell runs apart"
        )


def _check_same(path: Path, rows: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse an image whose facts differ between rows."""
    for column in columns:
        n_values = rows.groupby("image_id")[column].nunique(dropna=False)
        bad = n_values.index[n_values > 1]
        if len(bad):
            of_image = rows[rows["image_id"] == bad[0]].drop_duplicates(column)
            shown = ", ".join(f"{value!r} in row {row}" for value, row in of_image[[column, "row"]].to_numpy()[:2])
            raise CohortError(
                f"{path}: column {'label' if column == 'outcome' else column!r} differs between rows of the same image"
                f" or patient: {bad[0]} has {shown}; {len(bad)} are concerned"
            )


def number_runs(rows: pd.DataFrame) -> dict[int, str]:
    """Number folds, repeats and seeds from 0 in place, and return the folds' names where they are no such numbers."""
    names: dict[int, str] = {}
    for key in ("repeat", "seed", "fold"):
        values = rows[key].fillna("0").astype(str)
        numbers = to_numbers(values)
        order = sorted(
            values.unique(),
            key=lambda value: (
                (float(numbers[values == value].iloc[0]), value) if numbers.notna().all() else (0.0, value)
            ),
        )
        number = {value: place for place, value in enumerate(order)}
        rows[key] = values.map(number).astype(int)
        if key == "fold" and not numbers.notna().all():
            names = {place: value for value, place in number.items()}
    return names


def check_pairs(rows: pd.DataFrame, fold_names: Mapping[int, str]) -> None:
    """Refuse arms that were not tested on the same images in the same runs."""
    keys = ["repeat", "seed", "fold", "part", "image_id"]

    def named(row: tuple[object, ...]) -> str:
        repeat, seed, fold, part, image = row
        return f"{image} (repeat {repeat}, seed {seed}, fold {fold_names.get(fold, fold)}, {part})"  # type: ignore[call-overload]

    sets = {
        str(arm): set(map(tuple, of_arm[keys].to_numpy().tolist())) for arm, of_arm in rows.groupby("arm", sort=False)
    }
    reference = next(iter(sets))
    for arm, tested in sets.items():
        differing = sets[reference] ^ tested
        if differing:
            shown = some(map(named, sorted(differing)), 3)
            raise StudyError(
                f"arms {reference} and {arm} were not predicted for the same rows; {len(differing)} have no pair:"
                f" {shown}. Arms are compared in pairs: give every arm the same rows"
            )
