"""Checks of a finished (or half-finished) study: what was selected on, how fits ended, and whether arms can be compared.

Everything here follows from the records, the predictions and the search's table of trials; no image and no model is
opened.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
from pydantic import ValidationError

from mmbc.config import Config, flatten
from mmbc.data.splits import rows_of
from mmbc.data.tables import encoding
from mmbc.data.tables.encoding import TabularEncoder
from mmbc.errors import some
from study.design.folds import Folds
from study.design.search_results import arm_configs
from study.design.search_space import parsed
from study.design.study_file import BASELINE
from study.records.finding import FAILED, NOT_CHECKED, PASSED, WARNING, Finding
from study.records.stored_study import StoredStudy

FEW = 10
"""Positive or negative patients of a test part below which its AUC says little."""
CUT_OFF = 0.2
"""Share of an arm's fits that end at the limit from which the arm was cut off."""
EDGE = 0.02
"""Share of a range that counts as its end."""
OFTEN = 0.5
"""Share of an arm's searches that choose the same end from which the range was too narrow."""
ELSEWHERE = "the models were trained elsewhere"


def preprocessing(study: StoredStudy) -> Finding:
    """A24: encoders in the records that are not those of the training rows, fitted again here."""
    if study.imported:
        return Finding("A24", NOT_CHECKED, ELSEWHERE)
    found, n, n_baseline = [], 0, 0
    parts = study.folds.splits
    fitted: dict[tuple[int, int, bool], TabularEncoder] = {}
    for name, record in study.records.items():
        if "preprocessing" not in record:
            continue
        n += 1
        n_baseline += record["arm"] == BASELINE
        repeat, fold, indicators = record["repeat"], record["fold"], _indicates(record)
        if (repeat, fold, indicators) not in fitted:
            rows = study.cohort.images.loc[rows_of(parts[repeat, fold], study.cohort.images)["train"]]
            fitted[repeat, fold, indicators] = encoding.fit(rows, study.cohort.features, missing_indicators=indicators)
        if not _same(record["preprocessing"], fitted[repeat, fold, indicators]):
            found.append(name)
    cells = f"{n} cells" + (f" ({n_baseline} of the baseline)" if n_baseline else "")
    if not n:
        return Finding("A24", NOT_CHECKED, "the records of an archive do not hold the preprocessing")
    if found:
        return Finding(
            "A24",
            FAILED,
            f"In {len(found)} of {cells} medians, means or scales are not those of the training rows:"
            f" {some(found, 5)}.",
            rows=tuple({"cell": name} for name in found),
        )
    return Finding(
        "A24",
        PASSED,
        f"In all {cells} imputation and scaling are those of the training rows, fitted again to the last digit.",
    )


def _indicates(record: dict[str, Any]) -> bool:
    return any(column.get("indicator") for column in record["preprocessing"]["columns"])


def _same(stored: dict[str, Any], expected: TabularEncoder) -> bool:
    try:
        return (
            TabularEncoder.model_validate(stored).columns == expected.columns
            and stored["rows_digest"] == expected.rows_digest
        )
    except ValidationError:
        return False


def selection(study: StoredStudy) -> Finding:
    """A28: patients whose rows a cell both selects and is tested on, and settings that were chosen on test patients."""
    if study.imported:
        return Finding("A28", NOT_CHECKED, f"{ELSEWHERE}; what was selected on what is for their authors to say")
    rows = study.predictions
    cells = ["arm", "repeat", "fold", "seed", "patient_id"]
    both = rows.groupby(cells, sort=False)["part"].nunique()
    mixed = both[both > 1].reset_index().drop_duplicates(["arm", "repeat", "fold", "seed"])
    if len(mixed):
        names = [f"{r.arm}.r{r.repeat}.f{r.fold}.s{r.seed}" for r in mixed.itertuples()]
        return Finding(
            "A28",
            FAILED,
            f"{len(mixed)} cells select epochs and thresholds on patients that they are tested on: {some(names, 5)}.",
            rows=tuple({"cell": name} for name in names),
        )
    if "hyper-parameters" in study.cohort.notice:
        return Finding("A28", FAILED, f"The study is {study.cohort.notice}.", "every table and figure says so")
    how = "inside each training part" if study.settings.search is not None else "on validation parts"
    return Finding("A28", PASSED, f"Nothing was selected on a test row: epochs, calibration and thresholds {how}.")


