import math

import pytest

from study.text import format as shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (shown.number("brier", -0.0004), "0.000"),
        (shown.number("mcc", -0.0006), "−0.001"),
        (shown.difference(-0.0004), "0.000"),
        (shown.difference_interval(0.021, -0.004, 0.046), "+0.021 (−0.004 to +0.046)"),
        (shown.signed(-0.001), "0.00"),
        (shown.per_thousand(-0.00004, -0.0004, 0.0069), "0.0 (−0.4 to 6.9)"),
        (shown.interval("sensitivity", 0.913, 0.88, 0.941), "91.3 % (88.0 to 94.1)"),
    ],
)
def test_negative_numbers_have_a_minus_sign_and_zero_has_none(text, expected):
    assert text == expected


def test_p_is_never_certainty():
    assert [shown.p_value(p) for p in (1.0, 0.991, 0.99, 0.0004, math.nan)] == [
        "> 0.99",
        "> 0.99",
        "0.990",
        "< 0.001",
        "n/a",
    ]
    assert shown.p_equals(1.0) == "p > 0.99" and shown.p_equals(0.05) == "p = 0.050"


def test_shares_round_half_up_as_readers_do():
    """1 of 16 is 6.25 %, and 6.3 and 93.8 are what a reader expects."""
    assert shown.percent(1 / 16) == "6.3 %" and shown.characteristic(1, 1 / 16, math.nan, math.nan) == "1 (6.3)"
    assert shown.number("sensitivity", 0.8125) == "81.3 %" and shown.percent(-0.0001) == "0.0 %"
    assert shown.percent(100 * 0.2875 / 100) == shown.percent((0.275 + 0.3) / 2) == "28.8 %"
    assert (
        shown.number("sensitivity", 0.28749999999999996) == "28.8 %"
        and shown.number("brier", 0.0625 + 0.062) == "0.125"
    )
    assert shown.difference(0.0125 / 10 + 0.00025) == "+0.002" and shown.percentage(0.0125) == "1.25 %"
    assert shown.half_up(0.285, 2) == 0.29 and shown.half_up(-0.285, 2) == -0.29


def test_counts_that_are_means_add_up():
    assert shown.mean_counts(52.25, 27.75, 4) == ("52.3", "27.7") and shown.mean_counts(10.0, 70.0, 1) == ("10", "70")
    assert shown.mean_counts(157 / 3, 83 / 3, 3) == ("52.3", "27.7") and shown.mean_count(52.0, 3) == "52.0"
    assert (
        shown.signed(0.001) == "0.00" and shown.signed(-0.1) == "−0.10" and shown.count(2000, "image") == "2,000 images"
    )


def test_places_are_numbered_from_1():
    assert shown.place(0, 2) == "repeat 1, fold 3" and shown.place(1, 0, 2) == "repeat 2, fold 1, seed 3"


def test_decimals_follow_the_patients():
    assert [shown.auc_digits(n) for n in (60, 999, 1000)] == [2, 2, 3]
