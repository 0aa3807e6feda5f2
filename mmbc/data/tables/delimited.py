"""Delimited text files (CSV, TSV): their encoding, delimiter and quotes, and the rows held against the lines.

A file is read so that no line is lost: every row has as many cells as the header, and a quoted cell with line breaks is
a comment, not rows that a stray quote swallowed.
"""

import codecs
import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mmbc.errors import CohortError, count, some

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
OTHERS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the table itself: run 'git lfs pull'"),
    (b"PK\x03\x04", "an Excel workbook or a ZIP archive: give a workbook the ending .xlsx, unpack an archive"),
    (b"\xd0\xcf\x11\xe0", "a workbook of old Excel (.xls): save it as .xlsx"),
    (b"\x1f\x8b", "compressed with gzip: unpack it"),
    (b"PAR1", "a Parquet file: give it the ending .parquet"),
    (b"%PDF", "a PDF document: export the table as CSV"),
    (b"<!doctype html", "a web page (HTML), saved in place of the table: download it again"),
    (b"<html", "a web page (HTML), saved in place of the table: download it again"),
    (b"{", "JSON: write it as CSV, one row a line"),
    (b"[{", "JSON: write it as CSV, one row a line"),
)
"""Beginnings of files that are no text tables, in lower case where they are words, and what they are."""
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks, and the encodings they stand for; the `Unicode text` of Excel has one."""

CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
"""Characters that no text has: what holds one was damaged, or is no text."""

CONTROL_8 = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
"""The same in a text whose encoding somebody named: a wrong name leaves control characters of 8 bits."""

ACCENTED = re.compile(r"[^\s,;|\t\"\x00-\x1f]*[^\x00-\x7f][^\s,;|\t\"\x00-\x1f]*")
"""Words with a letter beyond ASCII."""

ANOTHER = "others are cp1250 and mac_roman; or save the file as 'CSV UTF-8', which needs no option"
"""Further encodings, and the way that needs none."""

NAMED = re.compile(r"sep=(.)")
"""First line with which Excel is told the delimiter."""

END = "\0"
"""Line put after the last one: it is a row of its own unless a quote before it is still open."""

LONGEST = 10**7
"""Most characters of a cell."""


@dataclass(frozen=True)
class Row:
    """Cells of one row, and its first and last line in the file (counted from 1)."""

    cells: list[str]
    first: int
    last: int

    @property
    def blank(self) -> bool:
        """Whether no cell holds anything."""
        return not any(cell.strip() for cell in self.cells)


def read_rows(path: Path, encoding: str = "") -> tuple[list[list[str]], str]:
    """Return the cells of every row, all of the header's length (blank rows are empty), and of how many lines they are.

    Args:
        path: the file.
        encoding: of its text where it is not UTF-8; a byte order mark says what it is in any case.

    Raises:
        CohortError: the file is empty or no text, a quote is not closed, or a row has not as many cells as the header;
            names the lines.
    """
    text = _text(path, encoding)
    lines = list(io.StringIO(text, newline=""))
    named = NAMED.fullmatch(lines[0].strip("\r\n")) if lines else None
    if not text.strip():
        raise CohortError(f"{path}: is empty")
    if named:
        lines[0] = "\n"
    delimiter = named[1] if named else _delimiter(path, lines)
    rows = _split(path, lines, delimiter)
    header = next((row for row in rows if not row.blank), None)
    if header is None:
        raise CohortError(f"{path}: is empty")
    body = rows[rows.index(header) + 1 :]
    width = len(header.cells)
    # prose has a blank after a comma, rows have not, unless the header has
    tight = "" if f"{delimiter} " in lines[header.first - 1] else "(?! )"
    _check_quotes(path, lines, body, re.compile(re.escape(delimiter) + tight), width)
    _check_widths(path, body, delimiter, header)
    source = f"the {count(len(lines), 'line')} of {path.name}"
    if encoding and (words := list(dict.fromkeys(ACCENTED.findall(text)))):
        source += f" (read as {encoding}: {some(map(repr, words), 4)})"
    return [[] if row.blank else row.cells[:width] for row in rows], source


def _text(path: Path, encoding: str) -> str:
    """Return the text of a file: UTF-8, or what its byte order mark or the user says."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CohortError(f"{path}: cannot be read ({error.strerror})") from None
    start = content[:64].lstrip()
    start = start.lower() if start.startswith(b"<") else start
    if what := next((what for magic, what in OTHERS if start.startswith(magic)), ""):
        raise CohortError(f"{path}: is {what}")
    mark = next((name for mark, name in MARKS if content.startswith(mark)), "")
    try:
        text = content.decode(mark or encoding or "utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        what = "UTF-8" if not (mark or encoding) else mark or encoding
        place = f"byte {error.start}: 0x{content[error.start]:02X}"
        way = _way_on(content, error.start, encoding)
        raise CohortError(f"{path}: line {line} is not {what} text ({place}). {way}") from None
    if encoding and not mark and not codecs.lookup(encoding).name.startswith("utf-8") and _is_utf_8(content):
        raise CohortError(
            f"{path}: is UTF-8 text already, and read as {encoding} its accented letters would be wrong; leave"
            " data.encoding out"
        )
    if found := (CONTROL_8 if encoding else CONTROL).search(text):
        line = text.count("\n", 0, found.start()) + 1
        what = "a NUL byte" if found[0] == "\0" else f"the control character {found[0]!r}"
        way = (
            f"{encoding} may be the wrong encoding; {ANOTHER}"
            if encoding
            else _wide(content)
            or "the file is damaged or no plain text. Export it again as 'CSV UTF-8', or correct the line"
        )
        raise CohortError(f"{path}: line {line} holds {what}; {way}")
    return text


def _is_utf_8(content: bytes) -> bool:
    """Whether bytes beyond ASCII are there and are all those of UTF-8."""
    try:
        return not content.decode("utf-8").isascii()
    except UnicodeDecodeError:
        return False


def _way_on(content: bytes, place: int, encoding: str) -> str:
    """Return how to read bytes that are not in the expected encoding, with the word at a place as it would read."""
    if encoding:
        return f"Name the encoding that it has; {ANOTHER}"
    if wide := _wide(content):
        return wide[0].upper() + wide[1:]
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        return f"Name its encoding (--set data.encoding=NAME); {ANOTHER}"
    word = next(found[0] for found in ACCENTED.finditer(text) if found.start() <= place < found.end())
    return (
        f"Read as cp1252, as Excel on Windows saves a CSV file, the word there is {word!r}. If that is right, say --set"
        f" data.encoding=cp1252; if not, {ANOTHER}"
    )


def _wide(content: bytes) -> str:
    """Return what to do about two-byte text without its mark; '' where every second byte is not mostly zero."""
    for name, zeros, others in (("utf-16-le", content[1::2], content[::2]), ("utf-16-be", content[::2], content[1::2])):
        if zeros.count(0) > 0.5 * len(zeros) and not others.count(0):
            return f"it looks like UTF-16 without its mark: --set data.encoding={name}, or save it as 'CSV UTF-8'"
    return ""


def _split(path: Path, lines: list[str], delimiter: str) -> list[Row]:
    """Split lines into rows of cells.

    Raises:
        CohortError: a quote that is opened and never closed; names its line.
    """
    text = [*lines, END] if lines[-1].endswith(("\n", "\r")) else [*lines[:-1], lines[-1] + "\n", END]
    csv.field_size_limit(LONGEST)
    reader = csv.reader(text, delimiter=delimiter, skipinitialspace=delimiter != "\t")
    rows: list[Row] = []
    start = 1
    try:
        for cells in reader:
            rows.append(Row(cells, start, reader.line_num))
            start = reader.line_num + 1
        last = rows.pop()
        opened = None if last.cells == [END] else last.first
    except csv.Error:
        opened = start
    if opened is not None:
        raise CohortError(
            f'{path}: line {opened} opens a quote (") that is not closed; the lines after it would be lost. Remove the'
            ' quote or close it; a quote that belongs to a text is written twice ("")'
        )
    return rows


def _delimiter(path: Path, lines: list[str]) -> str:
    """Return the delimiter with which the most rows have equally many cells; of several the one with the most cells."""
    present = [delimiter for delimiter in DELIMITERS if any(delimiter in line for line in lines)]
    if not present:
        return ","
    found: dict[str, tuple[float, bool, int]] = {}
    problem: CohortError | None = None
    for delimiter in present:
        try:
            rows = [row for row in _split(path, lines, delimiter) if not row.blank]
        except CohortError as error:
            problem = error
            continue
        widths = Counter(len(row.cells) for row in rows if len(row.cells) > 1)
        width, n_rows = max(widths.items(), key=lambda item: (item[1], item[0])) if widths else (1, 0)
        own = (delimiter == "\t") == (path.suffix.lower() == ".tsv")
        found[delimiter] = (n_rows / len(rows), own, width)
    best = max(found, key=lambda delimiter: found[delimiter], default="")
    if problem and (not best or found[best][0] < 1):
        raise problem
    return best


def _check_quotes(path: Path, lines: list[str], body: list[Row], delimiter: re.Pattern[str], width: int) -> None:
    """Refuse a row over several lines each of which, were the quotes not there, would be a row."""
    for row in body:
        if row.first == row.last or width < 2:
            continue
        plain = [line.replace('"', "") for line in lines[row.first - 1 : row.last]]
        if all(len(delimiter.split(line)) >= width for line in plain if line.strip()):
            raise CohortError(
                f'{path}: line {row.first} opens a quote (") that is closed in line {row.last} only, and each of these'
                f" {row.last - row.first + 1} lines looks like a row of its own. Remove the quote, or close it in its"
                " line; if it is one long text, take the line breaks out of it"
            )


def _check_widths(path: Path, body: list[Row], delimiter: str, header: Row) -> None:
    """Refuse rows with fewer or more cells than the header; cells beyond it may be there if they are empty."""
    width = len(header.cells)
    wrong = [
        row
        for row in body
        if not row.blank and (len(row.cells) < width or any(cell.strip() for cell in row.cells[width:]))
    ]
    if not wrong:
        return
    shown = some((f"line {row.first} has {len(row.cells)}" for row in wrong), 5)
    filled = [row for row in body if not row.blank]
    lacks = len(wrong) == len(filled) and {len(row.cells) for row in wrong} == {width + 1}
    hint = (
        "Does the header lack the name of the first column?"
        if lacks
        else f"Is a {DELIMITERS.get(delimiter, repr(delimiter))} part of a text (then quote the text), or is the line"
        " cut off, or a title or a sum that belongs to no image?"
    )
    raise CohortError(
        f"{path}: the header (line {header.first}) has {width} cells, but {shown} (delimiter:"
        f" {DELIMITERS.get(delimiter, repr(delimiter))}). {hint}"
    )
