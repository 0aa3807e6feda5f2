"""The audit at the start of a study: fast checks of the cohort that was prepared."""

from dataclasses import replace

from study.checks.annotations import traces
from study.checks.findings import findings_of
from study.checks.subject import subject_of_listing
from study.checks.user_checks import checks_of
from study.design.request import Request
from study.records.finding import Finding
from study.records.progress import Observer
from study.training.preparation import Planned


def start_findings(planned: Planned, request: Request, observer: Observer) -> list[Finding]:
    """Return what a study finds before its first epoch: the fast checks and what remains of outlines in its images.

    What remains of outlines takes a look at every image, and is kept in the cache.

    Raises:
        ConfigError: a file of the user's own checks that cannot be used.
        ValueError: a study whose cohort was not read from files.
    """
    opened, study = planned.opened, planned.study
    if opened is None:
        raise ValueError("the cohort of this study was not read from files; there is nothing to check")
    outlined = opened.store is not None and opened.cohort.n_outlined > 0
    checks = [one for one in checks_of(study) if one.fast or (outlined and one is traces)]
    subject = subject_of_listing(
        opened.listing, study, opened.facts, cache=request.cache, tolerance=request.tolerance, observer=observer
    )
    return findings_of(replace(subject, folds=planned.folds), checks)
