"""From a study file to the list of cells: every model to train, with its configuration, split and seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from mmbc.config import Config, digest
from mmbc.data.splits import Split, nested_share
from study.design.folds import split_digest
from study.design.search_results import SearchResult, arm_configs
from study.design.study_file import BASELINE, StudyFile

ROLES = ("fit", "stream", "share")


@dataclass(frozen=True)
class Cell:
    """One model to train.

    Attributes:
        arm: name of the ablation, or `BASELINE`.
        config: resolved configuration.
        split: its patients.
        repeat, fold, seed: its coordinates.
        leak: name of a deliberate leak, or None.
        first_seed: of the study (`protocol.first_seed`): seed 0 of the coordinates stands for this one.
    """

    arm: str
    config: Config
    split: Split
    repeat: int
    fold: int
    seed: int
    leak: str | None = None
    first_seed: int = 0

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
        return derived_seed(self.first_seed + self.seed, self.repeat, self.fold, "fit")

    @property
    def stream_seed(self) -> int:
        """Seed of the order and the augmentation; one for all folds and repeats of a training seed."""
        return derived_seed(self.first_seed + self.seed, 0, 0, "stream")

    @property
    def bank_seed(self) -> int:
        """Seed of the views that all seeds of a study draw from (`train.view_bank`): the first stream's."""
        return derived_seed(self.first_seed, 0, 0, "stream")

    def learns_from(self, images: pd.DataFrame) -> Split:
        """Return the split with the training patients that the model learns from: all, or the share `train.fraction`.

        The share is drawn anew for every fold and seed, and is the same for all arms.
        """
        fraction = self.config.train.fraction
        if fraction == 1:
            return self.split
        seed = derived_seed(self.first_seed + self.seed, self.repeat, self.fold % 2**32, "share")
        labels = {str(patient): int(label) for patient, label in images.groupby("patient_id")["label"].max().items()}
        drawn = nested_share(self.split.train, labels, fraction, np.random.default_rng(seed))
        return replace(self.split, train=drawn)

    @property
    def key(self) -> dict[str, object]:
        """Facts that a finished cell must agree with to be taken for this one."""
        return {
            "name": self.name,
            "config_digest": self.config_digest,
            "split_digest": self.split_digest,
            "seed": self.seed,
            "fit_seed": self.fit_seed,
            "stream_seed": self.stream_seed,
            "leak": self.leak,
        }


@dataclass(frozen=True)
class TrialCell(Cell):
    """One fit of a trial of a search.

    Attributes:
        fold: the fold whose training part is searched (`study.design.search_results.WHOLE` for the whole cohort); of a
            flat search, the fold whose validation part judges.
        trial: name of the trial.
        inner: the inner fold, or None in a flat search.
    """

    trial: str = ""
    inner: int | None = None

    @property
    def name(self) -> str:
        """`concat.r0.f2.t12.i1`, or, in a flat search, `concat.t12.r0.f2`."""
        part = f"i{self.inner}" if self.inner is not None else f"r{self.repeat}.f{self.fold}"
        return f"{self.trial}.{part}"

    @property
    def fit_seed(self) -> int:
        """Seed of initialisation, batches and dropout: one for all trials; in a flat search the study's own."""
        if self.inner is None:
            return super().fit_seed
        # the fold of the whole cohort is -1, and seeds are not negative
        return derived_seed(self.first_seed + self.seed, self.repeat, self.fold % 2**32, "fit", self.inner)


def derived_seed(seed: int, repeat: int, fold: int, role: str, *inner: int) -> int:
    """Return a seed that depends on the coordinates alone, never on the order of execution."""
    return int(np.random.SeedSequence([seed, repeat, fold, ROLES.index(role), *inner]).generate_state(1)[0])


def plan(
    study: StudyFile, arms: Sequence[str], splits: Mapping[tuple[int, int], Split], searched: SearchResult | None = None
) -> list[Cell]:
    """Return the cells of some arms: every split of the first `repeats` repeats, every seed, in a stable order.

    Of a study that searches, those whose configuration has been found.
    """
    configs = arm_configs(study, searched, list(splits))
    return [
        Cell(arm, configs[arm, repeat, fold], split, repeat, fold, seed, first_seed=study.protocol.first_seed)
        for seed in range(study.protocol.seeds)
        for (repeat, fold), split in sorted(splits.items())
        if repeat < study.protocol.repeats
        for arm in arms
        if (arm, repeat, fold) in configs
    ]


def baseline_cells(study: StudyFile, splits: Mapping[tuple[int, int], Split]) -> list[Cell]:
    """Return the cells of the logistic baseline: it draws nothing at random, so one seed stands for all."""
    config = study.config
    return [
        Cell(BASELINE, config, split, repeat, fold, 0)
        for (repeat, fold), split in sorted(splits.items())
        if repeat < study.protocol.repeats
    ]
