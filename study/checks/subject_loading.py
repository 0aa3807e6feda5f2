"""From a request to what the audit looks at: missing, unreadable and badly split images are findings here, not errors."""

from dataclasses import replace

from mmbc.data.listing import choose_features
from mmbc.errors import MmbcError
from study.checks.subject import Subject
from study.cohort.loading import list_images, open_images
from study.design import partition
from study.design.folds import Folds
from study.design.request import Request
from study.records.progress import Observer


def read_subject(request: Request, observer: Observer, folds: Folds | None = None) -> Subject:
    """Read a cohort for an audit.

    Args:
        request: where it lies and how it is read.
        observer: told about the work.
        folds: those of a study; None for the user's own file, or those that the protocol makes. Whether they fit
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
        aside=partition.columns_used(study.protocol),
        tolerance=request.tolerance,
        observer=observer,
    )
    listing = choose_features(listing, study.data)
    facts = open_images(listing, study.data, cache=cache, observer=observer)
    subject = Subject(listing, study.data, facts, study.protocol, study.unit, request.tolerance)
    if folds is None and request.folds_file is not None:
        folds = partition.read_own(request.folds_file)
    if folds is not None:
        return replace(subject, folds=folds)
    try:
        return replace(subject, folds=partition.make(subject.images, study.protocol))
    except MmbcError as error:
        return replace(subject, unsplit=str(error))
