"""Tables of a study as compact files, read back with the columns that they have to have."""

import io
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from mmbc.errors import some
from mmbc.files import reading, write_atomically


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as Parquet that takes little room: numbers by bytes, everything else by dictionary."""
    buffer = io.BytesIO()
    numbers = list(frame.select_dtypes("float").columns)
    frame.to_parquet(
        buffer,
        index=False,
        compression="zstd",
        compression_level=9,
        use_byte_stream_split=numbers,
        use_dictionary=[name for name in frame.columns if name not in numbers],
    )
    write_atomically(path, buffer.getvalue())


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
