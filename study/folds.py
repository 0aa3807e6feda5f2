"""folds.json: every split of a study, by patient, written once and validated at every use."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmbc.config import digest
from mmbc.data.splits import PARTS, Split, check, cross_validation, holdout, patient_table, predefined
from mmbc.errors import LeakageError, SplitError, nearest, some
from study.record import read_json
from study.settings import Protocol

FEW_POSITIVE = 50
"""Fewer positive validation patients than this make early stopping noisy (PROTOCOL: splits)."""


def columns_used(protocol: Protocol) -> tuple[str, ...]:
    """Return the names of the columns that decide on the splits (words of `test_where` that are none do no harm)."""
    text = re.sub(r"'[^']*'|\"[^\"]*\"", " ", protocol.test_where)
    names = [quoted or word for quoted, word in re.findall(r"`([^`]+)`|([^\W\d]\w*)", text)]
    return tuple(dict.fromkeys([*([protocol.fold_column] if protocol.fold_column else []), *names]))


def make(images: pd.DataFrame, protocol: Protocol) -> dict[str, Any]:
    """Split the patients as the protocol says; repeat r is the same however many repeats are asked for.

    Raises:
        SplitError: a column or condition that the cohort does not have, or that divides a patient.
    """
    patients = patient_table(images)
    folds = []
    for repeat in range(protocol.repeats):
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([protocol.split_seed, repeat])))
        for number, (name, split) in enumerate(_named_splits(images, patients, protocol, rng)):
            parts = {part: list(ids) for part, ids in split.parts().items()}
            folds.append({"repeat": repeat, "fold": number, **({"name": name} if name else {}), **parts})
    single = protocol.holdout is not None or protocol.test_where
    content = {
        "kind": "holdout" if single else "cross-validation",
        "n_folds": len(folds) // protocol.repeats, "repeats": protocol.repeats, "folds": folds,
    }  # fmt: skip
    return content | ({"predefined": True} if protocol.fold_column or protocol.test_where else {})


def _named_splits(
    images: pd.DataFrame, patients: pd.DataFrame, protocol: Protocol, rng: np.random.Generator
) -> list[tuple[str, Split]]:
    share = protocol.validation
    if protocol.fold_column:
        groups = _by_column(images, protocol.fold_column)
        for name, ids in groups.items():
            _both_classes(patients, ids, f"--folds {protocol.fold_column}, {name}")
        found = predefined(patients, list(groups.values()), validation=share, rng=rng)
        return list(zip(groups, found, strict=True))
    if protocol.test_where:
        tested = _where(images, protocol.test_where)
        _both_classes(patients, tested, f"--test-where {protocol.test_where!r}")
        return [(protocol.test_where, predefined(patients, [tested], validation=share, rng=rng)[0])]
    if protocol.holdout is not None:
        return [("", holdout(patients, test=protocol.holdout, validation=share, rng=rng))]
    return [("", split) for split in cross_validation(patients, n_folds=protocol.folds, validation=share, rng=rng)]


def _by_column(images: pd.DataFrame, column: str) -> dict[str, set[str]]:
    """Return the patients of each value of a column, in the order of the values."""
    if column not in images.columns or column in ("label", "path"):
        raise SplitError(f"--folds {column}: the cohort has no column {column!r}; {nearest(column, _usable(images))}")
    values = images[column]
    if values.isna().any():
        empty = images.loc[values.isna(), "patient_id"].unique()
        raise SplitError(f"--folds {column}: no value for {len(empty)} patients: {some(empty)}; give them one")
    _undivided(images["patient_id"], values, f"--folds {column}", "values")
    groups = images.groupby(column, sort=True)["patient_id"].agg(set)
    if len(groups) < 2:
        raise SplitError(f"--folds {column}: only one value ({groups.index[0]}); at least two folds are needed")
    if len(groups) > len(images["patient_id"].unique()) / 2:
        raise SplitError(f"--folds {column}: {len(groups)} different values are too many for folds")
    return {_plain(value): ids for value, ids in groups.items()}


def _where(images: pd.DataFrame, condition: str) -> set[str]:
    """Return the patients that meet a condition."""
    table = images.drop(columns=["label", "path", "pixel_digest"], errors="ignore")
    try:
        found = table.eval(condition, engine="python")
    except Exception as error:  # whatever the user wrote is evaluated
        raise SplitError(
            f"--test-where {condition!r}: cannot be evaluated ({error}); write it like \"site == 'B'\" with "
            f"{some(_usable(images), 20)}, or any other column of your table in its exact spelling"
        ) from None
    if not isinstance(found, pd.Series) or found.dtype != bool:
        raise SplitError(f"--test-where {condition!r}: is not true or false for every row")
    for name in columns_used(Protocol(test_where=condition)):
        if name in table.columns and table[name].isna().any():
            empty = table.loc[table[name].isna(), "patient_id"].unique()
            raise SplitError(
                f"--test-where {condition!r}: {name!r} is not known for {len(empty)} patients: {some(empty)}"
            )
    _undivided(images["patient_id"], found, f"--test-where {condition!r}", "sides")
    n_met = int(found.sum())
    if n_met in (0, len(found)):
        raise SplitError(f"--test-where {condition!r}: {'no' if n_met == 0 else 'every'} row meets it")
    return set(images.loc[found, "patient_id"])


def _both_classes(patients: pd.DataFrame, tested: set[str], where: str) -> None:
    """Check that the test part and the rest have positive and negative patients."""
    inside = patients["patient_id"].isin(tested)
    for part, chosen in (("test part", patients[inside]), ("rest", patients[~inside])):
        if chosen["label"].nunique() < 2:
            raise SplitError(
                f"{where}: the {part} has {len(chosen)} patients, not both classes ({int(chosen['label'].sum())} positive); "
                "join small values in a column of your own"
            )


def _undivided(patients: pd.Series, values: pd.Series, where: str, what: str) -> None:
    """Check that no patient has two values."""
    several = values.groupby(patients).nunique()
    divided = several.index[several > 1]
    if len(divided):
        raise LeakageError(f"{where}: {len(divided)} patients are on two {what}: {some(divided)}")


def _usable(images: pd.DataFrame) -> list[str]:
    return [name for name in images.columns if name not in ("label", "path", "pixel_digest", "image_id", "patient_id")]


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def splits(content: dict[str, Any]) -> dict[tuple[int, int], Split]:
    """Return (repeat, fold) -> split.

    Raises:
        SplitError: an entry that lacks a key.
    """
    found = {}
    for entry in content.get("folds", []):
        lacking = [key for key in ("repeat", "fold", *PARTS) if key not in entry]
        if lacking:
            raise SplitError(f"folds.json: an entry lacks {some(lacking)}; every one has repeat, fold, {some(PARTS)}")
        parts = (tuple(sorted(map(str, entry[part]))) for part in PARTS)
        found[int(entry["repeat"]), int(entry["fold"])] = Split(*parts)
    if not found:
        raise SplitError("folds.json: has no folds")
    return found


def validate(content: dict[str, Any], images: pd.DataFrame, protocol: Protocol) -> dict[tuple[int, int], Split]:
    """Check every split against the cohort and return them.

    Raises:
        LeakageError: a patient on two sides of a split.
        SplitError: a fold that is missing or wrong, or a patient not tested exactly once in a repeat.
    """
    patients = patient_table(images)
    found = splits(content)
    tolerance = None if content.get("predefined") else protocol.prevalence_tolerance
    names = {(entry["repeat"], entry["fold"]): f" ({entry['name']})" for entry in content["folds"] if entry.get("name")}
    for (repeat, fold), split in found.items():
        where = f"repeat {repeat}, fold {fold}{names.get((repeat, fold), '')}"
        check(split, patients, where=where, tolerance=tolerance)
    if content.get("kind") != "holdout":
        _check_tested_once(found, patients)
    return found


def _check_tested_once(found: dict[tuple[int, int], Split], patients: pd.DataFrame) -> None:
    for repeat in sorted({repeat for repeat, _ in found}):
        tested = pd.Series([p for (r, _), split in found.items() if r == repeat for p in split.test], dtype=str)
        twice = tested[tested.duplicated()].unique()
        if len(twice):
            raise SplitError(f"repeat {repeat}: patients tested more than once: {some(twice)}")
        never = sorted(set(patients["patient_id"]) - set(tested))
        if never:
            raise SplitError(f"repeat {repeat}: patients never tested: {some(never)}")


def for_study(stored: Path, given: Path | None, images: pd.DataFrame, protocol: Protocol) -> dict[str, Any]:
    """Return the folds of a study: the stored ones (with repeats added), the user's own, or new ones; validated.

    Raises:
        SplitError: the user's own folds differ from those the study has already begun with.
    """
    own = read_json(given) if given is not None else None
    if stored.exists():
        content = read_json(stored)
        if own is not None and splits(own) != splits(content):
            raise SplitError(f"{given}: differs from {stored}, with which this study began; use another --name")
        if content["repeats"] < protocol.repeats and not content.get("own"):
            content = make(images, protocol)
    elif own is not None:
        found = splits(own)
        n_folds = 1 + max(fold for _, fold in found)
        repeats = 1 + max(repeat for repeat, _ in found)
        content = own | {"n_folds": n_folds, "repeats": repeats, "own": True}
        content.setdefault("kind", "cross-validation" if n_folds > 1 else "holdout")
    else:
        content = make(images, protocol)
    validate(content, images, protocol)
    return content


def split_digest(split: Split) -> str:
    """Return 16 hex digits over the patients of a split."""
    return digest({part: list(ids) for part, ids in split.parts().items()})


def table(content: dict[str, Any], images: pd.DataFrame) -> pd.DataFrame:
    """Return one row per (repeat, fold, part): the fold's name if it has one, patients, positive ones, images, prevalence.

    A part without patients has none.
    """
    labels = patient_table(images).set_index("patient_id")
    rows = []
    names = {(entry["repeat"], entry["fold"]): entry.get("name", "") for entry in content["folds"]}
    for (repeat, fold), split in splits(content).items():
        for part, ids in split.parts().items():
            if not ids:  # no validation part in a nested search
                continue
            chosen = labels.loc[list(ids)]
            rows.append(
                {
                    "repeat": repeat, "fold": fold, "name": names[repeat, fold], "part": part, "n_patients": len(chosen),
                    "n_positive": int(chosen["label"].sum()), "n_images": int(chosen["n_images"].sum()),
                    "prevalence": float(chosen["label"].mean()),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def warnings(content: dict[str, Any], images: pd.DataFrame) -> Sequence[str]:
    """Return sentences about parts that are too small for what they are used for."""
    counts = table(content, images)
    notes = []
    if content.get("predefined"):
        tests = counts[counts["part"] == "test"]
        shares = [f"{name} {100 * share:.0f} %" for name, share in zip(tests["name"], tests["prevalence"], strict=True)]
        notes.append(f"Predefined test parts are not balanced by the program; positive patients: {', '.join(shares)}.")
    if content.get("nested"):
        return notes
    fewest = counts.loc[counts["part"] == "validation", "n_positive"].min()
    if fewest >= FEW_POSITIVE:
        return notes
    return [
        *notes,
        f"The smallest validation part has {fewest} positive patients; below {FEW_POSITIVE} early stopping is noisy. "
        "Fixed epochs avoid it: --set train.keep=last --set train.max_epochs=N.",
    ]
