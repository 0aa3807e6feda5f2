"""All tables as one Excel workbook: first as they are printed, then their numbers at full precision."""

import io
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from openpyxl import Workbook
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from study.reporting.tables.base import ABSENT, PaperTable, printable
from study.reporting.tables.layout import alignment
from study.reporting.tables.office_files import without_times
from study.text.format import is_share

TITLE, CAPTION, HEADER = 1, 3, 5
"""Rows of the title, the caption and the header; the notice is between title and caption."""
SIDES = {"l": "left", "c": "center", "r": "right"}
WIDTH_OF_TEXT = 110
"""Characters that a caption is wrapped at; it spans as many columns as that takes."""
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


BOLD, SHADED = Font(bold=True), PatternFill("solid", fgColor="E8EDF3")
RULED, BELOW = Border(top=Side("medium"), bottom=Side("thin")), Border(bottom=Side("medium"))
GREY, RIGHT = Font(color="808080"), Alignment(horizontal="right")


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
        _head(sheet, table, notice, table.shown)
        _printed(sheet, table)
    for table in tables:
        sheet = book.create_sheet(table.name[:LONGEST_NAME])
        _head(sheet, table, notice, table.data)
        sheet.cell(TITLE, 1).value = f"{table.heading} (numbers)"
        _body(sheet, table.data)
    out = io.BytesIO()
    book.save(out)
    return without_times(out.getvalue())


def _index(sheet: Worksheet, names: dict[str, PaperTable], notice: str) -> None:
    sheet.title = INDEX
    sheet["A1"], sheet["A2"] = "Tables", notice or None
    sheet["A1"].font, sheet["A2"].font = Font(bold=True, size=13), Font(bold=True, color="B00000")
    sheet["A3"] = (
        "First the tables as they are printed, then their numbers at full precision; there the format of a cell rounds"
        " what is seen. n/a: there is no such number."
    )
    for column, name in enumerate(("As printed", "Title", "Numbers", "Rows"), start=1):
        _header_cell(sheet, 5, column, name)
    for row, (name, table) in enumerate(names.items(), start=6):
        for column, target in ((1, name), (3, table.name[:LONGEST_NAME])):
            link = sheet.cell(row, column, target)
            link.hyperlink, link.font = f"#'{target}'!A1", Font(color="0563C1", underline="single")
        sheet.cell(row, 2, table.title)
        sheet.cell(row, 4, len(table.data))
    for letter, width in zip("ABCD", (12, 60, 28, 10), strict=True):
        sheet.column_dimensions[letter].width = width
    sheet.freeze_panes = "A6"


def _head(sheet: Worksheet, table: PaperTable, notice: str, cells: pd.DataFrame) -> None:
    """Write title, notice and caption above the table."""
    sheet.cell(TITLE, 1, table.heading).font = Font(bold=True, size=13)
    if notice:
        sheet.cell(TITLE + 1, 1, notice).font = Font(bold=True, color="B00000")
    caption = sheet.cell(CAPTION, 1, table.caption.replace("*", ""))
    caption.alignment = Alignment(wrap_text=True, vertical="top")
    widths = _widths(cells)
    for number, width in enumerate(widths, start=1):
        sheet.column_dimensions[get_column_letter(number)].width = width
    spanned, total = 0, 0.0
    while total < WIDTH_OF_TEXT:  # further than the last column where the table is narrow
        total += widths[spanned] if spanned < len(widths) else 9
        spanned += 1
    sheet.merge_cells(start_row=CAPTION, end_row=CAPTION, start_column=1, end_column=spanned)
    sheet.row_dimensions[CAPTION].height = 15 * max(1, math.ceil(1.1 * len(table.caption) / total))
    sheet.freeze_panes = sheet.cell(HEADER + 1, 2)
    sheet.page_setup.orientation, sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = "landscape", 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.print_title_rows = f"{HEADER}:{HEADER}"


def _widths(data: pd.DataFrame) -> list[float]:
    """Return the width of each column in characters, from its name and its cells as they will look."""
    widths = []
    for name in data.columns:
        column = data[name]
        shown = 9 if pd.api.types.is_float_dtype(column) else max((len(str(value)) for value in column), default=0)
        widths.append(float(min(max(len(str(name)) + 4, int(shown) + 2, 8), 60)))
    return widths


def _header_cell(sheet: Worksheet, row: int, column: int, name: str, side: str = "left") -> None:
    cell = sheet.cell(row, column, name)
    cell.font, cell.fill, cell.border = BOLD, SHADED, RULED
    cell.alignment = Alignment(horizontal=side, vertical="bottom", wrap_text=side != "left")


def _printed(sheet: Worksheet, table: PaperTable) -> None:
    """Write the cells as every printed form of the table shows them, each column aligned as there."""
    for place, name in enumerate(table.shown.columns, start=1):
        values = table.shown.iloc[:, place - 1].astype(str).tolist()
        side = SIDES[alignment(values)]
        aligned = Alignment(horizontal=side, vertical="top", wrap_text=True)
        _header_cell(sheet, HEADER, place, str(name), side)
        for row, value in enumerate(values, start=HEADER + 1):
            _write(sheet, row, place, value, "@")
            sheet.cell(row, place).alignment = aligned
        sheet.cell(HEADER + len(values), place).border = BELOW


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
