"""Tables and figures as one Word file, with captions that Word numbers, lists and refers to."""

import io
import re
from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple
from xml.sax.saxutils import escape

from docx import Document
from docx.document import Document as WordFile
from docx.enum.section import WD_ORIENT, WD_SECTION
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls, qn
from docx.shared import Cm, Mm, Pt, RGBColor
from docx.text.paragraph import Paragraph
from docx.text.run import Run

from study.reporting.tables.base import FIGURE, POINT, PaperTable, printable
from study.reporting.tables.layout import Grid, Lines, grids, with_points_aligned
from study.reporting.tables.office_files import without_times
from study.reporting.tables.references import pieces
from study.text.format import start

SERIF, SANS = "Times New Roman", "Arial"
"""Fonts of the theme, which Word and LibreOffice have or replace by ones of the same widths."""
SIZE, SMALL = 8.0, 7.0
"""Points of the cells, and of those of tables that need it."""
SHORT, LONG, MARGIN = 21.0, 29.7, 2.0
"""Sides of an A4 page and its margins in cm."""
WIDEST, WIDE, NARROW, USUAL, BOLD = 0.9, 0.74, 0.33, 0.56, 1.08
"""Widths of the widest characters, other capitals, narrow ones and the rest, in units of the size of Arial, rounded up;
and how much wider bold ones are. Times is narrower."""
THIN, BROAD = "iIjlt.,;:()[]|/' ", "mwMW%"
PADDING = 6.5
"""Points beside a cell's text, both sides together."""
TWENTIETHS = 20
WESTERN = 0x2FF
"""Characters beyond these, such as ≥, are as wide as capitals; East Asian ones are a little wider."""
LANGUAGE = "en-GB"
PERCENT, SENTENCE = re.compile(r"(?<=\d) (?=%)"), re.compile(r"(?<=\.)\s(?=[A-Z(])")
SIDES = {"l": "left", "c": "center", "r": "right"}


class Picture(NamedTuple):
    """A figure as it was drawn, its number and its caption.

    Attributes:
        png: its bytes.
        width: in mm.
        number: `2` or `S3`.
        caption: as plain text.
    """

    png: bytes
    width: float
    number: str
    caption: str


def word(
    tables: Sequence[PaperTable],
    notice: str,
    title: str,
    pictures: Sequence[Picture] = (),
    *,
    chapters: Mapping[str, Mapping[str, Sequence[str]]] = {},
    serif: bool = False,
) -> bytes:
    """Return a docx file with chapters of text, every table below its caption, then every figure above its own.

    Numbers of its tables and figures in texts are fields that refer to the bookmarks of their captions.

    Only tables that need it lie on landscape pages. Captions have Word's own style and fields of its numbering, so that
    its lists of tables and figures and its cross-references find them; they are no headings. The same content gives
    the same bytes.
    """
    document = Document()
    set_styles(document, serif=serif)
    document.core_properties.title, document.core_properties.author = title, "mmbc"
    document.core_properties.comments = ""
    set_paper(document, landscape=False)
    number_pages(document)
    document.add_paragraph(title, style="Title")
    if notice:
        warn(document.add_paragraph(), notice)
    there = {("Table", table.number or str(at)) for at, table in enumerate(tables, start=1)}
    there |= {("Figure", picture.number) for picture in pictures}
    for chapter, parts in chapters.items():
        document.add_paragraph(chapter, style="Heading 1")
        for heading, texts in parts.items():
            for at, text in enumerate(texts):
                paragraph = document.add_paragraph()
                if heading and not at:
                    paragraph.add_run(f"{heading}. ").bold = True
                _say(paragraph, text, there)
    landscape = False
    for number, table in enumerate(tables, start=1):
        wide, size, panels = fit_page(table)
        if wide != landscape:
            document.add_section(WD_SECTION.NEW_PAGE)
            set_paper(document, landscape=wide)
            landscape = wide
        if number == 1:
            document.add_paragraph("Tables", style="Heading 1")
        _caption(document, "Table", table.number or str(number), table.title).paragraph_format.keep_with_next = True
        _add(document, table, panels, size, there)
    if pictures and landscape:
        document.add_section(WD_SECTION.NEW_PAGE)
        set_paper(document, landscape=False)
    if pictures:
        document.add_paragraph("Figures", style="Heading 1")
    for picture in pictures:
        above = document.add_paragraph()
        _tight(above, keep=True)
        width = min(Mm(picture.width), Cm(SHORT - 2 * MARGIN))
        drawn = above.add_run().add_picture(io.BytesIO(picture.png), width=width)
        drawn._inline.docPr.set("descr", printable(SENTENCE.split(picture.caption)[0]))  # read aloud in its place
        _caption(document, "Figure", picture.number, picture.caption, there)
    out = io.BytesIO()
    document.save(out)
    return without_times(out.getvalue())


