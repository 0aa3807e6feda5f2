"""Sampler and pruner of trials: draws depend on the seed, the search and the trial's number, not on who asks."""

import hashlib
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial

from study.design.study_file import Search

FEWEST_AT_RANDOM, MOST_AT_RANDOM = 4, 10
"""Trials drawn at random before TPE takes over: a quarter of the budget, within these."""


class NumberedTPE(BaseSampler):
    """A multivariate TPE with constant liar (Bergstra et al. 2011), seeded anew for every trial by its number.

    A sampler with one stream of random numbers would draw the same values again after a restart, and the same in two
    processes that share a search.

    Args:
        seed: of the search.
        name: of what is searched; two targets draw apart, whatever their study is called.
        n_trials: the budget.
    """

    def __init__(self, seed: int, name: str, n_trials: int) -> None:
        self._name = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
        self._seed = seed
        self._n_at_random = min(max(FEWEST_AT_RANDOM, n_trials // 4), MOST_AT_RANDOM)
        self._current: tuple[int, TPESampler] | None = None

    def _sampler(self, trial: FrozenTrial) -> TPESampler:
        if self._current is None or self._current[0] != trial.number:
            seed = int(np.random.SeedSequence([self._seed, self._name, trial.number]).generate_state(1)[0])
            sampler = TPESampler(multivariate=True, constant_liar=True, n_startup_trials=self._n_at_random, seed=seed)
            self._current = trial.number, sampler
        return self._current[1]

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the parameters that are drawn together."""
        return self._sampler(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw them."""
        return self._sampler(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw one alone, as the first trials do."""
        return self._sampler(trial).sample_independent(study, trial, param_name, param_distribution)


def pruner(search: Search) -> BasePruner:
    """Return how trials are given up.

    `median`: below the median of the completed trials at the same epoch, once four have completed and three epochs have
    passed (the first wave is never pruned). `halving`: asynchronous successive halving by a factor of 3 from the third
    epoch on (Li et al. 2020), which prunes within a wave too.
    """
    if search.pruner == "median":
        return MedianPruner(n_startup_trials=FEWEST_AT_RANDOM, n_warmup_steps=3)
    if search.pruner == "halving":
        return SuccessiveHalvingPruner(min_resource=3, reduction_factor=3)
    return NopPruner()