def epochs(study: StoredStudy) -> Finding:
    """A29: fits whose best epoch is the last one allowed."""
    fitted = [
        record for record in study.records.values() if record.get("best_epoch") and record["arm"] in study.settings.arms
    ]
    if study.imported or not fitted:
        return Finding("A29", NOT_CHECKED, ELSEWHERE if study.imported else "no fit has ended")
    nested = study.settings.search is not None and study.settings.search.mode == "nested"
    frame = pd.DataFrame([{"arm": r["arm"], "best_epoch": r["best_epoch"]} for r in fitted])
    rows, cut = [], []
    for arm, mine in frame.groupby("arm", sort=False):
        train = study.settings.arm_config(str(arm)).train
        if train.keep == "last":
            continue
        at_limit = int((mine["best_epoch"] >= train.max_epochs).sum())
        rows.append({"arm": arm, "fits": len(mine), "best at the last epoch": at_limit, "allowed": train.max_epochs})
        if at_limit >= max(1, CUT_OFF * len(mine)):
            cut.append(f"{arm} {at_limit} of {len(mine)} {'refits' if nested else 'fits'}")
    if not rows:
        return Finding("A29", PASSED, "The number of epochs is fixed (train.keep = last); no fit is cut off.")
    if cut:
        return Finding("A29", WARNING, f"Cut off at the last epoch allowed: {some(cut)}.", rows=tuple(rows))
    return Finding(
        "A29", PASSED, f"Hardly any of {len(frame)} fits were best at the last epoch allowed.", rows=tuple(rows)
    )


def edges(study: StoredStudy) -> Finding:
    """A30: winners of a search at an end of the range that was searched."""
    search, searched = study.settings.search, study.searched
    if search is None or searched is None or not searched.chosen:
        return Finding(
            "A30", NOT_CHECKED, "no setting was searched" if search is None else "the search has no winner yet"
        )
    holes = {hole.key: hole for hole in parsed(search.space) if hole.kind != "choice"}
    rows: list[dict[str, Any]] = []
    for arm in study.settings.arms:
        winners = [one for one in searched.chosen if one.arm == arm and not one.default]
        for key, hole in holes.items():
            values = [one.set[key] for one in winners if key in one.set]
            for end, which in zip(("lower", "upper"), hole.values, strict=True):
                n = sum(_at(value, which, hole.values, hole.kind) for value in values)
                if n:
                    rows.append(
                        {"arm": arm, "setting": key, "end": f"{end} ({which:g})", "searches": n, "of": len(values)}
                    )
    often = [row for row in rows if row["of"] > 1 and row["searches"] / row["of"] > OFTEN]
    if often:
        names = some(
            [
                f"{row['arm']}: {row['setting']} at its {row['end']} in {row['searches']} of {row['of']} searches"
                for row in often
            ]
        )
        return Finding("A30", WARNING, f"Chosen again and again at an end of the range: {names}.", rows=tuple(rows))
    return Finding("A30", PASSED, f"No setting of {len(holes)} ranges was mostly chosen at an end.", rows=tuple(rows))


def _at(value: float, end: float, ends: tuple[Any, ...], kind: str) -> bool:
    """Whether a value lies at an end of a range; of a logarithmic one by ratios."""
    low, high = ends
    if kind == "int":
        return value == end
    if kind == "log":
        return abs(math.log(value / end)) <= EDGE * math.log(high / low)
    return abs(value - end) <= EDGE * (high - low)


def few_positives(study: StoredStudy) -> Finding:
    """A31: test and validation parts with too few patients of a class."""
    return few(study.folds, study.cohort.images, validated=not study.imported)


def few(folds: Folds, images: pd.DataFrame, *, validated: bool = True) -> Finding:
    """A31 for any folds: patients of the rarer class in each test and validation part.

    Args:
        folds: every split, by patient.
        images: the cohort's rows.
        validated: whether there have to be training and validation parts (those for validation of a nested search are
            inside its training parts).
    """
    needed = ("train", *(() if folds.nested else ("validation",)), "test") if validated else ("test",)
    counts = folds.table(images)
    there = set(counts[["repeat", "fold", "part"]].itertuples(index=False, name=None))
    wanted = [(*place, part) for place in folds.splits for part in needed]
    if empty := [
        f"{part} of repeat {repeat}, fold {fold}" for repeat, fold, part in wanted if (repeat, fold, part) not in there
    ]:
        return Finding("A31", FAILED, f"Parts without a patient of the cohort: {some(empty, 5)}.")
    counts = counts[counts["part"] != "train"]
    counts = counts.assign(
        rarer=counts[["n_positive"]].assign(rest=counts["n_patients"] - counts["n_positive"]).min(axis=1)
    )
    rows = tuple(
        {"repeat": r.repeat, "fold": r.fold, "part": r.part, "patients": r.n_patients, "positive": r.n_positive}
        for r in counts.sort_values("rarer").itertuples()
    )
    smallest = counts.iloc[int(counts["rarer"].to_numpy().argmin())]
    text = (
        f"The smallest part has {smallest['rarer']} patients of the rarer class ({smallest['part']}, fold"
        f" {smallest['fold']})"
    )
    if smallest["rarer"] < FEW:
        n = int((counts["rarer"] < FEW).sum())
        status = FAILED if smallest["rarer"] == 0 else WARNING
        return Finding("A31", status, f"{text}; {n} of {len(counts)} parts have fewer than {FEW}.", rows=rows)
    return Finding("A31", PASSED, f"{text}.", rows=rows)


