"""What people bring: a clean table, damaged as spreadsheets and exports damage it, is refused or read as the clean one.

A kind of damage is an entry of `DAMAGE`: a function `(frame, draw) -> frame` of a table of text with the columns of
`clean`, which is then written as CSV, and what an error may say. Either there is such an error, or patients, labels,
values and counts are those of the clean table.
"""

import re
import tempfile
import unicodedata
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from mmbc.config import DataConfig
from mmbc.data.cohort import Cohort, assemble
from mmbc.data.images.facts import read_images
from mmbc.data.readers import find_source, manifest
from mmbc.data.tables.unknown_values import codes_to_settle
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
    "look-alike letter": lambda key: key.replace("P", "\u0420").replace("M", "\u041c"),
    "apostrophe": lambda key: key.replace("'", "\u2019") if "'" in key else f"'{key}",
}


def _given_once(frame, draw):
    """Return the table with clinical values on one row of some patients alone, as merged cells leave them."""
    rows = draw(st.lists(st.sampled_from([2 * n for n in range(N_PATIENTS)]), min_size=1, unique=True))
    columns = draw(st.sampled_from([["age"], ["density"], ["age", "density"]]))
    frame = frame.copy()
    frame.loc[[row + draw(st.integers(0, 1)) for row in rows], columns] = ""
    return frame


