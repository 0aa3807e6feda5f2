"""One person over several rows: which blanks are filled, and which keys are doubted."""

import numpy as np
import pandas as pd
import pytest

from mmbc.config import DataConfig
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
        (None, [50, np.nan, 60, np.nan], [50, 50, 60, 60], "age: blank in 2 rows of 2 patients with one value"),
        (list("1111"), [np.nan, 50, 60, 60], [50, 50, 60, 60], "age: blank in 1 row of 1 case with one value"),
        (list("1211"), [50, np.nan, 60, 60], [50, np.nan, 60, 60], "blank in 1 row of 1 patient with other values"),
        (None, [np.nan, np.nan, 60, 60], [np.nan, np.nan, 60, 60], ""),
    ],
)
def test_a_blank_takes_the_only_value_of_its_case(cases, given, expected, says):
    values, notes = filled(pd.DataFrame({"age": given}), [AGE], rows(cases), DataConfig())
    np.testing.assert_array_equal(values["age"], expected)
    assert says in " ".join(notes) and bool(says) == bool(notes)


def test_rows_that_contradict_each_other_fill_nothing():
    frame = pd.DataFrame({"patient_id": ["a"] * 3, "case_id": ["a"] * 3})
    grades = pd.DataFrame({"grade": pd.Series(["x", "y", None], dtype="str")})
    values, notes = filled(grades, [Feature("grade", "categorical")], frame, DataConfig())
    assert values["grade"].isna().tolist() == [False, False, True] and "these rows stay without it" in notes[0]


BY_BREAST = {"label_level": "breast"}


@pytest.mark.parametrize(
    ("name", "given", "data", "expected"),
    [
        ("lesion_mm", [12, None, None, 7], BY_BREAST, [12, None, None, 7]),
        ("lesion_mm", [12, None, None, 7], {}, [12, 12, 7, 7]),
        ("lesion_mm", [12, None, None, 7], BY_BREAST | {"patient_columns": "lesion_mm"}, [12, 12, 7, 7]),
        ("age", [50, None, None, 60], BY_BREAST, [50, 50, 60, 60]),
        ("bmi", [24, 24, None, 30], BY_BREAST, [24, 24, 30, 30]),
        ("density", [2, 3, None, 1], BY_BREAST, [2, 3, None, 1]),
    ],
)
def test_the_other_breast_fills_what_is_the_patients_alone(name, given, data, expected):
    columns = [Feature(name, "numeric")]
    values = pd.DataFrame({name: pd.Series(given, dtype="float64")})
    found, notes = filled(values, columns, rows(breast=list("LRLR")), DataConfig(**data))
    np.testing.assert_array_equal(found[name], pd.Series(expected, dtype="float64"))
    stays = found[name].isna().any()
    assert (f"--set 'data.patient_columns=[\"{name}\"]' fills them" in " ".join(notes)) == stays


def test_two_views_of_one_breast_fill_each_other():
    frame = pd.DataFrame({"patient_id": ["a"] * 4, "case_id": ["a"] * 4, "breast": list("LLRR")})
    values = pd.DataFrame({"lesion_mm": [12, np.nan, np.nan, np.nan]})
    found, notes = filled(values, [Feature("lesion_mm", "numeric")], frame, DataConfig(**BY_BREAST))
    np.testing.assert_array_equal(found["lesion_mm"], [12, 12, np.nan, np.nan])
    assert "blank in 1 row of 1 breast with one value" in notes[0] and "of the other breast" in notes[1]


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
