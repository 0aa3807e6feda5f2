"""Results of a search on disk: trials, importances and winners, written and read back."""

import io
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter

from mmbc.files import read_json, reading, write_atomically, write_json
from study.design.search_results import FOLDER, IMPORTANCE_COLUMNS, TRIAL_COLUMNS, ChosenSettings, SearchResult
from study.records.stored_frame import read_frame

MEASURED = ("repeat", "fold", "number", "value", "seconds", "wave_seconds")
"""Columns of trials that hold numbers."""
FILES = ("trials.parquet", "importances.csv", "chosen.json")


def write_searched(folder: Path, searched: SearchResult) -> None:
    """Write a search below a study's (or an archive's) folder."""
    buffer = io.BytesIO()
    searched.trials.to_parquet(buffer, index=False)
    write_atomically(folder / FOLDER / "trials.parquet", buffer.getvalue())
    write_atomically(folder / FOLDER / "importances.csv", searched.importances.to_csv(index=False).encode())
    write_json(folder / FOLDER / "chosen.json", [asdict(one) for one in searched.chosen])


def read_searched(folder: Path) -> SearchResult | None:
    """Read what `write_searched` wrote; None where no trial has been written yet.

    Raises:
        StudyError: a file cannot be read.
    """
    place = folder / FOLDER
    if not (place / "chosen.json").exists():
        return None
    trials = read_frame(place / "trials.parquet", TRIAL_COLUMNS, numbers=MEASURED)
    importances = read_frame(place / "importances.csv", IMPORTANCE_COLUMNS)
    with reading(place / "chosen.json"):
        chosen = TypeAdapter(tuple[ChosenSettings, ...]).validate_python(read_json(place / "chosen.json"))
    return SearchResult(trials, chosen, importances)
