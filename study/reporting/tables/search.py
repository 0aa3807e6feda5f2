"""Tables of a search of hyper-parameters: choices and their agreement over folds, cost, and optimism of the choice."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from study.design.search_results import WHOLE, ChosenSettings, SearchResult
from study.design.study_file import BASELINE
from study.evaluation.evaluation import Evaluation
from study.records.stored_study import StoredStudy
from study.reporting.facts.search_facts import (
    SEARCH,
    by_fold,
    cell_numbers,
    effort,
    is_nested,
    json_numbers,
    judges,
    keys_of,
    n_planned_searches,
    n_trials,
    place,
    value_name,
    value_text,
    winners,
)
from study.reporting.tables.base import ABSENT, PaperTable, at_unit, caption, empty_table
from study.text.format import count, difference, interval, number, span, tenths, whole
from study.text.setting_labels import label


def chosen_table(study: StoredStudy) -> PaperTable:
    """The winner of every search, one line each; the search on the whole cohort is an arm's last."""
    if study.searched is None or not study.searched.chosen:
        return empty_table("search_chosen")
    order = {arm: number for number, arm in enumerate(study.settings.arms)}
    chosen = sorted(
        study.searched.chosen, key=lambda one: (order.get(one.arm, 99), one.fold == WHOLE, one.repeat, one.fold)
    )
    keys, repeats = keys_of(study), {one.repeat for one in chosen}
    data = pd.DataFrame([_winner(study, one, keys) for one in chosen])
    shown = pd.DataFrame([_shown(study, one, keys, several=len(repeats) > 1) for one in chosen])
    n_keys = 3 if len(repeats) > 1 else 2
    return PaperTable("search_chosen", "Chosen hyper-parameters", _chosen_caption(study), data, shown, n_keys=n_keys)


def _winner(study: StoredStudy, one: ChosenSettings, keys: Sequence[str]) -> dict[str, Any]:
    values = {
        key: value_text(one.set[key]) if isinstance(one.set.get(key), list | tuple) else one.set.get(key)
        for key in keys
    }
    return {
        "arm": one.arm,
        "repeat": one.repeat,
        "fold": place(study, one.fold),
        "trial": one.number,
        **values,
        "epochs": one.epochs,
        "best_epochs": json_numbers(one.best_epochs),
        "value": one.value,
        "scores": json_numbers(one.scores),
        "n_trainable": one.n_trainable,
        "reference": one.default,
    }


def _shown(study: StoredStudy, one: ChosenSettings, keys: Sequence[str], *, several: bool) -> dict[str, str]:
    row = {"Arm": one.arm} | ({"Repeat": ABSENT if one.fold == WHOLE else str(one.repeat)} if several else {})
    row |= {"Fold": place(study, one.fold), "Optuna trial": str(one.number)}
    row |= {label(key): value_text(one.set.get(key)) for key in keys}
    row |= {"Epochs": whole(one.epochs)} if one.epochs is not None else {}
    best = [int(epoch) for epoch in one.best_epochs]
    row["Best epochs"] = ", ".join(map(str, best)) if len(best) <= 5 else span(min(best), max(best))
    return row | {
        value_name(study): number("roc_auc", one.value),
        "Reference configuration": "yes" if one.default else "no",
    }


def _chosen_caption(study: StoredStudy) -> str:
    search, searched = study.settings.search, study.searched
    assert search is not None
    assert searched is not None
    return caption(
        "search_chosen",
        study,
        best=search.select == "best",
        judges=judges(study),
        whole=is_nested(study) and any(one.fold == WHOLE for one in searched.chosen),
        n_chosen=len(searched.chosen),
        n_planned=n_planned_searches(study),
    )


def agreement_table(study: StoredStudy) -> PaperTable:
    """Agreement of the winners of an arm's folds, by setting; nothing for a flat search, which has one winner."""
    if study.searched is None or not is_nested(study):
        return empty_table("search_agreement")
    rows = [
        row
        for arm in study.settings.arms
        for key in keys_of(study)
        if (row := _agreement(study, study.searched, arm, key)) is not None
    ]
    if not rows:
        return empty_table("search_agreement")
    shown = pd.DataFrame(
        [
            {
                "Arm": row["arm"],
                "Setting": label(row["key"]),
                "Reference": row["reference"],
                "Range": row["range"],
                "Most frequent": (
                    f"{row['most_frequent']} ({row['n_most_frequent']} of {row['n_folds']})"
                    if row["repeats"]
                    else ABSENT
                ),
                "Whole cohort": row["whole_cohort"],
            }
            for row in rows
        ]
    )
    data = pd.DataFrame(rows).drop(columns="repeats")
    whole = bool((shown["Whole cohort"] != ABSENT).any())
    said = caption("search_agreement", study, n_trials=_trials(study), whole=whole)
    return PaperTable("search_agreement", "Agreement of the folds on hyper-parameters", said, data, shown, n_keys=2)


def _trials(study: StoredStudy) -> int:
    return study.settings.search.trials if study.settings.search is not None else 0


def _agreement(study: StoredStudy, searched: SearchResult, arm: str, key: str) -> dict[str, Any] | None:
    """Return how often an arm's folds chose each value of a key; None if it was not searched or nothing is chosen."""
    values = [one.set[key] for one in winners(searched, arm) if one.fold != WHOLE and key in one.set]
    if not values:
        return None
    counted = Counter(map(value_text, values))
    (most, n), *_ = counted.most_common()
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    ends = (value_text(min(values)), value_text(max(values))) if numeric else ("", "")
    range_ = "; ".join(sorted(counted)) if not numeric else ends[0] if ends[0] == ends[1] else " to ".join(ends)
    last = searched.winner(arm, 0, WHOLE)
    return {
        "arm": arm,
        "key": key,
        "reference": value_text(_of(study.configs[arm], key)),
        "range": range_,
        "most_frequent": most,
        "n_most_frequent": n,
        "n_folds": len(values),
        "n_different": len(counted),
        "repeats": n > 1 or len(values) == 1,
        "whole_cohort": value_text(last.set.get(key)) if last is not None else ABSENT,
    }


