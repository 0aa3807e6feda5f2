"""Keys of patients and examinations: one key in two spellings is found by comparing keys in one normal form.

A patient under two keys is on both sides of a split, and nothing else tells. Spellings are joined only when asked for.
"""

import re
import unicodedata
from collections.abc import Iterable

import pandas as pd

from mmbc.config import DataConfig
from mmbc.errors import CohortError, count, some

QUOTES = frozenset(
    "'\"`\u00b4\u0384\u02b9\u02ba\u02bb\u02bc\u02bd\u02c8\u055a\u05f3\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f"
    "\u2032\u2033\u2034\u2035\u2036\u2037\ua78b\ua78c\uff02\uff07"
)
UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {chr(code) for code in range(0xFE00, 0xFE10)}
"""Fillers and selectors that show nothing and are neither blanks nor controls to Unicode."""

DECIMALS = re.compile(r"^([^.,]*\d)[.,]0+$")
"""A key that went through a column of numbers: 123.0."""

LEADING_ZEROS = re.compile(r"(^|[-_/\\:#])([^\W\d_]*)0+(?=\d)")
"""Zeros before the first number of each part of a key: 007, P007, S01-P007; not those after a point, as in 1.05."""


ALIKE = str.maketrans("авекмнорстухіјѕαβεζηικνορτυχ", "abekmhopctyxijsabezhiknoptyx")
"""Cyrillic and Greek letters, in lower case, that look like Latin ones as capitals."""

THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+(?<!,000)")
"""A number as a spreadsheet may show it: 123,456."""

SIDED = re.compile(r"(.*\d)[-_./:( ]?(l|r|left|right|links|rechts|gauche|droite|lcc|rcc|lmlo|rmlo)\)?")
"""A key, in its normal form, that ends with a side: P01_L. Both sides are of one person."""


def normal_form(key: str) -> str:
    """Return a key as it is compared: without what differs between two spellings of it.

    Form and width of letters (NFKC), case, blanks, invisible characters, apostrophes and quotation marks, the shape of
    hyphens, a trailing `.0` and leading zeros do not count. Every letter, every digit and every hyphen does: `P-1` is
    not `P1`. `00` and `0` are one.
    """
    text = unicodedata.normalize("NFKC", _visible(unicodedata.normalize("NFKC", _visible(key)).casefold()))
    return LEADING_ZEROS.sub(r"\1\2", DECIMALS.sub(r"\1", text)) or key


def _visible(text: str) -> str:
    kinds = ((character, unicodedata.category(character)) for character in text)
    return "".join(
        "-" if kind == "Pd" or character == "\u2212" else character
        for character, kind in kinds
        if character not in QUOTES and character not in UNSEEN and kind[0] != "Z" and kind not in ("Cc", "Cf")
    )


def _person(key: str) -> str:
    """Return the form of a patient's key; letters that look alike are one, and thousands are not parted."""
    plain = key.replace(",", "") if THOUSANDS.fullmatch(key.strip()) else key
    return normal_form(plain).translate(ALIKE)


def persons(keys: pd.Series) -> pd.Series:
    """Return the forms in which keys of patients are compared; those of both sides of one patient are alike."""
    forms = keys.map(_person)
    parts = forms.str.extract(rf"^{SIDED.pattern}$").set_axis(["who", "side"], axis=1)
    sides = parts["side"].str.removesuffix("cc").str.removesuffix("mlo").str[0].replace({"g": "l", "d": "r"})
    both = sides.groupby(parts["who"]).transform("nunique") > 1
    return forms.mask(both, parts["who"])


def respelled(keys: Iterable[str], own: Iterable[str]) -> dict[str, str]:
    """Return key -> the own key that differs from it in spelling alone; a key without one stays."""
    mine = list(own)
    everything = pd.Series(list(dict.fromkeys([*mine, *keys])), dtype="str")
    forms = dict(zip(everything, persons(everything), strict=True))
    by_form = {forms[key]: key for key in mine}
    return {key: by_form.get(form, key) for key, form in forms.items()}


