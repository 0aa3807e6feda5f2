"""Facts of a search of hyper-parameters for a report: its kind, its space, the patients that judged it, its outcome.

Values of trials are validation AUCs. They judged the choice, so they are never called by the name of the
out-of-fold ones.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from study.design.search_results import PARAMETER, WHOLE, ChosenSettings, SearchResult
from study.design.search_space import Hole, parsed
from study.records.fit_ends import is_nested as is_nested
from study.records.stored_study import StoredStudy
from study.stats.effort import best_so_far, expected_best
from study.text.format import count, span

SEARCH = ["arm", "repeat", "fold"]
"""Columns that tell one search from another."""


def is_flat(study: StoredStudy) -> bool:
    """Whether hyper-parameters were searched once an arm, on the validation parts of the study's own folds."""
    return study.settings.search is not None and study.settings.search.mode == "flat"


def calibrated_on(study: StoredStudy) -> str:
    """Return whose predictions calibration and thresholds come from."""
    return "inner out-of-fold predictions for training patients" if is_nested(study) else "validation patients"


def value_name(study: StoredStudy) -> str:
    """Return what the value of a trial is called, on axes and in tables."""
    return "Validation AUC" if is_flat(study) else "Inner validation AUC"


def value_text(value: Any) -> str:
    """Return a value of a setting as text: 0.0003, 2, 64 and 32, yes; `n/a` where an arm has no such setting."""
    if isinstance(value, str) and value[:1] in "[{":
        value = json.loads(value)
    if isinstance(value, list | tuple | np.ndarray):
        return ", ".join(map(value_text, value)) or "none"
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "n/a"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        number = float(value)
        return f"{number:.0f}" if number.is_integer() and abs(number) < 1e6 else f"{number:.3g}"
    return str(value)


def range_text(hole: Hole) -> str:
    """Return `0.3 to 0.7`, `1e-06 to 0.001, logarithmic`, or the choices."""
    if hole.kind == "choice":
        return " / ".join(map(value_text, hole.values))
    scale = {"log": ", logarithmic", "int": ", whole numbers"}.get(hole.kind, "")
    low, high = map(value_text, hole.values)
    return f"{low} to {high}{scale}"


def hole_text(hole: Hole) -> str:
    """Return the key and its range, as Methods have it."""
    return f"`{hole.key}` ({range_text(hole)})"


def declared_space(study: StoredStudy) -> dict[str, Hole]:
    """Return the settings that a study declares to search, by key."""
    search = study.settings.search
    return {hole.key: hole for hole in parsed(search.space)} if search is not None else {}


def keys_of(study: StoredStudy) -> list[str]:
    """Return the keys that were searched, in the order of the space; all declared ones before there is a trial."""
    searched = study.searched.keys if study.searched is not None else []
    return in_order(searched, declared_space(study)) or list(declared_space(study))


def in_order(keys: Sequence[str], space: Mapping[str, Hole]) -> list[str]:
    """Return keys in the order of a declared space; any that it does not have come last."""
    return [*(key for key in space if key in keys), *(key for key in keys if key not in space)]


