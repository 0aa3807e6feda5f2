"""Numbers as journals want them."""

import pytest

from study.reporting.figures.journals import JOURNALS
from study.reporting.methods.macros import macros
from study.text.format import difference_interval, interval, percent
from study.text.number_style import number_style, restyle

POINT = r"0\ensuremath{\cdot}"
EXPECTED = {
    "nature": (
        "0.848 (0.794 to 0.902)",
        "91.3 % (88.0 to 94.1)",
        "+0.021 (−0.006 to +0.046)",
        "0.848 (0.794 to 0.902)",
    ),
    "radiology": ("0.85 (0.79, 0.90)", "91.3% (88.0, 94.1)", "+0.02 (−0.01, +0.05)", "0.85 (95\\% CI: 0.79, 0.90)"),
    "lancet": (
        "0·85 (0·79–0·90)",
        "91·3% (88·0–94·1)",
        "+0·02 (−0·01 to +0·05)",
        rf"{POINT}85 (95\% CI {POINT}79--{POINT}90)",
    ),
    "elsevier": ("0.85 [0.79–0.90]", "91.3% [88.0–94.1]", "+0.02 [−0.01 to +0.05]", "0.85 [0.79--0.90]"),
    "ieee": ("0.848 [0.794, 0.902]", "91.3% [88.0, 94.1]", "+0.021 [−0.006, +0.046]", "0.848 [95\\% CI 0.794, 0.902]"),
}


@pytest.mark.parametrize("journal", JOURNALS)
def test_numbers_of_a_journal(journal):
    area, share, gained, cited = EXPECTED[journal]
    with number_style(JOURNALS[journal].numbers):
        text = interval("roc_auc", 0.848, 0.794, 0.902)
        assert (text, interval("sensitivity", 0.913, 0.88, 0.941)) == (area, share)
        assert difference_interval(0.021, -0.006, 0.046) == gained
        assert f"{{{cited}}}" in macros({"auc.image": {"text": text, "low": 0.794, "about": "AUC"}})
    assert interval("roc_auc", 0.848, 0.794, 0.902) == EXPECTED["nature"][0], "the style is left behind"


def test_sentences_follow():
    text = "AUC +0.23 (95 % CI +0.08 to +0.38), at 5 % of all; see 10.1/x."
    assert restyle(text) == text
    with number_style(JOURNALS["radiology"].numbers):
        assert (
            restyle(text) == "AUC +0.23 (95% CI: +0.08, +0.38), at 5% of all; see 10.1/x." and percent(0.5) == "50.0%"
        )
