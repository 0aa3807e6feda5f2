"""The checks that look into the pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmbc.data.images.appearance import Appearance, read_appearance
from study.checks import duplicates, permutation, pixels
from study.checks.contact_sheet import contact_sheet
from study.checks.fast import remaining
from study.checks.subject import Subject
from study.records.finding import FAILED, WARNING, Finding
from study.records.progress import Observer

SHEET = "duplicates.png"
CHECKS = (
    pixels.grey_curves,
    pixels.markers,
    pixels.borders,
    pixels.grey_levels,
    pixels.noise,
    pixels.silhouettes,
    pixels.uncentred,
)


@dataclass(frozen=True)
class Looked:
    """What the pixels show.

    Attributes:
        findings: of every check that looks into pixels.
        pairs: near-duplicates, as `study.checks.duplicates.near_duplicates` returns them.
        clusters: their connected components: the images, and how many patient keys they have.
    """

    findings: list[Finding]
    pairs: pd.DataFrame
    clusters: list[dict[str, Any]]


def look(subject: Subject, cache: Path, observer: Observer) -> Looked:
    """Measure every image that is used once, and make the checks."""
    images, facts, positive = subject.images, subject.used_facts, subject.positive
    assert facts is not None
    seen = read_appearance(list(images["path"]), list(facts["pixel_digest"]), cache=cache, progress=observer.preparing)
    pairs = duplicates.near_duplicates(seen, images)
    findings = [
        pixels.of_pairs(pairs, images),
        _annotations(subject, seen),
        *(check(images, seen, positive) for check in CHECKS),
        permutation.permuted_labels(images, seen, positive, _folds(subject)),
        remaining(subject, cache, observer),
    ]
    return Looked(findings, pairs, _clusters(pairs, images))


def _annotations(subject: Subject, seen: Appearance) -> Finding:
    """A09; where all the colour is that of outlines which are taken out, A12 says what is left of them."""
    found = pixels.coloured_annotations(subject.images, seen, subject.positive)
    facts = subject.used_facts
    assert facts is not None
    known = bool(((seen.table["n_coloured"] > 0).to_numpy() <= (facts["n_outline_pixels"] > 0).to_numpy()).all())
    if found.status != FAILED or not known or subject.data.outlines == "keep":
        return found
    return replace(found, status=WARNING, handled=f"outlines are removed ({subject.data.outlines}); what remains: A12")


def _folds(subject: Subject) -> np.ndarray | None:
    """Return which fold of the first repeat tests each image, or None where not every image is tested."""
    if subject.folds is None:
        return None
    folds = subject.images["patient_id"].map(subject.folds.test_fold_of())
    return None if folds.isna().any() else folds.to_numpy(dtype=int)


def _clusters(pairs: pd.DataFrame, images: pd.DataFrame) -> list[dict[str, Any]]:
    found: Sequence[tuple[int, ...]] = duplicates.clusters(pairs) if len(pairs) else ()
    return [
        {
            "images": list(images["image_id"].iloc[list(rows)]),
            "patient_keys": int(images["patient_id"].iloc[list(rows)].nunique()),
        }
        for rows in found
    ]


def write_sheet(pairs: pd.DataFrame, subject: Subject, folder: Path) -> None:
    """Draw the contact sheet of near-duplicates."""
    contact_sheet(pairs, subject.images, folder / SHEET)
