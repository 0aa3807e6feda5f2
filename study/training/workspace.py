"""The place cells are trained in: the rows and pixels they are trained on, and where their records go."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from mmbc.data.cohort import Cohort
from mmbc.data.images.store import ImageStore
from mmbc.data.tables.encoding import TabularEncoder
from study.design.request import CACHE_GIB, CHECKPOINT_EVERY, Executor, Request
from study.training.worker_pool import WorkerPool


@dataclass(frozen=True)
class Workspace:
    """Rows and pixels of cells, how they are trained, and where records go; without its pool it can be sent to workers.

    Attributes:
        cohort: the rows.
        store: their pixels; None where no arm uses images.
        folder: the study's folder.
        cache: where clean features are kept between runs.
        cache_gib: how much they may take, in GiB.
        checkpoint_every: epochs after which the state of every live fit is kept; 0 for never.
        executor: `lockstep`, or one cell after the other; the results are the same.
        pool: the processes that share the work; None for this one alone.
        max_live_fits: at most so many train together; None for as many as fit into memory.
        keep_models: whether a record has the weights; the trials of a search leave predictions alone.
        out_of_fold: cell name -> (rows, logits) for cells without a validation part: the predictions of its training
            rows by models that did not see them, which calibration and thresholds are then learned from.
        encoders: cell name -> encoder of its clinical columns in place of one fitted on its training rows: a leak, for
            those who measure what it is worth (`study.leaks`).
    """

    cohort: Cohort
    store: ImageStore | None
    folder: Path
    cache: Path
    cache_gib: float = CACHE_GIB
    checkpoint_every: int = CHECKPOINT_EVERY
    executor: Executor = "lockstep"
    pool: WorkerPool | None = None
    max_live_fits: int | None = None
    keep_models: bool = True
    out_of_fold: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    encoders: Mapping[str, TabularEncoder] = field(default_factory=dict)

    @classmethod
    def of(
        cls, request: Request, cohort: Cohort, store: ImageStore | None, folder: Path, pool: WorkerPool | None = None
    ) -> Self:
        """Return the workspace of a study that is trained as asked for, by the processes of a pool."""
        return cls(
            cohort,
            store,
            folder,
            request.cache,
            cache_gib=request.cache_gib,
            checkpoint_every=request.checkpoint_every,
            executor=request.executor,
            pool=pool,
            max_live_fits=request.max_live_fits,
        )

    @property
    def jobs(self) -> int:
        """Number of processes asked for; 0 for as many as pay."""
        return self.pool.jobs if self.pool is not None else 1

    def cell_folder(self, name: str) -> Path:
        """Return where the record of a cell lies or will lie."""
        return self.folder / "cells" / name
