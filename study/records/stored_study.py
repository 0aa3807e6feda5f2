"""A study read back: from the folder it was run in, or from an archive of its predictions.

    an archive/
      study.toml, cohort.parquet, cohort.json, folds.json, environment.json    as in the folder of a study
      analysis_plan.md      the plan, as in the folder of a study; absent where there is none
      predictions.parquet   one row per (cell, image): `CELL_COLUMNS`, image_id, part, logit
      history.parquet       one row per (cell, epoch); absent where there is none
      records.json          the planned cells, and what is known of each finished one
      audit.json            what the audit found at the start of the study, and in its records
      added.parquet, added.json    predictions that a user added (`study.records.added_predictions`); absent without
      search/               of a search: trials.parquet, importances.csv, chosen.json (`study.design.search_results`)
      archive.json          digests of the other files (last)

An archive holds what every number of a report is made of, and no model. Nothing here imports torch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import tomli_w
from pydantic import TypeAdapter

from mmbc.calibration import apply_platt
from mmbc.config import Config, parse, to_toml
from mmbc.data.cohort import Cohort
from mmbc.documents import Document
from mmbc.errors import ConfigError, StudyError, nearest, some
from mmbc.files import RESTORE, file_digest, read_json, reading, write_atomically, write_json
from study.design.folds import Folds
from study.design.search_results import FOLDER as SEARCH
from study.design.search_results import SearchResult
from study.design.study_file import BASELINE, Protocol, StudyFile
from study.design.study_name import with_name
from study.records.added_predictions import FILES as ADDED
from study.records.added_predictions import Added, read_added, write_added
from study.records.analysis_plan import FILE as PLAN
from study.records.analysis_plan import AnalysisPlan, stored_plan, write_plan
from study.records.cell_membership import Membership
from study.records.cell_records import (
    CELL_COLUMNS,
    CHECKPOINT,
    HISTORY_COLUMNS,
    PREDICTION_COLUMNS,
    CellRecord,
    check_files,
    read_settings,
)
from study.records.environment import Environment, last_part
from study.records.finding import FILE as FINDINGS
from study.records.finding import Finding, read_findings, write_findings
from study.records.progress import models_finished
from study.records.search_archive import FILES as SEARCH_FILES
from study.records.search_archive import read_searched, write_searched
from study.records.stored_cohort import read_cohort, write_cohort
from study.records.stored_frame import read_frame, write_frame

ARCHIVED = (
    *("study.toml", "cohort.parquet", "cohort.json", "folds.json", "environment.json"),
    PLAN,
    "predictions.parquet",
    "history.parquet",
    "records.json",
    FINDINGS,
    *(f"{SEARCH}/{name}" for name in SEARCH_FILES),
    *ADDED,
)

COMPACT = (*CELL_COLUMNS, "image_id", "part", "logit")
"""Columns of an archive's predictions; the others follow from the cohort and the records."""
OF_MODELS = ("files", "model", "preprocessing", "coefficients")
"""What a record says to load the model, which an archive does not have."""


class ArchivedCells(Document):
    """The cells of an archived study, as records.json has them."""

    planned: tuple[str, ...]
    records: dict[str, CellRecord]
    """Name -> record of a finished cell, without `OF_MODELS`."""


