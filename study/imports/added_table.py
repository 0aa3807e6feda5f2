"""A table of predictions matched to a study that was trained here, to be shown beside its arms.

Patients, folds and labels are the study's; the table's are compared with them. Where the table names the study's
images, each row is one of them; else rows are matched by patient (and breast, where the label belongs to it).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath

import pandas as pd

from mmbc.config import DataConfig
from mmbc.data.readers import manifest
from mmbc.data.tables import identifiers
from mmbc.data.tables.text_table import read_table
from mmbc.errors import CohortError, SplitError, StudyError, some
from mmbc.files import file_digest
from study.design.study_file import BASELINE, data_settings
from study.imports.placement import place
from study.imports.predictions_table import arm_name, check_once, image_ids, number_runs, read_predictions
from study.imports.score_scale import SCALES
from study.imports.table_shape import NO_FOLDS, ONE
from study.records.added_predictions import ADDED_COLUMNS, UNVERIFIED, Added, AddedFacts
from study.records.cell_records import CELL_COLUMNS
from study.records.stored_study import StoredStudy
from study.text.format import count

FACTS = ["patient_id", "case_id", "breast", "view", "status", "site", "label"]
"""Columns that a row has from the study."""
NOT_CLINICAL = "Columns not used: "
"""Beginning of the note on columns of the table without a role; clinical columns are the study's."""
IMAGE_FILE = re.compile(r"\.(png|jpe?g|tiff?|dcm|dicom|bmp|pgm|npy|npz|nii(\.gz)?)$", re.IGNORECASE)
"""Ending of a file of an image."""


@dataclass(frozen=True)
class Addition:
    """Request to add a table of predictions to a study.

    Attributes:
        path: the table.
        config: a study file whose section data says how the table is read, or None.
        assignments: `key=value` texts.
        scale: what the scores are: probability, percent or logit.
        models: columns that hold the scores of a model each; empty to find out.
    """

    path: Path
    config: Path | None = None
    assignments: Sequence[str] = ()
    scale: str = SCALES[0]
    models: Sequence[str] = ()


def add_predictions(study: StoredStudy, request: Addition) -> StoredStudy:
    """Return the study with a table of predictions beside its arms, in place of one that was there.

    Raises:
        CohortError: cells that cannot be used; patients, images or labels that are not the study's.
        SplitError: folds that divide the patients otherwise than the study.
        StudyError: a study of predictions, or one without a finished arm.
    """
    path = request.path
    if study.imported:
        raise StudyError(
            f"{study.folder}: was made of a table of predictions itself; put all models into one table, --predictions"
        )
    if not study.arms:
        raise StudyError(f"{study.folder}: has no finished arm to add predictions to; the same command continues it")
    data = data_settings(request.config, request.assignments)
    positive = data.positive or study.settings.data.positive
    data = data.model_copy(update={"positive": positive})
    needed = ("patient_id", "prob")
    rows, roles, notes = read_predictions(path, data, scale=request.scale, models=request.models, needed=needed)
    notes = [note for note in notes if note != NO_FOLDS and not note.startswith(NOT_CLINICAL)]
    rows, renamed = _named(path, rows, roles, study)
    rows, joined = _known_patients(path, rows, study, data)
    rows = rows.assign(told_fold=rows["fold"])
    number_runs(rows)
    rows, placed = place(path, rows, roles, study.folds)
    rows, matched = _matched(path, rows, roles, study, data)
    check_once(path, rows)
    checked = (
        _check_labels(path, rows, roles, positive) if "label" in roles else _without_labels(path, data, rows, roles)
    )
    rows, absent = _complete(rows, study)
    notes += [*renamed, *joined, *placed, *matched, f"Labels: {checked}.", *absent]
    facts = AddedFacts(
        file=path.name,
        sha256=file_digest(path),
        n_rows=len(rows),
        arms=tuple(dict.fromkeys(rows["arm"])),
        notes=tuple(notes),
    )
    ordered = rows.sort_values([*CELL_COLUMNS, "part"], kind="stable").reset_index(drop=True)
    return replace(study, added=Added(facts, ordered[list(ADDED_COLUMNS)]))


def _without_labels(path: Path, data: DataConfig, rows: pd.DataFrame, roles: Mapping[str, str]) -> str:
    """Return whose labels count where no column is known as them; names columns that could be labels."""
    taken = {*roles.values(), *rows["called"]}
    unread = [
        str(name) for name in read_table(path, sheet=data.sheet, encoding=data.encoding).columns if name not in taken
    ]
    if not unread:
        return "the study's; the table has none"
    return (
        f"the study's; no column of the table is named as a label's. Columns not read:"
        f" {some(map(repr, unread), 10)}; if one has the labels, --columns label=NAME compares them"
    )


