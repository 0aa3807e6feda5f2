"""Excel workbooks: which sheet holds the table, and its cells as text."""

import datetime
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import openpyxl
import pandas as pd
from openpyxl.worksheet.worksheet import Worksheet

from mmbc.data.tables.columns import has_decimal_commas, normalise_name
from mmbc.errors import CohortError, count, nearest, some


@dataclass(frozen=True)
class Sheet:
    """A sheet with its cells as text; rows without a value are empty lists; `n_hidden` of those with one are hidden.

    A title above the header is none of its rows: a first row with one cell, above one with at least three.
    """

    name: str
    hidden: bool
    rows: list[list[str]]
    n_hidden: int = 0
    title: str = ""

    @property
    def header(self) -> list[str]:
        """Cells of the first row that is not empty."""
        return next(filter(None, self.rows), [])

    @property
    def n_rows(self) -> int:
        """Number of rows with a value below the header."""
        return max(sum(map(bool, self.rows)) - 1, 0)

    def __str__(self) -> str:
        return f"{self.name!r} ({'hidden, ' if self.hidden else ''}{count(self.n_rows, 'row')})"


def read_sheet(path: Path, name: str, needed: Sequence[str]) -> tuple[Sheet, list[Sheet]]:
    """Return the sheet that holds the table, and the other sheets that hold anything.

    Args:
        path: the workbook.
        name: the sheet the user names; empty for the only one with a table.
        needed: names of the columns that a table has.

    Raises:
        CohortError: no workbook, no such sheet, or several sheets with a table; names them.
    """
    try:
        book = openpyxl.load_workbook(path, data_only=True)
    except Exception as error:
        raise CohortError(f"{path}: cannot be read as Excel: {error}") from None
    sheets = [_sheet(sheet) for sheet in book.worksheets]
    if name:
        chosen = [sheet for sheet in sheets if sheet.name == name]
        if not chosen:
            raise CohortError(f"{path}: has no sheet {name!r}; {nearest(name, [sheet.name for sheet in sheets])}")
        return chosen[0], [sheet for sheet in sheets if sheet.name != name and sheet.header]
    filled = [sheet for sheet in sheets if sheet.header]
    if not filled:
        raise CohortError(f"{path}: is empty")
    tables = _tables(filled, needed)
    if len(tables) > 1:
        raise CohortError(
            f"{path}: several sheets hold a table: {', '.join(map(str, tables))}. Say which one is meant, for example"
            f" --set data.sheet={_quoted(tables[0].name)}; to use them together, put their rows on one sheet"
        )
    return tables[0], [sheet for sheet in filled if sheet is not tables[0]]


def check_formulas(path: Path, name: str) -> None:
    """Refuse formulas whose values are not in the file, because the program that wrote it computes none.

    Raises:
        CohortError: there are some on the sheet; names the cells.
    """
    with zipfile.ZipFile(path) as archive:
        parts = [part for part in archive.namelist() if part.startswith("xl/worksheets/")]
        if not any(re.search(rb"<f[ >/]", archive.read(part)) for part in parts):
            return
    formulas, values = (openpyxl.load_workbook(path, data_only=known)[name] for known in (False, True))
    lacking = [
        cell.coordinate
        for row in formulas.iter_rows()
        for cell in row
        if cell.data_type == "f" and values[cell.coordinate].value is None
    ]
    if lacking:
        raise CohortError(
            f"{path}: sheet {name!r} has formulas without their values in cells {some(lacking, 5)}; open the file in"
            " Excel or LibreOffice and save it, or replace the formulas by their values"
        )


def _tables(filled: list[Sheet], needed: Sequence[str]) -> list[Sheet]:
    """Return the sheets that hold a table: the needed columns, or two columns of a sheet that has them."""
    if len(filled) == 1:
        return filled
    names = [{normalise_name(cell) for cell in sheet.header} - {""} for sheet in filled]
    wanted = {normalise_name(name) for name in needed}
    whole = [wanted <= of_sheet and sheet.n_rows > 0 for sheet, of_sheet in zip(filled, names, strict=True)]
    if not any(whole):
        return filled
    of_tables = set().union(*(of_sheet for of_sheet, is_whole in zip(names, whole, strict=True) if is_whole))
    return [
        sheet
        for sheet, of_sheet, is_whole in zip(filled, names, whole, strict=True)
        if is_whole or (sheet.n_rows > 0 and len(of_sheet & of_tables) > 1)
    ]


def _sheet(sheet: Worksheet) -> Sheet:
    """Return a sheet: a value of cells merged over rows counts for each of them, and a title is set aside."""
    grid: list[list[object]] = [list(row) for row in sheet.iter_rows(min_row=1, min_col=1, values_only=True)]
    for merged in sheet.merged_cells.ranges:
        if merged.min_col == merged.max_col:
            for row in range(merged.min_row, min(merged.max_row, len(grid))):
                grid[row][merged.min_col - 1] = grid[merged.min_row - 1][merged.min_col - 1]
    columns = [_texts(column) for column in zip(*grid, strict=True)]
    rows = [list(row) if any(text.strip() for text in row) else [] for row in zip(*columns, strict=True)]
    filled = [number for number, row in enumerate(rows) if row]
    title = ""
    if len(filled) > 1 and _n_filled(rows[filled[0]]) == 1 and _n_filled(rows[filled[1]]) > 2:
        title = next(text.strip() for text in rows[filled[0]] if text.strip())
        rows[filled[0]] = []
    hidden = sum(bool(row) and sheet.row_dimensions[number].hidden for number, row in enumerate(rows, start=1))
    return Sheet(sheet.title, sheet.sheet_state != "visible", rows, hidden, title)


def _n_filled(row: Sequence[str]) -> int:
    return sum(bool(text.strip()) for text in row)


def _texts(column: Sequence[object]) -> list[str]:
    """Return a column's cells as text; its numbers have a decimal comma where its texts (`24,9`) have one."""
    texts = [cell_text(value) for value in column]
    written = [text.strip() for text, value in zip(texts, column, strict=True) if isinstance(value, str)]
    if not written or not has_decimal_commas(pd.Series(written, dtype="str")):
        return texts
    return [
        text.replace(".", ",") if isinstance(value, float) else text for text, value in zip(texts, column, strict=True)
    ]


def cell_text(value: object) -> str:
    """Return a cell as the user sees it: 7 for 7.0, a date as ISO text."""
    if value is None or value is pd.NaT or (isinstance(value, float) and pd.isna(value)):
        return ""
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat().removesuffix("T00:00:00")
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[\w.-]+", name) else f"'{name}'"
