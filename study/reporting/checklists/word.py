"""A filled checklist as a Word form, with a column left for the pages of the manuscript."""

import io
from xml.sax.saxutils import escape

import pandas as pd
from docx import Document
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from study.reporting.checklists.forms import note
from study.reporting.facts.prose import FILL
from study.reporting.tables.base import printable
from study.reporting.tables.office_files import without_times
from study.reporting.tables.word import number_pages, set_paper, set_styles, warn

WIDTHS = {"Item": 1.3, "Asks for": 5.4, "Answer": 10.0, "Status": 2.3, "Where in this pack": 4.7, "Page": 2.0}
"""Columns of a form and their widths in cm, on landscape A4."""
TWENTIETHS = 20 * 72 / 2.54
SIZE = 17
"""Half points of the cells."""
RED, GREY = "B00000", "E7E7E7"

Run = tuple[str, str]
"""A text and its look: '' or several of `bold`, `red`."""


def form(frame: pd.DataFrame, title: str, notice: str = "") -> bytes:
    """Return a docx file with one row an item, below a row for every section; the same checklist gives the same bytes.

    Written as XML, as python-docx takes seconds for some hundred rows.
    """
    document = Document()
    set_styles(document)
    set_paper(document, landscape=True)
    number_pages(document)
    document.core_properties.title, document.core_properties.author = title, "mmbc"
    document.core_properties.comments = ""
    document.add_paragraph(title, style="Title")
    if notice:
        warn(document.add_paragraph(), notice)
    document.add_paragraph(note(title))
    document.element.body.insert(len(document.element.body) - 1, parse_xml(_table(frame)))
    document.add_paragraph()
    out = io.BytesIO()
    document.save(out)
    return without_times(out.getvalue())


def _table(frame: pd.DataFrame) -> str:
    widths = [round(width * TWENTIETHS) for width in WIDTHS.values()]
    rows = [_row([[(name, "bold")] for name in WIDTHS], widths, extra="<w:tblHeader/>", fill=GREY)]
    section = ""
    for line in frame.to_dict("records"):
        if line["section"] != section:
            section = str(line["section"])
            rows.append(_section(section, sum(widths)))
        rows.append(_row(_cells({str(key): str(value) for key, value in line.items()}), widths))
    columns = "".join(f'<w:gridCol w:w="{width}"/>' for width in widths)
    sides = ("top", "left", "bottom", "right", "insideH", "insideV")
    borders = "".join(f'<w:{side} w:val="single" w:sz="4" w:space="0" w:color="808080"/>' for side in sides)
    return (
        f'<w:tbl {nsdecls("w")}><w:tblPr><w:tblW w:w="{sum(widths)}" w:type="dxa"/><w:tblBorders>{borders}'
        '</w:tblBorders><w:tblLayout w:type="fixed"/><w:tblCellMar><w:left w:w="70" w:type="dxa"/><w:right w:w="70"'
        f' w:type="dxa"/></w:tblCellMar></w:tblPr><w:tblGrid>{columns}</w:tblGrid>{"".join(rows)}</w:tbl>'
    )


def _cells(line: dict[str, str]) -> list[list[Run]]:
    """Return the runs of each cell of an item; the last is for the page."""
    said = [(f"{line['judgement'].capitalize()}. ", "bold")] if line.get("judgement") else []
    said += [(f"{line['answer']} ", "")] if line["answer"] else []
    said += [(f"{FILL}: ", "bold red"), (line["to_write"], "red")] if line["to_write"] else []
    where = line["where"].replace("; ", "\n")
    asks = [(f"{line['topic']}. ", "bold"), (line["asks_for"], "")]
    return [
        [(line["item"], "bold")],
        asks,
        said,
        [(line["status"], "bold red" if line["status"] == FILL else "")],
        [(where, "")],
        [],
    ]


def _section(name: str, width: int) -> str:
    cell = f'<w:tcPr><w:tcW w:w="{width}" w:type="dxa"/><w:gridSpan w:val="{len(WIDTHS)}"/>{_shade(GREY)}</w:tcPr>'
    text = _paragraph([(name, "bold")], keep=True)
    return f"<w:tr><w:trPr><w:cantSplit/></w:trPr><w:tc>{cell}{text}</w:tc></w:tr>"


def _row(cells: list[list[Run]], widths: list[int], *, extra: str = "", fill: str = "") -> str:
    shown = "".join(
        f'<w:tc><w:tcPr><w:tcW w:w="{width}" w:type="dxa"/>{_shade(fill)}</w:tcPr>{_paragraph(runs)}</w:tc>'
        for runs, width in zip(cells, widths, strict=True)
    )
    return f"<w:tr><w:trPr><w:cantSplit/>{extra}</w:trPr>{shown}</w:tr>"


def _shade(fill: str) -> str:
    return f'<w:shd w:val="clear" w:color="auto" w:fill="{fill}"/>' if fill else ""


def _paragraph(runs: list[Run], *, keep: bool = False) -> str:
    kept = "<w:keepNext/>" if keep else ""
    return (
        f'<w:p><w:pPr>{kept}<w:spacing w:before="20" w:after="20" w:line="240" w:lineRule="auto"/></w:pPr>'
        f"{''.join(_run(text, look) for text, look in runs)}</w:p>"
    )


def _run(text: str, look: str) -> str:
    """A run of text, whose line breaks are Word's."""
    looks = ("<w:b/>" if "bold" in look else "") + (f'<w:color w:val="{RED}"/>' if "red" in look else "")
    lines = "<w:br/>".join(f'<w:t xml:space="preserve">{escape(printable(line))}</w:t>' for line in text.split("\n"))
    return f'<w:r><w:rPr>{looks}<w:sz w:val="{SIZE}"/><w:szCs w:val="{SIZE}"/></w:rPr>{lines}</w:r>'
