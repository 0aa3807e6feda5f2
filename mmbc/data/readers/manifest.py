"""The manifest, a table of one's own cohort: one row per image (CSV, TSV, Excel, Parquet) with clinical columns.

It needs `image`, `patient_id` and `label`; `case_id`, `breast`, `view`, `status` and `site` are used where they exist.
Every other column that qualifies is a clinical feature.
"""

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from mmbc.config import DataConfig
from mmbc.data import image_paths, persons
from mmbc.data.listing import KEYS, Listing
from mmbc.data.tables import identifiers, units
from mmbc.data.tables.columns import (
    ColumnContent,
    Feature,
    MixedError,
    convert_column,
    find_bookkeeping,
    has_decimal_commas,
    normalise_name,
    recognise_column,
    to_numbers,
)
from mmbc.data.tables.text_table import SUFFIXES, assign_roles, read_table
from mmbc.errors import CohortError, count, nearest, some

NEEDED = ("image", "patient_id", "label")
OPTIONAL = ("case_id", "breast", "view", "status", "site")
LEFT = ("l", "left", "links", "gauche", "izquierda", "esquerda", "sinistra")
RIGHT = ("r", "right", "rechts", "droite", "derecha", "direita", "destra")
BREASTS = {**dict.fromkeys(LEFT, "L"), **dict.fromkeys(RIGHT, "R")}
RESERVED = (*KEYS, "label", "outcome", "path", "row", "part", "annotated", "pathology", "pixel_digest")
"""Names of columns that a cohort adds itself, which a clinical column cannot have."""

VARYING = 0.5
"""Share of the patients with several images in whom a column may differ and still describe the patient."""

OWN_PATIENTS = "Each image counts as a patient of its own"
"""Beginning of the note on cohorts without patients; a report repeats it among the limitations."""

GENERIC = frozenset(
    {
        "table", "tables", "data", "dataset", "images", "labels", "cohort", "metadata", "list", "index", "export",
        "clinical", "predictions", "preds", "results", "scores", "oof", "train", "test", "patients", "cases", "tabelle",
        "daten",
    }
)  # fmt: skip
"""Names of files, in lower case, that say nothing about the cohort."""

TRUE, FALSE = ("1", "true"), ("0", "false")
"""Labels that need no `--positive`."""


def recognise(path: Path) -> bool:
    """Whether the path is a table, or a folder with one file named `manifest`."""
    return (path.is_file() and path.suffix.lower() in SUFFIXES) or len(_within(path)) == 1


def _within(folder: Path) -> list[Path]:
    return [folder / f"manifest{suffix}" for suffix in SUFFIXES if (folder / f"manifest{suffix}").is_file()]


