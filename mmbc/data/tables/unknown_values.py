"""Values that may mean 'not known': codes among numbers, words among categories; and categories in two spellings.

A code that is scaled like a number is a feature made of missingness, and so is a category `unknown`. What is doubtful
stops a run and is asked about: `data.missing_values` says that it is missing, `data.real_values` that it is real.
"""

import json
import re
import shlex
from collections.abc import Iterator, Sequence

import pandas as pd

from mmbc.config import DataConfig, FeatureKind
from mmbc.data.tables.columns import Feature
from mmbc.data.tables.identifiers import normal_form
from mmbc.errors import CohortError, count, some

NINES = (9.0, 99.0, 999.0, 9999.0, 99999.0)
HIGH = (*NINES, 77.0, 88.0, 777.0, 888.0, 7777.0, 8888.0)
"""Values that often stand for 'not known', 'refused' or 'does not apply' if they are far above all others."""
SURE = 777.0
"""From here on one such value is enough; a smaller one may be real."""
OFTEN = 3
"""Number of patients with one of the smaller codes from which it is asked about."""
LOW = (-1.0, -7.0, -8.0, -9.0, -77.0, -88.0, -99.0, -777.0, -888.0, -999.0, -9999.0, -99999.0)
"""The same, where nothing else is negative."""
OLDEST, YOUNGEST = 120, 10
"""Years: an age above the first is none; 0 is none where all others are above the second."""
WORDS = frozenset(
    {
        "unknown", "unk", "unkn", "ukn", "missing", "undefined", "empty", "blank", "nd", "n.d.", "n.d", "nr",
        "n.r.", "k.a.", "k.a", "ka.", "not known", "not available", "not recorded", "not reported",
        "not stated", "not specified", "not documented", "no data", "no info", "no information", "no answer",
        "don't know", "unbekannt", "unbek", "nicht bekannt", "nicht verfügbar", "nicht dokumentiert",
        "keine angabe", "keine angaben", "fehlt", "fehlend", "leer", "inconnu", "inconnue", "non connu",
        "desconocido", "sconosciuto", "onbekend",
    }
)  # fmt: skip
"""Words, in lower case, that mean 'not known' in some language."""
AGE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
"""Words of a column's name: PatientAge, age_at_exam."""
DENSITY = re.compile(r"dens", re.IGNORECASE)
FROM_ONE = re.compile(r"dens|bi-?rads", re.IGNORECASE)
"""Names of scales that begin with one."""
SCALES = (("a", "b", "c", "d"), ("1", "2", "3", "4"), ("i", "ii", "iii", "iv"))
"""Breast density as it is written by different people."""


def is_age(name: str) -> bool:
    """Whether a column's name says that it holds ages."""
    return "age" in (word.lower() for word in AGE.findall(name))


def means_unknown(word: str) -> bool:
    """Whether a word of a category or label may mean 'not known'."""
    plain = " ".join(word.casefold().strip("()[]<>*_ ").split()).replace("_", " ")
    return plain in WORDS or not plain.strip("?.-_ ")


def codes_to_settle(
    name: str, values: pd.Series, kind: FeatureKind, order: Sequence[str] = (), patients: pd.Series | None = None
) -> list[float]:
    """Return the values of a numeric or ordinal column that a run does not take for numbers without being told.

    Args:
        name: of the column; ages and densities have rules of their own.
        values: of each row.
        kind: of the column.
        order: of an ordinal column of words, which has no codes.
        patients: of each row; None if every row is a patient.
    """
    if order or kind == "categorical":
        return []
    known = pd.to_numeric(values, errors="coerce").astype("float64").dropna()
    if patients is not None:
        known = known[~pd.DataFrame({"who": patients[known.index], "value": known}).duplicated()]
    counts = known.value_counts()
    if is_age(name):
        return _impossible_ages(known, counts)
    plain = [float(value) for value in counts.index if value not in HIGH and value not in LOW]
    if len(plain) < 2:
        return []
    most = {float(str(value)): int(n) for value, n in counts.items()}
    codes = [value for value in most if value in LOW and min(plain) >= 0]
    often = 1 if FROM_ONE.search(name) else OFTEN
    codes += [v for v, n in most.items() if v in HIGH and v > 2 * max(plain) and (v >= SURE or n >= often)]
    codes += [0.0] if DENSITY.search(name) and 0 in most and min(value for value in plain if value != 0) >= 1 else []
    return sorted(codes)


def _impossible_ages(known: pd.Series, counts: pd.Series) -> list[float]:
    """Return ages that nobody has, 0 among adults, and 99 where it is more frequent than all ages from 90 to 98."""
    surely = known[~known.isin([*HIGH, *LOW])]
    if surely.empty or (surely.quantile(0.1) > OLDEST and surely.nunique() > 1):
        return []  # months or days
    wrong = {float(age) for age in counts.index if age < 0 or age > OLDEST}
    if (known == 0).any() and (known[known > 0] >= YOUNGEST).all():
        wrong.add(0.0)
    if (n := int((known == 99).sum())) >= OFTEN and n > int(known.between(90, 98).sum()):
        wrong.add(99.0)
    return sorted(wrong)


