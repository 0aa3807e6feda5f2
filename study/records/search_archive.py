"""Results of a search on disk: trials, importances and winners, written and read back."""

import io
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from mmbc.errors import StudyError
from mmbc.files import read_json, write_atomically, write_json
from study.design.search_results import FOLDER, Chosen, Searched

FILES = ("trials.parquet", "importances.csv", "chosen.json")


def write_searched(folder: Path, searched: Searched) -> None:
    """Write a search below a study's (or an archive's) folder."""
    buffer = io.BytesIO()
    searched.trials.to_parquet(buffer, index=False)
    write_atomically(folder / FOLDER / "trials.parquet", buffer.getvalue())
    write_atomically(folder / FOLDER / "importances.csv", searched.importances.to_csv(index=False).encode())
    write_json(folder / FOLDER / "chosen.json", [asdict(one) for one in searched.chosen])


def read_searched(folder: Path) -> Searched | None:
    """Read what `write_searched` wrote; None where no trial has been written yet.

    Raises:
        StudyError: a file cannot be read.
    """
    place = folder / FOLDER
    if not (place / "chosen.json").exists():
        return None
    try:
        trials, importances = pd.read_parquet(place / "trials.parquet"), pd.read_csv(place / "importances.csv")
    except (OSError, ValueError) as error:
        raise StudyError(
            f"{place}: cannot be read ({error}); the command that began the search writes it again"
        ) from None
    return Searched(trials, tuple(_chosen(entry) for entry in read_json(place / "chosen.json")), importances)


def _chosen(entry: Mapping[str, Any]) -> Chosen:
    return Chosen(**{**entry, "scores": tuple(entry["scores"]), "best_epochs": tuple(entry["best_epochs"])})
