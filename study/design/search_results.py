"""What a search of hyper-parameters left: every trial, what was chosen, and which settings mattered. No optuna here.

results/<name>/search/
trials.parquet     one row per trial that counts (`TRIAL_COLUMNS`, and `param.<key>` for every key searched)
importances.csv    arm, repeat, fold, key, importance
chosen.json        the winner of every arm in every fold, or of every arm
best.toml, best/   settings for new data
cells/             the trials' fits: predictions of their validation rows, history, record
trials.db          Optuna's storage, unless another was named
artifacts/         files that the dashboard shows
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mmbc.config import Config, apply_changes
from study.design.study_file import StudyFile

FOLDER = "search"
WHOLE = -1
"""The `fold` of a search that no fold is held out of: on the whole cohort, or, in flat mode, over all folds."""

TRIAL_COLUMNS = (
    "arm",
    "repeat",
    "fold",
    "number",
    "order",
    "state",
    "value",
    "scores",
    "best_epochs",
    "epochs",
    "max_epochs",
    "n_trainable",
    "seconds",
    "wave",
    "wave_seconds",
    "worker",
    "default",
)
"""Columns of the table of trials.

arm, repeat, fold: which search; `fold` is WHOLE where none is held out.
number, order: Optuna's number, and the position among the trials that count, from 0.
state: `complete`, `pruned`, or `diverged` (its loss became no number).
value: mean over inner folds of the validation AUC at the level of the unit; that of the last epoch for a pruned
    trial, NaN for one that diverged before it had any.
scores: (n_inner,) of float, fold by fold; best_epochs, epochs: (n_inner,) of int, the best epoch and how many were
trained.
max_epochs: what a fit could have trained at most.
n_trainable: trainable parameters, the cost that ties are broken by.
seconds: of its fits alone; wave, wave_seconds: which trials ran together, and how long they took all together.
worker: the process. default: whether it is the reference configuration.
"""
IMPORTANCE_COLUMNS = ("arm", "repeat", "fold", "key", "importance")
PARAMETER = "param."
"""Prefix of the columns with the values tried; a value that is a list is there as JSON text."""


@dataclass(frozen=True)
class ChosenSettings:
    """The winner of one search.

    Attributes:
        arm, repeat, fold: which search (`fold` may be WHOLE).
        number: Optuna's number of the trial.
        record: name of the trial, the beginning of its fits' names.
        value: its mean validation AUC over inner folds.
        scores: by inner fold.
        best_epochs: of its inner fits.
        epochs: their median, which a refit is trained for; None where early stopping decides again (flat).
        n_trainable: trainable parameters.
        default: whether it is the reference configuration.
        set: dotted keys and values, as an arm sets them.
    """

    arm: str
    repeat: int
    fold: int
    number: int
    record: str
    value: float
    scores: tuple[float, ...]
    best_epochs: tuple[int, ...]
    epochs: int | None
    n_trainable: int
    default: bool
    set: dict[str, Any]

    def config(self, study: StudyFile) -> Config:
        """Return the configuration that the arm is trained with: without early stopping where the epochs are chosen."""
        fixed = {} if self.epochs is None else {"train.keep": "last", "train.max_epochs": self.epochs}
        return apply_changes(study.arm_config(self.arm), {**self.set, **fixed}, f"the winner of {self.record}")


@dataclass(frozen=True)
class SearchResult:
    """A search read back.

    Attributes:
        trials: one row per trial that counts, ordered by arm, repeat, fold and number; see `TRIAL_COLUMNS`.
        chosen: the winners there are so far.
        importances: arm, repeat, fold, key, importance (share of the variance of the values that a key explains).
    """

    trials: pd.DataFrame
    chosen: tuple[ChosenSettings, ...]
    importances: pd.DataFrame

    @property
    def keys(self) -> list[str]:
        """The keys that were searched, in the order of the space."""
        return [c.removeprefix(PARAMETER) for c in self.trials.columns if c.startswith(PARAMETER)]

    def winner(self, arm: str, repeat: int, fold: int) -> ChosenSettings | None:
        """Return the winner of one search, or None as long as there is none."""
        return next((one for one in self.chosen if (one.arm, one.repeat, one.fold) == (arm, repeat, fold)), None)


def arm_configs(
    study: StudyFile, searched: SearchResult | None, places: Sequence[tuple[int, int]]
) -> dict[tuple[str, int, int], Config]:
    """Return (arm, repeat, fold) -> configuration, for the arms and folds whose configuration is known.

    Without a search every fold of an arm has the same; after a nested one each has its own, after a flat one again the
    same.
    """
    configs = {}
    for arm in study.arms:
        for repeat, fold in places:
            if study.search is None:
                configs[arm, repeat, fold] = study.arm_config(arm)
            elif searched is not None:
                where = (repeat, fold) if study.search.mode == "nested" else (0, WHOLE)
                winner = searched.winner(arm, *where)
                if winner is not None:
                    configs[arm, repeat, fold] = winner.config(study)
    return configs
