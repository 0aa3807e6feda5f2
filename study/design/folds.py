"""folds.json: every split of a study, by patient, written once and validated at every use."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmbc.config import digest
from mmbc.data.splits import PARTS, Split, check, cross_validation, holdout, inner_folds, patient_table, predefined
from mmbc.errors import LeakageError, SplitError, nearest, some
from mmbc.files import read_json
from study.design.study_file import Protocol

COUNTED = ("repeat", "fold", "name", "part", "n_patients", "n_positive", "n_images", "prevalence")
"""Columns of `table`."""

FEW_POSITIVE = 50
"""Fewer positive validation patients than this make early stopping noisy."""


def columns_used(protocol: Protocol) -> tuple[str, ...]:
    """Return the names of the columns that decide on the splits (words of `test_where` that are none do no harm)."""
    text = re.sub(r"'[^']*'|\"[^\"]*\"", " ", protocol.test_where)
    names = [quoted or word for quoted, word in re.findall(r"`([^`]+)`|([^\W\d]\w*)", text)]
    return tuple(dict.fromkeys([*([protocol.fold_column] if protocol.fold_column else []), *names]))


def make(images: pd.DataFrame, protocol: Protocol, *, n_inner: int | None = None) -> dict[str, Any]:
    """Split the patients as the protocol says; repeat r is the same however many repeats are asked for.

    With `n_inner` every training part, its validation patients among it, is divided into inner folds (see `nested`).

    Raises:
        SplitError: a column or condition that the cohort does not have, or that divides a patient.
    """
    patients = patient_table(images)
    folds = []
    for repeat in range(protocol.repeats):
        rng = _generator(protocol.split_seed, repeat)
        for number, (name, split) in enumerate(_named_splits(images, patients, protocol, rng)):
            parts = {part: list(ids) for part, ids in split.parts().items()}
            folds.append({"repeat": repeat, "fold": number, **({"name": name} if name else {}), **parts})
    single = protocol.holdout is not None or protocol.test_where
    content = {
        "kind": "holdout" if single else "cross-validation",
        "n_folds": len(folds) // protocol.repeats,
        "repeats": protocol.repeats,
        "folds": folds,
    }
    content |= {"predefined": True} if protocol.fold_column or protocol.test_where else {}
    return content if n_inner is None else nested(content, images, n_inner, protocol.split_seed)


def nested(content: dict[str, Any], images: pd.DataFrame, n_inner: int, seed: int) -> dict[str, Any]:
    """Return folds for a search inside each: no validation part, and the training part divided into inner folds.

    `whole` are inner folds of all patients.
    """
    patients = patient_table(images)

    def divided(ids: Sequence[str], *place: int) -> list[list[str]]:
        among = patients[patients["patient_id"].isin(ids)].reset_index(drop=True)
        return [list(part) for part in inner_folds(among, n_folds=n_inner, rng=_generator(seed, n_inner, *place))]

    folds = []
    for entry in content["folds"]:
        train = sorted([*entry["train"], *entry["validation"]])
        inner = divided(train, entry["repeat"], entry["fold"])
        folds.append({**entry, "train": train, "validation": [], "inner": inner})
    return {**content, "folds": folds, "nested": True, "whole": divided(list(patients["patient_id"]))}


def unnested(content: dict[str, Any], images: pd.DataFrame, protocol: Protocol) -> dict[str, Any]:
    """Return the folds of a search for a study of fixed settings: the same test parts, each with a validation part again."""
    patients = patient_table(images)
    folds = []
    for entry in content["folds"]:
        rng = _generator(protocol.split_seed, entry["repeat"], entry["fold"])
        split = predefined(patients, [set(entry["test"])], validation=protocol.validation, rng=rng)[0]
        kept = {key: value for key, value in entry.items() if key != "inner"}
        folds.append(kept | {part: list(ids) for part, ids in split.parts().items()})
    return {key: value for key, value in content.items() if key not in ("nested", "whole")} | {"folds": folds}


def _generator(*seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))


def inner_splits(parts: Sequence[Sequence[str]]) -> list[Split]:
    """Return one split for each inner fold: it is the validation part, the others are the training part; nothing is tested."""
    return [
        Split(tuple(sorted(p for other in parts if other is not part for p in other)), tuple(sorted(part)), ())
        for part in parts
    ]


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
                f"{where}: the {part} has {len(chosen)} patients, not both classes ({int(chosen['label'].sum())}"
                " positive); join small values in a column of your own"
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
        SplitError: an entry that lacks a key, a part that is no list, or a place that occurs twice.
    """
    found: dict[tuple[int, int], Split] = {}
    for entry in content.get("folds", []):
        lacking = [key for key in ("repeat", "fold", *PARTS) if key not in entry]
        if lacking:
            raise SplitError(f"an entry of the folds lacks {some(lacking)}; every one has repeat, fold, {some(PARTS)}")
        place = int(entry["repeat"]), int(entry["fold"])
        where = "repeat {}, fold {}".format(*place)
        for part in PARTS:
            if isinstance(entry[part], str) or not isinstance(entry[part], Iterable):
                raise SplitError(f"{where}: {part} is {entry[part]!r}; it has to be a list of patients")
        if place in found:
            raise SplitError(f"{where} occurs twice; number the folds of each repeat from 0")
        found[place] = Split(*(tuple(sorted(map(str, entry[part]))) for part in PARTS))
    if not found:
        raise SplitError("there are no folds")
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
    parts = ("train", "test") if content.get("nested") else PARTS
    names = {(entry["repeat"], entry["fold"]): f" ({entry['name']})" for entry in content["folds"] if entry.get("name")}
    for (repeat, fold), split in found.items():
        where = f"repeat {repeat}, fold {fold}{names.get((repeat, fold), '')}"
        check(split, patients, where=where, tolerance=tolerance, parts=parts)
    if content.get("kind") != "holdout":
        _check_tested_once(found, patients)
    if content.get("nested"):
        _check_inner(content, patients)
    return found


