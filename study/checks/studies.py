"""Checks of a whole or half-finished study: what was selected on, how fits ended, whether arms are comparable.

Everything here follows from the records, the predictions and the search's table of trials; no image and no model is
opened.
"""

import math
from collections.abc import Iterator
from typing import Any

from mmbc.config import Config, flatten
from mmbc.data.splits import patient_table
from mmbc.errors import some
from study.checks.check import ELSEWHERE, Outcome, check, failed, not_checked, passed, warning
from study.checks.subject import Subject, given
from study.design.search_results import arm_configs
from study.design.search_space import parsed
from study.design.study_file import BASELINE
from study.records.cell_records import CellRecord
from study.records.finding import WARNING
from study.records.fit_ends import ends_in_words, fit_ends, is_nested
from study.records.stored_study import StoredStudy
from study.text.format import count
from study.text.format import place as shown_place

GROUP = "study"
FEW = 10
"""Positive or negative patients of a test part below which its AUC says little."""
EDGE = 0.02
"""Share of a range that counts as its end."""
OFTEN = 0.5
"""Share of an arm's searches that choose the same end from which the range was too narrow."""


@check(
    "A28",
    "selection on test rows",
    group=GROUP,
    question="Were epochs, thresholds, calibration or hyper-parameters chosen with rows or patients that are then"
    " tested?",
    meaning="A choice made on test patients fits them by chance, so performance on new patients will be lower.",
    remedy="Select on validation parts (the default), search nested (`study.search`).",
    needs=("study",),
)
def selection(subject: Subject) -> Outcome:
    """Patients whose rows a cell both selects and is tested on, and settings that were chosen on test patients."""
    study = given(subject.study)
    if study.imported:
        return not_checked(f"{ELSEWHERE}; what was selected on what is for their authors to say")
    rows = study.predictions
    cells = ["arm", "repeat", "fold", "seed", "patient_id"]
    both = rows.groupby(cells, sort=False)["part"].nunique()
    mixed = both[both > 1].reset_index().drop_duplicates(["arm", "repeat", "fold", "seed"])
    if len(mixed):
        names = [f"{r.arm}.r{r.repeat}.f{r.fold}.s{r.seed}" for r in mixed.itertuples()]
        return failed(
            f"{count(len(mixed), 'fit selects', 'fits select')} epochs and thresholds on patients that are tested"
            f" there: {some(names, 5)}.",
            rows=[{"cell": name} for name in names],
        )
    if "hyper-parameters" in study.cohort.notice:
        return failed(f"The study is {study.cohort.notice}.", "every table and figure says so")
    how = "inside each training part" if study.settings.search is not None else "on validation parts"
    return passed(f"Nothing was selected on a test row: epochs, calibration and thresholds {how}.")


@check(
    "A29",
    "epochs at the limit",
    group=GROUP,
    question="Did fits reach their best epoch at the last one allowed?",
    meaning="Longer training might improve these models: one that learns more slowly looks worse than it is.",
    remedy="Raise `train.max_epochs`.",
    needs=("training",),
    severity=WARNING,
)
def epochs(subject: Subject) -> Outcome:
    """Fits whose best epoch is the last one allowed."""
    study = given(subject.study)
    fitted = [record for record in study.records.values() if record.best_epoch and record.arm in study.settings.arms]
    if not fitted:
        return not_checked("no fit has ended")
    trained = {arm: study.settings.arm_config(arm).train for arm in study.settings.arms}
    ends = fit_ends(study, trained)
    rows = [{"arm": e.arm, "fits": e.n_fits, "best at the last epoch": e.n_last, "allowed": e.allowed} for e in ends]
    if not rows:
        return passed("The number of epochs is fixed (train.keep = last); no fit is cut off.")
    if any(e.is_cut_off for e in ends):
        fixed = any(train.keep == "last" for train in trained.values())
        return warning(ends_in_words(ends, str, nested=is_nested(study), some_fixed=fixed), rows=rows)
    return passed(f"Hardly any of {len(fitted)} fits were best at the last epoch allowed.", rows=rows)


@check(
    "A30",
    "settings at the edge of the space",
    group=GROUP,
    question="Do searches choose values at an end of the range that was searched?",
    meaning="Better values may lie outside the range; models are then not compared at their best.",
    remedy="Widen the range in the search space.",
    needs=("study",),
    severity=WARNING,
)
def edges(subject: Subject) -> Outcome:
    """Winners of a search at an end of the range that was searched."""
    study = given(subject.study)
    search, searched = study.settings.search, study.searched
    if search is None or searched is None or not searched.chosen:
        return not_checked("no setting was searched" if search is None else "the search has no winner yet")
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
        return warning(f"Often chosen at an end of the range: {names}.", rows=rows)
    return passed(f"No setting of {len(holes)} ranges was mostly chosen at an end.", rows=rows)


def _at(value: float, end: float, ends: tuple[Any, ...], kind: str) -> bool:
    """Whether a value lies at an end of a range; of a logarithmic one by ratios."""
    low, high = ends
    if kind == "int":
        return value == end
    if kind == "log":
        return abs(math.log(value / end)) <= EDGE * math.log(high / low)
    return abs(value - end) <= EDGE * (high - low)


