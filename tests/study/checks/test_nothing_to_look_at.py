"""No check passes on nothing: cohorts of which no image, or one class alone, can be used."""

import warnings
from pathlib import Path

import pytest

from study.checks.check import OF_STUDY, Check
from study.checks.registry import CHECKS
from study.checks.subject import Subject, subject_of_listing
from study.cohort import summaries
from study.design.study_file import load
from study.records.finding import FAILED, NOT_CHECKED
from tests.study.checks.conftest import clean_listing, facts_of

OF_LIST = {"A05", "A06", "A07"}
"""Checks of the rows as listed, whatever becomes of them."""

OF_COHORTS = [check for check in CHECKS if not OF_STUDY & set(check.needs)]


def left_with(*statuses: str) -> Subject:
    """A cohort whose images of other classes are missing."""
    listing = clean_listing()
    facts = facts_of(listing.images)
    facts.loc[~listing.images["status"].isin(statuses), "error"] = "missing"
    return subject_of_listing(listing, load(), facts, cache=Path("unused"))


@pytest.mark.parametrize("check", OF_COHORTS, ids=lambda check: check.code)
def test_nothing_passes_where_no_image_can_be_used(check: Check):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        finding = check(left_with())
    expected = FAILED if check.code == "A01" else NOT_CHECKED
    assert check.code in OF_LIST or finding.status == expected, finding


@pytest.mark.parametrize("code", ["A13", "A14", "A18", "A22", "A23", "A25", "A26", "A27"])
def test_classes_are_not_compared_where_there_is_one(code: str):
    (check,) = (one for one in CHECKS if one.code == code)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check(left_with("Cancer")).status == NOT_CHECKED


@pytest.mark.parametrize("statuses", [(), ("Cancer",)])
def test_the_description_of_nothing_warns_of_nothing(statuses: tuple[str, ...]):
    subject = left_with(*statuses)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = summaries.feature_table(subject.images, subject.features, subject.unit)
    assert len(table) == len(subject.features) and set(table["AUC alone"]) == {"0.50"}