def _check_inner(content: dict[str, Any], patients: pd.DataFrame) -> None:
    """Check that inner folds are a partition of their training part, each with both classes."""
    labels = patients.set_index("patient_id")["label"]
    places = [(f"repeat {e['repeat']}, fold {e['fold']}", e.get("inner", []), e["train"]) for e in content["folds"]]
    for where, inner, train in [*places, ("the whole cohort", content["whole"], list(patients["patient_id"]))]:
        listed = [patient for part in inner for patient in part]
        wrong = set(listed) ^ set(train) or {patient for patient, n in Counter(listed).items() if n > 1}
        if wrong:
            raise LeakageError(f"{where}: inner folds do not divide the training part; wrong: {some(sorted(wrong))}")
        if any(labels.reindex(part).nunique() < 2 for part in inner):
            raise SplitError(f"{where}: an inner fold has one class alone; use fewer inner folds")


def _check_tested_once(found: dict[tuple[int, int], Split], patients: pd.DataFrame) -> None:
    for repeat in sorted({repeat for repeat, _ in found}):
        tested = pd.Series([p for (r, _), split in found.items() if r == repeat for p in split.test], dtype=str)
        twice = tested[tested.duplicated()].unique()
        if len(twice):
            raise SplitError(f"repeat {repeat}: patients tested more than once: {some(twice)}")
        never = sorted(set(patients["patient_id"]) - set(tested))
        if never:
            raise SplitError(f"repeat {repeat}: patients never tested: {some(never)}")


def read_own(path: Path) -> dict[str, Any]:
    """Read the user's own folds; what they hold is not checked against a cohort.

    Raises:
        SplitError: a file that is not there, no JSON, or lacks a key.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SplitError(
            f"--folds {path}: cannot be read ({error.strerror}); give a number, column:NAME or a file"
        ) from None
    except ValueError as error:
        raise SplitError(f"--folds {path}: is no JSON ({error}); any study's folds.json shows the format") from None
    if not isinstance(content, dict) or not isinstance(content.get("folds"), list):
        raise SplitError(f"--folds {path}: has no list 'folds'; any study's folds.json shows the format")
    try:
        splits(content)
    except SplitError as error:
        raise SplitError(f"--folds {path}: {error}") from None
    except (TypeError, ValueError) as error:
        raise SplitError(f"--folds {path}: {error}; any study's folds.json shows the format") from None
    return content


def for_study(
    stored: Path, given: Path | None, images: pd.DataFrame, protocol: Protocol, *, n_inner: int | None = None
) -> dict[str, Any]:
    """Return the folds of a study: the stored ones (with repeats added), the user's own, or new ones; validated.

    With `n_inner` they are nested, without it they are not, whatever the user's own are.

    Raises:
        SplitError: the user's own folds differ from those the study has already begun with.
    """
    own = read_own(given) if given is not None else None
    if own is not None and (n_inner is not None) != bool(own.get("nested")):
        validate(own, images, protocol)
        own = unnested(own, images, protocol) if n_inner is None else nested(own, images, n_inner, protocol.split_seed)
    if stored.exists():
        content = read_json(stored)
        if own is not None and splits(own) != splits(content):
            raise SplitError(f"{given}: differs from {stored}, with which this study began; use another --name")
        if content["repeats"] < protocol.repeats and not content.get("own"):
            content = make(images, protocol, n_inner=n_inner)
    elif own is not None:
        found = splits(own)
        n_folds = 1 + max(fold for _, fold in found)
        repeats = 1 + max(repeat for repeat, _ in found)
        content = own | {"n_folds": n_folds, "repeats": repeats, "own": True}
        content.setdefault("kind", "cross-validation" if n_folds > 1 else "holdout")
    else:
        content = make(images, protocol, n_inner=n_inner)
    validate(content, images, protocol)
    return content


def split_digest(split: Split) -> str:
    """Return 16 hex digits over the patients of a split."""
    return digest({part: list(ids) for part, ids in split.parts().items()})


def table(content: dict[str, Any], images: pd.DataFrame) -> pd.DataFrame:
    """Return one row per (repeat, fold, part): the fold's name if it has one, patients, positive ones, images, prevalence.

    A part without patients has none; ids that the cohort does not have do not count (`validate` refuses them).
    """
    labels = patient_table(images).set_index("patient_id")
    rows = []
    names = {(entry["repeat"], entry["fold"]): entry.get("name", "") for entry in content["folds"]}
    for (repeat, fold), split in splits(content).items():
        for part, ids in split.parts().items():
            chosen = labels[labels.index.isin(ids)]
            if chosen.empty:  # no validation part in a nested search
                continue
            rows.append(
                {
                    "repeat": repeat,
                    "fold": fold,
                    "name": names[repeat, fold],
                    "part": part,
                    "n_patients": len(chosen),
                    "n_positive": int(chosen["label"].sum()),
                    "n_images": int(chosen["n_images"].sum()),
                    "prevalence": float(chosen["label"].mean()),
                }
            )
    return pd.DataFrame(rows, columns=COUNTED)


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
        (
            f"The smallest validation part has {fewest} positive patients; below {FEW_POSITIVE} early stopping is"
            " noisy. Fixed epochs avoid it: --set train.keep=last --set train.max_epochs=N."
        ),
    ]
