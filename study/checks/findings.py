"""Findings of a subject, of the checks that concern it; and of a study that was read back."""

from collections.abc import Sequence
from dataclasses import replace

from mmbc.threads import in_one_thread
from study.checks.check import Check
from study.checks.registry import CHECKS
from study.checks.subject import Subject, subject_of_study
from study.checks.user_checks import run_user_check
from study.records.finding import FAILED, WARNING, Finding
from study.records.stored_study import StoredStudy


@in_one_thread
def findings_of(subject: Subject, checks: Sequence[Check] = CHECKS) -> list[Finding]:
    """Return the findings of the checks that concern a subject, by code; users' checks come last and get copies."""
    chosen = sorted((one for one in checks if one.concerns(subject)), key=lambda one: (one.file is not None, one.code))
    findings = [_by_design(one, subject) if one.file is None else run_user_check(one, subject) for one in chosen]
    return sorted(findings, key=lambda finding: finding.code)


def _by_design(check: Check, subject: Subject) -> Finding:
    """Return the finding of a check; a fault that a synthetic cohort has on purpose does not fail, but is said."""
    finding = check(subject)
    on_purpose = subject.listing is not None and check.title in subject.listing.by_design
    if not on_purpose or finding.status not in (WARNING, FAILED):
        return finding
    return replace(finding, status=WARNING, evidence=f"By design of this synthetic cohort: {finding.evidence}")


def with_findings(study: StoredStudy, checks: Sequence[Check] = CHECKS) -> StoredStudy:
    """Return a study with the findings of its start and of its records; an archive has all of them already."""
    if study.archived:
        return study
    by_code = {finding.code: finding for finding in [*study.findings, *findings_of(subject_of_study(study), checks)]}
    return replace(study, findings=tuple(by_code[code] for code in sorted(by_code)))
