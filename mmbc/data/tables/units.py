"""Units behind numbers (`65 y`, `12 mm`): taken off where the user names them, and never converted."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from mmbc.config import DataConfig
from mmbc.data.tables.columns import MEASURE, YEAR_WORDS
from mmbc.data.tables.unknown_values import setting
from mmbc.errors import CohortError, count, nearest, some


def stripped(path: Path, table: pd.DataFrame, data: DataConfig) -> tuple[pd.DataFrame, list[str]]:
    """Return a table of text without the units that the user names, and a note on each column that had them.

    Args:
        path: the table, for messages.
        table: its columns without a role, as text.
        data: `units` matters.

    Raises:
        CohortError: a column that is not there, or several units of one column.
    """
    declared: dict[str, list[str]] = {}
    for text in data.units:
        name, equals, unit = text.rpartition("=")
        if not equals or not name or not unit:
            raise CohortError(f"data.units {text!r}: write COLUMN=UNIT, for example {setting('units', ['age=y'])}")
        if name not in table.columns:
            raise CohortError(f"{path}: no clinical column {name!r} (data.units); {nearest(name, table.columns)}")
        declared.setdefault(name, []).append(unit)
    table, notes = table.copy(), []
    for name, units in declared.items():
        if not _same(units):
            raise CohortError(
                f"{path}: column {name!r} cannot have the units {some(units)} at once (data.units): values are not"
                " converted. Write all of them in one unit"
            )
        parts = measures(table[name])
        which = parts["unit"].str.casefold().isin({unit.casefold() for unit in units})
        n_bare = int((table[name].notna() & ~which).sum())
        table[name] = table[name].mask(which, parts["number"])
        others = f"; {count(n_bare, 'value has', 'values have')} none and count in the same unit" if n_bare else ""
        notes.append(f"{name}: the unit {some(units)} was taken off {count(int(which.sum()), 'value')}{others}.")
    return table, notes


def measures(values: pd.Series) -> pd.DataFrame:
    """Return `number` and `unit` of text (n_rows,), both NA where it is no number with a unit."""
    return values.str.extract(rf"^{MEASURE.pattern}\Z").set_axis(["number", "unit"], axis=1)


def _same(units: Sequence[str]) -> bool:
    """Whether units are spellings of one: y and years."""
    forms = {unit.casefold().rstrip(".") for unit in units}
    return len(forms) == 1 or forms <= YEAR_WORDS


def way_on(columns: Mapping[str, pd.Series], numbers_of: Callable[[pd.Series], pd.Series], data: DataConfig) -> str:
    """Return what to do about columns of numbers with units; '' where there is none.

    Args:
        columns: the text of columns that are no numbers, by name.
        numbers_of: turns text into numbers, NA where it is none.
        data: `units`, which a user has named before.
    """
    found, differing = [], []
    for name, values in columns.items():
        units = measures(values[values.notna() & numbers_of(values).isna()])["unit"]
        spellings = list({unit.casefold(): unit for unit in reversed(units.dropna().tolist())}.values())
        if units.empty or units.isna().any():
            continue
        if _same(spellings):
            found += [f"{name}={unit}" for unit in spellings]
        else:
            differing.append(f"{name!r} ({some(spellings, 5)})")
    ways = []
    if found:
        ways.append(f"If that is the unit of all values, {setting('units', [*data.units, *found])} takes it off")
    if differing:
        ways.append(f"The units of {some(differing)} differ; write all values in one, as nothing is converted")
    return "".join(f"{way}. " for way in ways)
