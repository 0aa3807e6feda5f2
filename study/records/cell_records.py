"""What a running study leaves on disk; `study.records.stored_study` reads it back. Nothing here imports torch.

    results/<name>/
      study.toml            resolved configuration, arms and protocol
      cohort.parquet        one row per image: identifiers, label, clinical features (no pixels, no paths)
      cohort.json           name, digest, features, flow table, exclusions, notice, notes
      folds.json            the splits by patient
      environment.json      commit, versions, hardware, digests, command
      analysis_plan.md      the plan that the study follows, where it has one (`study.records.analysis_plan`)
      shared/               files that several cells use: the frozen trunk, the pool of outlines
      cells/<cell>/         predictions.parquet, history.csv, model.safetensors, record.json (last);
                            checkpoint.bin while it trains

A cell is done when its `record.json` exists; it is written last, by rename, and carries the digests of its siblings.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmbc import __version__
from mmbc.calibration import apply_platt
from mmbc.config import parse
from mmbc.documents import Document
from mmbc.errors import ConfigError, StudyError
from mmbc.files import file_digest, write_atomically
from mmbc.toml import read_toml
from study.design.study_file import StudyFile
from study.records.analysis_plan import now
from study.records.environment import Environment

CHECKPOINT = "checkpoint.bin"
"""The state of an unfinished cell; gone when its record is there."""

CELL_COLUMNS = ("arm", "repeat", "fold", "seed")
PREDICTION_COLUMNS = (
    "image_id",
    "patient_id",
    "case_id",
    "breast",
    "view",
    "status",
    "site",
    "label",
    "part",
    "logit",
    "prob",
    "prob_calibrated",
)
HISTORY_COLUMNS = (
    "epoch",
    "train_loss",
    "train_accuracy",
    "train_f1",
    "train_auc",
    "val_loss",
    "val_accuracy",
    "val_f1",
    "val_auc",
    "monitored",
    "lr",
    "head_lr",
    "seconds",
)


class Calibration(Document):
    """Platt scaling of a cell's logits, fitted on its validation rows."""

    slope: float
    intercept: float


class ModelFiles(Document):
    """What it takes to build a cell's network again, beside its weights."""

    config: dict[str, Any]
    """Resolved configuration, as the program that trained the cell knew it."""
    trunk: str | None = None
    outlines: str | None = None
    """Files of the frozen trunk and of the pool of outlines, relative to the cell's folder."""


class CellRecord(Document):
    """Record of a finished cell: its coordinates, what it was trained on, how the fit went, digests of its files."""

    name: str
    arm: str
    repeat: int
    fold: int
    seed: int
    config_digest: str | None = None
    split_digest: str | None = None
    fit_seed: int | None = None
    stream_seed: int | None = None
    leak: str | None = None
    """Name of a deliberate leak."""
    ledger: str | None = None
    """Label of a cell of an optimism ledger."""
    encoded_on_all: bool = False
    """Whether, in a ledger, the clinical columns are encoded by what all rows say."""
    cohort_digest: str | None = None
    store_digest: str | None = None
    """Digest of the pixels; None where the cell uses no image."""
    stopped: str | None = None
    """Why the fit ended."""
    best_epoch: int | None = None
    n_epochs: int | None = None
    seconds: float | None = None
    """Own training and evaluation; the shared trunk is not in it. None, as the epochs, for the baseline."""
    n_parameters: int | None = None
    n_trainable: int | None = None
    calibration: Calibration | None = None
    """None where predictions come without validation rows."""
    tested: str | None = None
    """When its test rows had been predicted, in UTC; None in records of programs that did not write it."""
    preprocessing: dict[str, Any] | None = None
    """The fitted `mmbc.data.tables.encoding.TabularEncoder`."""
    coefficients: tuple[float, ...] = ()
    """Of the baseline, the intercept last."""
    model: ModelFiles | None = None
    files: dict[str, str] = {}
    """SHA-256 of the cell's other files."""

    @property
    def place(self) -> tuple[int, int]:
        """Repeat and fold."""
        return self.repeat, self.fold

    @property
    def coordinates(self) -> dict[str, Any]:
        """The values of `CELL_COLUMNS`."""
        return {column: getattr(self, column) for column in CELL_COLUMNS}