@dataclass(frozen=True)
class StoredStudy:
    """A study as read from its folder.

    Attributes:
        folder: where it lies.
        settings: configuration, arms and protocol.
        cohort: the rows; `path` is absent here, so `cohort.images` has no such column.
        cohort_digest: digest of the cohort the cells were trained on.
        folds: every split, by patient.
        environment: what it was run with.
        planned: names of all cells the study file asks for, in order; the baseline's included.
        records: cell name -> record, of finished cells only.
        predictions: one row per (cell, image): `CELL_COLUMNS` and `PREDICTION_COLUMNS`; `part` is validation or test.
        history: one row per (cell, epoch): `CELL_COLUMNS` and `HISTORY_COLUMNS`; the baseline has none.
        searched: what a search of hyper-parameters left; None for a study of fixed settings.
        findings: of the audit; of a folder those of its start, of an archive all
            (`study.checks.findings.with_findings`).
        archived: whether it was read from an archive.
        chosen_contrasts: pairs of arms chosen after the run, in place of the declared ones; None for these.
        added: predictions of models trained elsewhere that a user put beside the study's; no number of the study
            depends on them.
        pictures: small pictures of some images (side, side) of uint8, by their ids, where a report is to show them.
        plan: the analysis plan that it follows, or departs from; None for none.
    """

    folder: Path
    settings: StudyFile
    cohort: Cohort
    cohort_digest: str
    folds: Folds
    environment: Environment
    planned: tuple[str, ...]
    records: dict[str, CellRecord]
    predictions: pd.DataFrame
    history: pd.DataFrame
    searched: SearchResult | None = None
    findings: tuple[Finding, ...] = ()
    archived: bool = False
    chosen_contrasts: tuple[tuple[str, str], ...] | None = None
    added: Added | None = None
    plan: AnalysisPlan | None = None
    pictures: Mapping[str, np.ndarray] | None = None

    def __repr__(self) -> str:
        return f"<stored study {self.name!r}: {models_finished(self.planned, self.records)}>"

    @property
    def contrasts(self) -> tuple[tuple[str, str], ...]:
        """Pairs of arms that are compared, first minus second: those declared before the run, unless others are set."""
        return self.settings.protocol.contrasts if self.chosen_contrasts is None else self.chosen_contrasts

    @cached_property
    def configs(self) -> dict[str, Config]:
        """Configuration of every planned arm."""
        return {arm: self.settings.arm_config(arm) for arm in self.settings.arms}

    @property
    def uses_images(self) -> bool:
        """Whether a model that was planned here sees images."""
        return not self.imported and any(config.uses_images for config in self.configs.values())

    def with_contrasts(self, pairs: Iterable[Iterable[str]] | None) -> "StoredStudy":
        """Return the study with contrasts chosen now; None, or the declared ones again, leaves it as it is.

        Raises:
            ConfigError: an arm that has no finished cell, one that is compared with itself, or a pair given twice.
        """
        if pairs is None:
            return self
        chosen = tuple((first, second) for first, second in pairs)
        for arm in dict.fromkeys(arm for pair in chosen for arm in pair):
            if arm not in self.arms:
                raise ConfigError(f"contrasts: the study has no finished arm {arm!r}; {nearest(arm, self.arms)}")
        parse(Protocol, {"contrasts": chosen}, "evaluate")
        return replace(self, chosen_contrasts=None if chosen == self.settings.protocol.contrasts else chosen)

    @property
    def name(self) -> str:
        """The study's name: that of its folder."""
        return with_name(self.folder).name

    @property
    def imported(self) -> bool:
        """Whether the predictions come from models trained elsewhere, of which nothing but these is known.

        Its `settings` then say how predictions are evaluated (`protocol`); `data`, `model` and `train` mean nothing.
        """
        return self.environment.imported is not None

    @property
    def arms(self) -> list[str]:
        """Arms with at least one finished cell, the baseline last."""
        done = {record.arm for record in self.records.values()}
        return [arm for arm in [*self.settings.arms, BASELINE] if arm in done]


def without_constant_baseline(study: StoredStudy) -> StoredStudy:
    """Return a study without its baseline where this has no clinical column and predicts the same for everyone.

    It stays where contrasts that were chosen after the run name it.
    """
    chosen = any(BASELINE in pair for pair in study.chosen_contrasts or ())
    if study.imported or study.cohort.features or chosen:
        return study
    return replace(
        study,
        planned=tuple(name for name in study.planned if not name.startswith(f"{BASELINE}.")),
        records={name: record for name, record in study.records.items() if record.arm != BASELINE},
        predictions=study.predictions[study.predictions["arm"] != BASELINE].reset_index(drop=True),
    )


def planned_cells(settings: StudyFile, folds: Folds) -> tuple[str, ...]:
    """Return the names of all cells a study file asks for, the baseline's last."""
    where = [fold.place for fold in folds.until(settings.protocol.repeats)]
    seeds = range(settings.protocol.seeds)
    names = [f"{arm}.r{r}.f{f}.s{s}" for arm in settings.arms for s in seeds for r, f in where]
    return (*names, *(f"{BASELINE}.r{r}.f{f}.s0" for r, f in where))


def load_study(folder: Path) -> StoredStudy:
    """Read a study, finished or not, or an archive of one.

    Raises:
        StudyError: the folder is no study; a file of a finished cell is missing or was changed; or a cell belongs to
            another study.
    """
    with reading(folder):
        return read_archive(folder) if (folder / "archive.json").is_file() else _read_study(folder)


