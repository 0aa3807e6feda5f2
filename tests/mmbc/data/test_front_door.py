"""What people bring: a clean table, damaged as spreadsheets and exports damage it, is refused or read as the clean one.

A kind of damage is an entry of `DAMAGE`: a function `(frame, draw) -> frame` of a table of text with the columns of
`clean`, which is then written as CSV, and what an error may say. Either there is such an error, or patients, labels,
values and counts are those of the clean table.
"""

import re
import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmbc.config import DataConfig
from mmbc.data.cohort import Cohort, assemble
from mmbc.data.readers import manifest
from mmbc.errors import CohortError, MmbcError
from study.reporting.tables.cohort import table_one

N_PATIENTS = 24
STYLES = ("P{:02d}", "{:d}", "M\u00fcP{:02d}", "O'B {:02d}")


def clean(style: str = STYLES[0]) -> pd.DataFrame:
    """Two images of each of 24 patients, as text."""
    rng = np.random.default_rng(5)
    patients = pd.DataFrame(
        {
            "patient_id": [style.format(100 + number) for number in range(N_PATIENTS)],
            "label": [str(number % 2) for number in range(N_PATIENTS)],
            "age": rng.integers(40, 80, N_PATIENTS).astype(str),
            "density": rng.choice(list("abcd"), N_PATIENTS),
        }
    )
    rows = patients.loc[patients.index.repeat(2)].reset_index(drop=True)
    rows.insert(0, "image", [f"im_{row}.png" for row in rows.index])
    return rows


def cohort_of(folder, frame: pd.DataFrame, **data) -> Cohort:
    path = folder / "t.csv"
    path.write_text(frame.to_csv(index=False), encoding="utf-8")
    config = DataConfig(**data)
    return assemble(manifest.read(path, config), config)


def facts(cohort: Cohort) -> pd.DataFrame:
    """Return what has to be the same: who has which image, label and values; names of patients do not matter."""
    number = cohort.images["patient_id"].map({key: n for n, key in enumerate(cohort.images["patient_id"].unique())})
    names = [feature.name for feature in cohort.features]
    return cohort.images[["image_id", "label", *names]].assign(patient=number)


def _respelled(change):
    def damage(frame, draw):
        rows = draw(st.lists(st.sampled_from(list(frame.index)), min_size=1, max_size=10, unique=True))
        keys = frame["patient_id"].where(~frame.index.isin(rows), frame["patient_id"].map(change))
        return frame.assign(patient_id=keys)

    return damage


SPELLINGS = {
    "case": str.swapcase,
    "float": lambda key: f"{key}.0",
    "leading zeros": lambda key: f"000{key}" if key.isdigit() else key.replace("1", "01", 1),
    "decomposed": lambda key: unicodedata.normalize("NFD", key),
    "wide": lambda key: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in key),
    "blank inside": lambda key: f"{key[0]} {key[1:]}",
    "blank that does not break": lambda key: f"{key[0]}\u00a0{key[1:]}",
    "invisible": lambda key: f"{key[0]}\u200b{key[1:]}",
    "byte order mark": lambda key: f"\ufeff{key}",
    "soft hyphen": lambda key: f"{key[:2]}\u00ad{key[2:]}",
    "apostrophe": lambda key: key.replace("'", "\u2019") if "'" in key else f"'{key}",
}


def _given_once(frame, draw):
    """Return the table with clinical values on one row of some patients alone, as merged cells leave them."""
    rows = draw(st.lists(st.sampled_from([2 * n for n in range(N_PATIENTS)]), min_size=1, unique=True))
    columns = draw(st.sampled_from([["age"], ["density"], ["age", "density"]]))
    frame = frame.copy()
    frame.loc[[row + draw(st.integers(0, 1)) for row in rows], columns] = ""
    return frame


