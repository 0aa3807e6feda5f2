import numpy as np
import pandas as pd
import pytest

from mmbc.data.tables.columns import Feature
from mmbc.data.tables.target_leakage import check, separation
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
