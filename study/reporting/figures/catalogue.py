"""Figures that a study has the numbers for, in the order a paper would show them, with their captions."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd

from study.design.study_file import BASELINE
from study.evaluation.evaluation import Evaluation
from study.evaluation.example_units import example_units
from study.evaluation.groups import threshold_range
from study.evaluation.units import all_units
from study.evaluation.verdicts import as_assessed
from study.records.added_predictions import UNVERIFIED
from study.records.cell_records import CELL_COLUMNS
from study.records.stored_study import StoredStudy
from study.reporting.facts.arm_names import contrast_name, display_names
from study.reporting.facts.classes import n_of_several_classes, several_classes
from study.reporting.facts.counts import CURVE_NEEDS, smaller_class
from study.reporting.facts.sentences import configs
from study.reporting.figures import (
    added,
    curves,
    decisions,
    examples,
    folds,
    forests,
    instability,
    learning_curve,
    overview,
    probabilities,
    search_catalogue,
    training,
)
from study.reporting.figures.caption_facts import CaptionFacts, caption, caption_facts
from study.reporting.figures.flow import ENDS, flow
from study.reporting.figures.parts import FEW, FigureAndData, Looks
from study.reporting.figures.style import looks, missing_letters
from study.text.format import count, listed, percentage, span


@dataclass(frozen=True)
class Drawing:
    """A figure that can be drawn.

    Attributes:
        draw: returns the figure and the numbers behind it, in the journal's size that `style.journal_style` has set.
        title: a few words.
        caption: complete: level, n, estimand of every interval, what lines, bands and dots mean.
        wide: two journal columns.
        number: in the report and the paper: `2`, or `S3` in the supplement; '' where there is none.
    """

    draw: Callable[[], FigureAndData]
    title: str
    caption: str
    wide: bool
    number: str = ""

    @property
    def numbered_caption(self) -> str:
        """The caption behind the figure's number as Markdown."""
        return f"**Figure {self.number}.** {self.caption}" if self.number else f"*{self.caption}*"


def catalogue(study: StoredStudy, evaluation: Evaluation) -> dict[str, Drawing]:
    """Return every figure that a study has the numbers for, by file name, in the order a paper would show them.

    Arms that lack cells are in the learning curves alone.
    """
    study, called = legible(study)
    known = looks([*study.settings.arms, BASELINE], display_names(study))
    drawings: dict[str, Drawing] = {}
    bands = curves.bands_of(evaluation.scores, evaluation.unit)
    if not evaluation.summary.empty:
        f = caption_facts(study, evaluation)
        drawings |= dict(_performance(study, evaluation, known, f, bands))
        drawings |= dict(_comparison(study, evaluation, known, f))
        drawings |= dict(_probabilities(study, evaluation, known, f))
        drawings |= dict(_examples(study, evaluation, known, f))
        drawings |= dict(_added(study, evaluation, f))
    if not study.history.empty and not study.imported:
        drawings |= dict(_training(study, evaluation, known, bands))
    for name, draw, title, said, wide in search_catalogue.drawings(study, known):
        drawings[name] = Drawing(draw, title, said, wide=wide)
    if {"listed", "used"} <= set(study.cohort.flow["step"]):
        drawings["flow"] = _flow(study)
    if called:
        drawings |= {
            name: replace(one, caption=f"{one.caption} {called}") for name, one in drawings.items() if name != "flow"
        }
    return {name: drawings[name] for name in ORDER if name in drawings}


def legible(study: StoredStudy) -> tuple[StoredStudy, str]:
    """Return the study with other names for the models whose names the font cannot write, and what captions say.

    They are `Model 1` and so on, by their place in the study, instead of a row of boxes.
    """
    names = display_names(study) | {arm: arm for arm in (study.added.arms if study.added else ())}
    given = {
        arm: f"Model {place}" for place, (arm, name) in enumerate(names.items(), start=1) if missing_letters([name])
    }
    if not given:
        return study, ""
    settings = study.settings.model_copy(update={"names": {**study.settings.names, **given}})
    return replace(study, settings=settings), "; ".join(f"{short}: {names[arm]}" for arm, short in given.items()) + "."


