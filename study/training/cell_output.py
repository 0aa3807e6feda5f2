"""Output of a cell whose fit has ended: its predictions, its weights and its record."""

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import safetensors.torch
from torch import nn

from mmbc.calibration import fit_platt
from mmbc.config import identity
from mmbc.data.tables.encoding import TabularEncoder
from mmbc.files import write_atomically
from mmbc.model.backbone import Backbone
from mmbc.training.fit import Fit
from mmbc.training.stream import CleanFeatures
from study.design.cells import Cell
from study.records.cell_records import HISTORY_COLUMNS, CellRecord, delete_checkpoint, prediction_rows, write_cell
from study.training.workspace import Workspace


@dataclass(frozen=True, eq=False)
class CellFit:
    """A cell with its fit, and what the executor alone knows: its test rows and its encoder.

    Attributes:
        cell: what is trained.
        fit: its optimisation.
        encoder: of its clinical columns.
        rows: part -> cohort row numbers (n,).
        clean: features of the images without augmentation; None without a trunk.
    """

    cell: Cell
    fit: Fit
    encoder: TabularEncoder
    rows: dict[str, np.ndarray]
    clean: CleanFeatures | None


def write_output(ended: CellFit, backbone: Backbone | None, workspace: Workspace) -> None:
    """Predict the validation and, for the first and only time, the test rows; write the record last."""
    began = time.perf_counter()
    images, fit, cell = workspace.cohort.images, ended.fit, ended.cell
    rows, logits = _predict(ended, workspace)
    fit.seconds["evaluation"] += time.perf_counter() - began
    platt = fit_platt(logits["validation"], images.loc[rows["validation"], "label"].to_numpy())
    predictions = [prediction_rows(images, rows[part], part, logits[part], platt) for part in logits if len(rows[part])]
    record = {
        **cell.key,
        "arm": cell.arm,
        "repeat": cell.repeat,
        "fold": cell.fold,
        "cohort_digest": workspace.cohort.digest,
        "store_digest": workspace.store.digest if ended.clean is not None and workspace.store else None,
        "stopped": fit.stopped,
        "best_epoch": fit.best_epoch,
        "n_epochs": fit.epoch,
        "seconds": sum(row["seconds"] for row in fit.history) + time.perf_counter() - began,
        "n_parameters": _n_parameters(fit, backbone),
        "n_trainable": _size(fit.network),
        "calibration": {"slope": platt[0], "intercept": platt[1]},
        "preprocessing": ended.encoder.model_dump(mode="json"),
    }
    if workspace.keep_models:
        record["model"] = {"config": identity(cell.config), **_shared_files(backbone, workspace)}
    folder = workspace.cell_folder(cell.name)
    write_cell(
        folder,
        predictions=pd.concat(predictions, ignore_index=True),
        record=CellRecord.model_validate(record),
        history=pd.DataFrame(fit.history, columns=list(HISTORY_COLUMNS)),
        model=_weights(fit) if workspace.keep_models else None,
    )
    delete_checkpoint(folder)


def _predict(ended: CellFit, workspace: Workspace) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return rows (n,) and logits (n,) of the validation and test part, in place of the former those out of fold."""
    table = ended.encoder.transform(workspace.cohort.images.loc[ended.rows["test"]])
    rows = {"validation": ended.rows["validation"], "test": ended.rows["test"]}
    features = ended.clean.take if ended.clean is not None else None
    logits = {"validation": ended.fit.validation_logits, "test": ended.fit.predict(rows["test"], table, features)}
    if ended.cell.name in workspace.out_of_fold:
        rows["validation"], logits["validation"] = workspace.out_of_fold[ended.cell.name]
    return rows, logits


def _size(module: nn.Module | None) -> int:
    return sum(parameter.numel() for parameter in module.parameters()) if module is not None else 0


def _n_parameters(fit: Fit, backbone: Backbone | None) -> int:
    """Return the size of the whole model; the backbone counts the tail too."""
    return _size(backbone.stages if backbone is not None else None) + _size(fit.network) - _size(fit.network.tail)


def _shared_files(backbone: Backbone | None, workspace: Workspace) -> dict[str, str | None]:
    """Write what every cell of this trunk needs once, and return where, relative to a cell's folder."""
    if backbone is None or workspace.store is None:
        return {"trunk": None, "outlines": None}
    shared, pool = workspace.folder / "shared", workspace.store.pool
    trunk = shared / f"trunk-{backbone.digest}.safetensors"
    outlines = shared / f"outlines-{pool.digest}.npz"
    if not trunk.exists():
        state = {key: value.cpu().contiguous() for key, value in backbone.timm_state.items()}
        write_atomically(trunk, safetensors.torch.save(state))
    if not outlines.exists():
        pool.save(outlines)
    return {"trunk": f"../../shared/{trunk.name}", "outlines": f"../../shared/{outlines.name}"}


def _weights(fit: Fit) -> bytes:
    return safetensors.torch.save({key: value.cpu().contiguous() for key, value in fit.network.state_dict().items()})
