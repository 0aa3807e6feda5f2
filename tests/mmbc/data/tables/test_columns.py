import numpy as np
import pandas as pd
import pytest

from mmbc.data.tables.columns import (
    MixedError,
    convert_column,
    find_bookkeeping,
    has_decimal_commas,
    recognise_column,
    to_numbers,
)

N = 60


def column(values):
    return pd.Series(list(values), index=range(2, 2 + len(values)), dtype="str")


def kind(name, values, patients=None):
    values = column(values)
    patients = pd.Series(range(len(values)) if patients is None else patients, index=values.index)
    return recognise_column(name, values, patients)


RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("Age", RNG.integers(30, 90, N).astype(str), "numeric"),
        ("Volume", RNG.normal(500, 80, N).round(3).astype(str), "numeric"),
        ("BMI", [f"{v:.1f}".replace(".", ",") for v in RNG.normal(25, 4, N)], "numeric"),
        ("Density", RNG.integers(1, 5, N).astype(str), "ordinal"),
        ("Smoker", RNG.integers(0, 2, N).astype(str), "ordinal"),
        ("FamilyHistory", RNG.choice(["yes", "no"], N), "categorical"),
        ("Marker", RNG.choice(["HER2 low", "HER2 high", "none"], N), "categorical"),
        ("ExamDate", [f"2021-03-{1 + n % 28:02d}" for n in range(N)], "a date"),
        ("ExamDate", [f"{1 + n % 28}.3.2021" for n in range(N)], "a date"),
        ("ExamDate", [f"202103{1 + n % 28:02d}" for n in range(N)], "a date"),
        ("BirthYear", RNG.integers(1930, 1980, N).astype(str), "a year"),
        ("Accession", (700_000 + RNG.permutation(N)).astype(str), "id-like"),
        ("n", [str(n) for n in range(N)], "id-like"),
        ("Uid", [f"1.2.840.{n}" for n in range(N)], "id-like"),
        ("Remarks", [f"remark number {n % 30}" for n in range(N)], "free text"),
        ("Remarks", RNG.choice(["seen by a colleague", "repeated after motion blur"], N), "free text"),
        ("Machine", ["X"] * N, "the same value everywhere"),
        ("Nothing", [None] * N, "empty"),
    ],
)
def test_recognised(name, values, expected):
    found = kind(name, values)
    assert found.kind == expected or (found.kind is None and expected in found.reason), (found.kind, found.reason)
    if found.kind in ("numeric", "ordinal"):
        assert found.content.dtype == "float64"


WORDS = ["train", "test", "train", "val"] * 3
FOLDS = [str(n % 3) for n in range(12)]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        *((name, FOLDS) for name in ("fold", "Fold", "fold_id", "kfold", "cv_fold", "Fold1", "dataset", "isTrain")),
        *((name, FOLDS) for name in ("split", "subset", "set", "train", "part", "partition", "data split", "valid")),
        *((name, FOLDS) for name in ("Unnamed: 0", "index", "row", "Row ID", "rowNumber", "record_id", "id", "idx")),
        ("usage", WORDS),
        ("Purpose", [word.upper() for word in WORDS]),
        ("n", [str(n) for n in range(12)]),
        ("count", [str(n + 1) for n in range(12)]),
    ],
)  # fmt: skip
def test_columns_about_the_table_are_no_facts_about_the_patient(name, values):
    assert find_bookkeeping(name, column(values))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        *((name, FOLDS) for name in ("age", "parity", "Settings", "testosterone", "HPV test", "party", "tumour_index")),
        *((name, FOLDS) for name in ("BMI index", "split dose", "train_of_thought", "idiopathic", "n_folds_of_skin")),
        ("x", ["positive", "test"] * 6),
        ("age", [str(40 + n) for n in range(12)]),
        ("parity", ["0", "1", "2", "3"]),
    ],
)
def test_facts_about_the_patient_are_kept(name, values):
    assert not find_bookkeeping(name, column(values))


def test_dates_in_words_are_dates():
    for form in ("{} Mar 2020", "{}-Mar-20", "March {}, 2020", "{}. Mai 2020"):
        assert "a date" in kind("exam", [form.format(n % 28 + 1) for n in range(N)]).reason, form
    assert "a date" in kind("exam", [f"2020-{n % 12 + 1:02d}" for n in range(N)]).reason
    assert kind("size", ["2 cm", "3 cm"] * 4).kind == "categorical"