def _read_study(folder: Path) -> StoredStudy:
    if (folder / "pack.json").is_file():
        raise StudyError(
            f"{folder}: is a report, not a study; its study is results/{read_json(folder / 'pack.json').get('study')},"
            f" or {folder / 'study'} where the report was written with its predictions"
        )
    if not (folder / "study.toml").is_file():
        raise StudyError(f"{folder}: is not a study (it has no study.toml); studies lie below results/")
    settings, folds = read_settings(folder), Folds.read(folder / "folds.json")
    cohort, cohort_digest = read_cohort(folder)
    planned, searched = planned_cells(settings, folds), read_searched(folder)
    membership = Membership(settings, searched, folds, cohort, cohort_digest)
    records, predictions, history = {}, [], []
    for name in planned:
        place = folder / "cells" / name
        if not (place / "record.json").exists():
            continue
        record = records[name] = CellRecord.read(place / "record.json")
        check_files(place, record)
        membership.check_record(place, record)
        if record.name != name or f"{record.arm}.r{record.repeat}.f{record.fold}.s{record.seed}" != name:
            raise StudyError(f"{place / 'record.json'}: is damaged (it is that of {record.name}); {RESTORE}")
        rows = read_frame(place / "predictions.parquet", PREDICTION_COLUMNS, numbers=PREDICTION_COLUMNS[-3:])
        membership.check_rows(place, record, rows)
        predictions.append(rows.assign(**record.coordinates))
        if "history.csv" in record.files:
            epochs = read_frame(place / "history.csv", HISTORY_COLUMNS, numbers=HISTORY_COLUMNS)
            history.append(epochs.assign(**record.coordinates))
    return StoredStudy(
        folder=folder,
        settings=settings,
        cohort=cohort,
        cohort_digest=cohort_digest,
        folds=folds,
        environment=Environment.read(folder / "environment.json"),
        planned=planned,
        records=records,
        predictions=_joined(predictions, PREDICTION_COLUMNS),
        history=_joined(history, HISTORY_COLUMNS),
        searched=searched,
        findings=read_findings(folder),
        plan=stored_plan(folder),
    )


def _joined(frames: list[pd.DataFrame], columns: tuple[str, ...]) -> pd.DataFrame:
    ordered = [*CELL_COLUMNS, *columns]
    return pd.concat(frames, ignore_index=True)[ordered] if frames else pd.DataFrame(columns=ordered)


def write_archive(study: StoredStudy, folder: Path) -> None:
    """Write everything that a report is made of; models, digests of images and paths are left behind.

    Only the logits of predictions are kept: the probabilities follow from them and from the records.
    """
    without_pixels = study.cohort.images.drop(columns="pixel_digest", errors="ignore")
    write_cohort(folder, replace(study.cohort, images=without_pixels), study.cohort_digest)
    write_atomically(folder / "study.toml", _study_toml(study).encode())
    study.folds.write(folder / "folds.json")
    study.environment.without_paths().write(folder / "environment.json")
    compact = study.predictions[list(COMPACT)]
    compact = compact.astype({"arm": "category", "image_id": "category", "part": "category"})
    write_frame(folder / "predictions.parquet", compact)
    (folder / "history.parquet").unlink(missing_ok=True)
    if not study.history.empty:
        write_frame(folder / "history.parquet", study.history.astype({"arm": "category"}))
    records = {name: record.without(*OF_MODELS) for name, record in study.records.items()}
    ArchivedCells(planned=study.planned, records=records).write(folder / "records.json")
    write_findings(folder, study.findings)
    for name in SEARCH_FILES:
        (folder / SEARCH / name).unlink(missing_ok=True)
    if study.searched is not None:
        write_searched(folder, study.searched)
    write_added(folder, study.added)
    write_plan(folder, study.plan)
    there = [name for name in ARCHIVED if (folder / name).exists()]
    write_json(folder / "archive.json", {name: file_digest(folder / name) for name in there})


