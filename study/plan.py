"""From a study file to the list of cells: every model to train, with its configuration, split and seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mmbc.config import Config, digest
from mmbc.data.splits import Split
from study.folds import split_digest
from study.settings import BASELINE, StudyFile

ROLES = ("fit", "stream")


@dataclass(frozen=True)
class Cell:
    """One model to train.

    Attributes:
        arm: name of the ablation, or `BASELINE`.
        config: resolved configuration.
        split: its patients.
        repeat, fold, seed: its coordinates.
        leak: name of a deliberate leak, or None.
    """

    arm: str
    config: Config
    split: Split
    repeat: int
    fold: int
    seed: int
    leak: str | None = None

    @property
    def name(self) -> str:
        """`concat.r0.f3.s0`."""
        return f"{self.arm}.r{self.repeat}.f{self.fold}.s{self.seed}"

    @cached_property
    def config_digest(self) -> str:
        """Digest of the resolved configuration."""
        return digest(self.config)

    @cached_property
    def split_digest(self) -> str:
        """Digest of the patients in each part."""
        return split_digest(self.split)

    @property
    def fit_seed(self) -> int:
        """Seed of initialisation, batches and dropout; the arm is no part of it, so arms differ in nothing else."""
        return derived_seed(self.seed, self.repeat, self.fold, "fit")

    @property
    def stream_seed(self) -> int:
        """Seed of the order and the augmentation; one for all folds and repeats of a training seed."""
        return derived_seed(self.seed, 0, 0, "stream")

    @property
    def key(self) -> dict[str, object]:
        """What a finished cell must agree with to be taken for this one."""
        return {
            "name": self.name, "config_digest": self.config_digest, "split_digest": self.split_digest,
            "seed": self.seed, "fit_seed": self.fit_seed, "stream_seed": self.stream_seed, "leak": self.leak,
        }  # fmt: skip


def derived_seed(seed: int, repeat: int, fold: int, role: str) -> int:
    """Return a seed that depends on the coordinates alone, never on the order of execution."""
    return int(np.random.SeedSequence([seed, repeat, fold, ROLES.index(role)]).generate_state(1)[0])


def plan(study: StudyFile, arms: Sequence[str], splits: dict[tuple[int, int], Split]) -> list[Cell]:
    """Return the cells of some arms: every split of the first `repeats` repeats, every seed, in a stable order."""
    configs = {arm: study.arm_config(arm) for arm in arms}
    return [
        Cell(arm, configs[arm], split, repeat, fold, seed)
        for seed in range(study.protocol.seeds)
        for (repeat, fold), split in sorted(splits.items())
        if repeat < study.protocol.repeats
        for arm in arms
    ]


def baseline_cells(study: StudyFile, splits: dict[tuple[int, int], Split]) -> list[Cell]:
    """Return the cells of the logistic baseline: it draws nothing at random, so one seed stands for all."""
    config = study.config
    return [
        Cell(BASELINE, config, split, repeat, fold, 0)
        for (repeat, fold), split in sorted(splits.items())
        if repeat < study.protocol.repeats
    ]