def _of(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = getattr(config, part, None)
    return config


COSTS = (
    "searches",
    "trials",
    "complete",
    "pruned",
    "diverged",
    "fits",
    "epochs",
    "epochs_saved",
    "fit_seconds",
    "wall_seconds",
)


def cost_table(study: StoredStudy) -> PaperTable:
    """Cost of the search, by arm and in all; the search on the whole cohort counts too."""
    if study.searched is None or study.searched.trials.empty:
        return empty_table("search_cost")
    trials = study.searched.trials
    arms = [arm for arm in study.settings.arms if arm in set(trials["arm"])]
    rows: list[dict[str, Any]] = [{"arm": arm} | _cost(trials[trials["arm"] == arm]) for arm in arms]
    waves = trials.drop_duplicates(["worker", "wave"])
    total = {"arm": "all arms"} | _cost(trials) | {"wall_seconds": float(waves["wave_seconds"].sum())}
    data = pd.DataFrame([*rows, total], columns=["arm", *COSTS])
    shown = pd.DataFrame(
        [
            {
                "Arm": row["arm"],
                "Searches": whole(row["searches"]),
                "Trials": whole(row["trials"]),
                "Complete": whole(row["complete"]),
                "Pruned": whole(row["pruned"]),
                "Diverged": whole(row["diverged"]),
                "Fits": whole(row["fits"]),
                "Epochs trained": whole(row["epochs"]),
                "Epochs saved by pruning, at most": whole(row["epochs_saved"]),
                "Seconds of fits": tenths(row["fit_seconds"]),
                "Seconds of waves": tenths(row["wall_seconds"]) if "wall_seconds" in row else "",
            }
            for row in [*rows, total]
        ]
    )
    said = caption(
        "search_cost",
        study,
        whole=is_nested(study) and bool((trials["fold"] == WHOLE).any()),
        n_processes=trials["worker"].nunique(),
    )
    return PaperTable("search_cost", "Cost of the search", said, data, shown)


def _cost(trials: pd.DataFrame) -> dict[str, float]:
    states = trials["state"].value_counts()
    epochs = [cell_numbers(each) for each in trials["epochs"]]
    saved = [
        float((limit - done).clip(min=0).sum())
        for state, limit, done in zip(trials["state"], trials["max_epochs"], epochs, strict=True)
        if state == "pruned"
    ]
    return {
        "searches": len(trials[SEARCH].drop_duplicates()),
        "trials": len(trials),
        **{state: int(states.get(state, 0)) for state in ("complete", "pruned", "diverged")},
        "fits": sum(map(len, epochs)),
        "epochs": float(sum(each.sum() for each in epochs)),
        "epochs_saved": sum(saved),
        "fit_seconds": float(trials["seconds"].sum()),
    }


def nested_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """The out-of-fold AUC of the whole procedure beside the inner validation AUC that chose the winners."""
    if study.searched is None or not is_nested(study) or not study.searched.chosen:
        return empty_table("search_nested")
    trials, n = study.searched.trials, n_trials(study.searched.trials)
    reached = effort(trials)
    best = reached[reached["n"] == n].set_index("arm")["mean"]
    references = by_fold(trials[trials["default"].astype(bool)]).groupby("arm")["value"].mean()
    rows: list[dict[str, Any]] = []
    for arm in study.settings.arms:
        values = [one.value for one in winners(study.searched, arm) if one.fold != WHOLE]
        value, low, high = _estimate(evaluation, arm)
        inner = float(np.mean(values)) if values else np.nan
        rows.append(
            {
                "arm": arm,
                "roc_auc": value,
                "low": low,
                "high": high,
                "n_winners": len(values),
                "inner_roc_auc": inner,
                "optimism": inner - value,
                "reference_inner_roc_auc": float(references.get(arm, np.nan)),
                "n_trials": n,
                "expected_best": float(best.get(arm, np.nan)),
            }
        )
    data = pd.DataFrame(rows)
    shown = pd.DataFrame(
        [
            {
                "Arm": row["arm"],
                "AUC, out of fold": interval("roc_auc", row["roc_auc"], row["low"], row["high"]),
                "Inner validation AUC of the winners": number("roc_auc", row["inner_roc_auc"]),
                "Inner minus out of fold": difference(row["optimism"]),
                "Inner validation AUC of the reference": number("roc_auc", row["reference_inner_roc_auc"]),
                f"Expected best of {count(n, 'trial')}, inner validation": number("roc_auc", row["expected_best"]),
            }
            for row in rows
        ]
    )
    absent = bool(data["roc_auc"].isna().any())
    said = caption("search_nested", study, judges=judges(study), n_trials=n, absent=absent)
    title = "Out-of-fold performance beside the inner validation of the winners"
    return PaperTable("search_nested", title, said, data, shown)


def _estimate(evaluation: Evaluation, arm: str) -> tuple[float, float, float]:
    if evaluation.summary.empty or arm == BASELINE:
        return (float("nan"),) * 3
    rows = at_unit(evaluation.summary, evaluation)
    areas = rows[(rows["arm"] == arm) & (rows["metric"] == "roc_auc")]
    if areas.empty:
        return (float("nan"),) * 3
    value, low, high = areas[["value", "low", "high"]].to_numpy(dtype=float)[0]
    return float(value), float(low), float(high)
