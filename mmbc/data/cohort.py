"""The cohort: one validated row per image, and the account of every row that is not in it.

A reader makes a `Listing` (what the files say); `assemble` turns it into a `Cohort` (what a study may use).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pandas as pd

from mmbc.errors import CohortError, some

KEYS = ("image_id", "patient_id", "case_id", "breast", "view", "status", "site")
"""The identifying columns of every listing and cohort, before `label`, the clinical features and `path`."""

FLOW_STEPS = ("listed", "missing", "unreadable", "duplicate", "used")


@dataclass(frozen=True)
class Feature:
    """One clinical column and how it is encoded."""

    name: str
    kind: Literal["numeric", "ordinal", "categorical"]


@dataclass(frozen=True)
class Listing:
    """What a reader found at a path.

    Attributes:
        name: cohort name, used for the default name of a study.
        images: one row per listed image with the columns of `KEYS`, the features and `path` (a pathlib.Path).
        features: the clinical columns.
        notice: a warning that every table and figure made of this cohort carries; empty for real data.
        notes: facts about the files that a reader of the report should know, one sentence each.
    """

    name: str
    images: pd.DataFrame
    features: tuple[Feature, ...]
    notice: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cohort:
    """The rows a study may use.

    Attributes:
        name: cohort name.
        images: one row per image with the columns of `KEYS`, `label` (0 or 1), the features, and `path`; index 0..n-1.
        features: the clinical columns.
        flow: one row per (step, status) with `n_images` and `n_patients`; steps as in `FLOW_STEPS`.
        excluded: one row per listed image that is not used: `image_id`, `patient_id`, `status`, `step`, `reason`.
        images_checked: whether the files were opened; False for a study that uses no image.
        notice: a warning every table and figure carries; empty for real data.
        notes: facts a reader of the report should know, one sentence each.
    """

    name: str
    images: pd.DataFrame
    features: tuple[Feature, ...]
    flow: pd.DataFrame
    excluded: pd.DataFrame
    images_checked: bool
    notice: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def n_patients(self) -> int:
        """Number of patients (groups that are never split)."""
        return int(self.images["patient_id"].nunique())

    @property
    def digest(self) -> str:
        """16 hex digits over rows, labels, features and image contents; where files lie does not matter."""
        rows = self.images.drop(columns="path")
        text = rows.to_csv(index=False) + repr([(f.name, f.kind) for f in self.features])
        state = hashlib.sha256(f"images_checked={self.images_checked}\n{text}".encode())
        return state.hexdigest()[:16]
