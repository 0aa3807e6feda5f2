"""One person over several rows: which blanks are filled, and which keys are doubted."""

import numpy as np
import pandas as pd
import pytest

from mmbc.data.listing import Listing
from mmbc.data.persons import doubts, filled
from mmbc.data.tables.columns import Feature

AGE = Feature("age", "numeric")


def rows(cases=None, **columns):
    frame = pd.DataFrame({"patient_id": list("aabb"), **columns})
    return frame.assign(case_id=frame["patient_id"] if cases is None else frame["patient_id"] + "/" + pd.Series(cases))


@pytest.mark.parametrize(
    ("cases", "given", "expected", "says"),
    [
        (None, [50, np.nan, 60, np.nan], [50, 50, 60, 60], "age: blank in 2 rows of 2 patients that have one value"),
        (list("1111"), [np.nan, 50, 60, 60], [50, 50, 60, 60], "age: blank in 1 rows of 1 cases that have one value"),
        (list("1211"), [50, np.nan, 60, 60], [50, np.nan, 60, 60], "blank in 1 rows of 1 patients with other values"),
        (None, [np.nan, np.nan, 60, 60], [np.nan, np.nan, 60, 60], ""),
    ],
)
def test_a_blank_takes_the_only_value_of_its_case(cases, given, expected, says):
    values, notes = filled(pd.DataFrame({"age": given}), [AGE], rows(cases))
    np.testing.assert_array_equal(values["age"], expected)
    assert says in " ".join(notes) and bool(says) == bool(notes)


def test_rows_that_contradict_each_other_fill_nothing():
    frame = pd.DataFrame({"patient_id": ["a"] * 3, "case_id": ["a"] * 3})
    values, notes = filled(
        pd.DataFrame({"grade": pd.Series(["x", "y", None], dtype="str")}), [Feature("grade", "categorical")], frame
    )
    assert values["grade"].isna().tolist() == [False, False, True] and "these rows stay without it" in notes[0]


def doubted(cases=None, name="age", left_out=(), **columns):
    images = rows(cases, row=[2, 3, 4, 5], **({"site": None} | columns))
    features = () if left_out else tuple(Feature(key, "numeric") for key in (name,) if key in images)
    return doubts(Listing("x", images, features, left_out=left_out))


def test_ages_decades_apart_are_doubted_with_their_rows():
    assert "1 patient has ages too far apart" in doubted(age=[77.0, 107.0, 50.0, 60.0])[0]
    assert "a has 77 (row 2) and 107 (row 3), 30 years apart" in doubted(age=[77.0, 107.0, 50.0, 60.0])[0]
    assert doubted(name="PatientAge", PatientAge=[77.0, 107.0, 50.0, 60.0])
    assert doubted(name="AGE_AT_EXAM", AGE_AT_EXAM=[77.0, 107.0, 50.0, 60.0])
    assert not doubted(name="dosage", dosage=[77.0, 107.0, 50.0, 60.0])


def test_two_ages_in_two_examinations_are_legitimate_and_in_one_they_are_not():
    ages = [50.0, 53.0, 60.0, 60.0]
    assert not doubted(list("1211"), age=ages) and not doubted(age=ages)
    assert "a has 50 (row 2) and 53 (row 3)" in doubted(list("1111"), age=ages)[0]


def test_a_key_at_two_sites_with_different_values_is_doubted():
    sites = ["North", "South", "North", "North"]
    said = "1 key occurs at several sites with different clinical values (age): a: one person, or two?"
    assert doubted(age=[50.0, 51.0, 60.0, 60.0], site=sites) == [said]
    assert doubted(age=[50.0, 51.0, 60.0, 60.0], site=sites, left_out=(("age", "differs"),)) == [said]
    assert doubted(age=[50.0, 50.0, 60.0, 60.0], site=sites) == []
    assert "without clinical values to compare" in doubted(site=sites)[0]
