import pytest

from study.text import format as shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (shown.number("brier", -0.0004), "0.000"),
        (shown.number("mcc", -0.0006), "−0.001"),
        (shown.difference(-0.0004), "+0.000"),
        (shown.difference_interval(0.021, -0.004, 0.046), "+0.021 (−0.004 to +0.046)"),
        (shown.signed(-0.001), "+0.00"),
        (shown.per_thousand(-0.00004, -0.0004, 0.0069), "0.0 (−0.4 to 6.9)"),
        (shown.interval("sensitivity", 0.913, 0.88, 0.941), "91.3 % (88.0 to 94.1)"),
    ],
)
def test_negative_numbers_have_a_minus_sign_and_zero_has_none(text, expected):
    assert text == expected
