"""The checks that need no look into pixels: every study makes them at its start."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from study.audit import columns, files, labels, splitting, studies
from study.audit.catalogue import BY_CODE
from study.audit.finding import FAILED, NOT_CHECKED, PASSED, WARNING, Finding
from study.audit.subject import Subject
from study.record import read_json, write_json

FILE = "audit.json"
"""Where a study's folder keeps what was found at its start."""

OF_COHORT: tuple[Callable[[Subject], Finding], ...] = (
    files.absent, files.same_bytes, files.same_pixels, labels.conflicting, labels.repeated, labels.contralateral,
    labels.codes, columns.telling, columns.missing_by_class,
)  # fmt: skip
OF_SPLITS = ("A25", "A26", "A27", "A31")


def fast(subject: Subject) -> list[Finding]:
    """Return the findings of the fast checks, by code."""
    found = [check(subject) for check in OF_COHORT]
    return settled([*found, *of_splits(subject)], subject)


def settled(findings: Sequence[Finding], subject: Subject) -> list[Finding]:
    """Return findings by code; a fault that a synthetic cohort has on purpose is none."""
    return sorted((_by_design(finding, subject) for finding in findings), key=lambda finding: finding.code)


def _by_design(finding: Finding, subject: Subject) -> Finding:
    if finding.status not in (WARNING, FAILED) or BY_CODE[finding.code].name not in subject.listing.by_design:
        return finding
    return replace(finding, status=PASSED, evidence=f"By design of this synthetic cohort: {finding.evidence}")


def of_splits(subject: Subject) -> list[Finding]:
    """Return what the splits show, or that there are none."""
    content, images = subject.folds, subject.images
    if content is None:
        return [Finding(code, NOT_CHECKED, f"The cohort cannot be split: {subject.unsplit}") for code in OF_SPLITS]
    return [
        splitting.two_sides(content, images), splitting.balance(content, images, subject.features),
        splitting.tested_once(content, images), studies.few(content, images),
    ]  # fmt: skip


def write_findings(path: Path, findings: Sequence[Finding]) -> None:
    """Write findings as JSON."""
    write_json(path, {"findings": [plain(asdict(finding)) for finding in findings]})


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