def _named(
    path: Path, rows: pd.DataFrame, roles: Mapping[str, str], study: StoredStudy
) -> tuple[pd.DataFrame, list[str]]:
    """Name a single model after the file, and none like an arm of the study."""
    if "arm" not in roles and set(rows["arm"]) == {ONE}:
        name = arm_name(path.stem)
        rows = rows.assign(arm=name, called=name)
    taken = {*study.settings.arms, BASELINE}
    names = {name: f"{name}-added" if name in taken else name for name in rows["arm"].unique()}
    rows = rows.assign(arm=rows["arm"].map(names))
    pairs = rows.drop_duplicates("arm")[["called", "arm"]].to_numpy().tolist()
    changed = [f"{called!r} is {arm}" for called, arm in pairs if called != arm]
    return rows, [f"Models are named as files and macros need it: {', '.join(changed)}."] if changed else []


def _known_patients(
    path: Path, rows: pd.DataFrame, study: StoredStudy, data: DataConfig
) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows under the study's keys of patients.

    Raises:
        CohortError: patients whom the study does not have, or has under another spelling.
    """
    known = set(study.cohort.images["patient_id"])
    forms = {identifiers.normal_form(key): key for key in sorted(known)}
    alike = rows["patient_id"].map(lambda key: key if key in known else forms.get(identifiers.normal_form(key), key))
    respelt = rows.assign(study_key=alike)[(alike != rows["patient_id"]) & alike.isin(known)]
    if len(respelt) and data.spellings == "stop":
        first = respelt.drop_duplicates("patient_id")
        shown = some(
            (
                f"{identifiers.shown(there)} (row {row}) is {identifiers.shown(here)}"
                for there, row, here in first[["patient_id", "row", "study_key"]].to_numpy().tolist()
            ),
            5,
        )
        raise CohortError(
            f"{path}: {count(len(first), 'patient')} are spelt otherwise in {study.name}: {shown}. If each is one"
            " person, say --merge-ids; or correct the table"
        )
    keys = alike if data.spellings == "merge" else rows["patient_id"]
    unknown = rows[~keys.isin(known)].drop_duplicates("patient_id")
    if len(unknown):
        n_all = rows["patient_id"].nunique()
        shown = some(
            f"{identifiers.shown(key)} (row {row})" for key, row in unknown[["patient_id", "row"]].to_numpy().tolist()
        )
        raise CohortError(
            f"{path}: {len(unknown)} of {count(n_all, 'patient')} are not in {study.name}: {shown}. Delete their rows;"
            f" or, if the table is of another cohort, report it by itself: --predictions {path}"
        )
    return rows.assign(patient_id=keys), identifiers.merge_notes(rows["patient_id"], keys)


def _matched(
    path: Path, rows: pd.DataFrame, roles: Mapping[str, str], study: StoredStudy, data: DataConfig
) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows with the study's facts and image ids, or with facts by patient or breast."""
    images = study.cohort.images
    if "image_id" in roles:
        ids = _study_images(path, rows, images)
        if ids is not None:
            facts = images.set_index("image_id")[FACTS].loc[ids].set_axis(rows.index)
            other = rows[facts["patient_id"] != rows["patient_id"]]
            if len(other):
                shown = some(f"row {row}: {image}" for row, image in other[["row", "image_id"]].to_numpy()[:5])
                raise CohortError(
                    f"{path}: {count(len(other), 'row gives', 'rows give')} an image another patient than the"
                    f" study: {shown}"
                )
            merged = rows.drop(columns=FACTS, errors="ignore").assign(image_id=ids.to_numpy())
            merged = pd.concat([merged, facts], axis=1).assign(told_label=rows.get("label"))
            return merged, [_images_absent(merged, images, study)]
    by_case = rows.assign(
        case_id=manifest.cases(rows["patient_id"], rows["case_id"].fillna("") if "case_id" in roles else None, data)
    )
    named = by_case.assign(image_id=image_ids(by_case, roles))
    breast = study.settings.unit == "breast"
    keys = ["patient_id", "breast"] if breast else ["patient_id"]
    if breast and named["breast"].isna().any():
        raise CohortError(
            f"{path}: the label belongs to the breast in {study.name}, so every row needs its breast (or an image_id of"
            f" the study); it is missing in rows {some(named.loc[named['breast'].isna(), 'row'])}"
        )
    if breast and "case_id" in roles and set(named["case_id"]) <= set(images["case_id"]):
        keys.append("case_id")
    units = images.sort_values("label", ascending=False, kind="stable").drop_duplicates([*keys, "case_id"])
    if breast and units.duplicated(keys).any():
        twice = some(units.loc[units.duplicated(keys), "patient_id"].unique(), 5)
        raise CohortError(
            f"{path}: patients with several cases in {study.name} ({twice}): the table needs the study's image_id, or"
            " its case_id"
        )
    units = units.drop_duplicates(keys)
    carried = ["status", "site", "label", *(["case_id"] if breast and "case_id" not in keys else [])]
    own = named.assign(told_label=named.get("label"))
    joined = own.drop(columns=carried, errors="ignore").merge(units[[*keys, *carried]], on=keys, how="left")
    lost = joined[joined["label"].isna()]
    if len(lost):
        shown = some(f"{patient} (row {row})" for patient, row in lost[["patient_id", "row"]].to_numpy())
        raise CohortError(f"{path}: breasts that {study.name} does not have: {shown}")
    joined["label"] = joined["label"].astype("int64")
    return joined, [f"Rows were matched by {' and '.join(key.removesuffix('_id') for key in keys)}."]


