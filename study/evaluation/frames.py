"""The frames of an evaluation: which columns they have, of what kind, and what these mean.

`Evaluation` checks its frames when it is made, `units.all_units` its own; an empty frame has its columns too. The
reference of the documentation is made from here (`reference_table`). pandera would do the same, but takes 0.4 s to
import and 5 ms a frame; the values themselves are the tests' business.
"""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Literal

import pandas as pd
from pandas.api import types

from study.stats.comparison import Comparison
from study.stats.estimate import Estimate

Kind = Literal["text", "whole number", "number", "true or false"]
TEXT: Kind = "text"
WHOLE: Kind = "whole number"
NUMBER: Kind = "number"
TRUTH: Kind = "true or false"
DTYPES = {TEXT: "str", WHOLE: "int64", NUMBER: "float64", TRUTH: "bool"}
KINDS: Mapping[type, Kind] = {str: TEXT, int: WHOLE, float: NUMBER, bool: TRUTH}


@dataclass(frozen=True)
class Column:
    """One column of a frame.

    Attributes:
        name: of the column.
        kind: of its values; a number may be NaN, a text and a truth value may be missing.
        meaning: with its unit or range where that is not plain.
        required: whether every such frame has it.
    """

    name: str
    kind: Kind
    meaning: str
    required: bool = True

    def fits(self, values: pd.Series) -> bool:
        """Whether the dtype of some values is one of the column's kind."""
        if self.kind == WHOLE:
            return types.is_integer_dtype(values)
        if self.kind == NUMBER:
            return types.is_numeric_dtype(values) and not types.is_bool_dtype(values)
        if self.kind == TRUTH:
            return types.is_bool_dtype(values) or types.is_object_dtype(values)
        return not types.is_numeric_dtype(values) or bool(values.isna().all())


def columns(names: str, kind: Kind, meaning: str, *, required: bool = True) -> tuple[Column, ...]:
    """Return columns that share a meaning; their names are separated by spaces."""
    return tuple(Column(name, kind, meaning, required) for name in names.split())


def fields_of(record: type) -> tuple[Column, ...]:
    """Return a column for each field of a dataclass; what it means stands under `Attributes:` in its docstring."""
    _, _, attributes = (inspect.getdoc(record) or "").partition("Attributes:\n")
    told = re.findall(r"^ {4}(\w[\w, ]*): (.+(?:\n {8}.+)*)", attributes, re.MULTILINE)
    meaning = {name: " ".join(text.split()).rstrip(".") for names, text in told for name in names.split(", ")}
    return tuple(Column(field.name, KINDS[field.type], meaning[field.name]) for field in fields(record))  # type: ignore[index]


@dataclass(frozen=True)
class Frame:
    """Lines and columns of a frame.

    Attributes:
        lines: what one line of it is about.
        columns: in any order.
    """

    lines: str
    columns: tuple[Column, ...]

    def empty(self) -> pd.DataFrame:
        """Return a frame with the required columns and no line."""
        return pd.DataFrame({c.name: pd.Series(dtype=DTYPES[c.kind]) for c in self.columns if c.required})

    def check(self, frame: pd.DataFrame, name: str) -> pd.DataFrame:
        """Return the frame, or an empty one with all columns in place of one that has none.

        Raises:
            ValueError: a column that is missing, that is not documented here, or of another kind.
        """
        if not len(frame.columns):
            return self.empty()
        known = {column.name: column for column in self.columns}
        missing = [column.name for column in self.columns if column.required and column.name not in frame]
        unknown = [column for column in map(str, frame) if column not in known]
        if missing or unknown:
            raise ValueError(
                f"{name}: columns missing: {missing}; not documented in study.evaluation.frames: {unknown}"
            )
        for column in map(str, frame) if len(frame) else ():
            if not known[column].fits(frame[column]):
                raise ValueError(f"{name}.{column}: {frame[column].dtype} where a {known[column].kind} is documented")
        return frame


