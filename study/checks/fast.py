"""The checks that every study makes at its start: those that need no look into pixels, and what remains of outlines."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mmbc.errors import MmbcError
from study.checks import columns, files, labels, origins, splits, studies, traces
from study.checks.catalogue import BY_CODE
from study.checks.subject import Subject, of_cohort
from study.design.request import Request
from study.records.finding import FAILED, NOT_CHECKED, PASSED, WARNING, Finding
from study.records.progress import Observer
from study.training.preparation import Planned

OF_COHORT: tuple[Callable[[Subject], Finding], ...] = (
    files.absent,
    files.same_bytes,
    files.same_pixels,
    labels.conflicting,
    labels.repeated,
    labels.contralateral,
    labels.codes,
    columns.telling,
    columns.missing_by_class,
)
OF_SPLITS = ("A25", "A26", "A27", "A31")


def at_start(planned: Planned, request: Request, observer: Observer) -> list[Finding]:
    """Return what every study finds out before its first epoch: the fast checks and, of outlines in its images, what remains."""
    opened = planned.opened
    assert opened is not None
    subject = of_cohort(opened, planned.study, planned.folds, request.tolerance)
    found = fast(subject)
    if opened.store is not None and opened.cohort.n_outlined:
        found = settled([*found, remaining(subject, request.cache, observer)], subject)
    return found


def remaining(subject: Subject, cache: Path, observer: Observer) -> Finding:
    """A12: what the treatment of outlines leaves; kept in the cache, for it takes a look at every image."""
    assert subject.used_facts is not None
    result = traces.measure(
        list(subject.images["path"]),
        subject.used_facts,
        subject.images,
        subject.data,
        cache=cache,
        progress=observer.preparing,
    )
    n_outlined = int((subject.used_facts["n_outline_pixels"] > 0).sum())
    return traces.finding(result, subject.data.outlines, n_outlined)


def fast(subject: Subject) -> list[Finding]:
    """Return the findings of the fast checks, by code."""
    found = [check(subject) for check in OF_COHORT]
    return settled([*found, *of_files(subject), *of_splits(subject)], subject)


def of_files(subject: Subject) -> list[Finding]:
    """Return what sizes and origins of the files tell of the classes."""
    images, facts, positive = subject.images, subject.used_facts, subject.positive
    if facts is None:
        return [Finding(code, NOT_CHECKED, files.UNOPENED) for code in ("A13", "A14")] + [
            origins.origins(images, positive)
        ]
    return [
        origins.image_sizes(images, facts, positive),
        origins.file_sizes(images, facts, positive),
        origins.origins(images, positive),
    ]


def settled(findings: Sequence[Finding], subject: Subject) -> list[Finding]:
    """Return findings by code; a fault that a synthetic cohort has on purpose is none."""
    return sorted((_by_design(finding, subject) for finding in findings), key=lambda finding: finding.code)


def _by_design(finding: Finding, subject: Subject) -> Finding:
    if finding.status not in (WARNING, FAILED) or BY_CODE[finding.code].name not in subject.listing.by_design:
        return finding
    return replace(finding, status=PASSED, evidence=f"By design of this synthetic cohort: {finding.evidence}")


def of_splits(subject: Subject) -> list[Finding]:
    """Return what the splits show, or that there are none."""
    folds, images = subject.folds, subject.images
    if folds is None:
        return [Finding(code, NOT_CHECKED, f"The cohort cannot be split: {subject.unsplit}") for code in OF_SPLITS]
    found = [
        splits.two_sides(folds, images),
        splits.balance(folds, images, subject.features),
        splits.tested_once(folds, images),
        studies.few(folds, images),
    ]
    if any(finding.status == FAILED for finding in found):
        return found
    return [_unless_refused(finding, subject) if finding.code == "A26" else finding for finding in found]


def _unless_refused(finding: Finding, subject: Subject) -> Finding:
    """Return A26, failed if a study would refuse the splits (for the prevalence of a part, where nothing else is wrong)."""
    assert subject.folds is not None
    try:
        subject.folds.check(subject.images, subject.protocol)
    except MmbcError as error:
        return replace(finding, status=FAILED, evidence=f"{finding.evidence} A study refuses these splits: {error}.")
    return finding