def fit_page(table: PaperTable) -> tuple[bool, float, list[Grid]]:
    """Return whether a table needs a landscape page, the size of its font, and its panels."""
    for landscape, size in ((False, SIZE), (False, SMALL), (True, SIZE), (True, SMALL)):
        side = LONG if landscape else SHORT
        points = (side - 2 * MARGIN) / 2.54 * 72
        panels = [with_points_aligned(grid) for grid in grids(table.shown, table.n_keys, int(points / (USUAL * size)))]
        taken = [sum(_points(grid, size)) + PADDING * len(grid.widths) for grid in panels]
        if len(panels) == 1 and taken[0] <= points:
            break
    return landscape, size, panels


def set_paper(document: WordFile, *, landscape: bool) -> None:
    """Make the last section A4, upright or landscape."""
    section = document.sections[-1]
    section.orientation = WD_ORIENT.LANDSCAPE if landscape else WD_ORIENT.PORTRAIT
    section.page_width, section.page_height = (Cm(LONG), Cm(SHORT)) if landscape else (Cm(SHORT), Cm(LONG))
    section.left_margin = section.right_margin = section.top_margin = section.bottom_margin = Cm(MARGIN)


def set_styles(document: WordFile, *, serif: bool = False) -> None:
    """Give a document's theme one font for Latin letters, and its text black headings.

    Other scripts keep the fonts that the theme and the reader's system have for them.
    """
    theme = document.part.part_related_by(RELATIONSHIP_TYPE.THEME)
    latin = f'<a:latin typeface="{SERIF if serif else SANS}"'.encode()
    theme._blob = re.sub(rb'<a:latin typeface="[^"]*"', latin, theme.blob)  # a part that python-docx does not model
    for name, size in (("Normal", 9), ("Title", 16), ("Heading 1", 12), ("Caption", 9)):
        style = document.styles[name]
        style.font.size, style.font.color.rgb, style.font.bold = Pt(size), RGBColor(0, 0, 0), size > 9
        for rule in style.element.findall(f"{qn('w:pPr')}/{qn('w:pBdr')}"):  # the template underlines its title in blue
            rule.getparent().remove(rule)
    for spoken in document.styles.element.iter(qn("w:lang")):
        spoken.set(qn("w:val"), LANGUAGE)
    document.core_properties.language = LANGUAGE


def number_pages(document: WordFile) -> None:
    """Put the page's number into the footer of every section."""
    footer = document.sections[0].footer.paragraphs[0]
    footer.alignment = WD_ALIGN_PARAGRAPH.CENTER
    _field(footer, "PAGE", "1")


def warn(paragraph: Paragraph, notice: str) -> None:
    """Add the notice to a paragraph, bold and red."""
    run = paragraph.add_run(f"{start(notice)}.")
    run.bold, run.font.color.rgb = True, RGBColor(0xB0, 0, 0)


Places = Set[tuple[str, str]]
"""Kind and number of the tables and figures of a document."""


def _caption(document: WordFile, kind: str, number: str, text: str, there: Places = frozenset()) -> Paragraph:
    """Add `Table S3. Text` in Word's style for captions; those of the supplement are numbered apart."""
    paragraph = document.add_paragraph(style="Caption")
    paragraph.paragraph_format.keep_together = True
    sequence, shown = (f"{kind}_S", number[1:]) if number.startswith("S") else (kind, number)
    paragraph.add_run(f"{kind} ")
    mark = str(len(document.element.findall(f".//{qn('w:bookmarkStart')}")))
    begin = f'<w:bookmarkStart {nsdecls("w")} w:id="{mark}" w:name="{_bookmark(kind, number)}"/>'
    paragraph._p.append(parse_xml(begin))
    paragraph.add_run(number[: len(number) - len(shown)])
    _field(paragraph, f"SEQ {sequence} \\* ARABIC", shown)
    paragraph._p.append(parse_xml(f'<w:bookmarkEnd {nsdecls("w")} w:id="{mark}"/>'))
    paragraph.add_run(". ")
    if kind == "Table":
        paragraph.add_run(_plain(text)).bold = True
    else:
        _say(paragraph, text, there)
    return paragraph


def _bookmark(kind: str, number: str) -> str:
    """Return the name of the bookmark on the number of a caption; Word hides names that begin so."""
    return f"_Ref_{kind}_{number}"


def _say(paragraph: Paragraph, text: str, there: Places, size: float = 0) -> None:
    """Add a text in which the numbers of the document's tables and figures are references."""
    for words, kind in pieces(text):
        if kind and (kind, words) in there:
            run = _field(paragraph, f"REF {_bookmark(kind, words)} \\h", words)
        else:
            run = paragraph.add_run(_plain(words))
        if size:
            run.font.size = Pt(size)


def _field(paragraph: Paragraph, instruction: str, shown: str) -> Run:
    """Add one of Word's fields, which shows this until Word computes it again; return the run that shows it."""
    marks = '<w:r {}><w:fldChar w:fldCharType="{}"/></w:r>'
    asked = f'<w:r {nsdecls("w")}><w:instrText xml:space="preserve"> {instruction} </w:instrText></w:r>'
    paragraph._p.append(parse_xml(marks.format(nsdecls("w"), "begin")))
    paragraph._p.append(parse_xml(asked))
    paragraph._p.append(parse_xml(marks.format(nsdecls("w"), "separate")))
    run = paragraph.add_run(shown)
    paragraph._p.append(parse_xml(marks.format(nsdecls("w"), "end")))
    return run


