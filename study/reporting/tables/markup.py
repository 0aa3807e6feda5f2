"""Tables as Markdown and as CSV."""

from study.reporting.tables.base import PaperTable
from study.text.format import start
from study.text.notices import csv


def markdown(table: PaperTable, notice: str = "") -> str:
    """Return the table as Markdown: a notice, its title, the rounded cells, its caption."""
    head = [str(column) for column in table.shown.columns]
    lines = [head, ["---"] * len(head), *([str(cell) for cell in line] for line in table.shown.to_numpy().tolist())]
    body = "\n".join("| " + " | ".join(map(_escape, line)) + " |" for line in lines)
    warning = f"> **{start(notice)}.**\n\n" if notice else ""
    return f"{warning}**{table.heading}**\n\n{body}\n\n{table.caption}\n"


def _escape(cell: str) -> str:
    """Return a cell that ends where it should: in its own column and row."""
    return " ".join(cell.replace("\\", "\\\\").replace("|", "\\|").split())


def to_csv(table: PaperTable, notice: str) -> str:
    """Return the data at full precision: every number reads back to the same bits, an absent one is an empty field.

    A notice is the name of a last, empty column.
    """
    return csv(table.data, notice)
