"""Findings: the outcome of each check of the audit, as it is shown, stored and read back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter

from mmbc.files import read_json, reading, write_json

FILE = "audit.json"
"""Where a study's folder keeps what was found at its start."""

Status = Literal["PASSED", "WARNING", "FAILED", "NOT CHECKED"]
"""FAILED: results would be wrong, or could be explained by this. WARNING: it is there, and either the program deals
with it or readers have to know. NOT CHECKED: what is needed is not at hand; the evidence says what."""

PASSED: Status = "PASSED"
WARNING: Status = "WARNING"
FAILED: Status = "FAILED"
NOT_CHECKED: Status = "NOT CHECKED"


@dataclass(frozen=True)
class Description:
    """A check in words.

    Attributes:
        title: a few words, as tables show it.
        group: the chapter of the page it stands in.
        question: what is looked at, and how.
        meaning: what a fault means for results.
        remedy: what to do about one.
    """

    title: str
    group: str
    question: str
    meaning: str
    remedy: str


@dataclass(frozen=True)
class Finding:
    """The outcome of a check.

    Attributes:
        code: of the check, such as `A03`.
        status: see `Status`.
        evidence: what was seen, with the numbers, in one or two sentences.
        handled: what a study with these settings does about it; empty where there is nothing to do or nothing is done.
        rows: details, one mapping of plain values each with the same keys; shown as a table.
        check: the check in words, where it is a user's own; None for those of `study.checks.registry`.
    """

    code: str
    status: Status
    evidence: str
    handled: str = ""
    rows: tuple[Mapping[str, Any], ...] = field(default=())
    check: Description | None = None

    def facts(self) -> dict[str, Any]:
        """Return the finding as plain values for a JSON file."""
        facts = plain(asdict(self))
        return facts if self.check is not None else {key: value for key, value in facts.items() if key != "check"}


def read_finding(facts: Mapping[str, Any]) -> Finding:
    """Read what `Finding.facts` returned."""
    return TypeAdapter(Finding).validate_python(facts)


def write_findings(folder: Path, findings: Sequence[Finding]) -> None:
    """Write findings into a study's folder."""
    write_json(folder / FILE, {"findings": [finding.facts() for finding in findings]})


def read_findings(folder: Path) -> tuple[Finding, ...]:
    """Read what `write_findings` wrote to a study's folder; nothing where a study has none."""
    if not (folder / FILE).exists():
        return ()
    with reading(folder / FILE):
        return tuple(read_finding(facts) for facts in read_json(folder / FILE)["findings"])


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
