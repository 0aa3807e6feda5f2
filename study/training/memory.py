"""Memory estimate of cells that train together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mmbc.data.cohort import Cohort
from mmbc.data.tables import encoding
from mmbc.model.backbone import Backbone
from mmbc.training.device import configure
from mmbc.training.memory import available_bytes, fit_bytes, pass_bytes
from study.design.cells import Cell
from study.design.request import Executor
from study.training.process_number import process_number
from study.training.stream_groups import Backbones, image_taps, stream_groups

SAFE_SHARE = 0.8
"""Share of the free memory that a run plans with."""
PROCESS = 300 * 2**20
"""Bytes of a worker process beside what it computes: Python, torch, the cohort."""


@dataclass(frozen=True)
class Memory:
    """Memory of a group of cells in bytes.

    Attributes:
        shared: trunk, one batch and one chunk, and the largest training step: of every process.
        per_fit: what every live fit adds.
        free: what the device has.
        n_cells: how many cells there are.
        n_processes: that share the work.
    """

    shared: int
    per_fit: int
    free: int
    n_cells: int
    n_processes: int = 1

    @property
    def fixed(self) -> int:
        """Bytes that the processes take, whatever the number of fits."""
        return self.shared if self.n_processes == 1 else self.n_processes * (self.shared + PROCESS)

    @property
    def n_live(self) -> int:
        """Number of fits that fit into memory at the same time, at least one."""
        room = SAFE_SHARE * self.free - self.fixed
        return min(self.n_cells, max(1, int(room // max(self.per_fit, 1))))

    @property
    def needed(self) -> int:
        """Bytes taken when `n_live` fits train together."""
        return self.fixed + self.n_live * self.per_fit

    @property
    def most_processes(self) -> int:
        """Number of processes that leave half of the room to the fits, at least one."""
        return max(1, int(SAFE_SHARE * self.free / 2) // (self.shared + PROCESS))


def expected_memory(cells: Sequence[Cell], cohort: Cohort, executor: Executor, jobs: int) -> list[Memory]:
    """Return the memory of each group of cells that share a stream, for as many processes as train them."""
    if not cells:
        return []
    configure(cells[0].config.run)
    backbones = Backbones()
    return [group_memory(group, cohort, backbones.of(group), jobs) for group in stream_groups(cells, executor)]


def group_memory(group: Sequence[Cell], cohort: Cohort, backbone: Backbone | None, jobs: int) -> Memory:
    """Estimate the memory of cells that share a stream, and how many processes train them (`process_number`)."""
    config = group[0].config
    kinds = {cell.config_digest: cell.config for cell in group}.values()
    shared, shapes = pass_bytes(config, backbone, image_taps(group))
    # the width of the encoded table of all rows; that of a single fit may be a little less
    n_tabular = encoding.fit(cohort.images, cohort.features, missing_indicators=True).n_outputs
    sizes = [fit_bytes(kind, backbone, n_tabular, shapes) for kind in kinds]
    memory = Memory(
        shared=shared + max(step for _, step in sizes),
        per_fit=max(kept for kept, _ in sizes),
        free=available_bytes(config.run.device),
        n_cells=len(group),
    )
    n = process_number(jobs, group, len(cohort.images), memory.most_processes)
    return replace(memory, n_processes=n)