def _with_age(change):
    """Return damage to the ages of some patients; `change` is of one age."""

    def damage(frame, draw):
        rows = draw(st.lists(st.sampled_from(range(N_PATIENTS)), min_size=1, max_size=N_PATIENTS - 4, unique=True))
        return frame.assign(age=[change(age) if n // 2 in rows else age for n, age in enumerate(frame["age"])])

    return damage


def _with_density(change):
    """Return damage to the densities of every second patient, and so to each density."""
    rows = [n for n in range(2 * N_PATIENTS) if n // 2 % 2]
    return lambda frame, draw: frame.assign(
        density=[change(d) if n in rows else d for n, d in enumerate(frame["density"])]
    )


def _with_label(word):
    return lambda frame, draw: frame.assign(label=frame["label"].where(frame.index > 5, word))


def _with_columns(change):
    return lambda frame, draw: frame.rename(columns=change)


def _with_row(*cells, at_top=False):
    """Return a table with a row that belongs to no image: a total, a signature, a second header."""

    def damage(frame, draw):
        row = pd.DataFrame([cells], columns=frame.columns)
        return pd.concat([row, frame] if at_top else [frame, row], ignore_index=True)

    return damage


AGES = {
    "years": lambda age: f"{age} y",
    "Jahre": lambda age: f"{age} Jahre",
    "DICOM": lambda age: f"0{age}Y",
    "above": lambda age: f">{age}",
    "months": lambda age: f"{12 * int(age)}M",
    "error of Excel": lambda age: "#REF!",
    "unknown": lambda age: "unknown",
    "formula": lambda age: f"=2020-{2020 - int(age)}",
    "range": lambda age: f"{age}-{int(age) + 5}",
    "minus sign": lambda age: f"\u2212{age}",
}
CODES = {f"code {code}": (lambda age, code=code: code) for code in ("999", "9999", "999.0", "-1", "-9", "0", "150")}
HARMLESS = {
    "decimal point": lambda age: f"{age}.0",
    "blanks around": lambda age: f" {age}\u00a0",
    "plus": lambda age: f"+{age}",
}
DAMAGE = {f"age, {name}": (_with_age(change), r"column 'age'.*row \d+") for name, change in AGES.items()}
DAMAGE |= {
    f"age, {name}": (_with_age(change), r"column 'age' holds '.*missing_values.*real_values")
    for name, change in CODES.items()
}
DAMAGE |= {f"age, {name}": (_with_age(change), "never an error") for name, change in HARMLESS.items()}
DAMAGE |= {
    "density, case": (_with_density(str.upper), "column 'density' has one category in several spellings: 'A', 'a'"),
    "density, numbers": (_with_density(lambda d: f"{'abcd'.index(d) + 1}"), "mixes scales|are not numbers"),
    "density, Roman": (_with_density(lambda d: ("I", "II", "III", "IV")["abcd".index(d)]), "mixes scales"),
    "label, unknown": (_with_label("unknown"), "which labels are positive"),
    "label, 9": (_with_label("9"), "which labels are positive"),
    "key, rounded": (_respelled(lambda key: "1.23457E+11"), "column 'patient_id' has keys in scientific notation"),
    "a total below": (_with_row("Total", "", "24", "", ""), "is empty in rows 50"),
    "a signature below": (_with_row("Created on 1.1.2020", "", "", "", ""), "is empty in rows 50"),
    "a row of units": (_with_row("", "", "", "years", "a-d", at_top=True), "is empty in rows 2"),
    "a second header": (_with_row("file", "key", "0/1", "years", "a-d", at_top=True), "column 'age'.*row 2: 'years'"),
    "one name twice": (_with_columns({"density": "age"}), "names a column twice: age"),
    "one name twice, blanks": (_with_columns({"density": "age "}), "names a column twice: age"),
}
DAMAGE |= {"value on one row of a patient": (_given_once, "never an error")}
DAMAGE |= {
    f"key, {name}": (_respelled(change), r"several spellings: .*--merge-ids") for name, change in SPELLINGS.items()
}


@cache
def facts_of_the_clean(style):
    with tempfile.TemporaryDirectory() as folder:
        return facts(cohort_of(Path(folder), clean(style)))


@pytest.mark.parametrize("kind", DAMAGE)
@given(data=st.data())
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_table_is_refused_or_read_as_the_clean_one(tmp_path, kind, data):
    style = data.draw(st.sampled_from(STYLES))
    frame = clean(style)
    expected = facts_of_the_clean(style)
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
        CohortError, match=r"1 key occurs in several spellings: .*\(row 2\) and .*\(row 3\).*--merge-ids"
    ):
        cohort_of(tmp_path, frame)
    merged = cohort_of(tmp_path, frame, spellings="merge")
    pd.testing.assert_frame_equal(facts(merged), facts(cohort_of(tmp_path, clean(style))))
    assert merged.images["patient_id"].iloc[1] == clean(style)["patient_id"].iloc[0], "the first spelling is kept"
    assert "1 patient key was joined to another spelling (--merge-ids)" in " ".join(merged.notes)
    assert cohort_of(tmp_path, frame, spellings="distinct").n_patients == N_PATIENTS + 1


@pytest.mark.parametrize("form", ["{}_{}", "{}{}", "{}-{}", "{} ({})"])
@pytest.mark.parametrize("sides", [("L", "R"), ("left", "right"), ("RCC", "LMLO")])
def test_two_breasts_are_no_two_patients(tmp_path, form, sides):
    keys = [form.format(key, sides[n % 2]) for n, key in enumerate(clean()["patient_id"])]
    frame = clean().assign(patient_id=keys)
    with pytest.raises(CohortError, match=r"24 keys occur in several spellings: 'P100.*\(row 2\) and 'P100.*--merge-"):
        cohort_of(tmp_path, frame)
    merged = cohort_of(tmp_path, frame, spellings="merge")
    pd.testing.assert_frame_equal(facts(merged), facts(cohort_of(tmp_path, clean())))
    assert cohort_of(tmp_path, frame, spellings="distinct").n_patients == 2 * N_PATIENTS


def test_keys_that_end_with_a_letter_are_patients(tmp_path):
    for keys in ([f"P{n}L" for n in range(N_PATIENTS)], [f"{n}{'abcdr'[n % 5]}" for n in range(N_PATIENTS)]):
        frame = clean().assign(patient_id=[keys[n // 2] for n in range(2 * N_PATIENTS)])
        assert cohort_of(tmp_path, frame).n_patients == N_PATIENTS


def test_thousands_in_keys(tmp_path):
    keys = [123 * int(key) for key in clean("{:d}")["patient_id"]]
    frame = clean().assign(patient_id=[f"{key:,}" if n % 2 else f"{key}" for n, key in enumerate(keys)])
    with pytest.raises(CohortError, match="24 keys occur in several spellings: '12300' .* and '12,300'"):
        cohort_of(tmp_path, frame)


OTHER_FILES = {
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12\n",
    "Excel workbook": b"PK\x03\x04" + bytes(40),
    "old Excel": b"\xd0\xcf\x11\xe0" + bytes(40),
    "gzip": b"\x1f\x8b\x08" + bytes(40),
    "Parquet": b"PAR1" + bytes(40),
    "web page": b"\n<!DOCTYPE HTML>\n<p>Sign in, please</p>\n",
    "JSON": b'[{"image": "a.png", "label": 1}]',
}


@pytest.mark.parametrize("kind", OTHER_FILES)
def test_files_that_are_no_text_are_called_by_their_name(tmp_path, kind):
    with pytest.raises(CohortError, match=f"t.csv: is .*{kind}"):
        read_as(tmp_path, OTHER_FILES[kind])


def test_lines_in_quotes_and_endings_of_other_programs(tmp_path):
    lines = clean().to_csv(index=False).splitlines()
    with pytest.raises(CohortError, match="each line is one cell in quotes: take the quotes"):
        read_as(tmp_path, "\n".join(f'"{line}"' for line in lines).encode())
    for name in ("t.xls", "t.ods", "t.csv.gz", "t.sav"):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(CohortError, match=r"a table is one of .csv, .*save it as .xlsx"):
            find_source(str(tmp_path / name))


@pytest.mark.parametrize("form", ["'{}", "\u2019{}", "\u20ac{}", "$ {}", "{}\u00bd"])
def test_numbers_with_a_sign_before_them_are_asked_about(tmp_path, form):
    frame = clean().assign(age=clean()["age"].map(form.format))
    with pytest.raises(CohortError, match=r"column 'age': numbers with a unit or a sign.*row 2") as error:
        cohort_of(tmp_path, frame)
    assert "data.units" not in str(error.value), "a fraction is no unit"


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
    assert "age: blank in 24 rows of 24 patients with one value on the other rows" in " ".join(cohort.notes)


def test_blanks_that_nothing_fills_are_counted_in_table_1(tmp_path, monkeypatch):
    monkeypatch.setattr("study.reporting.tables.cohort.caption", lambda *_, **__: "")  # it is about a whole study
    frame = clean().assign(case_id=["1", "2"] * N_PATIENTS)
    frame.loc[frame.index % 2 == 1, "age"] = ""
    others = {"imported": False, "settings": SimpleNamespace(data=DataConfig())}
    shown = table_one(SimpleNamespace(cohort=cohort_of(tmp_path, frame), **others)).shown.set_index("")["All"]
    assert shown["age missing, n"] == "0" and shown["age missing in images, n (%)"] == "24 (50.0)"
    whole = table_one(SimpleNamespace(cohort=cohort_of(tmp_path, clean()), **others))
    assert "age missing in images, n (%)" not in set(whole.shown[""])


FORMS = {
    "byte order mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "CR alone": lambda text: text.replace("\n", "\r").encode(),
    "CR LF": lambda text: text.replace("\n", "\r\n").encode(),
    "semicolons": lambda text: text.replace(",", ";").encode(),
    "tabs": lambda text: text.replace(",", "\t").encode(),
    "vertical bars": lambda text: text.replace(",", "|").encode(),
    "empty columns at the end": lambda text: text.replace("\n", ",,\n").encode(),
    "empty rows": lambda text: text.replace("\n", "\n,,,,\n").encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_table_in_any_form_is_the_same_table(tmp_path, form):
    expected = facts(cohort_of(tmp_path, clean()))
    (tmp_path / "t.csv").write_bytes(FORMS[form](clean().to_csv(index=False)))
    pd.testing.assert_frame_equal(
        facts(assemble(manifest.read(tmp_path / "t.csv", DataConfig()), DataConfig())), expected
    )


@pytest.mark.parametrize("change", [lambda age: f"<{age}", lambda age: f"<{age} y"])
def test_ages_with_a_unit_throughout_are_no_categories(tmp_path, change):
    with pytest.raises(CohortError, match=r"column 'age': numbers with a unit or a sign.*row 2"):
        cohort_of(tmp_path, clean().assign(age=clean()["age"].map(change)))


@pytest.mark.parametrize(
    ("forms", "units"),
    [(["{} y"], ["y"]), (["0{}Y"], ["Y"]), (["{} y", "{} years", "{}Y.", "{}"], ["y", "years"]), (["{} %"], ["%"])],
)
def test_a_unit_is_taken_off_once_it_is_named(tmp_path, forms, units):
    frame = clean().assign(age=[forms[n // 2 % len(forms)].format(age) for n, age in enumerate(clean()["age"])])
    named = ", ".join(f'"age={unit}"' for unit in units)
    with pytest.raises(CohortError, match=re.escape(f"unit of all values, --set 'data.units=[{named}]' takes it off")):
        cohort_of(tmp_path, frame)
    found = cohort_of(tmp_path, frame, units=[f"age={unit}" for unit in units])
    pd.testing.assert_frame_equal(facts(found), facts(cohort_of(tmp_path, clean())))
    note = next(note for note in found.notes if "the unit" in note)
    assert (f"taken off {48 - 12 * ('{}' in forms)} values" in note) and ("12 values have none" in note) == (
        "{}" in forms
    )


def test_units_that_differ_are_never_joined(tmp_path):
    months = clean().assign(age=[f"{a} y" if n // 2 else f"{12 * int(a)} M" for n, a in enumerate(clean()["age"])])
    with pytest.raises(CohortError, match=r"The units of 'age' \(y, M\) differ|The units of 'age' \(M, y\) differ"):
        cohort_of(tmp_path, months)
    with pytest.raises(CohortError, match="cannot have the units y, M at once"):
        cohort_of(tmp_path, months, units=["age=y", "age=M"])
    with pytest.raises(CohortError, match=r"row 2: '.* M'"):
        cohort_of(tmp_path, months, units="age=y")
    for wrong in ("agee=y", "age"):
        with pytest.raises(CohortError, match=r"'agee'.*did you mean 'age'|write COLUMN=UNIT"):
            cohort_of(tmp_path, clean(), units=wrong)


def test_two_columns_with_units_share_one_option(tmp_path):
    frame = clean().assign(
        size=lambda f: [f"{7 * (n // 2) % 13 + 3} mm" for n in f.index], age=lambda f: f["age"] + " y"
    )
    with pytest.raises(CohortError, match=re.escape('\'data.units=["age=y", "size=mm"]\'')):
        cohort_of(tmp_path, frame, features="age,size")
    found = cohort_of(tmp_path, frame, features="age,size", units="age=y,size=mm")
    assert [f.kind for f in found.features] == ["numeric", "numeric"]


@pytest.mark.parametrize("words", [("ja", "nein"), ("oui", "non"), ("yes", "no"), ("positiv", "negativ")])
def test_labels_in_words_are_asked_about_and_then_read(tmp_path, words):
    frame = clean().assign(label=clean()["label"].map(dict(zip("10", words, strict=True))))
    with pytest.raises(CohortError, match=r"which labels are positive\? Say --positive"):
        cohort_of(tmp_path, frame)
    found = cohort_of(tmp_path, frame, positive=words[:1])
    pd.testing.assert_frame_equal(facts(found), facts(cohort_of(tmp_path, clean())))


def test_examinations_in_two_spellings(tmp_path):
    frame = clean().assign(case_id=["E1", "e1"] * N_PATIENTS)
    with pytest.raises(CohortError, match=r"24 keys occur in several spellings: examination 'P100/E1' \(row 2\)"):
        cohort_of(tmp_path, frame)
    assert cohort_of(tmp_path, frame, spellings="merge").images["case_id"].nunique() == N_PATIENTS


@pytest.mark.parametrize(
    "word", ["unknown", "UNK", "k.A.", "?", "??", "-", "--", "n/a", "missing", "nicht bekannt", "(unknown)", "."]
)
def test_a_word_for_not_known_is_never_a_category(tmp_path, word):
    frame = clean().assign(density=lambda f: f["density"].where(f.index > 7, word))
    try:
        found = cohort_of(tmp_path, frame)
    except CohortError as error:
        assert "column 'density' holds" in str(error) and "rows (row 2, row 3" in str(error)
        found = cohort_of(tmp_path, frame, missing_values=[f"density={word}"])
        kept = cohort_of(tmp_path, frame, real_values=[f"density={word}"])
        assert (kept.images["density"][:8] == word).all()
    assert found.images["density"].isna().sum() == 8
    assert set(found.images["density"].dropna()) == set("abcd")


@pytest.mark.parametrize("code", ["999", "-1", "0"])
def test_a_code_is_missing_in_its_column_alone_or_real(tmp_path, code):
    frame = clean().assign(age=lambda f: f["age"].where(f.index > 7, code), parity=lambda f: [code, "1", "2", "5"] * 12)
    with pytest.raises(
        CohortError, match=rf"column 'age' holds '{code}' in 8 rows \(row 2, row 3, row 4, row 5, row 6 and"
    ):
        cohort_of(tmp_path, frame, real_values=[f"parity={code}"])
    found = cohort_of(tmp_path, frame, missing_values=[f"age={code}"], real_values=[f"parity={code}"])
    assert found.images["age"].isna().sum() == 8 and not found.images["label"].isna().any()
    assert cohort_of(tmp_path, frame, real_values=[code]).images["age"].min() == min(float(code), 40)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("age", range(18, 100)),
        ("age", [*range(0, 18), *range(30, 60)]),
        ("age_months", range(480, 960)),
        ("parity", [0, 1, 2, 3, 9]),
        ("size_mm", [0, 12, 15, 30, 99]),
        ("t_score", [-3.5, -2.5, -1, 0, 1.5]),
        ("change", [-2, -1, 0, 1, 2]),
        ("ki67", range(1, 100)),
        ("outcome_sign", [-1, 1]),
        ("package", [0, 999.5, 1200, 3000]),
        ("density", [1, 2, 3, 4]),
    ],
)
def test_no_false_alarm_on_real_numbers(name, values):
    assert codes_to_settle(name, pd.Series(list(values), dtype="float64"), "numeric") == []


@pytest.mark.parametrize(("word", "negative"), [("9", "0"), ("2", "0"), ("unknown", "0"), ("?", "0"), ("-1", "0")])
def test_labels_that_mean_not_known_are_no_negatives(tmp_path, word, negative):
    frame = clean().assign(label=lambda f: f["label"].where(f.index > 7, word))
    with pytest.raises(CohortError, match=r"may mean 'not known' would count as negative.*--negative 0"):
        cohort_of(tmp_path, frame, positive=["1"])
    assert cohort_of(tmp_path, frame, positive=["1"], negative=[negative]).n_patients == N_PATIENTS - 4


def test_labels_with_accents_are_one_word_in_either_form(tmp_path):
    words = {"1": unicodedata.normalize("NFD", "malin \u00e9"), "0": "b\u00e9nin"}
    frame = clean().assign(label=lambda f: f["label"].map(words))
    found = cohort_of(tmp_path, frame, positive=["malin \u00e9"])
    pd.testing.assert_frame_equal(facts(found), facts(cohort_of(tmp_path, clean())))


ACCENTED = clean("M\u00fcP{:02d}").rename(columns={"density": "densit\u00e9"}).to_csv(index=False)


def read_as(folder, content, encoding=""):
    (folder / "t.csv").write_bytes(content)
    return manifest.read(folder / "t.csv", DataConfig(encoding=encoding))


@pytest.mark.parametrize(
    ("encoding", "says"),
    [
        ("utf-16-le", r"line 1 is not UTF-8 text.*UTF-16 without its mark: --set data.encoding=utf-16-le"),
        ("utf-16-be", r"line 1 is not UTF-8 text.*UTF-16 without its mark: --set data.encoding=utf-16-be"),
        (
            "cp1252",
            r"line 1 is not UTF-8 text \(byte 33: 0xE9\).*'densit\u00e9'.*--set data.encoding=cp1252.*CSV UTF-8",
        ),
        ("cp850", r"line 1 is not UTF-8 text .*Name its encoding \(--set data.encoding=NAME\).*others are .*CSV UTF-8"),
    ],
)
def test_an_encoding_is_asked_about_and_then_read_as_named(tmp_path, encoding, says):
    expected = read_as(tmp_path, ACCENTED.encode())
    with pytest.raises(CohortError, match=says):
        read_as(tmp_path, ACCENTED.encode(encoding))
    found = read_as(tmp_path, ACCENTED.encode(encoding), encoding)
    pd.testing.assert_frame_equal(found.images, expected.images)
    assert f"(read as {encoding}: 'densit\u00e9', 'M\u00fcP100', 'M\u00fcP101'" in found.extent


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "mac_roman"])
def test_a_named_encoding_is_never_wrong_without_a_word(tmp_path, encoding):
    with pytest.raises(CohortError, match="is UTF-8 text already, .* leave data.encoding out"):
        read_as(tmp_path, ACCENTED.encode(), encoding)
    expected = read_as(tmp_path, ACCENTED.encode())
    pd.testing.assert_frame_equal(read_as(tmp_path, ACCENTED.encode("utf-8-sig"), encoding).images, expected.images)
    assert "read as" not in read_as(tmp_path, clean().to_csv(index=False).encode(), encoding).extent


def test_wrong_names_of_encodings(tmp_path):
    dash = clean().assign(remark="seen \u2013 twice").to_csv(index=False)
    with pytest.raises(CohortError, match=r"line 2 holds the control character '\\x96'; latin-1 may be the wrong"):
        read_as(tmp_path, dash.encode("cp1252"), "latin-1")
    found, plain = (read_as(tmp_path, ACCENTED.encode(), name).images for name in ("UTF8", ""))
    pd.testing.assert_frame_equal(found, plain)
    with pytest.raises(CohortError, match="line 1 is not ascii text.*Name the encoding that it has"):
        read_as(tmp_path, ACCENTED.encode("cp1252"), "ascii")
    for name in ("cp9999", "rot13", 1.5):
        with pytest.raises(ValueError, match="encoding"):
            DataConfig(encoding=name)
    assert read_as(tmp_path, ACCENTED.encode("cp1252"), 1252).images["patient_id"][0] == "M\u00fcP100"


def test_hidden_rows_of_a_workbook_are_said(tmp_path):
    clean().to_excel(tmp_path / "t.xlsx", index=False)
    book = openpyxl.load_workbook(tmp_path / "t.xlsx")
    for row in (3, 4, 9):
        book.active.row_dimensions[row].hidden = True
    book.save(tmp_path / "t.xlsx")
    listing = manifest.read(tmp_path / "t.xlsx", DataConfig())
    assert len(listing.images) == 48 and "hidden there (by a filter?) were read too: 3" in listing.extent


def test_formulas_without_values_are_refused(tmp_path):
    clean().to_excel(tmp_path / "t.xlsx", index=False)
    book = openpyxl.load_workbook(tmp_path / "t.xlsx")
    book.active["D5"] = "=2020-1970"
    book.save(tmp_path / "t.xlsx")
    with pytest.raises(CohortError, match=r"formulas without their values in cells D5; open the file in Excel"):
        manifest.read(tmp_path / "t.xlsx", DataConfig())


def test_a_colour_profile_changes_no_pixel(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "plain.png")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(pixels).save(tmp_path / "profile.png", icc_profile=profile)
    found = read_images([tmp_path / "plain.png", tmp_path / "profile.png"], cache=tmp_path)
    assert (found["error"] == "").all() and found["pixel_digest"].nunique() == 1
