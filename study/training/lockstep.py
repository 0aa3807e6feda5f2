"""Train any list of cells: the two loops over one stream of trunk features.

    sequential:  for fit in fits:                      lockstep:  for epoch in ...:
                   for epoch in ...:                                  for chunk in stream(seed, epoch):  # trunk: once
                     for chunk in stream(seed, epoch):                  for fit in live_fits:
                       fit.consume(chunk)                                 fit.consume(chunk)

Both give the same bits; `sequential` is the plain reference, which is lockstep over groups of one.
"""

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors.torch
import torch

from mmbc.calibration import fit_platt
from mmbc.config import digest
from mmbc.data.cohort import Cohort
from mmbc.data.splits import rows_of
from mmbc.data.tables import encoding
from mmbc.data.tables.encoding import TabularEncoder
from mmbc.errors import StudyError
from mmbc.files import write_atomically
from mmbc.model.backbone import Backbone, check_cut
from mmbc.training.device import configure
from mmbc.training.fit import Fit, FitDivergedError, Part
from mmbc.training.memory import available_bytes, fit_bytes, pass_bytes
from mmbc.training.stream import CleanFeatures, Stream
from study.design.cells import Cell
from study.design.request import Executor
from study.records.cell_records import (
    HISTORY_COLUMNS,
    delete_checkpoint,
    prediction_rows,
    read_checkpoint,
    write_cell,
    write_checkpoint,
)
from study.records.progress import FitProgress, Observer
from study.training.workspace import Workspace

WORK = ("augmentation", "trunk", "tails", "evaluation")
DIVERGED = "diverged"
"""Why a fit stopped that left no record."""
SAFE_SHARE = 0.8
"""Share of the free memory that a run plans with."""

AfterEpoch = Callable[[int, Sequence[Fit]], None]
"""Called with the epoch's number and every fit that ran in it; it may call `fit.stop(reason)`."""


@dataclass
class _Running:
    """A cell with its fit, and what the executor alone knows: its test rows and its encoder."""

    cell: Cell
    fit: Fit
    encoder: TabularEncoder
    rows: dict[str, np.ndarray]
    clean: CleanFeatures | None


def execute(
    cells: Sequence[Cell],
    workspace: Workspace,
    *,
    executor: Executor = "lockstep",
    max_live_fits: int | None = None,
    after_epoch: AfterEpoch | None = None,
    observer: Observer | None = None,
    spare_diverged: bool = False,
) -> dict[str, float]:
    """Train cells of any configurations and splits; each leaves its record in `workspace.folder / "cells"`.

    Args:
        cells: what to train.
        workspace: on what, and where the records go.
        executor: `lockstep`, or one cell after the other.
        max_live_fits: at most so many train together; None for as many as fit into memory.
        after_epoch: called after every epoch.
        observer: told about the work.
        spare_diverged: let a fit whose loss is no number any more stop as `diverged`, without a record, instead of
            raising.

    Returns:
        Seconds by kind of work: augmentation, trunk, tails, evaluation (clean features count as trunk). The rest of the
        time went into reading and writing.

    Raises:
        ConfigError: a configuration that cannot be built.
        FitDivergedError: a loss that is no number.
        StudyError: cells that differ in how the process computes (threads, device).
    """
    seconds = dict.fromkeys(WORK, 0.0)
    if not cells:
        return seconds
    if len({digest(cell.config.run) for cell in cells}) > 1:
        raise StudyError("cells of one run share device, threads, precision and batch sizes; these differ")
    configure(cells[0].config.run)
    backbones: dict[tuple[str, str], Backbone] = {}
    observer = observer or Observer()
    for group in _groups(cells, executor):
        backbone = _backbone(group, backbones)
        limit = max_live_fits or 1
        if max_live_fits is None and len(group) > 1:
            limit = memory_needed(group, n_tabular=_n_tabular(workspace.cohort), backbone=backbone).n_live
        for start in range(0, len(group), limit):
            wave = group[start : start + limit]
            observer.begun([cell.name for cell in wave])
            drive = _Drive(wave, backbone, workspace, after_epoch, observer, spare_diverged)
            drive.run()
            for kind, took in drive.seconds.items():
                seconds[kind] += took
    return seconds


def _groups(cells: Sequence[Cell], executor: Executor) -> list[list[Cell]]:
    """Return the cells that may share a stream, in order; groups of one for the sequential executor."""
    groups: dict[str, list[Cell]] = {}
    for number, cell in enumerate(cells):
        groups.setdefault(_stream_key(cell) if executor == "lockstep" else str(number), []).append(cell)
    return list(groups.values())


def _n_tabular(cohort: Cohort) -> int:
    """Return the width of the encoded table; that of a single fit may be a little less."""
    return encoding.fit(cohort.images, cohort.features, missing_indicators=True).n_outputs