@check(
    "A31",
    "folds with too few positives",
    group=GROUP,
    question="Does every test and validation part have enough patients of both classes, and is no part empty?",
    meaning="The values of single folds then vary strongly, and their intervals rest on approximations.",
    remedy="If a file of folds has empty parts, correct it. Otherwise use fewer folds or more patients"
    " (`study.precision` says what to expect).",
    needs=("folds",),
)
def few_positives(subject: Subject) -> Outcome:
    """Patients of the rarer class in each test and validation part.

    There have to be training and validation parts, unless models were trained elsewhere; those for validation of a
    nested search are inside its training parts.
    """
    folds, images = given(subject.folds), subject.images
    validated = subject.study is None or not subject.study.imported
    needed = ("train", *(() if folds.nested else ("validation",)), "test") if validated else ("test",)
    counts = folds.table(images)
    there = set(counts[["repeat", "fold", "part"]].itertuples(index=False, name=None))
    wanted = [(*place, part) for place in folds.splits for part in needed]
    if empty := [
        f"{part} of {shown_place(repeat, fold)}" for repeat, fold, part in wanted if (repeat, fold, part) not in there
    ]:
        return failed(f"Parts without a patient of the cohort: {some(empty, 5)}.")
    counts = counts[counts["part"] != "train"]
    # where every patient has a cancer, negative breasts are theirs
    both = bool(patient_table(images)["both"].any())
    rest = counts["n_positive"] if both else counts["n_patients"] - counts["n_positive"]
    counts = counts.assign(rarer=counts[["n_positive"]].assign(rest=rest).min(axis=1))
    rows = [
        {"repeat": r.repeat, "fold": r.fold, "part": r.part, "patients": r.n_patients, "positive": r.n_positive}
        for r in counts.sort_values("rarer").itertuples()
    ]
    smallest = counts.iloc[int(counts["rarer"].to_numpy().argmin())]
    text = (
        f"The smallest part has {count(smallest['rarer'], 'patient')} of the rarer class ({smallest['part']}, fold"
        f" {smallest['fold'] + 1})"
    )
    if smallest["rarer"] >= FEW:
        return passed(f"{text}.", rows=rows)
    n = int((counts["rarer"] < FEW).sum())
    evidence = f"{text}; {n} of {len(counts)} parts have fewer than {FEW}."
    return (failed if smallest["rarer"] == 0 else warning)(evidence, rows=rows)


@check(
    "A32",
    "ablation contract",
    group=GROUP,
    question="Do models differ only in the settings they declare, with the same splits, seeds and search budget?",
    meaning="If not, a difference between models may come from something else.",
    remedy="Declare the setting in the study file, and give all models the same folds, seeds and trials.",
    needs=("training",),
)
def contract(subject: Subject) -> Outcome:
    """Arms that differ in more than the keys they declare, in their splits or seeds, or in their search budget."""
    study = given(subject.study)
    breaches = [*_undeclared(study), *_unpaired(study), *_unequal_budgets(study)]
    if breaches:
        return failed(f"{len(breaches)} breaches: {some([row['what'] for row in breaches], 4)}.", rows=breaches)
    unfinished = len(study.planned) - len(study.records)
    if unfinished:
        return warning(
            f"Models cannot be compared on the same splits yet: {unfinished} of {len(study.planned)} fits are not"
            " finished."
        )
    declared = "; ".join(
        f"{name}: {', '.join(arm.set) or 'the reference'}" for name, arm in study.settings.arms.items()
    )
    budget = f", {count(study.settings.search.trials, 'trial')} each" if study.settings.search is not None else ""
    return passed(f"Same rows, splits, seeds{budget}; models differ only in what they declare ({declared}).")


def _undeclared(study: StoredStudy) -> Iterator[dict[str, str]]:
    """Yield cells that differ from the reference in a key that neither the arm nor its search declares."""
    reference = flatten(study.settings.config)
    expected = arm_configs(study.settings, study.searched, list(study.folds.splits))
    for name, record in study.records.items():
        if record.arm == BASELINE or record.model is None:
            continue
        arm = study.settings.arms[record.arm]
        trained = flatten(Config.model_validate(record.model.config))
        meant = flatten(expected[(record.arm, *record.place)])
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
    places: dict[tuple[int, ...], dict[str, CellRecord]] = {}
    for record in study.records.values():
        if record.arm != BASELINE:
            places.setdefault((*record.place, record.seed), {})[record.arm] = record
    for place, by_arm in places.items():
        for fact in ("split_digest", "fit_seed", "stream_seed", "cohort_digest", "store_digest"):
            values = {arm: value for arm, record in by_arm.items() if (value := getattr(record, fact)) is not None}
            if len(set(values.values())) > 1:
                where = shown_place(*place)
                yield {"cell": where, "what": f"{where}: {fact.replace('_', ' ')} differs between {some(values)}"}


def _unequal_budgets(study: StoredStudy) -> Iterator[dict[str, str]]:
    """Yield searches with fewer trials than another; trials that diverged or were pruned count."""
    if study.settings.search is None or study.searched is None or study.searched.trials.empty:
        return
    counts = study.searched.trials.groupby(["arm", "repeat", "fold"], sort=False).size()
    most = int(counts.max())
    for row in counts[counts < most].reset_index(name="n").to_dict("records"):
        where = "whole cohort" if row["fold"] < 0 else shown_place(row["repeat"], row["fold"])
        what = f"{row['arm']} was searched with {count(row['n'], 'trial')} ({where}), others with {most}"
        yield {"cell": f"{row['arm']}, {where}", "what": what}