def read(path: Path, data: DataConfig, aside: tuple[str, ...] = ()) -> Listing:
    """Read a manifest.

    Args:
        path: the table, or a folder with one file named `manifest`.
        data: `columns`, `features`, `feature_kinds`, `missing_values`, `image_root` and `sheet` matter.
        aside: columns that decide on splits: kept, but no features unless asked for.

    Raises:
        CohortError: names the file, and the column and row of every cell that cannot be used.
    """
    if path.is_dir():
        tables = _within(path)
        if len(tables) != 1:
            raise CohortError(
                f"{path}: needs one file manifest.csv (or {', '.join(SUFFIXES[1:])}); found {len(tables)}"
            )
        path = tables[0]
    needed = [data.columns.get(key, key) for key in NEEDED]
    table = read_table(path, sheet=data.sheet, missing=data.missing_values, needed=needed, encoding=data.encoding)
    roles = _roles(path, list(table.columns), data.columns)
    given = {key: table[column] for key, column in roles.items()}
    check_filled(path, {key: given[key] for key in NEEDED}, roles)
    identifiers.check_written(path, {roles[key]: given[key] for key in ("patient_id", "case_id") if key in given})
    for key in {"label", "status"} & set(given):
        given[key] = given[key].str.normalize("NFC")
    typed = given["patient_id"]
    if data.spellings == "merge":
        given["patient_id"] = identifiers.joined(typed)
    images = pd.DataFrame(index=table.index)
    places = image_paths.places(path, given["image"], data.image_root)
    image_paths.check_masks(path, places, table.index)
    images["image_id"] = image_paths.names(places, path.parent)
    images["patient_id"] = given["patient_id"]
    images["case_id"] = cases(given["patient_id"], given.get("case_id"), data)
    images["breast"] = breasts(path, given.get("breast"), roles, table.index)
    nothing = pd.Series(pd.NA, index=table.index, dtype="str")
    images["view"] = given["view"].str.upper() if "view" in given else nothing
    images["outcome"] = outcomes(given["label"])
    images["status"] = statuses(images["outcome"], given.get("status"), roles["label"])
    images["site"] = given.get("site", nothing)
    images["path"] = pd.Series(places, index=table.index, dtype=object)
    images["row"] = table.index
    others = [column for column in table.columns if column not in roles.values()]
    kept = [column for column in others if column in aside]
    clinical, measured = units.stripped(path, table[others], data)
    features, values, left_out = clinical_columns(path, clinical, given["patient_id"], data, tuple(kept))
    values, blanks = persons.filled(values, features, images, data)
    # a column that has a role may be named by its own name too: --folds column:Hospital
    for name in set(aside) & set(roles.values()) - set(RESERVED) - set(values.columns):
        values[name] = _typed(table[name])
    images = pd.concat([images, values], axis=1).reset_index(drop=True)
    notes = [*_notes(given, roles, images), *measured, *blanks, *identifiers.merge_notes(typed, given["patient_id"])]
    listing = Listing(
        name=cohort_name(path),
        images=images,
        features=features,
        positive=default_positive(images["outcome"]),
        sides="given",
        aside=tuple(name for name in aside if name in images.columns),
        left_out=left_out,
        side_option="" if "breast" in roles else _side_option(table[others], data.columns),
        extent=table.attrs["extent"],
        image_base=image_paths.base(path, data.image_root),
    )
    return replace(listing, notes=(*notes, *persons.doubts(listing)))