ORDER = (
    "flow",
    "main",
    "contrasts",
    "roc_pr",
    "auc_by_fold",
    "calibration",
    "risk",
    "examples",
    "instability",
    "decision",
    "confusion",
    "subgroups",
    "added",
    "learning_curve",
    "loss_accuracy",
    "f1_auc",
    "generalisation_gap",
    "comprehensive_results",
    "search_history",
    "search_effort",
    "search_importance",
    "search_slice",
)
"""File names of all figures."""

Named = Iterator[tuple[str, Drawing]]


def _performance(
    study: StoredStudy, evaluation: Evaluation, known: Looks, f: CaptionFacts, bands: curves.Bands
) -> Named:
    scores, summary, unit = evaluation.scores, evaluation.summary, evaluation.unit
    several = summary["arm"].nunique() > 1
    chosen = main_arms(study, summary)
    some = {arm: known[arm] for arm in chosen}
    main = partial(overview.main, scores, summary, evaluation.reliability, some, unit, bands)
    yield "main", Drawing(main, "Discrimination and calibration", caption("main", f, n_chosen=len(chosen)), wide=True)
    pairs = partial(curves.roc_pr, scores, summary, known, unit, bands)
    yield "roc_pr", Drawing(pairs, "ROC and precision-recall curves", caption("roc_pr", f), wide=several)
    if len(evaluation.per_fold[["repeat", "fold"]].drop_duplicates()) > 1:
        dots = partial(folds.fold_dots, evaluation.per_fold, summary, known, unit)
        wide = summary["arm"].nunique() > folds.MOST_NARROW
        yield "auc_by_fold", Drawing(dots, "AUC by test fold", caption("auc_by_fold", f), wide=wide)
    if len(evaluation.learning_curve):
        curve = partial(learning_curve.by_training_patients, evaluation.learning_curve, known, unit)
        title = "AUC by the number of training patients"
        yield "learning_curve", Drawing(curve, title, caption("learning_curve", f), wide=False)


def main_arms(study: StoredStudy, summary: pd.DataFrame) -> list[str]:
    """Return the arms of the main figure: all, or as many as it has room for, those of declared contrasts first."""
    there = [arm for arm in [*study.settings.arms, BASELINE] if arm in set(summary["arm"])]
    declared = {arm for pair in study.contrasts for arm in pair}
    first = sorted((arm for arm in there if arm != BASELINE), key=lambda arm: arm not in declared)[:FEW]
    return [arm for arm in there if arm in first or arm == BASELINE]


def _comparison(study: StoredStudy, evaluation: Evaluation, known: Looks, f: CaptionFacts) -> Named:
    comparisons, delta = as_assessed(evaluation.comparisons), study.settings.protocol.delta
    if len(comparisons):
        title = "Declared comparisons" if study.chosen_contrasts is None else "Comparisons chosen after the run"
        names = [contrast_name(study, *pair) for pair in comparisons[["first", "second"]].to_numpy()]
        forest = partial(forests.contrasts, comparisons, evaluation.per_fold, names, evaluation.unit, delta)
        methods = list(dict.fromkeys(comparisons.loc[comparisons["e2_low"].notna(), "e2_method"]))
        sized = bool(comparisons["verdict"].isin(["better", "worse"]).any())
        said = caption("contrasts", f, methods=methods, sized=sized, delta=f"{delta:g}")
        yield "contrasts", Drawing(forest, title, said, wide=True)
    groups = evaluation.subgroups
    if len(groups) and groups["value"].notna().any():
        forest = partial(forests.subgroups, groups, evaluation.summary, known, evaluation.unit)
        said = caption("subgroups", f, **_groups(groups, evaluation.unit))
        wide = groups["arm"].nunique() > 1
        yield "subgroups", Drawing(forest, "AUC by subgroup", said, wide=wide)


def _groups(lines: pd.DataFrame, unit: str) -> dict[str, list[str]]:
    """Return the subgroups that were too small, and the columns whose rows are by image."""
    hidden = lines["suppressed"].astype(bool)
    small = lines.loc[hidden].drop_duplicates(["column", "group"])[["column", "group"]].astype(str)
    by_image = lines.loc[~hidden & (lines["level"] == "image") & (unit != "image"), "column"].astype(str)
    return {"small": list(small["column"] + " " + small["group"]), "by_image": sorted(by_image.unique())}


