"""Winners of a search, its table of trials, and the file with its settings for new data."""

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import tomli_w
from optuna.trial import FrozenTrial, TrialState

from mmbc.config import flatten
from mmbc.errors import StudyError, count
from study.design.search_results import PARAMETER, TRIAL_COLUMNS, ChosenSettings, SearchResult
from study.design.study_file import StudyFile, Tuned
from study.tuning.importance import importances
from study.tuning.target_study import MARK, REFERENCE, WORKER, TargetStudy
from study.tuning.targets import Target


def best_trial(trials: Sequence[FrozenTrial], rule: str) -> FrozenTrial:
    """Return the completed trial with the best mean; ties go to fewer trainable parameters, then to the earlier trial.

    With the rule `one-se` the cheapest trial within one standard error of the best mean wins (of equally cheap ones the
    one with the best mean), the error being that of the best trial's mean over its folds (Breiman et al. 1984, section
    3.4.3).

    Raises:
        ValueError: no trial has completed.
    """
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not completed:
        raise ValueError("no trial has completed")
    best = min(completed, key=lambda trial: (-_value(trial), *_cost(trial)))
    if rule != "one-se":
        return best
    scores = best.user_attrs["fold_scores"]
    error = float(np.std(scores, ddof=1)) / len(scores) ** 0.5 if len(scores) > 1 else 0.0
    within = (trial for trial in completed if _value(trial) >= _value(best) - error)
    return min(within, key=lambda trial: (trial.user_attrs["n_trainable"], -_value(trial), trial.number))


def _value(trial: FrozenTrial) -> float:
    assert trial.value is not None
    return trial.value


def _cost(trial: FrozenTrial) -> tuple[int, int]:
    return int(trial.user_attrs["n_trainable"]), trial.number


def choose_winner(target_study: TargetStudy) -> ChosenSettings:
    """Return the winner of a finished search.

    Raises:
        StudyError: none of its trials has completed.
    """
    target = target_study.target
    try:
        trial = best_trial(target_study.finished_trials(), target.search.select)
    except ValueError:
        raise StudyError(
            f"{target.name}: none of its {count(target.search.trials, 'trial')} has completed, all were pruned or"
            " diverged;"
            " narrow the space, or search under another --name with --pruner none"
        ) from None
    best_epochs = [int(epoch) for epoch in trial.user_attrs["best_epochs"]]
    assert trial.value is not None
    return ChosenSettings(
        arm=target.arm,
        repeat=target.repeat,
        fold=target.fold,
        number=trial.number,
        record=target.record(trial.number),
        value=trial.value,
        scores=tuple(trial.user_attrs["fold_scores"]),
        best_epochs=tuple(best_epochs),
        n_trainable=int(trial.user_attrs["n_trainable"]),
        epochs=max(1, round(statistics.median(best_epochs))) if target.search.mode == "nested" else None,
        default=trial.user_attrs.get(MARK) == REFERENCE,
        set=decode(target, trial.params),
    )


def decode(target: Target, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trial's parameters as the configuration takes them."""
    return {hole.key: hole.decoded(params[hole.key]) for hole in target.holes if hole.key in params}


def search_results(target_studies: Sequence[TargetStudy], *, finished: bool) -> SearchResult:
    """Return what there is to report of a search; importances, which take a while, when it is finished."""
    rows = [row for one in target_studies for row in _rows(one)]
    keys = dict.fromkeys(hole.key for one in target_studies for hole in one.target.holes)
    trials = pd.DataFrame(rows, columns=[*TRIAL_COLUMNS, *(PARAMETER + key for key in keys)])
    important = [
        {"arm": one.target.arm, "repeat": one.target.repeat, "fold": one.target.fold, "key": key, "importance": share}
        for one in target_studies
        if finished
        for key, share in importances(one.study).items()
    ]
    return SearchResult(
        trials=trials.sort_values(["arm", "repeat", "fold", "order"], kind="stable", ignore_index=True),
        chosen=tuple(choose_winner(one) for one in target_studies if one.is_done),
        importances=pd.DataFrame(important, columns=["arm", "repeat", "fold", "key", "importance"]),
    )


def _rows(target_study: TargetStudy) -> list[dict[str, Any]]:
    target, rows = target_study.target, []
    for order, trial in enumerate(target_study.finished_trials()):
        facts = trial.user_attrs
        complete = trial.state == TrialState.COMPLETE
        state = "complete" if complete else "diverged" if facts.get("diverged") else "pruned"
        rows.append(
            {
                "arm": target.arm,
                "repeat": target.repeat,
                "fold": target.fold,
                "number": trial.number,
                "order": order,
                "state": state,
                "value": float("nan") if trial.value is None else trial.value,
                "scores": list(facts["fold_scores"]),
                "best_epochs": list(facts["best_epochs"]),
                "epochs": list(facts["epochs"]),
                "max_epochs": facts["max_epochs"],
                "n_trainable": facts["n_trainable"],
                "seconds": facts["seconds"],
                "wave": facts["wave"],
                "wave_seconds": facts["wave_seconds"],
                "worker": facts[WORKER].rpartition(":")[2],
                "default": facts.get(MARK) == REFERENCE,
                **{PARAMETER + key: _plain(value) for key, value in decode(target, trial.params).items()},
            }
        )
    return rows


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value


def best_toml(study: StudyFile, winners: Sequence[ChosenSettings], stamp: Tuned) -> str:
    """Return a study file with the winners' settings, for new data: `python -m study.cv --config best.toml --data NEW`.

    An arm keeps its question and its own settings; the searched ones are added. Epochs are left to early stopping,
    which has a validation part there.
    """
    arms = {
        one.arm: {"question": study.arms[one.arm].question, "set": {**flatten(study.arms[one.arm].set), **one.set}}
        for one in winners
    }
    reference = study.model_dump(mode="json", include={"augment", "model", "train"})
    head = (
        f"# Settings found by the search {stamp.study!r} on the cohort {stamp.cohort!r} (digest"
        f" {stamp.cohort_digest}).\n# For new data. On patients of that cohort the results are optimistic, and study.cv"
        " says so everywhere.\n"
    )
    return head + tomli_w.dumps({**reference, "arms": arms, "tuned": stamp.model_dump(mode="json")})