def prediction_rows(
    images: pd.DataFrame, rows: np.ndarray, part: str, logits: np.ndarray, platt: tuple[float, float]
) -> pd.DataFrame:
    """Return the predictions of some cohort rows (n,) from their logits (n,), with `PREDICTION_COLUMNS`."""
    frame = images.loc[rows, ["image_id", "patient_id", "case_id", "breast", "view", "status", "site", "label"]]
    probs = apply_platt(logits, 1.0, 0.0)
    columns: dict[str, Any] = {
        "part": part,
        "logit": logits,
        "prob": probs,
        "prob_calibrated": apply_platt(logits, *platt),
    }
    return frame.assign(**columns)[list(PREDICTION_COLUMNS)].reset_index(drop=True)


def write_cell(
    folder: Path,
    *,
    predictions: pd.DataFrame,
    record: CellRecord,
    history: pd.DataFrame | None = None,
    model: bytes | None = None,
) -> None:
    """Write a finished cell: its files first, `record.json` with their digests last."""
    buffer = io.BytesIO()
    predictions.to_parquet(buffer, index=False)
    files = {"predictions.parquet": buffer.getvalue()}
    if history is not None:
        files["history.csv"] = history[list(HISTORY_COLUMNS)].to_csv(index=False).encode()
    if model is not None:
        files["model.safetensors"] = model
    for name, data in files.items():
        write_atomically(folder / name, data)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    record.changed(tested=now(), files=digests).write(folder / "record.json")


def write_checkpoint(folder: Path, key: Mapping[str, Any], state: bytes, *, epoch: int) -> None:
    """Keep the state of an unfinished cell after an epoch, in place of an older one.

    The file is one line of JSON (the cell's key, the epoch and the digest of what follows) and the state.
    """
    head = {**key, "epoch": epoch, "sha256": hashlib.sha256(state).hexdigest()}
    write_atomically(folder / CHECKPOINT, json.dumps(head).encode() + b"\n" + state)


def read_checkpoint(folder: Path, key: Mapping[str, Any]) -> bytes | None:
    """Return the state of an unfinished cell; None where there is none, or one of another configuration.

    Raises:
        StudyError: the file is torn.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    head, _, state = path.read_bytes().partition(b"\n")
    try:
        facts = json.loads(head)
    except ValueError:
        facts = None
    if not isinstance(facts, dict) or facts.get("sha256") != hashlib.sha256(state).hexdigest():
        raise StudyError(f"{path}: is damaged; delete it, and the cell is trained from its first epoch")
    return state if {name: facts.get(name) for name in key} == dict(key) else None


def kept_epochs(folder: Path) -> int:
    """Return the epochs of an unfinished cell that are kept; 0 where none are, or they cannot be told."""
    try:
        with (folder / CHECKPOINT).open("rb") as file:
            return int(json.loads(file.readline())["epoch"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def delete_checkpoint(folder: Path) -> None:
    """Remove the state of a cell that is finished."""
    (folder / CHECKPOINT).unlink(missing_ok=True)


def finished(folder: Path, key: Mapping[str, Any]) -> bool:
    """Whether the cell of this key is done.

    Raises:
        StudyError: a record of another configuration, split or seed lies there, or a file of it is damaged.
    """
    if not (folder / "record.json").exists():
        return False
    record = CellRecord.read(folder / "record.json")
    there = record.plain()
    for name, value in key.items():
        if there.get(name) != value:
            raise StudyError(
                f"{folder}: holds a cell with {name} {there.get(name)!r}, this study needs {value!r}; "
                "use another --name, or start over with --force"
            )
    check_files(folder, record)
    return True


def check_files(folder: Path, record: CellRecord) -> None:
    """Compare a cell's files with the digests in its record.

    Raises:
        StudyError: a file is missing or was changed.
    """
    for name, expected in record.files.items():
        path = folder / name
        if not path.is_file() or file_digest(path) != expected:
            raise StudyError(
                f"{path}: is missing or was changed after the run; delete {folder} to train the cell again"
            )


def read_settings(folder: Path) -> StudyFile:
    """Read the resolved study file of a study.

    Raises:
        ConfigError: keys or values that are not known here; names the version that wrote them where it is another.
    """
    try:
        return parse(StudyFile, read_toml(folder / "study.toml"), str(folder / "study.toml"))
    except ConfigError as error:
        file = folder / "environment.json"
        version = Environment.read(file).mmbc if file.exists() else __version__
        if version == __version__:
            raise
        raise ConfigError(
            f"{error}\n{folder} was written by mmbc {version}, this is mmbc {__version__}:"
            " use that version or a later one"
        ) from None
