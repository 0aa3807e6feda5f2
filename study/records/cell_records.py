"""What a running study leaves on disk; `study.records.stored_study` reads it back as a whole. Nothing here imports torch.

    results/<name>/
      study.toml            resolved configuration, arms and protocol
      cohort.parquet        one row per image: identifiers, label, clinical features (no pixels, no paths)
      cohort.json           name, digest, features, flow table, exclusions, notice, notes
      folds.json            the splits by patient
      environment.json      commit, versions, hardware, digests, command
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

from mmbc.calibration import apply_platt
from mmbc.config import parse, read_toml
from mmbc.data.cohort import Cohort
from mmbc.data.tables.columns import Feature
from mmbc.errors import StudyError
from mmbc.files import file_digest, read_json, write_atomically, write_json
from study.design.study_file import StudyFile

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
    record: Mapping[str, Any],
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
    write_json(folder / "record.json", {**record, "files": digests})


def write_checkpoint(folder: Path, key: Mapping[str, Any], state: bytes) -> None:
    """Keep the state of an unfinished cell, in place of an older one.

    The file is one line of JSON (the cell's key and the digest of what follows) and the state.
    """
    head = {**key, "sha256": hashlib.sha256(state).hexdigest()}
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
        facts = {}
    if facts.get("sha256") != hashlib.sha256(state).hexdigest():
        raise StudyError(f"{path}: is damaged; delete it, and the cell is trained from its first epoch")
    return state if {name: facts.get(name) for name in key} == dict(key) else None


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
    record = read_json(folder / "record.json")
    for name, value in key.items():
        if record.get(name) != value:
            raise StudyError(
                f"{folder}: holds a cell with {name} {record.get(name)!r}, this study needs {value!r}; "
                "use another --name, or start over with --force"
            )
    check_files(folder, record)
    return True


def check_files(folder: Path, record: Mapping[str, Any]) -> None:
    """Compare a cell's files with the digests in its record.

    Raises:
        StudyError: a file is missing or was changed.
    """
    for name, expected in record["files"].items():
        path = folder / name
        if not path.is_file() or file_digest(path) != expected:
            raise StudyError(
                f"{path}: is missing or was changed after the run; delete {folder} to train the cell again"
            )


def write_cohort(folder: Path, cohort: Cohort) -> None:
    """Write the rows (without paths) and everything else a report says of the cohort."""
    buffer = io.BytesIO()
    cohort.images.drop(columns="path", errors="ignore").to_parquet(buffer, index=False)
    write_atomically(folder / "cohort.parquet", buffer.getvalue())
    facts = {
        "name": cohort.name,
        "digest": cohort.digest,
        "images_checked": cohort.images_checked,
        "notice": cohort.notice,
        "notes": list(cohort.notes),
        "positive": list(cohort.positive),
        "n_outlined": cohort.n_outlined,
        "features": [[feature.name, feature.kind, list(feature.order)] for feature in cohort.features],
        "flow": cohort.flow.to_dict("records"),
        "excluded": cohort.excluded.to_dict("records"),
    }
    write_json(folder / "cohort.json", facts)


def read_cohort(folder: Path) -> tuple[Cohort, str]:
    """Read what `write_cohort` wrote: the cohort, and the digest it had in training."""
    facts = read_json(folder / "cohort.json")
    try:
        images = pd.read_parquet(folder / "cohort.parquet")
    except (OSError, ValueError) as error:
        raise StudyError(f"{folder / 'cohort.parquet'}: cannot be read ({error})") from error
    cohort = Cohort(
        name=facts["name"],
        images=images,
        positive=tuple(facts["positive"]),
        n_outlined=facts["n_outlined"],
        features=tuple(Feature(name, kind, tuple(order)) for name, kind, order in facts["features"]),
        flow=pd.DataFrame(facts["flow"], columns=["step", "status", "n_images", "n_patients"]),
        excluded=pd.DataFrame(facts["excluded"], columns=["image_id", "patient_id", "status", "step", "reason"]),
        images_checked=facts["images_checked"],
        notice=facts["notice"],
        notes=tuple(facts["notes"]),
    )
    return cohort, facts["digest"]


def read_settings(folder: Path) -> StudyFile:
    """Read the resolved study file of a study."""
    return parse(StudyFile, read_toml(folder / "study.toml"), str(folder / "study.toml"))
