"""Clinical columns, and the recognition of their kind: numeric, ordinal, categorical, or no clinical feature.

Dates, free text and identifiers are recognised, so that they never become features unnoticed. A column of numbers with
a few words among them is an error, because the words may be misprints or categories.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmbc.config import FeatureKind
from mmbc.errors import some

MOST_CATEGORIES = 20
"""Most different texts of a categorical column."""

MOST_ORDINAL = 10
"""Most different values of whole numbers that are ordinal."""

ORDINAL_SPAN = 20
"""Largest difference between the values of an ordinal column."""

ENOUGH_PATIENTS = 20
"""Smallest number of patients from which a column that differs between all of them is called an identifier."""

ENOUGH_ROWS = 5
"""Smallest number of rows from which values in steps of one are the numbers of the rows."""

DIFFERENT = 0.9
"""Share of patients with a value of their own from which a column is id-like, and of dates from which it is a date."""

LONG_TEXT = 60
"""Longest text of a categorical column, in characters."""

MANY_WORDS = 2.5
"""Mean number of words from which values are phrases, not names of categories."""

YEARS = (1900, 2100)
"""Whole numbers between these are calendar years."""

DATE = re.compile(
    r"\d{1,2}[-. /]\s?[A-Za-zÀ-ÿ]{3,9}\.?[-, /]\s?\d{2,4}|[A-Za-zÀ-ÿ]{3,9}\.? \d{1,2},? \d{4}"
    r"|(19|20)\d{2}-(0[1-9]|1[0-2])"
    r"|\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.](\d{2}|\d{4})([T ].*)?"
    r"|(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
)
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
DECIMAL_POINT = re.compile(r"[+-]?\d*\.\d+")
WHOLE = re.compile(r"[+-]?\d+")
GROUPED = r"[+-]?[1-9]\d{{0,2}}(?:[{marks}]\d{{3}})+"
"""Numbers in groups of three digits, as thousands separators make them."""
SEPARATED = re.compile(GROUPED.format(marks=r".,'\u2019\s") + r"(?:[.,]\d+)?")
HUNDREDS = 100
"""Size of whole numbers beside which `1.007` may be a thousand and seven."""

WITH_UNIT = re.compile(r"['\u2019$\u20ac\u00a3<>\u2264\u2265~=\u2212\u2013]{0,2}\s?\d+([.,]\d+)?\s?[^\W\d_]{0,12}\.?")
"""Numbers with a unit or a sign of comparison: 45 y, 045Y, >89."""
MEASURE = re.compile(r"([+-]?\d+(?:[.,]\d+)*)\s?((?![\u00b2-\u00be\u2150-\u24ff])[^\W\d_][^\s\d]{0,10}?[23]?|%)\.?")
"""A number and its unit."""
YEAR_WORDS = frozenset(("y", "yr", "yrs", "year", "years", "j", "jahr", "jahre", "ans", "años", "anni", "jaar"))
"""Spellings of one unit."""
RANGE = re.compile(r"\d+([.,]\d+)?\s?[-\u2013]\s?\d+([.,]\d+)?")
"""A range where one number should be: 45-50."""
FORMULA = re.compile(r"=\s*[-+(]*[\w$].*\D.*")
"""A formula of a spreadsheet where its value should be: =2020-1954."""

ID_NAME = re.compile(r"(^|[_\W])(id|uid|uuid|nr|no|number|index|accession|mrn)([_\W]|$)|ID$|^Unnamed", re.IGNORECASE)


def normalise_name(name: str) -> str:
    """Return a column name for comparison: lower case, anything but letters and digits as `_`."""
    return re.sub(r"[\W_]+", "_", name.strip().lower()).strip("_")


def counts_rows(values: pd.Series) -> bool:
    """Whether a column of text counts its rows: whole numbers in steps of one, from 0 or 1."""
    numbers = pd.to_numeric(values, errors="coerce")
    return len(values) > 1 and numbers.iloc[0] in (0, 1) and bool((numbers.diff().iloc[1:] == 1).all())


SPLIT_NAME = re.compile(
    r"((data_?(set)?_?)?(split|fold|subset|partition|part)|(data_?)?set)s?(_?(id|no|nr|number|idx|index|name|\d+))?"
    r"|(is|in)?_?(train|training|test|testing|val|valid|validation|dev|hold_?out)(_?(split|set|fold|idx|index|mask|flag))?"
    r"|(k|cv|inner|outer|test|val)_?(fold|split)s?(_?\w+)?|train_(val|valid|validation|test)\w*|test_train\w*"
)
"""Names, normalised, of columns that say on which side of somebody's split a row was."""

SPLIT_WORDS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "development", "holdout"}
"""Values of such columns, whatever their name."""

ROW_NAME = re.compile(
    r"unnamed_\d+|index|idx|level_\d+|(row|record|serial|line)(_?(id|no|nr|num|number|index|name)s?)?|s_no"
    r"|id|uid|guid|uuid"
)
"""Names, normalised, of columns that number the rows of a table or name them."""