def _study_images(path: Path, rows: pd.DataFrame, images: pd.DataFrame) -> pd.Series | None:
    """Return the study's id of each row's image, found by id or by file name; None where no row has one.

    Raises:
        CohortError: some rows have one and others do not.
    """
    known = set(images["image_id"])
    names = images["image_id"].map(_bare)
    by_name = {} if names.duplicated().any() else dict(zip(names, images["image_id"], strict=True))

    def found(image: object) -> object:
        return image if image in known else by_name.get(_bare(image), pd.NA)

    ids = rows["image_id"].map(found)
    if ids.isna().all():
        return None
    if ids.isna().any():
        lost = rows[ids.isna()]
        shown = some(f"{image} (row {row})" for image, row in lost[["image_id", "row"]].to_numpy())
        raise CohortError(
            f"{path}: {len(lost)} of {len(rows)} rows are of images that the study does not have: {shown}. Delete these"
            " rows, or correct the names"
        )
    return ids


def _bare(image: object) -> str:
    """Return the name of an image without folders and the ending of its file."""
    return IMAGE_FILE.sub("", PureWindowsPath(str(image)).name)


def _images_absent(rows: pd.DataFrame, images: pd.DataFrame, study: StoredStudy) -> str:
    """Say how rows were matched, and how many images of the patients that are there have no row."""
    tested = images[images["patient_id"].isin(rows.loc[rows["part"] == "test", "patient_id"])]
    n_lacking = len(set(tested["image_id"]) - set(rows["image_id"]))
    lacking = (
        f" {count(n_lacking, 'image')} of these patients have no prediction; a {study.settings.unit}'s score is that"
        " of the images that have one."
        if n_lacking
        else ""
    )
    return f"Rows were matched by image.{lacking}"


def _check_labels(path: Path, rows: pd.DataFrame, roles: Mapping[str, str], positive: Sequence[str]) -> str:
    """Compare the table's labels with the study's, by patient; words that nobody declared are taken as they fall.

    Raises:
        CohortError: they differ.
    """
    told = manifest.outcomes(rows["told_label"])
    positives = {word for word in told.dropna().unique() if word in positive} or {*manifest.default_positive(told)}
    if not positives:
        share = rows["label"].groupby(told).mean()
        positives = set(share.index[share > 0.5])
    own = told.isin(positives).astype(int)
    keys = ["patient_id", "case_id", "breast"] if rows["breast"].notna().all() else ["patient_id"]
    by_unit = pd.DataFrame({"own": own, "label": rows["label"]}).groupby([rows[key] for key in keys]).max()
    differ = by_unit.index[by_unit["own"] != by_unit["label"]].get_level_values(0).unique()
    n_patients = rows["patient_id"].nunique()
    if len(differ):
        turned = " All of them: are the classes the other way round?" if len(differ) == n_patients else ""
        raise CohortError(
            f"{path}: column {roles['label']!r} (label) says something else than the study of {len(differ)} of"
            f" {count(n_patients, 'patient')}: {some(differ)}.{turned} Correct the table, or leave the column out; the"
            " study's labels count"
        )
    return f"those of the table (column {roles['label']!r}) are the study's"


def _complete(rows: pd.DataFrame, study: StoredStudy) -> tuple[pd.DataFrame, list[str]]:
    """Keep of every arm the patients who are tested in all of its repeats and seeds, and say who is missing.

    Raises:
        SplitError: nobody is left, or no fold has both classes.
    """
    kept, notes = [], []
    for arm, of_arm in rows.groupby("arm", sort=False):
        tested = of_arm[of_arm["part"] == "test"]
        runs = tested.drop_duplicates(["repeat", "seed", "patient_id"]).groupby("patient_id").size()
        n_runs = len(tested[["repeat", "seed"]].drop_duplicates())
        there = set(runs.index[runs == n_runs])
        everybody = {patient for fold in study.folds.folds for patient in fold.test}
        missing = sorted(everybody - there)
        if missing:
            what = "prediction" if n_runs == 1 else "prediction in every repeat and seed"
            notes.append(
                f"{arm}: {len(missing)} of the study's {count(len(everybody), 'tested patient')} have no {what}"
                f" ({some(missing)}); it is shown, and compared, on the other {len(there)}."
            )
        of_arm = of_arm[(of_arm["part"] != "test") | of_arm["patient_id"].isin(there)]
        parts = of_arm[of_arm["part"] == "test"].groupby(["repeat", "seed", "fold"])["label"].nunique()
        if not (parts == 2).any():
            raise SplitError(
                f"{arm} ({UNVERIFIED}): no test part of the study has predictions of both classes, so no AUC exists"
            )
        kept.append(of_arm)
    return pd.concat(kept, ignore_index=True), notes
