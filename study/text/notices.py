"""The warning of a made-up cohort in the files that hold its numbers, and text that programs of spreadsheets read."""

from typing import Any

import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of a cell that a spreadsheet computes instead of showing."""


def csv(data: pd.DataFrame, notice: str) -> str:
    """Return a frame as CSV at full precision; a notice is the name of one more column, which no filter can lose.

    Text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    table = data.assign(**{f"notice: {notice}": ""}) if notice else data
    texts = table.select_dtypes(exclude=["number", "bool"])
    return table.assign(**texts.map(_shown)).to_csv(index=False, lineterminator="\n")


def _shown(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def printable(text: str) -> str:
    """Return a text without control characters, which workbooks and pages cannot hold; a blank stands for each."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
