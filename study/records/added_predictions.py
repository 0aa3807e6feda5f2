"""Predictions that a user added to a study that was trained here: kept beside the study's own, never among them.

An archive has them in added.parquet, one row per (cell, image) with `ADDED_COLUMNS`, and added.json says where they
come from and how they were matched to the study.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mmbc.documents import Document
from study.records.cell_records import CELL_COLUMNS, PREDICTION_COLUMNS
from study.records.stored_frame import read_frame, write_frame

ADDED_COLUMNS = (*CELL_COLUMNS, *PREDICTION_COLUMNS[:-2])
ROWS, FACTS = "added.parquet", "added.json"
FILES = (ROWS, FACTS)
UNVERIFIED = "out-of-fold status not verified"
"""What is said of such predictions wherever they are shown: nobody here saw their models trained."""


class AddedFacts(Document):
    """Where added predictions come from."""

    file: str
    sha256: str
    n_rows: int
    arms: tuple[str, ...]
    """In the order of the table; none is an arm of the study."""
    notes: tuple[str, ...] = ()
    """How rows were matched to the study, and what was left out."""


@dataclass(frozen=True)
class Added:
    """Predictions of models that were not trained here, of patients of the study in its folds.

    Attributes:
        facts: where they come from.
        rows: `ADDED_COLUMNS`; `logit` as given, labels and folds as in the study.
    """

    facts: AddedFacts
    rows: pd.DataFrame

    @property
    def arms(self) -> tuple[str, ...]:
        """Their arms."""
        return self.facts.arms


def write_added(folder: Path, added: Added | None) -> None:
    """Write added predictions into an archive; without any, remove those that are there."""
    for name in FILES if added is None else ():
        (folder / name).unlink(missing_ok=True)
    if added is not None:
        write_frame(folder / ROWS, added.rows[list(ADDED_COLUMNS)])
        added.facts.write(folder / FACTS)


def read_added(folder: Path, there: Mapping[str, str]) -> Added | None:
    """Read what `write_added` wrote; None where the archive names no such file.

    Raises:
        StudyError: a file is damaged.
    """
    if not set(FILES) & set(there):
        return None
    rows = read_frame(folder / ROWS, ADDED_COLUMNS, numbers=["repeat", "fold", "seed", "label", "logit"])
    return Added(AddedFacts.read(folder / FACTS), rows)
