"""What a column of text holds: numbers, an order, categories, or something that is no clinical feature.

Dates, free text and identifiers are recognised so that they are never taken as features unseen; a column of numbers
with a few words among them is an error, because one cannot know whether the words are misprints or categories.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmbc.config import FeatureKind
from mmbc.errors import some

MOST_CATEGORIES = 20
MOST_ORDINAL = 10
"""Whole numbers with at most this many different values, close together, are ordinal."""

ORDINAL_SPAN = 20
ENOUGH_PATIENTS = 20
"""With fewer patients nothing is called an identifier for being different in each."""

DIFFERENT = 0.9
"""Share of patients with a value of their own from which a column is id-like."""

LONG_TEXT = 60
MANY_WORDS = 2.5
"""Mean number of words from which values are phrases, not names of categories."""

YEARS = (1900, 2100)

DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.](\d{2}|\d{4})([T ].*)?"
    r"|(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
)
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
DECIMAL_POINT = re.compile(r"[+-]?\d*\.\d+")
CODES = (9, 99, 999, 9999, 99999)
"""Extreme values that often stand for 'not known'."""
BIRADS = re.compile(r"dens|bi-?rads", re.IGNORECASE)
ID_NAME = re.compile(r"(^|[_\W])(id|uid|uuid|nr|no|number|index|accession|mrn)([_\W]|$)|ID$|^Unnamed", re.IGNORECASE)


@dataclass(frozen=True)
class Feature:
    """One clinical column and how it is encoded; an ordinal one of words has them in ascending order."""

    name: str
    kind: FeatureKind
    order: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} ({self.kind}{': ' if self.order else ''}{' < '.join(self.order)})"


@dataclass(frozen=True)
class ColumnContent:
    """What a column was taken for.

    Attributes:
        content: float64 for numeric and ordinal columns, else text; NA where not known.
        kind: None for a column that is no feature.
        reason: why it is none.
    """

    content: pd.Series
    kind: FeatureKind | None
    reason: str = ""


class MixedError(ValueError):
    """A column that is mostly numbers, but not all; the text names the rows."""


def to_numbers(values: pd.Series) -> pd.Series:
    """Return text as float64, NA where it is no finite number.

    A column has decimal commas if more values are written with one than with a point; the other way of writing is then
    no number, because `1.234` could be either.
    """
    text = values.astype("str")
    with_point = text.str.fullmatch(DECIMAL_POINT).fillna(False).astype(bool)
    if text.str.fullmatch(DECIMAL_COMMA).fillna(False).sum() > with_point.sum():
        text = text.mask(with_point).str.replace(",", ".", regex=False)
    found = pd.to_numeric(text, errors="coerce").astype("float64")
    return found.where(np.isfinite(found))


def recognise_column(name: str, values: pd.Series, patients: pd.Series) -> ColumnContent:
    """Recognise what a column holds.

    Args:
        name: of the column; names like `accession` hint at identifiers.
        values: text, NA where missing; the index is the row in the file.
        patients: patient of every row.

    Raises:
        MixedError: more than half of the known values are numbers, but not all.
    """
    known = values.dropna()
    if known.empty:
        return ColumnContent(values, None, "empty")
    if known.nunique() == 1:
        return ColumnContent(values, None, f"the same value everywhere: {str(known.iloc[0])[:30]!r}")
    if known.str.fullmatch(DATE).mean() >= DIFFERENT:
        return ColumnContent(values, None, "a date; compute an age or an interval from it")
    found = to_numbers(values)
    share = found.notna().sum() / len(known)
    if share == 1:
        kind, reason = _of_numbers(name, found, patients)
        return ColumnContent(values if kind is None else found, kind, reason)
    if share > 0.5:
        wrong = known[found[known.index].isna()]
        shown = some((f"row {row}: {value!r}" for row, value in wrong.items()), 5)
        raise MixedError(f"column {name!r}: {len(wrong)} of {len(known)} values are no numbers: {shown}")
    different, longest = known.nunique(), int(known.str.len().max())
    if different > MOST_CATEGORIES or longest > LONG_TEXT or different == len(known):
        what = "id-like: nearly every patient has her own" if _own(known, patients) else "free text"
        return ColumnContent(values, None, f"{what} ({different} different values)")
    if known.drop_duplicates().str.count(r"\S+").mean() >= MANY_WORDS:
        return ColumnContent(values, None, f"free text: phrases ({different} different values)")
    return ColumnContent(values, "categorical")


def _of_numbers(name: str, found: pd.Series, patients: pd.Series) -> tuple[FeatureKind | None, str]:
    known = found.dropna()
    low, high, different = float(known.min()), float(known.max()), known.nunique()
    if not (known % 1 == 0).all():
        return "numeric", ""
    if low >= YEARS[0] and high <= YEARS[1]:
        return None, "a year; compute an age or an interval from it"
    consecutive = different == high - low + 1
    if _own(known, patients) and (consecutive or high >= 1000 or ID_NAME.search(name)):
        return None, f"id-like: nearly every patient has her own ({different} different values)"
    if different <= MOST_ORDINAL and high - low <= ORDINAL_SPAN:
        return "ordinal", ""
    return "numeric", ""


def _own(known: pd.Series, patients: pd.Series) -> bool:
    """Whether nearly every patient has a value of her own."""
    n_patients = patients[known.index].nunique()
    return n_patients >= ENOUGH_PATIENTS and known.nunique() >= DIFFERENT * n_patients


def convert_column(name: str, values: pd.Series, kind: str | tuple[str, ...]) -> pd.Series:
    """Return a column as the kind the user gave it.

    Raises:
        MixedError: a value that the kind does not admit; names the rows.
    """
    if isinstance(kind, tuple):
        wrong = values[values.notna() & ~values.isin(list(kind))]
        if len(wrong):
            shown = some((f"row {row}: {value!r}" for row, value in wrong.items()), 5)
            raise MixedError(f"column {name!r}: values outside the order {list(kind)}: {shown}")
        return values
    if kind == "categorical":
        return values
    found = to_numbers(values)
    wrong = values[values.notna() & found.isna()]
    if len(wrong):
        shown = some((f"row {row}: {value!r}" for row, value in wrong.items()), 5)
        raise MixedError(f"column {name!r} is to be {kind}, but {len(wrong)} values are no numbers: {shown}")
    return found


def find_unknown_codes(name: str, values: pd.Series, kind: FeatureKind, order: Sequence[str] = ()) -> list[float]:
    """Return the extreme values of a numeric or ordinal column that may stand for 'not known'.

    Nines far above everything else, one negative value among others, a zero far below everything else, and a zero on
    the scale of BI-RADS, which begins at one.
    """
    if order or kind == "categorical":
        return []
    known = pd.to_numeric(values, errors="coerce").dropna()
    distinct = sorted(set(known))
    if len(distinct) < 3:
        return []
    low, second, below, high = distinct[0], distinct[1], distinct[-2], distinct[-1]
    found = []
    if low < 0 <= second or (low == 0 and second >= (1 if BIRADS.search(name) else 10)):
        found.append(low)
    if high in CODES and high > 2 * below:
        found.append(high)
    return [float(value) for value in found]
