"""What a study leaves on disk, written and read; nothing here imports torch.

    results/<name>/
      study.toml            resolved configuration, arms and protocol
      cohort.parquet        one row per image: identifiers, label, clinical features (no pixels, no paths)
      cohort.json           name, digest, features, flow table, exclusions, notice, notes
      folds.json            the splits by patient
      environment.json      commit, versions, hardware, digests, command
      shared/               files that several cells use: the frozen trunk, the pool of outlines
      cells/<cell>/         predictions.parquet, history.csv, model.safetensors, record.json (last)

A cell is done when its `record.json` exists; it is written last, by rename, and carries the digests of its siblings.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmbc.config import parse, read_toml
from mmbc.data.cohort import Cohort, Feature
from mmbc.errors import StudyError, some
from study.settings import BASELINE, StudyFile

CELL_COLUMNS = ("arm", "repeat", "fold", "seed")
PREDICTION_COLUMNS = (
    "image_id", "patient_id", "case_id", "breast", "view", "status", "site", "label",
    "part", "logit", "prob", "prob_calibrated",
)  # fmt: skip
HISTORY_COLUMNS = (
    "epoch", "train_loss", "train_accuracy", "train_f1", "train_auc",
    "val_loss", "val_accuracy", "val_f1", "val_auc", "monitored", "lr", "head_lr", "seconds",
)  # fmt: skip


@dataclass(frozen=True)
class StoredStudy:
    """A study as read from its folder.

    Attributes:
        folder: where it lies.
        settings: configuration, arms and protocol.
        cohort: the rows; `path` is absent here, so `cohort.images` has no such column.
        cohort_digest: digest of the cohort the cells were trained on.
        folds: the content of folds.json.
        environment: the content of environment.json.
        planned: names of all cells the study file asks for, in order; the baseline's included.
        records: cell name -> content of record.json, of finished cells only.
        predictions: one row per (cell, image): `CELL_COLUMNS` and `PREDICTION_COLUMNS`; `part` is validation or test.
        history: one row per (cell, epoch): `CELL_COLUMNS` and `HISTORY_COLUMNS`; the baseline has none.
    """

    folder: Path
    settings: StudyFile
    cohort: Cohort
    cohort_digest: str
    folds: dict[str, Any]
    environment: dict[str, Any]
    planned: tuple[str, ...]
    records: dict[str, dict[str, Any]]
    predictions: pd.DataFrame
    history: pd.DataFrame

    @property
    def name(self) -> str:
        """The study's name: that of its folder."""
        return self.folder.name

    @property
    def arms(self) -> list[str]:
        """Arms with at least one finished cell, the baseline last."""
        done = {str(record["arm"]) for record in self.records.values()}
        return [arm for arm in [*self.settings.arms, BASELINE] if arm in done]


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StudyError(f"{path}: could not be written ({error.strerror}); nothing written before is lost") from error


def write_json(path: Path, value: Any) -> None:
    """Write JSON (NaN refused) atomically."""
    write_atomically(path, (json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON; a missing or torn file is a StudyError that names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise StudyError(f"{path}: is damaged ({error}); delete it and run the same command again") from None
