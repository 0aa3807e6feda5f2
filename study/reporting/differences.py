"""Differences between two files of a report: cell by cell, key by key, line by line.

Full-precision numbers (CSV, JSON, Excel) may differ in their last digits between machines and versions of libraries;
text may not differ at all.
"""

import csv
import difflib
import gzip
import io
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import openpyxl
from docx import Document

RELATIVE, ABSOLUTE = 1e-7, 1e-9
"""Full-precision numbers closer than this, relative to the larger or absolutely, are the same.

Calibration is fitted by iteration: on another processor its numbers differ by up to 3e-8 of themselves (measured with
two kernels of OpenBLAS on one machine). No printed number has so many digits.
"""
CONTEXT = 60


@dataclass(frozen=True)
class Disagreement:
    """One place where a report says something else than its predictions.

    Attributes:
        file: below the folder of the report.
        where: line, cell or key.
        found: what stands there.
        expected: what follows from the predictions.
    """

    file: str
    where: str
    found: str
    expected: str

    def __str__(self) -> str:
        return (
            f"{self.file}, {self.where}: {self.found or 'nothing'}; from the predictions: {self.expected or 'nothing'}"
        )


def differences(file: str, actual: bytes, expected: bytes) -> Iterator[Disagreement]:
    """Yield where the bytes of a file disagree with those that the predictions give; nothing where they agree."""
    if actual == expected:
        return
    read = READERS.get(file.rpartition(".")[2])
    try:
        pair = (read(actual), read(expected)) if read is not None else None
    except Exception as error:  # whatever was done to the file
        yield Disagreement(file, "the whole file", f"cannot be read ({error})", "a readable file")
        return
    if pair is None:
        yield from _lines(file, actual.decode("utf-8", "replace"), expected.decode("utf-8"))
        return
    theirs, ours = pair
    for where in [*ours, *(key for key in theirs if key not in ours)]:
        one, other = theirs.get(where), ours.get(where)
        if not same(one, other):
            yield Disagreement(file, where, _short(one), _short(other))


def same(actual: object, expected: object) -> bool:
    """Whether two cells say the same: equal, or numbers that differ in rounding alone."""
    if actual == expected:
        return True
    one, other = _number(actual), _number(expected)
    if one is None or other is None:
        return False
    return (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _short(value: object) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= 2 * CONTEXT else f"{text[: 2 * CONTEXT]}…"


def _csv(data: bytes) -> dict[str, Any]:
    """Return `row 3, column 'value'` -> cell; rows are numbered as in a spreadsheet."""
    rows = list(csv.reader(io.StringIO(data.decode("utf-8"))))
    head = rows[0] if rows else []
    cells: dict[str, Any] = {f"header, column {number}": name for number, name in enumerate(head, start=1)}
    for number, row in enumerate(rows[1:], start=2):
        for place, value in enumerate(row):
            name = head[place] if place < len(head) else f"{place + 1}"
            cells[f"row {number}, column {name!r}"] = value
    return cells


def _json(data: bytes) -> dict[str, Any]:
    """Return `key/key/0` -> value."""
    cells: dict[str, Any] = {}

    def walk(value: Any, where: str) -> None:
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
        if items is None:
            cells[where] = value
            return
        for key, below in items:
            walk(below, f"{where}/{key}" if where else str(key))

    walk(json.loads(data), "")
    return cells


def _excel(data: bytes) -> dict[str, Any]:
    """Return `sheet main, B7` -> value."""
    book = openpyxl.load_workbook(io.BytesIO(data))
    return {
        f"sheet {sheet.title}, {cell.coordinate}": cell.value
        for sheet in book
        for row in sheet.iter_rows()
        for cell in row
        if cell.value is not None
    }


def _word(data: bytes) -> dict[str, Any]:
    """Return `table 2, row 3, cell 1` and `paragraph 5` -> text."""
    document = Document(io.BytesIO(data))
    cells: dict[str, Any] = {f"paragraph {n}": p.text for n, p in enumerate(document.paragraphs, start=1)}
    for number, table in enumerate(document.tables, start=1):
        for r, row in enumerate(table.rows, start=1):
            for c, cell in enumerate(row.cells, start=1):
                cells[f"table {number}, row {r}, cell {c}"] = cell.text
    return cells


def _compressed(data: bytes) -> dict[str, Any]:
    return _csv(gzip.decompress(data))


READERS: dict[str, Callable[[bytes], dict[str, Any]]] = {
    "csv": _csv,
    "gz": _compressed,
    "json": _json,
    "xlsx": _excel,
    "docx": _word,
}


def _lines(file: str, actual: str, expected: str) -> Iterator[Disagreement]:
    """Yield the differing lines, shown from a little before the first difference."""
    theirs, ours = actual.splitlines(), expected.splitlines()
    matcher = difflib.SequenceMatcher(None, theirs, ours, autojunk=False)
    for kind, i, j, k, end in matcher.get_opcodes():
        if kind == "equal":
            continue
        for number in range(max(j - i, end - k)):
            one = theirs[i + number] if i + number < j else ""
            other = ours[k + number] if k + number < end else ""
            start = max(
                next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0) - CONTEXT // 2, 0
            )
            yield Disagreement(file, f"line {i + number + 1}", _cut(one, start), _cut(other, start))


def _cut(line: str, start: int) -> str:
    shown = line[start : start + CONTEXT]
    return f"{'…' if start and shown else ''}{shown}{'…' if len(line) > start + CONTEXT else ''}"
