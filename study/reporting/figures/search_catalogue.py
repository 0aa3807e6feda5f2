"""Figures that a search of hyper-parameters has the numbers for, with their captions."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pandas as pd

from study.design.search_results import WHOLE, SearchResult
from study.records.stored_study import StoredStudy
from study.reporting.facts import search_facts
from study.reporting.figures import search
from study.reporting.figures.caption_facts import caption
from study.reporting.figures.parts import FigureAndData, Looks

Named = Iterator[tuple[str, partial[FigureAndData], str, str, bool]]
"""Name, what draws it, title, caption, and whether it is two columns wide."""


def drawings(study: StoredStudy, known: Looks) -> Named:
    """Yield every figure of a search; of an unfinished one those that have something to show."""
    searched = study.searched
    if searched is None or searched.trials.empty:
        return
    trials, value = searched.trials, search_facts.value_name(study)
    several = trials["arm"].nunique() > 1
    said = _facts(study, trials)
    if trials["value"].notna().any():
        draw = partial(search.history, search_facts.history(trials), known, value)
        yield "search_history", draw, "History of the search", caption("search_history", **said), several
    importances = searched.importances.dropna(subset="importance")
    if importances["key"].nunique() > 1:
        draw = partial(search.importance, importances, known)
        whole = bool((importances["fold"] == WHOLE).any())
        text, wide = caption("search_importance", whole_importance=whole, **said), importances["arm"].nunique() > 1
        yield "search_importance", draw, "Importance of hyper-parameters", text, wide
    if trials["value"].notna().any() and searched.keys:
        draw = partial(search.slices, trials, _places(searched), known, search_facts.declared_space(study), value)
        yield "search_slice", draw, "Values tried", caption("search_slice", **said), len(searched.keys) > 1
    reached = search_facts.effort(trials)
    if reached["mean"].notna().any():
        draw = partial(search.effort, reached, known, value)
        said |= {"n_trials": int(reached["n"].max()), "several": int(reached["n_searches"].max()) > 1}
        text = caption("search_effort", one_model=reached["arm"].nunique() == 1, **said)
        yield "search_effort", draw, "Expected best by number of trials", text, False


def _places(searched: SearchResult) -> pd.DataFrame:
    return pd.DataFrame(
        [(one.arm, one.repeat, one.fold, one.number) for one in searched.chosen],
        columns=["arm", "repeat", "fold", "number"],
    )


def _facts(study: StoredStudy, trials: pd.DataFrame) -> dict[str, Any]:
    """Return what captions say of a search: whose value its trials have, and how many searches are shown."""
    shown = search_facts.by_fold(trials)
    each = shown[search_facts.SEARCH].drop_duplicates().groupby("arm").size()
    name = search_facts.value_name(study)
    return {
        "value_name": name[0].lower() + name[1:],
        "unit": study.settings.unit,
        "judges": search_facts.judges(study),
        "flat": search_facts.is_flat(study),
        "n_folds": study.folds.n_folds,
        "begun": not (shown["fold"] == WHOLE).all(),
        "whole": (trials["fold"] == WHOLE).any(),
        "least": int(each.min()),
        "most": int(each.max()),
    }
