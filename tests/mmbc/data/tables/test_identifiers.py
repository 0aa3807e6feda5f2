"""Keys in several spellings: what is one key, and what is a difference."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbc.data.tables.identifiers import joined, normal_form, shown, twins

ONE_KEY = [
    ("P01", "p01"),
    ("123", "123.0"),
    ("123", "123.00"),
    ("123", "123,0"),
    ("P123", "P123.0"),
    ("123", "00123"),
    ("P7", "P007"),
    ("S1-P1", "S01-P001"),
    ("0", "00"),
    ("M\u00fcller", "Mu\u0308ller"),
    ("P01", "\uff301\u200b".replace("1", "01")),
    ("P01", "P 01"),
    ("P01", "P\u00a001"),
    ("P01", "\ufeffP01"),
    ("P01", "P\u00ad01"),
    ("P01", "P01\x1f"),
    ("P-01", "P\u201301"),
    ("O'Brien", "O\u2019Brien"),
    ("O'Brien", "O\u00b4Brien"),
    ("O'Brien", "OBrien"),
    ("'00123", "00123"),
    ("stra\u00dfe", "STRASSE"),
]
TWO_KEYS = [
    ("P-1", "P1"),
    ("P_1", "P-1"),
    ("P1", "P10"),
    ("100", "10"),
    ("0", "10"),
    ("1.05", "1.5"),
    ("1.2.0", "1.2"),
    ("A1", "B1"),
    ("M\u00fcller", "Muller"),
    ("123.5", "123"),
    ("a01b1", "a1b01"),
]


@pytest.mark.parametrize(("one", "other"), ONE_KEY)
def test_spellings_of_one_key(one, other):
    assert one != other and normal_form(one) == normal_form(other)


@pytest.mark.parametrize(("one", "other"), TWO_KEYS)
def test_differences_that_count(one, other):
    assert normal_form(one) != normal_form(other)


@given(st.text(min_size=1, max_size=12))
def test_blanks_case_and_invisible_characters_never_count(key):
    assert normal_form(key)
    assert normal_form(f"\u200b{key}\u00a0") in (normal_form(key), f"\u200b{key}\u00a0")


@given(st.integers(0, 10**9), st.integers(1, 5))
def test_numbers_are_one_key_if_they_are_one_number(number, zeros):
    assert normal_form(f"{'0' * zeros}{number}.0") == str(number) == normal_form(str(number))


def test_the_first_spelling_is_kept_and_gaps_stay():
    keys = pd.Series(["p01", "P01", None, "P02", "P 01"], dtype="str")
    assert joined(keys).fillna("-").tolist() == ["p01", "p01", "-", "P02", "p01"]


def test_pairs_are_named_with_their_rows_and_what_cannot_be_seen():
    rows = pd.DataFrame({"patient_id": ["P1", "P1\u200b", "P2"], "row": [2, 3, 4]})
    assert twins(rows.assign(case_id=rows["patient_id"])) == [r"'P1' (row 2) and 'P1\u200b' (row 3)"]
    assert shown("Mu\u0308ller") == r"'Mu\u0308ller'"
    cases = pd.DataFrame({"patient_id": "P1", "case_id": ["P1/E1", "P1/e1", "P1/E2"]})
    assert twins(cases) == ["examination 'P1/E1' and 'P1/e1'"]
