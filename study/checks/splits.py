"""Checks of the splits: who is on two sides, whether the folds are alike, who is tested how often."""

from itertools import combinations

import numpy as np
import pandas as pd

from mmbc.data.splits import PARTS, patient_table
from mmbc.data.tables.columns import Feature
from mmbc.errors import some
from study.design.folds import Folds
from study.records.finding import FAILED, NOT_CHECKED, PASSED, WARNING, Finding
from study.text.format import count

LARGE = 0.25
"""A standardised difference from which on groups are called unlike (Stuart 2010), if chance does not explain it."""
BEYOND = 3.0
"""Standard errors of a standardised difference that chance is taken to explain."""
BOUND = f"beyond ±{LARGE:g} and {BEYOND:g} standard errors"


def two_sides(folds: Folds, images: pd.DataFrame) -> Finding:
    """A25: patients, or copies of one patient's image under another key, in two parts of one split."""
    found, shared = [], set()
    for (repeat, fold), split in folds.splits.items():
        for one, other in combinations(PARTS, 2):
            both = set(split.parts()[one]) & set(split.parts()[other])
            shared |= both
            found += [
                {"repeat": repeat, "fold": fold, "parts": f"{one}, {other}", "patients": some(sorted(both), 5)}
            ] * bool(both)
        side = {patient: part for part, ids in split.parts().items() for patient in ids}
        if "pixel_digest" in images:
            parts = images.assign(part=images["patient_id"].map(side)).dropna(subset="part")
            n_parts = parts.groupby("pixel_digest")["part"].nunique()
            copied = parts[parts["pixel_digest"].isin(n_parts.index[n_parts > 1])]
            found += [
                {
                    "repeat": repeat,
                    "fold": fold,
                    "parts": "identical images",
                    "patients": some(sorted(copied["patient_id"].unique()), 5),
                }
            ] * bool(len(copied))
    n = len(folds.splits)
    if found:
        whose = f" ({count(len(shared), 'patient')}: {some(sorted(shared), 3)})" if shared else ""
        return Finding(
            "A25",
            FAILED,
            f"In {len({(row['repeat'], row['fold']) for row in found})} of {n} splits patients or identical images are"
            f" on two sides{whose}.",
            rows=tuple(found),
        )
    copies = ", and no pixel-identical copy of an image," if "pixel_digest" in images else ""
    return Finding("A25", PASSED, f"In {n} splits no patient{copies} is in two parts.")


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
    """Return, for each pair of parts, how many patients are in both, by split: one row a split, all zeros where it is right."""
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
    patients = images.groupby("patient_id")[[f.name for f in features]].first()
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


def balance(folds: Folds, images: pd.DataFrame, features: tuple[Feature, ...]) -> Finding:
    """A26: test parts that differ from the rest by more than chance."""
    table = balance_table(folds, images, features)
    if table.empty:
        return Finding("A26", NOT_CHECKED, "No test part has two patients of the cohort.")
    size = table["difference"].abs()
    unlike = table[size > np.maximum(LARGE, BEYOND * table["se"])]
    rows = tuple(table.loc[size.sort_values(ascending=False).index].to_dict("records"))
    worst = table.iloc[int(size.to_numpy().argmax())]
    text = (
        f"Largest standardised difference {worst['difference']:+.2f} ({worst['variable']}, repeat {worst['repeat']},"
        f" fold {worst['fold']})"
    )
    if unlike.empty:
        return Finding("A26", PASSED, f"{text}; none of {len(table)} is {BOUND}.", rows=rows)  # type: ignore[arg-type]
    names = some(f"{name} in fold {fold}" for name, fold in unlike[["variable", "fold"]].to_numpy())
    return Finding("A26", WARNING, f"{len(unlike)} of {len(table)} are {BOUND}: {names}. {text}.", rows=rows)  # type: ignore[arg-type]


def tested_once(folds: Folds, images: pd.DataFrame) -> Finding:
    """A27: rows that are never tested, or twice in a repeat; patients in no part of a split, or in a split alone."""
    known = set(images["patient_id"])
    strangers, nowhere = not_in_cohort(folds, images), in_no_part(folds, images)
    if strangers or nowhere:
        said = [(strangers, "of the splits not in the cohort"), (nowhere, "in no part of a split")]
        text = "; ".join(f"{count(len(ids), 'patient')} {what} ({some(ids, 3)})" for ids, what in said if ids)
        return Finding("A27", FAILED, f"{text}.")
    if folds.holdout:
        return Finding("A27", PASSED, "One held-out test part, as declared: nobody else is tested.")
    never: set[str] = set()
    twice: set[str] = set()
    for repeat in sorted({repeat for repeat, _ in folds.splits}):
        tested = pd.Series([p for (r, _), split in folds.splits.items() if r == repeat for p in split.test], dtype=str)
        twice |= set(tested[tested.duplicated()])
        never |= known - set(tested)
    if never or twice:
        return Finding(
            "A27",
            FAILED,
            f"{len(never)} patients are never tested ({some(sorted(never), 3) if never else 'none'}), {len(twice)} more"
            f" than once ({some(sorted(twice), 3) if twice else 'none'}).",
        )
    return Finding("A27", PASSED, f"Each of {len(known)} patients is tested exactly once in each repeat.")
