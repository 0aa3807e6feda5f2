"""What is searched: one target for each arm in each fold, with an Optuna study, the rows it may see, and its budget."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from mmbc.config import Config, apply_changes, digest, identity
from mmbc.data.splits import Split
from mmbc.errors import StudyError
from study.design.cells import TrialCell
from study.design.folds import Folds, inner_splits, split_digest
from study.design.search_results import WHOLE
from study.design.search_space import Hole, holes_of, holes_of_arm, reference
from study.design.study_file import Search, StudyFile
from study.training.preparation import Planned
from study.tuning.sampling import NumberedTPE, pruner

DIGEST = "mmbc:digest"
"""Study attribute: what its trials depend on, so that trials of another search are never taken for these."""
MARK = "mark"
"""Trial attribute: `reference`, or which lost trial this one makes up for. Two trials of one mark never count both."""
REFERENCE = "reference"
WORKER = "worker"
COUNTED = (TrialState.RUNNING, TrialState.WAITING, TrialState.COMPLETE, TrialState.PRUNED)


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
        """How the search is made."""
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
            TrialCell(self.arm, config, split, repeat, fold, 0, trial=self.record(number), inner=inner)
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


class Searching:
    """A target and its Optuna study, created or joined."""

    def __init__(self, target: Target, name: str, storage: BaseStorage, cohort_digest: str) -> None:
        self.target = target
        self.budget = target.search.trials
        optuna_name = f"{name}/{target.name}"
        self.study = optuna.create_study(
            storage=storage,
            study_name=optuna_name,
            direction="maximize",
            load_if_exists=True,
            sampler=NumberedTPE(target.search.seed, target.name, self.budget),
            pruner=pruner(target.search),
        )
        mine = target.digest(cohort_digest)
        theirs = self.study.user_attrs.get(DIGEST)
        if theirs is None:
            self.study.set_user_attr(DIGEST, mine)
        elif theirs != mine:
            raise StudyError(
                f"the storage holds another search of the name {optuna_name} (other cohort, settings, space or folds);"
                " use another --name, another --storage, or delete it there"
            )
        if not any(trial.user_attrs.get(MARK) == REFERENCE for trial in self.counted()):
            values = reference(target.study, target.arm, target.holes)
            self.study.enqueue_trial(values, user_attrs={MARK: REFERENCE})

    def counted(self) -> list[FrozenTrial]:
        """Return the trials that count, by number: running, waiting and finished ones, no lost ones, of each mark the first."""
        found: list[FrozenTrial] = []
        marks = set()
        for trial in sorted(self.study.get_trials(deepcopy=False, states=COUNTED), key=lambda trial: trial.number):
            mark = trial.user_attrs.get(MARK)
            if mark is None or mark not in marks:
                found.append(trial)
                marks.add(mark)
        return found

    def finished(self) -> list[FrozenTrial]:
        """Return the trials that have ended, by number."""
        return [trial for trial in self.counted()[: self.budget] if trial.state.is_finished()]

    @property
    def done(self) -> bool:
        """Whether the budget is used up."""
        return len(self.finished()) >= self.budget

    def ask(self, worker: str) -> optuna.Trial | None:
        """Return a trial for this process, or None when all are taken.

        Two processes may ask at once: the storage numbers their trials, and the surplus one gives its back.
        """
        if sum(trial.state != TrialState.WAITING for trial in self.counted()) >= self.budget:
            return None
        trial = self.study.ask()
        trial.set_user_attr(WORKER, worker)
        if trial.number not in {other.number for other in self.counted()[: self.budget]}:
            self.study.tell(trial, state=TrialState.FAIL)
            return None
        return trial

    def give_up(self, trial: FrozenTrial) -> bool:
        """Mark a lost trial as failed and have it made again with the same values; False if somebody else already has."""
        try:
            self.study.tell(trial.number, state=TrialState.FAIL)
        except (ValueError, UpdateFinishedTrialError):  # it has ended meanwhile
            return False
        values = trial.system_attrs.get("fixed_params", trial.params)
        if values:
            mark = trial.user_attrs.get(MARK, f"instead of {trial.number}")
            self.study.enqueue_trial(values, user_attrs={MARK: mark})
        return True

    def running(self) -> list[FrozenTrial]:
        """Return the trials somebody is at work on."""
        return [trial for trial in self.counted() if trial.state == TrialState.RUNNING]
