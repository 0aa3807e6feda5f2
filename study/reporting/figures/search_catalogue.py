"""Figures that a search of hyper-parameters has the numbers for, with their captions."""

from collections.abc import Iterator
from functools import partial

import pandas as pd

from study.design.search_results import WHOLE, SearchResult
from study.records.stored_study import StoredStudy
from study.reporting.facts import search_facts
from study.reporting.figures import search
from study.reporting.figures.parts import FigureAndData, Looks
from study.text.format import count

Named = Iterator[tuple[str, partial[FigureAndData], str, str, bool]]
"""Name, what draws it, title, caption, and whether it is two columns wide."""


def drawings(study: StoredStudy, known: Looks) -> Named:
    """Yield every figure of a search; of an unfinished one those that have something to show."""
    searched = study.searched
    if searched is None or searched.trials.empty:
        return
    trials, value = searched.trials, search_facts.value_name(study)
    several = trials["arm"].nunique() > 1
    if trials["value"].notna().any():
        draw = partial(search.history, search_facts.history(trials), known, value)
        yield "search_history", draw, "History of the search", history(study), several
    importances = searched.importances.dropna(subset="importance")
    if importances["key"].nunique() > 1:
        draw = partial(search.importance, importances, known)
        yield (
            "search_importance",
            draw,
            "Importance of hyper-parameters",
            importance(study, importances),
            importances["arm"].nunique() > 1,
        )
    if trials["value"].notna().any() and searched.keys:
        draw = partial(search.slices, trials, _places(searched), known, search_facts.declared_space(study), value)
        yield "search_slice", draw, "Values tried", slices(study), len(searched.keys) > 1
    reached = search_facts.effort(trials)
    if reached["mean"].notna().any():
        draw = partial(search.effort, reached, known, value)
        yield "search_effort", draw, "Expected best by number of trials", effort(study, reached), False


def _places(searched: SearchResult) -> pd.DataFrame:
    return pd.DataFrame(
        [(one.arm, one.repeat, one.fold, one.number) for one in searched.chosen],
        columns=["arm", "repeat", "fold", "number"],
    )


def _value(study: StoredStudy) -> str:
    """Return what the value of a trial is, and of whom."""
    name = search_facts.value_name(study)
    return f"{name[0].lower() + name[1:]}, {study.settings.unit} level, mean over {search_facts.judges(study)}"


def _searches(study: StoredStudy) -> str:
    """Return how many searches are shown, and which is not."""
    assert study.searched is not None
    trials = study.searched.trials
    shown = search_facts.by_fold(trials)
    each = shown[search_facts.SEARCH].drop_duplicates().groupby("arm").size()
    if search_facts.is_flat(study):
        other = ", on patients that other folds test: optimistic" if study.folds.n_folds > 1 else ""
        return f" One search an arm{other}."
    n = (
        count(int(each.max()), "search", "searches")
        if each.nunique() == 1
        else f"{each.min()} to {each.max()} searches"
    )
    if (shown["fold"] == WHOLE).all():
        return " The search on the whole cohort alone; those inside the folds have not begun."
    whole = " The search on the whole cohort is not shown." if (trials["fold"] == WHOLE).any() else ""
    return f" {n[0].upper()}{n[1:]} an arm, one inside the training part of each outer fold.{whole}"


NOT_TESTED = "Trials were compared by it, so it is no estimate of performance."


def history(study: StoredStudy) -> str:
    """Caption of the optimisation history."""
    steps = "" if search_facts.is_flat(study) else ", thin in one fold, thick their mean as far as every fold has come"
    return (
        f"History of the search by arm: {_value(study)}, of every trial in the order of the search."
        f" {NOT_TESTED}{_searches(study)} Filled: complete trials; hollow: trials given up, with the value they had"
        " then; diamond: the reference configuration, which every search tries first; cross at the foot: a trial"
        f" without a value. Steps: best complete trial so far{steps}."
    )


def importance(study: StoredStudy, importances: pd.DataFrame) -> str:
    """Caption of the importances."""
    name = search_facts.value_name(study).removesuffix(" ROC-AUC").lower()
    flat = search_facts.is_flat(study)
    whole = (
        ""
        if flat or not (importances["fold"] == WHOLE).any()
        else " Diamond: the search on the whole cohort, not in the mean."
    )
    dots = "Dot: the search of the arm" if flat else "Dots: the search of each outer fold; bar: their mean"
    return (
        f"Importance of hyper-parameters by arm: share of the variance of the trials' {name} ROC-AUC"
        f" ({study.settings.unit} level, over {search_facts.judges(study)}) that a setting explains in the complete"
        f" trials (functional ANOVA); those of a search add up to 1. {dots}.{whole} With so few trials the shares are"
        " rough, and they are about the space that was searched: a setting that matters little within its range may"
        " matter outside it."
    )


def slices(study: StoredStudy) -> str:
    """Caption of the slices."""
    return (
        f"Values tried, by arm and setting: {_value(study)}. {NOT_TESTED}{_searches(study)} Marks as in the history of"
        " the search; ringed: chosen. Each panel shows one setting while the others vary too, and the sampler returns"
        " to regions that did well, so that dense regions are no evidence by themselves. Whole numbers and choices are"
        " spread around their place."
    )


def effort(study: StoredStudy, reached: pd.DataFrame) -> str:
    """Caption of expected best against effort."""
    value = _value(study)
    n = int(reached["n"].max())
    several = int(reached["n_searches"].max()) > 1
    mean = "Line: mean over the searches of the outer folds" if several else "Line: the one search of an arm"
    band = "; band: least to greatest" if several and reached["arm"].nunique() == 1 else ""
    return (
        f"Expected best {value}, of n trials drawn from those of a search (Dodge et al. 2019), at equal effort: up to"
        f" the {count(n, 'trial')} that every search has had. {NOT_TESTED}{_searches(study)} {mean}{band}. Trials are"
        " taken for independent draws, which those of a sampler that learns are not; pruned trials count with the"
        " value they had when they were given up, trials without a value as the worst."
    )