def find_bookkeeping(name: str, values: pd.Series) -> str:
    """Return why a column is about the table, not about the patient: a split, or the number of the row; else ''.

    Args:
        name: its name.
        values: text, NA where missing, in the order of the file.
    """
    known = values.dropna()
    words = set(known.str.lower())
    plain = normalise_name(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name))
    if SPLIT_NAME.fullmatch(plain) or (len(words) > 1 and words <= SPLIT_WORDS):
        return "looks like a split of the data, not like a fact about the patient"
    if ROW_NAME.fullmatch(plain):
        return "looks like a number or name of the row"
    if len(known) == len(values) >= ENOUGH_ROWS and counts_rows(known):
        return "counts the rows"
    return ""


@dataclass(frozen=True)
class Feature:
    """One clinical column and its kind; an ordinal column of words has them in ascending order."""

    name: str
    kind: FeatureKind
    order: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} ({self.kind}{': ' if self.order else ''}{' < '.join(self.order)})"


@dataclass(frozen=True)
class ColumnContent:
    """The content of a column of text, as recognised.

    Attributes:
        content: float64 for numeric and ordinal columns, else text; NA where not known.
        kind: None for a column that is no clinical feature.
        reason: why it is none; empty for a feature.
    """

    content: pd.Series
    kind: FeatureKind | None
    reason: str = ""


class MixedError(ValueError):
    """A column that is mostly numbers, but not all; the text names the rows."""


def to_numbers(values: pd.Series, decimal_mark: str = "", *, comma_table: bool = False) -> pd.Series:
    """Return text as float64, NA where it is no finite number, or where it cannot be told which number.

    A column has decimal commas if more values are written with a comma than with a point; those with a point are then
    no numbers, because `1.234` could be either. So could every `1,007` where all values with the mark have groups of
    three digits behind it.

    Args:
        values: text, NA where missing.
        decimal_mark: `.` or `,` if the user says so; the other one, blanks and apostrophes then part thousands.
        comma_table: whether other columns of the table have decimal commas.
    """
    text = values.astype("str")
    with_point = _fits(text, DECIMAL_POINT)
    mark = decimal_mark or ("," if _fits(text, DECIMAL_COMMA).sum() > with_point.sum() else ".")
    if decimal_mark:
        parts = {".": r",'\u2019\s", ",": r".'\u2019\s"}[decimal_mark]
        grouped = _fits(text, re.compile(GROUPED.format(marks=parts) + rf"(?:[{decimal_mark}]\d+)?"))
        text = text.mask(grouped, text.str.replace(rf"[{parts}]", "", regex=True))
        with_point = _fits(text, DECIMAL_POINT)
    else:
        text = text.mask(_could_be_thousands(text, mark, comma_table))
    if mark == ",":
        text = text.mask(with_point).str.replace(",", ".", regex=False)
    numbers = pd.to_numeric(text, errors="coerce").astype("float64")
    return numbers.where(np.isfinite(numbers))


def _fits(text: pd.Series, pattern: re.Pattern[str]) -> pd.Series:
    return text.str.fullmatch(pattern).fillna(False).astype(bool)


def _could_be_thousands(text: pd.Series, mark: str, comma_table: bool) -> pd.Series:
    """Return which values with the decimal mark may be thousands: all or none.

    They may be if each has groups of three digits behind the mark, and whole numbers of hundreds stand beside them. A
    comma is doubtful without those too, unless the table has decimal commas elsewhere.
    """
    marked = _fits(text, DECIMAL_COMMA if mark == "," else DECIMAL_POINT)
    doubtful = bool(_fits(text[marked], re.compile(GROUPED.format(marks=mark))).all())
    whole = pd.to_numeric(text[_fits(text, WHOLE)], errors="coerce").abs()
    return marked & (doubtful and bool((whole >= HUNDREDS).any() or (mark == "," and not comma_table)))


def has_decimal_commas(values: pd.Series) -> bool:
    """Whether a column of text has decimal commas that are no thousands separators, and no decimal point."""
    text = values.astype("str")
    commas = _fits(text, DECIMAL_COMMA)
    sure = commas & ~_fits(text, re.compile(GROUPED.format(marks=",")))
    return bool(sure.any()) and not _fits(text, DECIMAL_POINT).any()


