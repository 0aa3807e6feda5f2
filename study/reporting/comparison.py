"""The report of a comparison between studies: what differs in them, and what that does to each arm."""

from pathlib import Path

from mmbc.files import write_atomically
from study.evaluation.evaluation import Evaluation
from study.evaluation.joint_study import JointStudy
from study.reporting.document import Content
from study.reporting.facts.prose import paragraphs, render
from study.reporting.figures.catalogue import catalogue
from study.reporting.html.page import page
from study.reporting.manifest import Options
from study.reporting.pack import draw_all
from study.reporting.paper.numbering import resolve
from study.reporting.tables import PaperTable, all_tables
from study.reporting.tables.markup import to_csv
from study.reporting.tables.word import word
from study.reporting.tables.workbook import workbook
from study.reporting.text.answer import contrast_lines, missing_for_verdicts
from study.text.format import start

TABLES = ("main", "comparisons", "comparisons_by_class", "auc_by_class", "auc_by_estimand", "variance", "per_fold")
FIGURES = ("contrasts", "main", "auc_by_fold")


def write_comparison(joined: JointStudy, evaluation: Evaluation, folder: Path) -> Path:
    """Write report (Markdown, HTML), tables (CSV, Excel, Word) and figures; return the path of `report.md`."""
    study = joined.study
    tables = {table.name: table for table in all_tables(study, evaluation) if table.name in TABLES}
    tables, drawings = resolve(tables, catalogue(study, evaluation))
    content = Content(
        study=study,
        evaluation=evaluation,
        methods=(),
        tables=[*([_settings(joined)] if len(joined.differing) else []), *tables.values()],
        drawings={name: drawings[name] for name in FIGURES if name in drawings},
    )
    title = f"{' and '.join(joined.names)} compared"
    body = compose(joined, content, title)
    draw_all(content, folder, Options())
    shown = {name: (folder / "figures" / f"{name}.svg").read_bytes() for name in content.drawings}
    files: dict[str, str | bytes] = {
        "report.md": body,
        "report.html": page(title, body, shown, content.notice),
        "tables.xlsx": workbook(content.tables, content.notice),
        "tables.docx": word(content.tables, content.notice, title),
    }
    files |= {f"tables/{table.name}.csv": to_csv(table, content.notice) for table in content.tables}
    for name, data in files.items():
        write_atomically(folder / name, data if isinstance(data, bytes) else data.encode())
    return folder / "report.md"


def _settings(joined: JointStudy) -> PaperTable:
    shown = joined.differing.astype(object).where(joined.differing.notna(), "none").astype(str)
    shown = shown.rename(columns={"setting": "Setting"})
    said = render("tables/differing_settings")
    return PaperTable("settings", "What differs", said, joined.differing.astype(str), shown)


def compose(joined: JointStudy, content: Content, title: str) -> str:
    """Return the report's Markdown."""
    study, evaluation = joined.study, content.evaluation
    said = paragraphs(
        "compared",
        first=joined.names[0],
        others=list(joined.names[1:]),
        n_contrasts=len(evaluation.comparisons),
        missing=missing_for_verdicts(study, evaluation),
        differ=len(joined.differing) > 0,
        imported=joined.imported,
    )
    parts = [
        f"# {title}",
        *([f"> **{start(content.notice)}.**"] if content.notice else []),
        "## Answer",
        "\n".join(f"- {line}" for line in contrast_lines(study, evaluation)),
        said[0],
        "## What differs",
        *said[1:],
        *content.table("settings"),
        "\n".join(f"- {note}" for note in joined.notes),
        "## Differences",
        *content.figure("contrasts"),
        *content.table("comparisons", "comparisons_by_class"),
        "## Performance",
        *content.table("main"),
        *content.figure("main", "auc_by_fold"),
        *content.table("auc_by_class", "auc_by_estimand", "variance"),
    ]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"
