"""What is known of a study that was read back: found at its start, and shown by its records."""

from dataclasses import replace

from study.checks import splits
from study.checks.studies import of_study
from study.records.finding import Finding
from study.records.stored_study import StoredStudy


def audited(study: StoredStudy) -> StoredStudy:
    """Return the study with the findings of every check that its folder allows; an archive has all of them already."""
    if study.archived:
        return study
    at_start = {finding.code: finding for finding in study.findings}
    folds, images = study.folds, study.cohort.images
    shown = [
        splits.two_sides(folds, images),
        splits.balance(folds, images, study.cohort.features),
        splits.tested_once(folds, images),
        *of_study(study),
    ]
    found: dict[str, Finding] = at_start | {finding.code: finding for finding in shown}
    return replace(study, findings=tuple(found[code] for code in sorted(found)))