ARM = columns("arm", TEXT, "name of the arm")
LEVEL = columns("level", TEXT, "unit that a value is about: patient, breast or image")
METRIC = columns("metric", TEXT, "name as in `study.evaluation.arm_metrics.METRICS`")
CELL = (
    *columns("repeat", WHOLE, "repeat of the splitting, from 0"),
    *columns("fold", WHOLE, "test fold of the repeat, from 0"),
    *columns("seed", WHOLE, "training seed, from 0"),
)
CLASS = (
    *columns("status", TEXT, "original class; of a unit with several, that of a positive image"),
    *columns("site", TEXT, "site or scanner, where it is known"),
    *columns("label", WHOLE, "1 positive, 0 negative; a unit with a positive image is positive"),
)
ENDS = columns("low high", NUMBER, "ends of the 95 % interval; NaN where there is none")
PAIR = (
    *columns("first second", TEXT, "names of the arms"),
    *columns("difference", NUMBER, "first minus second, mean of within-fold AUCs"),
    *columns("low high", NUMBER, "ends of the 95 % E1 interval (clustered DeLong, t)"),
)
PROB = columns(
    "prob_calibrated", NUMBER, "probability after Platt scaling on validation units; as given where none are"
)
SUBGROUP = columns("column group", TEXT, "column of the cohort, and the subgroup's value of it")
SIZES = (
    *columns("n_patients", NUMBER, "patients; NaN for fewer than 10"),
    *columns("n_positive", NUMBER, "positive patients; NaN where suppressed"),
    *columns("suppressed", TRUTH, "whether it has too few patients of a class to be analysed"),
)
IDS = (
    *columns("patient_id", TEXT, "patient"),
    *columns("case_id", TEXT, "case, at breast and image level", required=False),
    *columns("breast", TEXT, "side, at breast and image level", required=False),
    *columns("image_id", TEXT, "image, at image level", required=False),
)
INTERVALS = (*ARM, *METRIC, *fields_of(Estimate))
NOTE = columns("note", TEXT, "what a reader of the interval must know, or ''")
PRIMARY = columns("primary", TRUTH, "whether reports lead with it; other lines are second opinions")
SCORES = (*ARM, *CELL, *LEVEL, *IDS, *CLASS, *columns("logit", NUMBER, "pooled logit"), *PROB)

