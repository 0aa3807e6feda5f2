"""Number of processes that pay for training some cells on this machine."""

from collections.abc import Sequence

from mmbc.threads import available_cores
from study.design.cells import Cell

WORTH = 10.0
"""Seconds of work for which a process is started; its start takes up to 3 s of a processor."""
PER_FIT = 2
"""Processes that a single fit keeps busy: one trains it while the other computes the trunk."""
TABLE, TRUNK, BLOCK = 0.1, 10.0, 7.5
"""Rough milliseconds of one thread for an image and epoch at 224 pixels: a fit's head, the trunk, a fine-tuned block.
They were measured with Lite0; nothing but the number of processes and who trains what depends on them."""


def cost(cell: Cell) -> float:
    """Return the rough milliseconds that a cell's own work takes an image of the cohort and epoch."""
    config = cell.config
    own = BLOCK * config.model.fine_tuned_blocks * _size(cell) if config.uses_images else 0.0
    return config.train.fraction * (TABLE + own)


def _size(cell: Cell) -> float:
    return (cell.config.data.image_size / 224) ** 2


def expected_work(group: Sequence[Cell], n_rows: int) -> float:
    """Return the rough seconds of one thread that cells of one stream take, every fit to its last epoch."""
    epochs = [cell.config.train.max_epochs for cell in group]
    trunk = max(epochs) * max(TRUNK * _size(cell) if cell.config.uses_images else 0.0 for cell in group)
    own = sum(cost(cell) * n for cell, n in zip(group, epochs, strict=True))
    return n_rows * (trunk + own) / 1000


def process_number(jobs: int, group: Sequence[Cell], n_rows: int, most: int) -> int:
    """Return how many processes train cells that share a stream; with 1 it is this one.

    Args:
        jobs: as asked for; 0 for as many as pay: no more than cores, than the work is worth, than the fits keep busy,
            or than have room in memory. A GPU is not shared.
        group: the cells.
        n_rows: images in the cohort.
        most: that have room in memory.
    """
    if group[0].config.run.device != "cpu":
        return 1
    if jobs:
        return jobs
    worth = int(expected_work(group, n_rows) / WORTH)
    return max(1, min(available_cores(), worth, PER_FIT * len(group), most))
