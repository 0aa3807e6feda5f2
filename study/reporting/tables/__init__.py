"""The tables of a report: frames at full precision, and the same as Markdown, CSV, LaTeX, Excel and Word."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import pandas as pd

from study.evaluation.evaluation import LEVELS, Evaluation
from study.records.stored_study import StoredStudy
from study.reporting.facts.arm_names import contrast_name, display_names
from study.reporting.facts.prose import render
from study.reporting.tables.added import added_contrasts_table
from study.reporting.tables.audit import audit_table
from study.reporting.tables.base import ABSENT, PaperTable
from study.reporting.tables.calibration import calibration_table, decision_table, reliability_table
from study.reporting.tables.cohort import flow_table, folds_table, table_one
from study.reporting.tables.comparisons import (
    by_class_table,
    comparisons_by_class_table,
    comparisons_by_patient_table,
    comparisons_table,
    probabilities_table,
    variance_table,
)
from study.reporting.tables.instability import instability_table
from study.reporting.tables.latex import labels_of, latex, latex_document
from study.reporting.tables.learning_curve import learning_curve_table
from study.reporting.tables.main import main_table
from study.reporting.tables.markup import markdown, to_csv
from study.reporting.tables.misclassification import errors_by_class_table, errors_table
from study.reporting.tables.partitions import partitions_table
from study.reporting.tables.performance import (
    by_estimand_table,
    cross_tabulation_table,
    levels_table,
    methods_table,
    operating_points_table,
    per_fold_table,
    summary_table,
)
from study.reporting.tables.search import agreement_table, chosen_table, cost_table, nested_table
from study.reporting.tables.setup import compute_table, settings_table
from study.reporting.tables.subgroups import subgroup_contrasts_table, subgroup_performance_table, subgroups_table
from study.reporting.tables.word import word
from study.reporting.tables.workbook import workbook
from study.text.number_style import restyle

__all__ = [
    "PaperTable",
    "all_tables",
    "latex",
    "latex_document",
    "markdown",
    "restyled",
    "table_files",
    "to_csv",
    "word",
    "workbook",
]


NAMED = ("Model", "Contrast", "AUC of")
"""Columns of names of arms and contrasts."""


OF_NUMBERS: tuple[Callable[[StoredStudy, Evaluation], PaperTable], ...] = (
    main_table,
    comparisons_table,
    added_contrasts_table,
    comparisons_by_patient_table,
    by_estimand_table,
    by_class_table,
    comparisons_by_class_table,
    probabilities_table,
    operating_points_table,
    cross_tabulation_table,
    calibration_table,
    subgroups_table,
    subgroup_contrasts_table,
    subgroup_performance_table,
    decision_table,
    levels_table,
    *(partial(summary_table, level=level) for level in LEVELS),
    methods_table,
    variance_table,
    reliability_table,
    instability_table,
    learning_curve_table,
    errors_by_class_table,
    errors_table,
)
"""What makes the tables of evaluated predictions, in the order of a paper."""


SETUP: tuple[Callable[[StoredStudy], PaperTable], ...] = (
    flow_table,
    table_one,
    folds_table,
    partitions_table,
    chosen_table,
    agreement_table,
)
"""What makes the tables of the cohort, its splits and a search."""


def all_tables(study: StoredStudy, evaluation: Evaluation) -> list[PaperTable]:
    """Return every table that the study has numbers for, in the order of a paper."""
    tables = [make(study) for make in SETUP]
    tables += [nested_table(study, evaluation), cost_table(study)]
    if not evaluation.summary.empty:
        tables += [make(study, evaluation) for make in OF_NUMBERS]
    tables += [per_fold_table(study, evaluation), settings_table(study), compute_table(study), audit_table(study)]
    names = reader_names(study)
    tables = [_without_empty_columns(table) for table in tables]
    return [
        replace(table, shown=for_readers(_texts(table), names), caption=_caption(table))
        for table in tables
        if not table.shown.empty
    ]


def reader_names(study: StoredStudy) -> dict[str, str]:
    """Return what tables call arms, contrasts and the column of arms, by their short names."""
    contrasts = {f"{first} minus {second}": contrast_name(study, first, second) for first, second in study.contrasts}
    return display_names(study) | contrasts


def for_readers(shown: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Return the shown cells of a table with the names that a reader understands, of rows and of columns alike."""
    named = shown.rename(columns=dict(names) | {"Arm": "Model"})
    rows = [name for name in NAMED if name in named]
    return named.assign(**{name: named[name].map(lambda cell: names.get(cell, cell)) for name in rows})


def _without_empty_columns(table: PaperTable) -> PaperTable:
    """Leave out columns without any value, and those that number a single repeat, fold or seed.

    The main table keeps them: its columns are the same in every report, and its notes say what is lacking.
    """
    shown = _texts(table)
    idle = [
        name
        for name in shown
        if len(shown) and table.name != "main" and set(shown[name]) <= ({"1"} if name in COUNTED_FROM_0 else {ABSENT})
    ]
    n_keys = table.n_keys - sum(name in idle for name in shown.columns[: table.n_keys])
    return replace(table, shown=table.shown.drop(columns=idle), n_keys=max(n_keys, 1))


def _caption(table: PaperTable) -> str:
    counts = bool(set(COUNTED_FROM_0) & {*table.shown.columns})
    return " ".join([table.caption, *([render("tables/from_one")] if counts else [])])


def restyled(table: PaperTable) -> PaperTable:
    """Return a table whose words have the number style in force, too."""
    shown = table.shown.map(restyle).rename(columns=restyle)
    return replace(table, title=restyle(table.title), caption=restyle(table.caption), shown=shown)


def _texts(table: PaperTable) -> pd.DataFrame:
    """Return the cells that are shown as strings, n/a where there is nothing, under plain column names."""
    shown = table.shown.astype(object)
    shown = shown.where(shown.notna(), ABSENT).astype(str).reset_index(drop=True)
    shown = shown.set_axis([str(name) for name in table.shown.columns], axis=1)
    return shown.assign(**{name: shown[name].map(_from_one) for name in COUNTED_FROM_0 if name in shown})


COUNTED_FROM_0 = ("Repeat", "Fold", "Seed")


def _from_one(number: str) -> str:
    return str(int(number) + 1) if number.isdigit() else number


def table_files(tables: Sequence[PaperTable], notice: str, title: str, *, serif: bool = False) -> dict[str, bytes]:
    """Return every file of the tables by its path below the report's folder; the same tables give the same bytes.

    `tables/NAME.md`, `.csv` and `.tex`, `tables/all.tex` that sets them all, `tables.xlsx` and `tables.docx`.
    """
    files, labels = {}, labels_of(tables, alone=True)
    for table in tables:
        files[f"tables/{table.name}.csv"] = to_csv(table, notice).encode()
        files[f"tables/{table.name}.md"] = markdown(table, notice).encode()
        files[f"tables/{table.name}.tex"] = latex(table, notice, labels).encode()
    files["tables/all.tex"] = latex_document(tables, notice, title).encode()
    return files | {"tables.xlsx": workbook(tables, notice), "tables.docx": word(tables, notice, title, serif=serif)}