UNITS = Frame(
    "A test unit of one finished cell, at one level.",
    (
        *SCORES,
        *columns("n_images", WHOLE, "images pooled into it"),
        *columns("called", TRUTH, "whether the calibrated probability is at least 0.5"),
        *columns("flagged", TRUTH, "whether above the threshold for 90 % specificity; NA without validation units"),
        *columns("cleared", TRUTH, "whether above the threshold for 90 % sensitivity; NA without validation units"),
    ),
)
EVALUATION: Mapping[str, Frame] = {
    "per_fold": Frame(
        "A metric of one test part: arm, fold, repeat and seed, at one level.",
        (
            *ARM,
            *LEVEL,
            *CELL,
            *METRIC,
            *columns("value", NUMBER, "the metric; NaN where a class is missing"),
            *columns("n_patients n_units n_positive", WHOLE, "patients, units and positive units tested"),
        ),
    ),
    "intervals": Frame("A metric of an arm by one method, at one level.", (*INTERVALS, *PRIMARY, *NOTE)),
    "summary": Frame(
        "A metric of an arm at one level, with the interval that reports lead with.",
        (
            *INTERVALS,
            *NOTE,
            *columns("pooled", NUMBER, "AUC and PR-AUC over the scores of all folds, mean over runs; else NaN"),
        ),
    ),
    "contrasts_by_class": Frame(
        "The AUC of an arm against one negative status (`against STATUS`), or over pairs of the same site"
        " (`within sites`), at the unit of analysis.",
        (*INTERVALS, *PRIMARY, *NOTE),
    ),
    "comparisons": Frame(
        "A declared contrast of two arms, by every method, at the unit of analysis.",
        (
            *fields_of(Comparison),
            *columns("sentence", TEXT, "the verdict in words"),
            *columns("disagreement", TEXT, "what the methods do not agree on, or ''"),
        ),
    ),
    "comparisons_by_class": Frame(
        "A declared contrast against one negative status.",
        (*PAIR, *columns("against", TEXT, "the status"), *columns("p", NUMBER, "two-sided, not adjusted (E1)")),
    ),
    "comparisons_by_patient": Frame(
        "A declared contrast at patient level, where the unit of analysis is the breast.",
        (*PAIR, *columns("p", NUMBER, "two-sided, not adjusted (E1)")),
    ),
    "against_baseline": Frame(
        "An arm minus the baseline where no declared contrast tests that: exploratory, not adjusted.", PAIR
    ),
    "variance": Frame(
        "Where the variance of an arm's AUC, or of a declared contrast, comes from; NaN with one seed or repeat.",
        (
            *columns("what", TEXT, "the arm, or `FIRST minus SECOND`"),
            *columns("seed_sd", NUMBER, "standard deviation of one fold's value between training seeds"),
            *columns("training_sd", NUMBER, "standard deviation of one training: the mean over folds between seeds"),
            *columns("split_sd", NUMBER, "of a repeat's mean between repeats, without the seeds' share"),
            *columns("patient_sd", NUMBER, "of the mean over test patients (E1)"),
            *columns("seed_part split_part patient_part", NUMBER, "what each adds to the variance of the mean"),
        ),
    ),
    "reliability": Frame(
        "A bin of equal numbers of units by predicted probability, over the arm's own runs.",
        (
            *ARM,
            *columns("stage", TEXT, "`before` or `after` Platt scaling"),
            *columns("bin", WHOLE, "from 0, in the order of the probability"),
            *columns("mean_prob", NUMBER, "mean predicted probability"),
            *columns("observed", NUMBER, "share of positive units"),
            *ENDS,
            *columns("n_units", WHOLE, "units, counted once for each run"),
            *columns("n_runs", WHOLE, "runs of the arm: one for all seeds where it draws nothing at random"),
        ),
    ),
    "expected_ece": Frame(
        "What the calibration error of an arm would be by chance alone.",
        (
            *ARM,
            *columns("metric", TEXT, "`ece` or `ece_equal_mass`"),
            *columns("expected", NUMBER, "mean over draws of labels from the calibrated probabilities"),
        ),
    ),
    "decision": Frame(
        "The net benefit of an arm at one threshold; no line without a declared prevalence.",
        (
            *ARM,
            *columns("threshold", NUMBER, "probability from which people are recalled"),
            *columns("value", NUMBER, "net benefit per person at the declared prevalence"),
            *ENDS,
            *columns("treat_all", NUMBER, "net benefit of recalling everybody"),
            *columns("method", TEXT, "how the interval was made"),
        ),
    ),
    "subgroups": Frame(
        "The AUC of an arm in one subgroup.",
        (
            *ARM,
            *SUBGROUP,
            *LEVEL,
            *SIZES,
            *columns("value", NUMBER, "over pairs of the same test part and subgroup; NaN where suppressed"),
            *ENDS,
            *columns(
                "interaction_p",
                NUMBER,
                "of equal values in all subgroups of the column; NaN between images that the arm scores alike",
            ),
        ),
    ),
    "subgroup_contrasts": Frame(
        "A declared contrast in one subgroup: the difference of the AUCs of two arms (E1, exploratory).",
        (
            *columns("first second", TEXT, "names of the arms"),
            *SUBGROUP,
            *LEVEL,
            *SIZES,
            *columns("difference", NUMBER, "first minus second, over pairs of the same test part and subgroup"),
            *ENDS,
            *columns("interaction_p", NUMBER, "of equal differences in all subgroups of the column"),
        ),
    ),
    "subgroup_performance": Frame(
        "Sensitivity, specificity or calibration of an arm in one subgroup, at the threshold that all have in common.",
        (*ARM, *SUBGROUP, *LEVEL, *METRIC, *columns("value", NUMBER, "the metric"), *ENDS),
    ),
    "cross_tabulation": Frame(
        "The calls of an arm at one threshold, at one level, mean over repeats and seeds: they add up to the units.",
        (
            *ARM,
            *LEVEL,
            *columns(
                "threshold",
                TEXT,
                "`called` (probability 0.5), `flagged` (90 % specificity) or `cleared` (90 % sensitivity)",
            ),
            *columns("tp fp fn tn", NUMBER, "true and false positive, false and true negative units"),
            *columns("n_runs", WHOLE, "repeats times seeds; of an arm that draws nothing at random, repeats"),
        ),
    ),
    "confusion": Frame(
        "The calls of an arm at calibrated probability 0.5, summed over folds, repeats and seeds, at one level.",
        (*ARM, *LEVEL, *columns("tp fp fn tn", WHOLE, "true and false positive, false and true negative units")),
    ),
    "errors": Frame(
        "A unit of analysis and an arm, over all runs.",
        (
            *ARM,
            *IDS,
            *CLASS,
            *columns("mean_prob", NUMBER, "calibrated probability, mean over repeats and seeds"),
            *columns("wrong", NUMBER, "share of the runs with the probability on the other side of 0.5 than the label"),
        ),
    ),
    "instability": Frame(
        "How far the predictions of an arm change from run to run (repeats and seeds), at the unit of analysis; no line"
        " with one run.",
        (
            *ARM,
            *columns("n_units", WHOLE, "units with predictions of several runs"),
            *columns("n_runs", WHOLE, "predictions of a unit, at most"),
            *columns(
                "mape", NUMBER, "absolute difference of a calibrated probability from the unit's mean over runs, mean"
            ),
            *columns("mape_95", NUMBER, "95th percentile over units of a unit's mean absolute difference"),
            *columns("called_changed", NUMBER, "share of units not called alike in all runs at probability 0.5"),
            *columns("flagged_changed", NUMBER, "the same at the threshold for 90 % specificity; NaN without one"),
        ),
    ),
    "learning_curve": Frame(
        "An arm with the number of patients that it learns from, of arms that differ in this alone.",
        (
            *ARM,
            *columns("of", TEXT, "the arm that learns from all of them"),
            *columns("fraction", NUMBER, "share of the training patients (`train.fraction`)"),
            *columns("n_patients", NUMBER, "patients that a model learns from, mean over folds"),
            *columns("value", NUMBER, "AUC, mean of within-fold values, at the unit of analysis"),
            *ENDS,
            *columns("difference", NUMBER, "AUC minus that with all of them; NaN of that one"),
            *columns("difference_low difference_high", NUMBER, "ends of its 95 % E1 interval (clustered DeLong, t)"),
        ),
    ),
    "added": Frame(
        "A metric of predictions that a user added to the study, at the unit of analysis; no other frame has them.",
        (*INTERVALS, *NOTE),
    ),
    "added_contrasts": Frame(
        "An added arm minus an arm of the study, on the units that both have: exploratory, no verdict, not adjusted.",
        (*PAIR, *columns("n_patients", WHOLE, "patients that both arms were tested on"), *NOTE),
    ),
    "scores": Frame("A test unit of one finished cell, at one level, with its out-of-fold score.", SCORES),
}
"""The frames of `Evaluation`, by attribute."""


def reference_table(level: int = 2) -> str:
    """Return Markdown that documents every frame of an evaluation, each under a heading of the given level."""
    parts = []
    for name, frame in EVALUATION.items():
        alike = [list(group) for _, group in groupby(frame.columns, lambda c: (c.kind, c.meaning))]
        rows = [
            f"| {', '.join(f'`{c.name}`' for c in group)} | {group[0].kind} | {group[0].meaning} |" for group in alike
        ]
        head = ["| Columns | Kind | Meaning |", "|---|---|---|"]
        parts.append("\n".join([f"{'#' * level} `{name}`", "", f"One line: {frame.lines}", "", *head, *rows]))
    return "\n\n".join(parts) + "\n"
