"""Targets of a search: one for each arm in each fold, with the rows it may see and its budget."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mmbc.config import Config, apply_changes, digest, identity
from mmbc.data.splits import Split
from study.design.cells import TrialCell
from study.design.folds import Folds, inner_splits, split_digest
from study.design.search_results import WHOLE
from study.design.search_space import Hole, holes_of, holes_of_arm
from study.design.study_file import Search, StudyFile
from study.training.preparation import Planned


@dataclass(frozen=True)
class Target:
    """One search: an arm, and the rows that may decide on its settings.

    Attributes:
        study: settings, `study.search` among them.
        arm: its name.
        repeat, fold: the fold whose test part is held out; `fold` is WHOLE where none is.
        splits: of each trial's fits, without a test part: inner folds (nested) or the study's folds (flat).
        places: (repeat, fold, inner fold or None) of each split.
        holes: what is searched.
    """

    study: StudyFile
    arm: str
    repeat: int
    fold: int
    splits: tuple[Split, ...]
    places: tuple[tuple[int, int, int | None], ...]
    holes: tuple[Hole, ...]

    @property
    def search(self) -> Search:
        """Mode, budget and rules of the search."""
        assert self.study.search is not None
        return self.study.search

    @cached_property
    def name(self) -> str:
        """`concat/fold-2`, `concat/repeat-1-fold-2`, `concat/whole` or `concat/flat`."""
        if self.fold == WHOLE:
            return f"{self.arm}/{'flat' if self.search.mode == 'flat' else 'whole'}"
        return f"{self.arm}/" + (f"repeat-{self.repeat}-" if self.repeat else "") + f"fold-{self.fold}"

    @cached_property
    def short(self) -> str:
        """Beginning of the names of its trials: `concat.r0.f2`, `concat.whole`, `concat.flat`."""
        where = self.name.partition("/")[2] if self.fold == WHOLE else f"r{self.repeat}.f{self.fold}"
        return f"{self.arm}.{where}"

    def record(self, number: int) -> str:
        """Return the name of a trial, which its cells' names begin with."""
        return f"{self.short}.t{number}"

    def config(self, values: dict[str, Any]) -> Config:
        """Return the arm's configuration with the values of a trial."""
        return apply_changes(self.study.arm_config(self.arm), values, f"a trial of {self.name}")

    def cells(self, number: int, config: Config) -> list[TrialCell]:
        """Return the fits of a trial."""
        return [
            TrialCell(
                self.arm,
                config,
                split,
                repeat,
                fold,
                0,
                first_seed=self.study.protocol.first_seed,
                trial=self.record(number),
                inner=inner,
            )
            for split, (repeat, fold, inner) in zip(self.splits, self.places, strict=True)
        ]

    def digest(self, cohort_digest: str) -> str:
        """Return what the trials depend on: cohort, configuration, rules and rows; more trials are the same search."""
        left_out = ("trials", "whole", "space", "select")
        rules = {key: value for key, value in identity(self.search).items() if key not in left_out}
        return digest(
            {
                "cohort": cohort_digest,
                "config": digest(self.study.arm_config(self.arm)),
                "rules": rules,
                "holes": [[hole.key, hole.kind, list(hole.values)] for hole in self.holes],
                "splits": [split_digest(split) for split in self.splits],
                "unit": self.study.unit,
                "pooling": [self.study.protocol.pool_views, self.study.protocol.pool_breasts],
            }
        )


def targets_of(planned: Planned) -> list[Target]:
    """Return every search of a study: arm by arm in each fold, then on the whole cohort.

    Raises:
        ConfigError: a space that does not fit the configuration or an arm.
    """
    study = planned.study
    assert study.search is not None
    holes = holes_of(study)
    by_arm = {arm: tuple(holes_of_arm(study, arm, holes)) for arm in study.arms}
    return [
        Target(study, arm, repeat, fold, splits, places, by_arm[arm])
        for repeat, fold, splits, places in _places(study, planned.folds)
        for arm in study.arms
    ]


Place = tuple[int, int, tuple[Split, ...], tuple[tuple[int, int, int | None], ...]]


def _places(study: StudyFile, folds: Folds) -> Iterator[Place]:
    assert study.search is not None
    within = folds.until(study.protocol.repeats)
    if study.search.mode == "flat":
        untested = tuple(Split(fold.split.train, fold.split.validation, ()) for fold in within)
        yield 0, WHOLE, untested, tuple((fold.repeat, fold.fold, None) for fold in within)
        return
    for fold in within:
        yield _nested(fold.repeat, fold.fold, fold.inner)
    if study.search.whole:
        yield _nested(0, WHOLE, folds.whole)


def _nested(repeat: int, fold: int, parts: Sequence[Sequence[str]]) -> Place:
    splits = tuple(inner_splits(parts))
    return repeat, fold, splits, tuple((repeat, fold, inner) for inner in range(len(splits)))
