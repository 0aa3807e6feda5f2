"""Names of studies, which are those of their folders."""

import re
from collections.abc import Sequence
from pathlib import Path

from mmbc.errors import ConfigError
from study.design.request import Tolerance
from study.design.study_file import StudyFile

LONGEST = 200
"""Bytes of a name: file systems take 255, and folders beside a study's add to its name (`NAME.replaced-1`)."""


def check_name(name: str, option: str = "--name") -> str:
    """Return the name of a study or of a report, which is that of a folder; empty where none was given.

    Raises:
        ConfigError: it is a path, begins with a dot, is too long, or has characters that cannot be printed.
    """
    unfit = (
        "has characters that cannot be printed"
        if not name.isprintable()
        else f"is too long ({len(name.encode())} bytes, {LONGEST} at most)"
        if len(name.encode()) > LONGEST
        else "has nothing but blanks"
        if name and not name.strip()
        else "is a path, or begins with a dot"
        if "/" in name or "\\" in name or name.startswith(".")
        else ""
    )
    if unfit:
        shown = name if len(name) <= 60 else f"{name[:60]}…"
        raise ConfigError(
            f"{option} {shown!r}: {unfit}; it is the name of a folder, without / and not beginning with a dot"
        )
    return name


def fitting(name: str) -> str:
    """Return a name that was made, not given, as one that `check_name` takes."""
    try:
        return check_name(name)
    except ConfigError:
        return file_name([name])


def with_name(folder: Path) -> Path:
    """Return a study's folder under its name, where it is written `.` or `results/NAME/cells/..`."""
    return folder if folder.name not in ("", "..") else folder.resolve()


def default_name(cohort: str, study: StudyFile, tolerance: Tolerance) -> str:
    """Return cohort and preset, and what is unusual in labels, splits or sample, so that no study blocks another."""
    return file_name([cohort, study.preset, *variant(study, tolerance)])


def file_name(parts: Sequence[str]) -> str:
    """Return words as the name of a folder (see `check_name`)."""
    name = re.sub(r"[^\w.-]+", "-", "-".join(parts)).lstrip(".") or "cohort"
    return name.encode()[:LONGEST].decode(errors="ignore")


def variant(study: StudyFile, tolerance: Tolerance) -> list[str]:
    """Return the words that tell a study of other labels, splits or a sample from the usual one."""
    parts = []
    if study.data.negative:
        parts += ["vs", *study.data.negative]
    if study.data.label_level != "case":
        parts.append(study.data.label_level)
    if study.data.conflicts != "stop":
        parts.append(study.data.conflicts)
    if study.protocol.fold_column:
        parts += ["by", study.protocol.fold_column]
    if study.protocol.test_where:
        parts.append("test-part")
    if study.search is not None:
        parts.append(study.search.mode)
    if study.protocol.first_seed:
        parts.append(f"seed-{study.protocol.first_seed}")
    if tolerance.limit_patients is not None:
        parts.append(f"{tolerance.limit_patients}-patients")
    return parts