def _roles(path: Path, columns: list[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """Return role -> column; the column of images may be that of patients too, where the user says so.

    Raises:
        CohortError: see `mmbc.data.tables.text_table.assign_roles`; without a patient's column it names the way on for
            cohorts in which every image is of another patient.
    """
    images = mapping.get("image") or next((name for name in columns if normalise_name(name) == "image"), "")
    if images and mapping.get("patient_id") == images:
        mapping = {"image": images, **mapping}
    elif images and "patient_id" not in mapping and "patient_id" not in map(normalise_name, columns):
        own = columns_option({**mapping, "patient_id": images})
        raise CohortError(
            f"{path}: no column 'patient_id'; patients are never split between training and test, so who each image is"
            f" of has to be known. Say which column it is: {columns_option({**mapping, 'patient_id': 'NAME'})}; or, if"
            f" every image is of another patient: {own}. Columns found: {some(columns, 30)}"
        )
    return assign_roles(path, columns, NEEDED, OPTIONAL, mapping)


def cases(patients: pd.Series, examinations: pd.Series | None, data: DataConfig) -> pd.Series:
    """Return the cases' keys: patient and examination, else the patient; spellings joined where that is asked for."""
    keys = patients if examinations is None else patients + "/" + examinations
    return identifiers.joined(keys, patients=False) if data.spellings == "merge" else keys


def cohort_name(path: Path) -> str:
    """Return the cohort's name: the file's; with its folder's in front where many files are called so.

    A file that is just called manifest has that of its folder alone.
    """
    stem, folder = path.stem, path.resolve().parent.name
    if stem.lower() == "manifest":
        stem = folder
    elif stem.lower() in GENERIC and folder:
        stem = f"{folder}-{stem}"
    return re.sub(r"[^\w.-]+", "-", stem).strip("-.") or "cohort"


def check_filled(path: Path, needed: dict[str, pd.Series], roles: dict[str, str]) -> None:
    """Refuse empty cells in needed columns.

    Raises:
        CohortError: there are some; names the columns and rows.
    """
    problems = [
        f"column {roles[key]!r} ({key}) is empty in rows {some(values.index[values.isna()])}"
        for key, values in needed.items()
        if values.isna().any()
    ]
    if problems:
        raise CohortError(
            f"{path}: {'; '.join(problems)}. A value counts for its own row alone: fill these cells, or delete the rows"
        )


def breasts(path: Path, values: pd.Series | None, roles: dict[str, str], index: pd.Index) -> pd.Series:
    """Return L, R or NA for left, right or an empty cell.

    Raises:
        CohortError: any other value; names the rows.
    """
    if values is None:
        return pd.Series(pd.NA, index=index, dtype="str")
    sides = values.str.lower().map(BREASTS)
    wrong = values[values.notna() & sides.isna()]
    if len(wrong):
        shown = some(f"row {row}: {value!r}" for row, value in wrong.items())
        raise CohortError(
            f"{path}: column {roles['breast']!r} (breast) must be L, R, left or right: {shown}; write L or R there"
        )
    return sides.astype("str")


def _side_option(table: pd.DataFrame, columns: Mapping[str, str]) -> str:
    """Return the option that makes a column of left and right the breast; '' where there is no such column."""
    for name in table.columns:
        words = set(table[name].dropna().str.lower())
        if words and words <= set(BREASTS) and len({BREASTS[word] for word in words}) == 2:
            return columns_option({**columns, "breast": str(name)})
    return ""


def columns_option(columns: Mapping[str, str]) -> str:
    """Return roles and their columns as the option of a command."""
    return f"--columns {shlex.quote(','.join(f'{role}={name}' for role, name in columns.items()))}"


def outcomes(labels: pd.Series) -> pd.Series:
    """Return labels as text; 1.0 and 1 are one label."""
    values = to_numbers(labels)
    return values.map(lambda value: f"{value:g}").astype("str") if values.notna().all() else labels


def statuses(outcome: pd.Series, status: pd.Series | None, column: str) -> pd.Series:
    """Return the original classes: the status column, else the label in words."""
    words = outcome.map(lambda value: f"{column} {value}" if _is_number(value) else value).astype("str")
    return words if status is None else status.where(status.notna(), words)


def _is_number(value: str) -> bool:
    return bool(re.fullmatch(r"[+-]?[\d.]+", value))


def default_positive(outcome: pd.Series) -> tuple[str, ...]:
    """Return the positive label where it is obvious: labels 0 and 1, or false and true; else none."""
    labels = {value.lower(): value for value in outcome.unique()}
    known = set(labels) <= {*TRUE, *FALSE}
    return tuple(labels[value] for value in TRUE if value in labels) if known else ()


def clinical_columns(
    path: Path, table: pd.DataFrame, patients: pd.Series, data: DataConfig, aside: tuple[str, ...]
) -> tuple[tuple[Feature, ...], pd.DataFrame, tuple[tuple[str, str], ...]]:
    """Choose the clinical columns of a table.

    Args:
        path: the table, for messages.
        table: its columns without a role, as text.
        patients: patient of every row.
        data: `features` and `feature_kinds`.
        aside: columns that decide on splits: kept, but no features unless asked for.

    Returns:
        The features; the values of features and of columns set aside; and (column, reason) for those left out.

    Raises:
        CohortError: a column that does not exist, that mixes numbers and words, or whose name is taken.
    """
    names = list(table.columns)
    for name in (*data.features, *data.feature_kinds, *data.patient_columns):
        if name not in names:
            raise CohortError(f"{path}: no clinical column {name!r}; {nearest(name, names)}")
    comma_table = any(has_decimal_commas(table[name]) for name in names)
    numbers_of = partial(to_numbers, decimal_mark=data.decimal_mark, comma_table=comma_table)
    features: list[Feature] = []
    values: dict[str, pd.Series] = {}
    left_out: list[tuple[str, str]] = []
    problems: list[str] = []
    mixed: dict[str, pd.Series] = {}
    for name in names:
        kind, asked = data.feature_kinds.get(name), _is_asked(name, data)
        if name in aside:
            values[name] = _typed(table[name])
        if reason := _unwanted(name, table[name], data, aside):
            left_out.append((name, reason))
            continue
        try:
            column = _recognise(name, table[name], patients, kind, asked, numbers_of)
        except MixedError as error:
            problems.append(f"{error}")
            mixed[name] = table[name]
            continue
        if column.kind is None:
            left_out.append((name, column.reason))
            continue
        if name in RESERVED:
            problems.append(f"column {name!r} would be a feature, but the name is taken; rename the column")
        if not asked and _varies(table[name], patients):
            values.setdefault(name, column.content)  # no feature; the audit compares it
            left_out.append(
                (name, "differs between images of a patient; is it the breast, the view, or an image's own?")
            )
            continue
        values[name] = column.content
        features.append(Feature(name, column.kind, kind if isinstance(kind, tuple) else ()))
    if problems:
        ways = units.way_on(mixed, numbers_of, data)
        raise CohortError(
            f"{path}: {'; '.join(problems)}. {ways}Correct the cells, declare words that mean 'not known' (--set"
            " data.missing_values=...), give the column a kind (--set data.feature_kinds.NAME=categorical), or leave"
            " it out (=skip)"
        )
    return tuple(features), pd.DataFrame(values, index=table.index), tuple(left_out)


def _is_asked(name: str, data: DataConfig) -> bool:
    """Whether a column is named as a feature, or given a kind."""
    return name in data.features or data.feature_kinds.get(name, "skip") != "skip"


def _unwanted(name: str, values: pd.Series, data: DataConfig, aside: tuple[str, ...]) -> str:
    """Return why a column is left out whatever kind it has, or an empty text."""
    asked = _is_asked(name, data)
    if data.feature_kinds.get(name) == "skip" or ((name in aside or data.features) and not asked):
        return "decides on splits" if name in aside else "left out as asked"
    reason = "" if asked else find_bookkeeping(name, values)
    return f"{reason}; to take it all the same, name it in --features" if reason else ""


def _varies(values: pd.Series, patients: pd.Series) -> bool:
    """Whether a column describes images, not patients: most patients with several images have several values."""
    groups = values.groupby(patients)
    several = groups.size() > 1
    return bool(several.any()) and bool((groups.nunique()[several] > 1).mean() > VARYING)


def _recognise(
    name: str,
    values: pd.Series,
    patients: pd.Series,
    kind: object,
    asked: bool,
    numbers_of: Callable[[pd.Series], pd.Series],
) -> ColumnContent:
    """Return the content of a column, as recognised or as the kind that the user gives it."""
    if isinstance(kind, tuple):
        return ColumnContent(convert_column(name, values, kind), "ordinal")
    if kind in ("numeric", "ordinal", "categorical"):
        return ColumnContent(convert_column(name, values, str(kind), numbers_of), kind)
    content = recognise_column(name, values, patients, numbers_of)
    if asked and content.kind is None:
        raise MixedError(
            f"column {name!r} was asked for, but it is {content.reason}; to take it all the same, give it a kind "
            f"(--set data.feature_kinds.{name}=categorical)"
        )
    return content


def _typed(values: pd.Series) -> pd.Series:
    """Return a column that decides on splits as numbers if it holds no text, so that `year >= 2019` works."""
    as_numbers = to_numbers(values)
    return as_numbers if as_numbers.notna().sum() == values.notna().sum() else values


def _notes(given: dict[str, pd.Series], roles: dict[str, str], images: pd.DataFrame) -> list[str]:
    notes = []
    renamed = [f"{key} is {column!r}" for key, column in roles.items() if normalise_name(column) != key]
    if renamed:
        notes.append(f"Columns: {', '.join(renamed)}.")
    if roles["patient_id"] == roles["image"]:
        notes.append(f"{OWN_PATIENTS}, as asked: if two images are of one patient, they may lie in training and test.")
    if "breast" not in given:
        notes.append("No column names the breast: all images of a case are pooled like views of one.")
    elif images["breast"].isna().any():
        notes.append(
            f"The breast is not known in {count(int(images['breast'].isna().sum()), 'row')}; such rows are pooled"
            " as one."
        )
    return notes
