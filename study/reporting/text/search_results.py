"""Outcome of a search of hyper-parameters in sentences, and what it means for the numbers of a report."""

import pandas as pd

from study.design.search_results import WHOLE, SearchResult
from study.records.stored_study import StoredStudy
from study.reporting.facts.search_facts import by_fold, is_flat, is_nested, n_planned_searches, value_name, winners
from study.reporting.methods.search import OPTIMISTIC
from study.text.format import count, difference, listed


def results(study: StoredStudy) -> str:
    """Return how far the search has come, how its trials ended, and what it gained; '' without a search."""
    if study.settings.search is None:
        return ""
    if study.searched is None or study.searched.trials.empty:
        return f"Unfinished: none of {count(n_planned_searches(study), 'search', 'searches')} has a finished trial yet."
    parts = [
        _progress(study, study.searched),
        _ends(study.searched),
        _references(study, study.searched),
        _gains(study, study.searched),
    ]
    return " ".join(part for part in parts if part)


def _progress(study: StoredStudy, searched: SearchResult) -> str:
    n, asked = len(searched.chosen), n_planned_searches(study)
    if n >= asked:
        return ""
    return (
        f"**Unfinished: {n} of {count(asked, 'search', 'searches')} have a winner.** What is shown is as far as they"
        " have come; the command that began them continues them."
    )


def _ends(searched: SearchResult) -> str:
    trials = searched.trials
    n_searches = len(trials[["arm", "repeat", "fold"]].drop_duplicates())
    states = trials["state"].value_counts()
    ended = listed([f"{states[state]} {word}" for state, word in ENDED.items() if states.get(state, 0)])
    return f"{count(len(trials), 'trial')} in {count(n_searches, 'search', 'searches')}: {ended}."


ENDED = {"complete": "complete", "pruned": "pruned", "diverged": "without a finite loss (diverged)"}


def _references(study: StoredStudy, searched: SearchResult) -> str:
    """Say in how many searches nothing was better than the reference configuration."""
    chosen = [one for one in searched.chosen if is_flat(study) or one.fold != WHOLE]
    n = sum(one.default for one in chosen)
    if not chosen:
        return ""
    where = "arms" if is_flat(study) else "searches in the folds"
    return f"The reference configuration was chosen in {n or 'none'} of {len(chosen)} {where}."


def _gains(study: StoredStudy, searched: SearchResult) -> str:
    """Say how far winners lie above the reference in the measure that chose them."""
    trials = by_fold(searched.trials)
    reference = trials[trials["default"].astype(bool)].set_index(["arm", "repeat", "fold"])["value"]
    gains = {
        arm: (
            pd.Series(
                [one.value - reference.get((arm, one.repeat, one.fold), float("nan")) for one in winners(searched, arm)]
            ).mean()
        )
        for arm in study.settings.arms
    }
    known = [f"{difference(float(gain))} ({arm})" for arm, gain in gains.items() if pd.notna(gain)]
    if not known:
        return ""
    name = value_name(study)
    mean = ", mean over the folds" if is_nested(study) else ""
    return (
        f"By the {name[0].lower() + name[1:]} that chose them, winners differed from the reference configuration by"
        f" {listed(known)}{mean}; this is what was selected for, and no gain on new patients."
    )


def search_clause(study: StoredStudy) -> str:
    """Return the sentence of the answer on what the numbers include; '' for fixed settings."""
    search = study.settings.search
    if search is None:
        return ""
    if is_flat(study):
        return (
            f" Hyper-parameters had been chosen for each arm by a search of {count(search.trials, 'trial')} on"
            " validation patients of the same splits."
        )
    return (
        f" Hyper-parameters were searched anew inside every training part ({count(search.trials, 'trial')} for each"
        " arm), so that these numbers are those of the whole procedure, search included."
    )


def optimism_warning(study: StoredStudy) -> list[str]:
    """Return why a study's numbers are optimistic because of a search, as a limitation; none if they are not."""
    if OPTIMISTIC not in study.cohort.notice:
        return []
    whom = study.cohort.notice.partition(OPTIMISTIC)[2].partition(";")[0].strip()
    where = "on the validation parts of the same folds" if is_flat(study) else "in an earlier search"
    return [
        f"Hyper-parameters were chosen on {whom}, {where}: performance is optimistic, by an amount that only a search"
        " inside every training part would show."
    ]


def search_limitations(study: StoredStudy) -> list[str]:
    """Return what a nested search means for the use of its numbers, as a limitation."""
    if not is_nested(study):
        return []
    return [
        "Every fold was trained with hyper-parameters of its own: performance is that of searching and training on such"
        " a cohort, not of one set of hyper-parameters, and not of the model for new data."
    ]
