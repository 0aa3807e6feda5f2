"""Time estimate of a run, from a few timed steps of each kind on noise."""

import sys
import time
from collections.abc import Sequence

import numpy as np

from mmbc.model.backbone import Backbone
from mmbc.training.device import configure
from mmbc.training.fit import Fit, Part
from mmbc.training.stream import Stream
from study.design.cells import Cell
from study.design.request import Executor
from study.training.process_number import process_number
from study.training.stream_groups import Backbones, image_taps, images_key, n_passes, stream_groups

BATCHES = 3
"""Batches that are timed, of each kind."""


def expected_seconds(cells: Sequence[Cell], n_rows: int, executor: Executor, jobs: int) -> float:
    """Estimate the longest time that training some cells on a cohort of `n_rows` images can take here, in seconds.

    The trunk runs once per epoch for all cells of a stream in lockstep, once per cell and epoch in sequence, and once
    per view of a bank, which several streams share. Processes share the work evenly, but for a fit's own.
    """
    configure(cells[0].config.run)
    backbones = Backbones()
    seconds, banks = 0.0, set[str]()
    for group in stream_groups(cells, "lockstep"):
        backbone = backbones.of(group)
        trunk = 0.0
        if not group[0].config.train.view_bank or images_key(group[0]) not in banks:
            trunk = _trunk_seconds(group, backbone) * n_rows * n_passes(group, executor)
        banks.add(images_key(group[0]))
        by_config = {cell.config_digest: cell for cell in group}
        step = {key: _step_seconds(cell, backbone) for key, cell in by_config.items()}
        own = [
            n_rows * _training_share(cell) * cell.config.train.max_epochs * step[cell.config_digest] for cell in group
        ]
        together = own if executor == "lockstep" else [sum(own)]
        seconds += max((trunk + sum(own)) / process_number(jobs, group, n_rows, sys.maxsize), *together)
    return seconds


def _training_share(cell: Cell) -> float:
    """Return the share of a cell's patients that it is trained on."""
    share = len(cell.split.train) / sum(len(ids) for ids in cell.split.parts().values())
    return cell.config.train.fraction * share


def _trunk_seconds(group: Sequence[Cell], backbone: Backbone | None) -> float:
    """Return the seconds per image of one pass through the trunk; 0 without one."""
    if backbone is None:
        return 0.0
    config = group[0].config
    n, size = BATCHES * config.run.trunk_batch, config.data.image_size
    noise = np.random.default_rng(0).integers(0, 255, (n, size, size), dtype=np.uint8)
    stream = Stream(n, backbone, noise, config.augment, config.run, seed=0)
    for epoch in (0, 1):  # the first pass warms up
        began = time.perf_counter()
        for _ in stream.chunks(epoch, np.ones(n, dtype=bool), image_taps(group)):
            pass
    return (time.perf_counter() - began) / n


def _step_seconds(cell: Cell, backbone: Backbone | None) -> float:
    """Return the seconds per image of training behind the trunk."""
    config = cell.config
    n, size = BATCHES * config.train.batch_size, config.data.image_size
    rng = np.random.default_rng(0)
    part = Part(np.arange(n), (np.arange(n) % 2).astype(np.float32), rng.random((n, 3), dtype=np.float32))
    fit = Fit("probe", config, backbone, part, part, n_rows=n, seed=0)
    stream = Stream(n, backbone, np.zeros((n, size, size), dtype=np.uint8), config.augment, config.run, seed=0)
    chunks = list(stream.chunks(0, np.ones(n, dtype=bool), [fit.tap]))
    fit.consume(chunks[0])
    began = time.perf_counter()
    for chunk in chunks:
        fit.consume(chunk)
    return (time.perf_counter() - began) / sum(len(chunk.rows) for chunk in chunks)
