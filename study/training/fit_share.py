"""The fits of one process: begun with their rows or from a checkpoint, fed with chunks, ended with their records."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from mmbc.data.splits import rows_of
from mmbc.data.tables import encoding
from mmbc.data.tables.encoding import TabularEncoder
from mmbc.errors import StudyError
from mmbc.model.backbone import Backbone, Tap, tap_of
from mmbc.training.fit import Fit, FitDivergedError, Part
from mmbc.training.stream import Chunk, CleanFeatures, Stream, TrunkTask
from study.design.cells import Cell
from study.records.cell_records import read_checkpoint, write_checkpoint
from study.records.progress import DIVERGED, FitProgress, FitSnapshot
from study.training.cell_output import CellFit, write_output
from study.training.stream_groups import image_taps
from study.training.workspace import Workspace

WORK = ("augmentation", "trunk", "tails", "evaluation")
"""Kinds of work that are timed."""

Compute = Callable[[Sequence[TrunkTask]], None]
"""Has the trunk batches of a pass filled."""


@dataclass(frozen=True, eq=False)
class EpochEnd:
    """How a fit ended an epoch, as data that can travel between processes.

    Attributes:
        snapshot: the fit after it.
        progress: for an observer; None where the loss was no number.
        error: in that case, what there is to say.
    """

    snapshot: FitSnapshot
    progress: FitProgress | None
    error: str = ""


class FitShare:
    """The fits that this process trains, of those that share a stream.

    Args:
        cell: any of those that share the stream; it has what they have in common.
        backbone: their trunk; None without images.
        workspace: on what they are trained, and where their records go.

    Attributes:
        live: cell name -> fit in progress.
        stream: its own view of the stream, which is the same in every process.

    Raises:
        StudyError: images are used, and none were read.
    """

    def __init__(self, cell: Cell, backbone: Backbone | None, workspace: Workspace) -> None:
        if backbone is not None and workspace.store is None:
            raise StudyError(f"{cell.name} uses images, but the cohort's images were not read")
        pixels = workspace.store.pixels if backbone is not None and workspace.store is not None else None
        n_rows, config = len(workspace.cohort.images), cell.config
        self.stream = Stream(
            n_rows,
            backbone,
            pixels,
            config.augment,
            config.run,
            seed=cell.stream_seed,
            n_views=config.train.view_bank,
            bank_seed=cell.bank_seed,
        )
        self.backbone, self.workspace = backbone, workspace
        self.live: dict[str, CellFit] = {}
        self._seconds = dict.fromkeys(WORK, 0.0)

    def prepare(self, cells: Sequence[Cell], compute: Compute) -> dict[Tap, CleanFeatures]:
        """Have the features that are kept computed; return those without augmentation by tap, none without a trunk."""
        if self.backbone is None or self.workspace.store is None:
            return {}
        digest, limit_gib = self.workspace.store.digest, self.workspace.cache_gib
        return self.stream.prepare(self.workspace.cache, image_taps(cells), digest, compute, limit_gib=limit_gib)

    def begin(self, cells: Sequence[Cell], compute: Compute) -> dict[str, int]:
        """Begin fits, or continue them from their checkpoints; return name -> epochs that are finished."""
        clean = self.prepare(cells, compute)
        for cell in cells:
            self.live[cell.name] = self._begin(cell, clean.get(tap_of(cell.config.model)))
        return {cell.name: self.live[cell.name].fit.epoch for cell in cells}

    def _begin(self, cell: Cell, clean: CleanFeatures | None) -> CellFit:
        cohort = self.workspace.cohort
        rows = dict(rows_of(cell.learns_from(cohort.images), cohort.images))
        encoder = self.workspace.encoders.get(cell.name) or encoding.fit(
            cohort.images.loc[rows["train"]], cohort.features, missing_indicators=cell.config.data.missing_indicators
        )
        train, validation = (_part(cohort.images.loc[rows[part]], encoder) for part in ("train", "validation"))
        n_rows = self.stream.n_rows
        fit = Fit(cell.name, cell.config, self.backbone, train, validation, n_rows=n_rows, seed=cell.fit_seed)
        state = read_checkpoint(self.workspace.cell_folder(cell.name), cell.key)
        if state is not None:
            fit.restore(torch.load(io.BytesIO(state), map_location="cpu", weights_only=True))
        return CellFit(cell, fit, encoder, rows, clean)

    def taps(self, names: Sequence[str]) -> list[Tap]:
        """Return the trunk features that fits need."""
        return image_taps([self.live[name].cell for name in names])

    def consume(self, names: Sequence[str], chunk: Chunk) -> None:
        """Train fits on their rows of a chunk."""
        for name in names:
            self.live[name].fit.consume(chunk)

    def end_epoch(self, names: Sequence[str]) -> list[EpochEnd]:
        """End the epoch of fits; one whose loss is no number stops as diverged."""
        return [self._end_epoch(self.live[name]) for name in names]

    def _end_epoch(self, one: CellFit) -> EpochEnd:
        try:
            one.fit.end_epoch(one.clean.take if one.clean is not None else None)
        except FitDivergedError as error:
            one.fit.stop(DIVERGED)
            return EpochEnd(_snapshot(one.fit), None, str(error))
        return EpochEnd(_snapshot(one.fit), _progress(one.fit))

    def settle(self, names: Sequence[str], reasons: Mapping[str, str]) -> dict[str, FitProgress | None]:
        """Between two epochs: stop fits, write the records of those that have stopped, keep the state of the others.

        Args:
            names: fits that have ended the epoch.
            reasons: name -> why it is to stop.

        Returns:
            The fits that have left: name -> progress, None for one that diverged and leaves no record.
        """
        left: dict[str, FitProgress | None] = {}
        for name in names:
            one = self.live[name]
            if name in reasons:
                one.fit.stop(reasons[name])
            if one.fit.stopped:
                left[name] = self._leave(self.live.pop(name))
            else:
                self._keep_state(one)
        return left

    def _leave(self, one: CellFit) -> FitProgress | None:
        """Write the output of a fit that has stopped."""
        diverged = one.fit.stopped == DIVERGED
        if not diverged:
            write_output(one, self.backbone, self.workspace)
        for kind, took in one.fit.seconds.items():
            self._seconds[kind] += took
        return None if diverged else _progress(one.fit)

    def _keep_state(self, one: CellFit) -> None:
        """Keep the state of a live fit every few epochs, for a run that is continued."""
        every = self.workspace.checkpoint_every
        if every and one.fit.epoch % every == 0:
            folder, state = self.workspace.cell_folder(one.cell.name), _packed(one.fit.state())
            write_checkpoint(folder, one.cell.key, state, epoch=one.fit.epoch)

    def seconds(self) -> dict[str, float]:
        """Return the seconds of this process by kind of work, once its fits have left."""
        return self._seconds | self.stream.seconds


def train_rows(cell: Cell, images: pd.DataFrame) -> np.ndarray:
    """Return the cohort row numbers (n,) of a cell's training part."""
    return dict(rows_of(cell.learns_from(images), images))["train"]


def _part(images: pd.DataFrame, encoder: TabularEncoder) -> Part:
    return Part(images.index.to_numpy(), images["label"].to_numpy(dtype=np.float32), encoder.transform(images))


def _packed(state: dict[str, Any]) -> bytes:
    """Return the state of a fit as bytes that `torch.load` reads without running code."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _snapshot(fit: Fit) -> FitSnapshot:
    logits = fit.validation_logits.view()
    logits.flags.writeable = False
    return FitSnapshot(fit.name, fit.epoch, fit.best_epoch, logits, fit.stopped)


def _progress(fit: Fit) -> FitProgress:
    return FitProgress(
        name=fit.name,
        uses_images=fit.config.uses_images,
        epoch=fit.epoch,
        max_epochs=fit.config.train.max_epochs,
        best_epoch=fit.best_epoch,
        stopped=fit.stopped,
        latest=dict(fit.history[-1]),
    )
