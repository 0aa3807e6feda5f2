import numpy as np
import pytest

from study.evaluation.verdicts import disagreement, sentence
from study.stats.comparison import SMALL_GAIN, Comparison, judge
from study.stats.procedure import CORRECTED, PROCEDURE


def a_comparison(**changed):
    base = {
        "first": "concat",
        "second": "image",
        "difference": 0.03,
        "e1_low": 0.01,
        "e1_high": 0.05,
        "e1_p": 0.003,
        "e2_low": 0.005,
        "e2_high": 0.055,
        "e2_p": 0.02,
        "e2_low_90": 0.01,
        "e2_high_90": 0.05,
        "e2_method": CORRECTED,
        "training_sd": 0.01,
        "patients_needed": 3900.0,
        "patients_low": 2650.0,
        "patients_high": 6720.0,
        "corrected_low": 0.005,
        "corrected_high": 0.055,
        "corrected_p": 0.02,
        "procedure_low": np.nan,
        "procedure_high": np.nan,
        "procedure_p": np.nan,
        "p_worse": 0.0,
        "p_equivalent": 0.3,
        "p_better": 0.7,
        "bootstrap_low": 0.01,
        "bootstrap_high": 0.05,
        "permutation_p": 0.004,
        "n_patients": 300,
        "n_scores": 10,
        "n_seeds": 3,
    }
    return Comparison(**(base | changed))


@pytest.mark.parametrize(
    ("changed", "verdict", "words"),
    [
        ({}, "better", "size unresolved"),
        ({"e1_low": 0.021}, "better", "size unresolved"),
        ({"e1_low": 0.021, "e2_low": 0.0201}, "better", "by more than 0.02"),
        ({"e1_high": 0.019, "difference": 0.015}, "better", "size unresolved"),
        ({"e1_high": 0.019, "e2_high": 0.0199, "difference": 0.015}, "better", "by less than 0.02"),
        ({"n_seeds": 1}, "not assessed", "For these fitted models only, concat was above image"),
        ({"n_seeds": 1, "e1_low": -0.01}, "not assessed", "could not be told apart"),
        ({"e2_p": float("nan"), "e2_low_90": float("nan")}, "not assessed", "single split"),
        ({"e2_p": 0.4, "e2_low_90": -0.01, "e2_high_90": 0.019}, "equivalent", "equivalent within ±0.02"),
        ({"e2_p": 0.4, "e2_low_90": -0.01, "e2_high_90": 0.06}, "non-inferior", "That it is better was not shown"),
        (
            {"e2_p": 0.4, "e2_low_90": -0.03, "e2_high_90": 0.06, "e2_low": -0.04, "e2_high": 0.08},
            "inconclusive",
            "compatible with −0.040 to +0.080",
        ),
        (
            {"e2_p": 0.4, "e2_low_90": -0.05, "e2_high_90": 0.019},
            SMALL_GAIN,
            "Any gain of concat over image is below 0.02",
        ),
        ({"difference": -0.03, "e1_low": -0.05, "e1_high": -0.01}, "worse", "concat is worse than image"),
    ],
)
def test_verdicts_in_their_order_and_their_words(changed, verdict, words):
    found = judge([a_comparison(**changed)], delta=0.02)[0]
    assert found.verdict == verdict and words in sentence(found, 0.02)
    assert "no difference" not in sentence(found, 0.02)


def test_patients_that_would_be_needed_are_a_range_where_the_variance_is_poorly_known():
    open_ = {"e2_p": 0.4, "e2_low_90": -0.03, "e2_high_90": 0.06}
    said = {
        "to show equivalence within ±0.02 (power 80 %)": {},
        "about 2,700 to 6,800 patients": {},
        "about 3,900 patients": {"patients_low": 3500.0, "patients_high": 4300.0},
        "about 2,700 to more than a million patients": {"patients_high": 2e6},
        "more than a million patients would be needed": {
            "patients_low": 1.1e6,
            "patients_needed": 2e6,
            "patients_high": 9e6,
        },
    }
    for words, changed in said.items():
        assert words in sentence(judge([a_comparison(**open_, **changed)], delta=0.02)[0], 0.02)
    enough = judge([a_comparison(**open_, patients_needed=299.0)], delta=0.02)[0]
    assert "needed" not in sentence(enough, 0.02)


def test_an_unfinished_contrast_counts_for_holm():
    alone = judge([a_comparison(e2_p=0.02)], delta=0.02, n_declared=3)
    assert alone[0].e2_p_holm == pytest.approx(0.06) and alone[0].verdict != "better"


def test_holm_over_the_declared_contrasts_and_disagreement():
    found = judge(
        [a_comparison(e2_p=0.02), a_comparison(e2_p=0.04), a_comparison(e2_p=0.9, corrected_p=0.9, permutation_p=0.2)],
        delta=0.02,
    )
    assert [c.e2_p_holm for c in found] == pytest.approx([0.06, 0.08, 0.9])
    assert found[0].verdict != "better", "0.02 alone would have been, three contrasts were declared"
    assert f"patient permutation and {CORRECTED} (trained again) do not" in disagreement(found[2])
    assert f"{PROCEDURE} (trained again) does not" in disagreement(a_comparison(procedure_p=0.06))
    assert not disagreement(found[0])


def test_equivalence_by_the_fold_scores_alone_is_marked():
    c = a_comparison(
        e2_p=0.6, e1_p=0.5, e1_low=-0.03, e1_high=0.03, p_equivalent=0.97, e2_low_90=-0.025, e2_high_90=0.025
    )
    found = judge([c], delta=0.02)[0]
    assert found.verdict == "inconclusive" and "P(equivalent) = 0.97" in disagreement(found)
