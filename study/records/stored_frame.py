"""Tables of a study read back, with the columns that they have to have."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from mmbc.errors import some
from mmbc.files import reading


def read_frame(path: Path, columns: Iterable[str], *, numbers: Iterable[str] = ()) -> pd.DataFrame:
    """Read a table, Parquet or CSV.

    Args:
        path: of the file.
        columns: that it has to have, and perhaps others.
        numbers: those of them that hold numbers.

    Raises:
        StudyError: it is missing or damaged, lacks a column, or has text for numbers.
    """
    with reading(path):
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
        if absent := [name for name in columns if name not in frame.columns]:
            raise ValueError(f"it has no column {some(map(repr, absent))}")
        for name in numbers:
            if len(frame) and not pd.api.types.is_numeric_dtype(frame[name]):
                raise ValueError(f"column {name!r} does not hold numbers")
        return frame
