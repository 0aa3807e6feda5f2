"""Predictions of models trained anywhere, in any language, read as a study: the same checks, the same report.

One row per prediction, or one column per model. Needed are `patient_id, label, prob`; `fold, arm, repeat, seed, part,
image_id, case_id, breast, view, status, site` are used where they are, and every other column that qualifies is a
clinical feature. Without folds there is one test set. Without rows of `part` validation there is nothing to calibrate
on: probabilities are taken as given, and no threshold is chosen.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmbc.calibration import apply_platt
from mmbc.data.cohort import Cohort
from mmbc.data.readers import manifest
from mmbc.errors import ConfigError, LeakageError, SplitError, StudyError, some
from mmbc.files import file_digest
from study.design.folds import Fold, Folds
from study.design.study_file import BASELINE, Protocol, StudyFile, data_settings, load
from study.design.study_name import check_name, fitting
from study.evaluation.units import hard_arms
from study.imports.predictions_table import (
    arm_name,
    check_pairs,
    cohort_of,
    missing_folds,
    number_runs,
    read_predictions,
)
from study.imports.score_scale import SCALES
from study.records.cell_records import CELL_COLUMNS, PREDICTION_COLUMNS, CellRecord
from study.records.environment import Environment, Imported, describe
from study.records.stored_study import StoredStudy, load_study, planned_cells, write_archive
from study.records.study_folder import set_aside
from study.text.format import count
from study.text.notices import printable
from study.training.baseline import fit_baseline


@dataclass(frozen=True)
class Import:
    """Request to import a table of predictions.

    Attributes:
        path: the table.
        name: of the study; empty for the file's.
        out: folder of all studies.
        config: a study file laid over the defaults, or None.
        assignments: `key=value` texts.
        contrasts: pairs of arms, first minus second; empty for those of the study file, else see `default_contrasts`.
        allow_leaky: clinical columns that may nearly determine the label.
        command: what was typed.
        force: replace another table's study of the same name, which is kept aside.
        notice: a warning that every table and figure carries, for predictions that are no evidence.
        scale: what the scores are: probability, percent or logit.
        models: columns that hold the scores of a model each, in a table of one column a model; empty to find out.
    """

    path: Path
    name: str = ""
    out: Path = Path("results")
    config: Path | None = None
    assignments: Sequence[str] = ()
    contrasts: Sequence[tuple[str, str]] = ()
    allow_leaky: Sequence[str] = ()
    command: Sequence[str] = field(default_factory=list)
    notice: str = ""
    force: bool = False
    scale: str = SCALES[0]
    models: Sequence[str] = ()


def import_predictions(request: Import) -> StoredStudy:
    """Read a table of predictions, check it as a study is checked, and keep it as an archive below `out`.

    Raises:
        CohortError: cells that cannot be used, an image with two labels; names file, column and rows.
        LeakageError: a patient in two folds of a repeat, or in the validation and the test part of one fold.
        SplitError: a fold with one class, a patient never tested.
        StudyError: arms not tested on the same rows, or a folder that holds a study trained here.
    """
    check_name(request.name)
    data = data_settings(request.config, request.assignments)
    rows, roles, notes = read_predictions(request.path, data, scale=request.scale, models=request.models)
    cohort, rows = cohort_of(request.path, rows, roles, data, request.allow_leaky)
    notes += [*missing_folds(rows["fold"]), *_renaming_notes(rows)]
    cohort = replace(cohort, notice=printable(request.notice), notes=(*cohort.notes, *notes))
    fold_names = number_runs(rows)
    folds = _folds(rows, fold_names)
    arms = list(dict.fromkeys(rows["arm"]))
    check_pairs(rows, fold_names)
    predictions, records = _cells(rows, cohort)
    hard = hard_arms(predictions)
    baseline = bool(cohort.features) and folds.n_folds > 1
    if baseline and not _has_training(folds, cohort):
        baseline = False
        cohort = replace(cohort, notes=(*cohort.notes, NO_BASELINE))
    study = _settings(request, arms, folds, hard, n_seeds=int(rows["seed"].max()) + 1, baseline=baseline)
    if baseline:
        predictions, records = _with_baseline(predictions, records, folds, cohort)
    stored = StoredStudy(
        folder=request.out / (request.name or fitting(manifest.cohort_name(request.path))),
        settings=study,
        cohort=cohort,
        cohort_digest=cohort.digest,
        folds=folds,
        environment=_environment(request, roles, cohort, len(rows)),
        planned=tuple(name for name in planned_cells(study, folds) if name in records or BASELINE not in name),
        records=records,
        predictions=predictions,
        history=pd.DataFrame(),
    )
    return _keep(stored, force=request.force)


def _folds(rows: pd.DataFrame, names: Mapping[int, str]) -> Folds:
    """Return every split.

    Raises:
        LeakageError, SplitError: see `import_predictions`.
    """
    # a patient is positive if any row is, and the first line of a patient stands for the patient below
    rows = rows.sort_values("label", ascending=False, kind="stable")
    tested = rows[rows["part"] == "test"].drop_duplicates(["repeat", "fold", "patient_id"])
    n_folds = int(tested["fold"].max()) + 1
    everybody = set(rows["patient_id"])
    folds = []
    for repeat in map(int, sorted(tested["repeat"].unique())):
        of_repeat = tested[tested["repeat"] == repeat]
        _check_repeat(repeat, of_repeat, everybody if n_folds > 1 else set(of_repeat["patient_id"]), names)
        for fold in map(int, sorted(of_repeat["fold"].unique())):
            test = set(of_repeat.loc[of_repeat["fold"] == fold, "patient_id"])
            at = (rows["repeat"] == repeat) & (rows["fold"] == fold) & (rows["part"] == "validation")
            validation = set(rows.loc[at, "patient_id"])
            where = f"repeat {repeat}, fold {names.get(fold, fold)}"
            if test & validation:
                raise LeakageError(
                    f"{where}: patients in the validation and in the test part: {some(sorted(test & validation))}"
                )
            if validation and rows.loc[at].drop_duplicates("patient_id")["label"].nunique() < 2:
                raise SplitError(f"{where}: the validation part has one class; leave it out or make it larger")
            train = everybody - test - validation if n_folds > 1 else set()
            name = {"name": names[fold]} if fold in names else {}
            parts = {"train": sorted(train), "validation": sorted(validation), "test": sorted(test)}
            folds.append(Fold.model_validate({"repeat": repeat, "fold": fold, **name, **parts}))
    return Folds(
        kind="cross-validation" if n_folds > 1 else "holdout",
        n_folds=n_folds,
        repeats=int(tested["repeat"].max()) + 1,
        own=True,
        folds=tuple(folds),
    )


def _check_repeat(repeat: int, tested: pd.DataFrame, everybody: set[str], names: Mapping[int, str]) -> None:
    """Check that each patient is tested once in a repeat, and that each fold has both classes."""
    fold_names = tested["fold"].map(lambda fold: names.get(fold, str(fold)))
    twice = tested.assign(name=fold_names)[tested["patient_id"].duplicated(keep=False)]
    if len(twice):
        shown = some(
            f"{patient} (folds {some(of_patient['name'])})" for patient, of_patient in twice.groupby("patient_id")
        )
        raise LeakageError(
            f"repeat {repeat}: {count(twice['patient_id'].nunique(), 'patient is', 'patients are')} tested in"
            f" several folds: {shown}. A model"
            " that tested one image of a patient may have been trained on the patient's others; group the folds by"
            " patient and train again, or, if these are splits of their own, number them in a column 'repeat'"
        )
    never = sorted(everybody - set(tested["patient_id"]))
    if never:
        raise SplitError(
            f"repeat {repeat}: {count(len(never), 'patient is', 'patients are')} never tested: {some(never)}"
        )
    for name, labels in tested.groupby(fold_names)["label"]:
        if labels.nunique() < 2:
            raise SplitError(
                f"repeat {repeat}, fold {name}: {count(len(labels), 'patient')}, all with label {labels.iloc[0]}; no"
                " AUC exists there. Join folds, so that each has both classes"
            )


def _renaming_notes(rows: pd.DataFrame) -> list[str]:
    """Say which arms have another name here than in the table."""
    pairs = rows.drop_duplicates("arm")[["called", "arm"]].to_numpy().tolist()
    changed = [f"{called!r} is {arm}" for called, arm in pairs if called != arm]
    return [f"Arms are named as files and macros need it: {', '.join(changed)}."] if changed else []


def default_contrasts(arms: Sequence[str], *, baseline: bool = False) -> tuple[tuple[str, str], ...]:
    """Return the usual contrasts between the arms that are there; else every other arm minus the first one.

    Those with the baseline are among the usual ones where clinical columns make one.
    """
    if not any(set(pair) <= set(arms) for pair in Protocol().contrasts):
        return tuple((arm, arms[0]) for arm in arms[1:])
    known = {*arms, *([BASELINE] if baseline else [])}
    return tuple(pair for pair in Protocol().contrasts if set(pair) <= known)


def _settings(
    request: Import, arms: Sequence[str], folds: Folds, hard: Collection[str], *, n_seeds: int, baseline: bool
) -> StudyFile:
    """Return the settings; arms that give classes are not contrasted with arms that give scores.

    Raises:
        ConfigError: such a contrast was asked for.
    """
    names = list(arms)
    kinds = [[arm for arm in names if arm not in hard], [arm for arm in names if arm in hard]]
    alike = [*default_contrasts(kinds[0], baseline=baseline), *default_contrasts(kinds[1])]
    pairs = [[arm_name(arm) for arm in pair] for pair in request.contrasts or alike]
    base = {"arms": {arm: {"question": ""} for arm in names}, "protocol": {"contrasts": pairs}}
    asked = [f"protocol.contrasts={pairs!r}"] if request.contrasts else []
    study = load("default", request.config, [*request.assignments, *asked], base=base)
    counted = {"folds": max(folds.n_folds, 2), "repeats": folds.repeats, "seeds": n_seeds}
    kept = {arm: study.arms[arm] for arm in names}
    for first, second in study.protocol.contrasts:
        if (first in hard) != (second in hard):
            raise ConfigError(
                f"contrast {first}:{second}: {first if first in hard else second} gives two classes and the other arm"
                " scores. The AUC of classes is the balanced accuracy at one threshold, so their difference says"
                " nothing about the models; leave the contrast out, or give scores of both"
            )
    return study.model_copy(update={"arms": kept, "protocol": study.protocol.model_copy(update=counted)})


def _cells(rows: pd.DataFrame, cohort: Cohort) -> tuple[pd.DataFrame, dict[str, CellRecord]]:
    """Return predictions with `CELL_COLUMNS` and `PREDICTION_COLUMNS`, and a record for each cell."""
    facts = cohort.images.set_index("image_id")[["patient_id", "case_id", "breast", "view", "status", "site", "label"]]
    images = facts.loc[rows["image_id"]].reset_index(drop=True)
    own = rows[[*CELL_COLUMNS, "image_id", "part"]].reset_index(drop=True)
    values: dict[str, Any] = {"logit": rows["logit"].to_numpy(), "prob_calibrated": np.nan}
    frame = pd.concat([own, images], axis=1).assign(**values)
    frame = frame.assign(prob=apply_platt(frame["logit"].to_numpy(), 1.0, 0.0))
    frame = frame.sort_values([*CELL_COLUMNS[1:], "part"], kind="stable")[[*CELL_COLUMNS, *PREDICTION_COLUMNS]]
    records: dict[str, CellRecord] = {}
    for arm, repeat, fold, seed in frame[list(CELL_COLUMNS)].drop_duplicates().itertuples(index=False, name=None):
        name = f"{arm}.r{repeat}.f{fold}.s{seed}"
        records[name] = CellRecord(
            name=name, arm=arm, repeat=int(repeat), fold=int(fold), seed=int(seed), calibration=None
        )
    return frame.reset_index(drop=True), records


NO_BASELINE = (
    "No logistic regression on the clinical columns stands beside the models: with these folds and validation rows some"
    " training part has no patients of both classes."
)


def _has_training(folds: Folds, cohort: Cohort) -> bool:
    """Whether the training part of every split has both classes."""
    labels = cohort.images.groupby("patient_id")["label"]
    mixed, both = labels.max() != labels.min(), labels.max()
    return all(mixed[list(fold.train)].any() or both[list(fold.train)].nunique() == 2 for fold in folds.folds)


def _with_baseline(
    predictions: pd.DataFrame, records: dict[str, CellRecord], folds: Folds, cohort: Cohort
) -> tuple[pd.DataFrame, dict[str, CellRecord]]:
    """Add the logistic regression on the clinical columns, fitted in the same folds."""
    frames, added = [predictions], {}
    for (repeat, fold), split in folds.splits.items():
        rows, facts = fit_baseline(split, cohort, missing_indicators=False)
        where: dict[str, Any] = {"arm": BASELINE, "repeat": repeat, "fold": fold, "seed": 0}
        name = f"{BASELINE}.r{repeat}.f{fold}.s0"
        added[name] = CellRecord.model_validate({"name": name, **where, **facts})
        frames.append(rows.assign(**where)[predictions.columns])
    return pd.concat(frames, ignore_index=True), records | added


def _environment(request: Import, roles: Mapping[str, str], cohort: Cohort, n_rows: int) -> Environment:
    known = dict.fromkeys(("patient_id", "label", "fold", "arm", "prob", *roles))
    columns = {role: roles[role] for role in known if role in roles}
    about = Imported(file=request.path.name, sha256=file_digest(request.path), n_rows=n_rows, columns=columns)
    environment = describe(command=list(request.command), cohort_digest=cohort.digest, store_digest=None, device="none")
    return environment.changed(imported=about)


def _keep(stored: StoredStudy, *, force: bool) -> StoredStudy:
    """Write the archive and read it back; with `force` another study of the same name is kept aside first.

    Raises:
        StudyError: the folder holds another study.
    """
    folder = stored.folder
    if (folder / "study.toml").exists():
        archived, now = (folder / "archive.json").exists(), stored.environment.imported
        was = Environment.read(folder / "environment.json").imported if archived else None
        if was is None or now is None or was.sha256 != now.sha256:
            if not force:
                what = f"the predictions of {was.file}" if was else "a study that was trained here"
                raise StudyError(
                    f"{folder}: holds {what}; use another --name, or --force (the old study is kept aside)"
                )
            set_aside(folder)
    write_archive(stored, folder)
    return load_study(folder)