def by_fold(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the lines of searches that hold a fold out; of a flat search, which holds none out, all lines."""
    folds = frame[frame["fold"] != WHOLE]
    return folds if len(folds) else frame


def winners(searched: SearchResult, arm: str) -> list[ChosenSettings]:
    """Return an arm's winners in the folds, or the one of a flat search."""
    of_arm = [one for one in searched.chosen if one.arm == arm]
    return [one for one in of_arm if one.fold != WHOLE] or of_arm


def place(study: StoredStudy, fold: int) -> str:
    """Return the name of a search within its arm: the fold's number, or what was searched instead."""
    if fold != WHOLE:
        return str(fold)
    return "all folds" if is_flat(study) else "whole cohort"


def n_planned_searches(study: StoredStudy) -> int:
    """Return how many searches a study asks for."""
    search = study.settings.search
    if search is None:
        return 0
    if search.mode == "flat":
        return len(study.settings.arms)
    n_folds = len(study.folds.until(study.settings.protocol.repeats))
    return len(study.settings.arms) * (n_folds + search.whole)


def n_trials(trials: pd.DataFrame) -> int:
    """Return how many trials every search in the folds has had, of which equal effort is made."""
    shown = by_fold(trials)
    return int(shown.groupby(SEARCH).size().min()) if len(shown) else 0


def history(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials of the folds in the order they count, each with the best complete value so far.

    Returns:
        arm, repeat, fold, trial (from 1), state, default, value, best_so_far (NaN until a trial is complete), and
        mean_best_so_far (over the arm's searches, as long as all of them have a value there).
    """
    shown = by_fold(trials).sort_values([*SEARCH, "order"], kind="stable")
    complete = shown["value"].where(shown["state"] == "complete")
    best = complete.groupby([shown[key] for key in SEARCH], sort=False).transform(
        lambda one: best_so_far(one.to_numpy())
    )
    lines = shown[[*SEARCH, "state", "default", "value"]].assign(trial=shown["order"] + 1, best_so_far=best)
    lines["mean_best_so_far"] = _mean_of_all(lines)
    return lines.reset_index(drop=True)


def _mean_of_all(lines: pd.DataFrame) -> pd.Series:
    """Return the mean over an arm's searches by trial, NaN where one of them is missing."""
    wide = lines.pivot(index=["arm", "trial"], columns=["repeat", "fold"], values="best_so_far")
    used = lines.drop_duplicates(SEARCH).groupby("arm").size()
    there = wide.notna().sum(axis=1)
    means = wide.mean(axis=1).where(there == used.reindex(wide.index.get_level_values("arm")).to_numpy())
    return pd.Series(means.reindex(pd.MultiIndex.from_frame(lines[["arm", "trial"]])).to_numpy(), index=lines.index)


def effort(trials: pd.DataFrame) -> pd.DataFrame:
    """Return what n trials could be expected to reach, at equal effort: up to the trials that every search has had.

    Returns:
        arm, n, mean, least, greatest (over the arm's searches in the folds), n_searches.
    """
    shown, most = by_fold(trials), n_trials(trials)
    n = np.arange(1, most + 1)
    rows = []
    for arm, of_arm in shown.groupby("arm", sort=False):
        curves = [
            expected_best(one.sort_values("order")["value"].to_numpy(dtype=float)[:most], n)
            for _, one in of_arm.groupby(SEARCH, sort=False)
        ]
        table = np.array(curves)  # (n_searches, most)
        rows.append(
            pd.DataFrame(
                {
                    "arm": arm,
                    "n": n,
                    "mean": table.mean(axis=0),
                    "least": table.min(axis=0),
                    "greatest": table.max(axis=0),
                    "n_searches": len(table),
                }
            )
        )
    columns = ["arm", "n", "mean", "least", "greatest", "n_searches"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)


def judges(study: StoredStudy) -> str:
    """Return whom trials were judged on: `3 inner folds of each training part (160 patients, 64 positive)`."""
    search = study.settings.search
    labels = study.cohort.images.groupby("patient_id")["label"].max()
    folds = study.folds.until(study.settings.protocol.repeats)
    judged = [list(fold.validation if is_flat(study) else fold.train) for fold in folds]
    sizes = [(len(patients), int(labels.reindex(patients).sum())) for patients in judged]
    n, positive = (span(min(values), max(values)) for values in zip(*sizes, strict=True))
    people = f"({n} {'patient' if n == '1' else 'patients'}, {positive} positive)"
    if is_flat(study):
        return (
            f"the validation {'parts' if len(folds) > 1 else 'part'} of the study's {count(len(folds), 'split')}"
            f" {people}"
        )
    assert search is not None
    return f"{search.inner_folds} inner folds of {'each' if len(folds) > 1 else 'the'} training part {people}"


def cell_numbers(values: Any) -> np.ndarray:
    """Return the numbers of a cell that holds several, (n,) of float; none of an empty cell."""
    return np.asarray([] if values is None or np.ndim(values) == 0 else list(values), dtype=float)


def json_numbers(items: Sequence[Any]) -> str:
    """Return several numbers as JSON, for files."""
    return json.dumps([float(item) if isinstance(item, float | np.floating) else int(item) for item in items])


def parameter_column(key: str) -> str:
    """Return the column of a key in the table of trials."""
    return f"{PARAMETER}{key}"