def _added(study: StoredStudy, evaluation: Evaluation, f: CaptionFacts) -> Named:
    """Yield the figure of added predictions, which have numbers of their own and are in no other figure."""
    if study.added is None or evaluation.added.empty:
        return
    units, _ = all_units(replace(study, predictions=study.added.rows))
    names = {arm: study.settings.names.get(arm, arm) for arm in study.added.arms}
    known = looks([*study.settings.arms, BASELINE, *study.added.arms], display_names(study) | names)
    frames = (units, evaluation.added, evaluation.added_contrasts)
    said = caption(
        "added", f, file=study.added.facts.file, compared=len(evaluation.added_contrasts) > 0, unverified=UNVERIFIED
    )
    drawing = partial(added.added, *frames, known, evaluation.unit)
    yield "added", Drawing(drawing, "Added predictions", said, wide=len(study.added.arms) > 1)


def _probabilities(study: StoredStudy, evaluation: Evaluation, known: Looks, f: CaptionFacts) -> Named:
    scores, unit, reliability = evaluation.scores, evaluation.unit, evaluation.reliability
    scores = scores[scores["arm"].isin(evaluation.summary["arm"].unique())]
    several = evaluation.summary["arm"].nunique() > 1
    if len(reliability) and smaller_class(study) >= CURVE_NEEDS:
        drawing = partial(probabilities.calibration, scores, reliability, known, unit)
        before = f.scaled and "before" in set(reliability["stage"])
        yield "calibration", Drawing(drawing, "Calibration", caption("calibration", f, before=before), wide=several)
    name = "Calibrated probability" if f.scaled else "Predicted probability"
    drawing = partial(probabilities.risk, scores, known, unit, name=name)
    yield "risk", Drawing(drawing, "Predicted probabilities by class", caption("risk", f), wide=several)
    if len(evaluation.instability):
        drawing = partial(instability.predictions_by_run, scores, evaluation.instability, known, unit)
        said = caption(
            "instability",
            f,
            n_drawn=instability.units_drawn(evaluation.instability),
            at_threshold=instability.has_thresholds(evaluation.instability),
        )
        wide = len(evaluation.instability) > 1
        yield "instability", Drawing(drawing, "Stability of the predictions between runs", said, wide=wide)
    prevalence = study.settings.protocol.prevalence
    if len(evaluation.decision) and prevalence is not None:
        drawing = partial(decisions.decision_curves, evaluation.decision, known, prevalence)
        declared = study.settings.protocol.thresholds
        low, high = (percentage(end) for end in threshold_range(prevalence, declared))
        ends = {"low": low, "high": high, "thresholds_declared": declared is not None}
        said = caption("decision", f, prevalence=f"{100 * prevalence:g}", **ends)
        yield "decision", Drawing(drawing, "Decision curves", said, wide=False)
    if len(evaluation.cross_tabulation):
        drawing = partial(decisions.confusion_matrices, evaluation.cross_tabulation, known, unit)
        wide = evaluation.summary["arm"].nunique() > 2
        yield (
            "confusion",
            Drawing(
                drawing, "Confusion matrices", caption("confusion", f, thresholds=evaluation.is_calibrated), wide=wide
            ),
        )


def _examples(study: StoredStudy, evaluation: Evaluation, known: Looks, f: CaptionFacts) -> Named:
    arm = example_arm(study, evaluation)
    if study.pictures is None or not arm:
        return
    draw = partial(examples.examples, example_units(study, arm, examples.EACH), study.pictures, evaluation.unit)
    said = caption("examples", f, model=known[arm].name, thresholds=evaluation.is_calibrated)
    yield "examples", Drawing(draw, f"{known[arm].name}: example images", said, wide=True)


def example_arm(study: StoredStudy, evaluation: Evaluation) -> str:
    """Return the arm whose hits and misses are shown: the first of the contrasts that is finished and uses images."""
    with_images = configs(study, lambda config: config.uses_images)
    return next((arm for arm in _by_contrast(study, evaluation) if arm in with_images), "")


