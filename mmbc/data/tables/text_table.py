"""Tables of users: CSV, TSV, Excel and Parquet files as text, and the roles of their columns.

Everything is read as text, so that `007` stays a name and a misprint is seen for what it is; a column that holds
numbers is converted later (`mmbc.data.tables.columns`).
"""

import csv
import datetime
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from mmbc.errors import CohortError, nearest, some

SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".parquet")
DELIMITERS = (",", ";", "\t", "|")
MISSING = ("", "-", "na", "n/a", "n.a.", "nan", "null", "none", "<na>", "#n/a", "nat")
"""Unknown values as they are written, in lower case."""


def read_table(path: Path, *, sheet: str = "", missing: Sequence[str] = ()) -> pd.DataFrame:
    """Read a file as text: one str column per header, NA where a value is missing; the index is the row in the file.

    Args:
        path: the file; its suffix gives the format.
        sheet: the sheet of an Excel file; empty for the first.
        missing: further values that mean 'not known', beside `MISSING`.

    Raises:
        CohortError: the file cannot be read, has no header, repeats a column, or a row has too many cells.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise CohortError(f"{path}: a table is one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise CohortError(f"{path}: there is no such file")
    if suffix == ".parquet":
        table = _parquet(path)
    else:
        table = _with_header(path, _excel(path, sheet) if suffix in (".xlsx", ".xlsm") else _delimited(path))
    repeated = sorted({name for name in table.columns if list(table.columns).count(name) > 1})
    if repeated:
        raise CohortError(f"{path}: the header names a column twice: {some(repeated)}")
    unknown = {*MISSING, *(value.strip().lower() for value in missing)}
    for name in table.columns:
        values = table[name].astype("str").str.strip()
        table[name] = values.mask(values.str.lower().isin(unknown))
    table = table.dropna(how="all")
    if table.empty:
        raise CohortError(f"{path}: has a header but no rows")
    return table


def _delimited(path: Path) -> pd.DataFrame:
    """Read a CSV or TSV file without a header, every cell as text."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
        delimiter = "\t" if path.suffix.lower() == ".tsv" else max(DELIMITERS, key=first.count)
        return pd.read_csv(
            path,
            header=None,
            dtype=str,
            keep_default_na=False,
            na_values=[],
            sep=delimiter,
            encoding="utf-8-sig",
            skip_blank_lines=False,
            quoting=csv.QUOTE_MINIMAL,
        )
    except UnicodeDecodeError as error:
        raise CohortError(f"{path}: is not UTF-8 text (byte {error.start}); save it as 'CSV UTF-8'") from None
    except pd.errors.EmptyDataError:
        raise CohortError(f"{path}: is empty") from None
    except (pd.errors.ParserError, csv.Error, OSError) as error:
        raise CohortError(f"{path}: is not a readable table: {str(error).strip()}") from None


def _excel(path: Path, sheet: str) -> pd.DataFrame:
    """Read a sheet without a header, every cell as text."""
    try:
        cells = pd.read_excel(path, sheet_name=sheet or 0, header=None, dtype=object, keep_default_na=False)
    except Exception as error:
        raise CohortError(f"{path}: cannot be read as Excel: {error}") from None
    return cells.map(_text)


def _text(value: object) -> str:
    """Return a cell as the user sees it: 7 for 7.0, a date as ISO text."""
    if value is None or value is pd.NaT or (isinstance(value, float) and pd.isna(value)):
        return ""
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat().removesuffix("T00:00:00")
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _with_header(path: Path, cells: pd.DataFrame) -> pd.DataFrame:
    """Make the first row the header; rows are numbered as in the file, the header being row 1."""
    if cells.empty:
        raise CohortError(f"{path}: is empty")
    header = cells.iloc[0].fillna("").astype(str).str.strip().tolist()
    body = cells.iloc[1:].set_axis(range(2, len(cells) + 1))
    unnamed = [number for number, name in enumerate(header) if not name]
    filled = [number + 1 for number in unnamed if (body.iloc[:, number].fillna("").str.strip() != "").any()]
    if filled:
        raise CohortError(f"{path}: column {some(filled)} has values but no name in the header")
    kept = [number for number in range(len(header)) if number not in unnamed]
    if not kept:
        raise CohortError(f"{path}: the first row names no column")
    return body.iloc[:, kept].set_axis([header[number] for number in kept], axis=1)


def _parquet(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise CohortError(f"{path}: cannot be read as Parquet: {error}") from None
    if table.index.name or table.index.nlevels > 1:
        table = table.reset_index()
    table.columns = [str(name).strip() for name in table.columns]
    texts = {name: table.iloc[:, number].astype(object).map(_text) for number, name in enumerate(table.columns)}
    return pd.DataFrame(texts).set_axis(range(1, len(table) + 1)) if len(texts) == table.shape[1] else table


def normalise_name(name: str) -> str:
    """Return a column name for comparison: lower case, anything but letters and digits as `_`."""
    return re.sub(r"[\W_]+", "_", name.strip().lower()).strip("_")


def assign_roles(
    path: Path, columns: Sequence[str], needed: Sequence[str], optional: Sequence[str], mapping: Mapping[str, str]
) -> dict[str, str]:
    """Return role -> column: as mapped by the user, else by name (`Patient ID` is `patient_id`).

    Args:
        path: the table, for messages.
        columns: its columns.
        needed: roles that must be filled.
        optional: roles that may be filled.
        mapping: the user's role -> column.

    Raises:
        CohortError: a needed column is not there, a mapping names what does not exist, or two columns fit.
    """
    known = [*needed, *optional]
    for key, column in mapping.items():
        if key not in known:
            raise CohortError(f"--columns {key}={column}: there is no role {key!r}; {nearest(key, known)}")
        if column not in columns:
            raise CohortError(
                f"--columns {key}={column}: {path.name} has no column {column!r}; {nearest(column, columns)}"
            )
    result = dict(mapping)
    for key in known:
        fitting = [name for name in columns if normalise_name(name) == key and name not in mapping.values()]
        if key in result or not fitting:
            continue
        if len(fitting) > 1:
            raise CohortError(f"{path}: several columns could be {key!r}: {some(fitting)}; say --columns {key}=NAME")
        result[key] = fitting[0]
    absent = [key for key in needed if key not in result]
    if absent:
        raise CohortError(
            f"{path}: no column {' and no column '.join(map(repr, absent))}; say which it is: "
            f"--columns {','.join(f'{key}=NAME' for key in absent)}; columns found: {some(columns, 30)}"
        )
    return result
