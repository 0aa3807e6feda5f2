"""The columns of the frames: documented, checked, and there when a frame is empty."""

import dataclasses
import re

import pandas as pd
import pytest

from study.evaluation.evaluation import Evaluation
from study.evaluation.frames import EVALUATION, UNITS, reference_table

CONFUSION = pd.DataFrame({"arm": ["image"], "level": ["patient"], "tp": [3], "fp": [1], "fn": [0], "tn": [4]})


def test_every_frame_of_an_evaluation_is_described_and_an_empty_one_has_its_columns():
    frames = [field.name for field in dataclasses.fields(Evaluation) if field.type is pd.DataFrame]
    assert set(frames) == set(EVALUATION)
    empty = Evaluation()
    for name in frames:
        assert list(getattr(empty, name)) == [column.name for column in EVALUATION[name].columns if column.required]
    assert list(empty.comparisons_by_class) == ["first", "second", "difference", "low", "high", "against", "p"]
    assert {"e2_low_90", "e2_p_holm", "verdict", "sentence"} < set(empty.comparisons)
    assert empty.confusion.dtypes.astype(str)["tp"] == "int64" and empty.variance["seed_sd"].dtype == float


@pytest.mark.parametrize(
    ("confusion", "match"),
    [
        (CONFUSION.drop(columns="tn"), r"Evaluation.confusion: columns missing: \['tn'\]"),
        (CONFUSION.assign(precision=0.75), r"not documented in study.evaluation.frames: \['precision'\]"),
        (CONFUSION.assign(tp=3.5), "Evaluation.confusion.tp: float64 where a whole number"),
        (CONFUSION.assign(arm=1), "Evaluation.confusion.arm: int64 where a text"),
    ],
)
def test_a_frame_with_other_columns_is_refused_by_name(confusion, match):
    assert Evaluation(confusion=CONFUSION).confusion is CONFUSION
    with pytest.raises(ValueError, match=match):
        Evaluation(confusion=confusion)


def test_missing_values_keep_their_kind():
    frame = EVALUATION["errors"]
    line = {"arm": "image", "patient_id": "p", "status": "Cancer", "label": 1, "mean_prob": 0.7, "wrong": 0.0}
    frame.check(pd.DataFrame([line | {"site": None}]), "errors")
    frame.check(pd.DataFrame([line | {"site": float("nan")}]), "errors")  # a cohort without sites
    truth = next(column for column in UNITS.columns if column.name == "flagged")
    assert truth.fits(pd.Series([True, False])) and truth.fits(pd.Series([pd.NA])) and not truth.fits(pd.Series([0.5]))


def test_the_reference_has_every_column_with_its_meaning():
    text = reference_table(level=3)
    assert text.count("### `") == len(EVALUATION)
    assert "| `e1_p_holm`, `e2_p_holm` | number | adjusted over the declared contrasts (Holm 1979) |" in text
    assert "| `value` | number | the point estimate; NaN where it is not defined |" in text
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert all(re.fullmatch(r"\| `.+` \| [a-z ]+ \| \S.* \|", row) for row in rows)
    assert sum(row.split(" | ")[0].count("`") for row in rows) == 2 * sum(len(f.columns) for f in EVALUATION.values())
    for frame in [UNITS, *EVALUATION.values()]:
        assert len({column.name for column in frame.columns}) == len(frame.columns)