@dataclass(frozen=True)
class Memory:
    """What a group of cells takes in bytes.

    Attributes:
        shared: trunk, one batch and one chunk, and the largest training step.
        per_fit: what every live fit adds.
        free: what the device has.
        n_cells: how many cells there are.
    """

    shared: int
    per_fit: int
    free: int
    n_cells: int

    @property
    def n_live(self) -> int:
        """How many fits can live together, at least one."""
        room = SAFE_SHARE * self.free - self.shared
        return min(self.n_cells, max(1, int(room // max(self.per_fit, 1))))

    @property
    def needed(self) -> int:
        """Bytes taken when `n_live` fits train together."""
        return self.shared + self.n_live * self.per_fit


def expected_memory(cells: Sequence[Cell], cohort: Cohort, executor: Executor) -> list[Memory]:
    """Return what each group of cells that share a stream will take."""
    if not cells:
        return []
    configure(cells[0].config.run)
    backbones: dict[tuple[str, str], Backbone] = {}
    return [
        memory_needed(group, n_tabular=_n_tabular(cohort), backbone=_backbone(group, backbones))
        for group in _groups(cells, executor)
    ]


def memory_needed(cells: Sequence[Cell], *, n_tabular: int, backbone: Backbone | None) -> Memory:
    """Estimate the memory of cells that share a stream."""
    config = cells[0].config
    kinds = {cell.config_digest: cell.config for cell in cells}.values()
    shared, shapes = pass_bytes(config, backbone, sorted({kind.model.fine_tuned_blocks for kind in kinds}))
    sizes = [fit_bytes(kind, backbone, n_tabular, shapes) for kind in kinds]
    return Memory(
        shared=shared + max(step for _, step in sizes),
        per_fit=max(kept for kept, _ in sizes),
        free=available_bytes(config.run.device),
        n_cells=len(cells),
    )


def _stream_key(cell: Cell) -> str:
    """What the stream depends on; the cut is no part of it, one pass is tapped at several depths."""
    config = cell.config
    if not config.uses_images:
        return f"rows {cell.stream_seed}"
    model = config.model
    data = config.data.model_dump(mode="json")
    parts = [model.backbone, model.weights, data, config.augment.model_dump(mode="json"), cell.stream_seed]
    return digest({"parts": parts})


def _backbone(cells: Sequence[Cell], known: dict[tuple[str, str], Backbone]) -> Backbone | None:
    model = cells[0].config.model
    if not cells[0].config.uses_images:
        return None
    key = (model.backbone, model.weights)
    if key not in known:
        known[key] = Backbone(*key).to(cells[0].config.run.device)
    for cell in cells:
        check_cut(known[key], cell.config.model)
    return known[key]


def expected_seconds(cells: Sequence[Cell], n_rows: int, executor: Executor) -> float:
    """Estimate the longest time that training some cells can take here, from a few timed steps of each kind.

    The trunk runs once per epoch for all cells of a stream in lockstep, once per cell and epoch in sequence.
    """
    configure(cells[0].config.run)
    backbones: dict[tuple[str, str], Backbone] = {}
    seconds = 0.0
    for group in _groups(cells, "lockstep"):
        backbone = _backbone(group, backbones)
        trunk = _timed_trunk(group, backbone)
        epochs = [cell.config.train.max_epochs for cell in group]
        seconds += trunk * n_rows * (max(epochs) if executor == "lockstep" else sum(epochs))
        by_config = {cell.config_digest: cell for cell in group}
        step = {key: _timed_step(cell, backbone) for key, cell in by_config.items()}
        trained = sum(
            len(cell.split.train) / _n_patients(cell) * step[cell.config_digest] * e
            for cell, e in zip(group, epochs, strict=True)
        )
        seconds += trained * n_rows
    return seconds


def _n_patients(cell: Cell) -> int:
    return sum(len(ids) for ids in cell.split.parts().values())


def _timed_trunk(cells: Sequence[Cell], backbone: Backbone | None) -> float:
    """Return seconds per image of one pass through the trunk, measured on noise."""
    if backbone is None:
        return 0.0
    config = cells[0].config
    n = 3 * config.run.trunk_batch
    noise = np.random.default_rng(0).integers(
        0, 255, (n, config.data.image_size, config.data.image_size), dtype=np.uint8
    )
    stream = Stream(n, backbone, noise, config.augment, config.run, seed=0)
    cuts = sorted({cell.config.model.fine_tuned_blocks for cell in cells})
    for _ in stream.chunks(0, np.ones(n, dtype=bool), cuts):
        pass
    began = time.perf_counter()
    for _ in stream.chunks(1, np.ones(n, dtype=bool), cuts):
        pass
    return (time.perf_counter() - began) / n


def _timed_step(cell: Cell, backbone: Backbone | None) -> float:
    """Return seconds per image of training behind the trunk, measured on noise."""
    config = cell.config
    n = 3 * config.train.batch_size
    rng = np.random.default_rng(0)
    part = Part(np.arange(n), (np.arange(n) % 2).astype(np.float32), rng.random((n, 3), dtype=np.float32))
    fit = Fit("probe", config, backbone, part, part, n_rows=n, seed=0)
    size = config.data.image_size
    stream = Stream(n, backbone, np.zeros((n, size, size), dtype=np.uint8), config.augment, config.run, seed=0)
    chunks = list(stream.chunks(0, np.ones(n, dtype=bool), [fit.cut]))
    fit.consume(chunks[0])
    began = time.perf_counter()
    for chunk in chunks:
        fit.consume(chunk)
    return (time.perf_counter() - began) / sum(len(chunk.rows) for chunk in chunks)


class _Drive:
    """Some cells that share a stream, from their first epoch to their records."""

    def __init__(
        self,
        cells: Sequence[Cell],
        backbone: Backbone | None,
        workspace: Workspace,
        after_epoch: AfterEpoch | None,
        observer: Observer,
        spare_diverged: bool,
    ) -> None:
        self.workspace = workspace
        self.spare_diverged = spare_diverged
        self.backbone = backbone
        self.after_epoch = after_epoch
        self.observer = observer
        config = cells[0].config
        self.n_rows = len(workspace.cohort.images)
        if backbone is not None and workspace.store is None:
            raise StudyError(f"{cells[0].name} uses images, but the cohort's images were not read")
        pixels = workspace.store.pixels if backbone is not None and workspace.store is not None else None
        self.stream = Stream(self.n_rows, backbone, pixels, config.augment, config.run, seed=cells[0].stream_seed)
        self.seconds = dict.fromkeys(WORK, 0.0)
        self._features = self._clean(cells)
        self.live = [self._begin(cell) for cell in cells]

    def run(self) -> None:
        """Advance every live fit epoch by epoch; a fit that has stopped leaves, nobody waits."""
        while self.live:
            # fits that were continued from an older checkpoint catch up first
            epoch = min(running.fit.epoch for running in self.live)
            together = [running for running in self.live if running.fit.epoch == epoch]
            self._pass(epoch, together)
            for running in together:
                self._end_epoch(running)
            if self.after_epoch is not None:
                self.after_epoch(epoch, [running.fit for running in together])
            for running in together:
                if running.fit.stopped:
                    if running.fit.stopped != DIVERGED:
                        self._finish(running)
                    for kind, took in running.fit.seconds.items():
                        self.seconds[kind] += took
                    self.live.remove(running)
                elif self.workspace.checkpoint_every and running.fit.epoch % self.workspace.checkpoint_every == 0:
                    write_checkpoint(self._folder(running.cell), running.cell.key, _packed(running.fit.state()))

        for kind, took in self.stream.seconds.items():
            self.seconds[kind] += took

    def _end_epoch(self, running: _Running) -> None:
        try:
            running.fit.end_epoch(running.clean.take if running.clean is not None else None)
        except FitDivergedError:
            if not self.spare_diverged:
                raise
            running.fit.stop(DIVERGED)
        else:
            self.observer.epoch_ended(_progress(running))

    def _folder(self, cell: Cell) -> Path:
        return self.workspace.folder / "cells" / cell.name

    def _pass(self, epoch: int, together: list[_Running]) -> None:
        """Let the cohort pass by once."""
        wanted = np.zeros(self.n_rows, dtype=bool)
        for running in together:
            wanted[running.rows["train"]] = True
        cuts = sorted({running.fit.cut for running in together})
        passed = 0
        for chunk in self.stream.chunks(epoch, wanted, cuts):
            for running in together:
                running.fit.consume(chunk)
            passed += len(chunk.rows)
            self.observer.advanced(epoch, passed, self.n_rows)

    def _begin(self, cell: Cell) -> _Running:
        images = self.workspace.cohort.images
        rows = dict(rows_of(cell.split, images))
        encoder = self.workspace.encoders.get(cell.name) or encoding.fit(
            images.loc[rows["train"]],
            self.workspace.cohort.features,
            missing_indicators=cell.config.data.missing_indicators,
        )
        train, validation = (self._part(rows[part], encoder) for part in ("train", "validation"))
        fit = Fit(cell.name, cell.config, self.backbone, train, validation, n_rows=self.n_rows, seed=cell.fit_seed)
        state = read_checkpoint(self._folder(cell), cell.key)
        if state is not None:
            fit.restore(torch.load(io.BytesIO(state), map_location="cpu", weights_only=True))
        return _Running(cell, fit, encoder, rows, self._features.get(cell.config.model.fine_tuned_blocks))

    def _part(self, rows: np.ndarray, encoder: TabularEncoder) -> Part:
        chosen = self.workspace.cohort.images.loc[rows]
        return Part(rows, chosen["label"].to_numpy(dtype=np.float32), encoder.transform(chosen))

    def _clean(self, cells: Sequence[Cell]) -> dict[int, CleanFeatures]:
        """Return the features without augmentation by cut; empty without a trunk."""
        if self.backbone is None or self.workspace.store is None:
            return {}
        return self.stream.clean(
            self.workspace.cache,
            sorted({cell.config.model.fine_tuned_blocks for cell in cells}),
            self.workspace.store.digest,
            lambda done, total: self.observer.preparing("features without augmentation", done, total),
            limit_gib=self.workspace.cache_gib,
        )

    def _finish(self, running: _Running) -> None:
        """Predict the validation and, for the first and only time, the test rows; write the record."""
        began = time.perf_counter()
        images, fit, cell = self.workspace.cohort.images, running.fit, running.cell
        features = running.clean.take if running.clean is not None else None
        table = running.encoder.transform(images.loc[running.rows["test"]])
        rows = {"validation": running.rows["validation"], "test": running.rows["test"]}
        logits = {"validation": fit.validation_logits, "test": fit.predict(rows["test"], table, features)}
        if cell.name in self.workspace.out_of_fold:
            rows["validation"], logits["validation"] = self.workspace.out_of_fold[cell.name]
        fit.seconds["evaluation"] += time.perf_counter() - began
        platt = fit_platt(logits["validation"], images.loc[rows["validation"], "label"].to_numpy())
        predictions = [
            prediction_rows(images, rows[part], part, logits[part], platt) for part in logits if len(rows[part])
        ]
        parameters = list(fit.network.parameters())
        frozen = sum(p.numel() for p in self.backbone.stages.parameters()) if self.backbone is not None else 0
        record: dict[str, Any] = {
            **cell.key,
            "arm": cell.arm,
            "repeat": cell.repeat,
            "fold": cell.fold,
            "cohort_digest": self.workspace.cohort.digest,
            "store_digest": self.workspace.store.digest if features is not None and self.workspace.store else None,
            "stopped": fit.stopped,
            "best_epoch": fit.best_epoch,
            "n_epochs": fit.epoch,
            "seconds": sum(row["seconds"] for row in fit.history) + time.perf_counter() - began,
            "n_parameters": frozen + sum(p.numel() for p in parameters) - self._tail_size(fit),
            "n_trainable": sum(p.numel() for p in parameters),
            "calibration": {"slope": platt[0], "intercept": platt[1]},
            "preprocessing": running.encoder.model_dump(mode="json"),
        }
        if self.workspace.keep_models:
            record["model"] = {"config": cell.config.model_dump(mode="json"), **self._shared()}
        write_cell(
            self._folder(cell),
            predictions=pd.concat(predictions, ignore_index=True),
            record=record,
            history=pd.DataFrame(fit.history, columns=list(HISTORY_COLUMNS)),
            model=_weights(fit) if self.workspace.keep_models else None,
        )
        delete_checkpoint(self._folder(cell))
        self.observer.finished(_progress(running))

    @staticmethod
    def _tail_size(fit: Fit) -> int:
        """Return the number of parameters that the backbone counts too."""
        return sum(p.numel() for p in fit.network.tail.parameters()) if fit.network.tail is not None else 0

    def _shared(self) -> dict[str, str | None]:
        """Write what every cell of this trunk needs once, and return where, relative to a cell's folder."""
        if self.backbone is None or self.workspace.store is None:
            return {"trunk": None, "outlines": None}
        shared = self.workspace.folder / "shared"
        trunk = shared / f"trunk-{self.backbone.digest}.safetensors"
        pool = self.workspace.store.pool
        outlines = shared / f"outlines-{pool.digest}.npz"
        if not trunk.exists():
            state = {key: value.cpu().contiguous() for key, value in self.backbone.timm_state.items()}
            write_atomically(trunk, safetensors.torch.save(state))
        if not outlines.exists():
            pool.save(outlines)
        return {"trunk": f"../../shared/{trunk.name}", "outlines": f"../../shared/{outlines.name}"}


def _weights(fit: Fit) -> bytes:
    return safetensors.torch.save({key: value.cpu().contiguous() for key, value in fit.network.state_dict().items()})


def _packed(state: dict[str, Any]) -> bytes:
    """Return the state of a fit as bytes that `torch.load` reads without running code."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _progress(running: _Running) -> FitProgress:
    fit = running.fit
    return FitProgress(
        name=fit.name,
        uses_images=fit.config.uses_images,
        epoch=fit.epoch,
        max_epochs=fit.config.train.max_epochs,
        best_epoch=fit.best_epoch,
        stopped=fit.stopped,
        latest=dict(fit.history[-1]),
    )
