"""The report of a study: text, tables and figures, written from its predictions alone."""

from pathlib import Path

from study.evaluate import LEVELS, Evaluation
from study.paper import text
from study.paper.figures.catalogue import Drawing, catalogue
from study.paper.style import save
from study.paper.tables import PaperTable, all_tables, write_tables
from study.record import StoredStudy, write_atomically

DETAIL = ("comparisons_by_class", "calibration", "decision", "subgroups", "variance", "per_fold")
"""Tables behind the answer, in their order."""


def write_report(study: StoredStudy, evaluation: Evaluation, folder: Path) -> Path:
    """Write `report.md`, `figures/`, `tables/` and `tables.xlsx` into a folder and return the report's path."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = all_tables(study, evaluation)
    write_tables(tables, folder, study.cohort.notice)
    figures = write_figures(study, evaluation, folder / "figures")
    report = folder / "report.md"
    write_atomically(report, compose(study, evaluation, tables, figures).encode())
    return report


def write_figures(study: StoredStudy, evaluation: Evaluation, folder: Path) -> dict[str, Drawing]:
    """Draw everything the study has the numbers for and return it by name."""
    drawings = catalogue(study, evaluation)
    for name, drawing in drawings.items():
        figure, data = drawing.draw()
        save(figure, data, folder, name, study.cohort.notice)
    return drawings


def compose(study: StoredStudy, evaluation: Evaluation, tables: list[PaperTable], figures: dict[str, Drawing]) -> str:
    """Return the report's Markdown: answer first, then cohort, protocol, performance, training, caveats, provenance."""
    notice = study.cohort.notice
    by_name = {table.name: table.markdown(notice) for table in tables}

    def shown(*names: str) -> list[str]:
        return [by_name[name] for name in names if name in by_name]

    def drawn(*names: str) -> list[str]:
        return [text.figure(name, figures[name].caption, notice) for name in names if name in figures]

    trained = (
        [] if study.history.empty else [text.training(study), *drawn("loss_accuracy", "f1_auc", "generalisation_gap")]
    )
    parts = [
        f"# {study.name}: what does each part of the model contribute?",
        *([f"> **{notice[0].upper()}{notice[1:]}.** Every number below is about made-up women."] if notice else []),
        *([f"> **{missing}.**"] if (missing := text.unfinished(study)) else []),
        text.answer(study, evaluation),
        *shown(f"summary_{evaluation.unit}", "auc_by_estimand", "comparisons", "auc_by_class"),
        *drawn("main", "contrasts", "roc_pr", "auc_by_fold"),
        "## Cohort", text.cohort(study), *drawn("flow"), *shown("flow", "table_1"),
        "## Protocol", text.protocol(study), *shown("folds"),
        "## Performance in detail", *shown(*DETAIL), *drawn("calibration", "risk", "decision", "confusion", "subgroups"),
        "### Other levels", *shown(*(f"summary_{level}" for level in LEVELS if level != evaluation.unit)),
        *(["## Training", *trained] if trained else []),
        "## What to keep in mind", text.caveats(study, evaluation),
        *drawn("study_grid"),
        "## Provenance", text.provenance(study),
    ]  # fmt: skip
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"