def contract(study: StoredStudy) -> Finding:
    """A32: arms that differ in more than the keys they declare, in their splits or seeds, or in their search budget."""
    if study.imported:
        return Finding("A32", NOT_CHECKED, ELSEWHERE)
    broken = [*_undeclared(study), *_unpaired(study), *_unequal_budgets(study)]
    if broken:
        return Finding(
            "A32", FAILED, f"{len(broken)} breaches: {some([row['what'] for row in broken], 4)}.", rows=tuple(broken)
        )
    unfinished = len(study.planned) - len(study.records)
    if unfinished:
        return Finding(
            "A32",
            WARNING,
            f"Arms are not compared yet on the same cells: {unfinished} of {len(study.planned)} are not finished.",
        )
    declared = "; ".join(
        f"{name}: {', '.join(arm.set) or 'the reference'}" for name, arm in study.settings.arms.items()
    )
    budget = f", {study.settings.search.trials} trials each" if study.settings.search is not None else ""
    return Finding(
        "A32", PASSED, f"Same rows, splits, seeds{budget}; arms differ in what they declare alone ({declared})."
    )


def _undeclared(study: StoredStudy) -> Iterator[dict[str, str]]:
    """Yield cells whose configuration differs from the reference in a key that neither the arm nor its search declares."""
    reference = flatten(study.settings.config)
    expected = arm_configs(study.settings, study.searched, list(study.folds.splits))
    for name, record in study.records.items():
        if record["arm"] == BASELINE or "config" not in record.get("model", {}):
            continue
        arm = study.settings.arms[record["arm"]]
        trained = flatten(Config.model_validate(record["model"]["config"]))
        meant = flatten(expected[record["arm"], record["repeat"], record["fold"]])
        declared = {
            *arm.set,
            *(key for key in meant if study.settings.search is not None and meant[key] != reference.get(key)),
        }
        for key in sorted(set(trained) | set(reference)):
            if trained.get(key) != reference.get(key) and key not in declared:
                yield {
                    "cell": name,
                    "what": f"{name} has {key} = {trained.get(key)!r}, undeclared (reference {reference.get(key)!r})",
                }


def _unpaired(study: StoredStudy) -> Iterator[dict[str, str]]:
    """Yield cells of one place and seed that were not trained alike: other rows, random numbers or pixels."""
    places: dict[tuple[Any, ...], dict[str, dict[str, Any]]] = {}
    for record in study.records.values():
        if record["arm"] != BASELINE:
            places.setdefault((record["repeat"], record["fold"], record["seed"]), {})[record["arm"]] = record
    for place, by_arm in places.items():
        for fact in ("split_digest", "fit_seed", "stream_seed", "cohort_digest", "store_digest"):
            values = {arm: record.get(fact) for arm, record in by_arm.items() if record.get(fact) is not None}
            if len(set(values.values())) > 1:
                where = "repeat {}, fold {}, seed {}".format(*place)
                yield {"cell": where, "what": f"{where}: {fact.replace('_', ' ')} differs between {some(values)}"}


def _unequal_budgets(study: StoredStudy) -> Iterator[dict[str, str]]:
    """Yield searches with fewer trials than another; trials that diverged or were pruned count."""
    if study.settings.search is None or study.searched is None or study.searched.trials.empty:
        return
    counts = study.searched.trials.groupby(["arm", "repeat", "fold"], sort=False).size()
    most = int(counts.max())
    for row in counts[counts < most].reset_index(name="n").to_dict("records"):
        where = "whole cohort" if row["fold"] < 0 else f"repeat {row['repeat']}, fold {row['fold']}"
        what = f"{row['arm']} was searched with {row['n']} trials ({where}), others with {most}"
        yield {"cell": f"{row['arm']}, {where}", "what": what}


CHECKS: dict[str, Callable[[StoredStudy], Finding]] = {
    "A24": preprocessing,
    "A28": selection,
    "A29": epochs,
    "A30": edges,
    "A31": few_positives,
    "A32": contract,
}


def of_study(study: StoredStudy) -> list[Finding]:
    """Return what the records of a study say."""
    return [check(study) for check in CHECKS.values()]
