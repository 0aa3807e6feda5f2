"""Tables of users: CSV, TSV, Excel and Parquet files as text, and the roles of their columns.

Everything is read as text, so that `007` stays a name and a misprint is seen for what it is; a column that holds
numbers is converted later (`mmbc.data.tables.columns`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from mmbc.data.tables import delimited, workbook
from mmbc.data.tables.columns import counts_rows, normalise_name
from mmbc.errors import CohortError, count, nearest, some

SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".parquet")
MISSING = ("", "-", "na", "n/a", "n.a.", "nan", "null", "none", "<na>", "#n/a", "nat")
"""Unknown values as they are written, in lower case."""


def read_table(
    path: Path, *, sheet: str = "", missing: Sequence[str] = (), needed: Sequence[str] = (), encoding: str = ""
) -> pd.DataFrame:
    """Read a file as text: one str column per header, NA where a value is missing; the index is the row in the file.

    `attrs["extent"]` is a sentence that says how many rows were read, and of how many lines or of which sheet.

    Args:
        path: the file; its suffix gives the format.
        sheet: the sheet of an Excel file; empty for the only one that holds a table.
        missing: further values that mean 'not known', beside `MISSING`, `age=999` in a column alone; 999 is 999.0 too.
        needed: names of columns that tell a table from other sheets, and in which `missing` does not count.
        encoding: of a text file that is not UTF-8.

    Raises:
        CohortError: the file cannot be read, has no header or a second one, repeats a column, or a row has not as many
            cells as the header.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise CohortError(f"{path}: a table is one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise CohortError(f"{path}: there is no such file")
    if suffix == ".parquet":
        table, source = _parquet(path), path.name
    elif suffix in (".xlsx", ".xlsm"):
        chosen, others = workbook.read_sheet(path, sheet, needed)
        workbook.check_formulas(path, chosen.name)
        table, source = _with_header(path, chosen.rows), f"sheet {chosen.name!r} of {path.name}"
        source += f"; the title above its header was left out: {chosen.title[:60]!r}" if chosen.title else ""
        source += f"; not read: {', '.join(f'sheet {other}' for other in others)}" if others else ""
        if chosen.n_hidden:
            source += f"; rows that are hidden there (by a filter?) were read too: {chosen.n_hidden}"
    else:
        rows, source = delimited.read_rows(path, encoding)
        table = _with_header(path, rows)
    repeated = sorted({name for name in table.columns if list(table.columns).count(name) > 1})
    if repeated:
        raise CohortError(f"{path}: the header names a column twice: {some(repeated)}")
    for name in table.columns:
        values = table[name].astype("str").str.strip()
        _check_text(path, str(name), values)
        kept = name in needed or normalise_name(str(name)) in needed
        declared = () if kept else _declared(str(name), list(table.columns), missing)
        numbers = pd.to_numeric(pd.Series(declared, dtype="str"), errors="coerce").dropna()
        is_code = pd.to_numeric(values, errors="coerce").isin(list(numbers)) if len(numbers) else False
        table[name] = values.mask(values.str.lower().isin({*MISSING, *declared}) | is_code)
    table = table.dropna(how="all")
    if table.empty:
        raise CohortError(f"{path}: has a header but no rows")
    _check_second_header(path, table)
    table.attrs["extent"] = f"{count(len(table), 'row was', 'rows were')} read from {source}."
    return table


def _declared(name: str, columns: Sequence[str], missing: Sequence[str]) -> tuple[str, ...]:
    """Return the values, in lower case, that mean 'not known' in a column: those of all columns, and its own."""
    own = [value.removeprefix(f"{name}=") for value in missing if value.startswith(f"{name}=")]
    of_others = tuple(f"{column}=" for column in columns)
    everywhere = [value for value in missing if not value.startswith(of_others)]
    return tuple(value.strip().lower() for value in (*everywhere, *own))


ERROR_VALUE = r"#(REF|DIV/0|VALUE|NAME\?|NUM|NULL|SPILL|CALC)!?"
"""What Excel shows in a cell whose formula failed; `#N/A` is taken as not known."""


def _check_text(path: Path, name: str, values: pd.Series) -> None:
    """Refuse control characters, which only damaged cells have, and values of formulas that failed."""
    failed = values[values.str.fullmatch(ERROR_VALUE).fillna(False).astype(bool)]
    if len(failed):
        shown = some((f"row {row}: {value!r}" for row, value in failed.items()), 5)
        raise CohortError(f"{path}: column {name!r} holds errors of Excel: {shown}. Correct the formulas or the cells")
    damaged = values[values.str.contains(delimited.CONTROL, na=False)]
    if len(damaged):
        shown = some((f"row {row}: {value!r}" for row, value in damaged.items()), 5)
        raise CohortError(f"{path}: column {name!r} holds control characters: {shown}. Correct the cells")


def _check_second_header(path: Path, table: pd.DataFrame) -> None:
    """Refuse rows that name the columns again: two tables, one below the other."""
    names = {normalise_name(str(name)) for name in table.columns}
    is_name = pd.DataFrame(
        {
            number: values.map({value: normalise_name(value) in names for value in values.dropna().unique()})
            for number, (_, values) in enumerate(table.items())
        }
    )
    n_names = is_name.eq(True).sum(axis=1)
    headers = table[(n_names > 1) & (2 * n_names > table.notna().sum(axis=1))]
    if len(headers):
        raise CohortError(
            f"{path}: row {headers.index[0]} names columns again ({some(headers.iloc[0].dropna(), 5)}): is it the"
            " header of a second table? Keep one table in the file, or put the rows of both below one header"
        )


def _with_header(path: Path, rows: list[list[str]]) -> pd.DataFrame:
    """Make the first row that is not empty the header; rows are numbered as in the file, from 1."""
    first = next((number for number, row in enumerate(rows) if row), None)
    if first is None:
        raise CohortError(f"{path}: is empty")
    header = [name.strip() for name in rows[first]]
    blank = [""] * len(header)
    body = pd.DataFrame([row or blank for row in rows[first + 1 :]], columns=range(len(header)), dtype="str")
    body.index = pd.RangeIndex(first + 2, len(rows) + 1)
    unnamed = [number for number, name in enumerate(header) if not name]
    filled = [number for number in unnamed if (body[number].str.strip() != "").any()]
    if filled == [0] and counts_rows(body[0][body[0] != ""]):
        header[0], filled, unnamed = "Unnamed: 0", [], unnamed[1:]
    if filled:
        raise CohortError(
            f"{path}: column {some(number + 1 for number in filled)} has values but no name in the header"
        )
    kept = [number for number in range(len(header)) if number not in unnamed]
    if not kept:
        raise CohortError(f"{path}: the first row names no column")
    return body[kept].set_axis([header[number] for number in kept], axis=1)


def _parquet(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise CohortError(f"{path}: cannot be read as Parquet: {error}") from None
    if table.index.name or table.index.nlevels > 1:
        table = table.reset_index()
    table.columns = [str(name).strip() for name in table.columns]
    texts = {
        name: table.iloc[:, number].astype(object).map(workbook.cell_text) for number, name in enumerate(table.columns)
    }
    return pd.DataFrame(texts).set_axis(range(1, len(table) + 1)) if len(texts) == table.shape[1] else table


def _about_one(columns: Sequence[str]) -> str:
    """Return what to do about a table of a single column; '' where there are more."""
    if len(columns) != 1:
        return ""
    if any(delimiter in columns[0] for delimiter in delimited.DELIMITERS):
        return '; each line is one cell in quotes: take the quotes (") around the lines away'
    return "; the table has one column: put commas, semicolons or tabs between cells"


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
            + _about_one(columns)
        )
    return result
