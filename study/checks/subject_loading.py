"""From a request to what the audit looks at: missing, unreadable and badly split images are findings here, not errors."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mmbc.data.listing import choose_features
from mmbc.errors import MmbcError
from study.checks.subject import Subject
from study.cohort.loading import list_images, open_images
from study.design import folds
from study.design.request import Request
from study.records.progress import Observer


def read_subject(request: Request, observer: Observer, content: Mapping[str, Any] | None = None) -> Subject:
    """Read a cohort for an audit.

    Args:
        request: where it lies and how it is read.
        observer: told about the work.
        content: the folds of a study; None for the user's own file, or those that the protocol makes. Whether they fit
            the cohort is for the audit to find.

    Raises:
        CohortError: rows that do not hold together, or labels that cannot be known.
        SplitError: a file of folds that cannot be read.
    """
    study = request.study
    cache = request.cache
    listing = list_images(
        request.source,
        study.data,
        needs_images=True,
        cache=cache,
        aside=folds.columns_used(study.protocol),
        tolerance=request.tolerance,
        observer=observer,
    )
    listing = choose_features(listing, study.data)
    facts = open_images(listing, study.data, cache=cache, observer=observer)
    subject = Subject(listing, study.data, facts, study.protocol, study.unit, request.tolerance)
    if content is None and request.folds_file is not None:
        content = folds.read_own(request.folds_file)
    if content is not None:
        return replace(subject, folds=content)
    try:
        return replace(subject, folds=folds.make(subject.images, study.protocol))
    except MmbcError as error:
        return replace(subject, unsplit=str(error))
