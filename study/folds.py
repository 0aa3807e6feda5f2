"""folds.json: every split of a study, by patient, written once and validated at every use."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmbc.config import digest
from mmbc.data.splits import PARTS, Split, check, cross_validation, holdout, patient_table
from mmbc.errors import SplitError, some
from study.record import read_json
from study.settings import Protocol

FEW_POSITIVE = 50
"""Fewer positive validation patients than this make early stopping noisy (PROTOCOL: splits)."""


def make(patients: pd.DataFrame, protocol: Protocol) -> dict[str, Any]:
    """Split the patients as the protocol says; repeat r is the same however many repeats are asked for."""
    folds = []
    for repeat in range(protocol.repeats):
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([protocol.split_seed, repeat])))
        if protocol.holdout is not None:
            splits = [holdout(patients, test=protocol.holdout, validation=protocol.validation, rng=rng)]
        else:
            splits = cross_validation(patients, n_folds=protocol.folds, validation=protocol.validation, rng=rng)
        for number, split in enumerate(splits):
            folds.append({"repeat": repeat, "fold": number, **{part: list(ids) for part, ids in split.parts().items()}})
    kind = "holdout" if protocol.holdout is not None else "cross-validation"
    n_folds = 1 if protocol.holdout is not None else protocol.folds
    return {"kind": kind, "n_folds": n_folds, "repeats": protocol.repeats, "folds": folds}


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
    for (repeat, fold), split in found.items():
        check(split, patients, where=f"repeat {repeat}, fold {fold}", tolerance=protocol.prevalence_tolerance)
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
            content = make(patient_table(images), protocol)
    elif own is not None:
        found = splits(own)
        n_folds = 1 + max(fold for _, fold in found)
        repeats = 1 + max(repeat for repeat, _ in found)
        content = own | {"n_folds": n_folds, "repeats": repeats, "own": True}
        content.setdefault("kind", "cross-validation" if n_folds > 1 else "holdout")
    else:
        content = make(patient_table(images), protocol)
    validate(content, images, protocol)
    return content


def split_digest(split: Split) -> str:
    """Return 16 hex digits over the patients of a split."""
    return digest({part: list(ids) for part, ids in split.parts().items()})


def table(content: dict[str, Any], images: pd.DataFrame) -> pd.DataFrame:
    """Return one row per (repeat, fold, part): patients, positive patients, images, prevalence."""
    labels = patient_table(images).set_index("patient_id")
    rows = []
    for (repeat, fold), split in splits(content).items():
        for part, ids in split.parts().items():
            chosen = labels.loc[list(ids)]
            rows.append(
                {
                    "repeat": repeat, "fold": fold, "part": part, "n_patients": len(chosen),
                    "n_positive": int(chosen["label"].sum()), "n_images": int(chosen["n_images"].sum()),
                    "prevalence": float(chosen["label"].mean()),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def warnings(content: dict[str, Any], images: pd.DataFrame) -> Sequence[str]:
    """Return sentences about parts that are too small for what they are used for."""
    counts = table(content, images)
    fewest = counts.loc[counts["part"] == "validation", "n_positive"].min()
    if fewest >= FEW_POSITIVE:
        return []
    return [
        f"The smallest validation part has {fewest} positive patients; below {FEW_POSITIVE} early stopping is noisy. "
        "Fixed epochs avoid it: --set train.keep=last --set train.max_epochs=N."
    ]