def _training(study: StoredStudy, evaluation: Evaluation, known: Looks, bands: curves.Bands) -> Named:
    history = study.history
    sizes = history[list(CELL_COLUMNS)].drop_duplicates().groupby("arm").size()
    n = count(int(sizes.max()), "fit") if sizes.nunique() == 1 else f"{sizes.min()} to {sizes.max()} fits"
    n, wide = f"{n} of a model", len(sizes) > 1
    names = {"loss_accuracy": "Loss and accuracy by epoch", "f1_auc": "F1 and AUC by epoch"}
    validated = training.has_validation(history)
    lasted = history.groupby(list(CELL_COLUMNS))["epoch"].max().groupby("arm").nunique()
    ended = ("Fits that stopped early" if validated else "Shorter fits") if (lasted > 1).any() else ""
    for which, title in names.items():
        draw = partial(training.training_curves, history, known, which)
        said = caption("training", which=which, n_fits=n, validated=validated, ended=ended)
        yield which, Drawing(draw, title, said, wide=wide)
    if not validated:
        return
    draw = partial(training.generalisation_gap, history, known)
    said = caption("training", which="generalisation_gap", n_fits=n, validated=True, ended=ended)
    yield "generalisation_gap", Drawing(draw, "Generalisation gap", said, wide=wide)
    if arm := _reference(study, evaluation):
        where, look = (arm, evaluation.unit), known[arm]
        frames = (evaluation.scores, evaluation.summary, evaluation.cross_tabulation)
        said = caption(
            "comprehensive_results",
            caption_facts(study, evaluation),
            model=look.name,
            n_fits=count(int(sizes[arm]), "fit"),
        )
        draw = partial(overview.comprehensive, history, *frames, look, where, bands)
        yield "comprehensive_results", Drawing(draw, f"{look.name}: all results", said, wide=True)


def _reference(study: StoredStudy, evaluation: Evaluation) -> str:
    """Return the arm that gets an overview of its own: the first of the declared contrasts that is finished, or ''."""
    return next((arm for arm in _by_contrast(study, evaluation) if arm in set(study.history["arm"])), "")


def _by_contrast(study: StoredStudy, evaluation: Evaluation) -> list[str]:
    """Return the finished arms, those of declared contrasts first."""
    finished = set() if evaluation.summary.empty else set(evaluation.summary["arm"])
    order = [*(arm for pair in study.contrasts for arm in pair), *study.settings.arms]
    return [arm for arm in dict.fromkeys(order) if arm in finished]


def _flow(study: StoredStudy) -> Drawing:
    row, images = "row" if study.imported else "image", study.cohort.images
    positive = tuple(images.loc[images["label"] == 1, "status"].astype(str).unique())
    counts, n_several = study.cohort.flow, n_of_several_classes(study)
    out = bool(counts.loc[~counts["step"].isin(ENDS), "n_images"].any())
    draw = partial(flow, counts, study.cohort.n_patients, positive, how_tested(study), row, n_several)
    said = caption("flow", out=out, row=row, classes=several_classes(study))
    return Drawing(draw, "Flow of patients", said, wide=False)


def how_tested(study: StoredStudy) -> list[str]:
    """Return the last box of the flow diagram: how the models were tested, and how many patients each part has."""
    folds, protocol = study.folds, study.settings.protocol
    runs = [count(n, name) for n, name in ((protocol.repeats, "repeat"), (protocol.seeds, "training seed")) if n > 1]
    heading = "Held-out test" if folds.holdout else f"{folds.n_folds}-fold cross-validation by patient"
    if protocol.fold_column and not folds.holdout:
        heading = f"Each {protocol.fold_column} left out in turn ({count(folds.n_folds, 'fold')})"
    sizes: dict[str, list[int]] = {}
    for fold in folds.folds:
        for part, ids in fold.split.parts().items():
            sizes.setdefault(part, []).append(len(ids))
    words = {"train": "to train", "validation": "to validate", "test": "to test"}
    parts = [f"{span(min(n), max(n))} {words.get(part, part)}" for part, n in sizes.items() if max(n)]
    each = "Patients" if folds.holdout else "Patients in each fold"
    return [heading, *([f"Mean over {listed(runs)}"] if runs else []), f"{each}: {', '.join(parts)}"]
