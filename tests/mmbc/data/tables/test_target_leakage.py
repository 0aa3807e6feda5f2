import numpy as np
import pandas as pd
import pytest

from mmbc.data.tables.columns import Feature
from mmbc.data.tables.target_leakage import check, pure_categories, separation
from mmbc.errors import CohortError

N = 40
LABEL = np.arange(N) % 2


def rows(**columns):
    frame = pd.DataFrame({"patient_id": [f"P{n}" for n in range(N)], "label": LABEL}).assign(**columns)
    return frame.assign(case_id=frame["patient_id"], breast="L")


def area(values, kind="numeric", order=()):
    return separation(rows(x=values), (Feature("x", kind, order),), "case")["x"]


def test_a_result_of_the_diagnosis_is_found_however_it_is_coded():
    rng = np.random.default_rng(0)
    assert area(LABEL * 100 + rng.random(N)) == 1, "size"
    assert area(-LABEL + 0.1 * rng.random(N)) == 1, "size, the other way round"
    assert area(np.where(LABEL, 2.0, rng.choice([1.0, 3.0], N))) == 1, "a code in no order"
    assert area(np.where(LABEL, "B5", "B2"), "categorical") == 1, "words"
    assert area(np.where(LABEL, rng.random(N), np.nan)) == 1, "known for positives alone"
    many = [f"{'m' if label else 'b'}{n // 4}" for n, label in enumerate(LABEL)]
    assert area(many, "categorical") == 1, "many small categories"


def test_chance_is_not_taken_for_a_leak():
    rng = np.random.default_rng(1)
    assert area(rng.random(N)) < 0.8
    assert area(rng.choice(list("abcdefgh"), N), "categorical") < 0.8
    assert 0.5 <= area(rng.choice(["yes", "no"], N), "categorical") < 0.75
    assert area(["u" + str(n) for n in range(N)], "categorical") == 0.5, "every unit its own category"


def test_it_stops_the_run_with_its_name_unless_allowed():
    frame, feature = rows(**{"my biopsy": np.where(LABEL, "B5", "B2")}), Feature("my biopsy", "categorical")
    with pytest.raises(CohortError, match="'my biopsy' .AUC 1.00 alone.*--allow-leaky-column 'my biopsy'"):
        check(frame, (feature,), "case", (), "made")
    assert "was allowed" in check(frame, (feature,), "case", ("my biopsy",), "made")[0]


def test_too_few_units_say_nothing():
    frame = rows(x=LABEL)[:4]
    assert separation(frame, (Feature("x", "ordinal"),), "case")["x"] == 0.5


def cohort(values, labels):
    frame = pd.DataFrame({"patient_id": [f"P{n}" for n in range(len(labels))], "label": labels, "x": values})
    return frame.assign(case_id=frame["patient_id"], breast="L")


RARE = np.array([1] * 20 + [0] * 180)
"""Labels of 200 patients, one in ten positive."""


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1.0] * 13 + [0.0] * 187, "ordinal"),
        (["yes"] * 13 + ["no"] * 187, "categorical"),
        ([31.0] * 6 + [47.0] * 7 + [None] * 187, "numeric"),
        ([None] * 13 + list(np.random.default_rng(0).normal(50, 9, 187)), "numeric"),
    ],
)
def test_a_category_of_the_positives_alone_stops_the_run(values, kind):
    frame, feature = cohort(values, RARE), Feature("x", kind)
    assert separation(frame, (feature,), "case")["x"] < 0.97, "not found by its AUC"
    with pytest.raises(
        CohortError, match="'x' .*in 13 patients, all positive, by chance 9e-16.*--allow-leaky-column x"
    ):
        check(frame, (feature,), "case", (), "made")
    assert "was allowed" in check(frame, (feature,), "case", ("x",), "made")[0]


def test_patients_are_counted_not_images():
    frame = pd.concat([cohort([1.0] * 4 + [0.0] * 36, [1, 0] * 2 + [1] * 18 + [0] * 18)] * 10)
    frame.loc[frame["x"] == 1, "label"] = 1
    assert pure_categories(frame, (Feature("x", "ordinal"),)) == []


def test_a_category_of_the_usual_class_alone_is_no_reason_to_stop():
    young = cohort(["40"] * 20 + ["30"] * 130 + ["40"] * 50, RARE)
    (pure,) = pure_categories(young, (Feature("x", "categorical"),))
    assert (pure.n_patients, pure.positive, pure.stops) == (130, False, False) and pure.chance < 1e-6
    assert check(young, (Feature("x", "categorical"),), "case", (), "made") == []


def test_small_and_mixed_categories_are_no_reason():
    rng = np.random.default_rng(2)
    for labels in (RARE, np.arange(200) % 2):
        assert (
            pure_categories(cohort(rng.choice(list("abcdefghijkl"), 200), labels), (Feature("x", "categorical"),)) == []
        )
        assert pure_categories(cohort(rng.normal(size=200), labels), (Feature("x", "numeric"),)) == []
    assert pure_categories(cohort([1.0] * 200, [1] * 200), (Feature("x", "ordinal"),)) == []