def recognise_column(
    name: str, values: pd.Series, patients: pd.Series, numbers_of: Callable[[pd.Series], pd.Series] = to_numbers
) -> ColumnContent:
    """Recognise the kind of a column.

    Args:
        name: its name; names like `accession` hint at identifiers.
        values: text, NA where missing; the index is the row in the file.
        patients: patient of every row, with the same index.
        numbers_of: turns text into numbers, as `to_numbers`.

    Raises:
        MixedError: more than half of the known values look like numbers, but not all can be read as numbers; or some
            are formulas of a spreadsheet.
    """
    known = values.dropna()
    if known.empty:
        return ColumnContent(values, None, "empty")
    if known.nunique() == 1:
        where = "everywhere" if len(known) == len(values) else f"in {len(known)} of {len(values)} rows, else blank"
        return ColumnContent(values, None, f"the same value {where}: {str(known.iloc[0])[:30]!r}")
    if known.str.fullmatch(DATE).mean() >= DIFFERENT:
        return ColumnContent(values, None, "a date; compute an age or an interval from it")
    if (formulas := _fits(known, FORMULA)).any():
        shown = some((f"row {row}: {value!r}" for row, value in known[formulas].items()), 5)
        raise MixedError(f"column {name!r}: formulas are no values: {shown}; save the table with values in their place")
    numbers = numbers_of(values)
    is_number = numbers[known.index].notna()
    if is_number.all():
        kind, reason = _kind_of_numbers(name, numbers, patients)
        return ColumnContent(values if kind is None else numbers, kind, reason)
    if (is_number | _fits(known, SEPARATED) | _fits(known, DECIMAL_COMMA) | _fits(known, DECIMAL_POINT)).mean() > 0.5:
        raise MixedError(f"column {name!r}: {_no_numbers(known[~is_number], len(known))}")
    if is_number.any() and (ranges := _fits(known, RANGE)).any() and (is_number | ranges).mean() > 0.5:
        raise MixedError(f"column {name!r}: ranges stand beside numbers: {_no_numbers(known[ranges], len(known))}")
    different, longest = known.nunique(), int(known.str.len().max())
    with_unit = _fits(known, WITH_UNIT) | _fits(known, MEASURE)
    if different > MOST_ORDINAL and with_unit.mean() > 0.5:
        shown = some((f"row {row}: {value!r}" for row, value in known[with_unit & ~is_number].items()), 5)
        raise MixedError(f"column {name!r}: numbers with a unit or a sign are no numbers: {shown}; write 45 for '45 y'")
    if different > MOST_CATEGORIES or longest > LONG_TEXT or different == len(known):
        what = "id-like: nearly every patient has a value of their own" if _is_id_like(known, patients) else "free text"
        return ColumnContent(values, None, f"{what} ({different} different values)")
    if known.drop_duplicates().str.count(r"\S+").mean() >= MANY_WORDS:
        return ColumnContent(values, None, f"free text: phrases ({different} different values)")
    return ColumnContent(values, "categorical")


def _kind_of_numbers(name: str, values: pd.Series, patients: pd.Series) -> tuple[FeatureKind | None, str]:
    known = values.dropna()
    low, high, different = float(known.min()), float(known.max()), known.nunique()
    if not (known % 1 == 0).all():
        return "numeric", ""
    if low >= YEARS[0] and high <= YEARS[1]:
        return None, "a year; compute an age or an interval from it"
    consecutive = different == high - low + 1
    if _is_id_like(known, patients) and (consecutive or high >= 1000 or ID_NAME.search(name)):
        return None, f"id-like: nearly every patient has a value of their own ({different} different values)"
    if different <= MOST_ORDINAL and high - low <= ORDINAL_SPAN:
        return "ordinal", ""
    return "numeric", ""


def _is_id_like(known: pd.Series, patients: pd.Series) -> bool:
    """Whether nearly every patient has a value of their own."""
    n_patients = patients[known.index].nunique()
    return n_patients >= ENOUGH_PATIENTS and known.nunique() >= DIFFERENT * n_patients


def _no_numbers(wrong: pd.Series, n_known: int) -> str:
    """Return which values are no numbers, and what to do where thousands separators are the reason."""
    shown = some((f"row {row}: {value!r}" for row, value in wrong.items()), 5)
    if not _fits(wrong, SEPARATED).any():
        return f"{len(wrong)} of {n_known} values are not numbers: {shown}"
    return (
        f"{len(wrong)} of {n_known} values may have thousands separators: {shown}; write 1007 for a thousand and seven,"
        " or say which sign is the decimal mark of all numbers: --set data.decimal_mark=. (then 1,007 is 1007) or"
        " --set data.decimal_mark=, (then 1.007 is 1007)"
    )


def convert_column(
    name: str, values: pd.Series, kind: str | tuple[str, ...], numbers_of: Callable[[pd.Series], pd.Series] = to_numbers
) -> pd.Series:
    """Return a column as the kind that the user gives it.

    Raises:
        MixedError: values that the kind does not admit; names the rows.
    """
    if isinstance(kind, tuple):
        wrong = values[values.notna() & ~values.isin(list(kind))]
        if len(wrong):
            shown = some((f"row {row}: {value!r}" for row, value in wrong.items()), 5)
            raise MixedError(f"column {name!r}: values outside the order {list(kind)}: {shown}")
        return values
    if kind == "categorical":
        return values
    numbers = numbers_of(values)
    wrong = values[values.notna() & numbers.isna()]
    if len(wrong):
        n_known = int(values.notna().sum())
        raise MixedError(f"column {name!r} is to be {kind}, but {_no_numbers(wrong, n_known)}")
    return numbers
