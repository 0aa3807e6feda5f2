"""What one check of the audit found."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mmbc.files import read_json, write_json

FILE = "audit.json"
"""Where a study's folder keeps what was found at its start."""

Status = Literal["PASSED", "WARNING", "FAILED", "NOT CHECKED"]
"""FAILED: results would be wrong, or could be explained by this. WARNING: it is there, and either the program deals with it
or readers have to know. NOT CHECKED: what is needed is not at hand; the evidence says what."""

PASSED: Status = "PASSED"
WARNING: Status = "WARNING"
FAILED: Status = "FAILED"
NOT_CHECKED: Status = "NOT CHECKED"


@dataclass(frozen=True)
class Finding:
    """The outcome of a check.

    Attributes:
        code: of the check in `study.checks.catalogue`, such as `A03`.
        status: see `Status`.
        evidence: what was seen, with the numbers, in one or two sentences.
        handled: what a study with these settings does about it; empty where there is nothing to do or nothing is done.
        rows: details, one mapping of plain values each with the same keys; shown as a table.
    """

    code: str
    status: Status
    evidence: str
    handled: str = ""
    rows: tuple[Mapping[str, Any], ...] = field(default=())


def write_findings(folder: Path, findings: Sequence[Finding]) -> None:
    """Write findings into a study's folder."""
    write_json(folder / FILE, {"findings": [plain(asdict(finding)) for finding in findings]})


def read_findings(folder: Path) -> tuple[Finding, ...]:
    """Read what `write_findings` wrote to a study's folder; nothing where a study has none."""
    if not (folder / FILE).exists():
        return ()
    return tuple(Finding(**{**entry, "rows": tuple(entry["rows"])}) for entry in read_json(folder / FILE)["findings"])


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: numbers of numpy as Python's, NaN as None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and np.isnan(value):
        return None
    return json.loads(json.dumps(value, default=str))
