"""The checks that look into the pixels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from study.audit.finding import Finding
from study.audit.subject import Subject
from study.observe import Observer

SHEET = "duplicates.png"


@dataclass(frozen=True)
class Looked:
    """What the pixels show: findings, pairs of near-duplicates and their clusters."""

    findings: list[Finding]
    pairs: pd.DataFrame
    clusters: list[dict[str, Any]]


def look(subject: Subject, cache: Path, observer: Observer) -> Looked:
    """Measure every image once and make the checks."""
    return Looked([], pd.DataFrame(), [])


def write_sheet(pairs: pd.DataFrame, subject: Subject, folder: Path) -> None:
    """Draw the contact sheet."""
