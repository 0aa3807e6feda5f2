"""Names of studies, which are those of their folders."""

import re
from collections.abc import Sequence

from study.design.request import Tolerance
from study.design.study_file import StudyFile


def default_name(cohort: str, study: StudyFile, tolerance: Tolerance) -> str:
    """Return cohort and preset, and what is unusual in labels, splits or sample, so that no study blocks another."""
    return file_name([cohort, study.preset, *variant(study, tolerance)])


def file_name(parts: Sequence[str]) -> str:
    """Return words as the name of a folder."""
    return re.sub(r"[^\w.-]+", "-", "-".join(parts))


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
