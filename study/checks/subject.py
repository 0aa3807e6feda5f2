"""What the audit of a cohort looks at: everything listed, what the files hold, what a study would use, how it is split."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from mmbc.config import DataConfig
from mmbc.data.account import Account, judge
from mmbc.data.cohort import used_rows
from mmbc.data.listing import Listing, choose_features
from mmbc.data.tables.columns import Feature
from study.cohort.loading import Opened
from study.design.folds import Folds
from study.design.request import Tolerance
from study.design.study_file import Protocol, StudyFile


@dataclass(frozen=True)
class Subject:
    """A cohort under audit.

    Attributes:
        listing: what its files say, with the features that are used.
        data: how it is read and labelled.
        facts: what is known of every file, by row of the listing (`mmbc.data.images.facts.FACTS`); None where none was
            opened.
        protocol: how patients are split and scores pooled.
        unit: `patient` or `breast`.
        tolerance: what may be absent.
        folds: every split, by patient; None where the cohort cannot be split.
        unsplit: why not.
    """

    listing: Listing
    data: DataConfig
    facts: pd.DataFrame | None
    protocol: Protocol
    unit: str
    tolerance: Tolerance = Tolerance()
    folds: Folds | None = None
    unsplit: str = ""

    @cached_property
    def account(self) -> Account:
        """Every listed row, and what becomes of it."""
        return judge(self.listing, self.data, self.facts)

    @cached_property
    def images(self) -> pd.DataFrame:
        """The rows a study uses, with the columns of a cohort; index 0..n-1."""
        return used_rows(self.listing, self.account)

    @cached_property
    def used_facts(self) -> pd.DataFrame | None:
        """What is known of the files of `images`, in the same order."""
        if self.facts is None:
            return None
        used = self.account.used
        return self.facts.reindex(used.index[used]).reset_index(drop=True)

    @property
    def features(self) -> tuple[Feature, ...]:
        """The clinical columns."""
        return self.listing.features

    @property
    def positive(self) -> tuple[str, ...]:
        """The classes labelled 1, in the words of `images`."""
        return positive_classes(self.images)


def positive_classes(images: pd.DataFrame) -> tuple[str, ...]:
    """Return the classes of the rows that are labelled 1."""
    return tuple(sorted(images.loc[images["label"] == 1, "status"].astype(str).unique()))


def of_cohort(opened: Opened, study: StudyFile, folds: Folds | None, tolerance: Tolerance) -> Subject:
    """Return a cohort that a study has opened and split, as the audit sees it."""
    listing = choose_features(opened.listing, study.data)
    return Subject(listing, study.data, opened.facts, study.protocol, study.unit, tolerance, folds)
