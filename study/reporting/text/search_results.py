"""Outcome of a search of hyper-parameters in sentences, and what it means for the numbers of a report."""

import pandas as pd

from study.design.search_results import WHOLE, SearchResult
from study.records.stored_study import StoredStudy
from study.reporting.facts.arm_names import display_name
from study.reporting.facts.prose import render
from study.reporting.facts.search_facts import (
    SEARCH,
    by_fold,
    is_flat,
    is_nested,
    n_planned_searches,
    value_name,
    winners,
)
from study.reporting.methods.search import OPTIMISTIC
from study.text.format import difference


def results(study: StoredStudy) -> str:
    """Return how far the search has come, how its trials ended, and what it gained; '' without a search."""
    if study.settings.search is None:
        return ""
    searched, name = study.searched, value_name(study)
    started = searched is not None and len(searched.trials) > 0
    chosen = [one for one in searched.chosen if is_flat(study) or one.fold != WHOLE] if started and searched else []
    return render(
        "search_results",
        started=started,
        n_planned=n_planned_searches(study),
        n_chosen=len(searched.chosen) if searched is not None else 0,
        n_trials=len(searched.trials) if searched is not None else 0,
        n_searches=len(searched.trials[SEARCH].drop_duplicates()) if started and searched else 0,
        states=searched.trials["state"].value_counts().to_dict() if started and searched else {},
        n_references=sum(one.default for one in chosen),
        n_winners=len(chosen),
        flat=is_flat(study),
        nested=is_nested(study),
        gains=_gains(study, searched) if started and searched else [],
        value_name=name[0].lower() + name[1:],
    )


def _gains(study: StoredStudy, searched: SearchResult) -> list[str]:
    """Return how far winners lie above the reference in the measure that chose them, for each arm."""
    trials = by_fold(searched.trials)
    reference = trials[trials["default"].astype(bool)].set_index(["arm", "repeat", "fold"])["value"]
    gains = {
        arm: pd.Series(
            [one.value - reference.get((arm, one.repeat, one.fold), float("nan")) for one in winners(searched, arm)]
        ).mean()
        for arm in study.settings.arms
    }
    return [f"{difference(float(gain))} ({display_name(study, arm)})" for arm, gain in gains.items() if pd.notna(gain)]


def chosen_on(study: StoredStudy) -> str:
    """Return on which patients of the study hyper-parameters were chosen, which makes it optimistic; '' if on none."""
    if OPTIMISTIC not in study.cohort.notice:
        return ""
    whom = study.cohort.notice.partition(OPTIMISTIC)[2].partition(";")[0].strip()
    return f"{whom}, {'on the validation parts of the same folds' if is_flat(study) else 'in an earlier search'}"
