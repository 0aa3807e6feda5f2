"""The report of a study: text, tables and figures, written from its predictions alone."""

from pathlib import Path

import pandas as pd

from study.evaluate import LEVELS, Evaluation
from study.paper import text
from study.paper.figures import flow, history_figures, score_figures
from study.paper.style import save
from study.paper.tables import PaperTable, all_tables, markdown, table_files
from study.record import StoredStudy, write_atomically

DETAIL = ("comparisons_by_class", "operating_points", "calibration", "decision", "subgroups", "variance", "per_fold")
"""Tables behind the answer, in their order."""


def write_report(study: StoredStudy, evaluation: Evaluation, folder: Path) -> Path:
    """Write `report.md`, `figures/`, `tables/`, `tables.xlsx` and `tables.docx` into a folder and return the report's path."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = all_tables(study, evaluation)
    for name, data in table_files(tables, study.cohort.notice, f"{study.name}: tables").items():
        write_atomically(folder / name, data)
    figures = write_figures(study, evaluation, folder / "figures")
    report = folder / "report.md"
    write_atomically(report, compose(study, evaluation, tables, figures).encode())
    return report


def write_figures(study: StoredStudy, evaluation: Evaluation, folder: Path) -> list[str]:
    """Draw everything the study has the numbers for and return the names."""
    counts = study.cohort.flow
    drawings = {"flow": lambda: flow(counts, study.cohort.n_patients)}
    if not evaluation.summary.empty:
        arms = list(dict.fromkeys(evaluation.summary["arm"]))
        drawings |= score_figures(
            evaluation.scores, evaluation.summary, evaluation.per_fold, evaluation.confusion, arms, evaluation.unit
        )
    if not study.history.empty:
        drawings |= history_figures(study.history, list(dict.fromkeys(study.history["arm"])))
    for name, draw in drawings.items():
        figure, data = draw()
        save(figure, pd.DataFrame(data), folder, name, study.cohort.notice)
    return list(drawings)


def compose(study: StoredStudy, evaluation: Evaluation, tables: list[PaperTable], figures: list[str]) -> str:
    """Return the report's Markdown: answer first, then cohort, protocol, performance, training, caveats, provenance."""
    notice = study.cohort.notice
    by_name = {table.name: markdown(table, notice) for table in tables}

    def shown(*names: str) -> list[str]:
        return [by_name[name] for name in names if name in by_name]

    def drawn(*names: str) -> list[str]:
        return [text.figure(name, study, evaluation) for name in names if name in figures]

    trained = (
        [] if study.history.empty else [text.training(study), *drawn("loss_accuracy", "f1_auc", "generalisation_gap")]
    )
    parts = [
        f"# {study.name}: what does each part of the model contribute?",
        *([f"> **{notice[0].upper()}{notice[1:]}.** Every number below is about made-up women."] if notice else []),
        *([f"> **{missing}.**"] if (missing := text.unfinished(study)) else []),
        text.answer(study, evaluation),
        *shown("main", "auc_by_estimand", "comparisons", "auc_by_class"),
        *drawn("roc", "auc_by_fold"),
        "## Cohort", text.cohort(study), *drawn("flow"), *shown("flow", "table_1"),
        "## Protocol", text.protocol(study), *shown("folds"),
        "## Performance in detail", *shown(*DETAIL), *drawn("confusion"),
        "### Other levels", *shown("levels", *(f"summary_{level}" for level in LEVELS)),
        *(["## Training", *trained] if trained else []),
        "## What to keep in mind", text.caveats(study, evaluation),
        "## Provenance", text.provenance(study),
    ]  # fmt: skip
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"
