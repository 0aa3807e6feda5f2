"""The training of any list of cells: two loops over one stream of trunk features.

    sequential:  for fit in fits:                      lockstep:  for epoch in ...:
                   for epoch in ...:                                  for chunk in stream(seed, epoch):  # trunk: once
                     for chunk in stream(seed, epoch):                  for fit in live_fits:
                       fit.consume(chunk)                                 fit.consume(chunk)

Both give the same bits; `sequential` is the plain reference, which is lockstep over groups of one.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from mmbc.config import digest
from mmbc.data.splits import rows_of
from mmbc.data.tables import encoding
from mmbc.data.tables.encoding import TabularEncoder
from mmbc.errors import StudyError
from mmbc.model.backbone import Backbone, Tap, tap_of
from mmbc.training.device import configure
from mmbc.training.fit import Fit, FitDivergedError, Part
from mmbc.training.stream import CleanFeatures, Stream, TrunkTask
from study.design.cells import Cell
from study.records.cell_records import read_checkpoint, write_checkpoint
from study.records.progress import DIVERGED, FitProgress, FitSnapshot, Observer
from study.training.cell_output import CellFit, write_output
from study.training.memory import group_memory
from study.training.stream_groups import Backbones, image_taps, name_of_pass, stream_groups
from study.training.workspace import Workspace

WORK = ("augmentation", "trunk", "tails", "evaluation")

AfterEpoch = Callable[[int, Sequence[FitSnapshot]], Mapping[str, str] | None]
"""Called with the epoch's number (0, 1, ...) and every fit that ran in it; returns name -> reason of any to stop."""


def execute(
    cells: Sequence[Cell],
    workspace: Workspace,
    *,
    after_epoch: AfterEpoch | None = None,
    observer: Observer | None = None,
    spare_diverged: bool = False,
) -> dict[str, float]:
    """Train cells of any configurations and splits; each leaves its record in `workspace.folder / "cells"`.

    Args:
        cells: what to train.
        workspace: on what, how, and where the records go.
        after_epoch: called after every epoch; may stop fits.
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
    backbones = Backbones()
    observer = observer or Observer()
    for group in stream_groups(cells, workspace.executor):
        backbone = backbones.of(group)
        limit = workspace.max_live_fits or 1
        if workspace.max_live_fits is None and len(group) > 1:
            limit = group_memory(group, workspace.cohort, backbone).n_live
        for start in range(0, len(group), limit):
            together = group[start : start + limit]
            observer.begun([cell.name for cell in together])
            run = _LockstepRun(together, backbone, workspace, after_epoch, observer, spare_diverged)
            for kind, took in run.run().items():
                seconds[kind] += took
    return seconds


class _LockstepRun:
    """The training of some cells that share a stream, from their first epoch to their records."""

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
        self.stream = Stream(
            self.n_rows,
            backbone,
            pixels,
            config.augment,
            config.run,
            seed=cells[0].stream_seed,
            n_views=config.train.view_bank,
            bank_seed=cells[0].bank_seed,
        )
        self.seconds = dict.fromkeys(WORK, 0.0)
        clean = self._clean_features(cells)
        self.live = [self._begin(cell, clean.get(tap_of(cell.config.model))) for cell in cells]

    def run(self) -> dict[str, float]:
        """Advance every live fit epoch by epoch, and return the seconds by work; a fit that has stopped leaves."""
        while self.live:
            # fits that were continued from an older checkpoint catch up first
            epoch = min(one.fit.epoch for one in self.live)
            together = [one for one in self.live if one.fit.epoch == epoch]
            self._pass(epoch, together)
            for one in together:
                self._end_epoch(one)
            self._stop_fits(epoch, [one.fit for one in together])
            for one in together:
                if one.fit.stopped:
                    self._leave(one)
                else:
                    self._keep_state(one)
        for kind, took in self.stream.seconds.items():
            self.seconds[kind] += took
        return self.seconds

    def _begin(self, cell: Cell, clean: CleanFeatures | None) -> CellFit:
        cohort = self.workspace.cohort
        rows = dict(rows_of(cell.learns_from(cohort.images), cohort.images))
        encoder = self.workspace.encoders.get(cell.name) or encoding.fit(
            cohort.images.loc[rows["train"]], cohort.features, missing_indicators=cell.config.data.missing_indicators
        )
        train, validation = (_part(cohort.images.loc[rows[part]], encoder) for part in ("train", "validation"))
        fit = Fit(cell.name, cell.config, self.backbone, train, validation, n_rows=self.n_rows, seed=cell.fit_seed)
        state = read_checkpoint(self.workspace.cell_folder(cell.name), cell.key)
        if state is not None:
            fit.restore(torch.load(io.BytesIO(state), map_location="cpu", weights_only=True))
            self.observer.restored(cell.name, fit.epoch)
        return CellFit(cell, fit, encoder, rows, clean)

    def _clean_features(self, cells: Sequence[Cell]) -> dict[Tap, CleanFeatures]:
        """Return the features without augmentation by tap; empty without a trunk."""
        if self.backbone is None or self.workspace.store is None:
            return {}
        return self.stream.prepare(
            self.workspace.cache,
            image_taps(cells),
            self.workspace.store.digest,
            self._fill,
            limit_gib=self.workspace.cache_gib,
        )

    def _fill(self, tasks: Sequence[TrunkTask]) -> None:
        for n_done, task in enumerate(tasks, 1):
            self.stream.fill(task)
            done = self.n_rows if n_done == len(tasks) else n_done * len(tasks[0].rows)
            self.observer.preparing(name_of_pass(task.epoch), done, self.n_rows)

    def _pass(self, epoch: int, together: Sequence[CellFit]) -> None:
        """Let the cohort pass by once."""
        wanted = np.zeros(self.n_rows, dtype=bool)
        for one in together:
            wanted[one.rows["train"]] = True
        taps = image_taps([one.cell for one in together])
        passed = 0
        for chunk in self.stream.chunks(epoch, wanted, taps):
            for one in together:
                one.fit.consume(chunk)
            passed += len(chunk.rows)
            self.observer.advanced(epoch, passed, self.n_rows)

    def _end_epoch(self, one: CellFit) -> None:
        try:
            one.fit.end_epoch(one.clean.take if one.clean is not None else None)
        except FitDivergedError:
            if not self.spare_diverged:
                raise
            one.fit.stop(DIVERGED)
        else:
            self.observer.epoch_ended(_progress(one.fit))

    def _stop_fits(self, epoch: int, fits: Sequence[Fit]) -> None:
        """Show the fits of an epoch to whoever looks on, and stop those that are to stop."""
        if self.after_epoch is not None:
            reasons = self.after_epoch(epoch, [_snapshot(fit) for fit in fits]) or {}
            for fit in fits:
                if fit.name in reasons:
                    fit.stop(reasons[fit.name])

    def _leave(self, one: CellFit) -> None:
        """Write the output of a fit that has stopped, and let it go."""
        if one.fit.stopped == DIVERGED:
            self.observer.dropped(one.cell.name)
        else:
            write_output(one, self.backbone, self.workspace)
            self.observer.finished(_progress(one.fit))
        for kind, took in one.fit.seconds.items():
            self.seconds[kind] += took
        self.live.remove(one)

    def _keep_state(self, one: CellFit) -> None:
        """Keep the state of a live fit every few epochs, for a run that is continued."""
        every = self.workspace.checkpoint_every
        if every and one.fit.epoch % every == 0:
            folder, state = self.workspace.cell_folder(one.cell.name), _packed(one.fit.state())
            write_checkpoint(folder, one.cell.key, state, epoch=one.fit.epoch)


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
