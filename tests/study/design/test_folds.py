"""Splits that the user has already: a column for the folds, a condition for one locked test part."""

import numpy as np
import pandas as pd
import pytest

from mmbc.config import DataConfig
from mmbc.errors import LeakageError, MmbcError, SplitError
from study.design import partition
from study.design.folds import inner_splits
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
    folds = partition.make(rows, settings)
    folds.check(rows, settings)
    return folds


@pytest.mark.parametrize(("column", "names"), [("site", ["A", "B"]), ("year", ["2015", "2016", "2017", "2018"])])
def test_every_value_of_a_column_is_one_test_part(column, names):
    rows = images()
    folds = made(rows, fold_column=column)
    assert folds.kind == "cross-validation" and folds.n_folds == len(names)
    assert [fold.name for fold in folds.folds] == names
    for name, split in zip(names, folds.splits.values(), strict=True):
        expected = rows.loc[rows[column].map(partition._plain) == name, "patient_id"]
        assert set(split.test) == set(expected)
        assert split.validation and not set(split.validation) & set(split.test)
    assert set(folds.table(rows)["name"]) == set(names)
    assert "not balanced by the program" in folds.warnings(rows)[0]


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
    folds = made(rows, test_where=condition)
    assert folds.kind == "holdout" and len(folds.splits) == 1
    assert set(folds.splits[0, 0].test) == set(rows.loc[expected(rows), "patient_id"])


def test_the_columns_a_condition_needs():
    condition = "site == 'year' and `exam year` > 2015 and not (old | size > 3)"
    assert {"site", "exam year", "old", "size"} <= set(partition.columns_used(Protocol(test_where=condition)))
    assert "year" not in partition.columns_used(Protocol(test_where=condition))
    assert partition.columns_used(Protocol(fold_column="centre")) == ("centre",)


@pytest.mark.parametrize(
    ("protocol", "error", "message"),
    [
        ({"fold_column": "sites"}, SplitError, "no column 'sites'; did you mean 'site'"),
        ({"fold_column": "label"}, SplitError, "no column 'label'"),
        ({"fold_column": "view"}, LeakageError, "40 patients are on two values: P00, P01"),
        ({"fold_column": "machine"}, SplitError, "only one value"),
        ({"test_where": "@pd.isna(age)"}, SplitError, "cannot be evaluated"),
        ({"fold_column": "patient"}, SplitError, "too many for folds"),
        ({"fold_column": "gap"}, SplitError, "no value for 1 patient: P03"),
        ({"fold_column": "status"}, SplitError, "not both classes"),
        ({"test_where": "site == 'C'"}, SplitError, "no row meets it"),
        ({"test_where": "year > 0"}, SplitError, "every row meets it"),
        ({"test_where": "year"}, SplitError, "not true or false"),
        ({"test_where": "sites == 'B'"}, SplitError, "cannot be evaluated.*exact spelling"),
        ({"test_where": "label == 1"}, SplitError, "cannot be evaluated"),
        ({"test_where": "site =="}, SplitError, "cannot be evaluated"),
        ({"test_where": "view == 'CC'"}, LeakageError, "40 patients are on two sides"),
        ({"test_where": "gap > 0"}, SplitError, "'gap' is not known for 1 patient: P03"),
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
    plain, nested = partition.make(rows, protocol), partition.make(rows, protocol, n_inner=3)
    for fold, inside in zip(plain.folds, nested.folds, strict=True):
        assert inside.test == fold.test and inside.validation == ()
        assert list(inside.train) == sorted([*fold.train, *fold.validation])
        assert sorted(patient for part in inside.inner for patient in part) == list(inside.train)
        for split in inner_splits(inside.inner):
            assert not set(split.train) & set(split.validation) and not split.test
            assert sorted([*split.train, *split.validation]) == list(inside.train)
    assert sorted(patient for part in nested.whole for patient in part) == sorted(set(rows["patient_id"]))
    nested.check(rows, protocol)
    undone = partition.unnested(nested, rows, protocol)
    undone.check(rows, protocol)
    assert [fold.test for fold in undone.folds] == [fold.test for fold in plain.folds]
    assert all(fold.validation for fold in undone.folds)


def test_inner_folds_that_leak_are_refused():
    rows = images()
    protocol = Protocol(folds=2)
    folds = partition.make(rows, protocol, n_inner=2)
    first, second = folds.folds
    leaking = first.changed(inner=[(*first.inner[0], first.test[0]), *first.inner[1:]])
    with pytest.raises(LeakageError, match=first.test[0]):
        folds.changed(folds=[leaking, second]).check(rows, protocol)


def test_the_folds_of_a_search_serve_a_study_of_fixed_settings(tmp_path):
    rows = images()
    protocol = Protocol(folds=2)
    file = tmp_path / "folds.json"
    partition.make(rows, protocol, n_inner=2).write(file)
    plain = partition.for_study(tmp_path / "none.json", file, rows, protocol)
    assert "nested" not in plain.plain() and all(fold.validation for fold in plain.folds)
    partition.make(rows, protocol).write(file)
    again = partition.for_study(tmp_path / "none.json", file, rows, protocol, n_inner=2)
    assert again.nested and again.folds[0].inner


def test_patients_of_own_folds_in_another_spelling(tmp_path):
    """They are not taken for others unawares: --merge-ids finds them, and joins two spellings in one part."""
    rows = images()
    protocol = Protocol(folds=2)
    right = partition.make(rows, protocol)
    first, second = right.folds
    file = tmp_path / "folds.json"
    test = [*(patient.lower() for patient in first.test), first.test[0]]
    right.changed(folds=[first.changed(test=test), second]).write(file)
    with pytest.raises(SplitError, match=r"20 of them are spelled otherwise than in the cohort \('p\d\d' for 'P\d\d'"):
        partition.for_study(tmp_path / "none.json", file, rows, protocol)
    found = partition.for_study(tmp_path / "none.json", file, rows, protocol, DataConfig(spellings="merge"))
    assert found.splits == right.splits
    divided = first.changed(train=[*first.train, first.test[0].lower()])
    right.changed(folds=[divided, second]).write(file)
    with pytest.raises(LeakageError, match=first.test[0]):
        partition.for_study(tmp_path / "none.json", file, rows, protocol, DataConfig(spellings="merge"))


def test_own_folds_of_a_search_in_another_spelling():
    rows = images()
    right = partition.make(rows, Protocol(folds=2), n_inner=2)
    lower = right.spelled_as(rows["patient_id"].str.lower())
    assert {patient[0] for patient in [*lower.whole[0], *lower.folds[0].inner[0]]} == {"p"}
    assert lower.spelled_as(rows["patient_id"]).splits == right.splits
