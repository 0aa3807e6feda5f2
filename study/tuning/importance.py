"""Importance of each searched key: the share of the values' variance that it alone explains (functional ANOVA)."""

import math
from collections.abc import Sequence

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

SEED = 0
"""Of the random forest behind the importances, so that the same trials give the same numbers in every process."""


def importances(study: optuna.Study) -> dict[str, float]:
    """Return the importance of each key over the completed trials, greatest first; they sum to 1.

    A random forest predicts the value from the keys; the variance of its predictions is divided among the keys (Hutter,
    Hoos and Leyton-Brown 2014, without interactions). Pruned trials have no value of their own and do not count.

    Returns:
        Key -> share, of the keys that every completed trial has, from the same range, and that took several values;
        empty where there is nothing to explain: fewer than two completed trials, values that are all the same, or no
        such key.
    """
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    keys = [
        key for key in varied_keys(trials) if all(t.distributions[key] == trials[0].distributions[key] for t in trials)
    ]
    if not keys or len({trial.values[0] for trial in trials if math.isfinite(trial.values[0])}) < 2:
        return {}
    try:
        shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=SEED), params=keys)
    except RuntimeError:  # values so close that their variance is zero
        return {}
    return {key: float(share) for key, share in shares.items()}


def varied_keys(trials: Sequence[FrozenTrial]) -> list[str]:
    """Return the keys that all trials have and that took several values, in the order of the first trial."""
    shared = [key for key in trials[0].params if all(key in trial.params for trial in trials)] if trials else []
    return [key for key in shared if len({repr(trial.params[key]) for trial in trials}) > 1]
