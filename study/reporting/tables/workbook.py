"""All tables as one Excel workbook: first as they are printed, then their numbers at full precision."""

import io
import math
import re
import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from openpyxl import Workbook
from openpyxl.cell import Cell
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from study.reporting.tables.base import ABSENT, PaperTable, printable
from study.reporting.tables.layout import alignment
from study.reporting.tables.office_files import without_times
from study.text.format import is_share

TITLE, LINK, HEADER = 1, 3, 4
"""Rows of the title, the link to the other form and the header; the notice is between title and link."""
SIDES = {"l": "left", "c": "center", "r": "right"}
WIDTH_OF_TEXT, WIDEST, LINE = 110, 42, 15
"""Characters that a caption is wrapped at, which spans as many columns as that takes, and those of a printed column at
most; points of a line."""
INDEX = "index"
LONGEST_NAME = 31
"""Excel's limit for the name of a sheet."""

INTEGER, THREE, FOUR, SHARE, TENTHS, P = "#,##0", "0.000", "0.0000", "0.0 %", "0.0", '[<0.001]"< 0.001";0.000'
SIGNED_THREE, SIGNED_TWO = '+0.000;"−"0.000;0.000', '+0.00;"−"0.00;0.00'
FORMATS = {
    "share": SHARE,
    "prevalence": SHARE,
    "threshold": "0.00 %",
    "mean": TENTHS,
    "sd": TENTHS,
    "standardised_difference": SIGNED_TWO,
    "difference": SIGNED_THREE,
    "seconds_mean": TENTHS,
    "seconds_total": TENTHS,
    **dict.fromkeys(("patients_needed", "patients_low", "patients_high"), INTEGER),
    **dict.fromkeys(("tp", "fp", "fn", "tn"), TENTHS),
    "p_worse": "0.00",
    "p_equivalent": "0.00",
    "p_better": "0.00",
}
WHOLE = ("n_", "epochs_", "best_epoch_")
"""Beginnings of columns that hold counts, which are floats where one is absent."""
CONTRASTS = ("e1_low", "e1_high", "e2_low", "e2_high", "e2_low_90", "e2_high_90")


FONT = "Calibri"
BOLD, SHADED = Font(FONT, 11, bold=True), PatternFill("solid", fgColor="E8EDF3")
RULED, BELOW = Border(top=Side("medium"), bottom=Side("thin")), Border(bottom=Side("medium"))
GREY, RIGHT = Font(FONT, 11, color="808080"), Alignment(horizontal="right")
LINKED, WARNING = Font(FONT, 11, color="0563C1", underline="single"), Font(FONT, 11, bold=True, color="B00000")
WRAPPED = Alignment(wrap_text=True, vertical="top")


def workbook(tables: Sequence[PaperTable], notice: str) -> bytes:
    """Return an xlsx file: an index, one sheet a table as it is printed, then one with its numbers at full precision.

    The same tables give the same bytes.
    """
    book = Workbook()
    book.properties.creator = "mmbc"
    names = {f"Table {table.number or place}": table for place, table in enumerate(tables, start=1)}
    _index(book.active, names, notice)
    for name, table in names.items():
        sheet = book.create_sheet(name)
        _head(sheet, table.heading, notice, _printed_widths(table.shown))
        _link(sheet.cell(LINK, 1), table.name[:LONGEST_NAME], "Numbers at full precision")
        _printed(sheet, table)
    for name, table in names.items():
        sheet = book.create_sheet(table.name[:LONGEST_NAME])
        _head(sheet, f"{table.heading} (numbers)", notice, _widths(table.data))
        _link(sheet.cell(LINK, 1), name, "As printed, with notes")
        _body(sheet, table.data)
    out = io.BytesIO()
    book.save(out)
    return without_times(out.getvalue())