def _study_toml(study: StoredStudy) -> str:
    """Return the study file; of an imported study what is known of it, not how a model might have been trained."""
    if not study.imported:
        return to_toml(_settings_without_paths(study.settings))
    known = study.settings.model_dump(
        mode="json", exclude_none=True, include={"preset": True, "arms": True, "protocol": True, "names": True}
    )
    data = study.settings.data
    asked = {} if data.conflicts == "stop" else {"conflicts": data.conflicts}
    return tomli_w.dumps(known | {"data": {"label_level": data.label_level, **asked}})


def _settings_without_paths(settings: StudyFile) -> StudyFile:
    weights = settings.model.model_copy(update={"weights": last_part(settings.model.weights)})
    data = settings.data.model_copy(update={"image_root": ""})
    return settings.model_copy(update={"model": weights, "data": data, "audit": None})


def read_archive(folder: Path) -> StoredStudy:
    """Read what `write_archive` wrote.

    Raises:
        StudyError: a file is missing or was changed.
    """
    with reading(folder / "archive.json"):
        digests = TypeAdapter(dict[str, str]).validate_python(read_json(folder / "archive.json"))
        if absent := [name for name in ("study.toml", "predictions.parquet", "records.json") if name not in digests]:
            raise ValueError(f"it does not name {absent[0]}")
    for name, expected in digests.items():
        if not (folder / name).is_file() or file_digest(folder / name) != expected:
            raise StudyError(
                f"{folder / name}: is missing or was changed after the archive was written; restore it, or make the "
                "report again from the study itself"
            )
    cohort, cohort_digest = read_cohort(folder)
    cells = ArchivedCells.read(folder / "records.json")
    compact = read_frame(folder / "predictions.parquet", COMPACT, numbers=["repeat", "fold", "seed", "logit"])
    predictions = _completed(compact, cohort, cells.records)
    epochs, per_cell = folder / "history.parquet", [*CELL_COLUMNS, *HISTORY_COLUMNS]
    history = [read_frame(epochs, per_cell, numbers=per_cell[1:])] if "history.parquet" in digests else []
    return StoredStudy(
        folder=folder,
        settings=read_settings(folder),
        cohort=cohort,
        cohort_digest=cohort_digest,
        folds=Folds.read(folder / "folds.json"),
        environment=Environment.read(folder / "environment.json"),
        planned=cells.planned,
        records=cells.records,
        predictions=predictions,
        history=_joined([frame.astype({"arm": "str"}) for frame in history], HISTORY_COLUMNS),
        searched=read_searched(folder),
        findings=read_findings(folder),
        archived=True,
        added=read_added(folder, digests),
        plan=stored_plan(folder) if PLAN in digests else None,
    )


def source_digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a study or an archive that a report follows from, by its path below it."""
    named = [folder / name for name in (*ARCHIVED, "archive.json")]
    within = [path for name in ("cells", "shared") for path in sorted((folder / name).rglob("*"))]
    files = [path for path in (*named, *within) if path.is_file() and path.name != CHECKPOINT]
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}


def _completed(rows: pd.DataFrame, cohort: Cohort, records: Mapping[str, CellRecord]) -> pd.DataFrame:
    """Give compact predictions the columns of the cohort, and the probabilities that follow from their logits."""
    rows = rows.astype({"arm": "str", "image_id": "str", "part": "str"})
    columns = ["patient_id", "case_id", "breast", "view", "status", "site", "label"]
    images = cohort.images.set_index("image_id")[columns].reindex(rows["image_id"])
    if images["label"].isna().any():
        absent = images.index[images["label"].isna()].unique()
        raise StudyError(f"predictions of images that the cohort does not have: {some(absent, 3)}")
    full = pd.concat([rows.reset_index(drop=True), images.reset_index(drop=True)], axis=1)
    logits = full["logit"].to_numpy(dtype=float)
    calibration = {tuple(record.coordinates.values()): record.calibration for record in records.values()}
    calibrated = np.full(len(full), np.nan)
    for cell, chosen in full.groupby(list(CELL_COLUMNS), sort=False).indices.items():
        with reading(Path("records.json")):
            platt = calibration[cell]  # type: ignore[index]
        if platt is not None:
            calibrated[chosen] = apply_platt(logits[chosen], platt.slope, platt.intercept)
    full = full.assign(prob=apply_platt(logits, 1.0, 0.0), prob_calibrated=calibrated)
    return full[[*CELL_COLUMNS, *PREDICTION_COLUMNS]]