def _plain(text: str) -> str:
    """Return a text whose per cent signs stay on the line of their numbers."""
    return PERCENT.sub("\u00a0", printable(text))


def _add(document: WordFile, table: PaperTable, panels: Sequence[Grid], size: float, there: Places) -> None:
    """Add a table's panels and its notes."""
    for number, grid in enumerate(panels):
        if number:  # two tables that touch would become one
            _tight(document.add_paragraph(), keep=True)
        document.element.body.insert(len(document.element.body) - 1, parse_xml(_table_xml(grid, size)))
    note = document.add_paragraph()
    _say(note, table.caption.replace("*", ""), there, SIZE)
    note.paragraph_format.keep_together = True
    _tight(note, keep=False)


def _tight(paragraph: Paragraph, *, keep: bool) -> None:
    paragraph.paragraph_format.space_before, paragraph.paragraph_format.space_after = Pt(3), Pt(3 if keep else 12)
    paragraph.paragraph_format.keep_with_next = keep


def _points(grid: Grid, size: float) -> list[float]:
    """Return what the text of each column takes in points: the wider of its header, which is bold, and its cells."""
    headers = [max(map(_ems, lines)) for lines in grid.header]
    cells = [
        max((_ems(line) for row in grid.rows for line in row[place]), default=0.0) for place in range(len(headers))
    ]
    return [size * max(BOLD * head, cell) for head, cell in zip(headers, cells, strict=True)]


def _ems(text: str) -> float:
    """Return about how wide a text is in units of the font's size."""
    widths = {**dict.fromkeys(THIN, NARROW), **dict.fromkeys(BROAD, WIDEST), FIGURE: USUAL, POINT: NARROW}
    return sum(widths.get(c, WIDE if c.isupper() or ord(c) > WESTERN else USUAL) for c in text)


def _table_xml(grid: Grid, size: float) -> str:
    """A grid as Word's table; written as text, as python-docx takes seconds for some hundred rows."""
    widths = [round((points + PADDING) * TWENTIETHS) for points in _points(grid, size)]
    columns = "".join(f'<w:gridCol w:w="{width}"/>' for width in widths)
    last = len(grid.rows) - 1
    keep = last < 30  # a short table stays on one page, and every table's last two rows with its notes
    rows = [_row_xml(grid.header, grid, widths, size, is_header=True, rules=("top", "bottom"), keep=True)]
    rows += [
        _row_xml(row, grid, widths, size, rules=("bottom",) if n == last else (), keep=keep or n >= last - 1)
        for n, row in enumerate(grid.rows)
    ]
    return (
        f'<w:tbl {nsdecls("w")}><w:tblPr><w:tblW w:w="{sum(widths)}" w:type="dxa"/><w:jc w:val="left"/>'
        '<w:tblLayout w:type="fixed"/><w:tblCellMar><w:left w:w="60" w:type="dxa"/>'
        '<w:right w:w="60" w:type="dxa"/></w:tblCellMar>'
        f"</w:tblPr><w:tblGrid>{columns}</w:tblGrid>{''.join(rows)}</w:tbl>"
    )


def _row_xml(
    row: Sequence[Lines],
    grid: Grid,
    widths: Sequence[int],
    size: float,
    *,
    is_header: bool = False,
    rules: tuple[str, ...] = (),
    keep: bool = False,
) -> str:
    repeated = "<w:tblHeader/>" if is_header else ""
    thick = {"top": 12, "bottom": 6 if is_header else 12}
    borders = "".join(f'<w:{side} w:val="single" w:sz="{thick[side]}" w:space="0" w:color="000000"/>' for side in rules)
    cells = "".join(
        f'<w:tc><w:tcPr><w:tcW w:w="{width}" w:type="dxa"/><w:tcBorders>{borders}</w:tcBorders><w:vAlign'
        f' w:val="{"bottom" if is_header else "top"}"/></w:tcPr>{_text_xml(lines, side, size, is_header, keep)}</w:tc>'
        for lines, side, width in zip(row, grid.alignments, widths, strict=True)
    )
    return f"<w:tr><w:trPr><w:cantSplit/>{repeated}</w:trPr>{cells}</w:tr>"


def _text_xml(lines: Lines, side: str, size: float, bold: bool, keep: bool) -> str:
    """A cell's paragraph; its lines are broken where the layout broke them."""
    half_points = round(2 * size)
    look = f'<w:rPr>{"<w:b/>" if bold else ""}<w:sz w:val="{half_points}"/><w:szCs w:val="{half_points}"/></w:rPr>'
    runs = "<w:r><w:br/></w:r>".join(
        f'<w:r>{look}<w:t xml:space="preserve">{escape(_plain(line))}</w:t></w:r>' for line in lines
    )
    kept = "<w:keepNext/>" if keep else ""
    return (
        f'<w:p><w:pPr>{kept}<w:spacing w:before="20" w:after="20" w:line="240" w:lineRule="auto"/>'
        f'<w:jc w:val="{SIDES[side]}"/></w:pPr>{runs}</w:p>'
    )