def _index(sheet: Worksheet, names: dict[str, PaperTable], notice: str) -> None:
    sheet.title = INDEX
    sheet["A1"], sheet["A2"] = "Tables", notice or None
    sheet["A1"].font, sheet["A2"].font = Font(FONT, 13, bold=True), WARNING
    widths = (12.0, 60.0, 28.0, 10.0)
    said = (
        "First the tables as they are printed, then their numbers at full precision; there the format of a cell rounds"
        " what is seen. n/a: there is no such number."
    )
    _text(sheet, 3, said, widths)
    for column, name in enumerate(("As printed", "Title", "Numbers", "Rows"), start=1):
        _header_cell(sheet, HEADER, column, name)
    for row, (name, table) in enumerate(names.items(), start=HEADER + 1):
        for column, target in ((1, name), (3, table.name[:LONGEST_NAME])):
            _link(sheet.cell(row, column), target, target)
        sheet.cell(row, 2, table.title)
        sheet.cell(row, 4, len(table.data))
    _lay_out(sheet, widths)
    sheet.freeze_panes = sheet.cell(HEADER + 1, 1)


def _head(sheet: Worksheet, title: str, notice: str, widths: Sequence[float]) -> None:
    """Write title and notice above the table, which alone stay in sight with the header."""
    sheet.cell(TITLE, 1, title).font = Font(FONT, 13, bold=True)
    if notice:
        sheet.cell(TITLE + 1, 1, notice).font = WARNING
    _lay_out(sheet, widths)
    sheet.freeze_panes = sheet.cell(HEADER + 1, 2)


def _lay_out(sheet: Worksheet, widths: Sequence[float]) -> None:
    """Set the widths of the columns and print them on one page side by side."""
    for number, width in enumerate(widths, start=1):
        sheet.column_dimensions[get_column_letter(number)].width = width
    sheet.page_setup.orientation = "landscape" if sum(widths) > WIDTH_OF_TEXT else "portrait"
    sheet.page_setup.paperSize = sheet.PAPERSIZE_A4
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.print_title_rows = f"{HEADER}:{HEADER}"


def _link(cell: Cell, sheet: str, text: str) -> None:
    cell.value, cell.hyperlink, cell.font = text, f"#'{sheet}'!A1", LINKED


def _text(sheet: Worksheet, row: int, text: str, widths: Sequence[float]) -> None:
    """Write a paragraph over as many columns as its width takes, further than the last one of a narrow table."""
    spanned, total = 0, 0.0
    while total < WIDTH_OF_TEXT:
        total += widths[spanned] if spanned < len(widths) else 9
        spanned += 1
    sheet.cell(row, 1, text).alignment = WRAPPED
    sheet.merge_cells(start_row=row, end_row=row, start_column=1, end_column=spanned)
    sheet.row_dimensions[row].height = LINE * max(1, math.ceil(1.1 * len(text) / total))


def _printed_widths(shown: pd.DataFrame) -> list[float]:
    """Return the width of each printed column in characters: cells on one line up to `WIDEST`, names in several."""
    words = [max(map(len, re.split(r"[\s-]", str(name)))) for name in shown.columns]
    cells = [shown.iloc[:, place].astype(str).str.len().max() for place in range(shown.shape[1])]
    return [
        float(max(word + 1, min(cell, WIDEST) if cell == cell else 0, 8) + 2)
        for word, cell in zip(words, cells, strict=True)
    ]


def _widths(data: pd.DataFrame) -> list[float]:
    """Return the width of each column in characters, from its name and its cells as they will look."""
    widths = []
    for name in data.columns:
        column = data[name]
        shown = 9 if pd.api.types.is_float_dtype(column) else max((len(str(value)) for value in column), default=0)
        widths.append(float(min(max(len(str(name)) + 4, int(shown) + 2, 8), 60)))
    return widths


def _header_cell(sheet: Worksheet, row: int, column: int, name: str, side: str = "left", *, wrap: bool = False) -> None:
    cell = sheet.cell(row, column, name)
    cell.font, cell.fill, cell.border = BOLD, SHADED, RULED
    cell.alignment = Alignment(horizontal=side, vertical="bottom", wrap_text=wrap)


