"""What the audit looks at: a cohort as listed and as a study uses it, its files, its splits, and a study on it."""

from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import pandas as pd

from mmbc.config import DataConfig
from mmbc.data.account import Account, judge
from mmbc.data.cohort import used_rows
from mmbc.data.listing import Listing, choose_features
from mmbc.data.tables.columns import Feature
from mmbc.errors import MmbcError
from study.checks.pixels import Pixels
from study.checks.probes import positive_classes
from study.cohort.loading import list_images, open_images
from study.design import partition
from study.design.folds import Folds
from study.design.request import Request, Tolerance
from study.design.study_file import Protocol, StudyFile
from study.records.progress import Observer
from study.records.stored_study import StoredStudy

T = TypeVar("T")


@dataclass(frozen=True)
class Subject:
    """A cohort under audit, and a study on it; what is None is not at hand, and no check that needs it looks.

    Attributes:
        images: the rows a study uses, with the columns of a cohort; index 0..n-1.
        features: the clinical columns.
        data: how the cohort is read and labelled.
        protocol: how patients are split and scores pooled.
        unit: `patient` or `breast`.
        tolerance: what may be absent.
        folds: every split, by patient; None where the cohort cannot be split.
        split_error: why not.
        listing: what the cohort's files say, with the features that are used; None for a study by itself.
        account: every listed row, and what becomes of it; None for a study by itself.
        facts: what is known of every file, by row of the listing (`mmbc.data.images.facts.FACTS`); None where none was
            opened.
        pixels: what can be measured in the images; None where none was opened.
        study: a study as read back.
    """

    images: pd.DataFrame
    features: tuple[Feature, ...] = ()
    data: DataConfig = DataConfig()
    protocol: Protocol = Protocol()
    unit: str = "patient"
    tolerance: Tolerance = Tolerance()
    folds: Folds | None = None
    split_error: str = ""
    listing: Listing | None = None
    account: Account | None = None
    facts: pd.DataFrame | None = None
    pixels: Pixels | None = None
    study: StoredStudy | None = None

    @property
    def used_facts(self) -> pd.DataFrame:
        """What is known of the files of `images`, in the same order."""
        return _used(given(self.facts), given(self.account))

    @property
    def positive(self) -> tuple[str, ...]:
        """The classes labelled 1, in the words of `images`."""
        return positive_classes(self.images)

    def copy(self) -> "Subject":
        """Return a subject whose frames nobody else has, so that what is done to them changes nothing."""
        return replace(deepcopy(replace(self, pixels=None)), pixels=self.pixels)


def given(value: T | None) -> T:
    """Return what a check has declared that it needs.

    Raises:
        LookupError: it is not at hand.
    """
    if value is None:
        raise LookupError("the check looks at something that it does not name in `needs`")
    return value


def _used(facts: pd.DataFrame, account: Account) -> pd.DataFrame:
    return facts.reindex(account.used.index[account.used]).reset_index(drop=True)


def subject_of_listing(
    listing: Listing,
    study: StudyFile,
    facts: pd.DataFrame | None,
    *,
    cache: Path,
    tolerance: Tolerance = Tolerance(),
    observer: Observer = Observer(),
) -> Subject:
    """Return a cohort that was read, not split yet.

    Args:
        listing: what its files say.
        study: the settings that a study would have.
        facts: what is known of its files, by row of the listing; None where none was opened.
        cache: folder in which measurements are kept.
        tolerance: what may be absent.
        observer: told about measurements, when they are made.

    Raises:
        CohortError: rows that do not hold together, or labels that cannot be known.
    """
    listing = choose_features(listing, study.data)
    account = judge(listing, study.data, facts)
    images = used_rows(listing, account)
    pixels = Pixels(images, _used(facts, account), study.data, cache, observer) if facts is not None else None
    return Subject(
        images,
        listing.features,
        study.data,
        study.protocol,
        study.unit,
        tolerance,
        listing=listing,
        account=account,
        facts=facts,
        pixels=pixels,
    )


def subject_of_study(study: StoredStudy) -> Subject:
    """Return a study by itself: the rows it used, its folds and records; no file is at hand."""
    settings, cohort = study.settings, study.cohort
    return Subject(
        cohort.images, cohort.features, settings.data, settings.protocol, settings.unit, folds=study.folds, study=study
    )


def read_subject(request: Request, observer: Observer, study: StoredStudy | None = None) -> Subject:
    """Read a cohort for an audit; missing, unreadable and badly split images are findings here, not errors.

    Args:
        request: where it lies and how it is read.
        observer: told about the work.
        study: a study on it, whose folds are looked at; without one those of the user's own file, or those that the
            protocol makes. Whether they fit the cohort is for the audit to find.

    Raises:
        CohortError: rows that do not hold together, or labels that cannot be known.
        SplitError: a file of folds that cannot be read.
    """
    settings = request.study
    listing = list_images(request, observer, needs_images=True)
    facts = open_images(listing, request, observer)
    subject = subject_of_listing(
        listing, settings, facts, cache=request.cache, tolerance=request.tolerance, observer=observer
    )
    if study is not None:
        return replace(subject, folds=study.folds, study=study)
    if request.folds_file is not None:
        return replace(subject, folds=partition.read_own(request.folds_file, subject.images, settings.data))
    try:
        return replace(subject, folds=partition.make(subject.images, settings.protocol))
    except MmbcError as error:
        return replace(subject, split_error=str(error))
