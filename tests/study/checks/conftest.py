"""A small cohort without files, clean in every respect, for faults to be planted in."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mmbc.data.listing import Listing
from mmbc.data.tables.columns import Feature
from study.checks.subject import Subject, subject_of_listing, subject_of_study
from study.design import partition
from study.design.study_file import load
from study.records.finding import Finding

N_PATIENTS = 240
VIEWS = (("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"))


def clean_listing() -> Listing:
    rng = np.random.default_rng(1)
    rows = []
    for number in range(N_PATIENTS):
        status = ("Cancer", "Benign", "Normal")[number % 3]
        patient = f"P{number:03d}"
        age, density = float(rng.integers(35, 85)), float(rng.integers(1, 5))
        for breast, view in VIEWS:
            rows.append(
                {
                    "image_id": f"{patient}_{breast}_{view}.png",
                    "patient_id": patient,
                    "case_id": f"{patient}/1",
                    "breast": breast,
                    "view": view,
                    "status": status,
                    "site": "AB"[number % 2],
                    "age": age,
                    "density": density,
                    "path": Path(f"{patient}_{breast}_{view}.png"),
                }
            )
    features = (Feature("age", "numeric"), Feature("density", "ordinal"))
    return Listing("clean", pd.DataFrame(rows), features, positive=("Cancer",))


def facts_of(images: pd.DataFrame) -> pd.DataFrame:
    n = len(images)
    rng = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "n_bytes": rng.integers(9000, 11000, n),
            "width": 80,
            "height": 120,
            "mode": "L",
            "content_digest": [f"c{i}" for i in range(n)],
            "pixel_digest": [f"p{i}" for i in range(n)],
            "n_outline_pixels": 0,
            "constant": False,
            "error": "",
        },
        index=images.index,
    )


def subject_of(listing: Listing, facts: pd.DataFrame | None = None, **changes: object) -> Subject:
    """A subject with the default folds of its rows; other fields as given."""
    facts = facts_of(listing.images) if facts is None else facts
    subject = replace(subject_of_listing(listing, load(), facts, cache=Path("unused")), **changes)
    return (
        subject
        if subject.folds is not None
        else replace(subject, folds=partition.make(subject.images, subject.protocol))
    )


def seen(
    images: pd.DataFrame, appearance: object = None, facts: pd.DataFrame | None = None, **measured: object
) -> Subject:
    """Rows with what was measured in their images, and nothing else."""
    facts = pd.DataFrame({"n_outline_pixels": [0] * len(images)}) if facts is None else facts
    return Subject(images, pixels=SimpleNamespace(appearance=appearance, facts=facts, **measured))


def shown(check, study) -> Finding:
    """What a check says of a study by itself."""
    return check(subject_of_study(study))


@pytest.fixture
def listing() -> Listing:
    return clean_listing()


@pytest.fixture
def subject(listing: Listing) -> Subject:
    return subject_of(listing)