def joined(keys: pd.Series, *, patients: bool = True) -> pd.Series:
    """Return keys with the first of its spellings in place of each; NA stays."""
    known = keys.dropna().drop_duplicates()
    forms = persons(known) if patients else known.map(normal_form)
    first = known.groupby(forms, sort=False).transform("first")
    return keys.map(dict(zip(known, first, strict=True)), na_action="ignore").astype(keys.dtype)


def spellings(rows: pd.DataFrame, key: str) -> list[str]:
    """Return the values of one column that differ in spelling alone, as `twins` does."""
    first = rows.dropna(subset=key).drop_duplicates(key)
    values = first[key].astype(str)
    forms = persons(values) if key == "patient_id" else values.map(normal_form)
    names = first[key].astype(str).map(shown) + (" (row " + first["row"].astype(str) + ")" if "row" in first else "")
    return [" and ".join(group) for _, group in names[forms.duplicated(keep=False)].groupby(forms, sort=False)]


def twins(rows: pd.DataFrame) -> list[str]:
    """Return the keys that occur in several spellings, each as `'P01' (row 2) and 'p01' (row 3)`.

    Patients are compared, and the examinations of a patient.

    Args:
        rows: with `patient_id`, `case_id` and, where the list has it, `row`.
    """
    patients = spellings(rows, "patient_id")
    # an examination of a patient in two spellings differs anyway
    return patients or [f"examination {pair}" for pair in spellings(rows, "case_id")]


def shown(key: str) -> str:
    """Return a key in quotes, with codes in place of characters that look like others or like nothing."""
    return repr(key) if key == unicodedata.normalize("NFKC", key) else ascii(key)


def check(where: str, rows: pd.DataFrame, data: DataConfig) -> None:
    """Refuse keys that differ in spelling alone, unless it is settled what they are.

    Raises:
        CohortError: there are some; names the first rows of each.
    """
    found = twins(rows) if data.spellings == "stop" else []
    if found:
        n = count(len(found), "key occurs", "keys occur")
        raise CohortError(
            f"{where}: {n} in several spellings: {some(found, 5)}. A patient under two keys would be both trained on"
            " and tested. If each is one person, --merge-ids joins them under the first spelling; if they are different"
            " people, --distinct-ids keeps them apart; or correct the table"
        )


ROUNDED = re.compile(r"[+-]?\d+(?:[.,]\d+[eE][+-]?|[eE]\+)\d+")
"""A key as a spreadsheet shows a long number: 1.23457E+11."""


def check_written(where: object, keys: dict[str, pd.Series]) -> None:
    """Refuse keys that a spreadsheet has rounded: several patients may have become one.

    Args:
        where: the table, for messages.
        keys: of patients or examinations, by the name of their column; the index is the row in the file.

    Raises:
        CohortError: there are some; names the column and rows.
    """
    for column, values in keys.items():
        rounded = values[values.str.fullmatch(ROUNDED).fillna(False).astype(bool)]
        if len(rounded):
            places = some((f"row {row}: {value!r}" for row, value in rounded.items()), 5)
            raise CohortError(
                f"{where}: column {column!r} has keys in scientific notation: {places}. A spreadsheet has rounded long"
                " numbers, and different patients may have one key now. Format the column as text or as a whole number"
                " (in Excel: Number, no decimals) and export the table again"
            )


def merge_notes(before: pd.Series, after: pd.Series) -> list[str]:
    """Return a note on the patients whose spellings were joined; none where there is none."""
    changed = pd.DataFrame({"before": before, "after": after})[before != after].drop_duplicates()
    if changed.empty:
        return []
    pairs = some((f"{shown(old)} is {shown(new)}" for old, new in changed.to_numpy().tolist()), 5)
    what = count(len(changed), "patient key was", "patient keys were")
    return [f"{what} joined to another spelling (--merge-ids): {pairs}."]