DAMAGE = {"value on one row of a patient": (_given_once, "never an error")}
DAMAGE |= {
    f"key, {name}": (_respelled(change), r"several spellings: .*--merge-ids") for name, change in SPELLINGS.items()
}


@pytest.mark.parametrize("kind", DAMAGE)
@given(data=st.data())
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_table_is_refused_or_read_as_the_clean_one(tmp_path, kind, data):
    frame = clean(data.draw(st.sampled_from(STYLES)))
    expected = facts(cohort_of(tmp_path, frame))
    damage, says = DAMAGE[kind]
    try:
        found = cohort_of(tmp_path, damage(frame, data.draw))
    except MmbcError as error:
        assert re.search(says, str(error)), error
    else:
        pd.testing.assert_frame_equal(facts(found), expected)


@pytest.mark.parametrize("style", STYLES[:2])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_key_in_two_spellings_stops_the_run_and_can_be_settled(tmp_path, style, spelling):
    frame = clean(style)
    other = SPELLINGS[spelling](frame.loc[1, "patient_id"])
    if other == frame.loc[1, "patient_id"]:
        pytest.skip("the key has no other spelling of this kind")
    frame.loc[1, "patient_id"] = other
    with pytest.raises(
        CohortError, match=r"1 keys occur in several spellings: .*\(row 2\) and .*\(row 3\).*--merge-ids"
    ):
        cohort_of(tmp_path, frame)
    merged = cohort_of(tmp_path, frame, spellings="merge")
    pd.testing.assert_frame_equal(facts(merged), facts(cohort_of(tmp_path, clean(style))))
    assert merged.images["patient_id"].iloc[1] == clean(style)["patient_id"].iloc[0], "the first spelling is kept"
    assert "1 patient keys were joined to another spelling (--merge-ids)" in " ".join(merged.notes)
    assert cohort_of(tmp_path, frame, spellings="distinct").n_patients == N_PATIENTS + 1


def test_numbers_beside_text_in_a_workbook(tmp_path):
    """Excel: 123 as a number, 00123 as text."""
    frame = clean("{:d}")
    keys: list[object] = [int(key) if row % 2 else f"00{key}" for row, key in enumerate(frame["patient_id"])]
    frame.assign(patient_id=pd.Series(keys, dtype=object)).to_excel(tmp_path / "t.xlsx", index=False)
    with pytest.raises(CohortError, match=r"24 keys occur in several spellings: '00100' \(row 2\) and '100' \(row 3\)"):
        assemble(manifest.read(tmp_path / "t.xlsx", DataConfig()), DataConfig())


def test_merged_cells_fill_the_patient_and_say_so(tmp_path):
    frame = clean()
    frame.loc[frame.index % 2 == 1, "age"] = ""
    cohort = cohort_of(tmp_path, frame)
    pd.testing.assert_frame_equal(facts(cohort), facts(cohort_of(tmp_path, clean())))
    assert "age: blank in 24 rows of 24 patients that have one value on their other rows" in " ".join(cohort.notes)


def test_blanks_that_nothing_fills_are_counted_in_table_1(tmp_path):
    frame = clean().assign(case_id=["1", "2"] * N_PATIENTS)
    frame.loc[frame.index % 2 == 1, "age"] = ""
    shown = table_one(cohort_of(tmp_path, frame)).shown.set_index("")["All"]
    assert shown["age missing, n"] == "0" and shown["age missing in images, n (%)"] == "24 (50.0)"
    assert "age missing in images, n (%)" not in set(table_one(cohort_of(tmp_path, clean())).shown[""])


def test_examinations_in_two_spellings(tmp_path):
    frame = clean().assign(case_id=["E1", "e1"] * N_PATIENTS)
    with pytest.raises(CohortError, match=r"24 keys occur in several spellings: examination 'P100/E1' \(row 2\)"):
        cohort_of(tmp_path, frame)
    assert cohort_of(tmp_path, frame, spellings="merge").images["case_id"].nunique() == N_PATIENTS
