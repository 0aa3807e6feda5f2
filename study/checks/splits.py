"""Checks of the splits: who is on two sides, whether the folds are alike, who is tested how often."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from mmbc.data.splits import PARTS, patient_table, patient_values
from mmbc.data.tables import identifiers
from mmbc.data.tables.columns import Feature
from mmbc.errors import MmbcError, some
from study.checks.check import Outcome, check, failed, not_checked, passed, warning
from study.checks.studies import few_positives
from study.checks.subject import Subject, given
from study.design.folds import Folds
from study.records.finding import FAILED
from study.text.format import count, signed

GROUP = "splits"
LARGE = 0.25
"""A standardised difference from which on groups are called unlike (Stuart 2010), if chance does not explain it."""
BEYOND = 3.0
"""Standard errors of a standardised difference that chance is taken to explain."""
VERY_LARGE = 0.5
"""A standardised difference from which on readers have to know, chance or not: the fold's value may be that of another
mixture of patients (0.5 is a medium effect by Cohen 1988)."""
BOUND = f"beyond ±{LARGE:g} and {BEYOND:g} standard errors"


@check(
    "A25",
    "patients on two sides",
    group=GROUP,
    question="Is a patient in two parts of one split, under one key or under two that differ in spelling alone? Is a"
    " copy of one of the patient's images in another part?",
    meaning="The model is then tested on patients it was trained on: the most frequent leak in this field.",
    remedy="Split by patient (the default here), with keys that name persons.",
    needs=("folds",),
)
def two_sides(subject: Subject) -> Outcome:
    """Patients, or copies of one patient's image under another key, in two parts of one split."""
    folds, images = given(subject.folds), subject.images
    rows: list[dict[str, Any]] = []
    shared: set[str] = set()
    everybody = {key for split in folds.splits.values() for ids in split.parts().values() for key in ids}
    distinct = subject.data.spellings == "distinct"
    keys = pd.Series(sorted(everybody), dtype="str")
    person = dict(zip(keys, keys if distinct else identifiers.persons(keys), strict=True))
    for (repeat, fold), split in folds.splits.items():
        members = {part: {person[key]: key for key in ids} for part, ids in split.parts().items()}
        for one, other in combinations(PARTS, 2):
            if divided := set(members[one]) & set(members[other]):
                both = {_named(members[one][who], members[other][who]) for who in divided}
                shared |= both
                parts = f"{one}, {other}"
                rows.append({"repeat": repeat, "fold": fold, "parts": parts, "patients": some(sorted(both), 5)})
        if "pixel_digest" in images and (patients := _with_divided_copies(images, split.parts())):
            rows.append({"repeat": repeat, "fold": fold, "parts": "identical images", "patients": some(patients, 5)})
    n = len(folds.splits)
    if rows:
        whose = f" ({count(len(shared), 'patient')}: {some(sorted(shared), 3)})" if shared else ""
        n_divided = len({(row["repeat"], row["fold"]) for row in rows})
        return failed(f"In {n_divided} of {n} splits patients or identical images are on two sides{whose}.", rows=rows)
    copies = ", and no pixel-identical copy of an image," if "pixel_digest" in images else ""
    return passed(f"In {n} splits no patient{copies} is in two parts.")


def _named(one: str, other: str) -> str:
    """Return a patient's key, or both spellings of it."""
    return one if one == other else " and ".join(map(identifiers.shown, sorted((one, other))))