def find_unknown_codes(name: str, values: pd.Series, kind: FeatureKind, order: Sequence[str] = ()) -> list[float]:
    """Return the extreme values of a numeric or ordinal column that may stand for 'not known'.

    Those that stop a run; and nines far above all other values, a single negative value, a zero far below all other
    values, and a zero on the scale of BI-RADS, which begins at one: these may be real.
    """
    if order or kind == "categorical":
        return []
    known = pd.to_numeric(values, errors="coerce").dropna()
    distinct = sorted(set(known))
    codes = set(codes_to_settle(name, values, kind))
    if len(distinct) >= 3:
        low, second, below, high = distinct[0], distinct[1], distinct[-2], distinct[-1]
        if low < 0 <= second or (low == 0 and second >= (1 if FROM_ONE.search(name) else 10)):
            codes.add(float(low))
        if high in NINES and high > 2 * below:
            codes.add(float(high))
    return sorted(codes)


def is_real(name: str, value: str, data: DataConfig) -> bool:
    """Whether the user says that a value of a column is real."""
    return value in data.real_values or f"{name}={value}" in data.real_values


def check(where: str, rows: pd.DataFrame, features: Sequence[Feature], data: DataConfig) -> None:
    """Refuse values that may mean 'not known', and categories in two spellings or on two scales, unless settled.

    Args:
        where: name of the cohort, for messages.
        rows: those that are used, with the features, `patient_id` and, where the list has it, `row`.
        features: the clinical columns.
        data: `real_values` and `missing_values` settle them; a list of values in order has them all named.

    Raises:
        CohortError: there are some; names the rows and both ways on.
    """
    doubtful = [(feature.name, value, which) for feature in features for value, which in _doubts(rows, feature, data)]
    problems = [
        f"column {name!r} holds {value!r} in {count(int(which.sum()), 'row')} ({_places(rows[which])})"
        for name, value, which in doubtful
    ]
    spelt = [text for feature in features for text in _spellings(rows, feature, data)]
    ways = []
    if doubtful:
        named = [f"{name}={value}" for name, value, _ in doubtful]
        ways = [
            f"Do they mean 'not known'? Then say {setting('missing_values', [*data.missing_values, *named])}; if they"
            f" are real: {setting('real_values', [*data.real_values, *named])}"
        ]
    if problems or spelt:
        raise CohortError(f"{where}: {'; '.join([*problems, *spelt])}. {'. '.join(ways)}".strip().removesuffix("."))


def setting(key: str, values: Sequence[str]) -> str:
    """Return values of a key of [data] as the option of a command."""
    return f"--set {shlex.quote(f'data.{key}={json.dumps(list(values), ensure_ascii=False)}')}"


def _places(rows: pd.DataFrame) -> str:
    return some((f"row {row}" for row in rows["row"]) if "row" in rows else rows["image_id"], 5)


def _doubts(rows: pd.DataFrame, feature: Feature, data: DataConfig) -> Iterator[tuple[str, pd.Series]]:
    """Yield the values of a column that may mean 'not known', as text, and which rows have them."""
    values = rows[feature.name]
    if feature.kind == "categorical":
        words = values.astype("str")
        found = {word: words == word for word in words.dropna().unique() if means_unknown(word)}
    else:
        numbers = pd.to_numeric(values, errors="coerce") if not feature.order else values
        codes = codes_to_settle(feature.name, values, feature.kind, feature.order, rows["patient_id"])
        found = {f"{code:g}": numbers == code for code in codes}
    yield from (
        (value, which.fillna(False)) for value, which in found.items() if not is_real(feature.name, value, data)
    )


def _spellings(rows: pd.DataFrame, feature: Feature, data: DataConfig) -> Iterator[str]:
    """Yield what is wrong with the categories of a column: two spellings of one, or two scales."""
    if feature.kind != "categorical":
        return
    words = [str(word) for word in sorted(rows[feature.name].dropna().astype("str").unique())]
    words = [word for word in words if not is_real(feature.name, word, data)]
    forms = pd.Series([normal_form(word) for word in words], index=words, dtype="str")
    for _, alike in forms.groupby(forms):
        if len(alike) > 1:
            named = setting("real_values", [*data.real_values, *(f"{feature.name}={word}" for word in alike.index)])
            yield (
                f"column {feature.name!r} has one category in several spellings: {some(map(ascii, alike.index))}; write"
                f" them alike, or, if they differ in meaning, say {named}"
            )
    used = [scale for scale in SCALES if set(scale) & set(forms)]
    if len(used) > 1 and set(forms) <= {word for scale in SCALES for word in scale}:
        yield (
            f"column {feature.name!r} mixes scales: {some(words, 12)}; write one throughout, or leave it out:"
            f" --set data.feature_kinds.{feature.name}=skip"
        )
