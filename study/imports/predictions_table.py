"""A table of predictions from anywhere, read and checked row by row (see `study.imports.imported_study`)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from scipy.special import expit

from mmbc.config import DataConfig
from mmbc.data import persons
from mmbc.data.cohort import Cohort, assemble
from mmbc.data.listing import Listing
from mmbc.data.readers import manifest
from mmbc.data.tables import identifiers, units
from mmbc.data.tables.columns import to_numbers
from mmbc.data.tables.text_table import normalise_name, read_table
from mmbc.errors import CohortError, StudyError, count, some
from study.design.study_file import BASELINE
from study.evaluation.doubts import CHECK
from study.imports.column_names import IMAGES
from study.imports.table_shape import ONE, OPTIONAL, PART_WORDS, ROLES, shape

OWN = (*ROLES, *OPTIONAL, "logit", "row", "outcome", "called")
"""Columns of a table of predictions that are no clinical ones."""
MOST_FOLDS = 50
"""Higher numbers are names of folds, years for example, and need not be consecutive."""
PER_PREDICTION = 0.5
"""Share of the images with several rows in which a column may differ and still describe the image."""


def read_predictions(
    path: Path,
    data: DataConfig,
    *,
    scale: str = "probability",
    models: Sequence[str] = (),
    needed: Sequence[str] = tuple(ROLES),
) -> tuple[pd.DataFrame, dict[str, str], list[str]]:
    """Return the table with its roles under their own names (typed), which column had which role, and notes.

    Args:
        path: the table.
        data: how tables are read.
        scale: of the scores (`study.imports.score_scale`).
        models: columns that hold the scores of a model each; empty to find out.
        needed: roles that must be filled.
    """
    told_by = [data.columns.get(key, key) for key in ("patient_id", "label")]
    table = read_table(path, sheet=data.sheet, missing=data.missing_values, needed=told_by, encoding=data.encoding)
    shaped = shape(path, table, data, scale=scale, models=models, needed=needed)
    roles, notes = shaped.roles, shaped.notes
    rows = shaped.rows.assign(row=shaped.rows.index)
    for key in OPTIONAL:
        if key not in rows:
            rows[key] = pd.Series(pd.NA, index=rows.index, dtype="str")
    rows["fold"], rows["arm"] = rows["fold"].fillna("0"), rows["arm"].fillna(ONE)
    rows["part"] = _parts(path, rows["part"], roles.get("part", "part"))
    rows["breast"] = manifest.breasts(path, rows["breast"], roles, rows.index)
    rows["called"] = rows["arm"]
    rows["arm"] = _arm_names(path, rows["arm"])
    for key in ("repeat", "seed"):
        if key in roles and rows[key].isna().any():
            raise CohortError(
                f"{path}: column {roles[key]!r} ({key}) is empty in rows {some(rows.loc[rows[key].isna(), 'row'])}"
            )
    kept = rows["part"] != "train"
    if not kept.any() or not (rows["part"] == "test").any():
        raise CohortError(f"{path}: no row is of the test part (column {roles.get('part')!r})")
    if (n_training := int((~kept).sum())) and "part" in roles:
        notes.append(
            f"{count(n_training, 'row')} of the training part (column {roles['part']!r})"
            f" {'was' if n_training == 1 else 'were'} left out."
        )
    rows, telling = _with_images(rows[kept], roles)
    return rows, roles, [*notes, *telling]


def _with_images(rows: pd.DataFrame, roles: dict[str, str]) -> tuple[pd.DataFrame, list[str]]:
    """Take a column of file names for the images' ids where nothing else tells a patient's rows apart."""
    keys = ["arm", "repeat", "fold", "seed", "part", "patient_id", "case_id", "breast", "view"]
    if "image_id" in roles or not rows.duplicated(keys).any():
        return rows, []
    filled = rows.columns[rows.notna().all()]
    names = [str(name) for name in filled if normalise_name(str(name)) in IMAGES]
    telling = [name for name in names if not rows.duplicated([*keys, name]).any()]
    if not telling:
        return rows, []
    roles["image_id"] = telling[0]
    return rows.assign(image_id=rows[telling[0]]).drop(columns=telling[0]), [
        f"Column {telling[0]!r} was taken as image_id: it tells a patient's rows apart."
    ]


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
    rows = rows.assign(image_id=image_ids(rows, roles), outcome=manifest.outcomes(rows["label"]))
    rows = rows.assign(status=manifest.statuses(rows["outcome"], rows["status"], roles["label"]))
    check_once(path, rows)
    others = [str(name) for name in rows if name not in OWN]
    asked = {*data.features, *data.feature_kinds}
    dropped = [name for name in others if name not in asked and _differs(rows, name)]
    others = [name for name in others if name not in dropped]
    _check_same(path, rows, ["patient_id", "outcome", "status", "site", *others])
    images = rows.drop_duplicates("image_id")
    clinical, measured = units.stripped(path, images[others], data)
    features, values, left_out = manifest.clinical_columns(path, clinical, images["patient_id"], data, ())
    values, blanks = persons.filled(values, features, images, data)
    keys = ["image_id", "patient_id", "case_id", "breast", "view", "status", "site", "outcome", "row"]
    listed = pd.concat([images[keys], values], axis=1).reset_index(drop=True)
    listing = Listing(
        name=manifest.cohort_name(path),
        images=listed.assign(path=""),
        features=features,
        positive=manifest.default_positive(listed["outcome"]),
        sides="given",
        left_out=(*left_out, *((name, "differs between the predictions of an image") for name in dropped)),
        notes=(
            *measured,
            *blanks,
            *identifiers.merge_notes(typed, rows["patient_id"]),
            *([_not_used(dropped)] if dropped else []),
        ),
    )
    listing = replace(listing, notes=(*listing.notes, *persons.doubts(listing)))
    cohort = assemble(listing, data, allow_leaky=allow_leaky)
    label = cohort.images.set_index("image_id")["label"]
    rows = rows[rows["image_id"].isin(label.index)]
    return cohort, rows.assign(label=rows["image_id"].map(label))


def image_ids(rows: pd.DataFrame, roles: Mapping[str, str]) -> pd.Series:
    """Return what identifies a row's image: its id, else patient, case, breast and view."""
    if "image_id" in roles:
        return rows["image_id"].where(rows["image_id"].notna(), rows["patient_id"])
    parts = [rows[key].fillna("") for key in ("breast", "view") if key in roles]
    named = rows["case_id"]
    for part in parts:
        named = named + "/" + part
    return named