def _with_divided_copies(images: pd.DataFrame, parts: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the patients with an image of which a pixel-identical copy lies in another part."""
    side = {patient: part for part, ids in parts.items() for patient in ids}
    placed = images.assign(part=images["patient_id"].map(side)).dropna(subset="part")
    n_parts = placed.groupby("pixel_digest")["part"].nunique()
    divided = placed["pixel_digest"].isin(n_parts.index[n_parts > 1])
    return sorted(placed.loc[divided, "patient_id"].unique())


def not_in_cohort(folds: Folds, images: pd.DataFrame) -> list[str]:
    """Return the patients of the splits that the cohort does not have."""
    known = set(images["patient_id"])
    named = {patient for split in folds.splits.values() for ids in split.parts().values() for patient in ids}
    return sorted(named - known)


def in_no_part(folds: Folds, images: pd.DataFrame) -> list[str]:
    """Return the patients of the cohort that are in no part of at least one split."""
    known = set(images["patient_id"])
    everybody = (set().union(*split.parts().values()) for split in folds.splits.values())
    return sorted(set().union(*(known - named for named in everybody)))


def overlap_matrix(folds: Folds) -> pd.DataFrame:
    """Return how many patients are in both of each pair of parts: one row a split, all zeros where it is right."""
    rows = []
    for (repeat, fold), split in folds.splits.items():
        parts = {part: set(ids) for part, ids in split.parts().items()}
        both = {f"{one} and {other}": len(parts[one] & parts[other]) for one, other in combinations(PARTS, 2)}
        rows.append({"repeat": repeat, "fold": fold, **both})
    return pd.DataFrame(rows)


def balance_table(folds: Folds, images: pd.DataFrame, features: tuple[Feature, ...]) -> pd.DataFrame:
    """Return standardised differences of each test part from the other patients: one row per (repeat, fold, variable).

    (mean in the test part - mean in the rest) over the root of the mean of both variances (Austin 2009,
    doi:10.1002/sim.3697); a category has one row for each of its values, as a share. `se` is its standard error,
    sqrt(1/n1 + 1/n2).
    """
    patients = patient_values(images, [f.name for f in features])
    variables = {"prevalence": patient_table(images).set_index("patient_id")["label"].astype(float)}
    for feature in features:
        variables |= _numbers(patients[feature.name], feature)
    rows = []
    for (repeat, fold), split in folds.splits.items():
        for name, values in variables.items():
            tested = values.index.isin(split.test)
            inside, rest = values[tested].dropna(), values[~tested].dropna()
            if len(inside) < 2 or len(rest) < 2:
                continue
            spread = np.sqrt((inside.var() + rest.var()) / 2)
            difference = (inside.mean() - rest.mean()) / spread if spread > 0 else 0.0
            rows.append(
                {
                    "repeat": repeat,
                    "fold": fold,
                    "variable": name,
                    "test": inside.mean(),
                    "rest": rest.mean(),
                    "difference": float(difference),
                    "se": float(np.sqrt(1 / len(inside) + 1 / len(rest))),
                }
            )
    return pd.DataFrame(rows, columns=["repeat", "fold", "variable", "test", "rest", "difference", "se"])


def _numbers(values: pd.Series, feature: Feature) -> dict[str, pd.Series]:
    """Return a column as numbers: itself, the position in its order, or a share for each category."""
    if feature.order:
        return {feature.name: values.astype(str).map({word: n for n, word in enumerate(feature.order)}).astype(float)}
    if feature.kind != "categorical":
        return {feature.name: pd.to_numeric(values, errors="coerce").astype(float)}
    known = values.dropna().astype(str)
    words = sorted(known.unique())
    return {f"{feature.name} = {word}": (known == word).astype(float) for word in words[: 1 if len(words) == 2 else 10]}


@check(
    "A26",
    "balance of the folds",
    group=GROUP,
    question="Do prevalence and clinical columns of a test part differ from the rest by more than chance would:"
    " standardised differences beyond ±0.25 and 3 standard errors? Is one as large as ±0.5, whatever the reason? A"
    " prevalence that `study.cv` refuses fails.",
    meaning="Fold values then differ for reasons that are not the model's.",
    remedy="Choose another `protocol.split_seed` before the first run, or more repeats.",
    needs=("folds",),
)
def balance(subject: Subject) -> Outcome:
    """Test parts that differ from the rest by more than chance, or so much that no study would be made of them."""
    outcome = _balance(given(subject.folds), subject.images, subject.features)
    if refusal := _refusal(subject):
        return failed(f"{outcome.evidence} A study refuses these splits: {refusal}.", rows=outcome.rows)
    return outcome


def _balance(folds: Folds, images: pd.DataFrame, features: tuple[Feature, ...]) -> Outcome:
    table = balance_table(folds, images, features)
    if table.empty:
        return not_checked("No test part has two patients of the cohort.")
    size = table["difference"].abs()
    unlike = table[size > np.maximum(LARGE, BEYOND * table["se"])]
    ranked = table.loc[size.sort_values(ascending=False).index].to_dict("records")
    rows = [{str(key): value for key, value in row.items()} for row in ranked]
    worst = table.iloc[int(size.to_numpy().argmax())]
    ordered = {f.name for f in features if f.order or f.kind == "ordinal"}
    as_number = " taken as a number, whose single categories may differ more" if worst["variable"] in ordered else ""
    text = (
        f"Largest standardised difference {signed(worst['difference'])} (repeat {worst['repeat'] + 1}, fold"
        f" {worst['fold'] + 1}: {worst['variable']}{as_number})"
    )
    limit = f"Differences below {np.maximum(LARGE, BEYOND * table['se']).max():.2f} were not told from chance"
    if not unlike.empty:
        names = some(f"{name} in fold {fold + 1}" for name, fold in unlike[["variable", "fold"]].to_numpy())
        return warning(f"{len(unlike)} of {len(table)} are {BOUND}: {names}. {text}. {limit}.", rows=rows)
    large = table[size > LARGE]
    if round(float(size.max()), 2) >= VERY_LARGE:  # as it is shown
        return warning(
            f"{text}: a large difference, though chance may explain it in parts this small ({len(large)} of"
            f" {len(table)} are beyond ±{LARGE:g}, none is beyond {BEYOND:g} standard errors). {limit}.",
            rows=rows,
        )
    beyond = f"{len(large)} of {len(table)} are beyond ±{LARGE:g}, which chance explains" if len(large) else ""
    none = beyond or f"none of {len(table)} is beyond ±{LARGE:g}"
    return passed(f"{text}; {none}. {limit}.", rows=rows)


def _refusal(subject: Subject) -> str:
    """Return why a study would refuse a cohort's splits; '' if it would not, or another check of splits says why."""
    if subject.listing is None:
        return ""
    try:
        given(subject.folds).check(subject.images, subject.protocol)
    except MmbcError as error:
        others = (two_sides, tested_once, few_positives)
        return "" if any(other(subject).status == FAILED for other in others) else str(error)
    return ""


@check(
    "A27",
    "rows tested once",
    group=GROUP,
    question="Is every patient tested exactly once in each repeat, and is every patient in a part of every split?",
    meaning="If some patients are never tested, or tested twice, the pooled numbers describe another cohort.",
    remedy="Correct the folds file.",
    needs=("folds",),
)
def tested_once(subject: Subject) -> Outcome:
    """Patients who are never tested or tested twice in a repeat, who are in no part of a split, or in a split alone."""
    folds, images = given(subject.folds), subject.images
    known = set(images["patient_id"])
    strangers, nowhere = not_in_cohort(folds, images), in_no_part(folds, images)
    if strangers or nowhere:
        faults = [(strangers, "in the splits but not in the cohort"), (nowhere, "in no part of a split")]
        text = "; ".join(f"{count(len(ids), 'patient')} {what} ({some(ids, 3)})" for ids, what in faults if ids)
        return failed(f"Found {text}.")
    if folds.holdout:
        return passed("One held-out test part, as declared: nobody else is tested.")
    never: set[str] = set()
    twice: set[str] = set()
    for repeat in sorted({repeat for repeat, _ in folds.splits}):
        tested = pd.Series([p for (r, _), split in folds.splits.items() if r == repeat for p in split.test], dtype=str)
        twice |= set(tested[tested.duplicated()])
        never |= known - set(tested)
    if never or twice:
        untested, repeated = (some(sorted(of), 3) if of else "none" for of in (never, twice))
        whose = count(len(never), "patient is", "patients are")
        return failed(f"{whose} never tested ({untested}), {len(twice)} more than once ({repeated}).")
    return passed(f"Each of {len(known)} patients is tested exactly once in each repeat.")
