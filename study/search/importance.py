"""How much each searched key matters: the share of the variance of the values that it alone explains (functional ANOVA)."""

import math
from collections.abc import Sequence

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

SEED = 0
"""Of the random forest behind the importances, so that the same trials give the same numbers in every process."""


def importances(study: optuna.Study) -> dict[str, float]:
    """Return the importance of each key over the completed trials, greatest first; they sum to 1.

    A random forest predicts the value from the keys; the variance of its predictions is divided among them (Hutter, Hoos and
    Leyton-Brown 2014, without interactions). Pruned trials have no value and do not count, nor do keys that some completed
    trial does not have.

    Returns:
        Key -> share; empty where there is nothing to explain: fewer than two completed trials, values that are all the same, or
        no key that was varied.
    """
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len({trial.value for trial in trials if math.isfinite(trial.values[0])}) < 2 or not varied(trials):
        return {}
    try:
        found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=SEED))
    except RuntimeError:  # no tree of the forest splits: few trials, hardly different
        return {}
    return {key: float(share) for key, share in found.items()}


def varied(trials: Sequence[FrozenTrial]) -> list[str]:
    """Return the keys that all trials have and that took more than one value, in the order of the first trial."""
    shared = [key for key in trials[0].params if all(key in trial.params for trial in trials)] if trials else []
    return [key for key in shared if len({repr(trial.params[key]) for trial in trials}) > 1]