def test_few_patients_have_no_identifiers():
    assert kind("Volume", ["1200", "1340", "990", "1101"]).kind == "numeric"
    # the same column, one value per patient, in a real cohort
    assert kind("StudyID", [str(1000 + 7 * n) for n in range(N)]).kind is None


def test_misprints_are_named_by_row():
    with pytest.raises(MixedError, match=r"'Age': 2 of 5 values are not numbers: row 4: '6O', row 6: 'sixty'"):
        kind("Age", ["50", "61", "6O", "70", "sixty"])


def test_numbers_with_decimal_commas_or_points_but_not_both():
    assert to_numbers(column(["1,5", "2", None])).tolist()[:2] == [1.5, 2.0]
    assert to_numbers(column(["1,500", "2.5"])).isna().tolist() == [True, False]
    mostly_commas = to_numbers(column(["57,0", "61,5", "61.0", "n.a"]))
    assert mostly_commas.tolist()[:2] == [57.0, 61.5] and mostly_commas.isna().tolist() == [False, False, True, True]
    with pytest.raises(MixedError, match="row 5: '61.0'"):
        kind("Age", ["57,0", "61,5", "64,0", "61.0"])
    assert to_numbers(column(["inf", "1e400", "nan"])).isna().all()


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        (["970", "1,007", "985", "1,044"], "row 3: '1,007', row 5: '1,044'"),
        (["970", "1.007", "985", "1.044"], "row 3: '1.007', row 5: '1.044'"),
        (["1,007", "1,250", "2,300"], "row 2: '1,007'"),
        (["1.007,5", "970,5", "12,5"], "row 2: '1.007,5'"),
        (["1,007.5", "970.5", "12.5"], "row 2: '1,007.5'"),
        (["1 007", "970", "1\u00a0250"], "row 2: '1 007', row 4: "),
        (["1'007", "1\u2019007", "1\u202f250"], 'row 2: "1\'007"'),
        (["1.007.250", "2.300.000", "970"], "row 2: '1.007.250'"),
        (["1,007", "2,250", "970.5", "3.5"], "row 2: '1,007'"),
    ],
)
def test_thousands_separators_are_asked_about(values, rows):
    with pytest.raises(MixedError, match="may have thousands separators.*write 1007.*data.decimal_mark") as caught:
        kind("Volume", values)
    assert rows in str(caught.value)
    with pytest.raises(MixedError, match="may have thousands separators"):
        convert_column("Volume", column(values), "numeric")


@pytest.mark.parametrize(
    ("values", "mark", "expected"),
    [
        (["970", "1,007"], ".", [970, 1007]),
        (["970", "1,007"], ",", [970, 1.007]),
        (["970", "1.007", "1.007.250,5"], ",", [970, 1007, 1007250.5]),
        (["1 007", "1'007.5", "1\u2019007", "0.5"], ".", [1007, 1007.5, 1007, 0.5]),
        (["1,5", "0,25", "1,125"], "", [1.5, 0.25, 1.125]),
        (["0,731", "1,204"], "", [0.731, 1.204]),
        (["1.125", "2", "3"], "", [1.125, 2, 3]),
        (["1.234", "2.345"], "", [1.234, 2.345]),
        (["512.345", "500", "498.5"], "", [512.345, 500, 498.5]),
        (["-1,007", "970"], ".", [-1007, 970]),
    ],
)
def test_numbers_that_can_be_told_are_read(values, mark, expected):
    assert to_numbers(column(values), mark).tolist() == expected


def test_three_decimals_behind_a_comma_are_read_where_the_table_has_decimal_commas():
    values = column(["1,234", "2,345"])
    assert to_numbers(values).isna().all() and to_numbers(values, comma_table=True).tolist() == [1.234, 2.345]
    assert has_decimal_commas(column(["1,5", "2"])) and not has_decimal_commas(column(["1,5", "2.5"]))
    assert to_numbers(column(["970", "1,007"]), comma_table=True).isna().tolist() == [False, True]


def test_a_kind_given_by_the_user_is_checked():
    assert convert_column("d", column(["a", "b"]), ("a", "b")).tolist() == ["a", "b"]
    with pytest.raises(MixedError, match="values outside the order.*row 3: 'e'"):
        convert_column("d", column(["a", "e"]), ("a", "b"))
    with pytest.raises(MixedError, match="is to be numeric, but 1 of 2 values are not numbers: row 3: 'x'"):
        convert_column("d", column(["1", "x"]), "numeric")
