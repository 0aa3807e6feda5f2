"""Figures that a study has the numbers for, in the order a paper would show them, with their captions."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pandas as pd

from study.design.study_file import BASELINE
from study.evaluation.evaluation import Evaluation
from study.records.cell_records import CELL_COLUMNS
from study.records.stored_study import StoredStudy
from study.reporting.figures import (
    captions,
    curves,
    decisions,
    folds,
    forests,
    overview,
    probabilities,
    search_catalogue,
    training,
)
from study.reporting.figures.caption_facts import CaptionFacts, caption_facts
from study.reporting.figures.flow import flow
from study.reporting.figures.parts import FEW, FigureAndData, Looks
from study.reporting.figures.style import looks
from study.text.format import count


@dataclass(frozen=True)
class Drawing:
    """A figure that can be drawn.

    Attributes:
        draw: returns the figure and the numbers behind it, in the journal's size that `style.journal_style` has set.
        title: a few words.
        caption: complete: level, n, estimand of every interval, what lines, bands and dots mean.
        wide: two journal columns.
    """

    draw: Callable[[], FigureAndData]
    title: str
    caption: str
    wide: bool


def catalogue(study: StoredStudy, evaluation: Evaluation) -> dict[str, Drawing]:
    """Return every figure that a study has the numbers for, by file name, in the order a paper would show them.

    Arms that lack cells are in the study's grid and the learning curves alone.
    """
    known = looks([*study.settings.arms, BASELINE])
    drawings: dict[str, Drawing] = {}
    if not evaluation.summary.empty:
        f = caption_facts(study, evaluation)
        drawings |= dict(_performance(study, evaluation, known, f))
        drawings |= dict(_comparison(study, evaluation, known, f))
        drawings |= dict(_probabilities(study, evaluation, known, f))
    if not study.history.empty and not study.imported:
        drawings |= dict(_training(study, known))
    for name, draw, title, caption, wide in search_catalogue.drawings(study, known):
        drawings[name] = Drawing(draw, title, caption, wide=wide)
    counts, n_patients = study.cohort.flow, study.cohort.n_patients
    if {"listed", "used"} <= set(counts["step"]):
        drawings["flow"] = Drawing(
            partial(flow, counts, n_patients, "row" if study.imported else "image"),
            "Cohort flow",
            captions.FLOW,
            wide=False,
        )
    if study.planned:
        drawings["study_grid"] = _grid(study, evaluation, known)
    return {name: drawings[name] for name in ORDER if name in drawings}


ORDER = (
    "flow",
    "main",
    "contrasts",
    "roc_pr",
    "auc_by_fold",
    "calibration",
    "risk",
    "decision",
    "confusion",
    "subgroups",
    "loss_accuracy",
    "f1_auc",
    "generalisation_gap",
    "search_history",
    "search_effort",
    "search_importance",
    "search_slice",
    "study_grid",
)
"""File names of all figures."""

Named = Iterator[tuple[str, Drawing]]


def _performance(study: StoredStudy, evaluation: Evaluation, known: Looks, f: CaptionFacts) -> Named:
    scores, summary, unit = evaluation.scores, evaluation.summary, evaluation.unit
    several = summary["arm"].nunique() > 1
    chosen = main_arms(study, summary)
    some = {arm: known[arm] for arm in chosen}
    main = partial(overview.main, scores, summary, evaluation.reliability, some, unit)
    yield "main", Drawing(main, "Discrimination and calibration", captions.main(f, chosen), wide=True)
    pairs = partial(curves.roc_pr, scores, summary, known, unit)
    yield "roc_pr", Drawing(pairs, "ROC and precision-recall curves", captions.roc_pr(f), wide=several)
    if f.n_parts > 1:
        dots = partial(folds.fold_dots, evaluation.per_fold, summary, known, unit)
        wide = summary["arm"].nunique() > FEW
        yield "auc_by_fold", Drawing(dots, "ROC-AUC by test fold", captions.auc_by_fold(f), wide=wide)


def main_arms(study: StoredStudy, summary: pd.DataFrame) -> list[str]:
    """Return the arms of the main figure: all, or as many as it has room for, those of declared contrasts first."""
    there = [arm for arm in [*study.settings.arms, BASELINE] if arm in set(summary["arm"])]
    declared = {arm for pair in study.contrasts for arm in pair}
    first = sorted((arm for arm in there if arm != BASELINE), key=lambda arm: arm not in declared)[:FEW]
    return [arm for arm in there if arm in first or arm == BASELINE]


def _comparison(study: StoredStudy, evaluation: Evaluation, known: Looks, f: CaptionFacts) -> Named:
    comparisons, delta = evaluation.comparisons, study.settings.protocol.delta
    if len(comparisons):
        title = "Declared contrasts" if study.chosen_contrasts is None else "Contrasts chosen after the run"
        forest = partial(forests.contrasts, comparisons, evaluation.per_fold, evaluation.unit, delta)
        yield "contrasts", Drawing(forest, title, captions.contrasts(f, comparisons, delta), wide=True)
    groups = evaluation.subgroups
    if len(groups) and groups["value"].notna().any():
        forest = partial(forests.subgroups, groups, evaluation.summary, known, evaluation.unit)
        yield "subgroups", Drawing(forest, "ROC-AUC by subgroup", captions.subgroups(f, groups), wide=True)


def _probabilities(study: StoredStudy, evaluation: Evaluation, known: Looks, f: CaptionFacts) -> Named:
    scores, unit, reliability = evaluation.scores, evaluation.unit, evaluation.reliability
    scores = scores[scores["arm"].isin(evaluation.summary["arm"].unique())]
    several = evaluation.summary["arm"].nunique() > 1
    if len(reliability):
        drawing = partial(probabilities.calibration, scores, reliability, known, unit)
        before = f.scaled and "before" in set(reliability["stage"])
        yield "calibration", Drawing(drawing, "Calibration", captions.calibration(f, before=before), wide=several)
    name = "Calibrated probability" if f.scaled else "Predicted probability"
    drawing = partial(probabilities.risk, scores, known, unit, name=name)
    yield "risk", Drawing(drawing, "Predicted probabilities by class", captions.risk(f), wide=several)
    prevalence = study.settings.protocol.prevalence
    if len(evaluation.decision) and prevalence is not None:
        drawing = partial(decisions.decision_curves, evaluation.decision, known, prevalence)
        yield "decision", Drawing(drawing, "Decision curves", captions.decision(f, prevalence), wide=several)
    if len(evaluation.confusion):
        drawing = partial(decisions.confusion_matrices, evaluation.confusion, known, unit)
        wide = evaluation.summary["arm"].nunique() > 2
        yield "confusion", Drawing(drawing, "Confusion matrices", captions.confusion(f), wide=wide)


def _training(study: StoredStudy, known: Looks) -> Named:
    history = study.history
    sizes = history[list(CELL_COLUMNS)].drop_duplicates().groupby("arm").size()
    n = count(int(sizes.max()), "fit") if sizes.nunique() == 1 else f"{sizes.min()} to {sizes.max()} fits"
    n, wide = f"{n} an arm", len(sizes) > 1
    names = {"loss_accuracy": "Loss and accuracy by epoch", "f1_auc": "F1 and ROC-AUC by epoch"}
    validated = training.has_validation(history)
    for which, title in names.items():
        draw = partial(training.training_curves, history, known, which)
        yield which, Drawing(draw, title, captions.training(which, n, len(sizes), validated=validated), wide=wide)
    if not validated:
        return
    draw = partial(training.generalisation_gap, history, known)
    yield (
        "generalisation_gap",
        Drawing(draw, "Generalisation gap", captions.training("generalisation_gap", n, len(sizes)), wide=wide),
    )


def _grid(study: StoredStudy, evaluation: Evaluation, known: Looks) -> Drawing:
    cells = planned_cells(study, evaluation)
    written = cells["fold"].nunique() <= folds.MOST_WRITTEN
    caption = captions.study_grid(cells, evaluation.unit, written=written, imported=study.imported)
    return Drawing(
        partial(folds.study_grid, cells, known, evaluation.unit), "ROC-AUC by arm and fold", caption, wide=True
    )


def planned_cells(study: StoredStudy, evaluation: Evaluation) -> pd.DataFrame:
    """Return the planned cells: arm, repeat, fold, seed, finished, value (the ROC-AUC at the unit's level, or NaN)."""
    names = pd.Series(study.planned).str.extract(r"^(?P<arm>.+)\.r(?P<repeat>\d+)\.f(?P<fold>\d+)\.s(?P<seed>\d+)$")
    cells = names.astype({"repeat": int, "fold": int, "seed": int})
    cells["finished"] = [name in study.records for name in study.planned]
    if evaluation.per_fold.empty:
        return cells.assign(value=float("nan"))
    areas = evaluation.per_fold.query("level == @evaluation.unit and metric == 'roc_auc'")
    return cells.merge(areas[[*CELL_COLUMNS, "value"]], on=list(CELL_COLUMNS), how="left")
