"""Files of folds keep the bytes they had before they were models (`golden/` was written by the program of format 1)."""

import json
from pathlib import Path

import pytest

from mmbc.errors import SplitError
from study.design import partition
from study.design.folds import Folds
from study.design.study_file import Protocol
from tests.study.design.test_folds import images

GOLDEN = Path(__file__).parent / "golden"
MADE = {
    "cross_validation": ({"folds": 2, "repeats": 2}, None),
    "holdout": ({"holdout": 0.34}, None),
    "by_column": ({"fold_column": "site"}, None),
    "test_where": ({"test_where": "site == 'B'"}, None),
    "nested": ({"folds": 2}, 2),
}


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.json")), ids=lambda file: file.stem)
def test_what_is_read_is_written_back_byte_for_byte(file, tmp_path):
    folds = Folds.read(file)
    folds.write(tmp_path / "again.json")
    # the user's own file is on one line
    again = json.dumps(folds.plain()) + "\n" if file.stem == "own_given" else (tmp_path / "again.json").read_text()
    assert again == file.read_text()


@pytest.mark.parametrize("name", MADE)
def test_folds_are_made_and_written_as_ever(name, tmp_path):
    protocol, n_inner = MADE[name]
    partition.make(images(12), Protocol(**protocol), n_inner=n_inner).write(tmp_path / "folds.json")
    assert (tmp_path / "folds.json").read_bytes() == (GOLDEN / f"{name}.json").read_bytes()


@pytest.mark.parametrize(
    ("given", "n_inner", "expected"),
    [("own_given", None, "own"), ("own_given", 2, "own_nested"), ("nested", None, "own_unnested")],
)
def test_own_folds_keep_the_order_and_the_keys_of_the_users_file(given, n_inner, expected, tmp_path):
    folds = partition.for_study(
        tmp_path / "none.json", GOLDEN / f"{given}.json", images(12), Protocol(folds=2), n_inner=n_inner
    )
    folds.write(tmp_path / "folds.json")
    assert (tmp_path / "folds.json").read_bytes() == (GOLDEN / f"{expected}.json").read_bytes()


def test_numbers_for_patients_are_read_as_text(tmp_path):
    (tmp_path / "own.json").write_text(
        '{"folds": [{"repeat": 0, "fold": 0, "train": [10, 9], "validation": [], "test": [3]}]}'
    )
    folds = partition.read_own(tmp_path / "own.json")
    assert folds.splits[0, 0].train == ("10", "9") and folds.test_fold_of() == {"3": 0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "5-fold"}, "folds.json: kind: Input should be 'cross-validation' or 'holdout'"),
        ({"folds": []}, "there are no folds"),
        ({"folds": None}, "folds.json: folds: .*list"),
        ({"n_folds": "many"}, "n_folds: .*integer"),
    ],
)
def test_files_that_are_not_as_declared_are_named_with_the_key(change, message):
    values = Folds.read(GOLDEN / "cross_validation.json").plain() | change
    with pytest.raises(SplitError, match=message):
        Folds.of(values, "folds.json")