def _printed(sheet: Worksheet, table: PaperTable) -> None:
    """Write the cells as every printed form of the table shows them, each column aligned as there, and the notes."""
    widths, lines = _printed_widths(table.shown), [1] * (len(table.shown) + 1)
    for place, name in enumerate(table.shown.columns, start=1):
        values = table.shown.iloc[:, place - 1].astype(str).tolist()
        side = SIDES[alignment(values)]
        aligned = Alignment(horizontal=side, vertical="top", wrap_text=True, indent=int(side == "right"))
        _header_cell(sheet, HEADER, place, str(name), side, wrap=True)
        broken = [len(textwrap.wrap(text, int(widths[place - 1]) - 2)) for text in (str(name), *values)]
        lines = list(map(max, lines, broken))
        for row, value in enumerate(values, start=HEADER + 1):
            _write(sheet, row, place, value, "@")
            sheet.cell(row, place).alignment = aligned
        sheet.cell(HEADER + len(values), place).border = BELOW
    for row, n in enumerate(lines, start=HEADER):
        sheet.row_dimensions[row].height = LINE * n
    _text(sheet, HEADER + len(table.shown) + 2, table.caption.replace("*", ""), widths)


def _body(sheet: Worksheet, data: pd.DataFrame) -> None:
    other = "net benefit" if "treat_all" in data else ""
    metrics = data["metric"].astype(str).tolist() if "metric" in data else [other] * len(data)
    for place, name in enumerate(data.columns, start=1):
        values = data[name].tolist()
        numeric = pd.api.types.is_numeric_dtype(data[name]) and not pd.api.types.is_bool_dtype(data[name])
        _header_cell(sheet, HEADER, place, str(name), "right" if numeric else "left")
        for row, (value, metric) in enumerate(zip(values, metrics, strict=True), start=HEADER + 1):
            _write(sheet, row, place, value, number_format(str(name), metric, value))
    for place in range(1, len(data.columns) + 1):
        sheet.cell(HEADER + max(len(data), 1), place).border = BELOW
    sheet.auto_filter.ref = f"A{HEADER}:{get_column_letter(max(len(data.columns), 1))}{HEADER + len(data)}"


def _write(sheet: Worksheet, row: int, column: int, value: object, shown_as: str) -> None:
    """Write a cell: a number as a number, an absent one as n/a, and text that begins with = as text."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)) or value is pd.NA:
        absent = not isinstance(value, float) or math.isnan(value)
        cell = sheet.cell(row, column, ABSENT if absent else str(value))
        cell.font, cell.alignment = GREY, RIGHT
        return
    cell = sheet.cell(row, column)
    if isinstance(value, bool | np.bool_):
        cell.value = bool(value)
    elif isinstance(value, int | np.integer):
        cell.value, cell.number_format = int(value), shown_as
    elif isinstance(value, float | np.floating):
        # openpyxl writes floats with 16 digits, one too few for some; the text of a number is written as it is
        cell.value = repr(float(value))
        cell.data_type, cell.number_format = "n", shown_as
    else:
        cell.value = printable(str(value))
        cell.data_type = "s"


def number_format(column: str, metric: str, value: object) -> str:
    """Return Excel's format for a number, from the column it is in and, in columns of any metric, its metric."""
    if isinstance(value, int | np.integer) or column.startswith(WHOLE):
        return INTEGER
    if column in FORMATS:
        return FORMATS[column]
    if column == "p" or column.endswith(("_p", "_p_holm")):
        return P
    if column in CONTRASTS:
        return SIGNED_THREE
    if metric == "net benefit" and column in ("value", "low", "high", "treat_all"):
        return FOUR
    name = metric if column in ("value", "low", "high") else column.removesuffix("_low").removesuffix("_high")
    return SHARE if is_share(name) else THREE
