"""Request of a user: the cohort's place, the settings, folders, and how the work is done."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # the help of a command does without pandas and pydantic
    from mmbc.data.readers import Source
    from study.design.study_file import StudyFile

Executor = Literal["lockstep", "sequential"]
EXECUTORS: tuple[Executor, ...] = ("lockstep", "sequential")
CACHE_GIB = 20.0
CHECKPOINT_EVERY = 5
MOST_PROCESSES = 1024
"""Most processes of one run."""
WAVE = 5
"""Trials of an arm in a fold that a search asks for at once."""
CANDIDATES = 8
"""Configurations that the ledger's leak of tuning on test parts compares."""
TRACKERS = ("tensorboard", "mlflow", "wandb")
"""What `--track` names: packages, and the extras that install them."""
CACHE = ".cache"
"""Folder below `--out` that holds what can be made again: stored pixels, clean features, phantom images."""


@dataclass(frozen=True)
class Tolerance:
    """Tolerance of missing and unreadable files and of telling columns; patients left out on purpose."""

    allow_missing_images: bool = False
    max_unreadable: int = 0
    limit_patients: int | None = None
    allow_leaky: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """A study as asked for, before anything is read.

    Attributes:
        source: where the cohort comes from.
        study: settings with the chosen arms alone.
        out: folder of all studies.
        name: the study's name; empty for cohort and preset.
        tolerance: what may be absent from the cohort.
        folds_file: the user's own splits, or None.
        executor: how the cells are run; the results are the same.
        jobs: processes that share the work; 0 for as many as pay.
        max_live_fits: at most so many train together; None for as many as fit into memory.
        checkpoint_every: epochs after which unfinished fits are kept; 0 for never.
        cache_gib: how much the clean features may take on disk, in GiB.
        force: start over.
        plan: the analysis plan to follow, or None.
        track: a tracker that gets the curves of training, of `TRACKERS`; empty for none.
    """

    source: "Source"
    study: "StudyFile"
    out: Path
    name: str = ""
    tolerance: Tolerance = Tolerance()
    folds_file: Path | None = None
    executor: Executor = "lockstep"
    jobs: int = 0
    max_live_fits: int | None = None
    checkpoint_every: int = CHECKPOINT_EVERY
    cache_gib: float = CACHE_GIB
    force: bool = False
    track: str = ""
    plan: Path | None = None

    @property
    def cache(self) -> Path:
        """Folder of what can be made again, shared by the studies below `out`."""
        return self.out / CACHE
