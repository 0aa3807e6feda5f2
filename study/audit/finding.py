"""What one check of the audit found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

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
        code: of the check in `study.audit.catalogue`, such as `A03`.
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
