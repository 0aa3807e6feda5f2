"""Layout of a table on a page: cells as lines, widths in characters, wide tables broken into panels."""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from study.reporting.tables.base import ABSENT, FIGURE, POINT

Lines = tuple[str, ...]
GAP = 2
"""Characters between two columns."""
PROSE = 42
"""Cells of words are wrapped at this many characters."""
LEAST_HEADER = 14
"""Headers are wrapped at the width of their column's cells, but not below this."""
NUMERIC = re.compile(r"[−+<>]?\s?[\d.,·]+(\s?%)?([\s/(,;\[]|$)")
INTERVAL = re.compile(r" ([(\[][^()\[\]]*(?: to |, |–)[^()\[\]]*[)\]])")
PURE = re.compile(r"[−+<>]?\s?[\d.,·]+(\s?%)?")


@dataclass(frozen=True)
class Grid:
    """One panel of a table, every cell as lines.

    Attributes:
        header: by column.
        rows: by row and column.
        widths: characters of each column.
        alignments: `l` words, `c` values with intervals, `r` numbers alone; by column.
    """

    header: tuple[Lines, ...]
    rows: tuple[tuple[Lines, ...], ...]
    widths: tuple[int, ...]
    alignments: tuple[str, ...]

    @property
    def width(self) -> int:
        """Characters of all columns and the gaps between them."""
        return sum(self.widths) + GAP * (len(self.widths) - 1)

    @property
    def n_lines(self) -> int:
        """Lines that the rows take."""
        return sum(max((len(cell) for cell in row), default=1) for row in self.rows)


def grids(shown: pd.DataFrame, n_keys: int, width: int) -> list[Grid]:
    """Lay a table out in at most `width` characters.

    Where it is wider, intervals go below their values; where that is not enough either, the columns are dealt out to
    several panels, each of which repeats the first `n_keys` columns. A single column may still be wider than the page.
    """
    whole = _grid(shown, stacked=False)
    if whole.width <= width:
        return [whole]
    stacked = _grid(shown, stacked=True)
    if stacked.width <= width:
        return [stacked]
    return [_pick_columns(stacked, chosen) for chosen in _deal(stacked.widths, n_keys, width)]


def _grid(shown: pd.DataFrame, *, stacked: bool) -> Grid:
    columns = [[str(value) for value in shown.iloc[:, place]] for place in range(shown.shape[1])]
    alignments = tuple(alignment(column) for column in columns)
    cells = [
        [_lines(value, numeric=side != "l", stacked=stacked) for value in column]
        for column, side in zip(columns, alignments, strict=True)
    ]
    header = tuple(_header(str(name), column) for name, column in zip(shown.columns, cells, strict=True))
    widths = tuple(
        max([1, *(len(line) for cell in [head, *column] for line in cell)])
        for head, column in zip(header, cells, strict=True)
    )
    return Grid(header, tuple(zip(*cells, strict=True)), widths, alignments)


def alignment(cells: Sequence[str]) -> str:
    """Return how a column is aligned: `r` if all cells are numbers alone, `c` if they begin with one, else `l`.

    Absent numbers fit every column of numbers; a column of nothing else is centred.
    """
    known = [cell for cell in cells if cell not in (ABSENT, "")]
    if known and all(PURE.fullmatch(cell) for cell in known):
        return "r"
    numeric = [bool(NUMERIC.match(cell)) for cell in known]
    if not known:
        return "c" if ABSENT in cells else "l"
    return "c" if sum(numeric) > len(known) / 2 else "l"


NUMBER = re.compile(r"([−+<>]?)\s?(\d[\d,]*)(?:([.·])(\d+))?(?![\d.,·])(.*)")
"""Sign or comparison, whole digits, decimal mark, decimals and what follows the number of a cell."""


def with_points_aligned(grid: Grid) -> Grid:
    """Return a panel whose numbers are filled up with blanks so that their decimal points align."""
    columns = zip(zip(*grid.rows, strict=True), grid.alignments, strict=True)
    return replace(grid, rows=tuple(zip(*(decimally_aligned(*column) for column in columns), strict=True)))


def _blank(text: str) -> str:
    """Return a blank about as wide as a text of digits, brackets and points."""
    return "".join(FIGURE if letter.isdigit() or letter in "−+%" else POINT for letter in text)


def decimally_aligned(column: Sequence[Lines], side: str) -> list[Lines]:
    """Return the cells of a column of numbers filled up with blanks to one width, so that their points align."""
    found = [NUMBER.fullmatch(lines[0]) if len(lines) == 1 else None for lines in column]
    numbers = [match for match in found if match]
    if side == "l" or not numbers or any(len(lines) > 1 or " / " in lines[0] for lines in column):
        return list(column)
    whole, decimals = max(match.end(2) for match in numbers), max(len(match[4] or "") for match in numbers)
    longest = max((match[5] for match in numbers), key=len)
    pointed = any(match[3] for match in numbers)

    def filled(match: re.Match[str]) -> str:
        before, point = FIGURE * (whole - match.end(2)), match[3] or POINT * pointed
        after = FIGURE * (decimals - len(match[4] or ""))
        rest = FIGURE * (len(longest) - len(match[5])) + match[5] if match[5] else _blank(longest)
        return f"{before}{match[0][: match.end(2)]}{point}{match[4] or ''}{after}{rest}"

    return [(filled(match),) if match else lines for match, lines in zip(found, column, strict=True)]


def _lines(value: str, *, numeric: bool, stacked: bool) -> Lines:
    if not numeric or not NUMERIC.match(value):
        return tuple(textwrap.wrap(value, PROSE)) or ("",)
    return tuple(INTERVAL.sub(r"\n\1", value).split("\n")) if stacked else (value,)


def _header(name: str, cells: Sequence[Lines]) -> Lines:
    widest = max((len(line) for cell in cells for line in cell), default=0)
    longest = max((len(word) for word in name.split()), default=0)
    return tuple(textwrap.wrap(name, max(widest, longest, LEAST_HEADER), break_long_words=False)) or ("",)


def _deal(widths: Sequence[int], n_keys: int, width: int) -> list[list[int]]:
    """Return the columns of each panel, with as even numbers of them as fit."""
    keys, others = list(range(n_keys)), list(range(n_keys, len(widths)))
    room = width - sum(widths[place] + GAP for place in keys)
    for n_panels in range(1, len(others) + 1):
        size = -(-len(others) // n_panels)
        panels = [others[start : start + size] for start in range(0, len(others), size)]
        if all(sum(widths[place] + GAP for place in panel) - GAP <= room for panel in panels):
            break
    return [keys + panel for panel in panels]


def _pick_columns(grid: Grid, chosen: Sequence[int]) -> Grid:
    header, widths, alignments = (tuple(of[i] for i in chosen) for of in (grid.header, grid.widths, grid.alignments))
    rows = tuple(tuple(row[i] for i in chosen) for row in grid.rows)
    return Grid(header, rows, widths, alignments)  # type: ignore[arg-type]