def _differs(rows: pd.DataFrame, column: str) -> bool:
    """Whether a column describes predictions, not images: most images with several rows have several values."""
    groups = rows.groupby("image_id")[column]
    several = groups.size() > 1
    return bool(several.any()) and bool((groups.nunique(dropna=False)[several] > 1).mean() > PER_PREDICTION)


def _not_used(columns: Sequence[str]) -> str:
    names = some(map(repr, columns))
    return f"Columns not used, because they differ between the predictions of an image: {names}."


def check_once(path: Path, rows: pd.DataFrame) -> None:
    """Refuse two predictions of one thing: copies of a row, and rows that contradict each other."""
    keys = ["arm", "repeat", "fold", "seed", "part", "image_id"]
    repeated = rows[rows.duplicated(keys, keep=False)]
    if repeated.empty:
        return
    tell = "columns image_id, breast or view tell a patient's images apart, repeat and seed tell runs apart"
    copied = repeated[repeated.duplicated(list(repeated.columns.drop("row")), keep=False)]
    differing = repeated[repeated.groupby(keys, dropna=False)["logit"].transform("nunique") > 1]
    shown = differing if len(differing) else repeated
    by_thing = shown.groupby(keys, sort=False, dropna=False)["row"]
    groups = list(dict.fromkeys(some(sorted(set(numbers)), 4) for _, numbers in by_thing))
    what = f"{shown['image_id'].iloc[0]}, arm {shown['arm'].iloc[0]}"
    if len(differing):
        _, first = next(iter(differing.groupby(keys, sort=False, dropna=False)))
        values = " and ".join(f"{value:.4g}" for value in expit(first["logit"].unique()[:3]))
        raise CohortError(
            f"{path}: rows {some(groups, 3)} predict the same thing with different values ({what} has the probabilities"
            f" {values}); {count(len(differing), 'row is', 'rows are')} concerned. Which is right? {tell}"
        )
    if len(copied) == len(repeated):
        raise CohortError(
            f"{path}: {copied['row'].nunique() - len(groups)} of {rows['row'].nunique()} rows are exact copies of"
            " others:"
            f" {some(f'rows {numbers}' for numbers in groups)}"
            f" ({what}, and so on). Delete the copies; if they are different images, {tell}"
        )
    raise CohortError(
        f"{path}: rows {some(groups, 3)} predict the same thing ({what}) with the same value, but differ in another"
        f" column; {count(len(repeated), 'row is', 'rows are')} concerned. {tell}"
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


def missing_folds(folds: pd.Series) -> list[str]:
    """Say which numbers of folds no row has, of whatever arm."""
    numbers = to_numbers(folds.drop_duplicates())
    if numbers.isna().any() or (numbers % 1 != 0).any() or not len(numbers):
        return []
    there = {int(number) for number in numbers}
    first = min(there) if len(there) == 1 else min(1, *there)
    absent = sorted({*range(first, max(there))} - there) if max(there) < MOST_FOLDS else []
    if not absent:
        return []
    return [
        f"{CHECK}folds {some(sorted(there), 20)} are there, but no arm has a row of fold {some(absent)}; are"
        " predictions missing? Whoever was tested there is not in this report."
    ]


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
    patients = {str(arm): set(of_arm["patient_id"]) for arm, of_arm in rows.groupby("arm", sort=False)}
    for arm, tested in sets.items():
        if patients[arm] != patients[reference]:
            alone = {a: sorted(patients[a] - patients[b]) for a, b in ((reference, arm), (arm, reference))}
            shown = "; ".join(f"{len(who)} in {a} alone: {some(who, 5)}" for a, who in alone.items() if who)
            raise StudyError(
                f"arms {reference} and {arm} have different patients ({len(patients[reference])} and"
                f" {len(patients[arm])}; {shown}). Arms are compared in pairs: give every arm the same patients, or"
                " report each arm from a table of its own"
            )
        differing = sets[reference] ^ tested
        if differing:
            shown = some(map(named, sorted(differing)), 3)
            raise StudyError(
                f"arms {reference} and {arm} were not predicted for the same rows; {len(differing)} have no pair:"
                f" {shown}. Arms are compared in pairs: give every arm the same rows"
            )
