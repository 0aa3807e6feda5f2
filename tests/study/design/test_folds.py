"""Splits that the user has already: a column for the folds, a condition for one locked test part."""

import json

import numpy as np
import pandas as pd
import pytest

from mmbc.errors import LeakageError, MmbcError, SplitError
from study.design import folds
from study.design.study_file import Protocol, load


def images(n=40, **columns):
    patients = pd.DataFrame(
        {
            "patient_id": [f"P{number:02d}" for number in range(n)],
            "label": np.arange(n) % 2,
            "status": np.where(np.arange(n) % 2, "Cancer", "Normal"),
            "site": np.where(np.arange(n) % 4 < 2, "A", "B"),
            "year": 2015.0 + np.arange(n) // 10,
        }
    ).assign(**columns)
    rows = patients.loc[patients.index.repeat(2)].reset_index(drop=True)
    return rows.assign(image_id=[f"i{row}" for row in rows.index], path="x")


def made(rows, **protocol):
    settings = Protocol(**protocol)
    content = folds.make(rows, settings)
    return content, folds.validate(content, rows, settings)


@pytest.mark.parametrize(("column", "names"), [("site", ["A", "B"]), ("year", ["2015", "2016", "2017", "2018"])])
def test_every_value_of_a_column_is_one_test_part(column, names):
    rows = images()
    content, splits = made(rows, fold_column=column)
    assert content["kind"] == "cross-validation" and content["n_folds"] == len(names)
    assert [entry["name"] for entry in content["folds"]] == names
    for name, split in zip(names, splits.values(), strict=True):
        expected = rows.loc[rows[column].map(folds._plain) == name, "patient_id"]
        assert set(split.test) == set(expected)
        assert split.validation and not set(split.validation) & set(split.test)
    assert set(folds.table(content, rows)["name"]) == set(names)
    assert "not balanced by the program" in folds.warnings(content, rows)[0]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("site == 'B'", lambda rows: rows["site"] == "B"),
        ("year >= 2017", lambda rows: rows["year"] >= 2017),
        ("site == 'A' and `exam year` == 2015", lambda rows: (rows["site"] == "A") & (rows["exam year"] == 2015)),
        ("site.str.startswith('B')", lambda rows: rows["site"] == "B"),
    ],
)
def test_a_locked_test_part(condition, expected):
    rows = images()
    rows["exam year"] = rows["year"]
    content, splits = made(rows, test_where=condition)
    assert content["kind"] == "holdout" and len(splits) == 1
    assert set(splits[0, 0].test) == set(rows.loc[expected(rows), "patient_id"])


def test_the_columns_a_condition_needs():
    condition = "site == 'year' and `exam year` > 2015 and not (old | size > 3)"
    assert {"site", "exam year", "old", "size"} <= set(folds.columns_used(Protocol(test_where=condition)))
    assert "year" not in folds.columns_used(Protocol(test_where=condition))
    assert folds.columns_used(Protocol(fold_column="centre")) == ("centre",)


@pytest.mark.parametrize(
    ("protocol", "error", "message"),
    [
        ({"fold_column": "sites"}, SplitError, "no column 'sites'; did you mean 'site'"),
        ({"fold_column": "label"}, SplitError, "no column 'label'"),
        ({"fold_column": "view"}, LeakageError, "40 patients are on two values: P00, P01"),
        ({"fold_column": "machine"}, SplitError, "only one value"),
        ({"fold_column": "patient"}, SplitError, "too many for folds"),
        ({"fold_column": "gap"}, SplitError, "no value for 1 patients: P03"),
        ({"fold_column": "status"}, SplitError, "not both classes"),
        ({"test_where": "site == 'C'"}, SplitError, "no row meets it"),
        ({"test_where": "year > 0"}, SplitError, "every row meets it"),
        ({"test_where": "year"}, SplitError, "not true or false"),
        ({"test_where": "sites == 'B'"}, SplitError, "cannot be evaluated.*exact spelling"),
        ({"test_where": "label == 1"}, SplitError, "cannot be evaluated"),
        ({"test_where": "site =="}, SplitError, "cannot be evaluated"),
        ({"test_where": "view == 'CC'"}, LeakageError, "40 patients are on two sides"),
        ({"test_where": "gap > 0"}, SplitError, "'gap' is not known for 1 patients: P03"),
    ],
)
def test_splits_that_cannot_be(protocol, error, message):
    rows = images()
    rows["view"] = np.where(rows.index % 2, "CC", "MLO")
    rows["machine"] = "one"
    rows["patient"] = rows["patient_id"]
    rows["gap"] = rows["year"].where(rows["patient_id"] != "P03")
    with pytest.raises(error, match=message):
        made(rows, **protocol)


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["protocol.holdout=0.2", "protocol.fold_column=site"], "two ways to split"),
        (["protocol.repeats=2", "protocol.test_where=site == 'B'"], "exist once.*--repeats 1"),
        (["protocol.pool_breasts=noisy-or"], "needs data.label_level = 'breast'"),
        (["protocol.pool_breasts=sum"], r"--set protocol.pool_breasts=sum: .*'max', 'mean' or 'noisy-or'"),
    ],
)
def test_protocols_that_contradict_themselves(sets, message):
    with pytest.raises(MmbcError, match=message):
        load("default", None, sets)


def test_settings_are_judged_together_whatever_their_order():
    study = load("default", None, ["protocol.pool_breasts=noisy-or", "data.label_level=breast"])
    assert study.unit == "breast"


def test_nested_folds_divide_every_training_part_and_can_be_undone():
    rows = images()
    protocol = Protocol(folds=3)
    plain, nested = folds.make(rows, protocol), folds.make(rows, protocol, n_inner=3)
    for entry, inside in zip(plain["folds"], nested["folds"], strict=True):
        assert inside["test"] == entry["test"] and inside["validation"] == []
        assert inside["train"] == sorted([*entry["train"], *entry["validation"]])
        assert sorted(patient for part in inside["inner"] for patient in part) == inside["train"]
        for split in folds.inner_splits(inside["inner"]):
            assert not set(split.train) & set(split.validation) and not split.test
            assert sorted([*split.train, *split.validation]) == inside["train"]
    assert sorted(patient for part in nested["whole"] for patient in part) == sorted(set(rows["patient_id"]))
    folds.validate(nested, rows, protocol)
    undone = folds.unnested(nested, rows, protocol)
    folds.validate(undone, rows, protocol)
    assert [entry["test"] for entry in undone["folds"]] == [entry["test"] for entry in plain["folds"]]
    assert all(entry["validation"] for entry in undone["folds"])


def test_inner_folds_that_leak_are_refused():
    rows = images()
    protocol = Protocol(folds=2)
    content = folds.make(rows, protocol, n_inner=2)
    first = content["folds"][0]
    first["inner"][0].append(first["test"][0])
    with pytest.raises(LeakageError, match=first["test"][0]):
        folds.validate(content, rows, protocol)


def test_the_folds_of_a_search_serve_a_study_of_fixed_settings(tmp_path):
    rows = images()
    protocol = Protocol(folds=2)
    file = tmp_path / "folds.json"
    file.write_text(json.dumps(folds.make(rows, protocol, n_inner=2)))
    content = folds.for_study(tmp_path / "none.json", file, rows, protocol)
    assert "nested" not in content and all(entry["validation"] for entry in content["folds"])
    file.write_text(json.dumps(folds.make(rows, protocol)))
    again = folds.for_study(tmp_path / "none.json", file, rows, protocol, n_inner=2)
    assert again["nested"] and again["folds"][0]["inner"]
