"""A cohort for every leak: images that tell the patient, random labels, copies, outlines, a clinical column."""

from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest

from mmbc.data.readers import find_source
from study.leaks.rows import open_rows
from study.records.progress import Observer

N_PATIENTS, N_IMAGES = 20, 4
COPIED, OUTLINED = (2, 3, 11), (0, 1, 5)
"""Patients whose last image is a copy of their first, and whose images have an outline."""


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The table of the cohort: a patient's images are one pattern with a little noise, her label is drawn at random."""
    folder, rng = tmp_path_factory.mktemp("ledger-cohort"), np.random.default_rng(3)
    labels = rng.permutation(np.arange(N_PATIENTS) % 2)
    rows = []
    for patient in range(N_PATIENTS):
        pattern = cv2.resize(rng.uniform(30, 220, (4, 4)), (48, 48), interpolation=cv2.INTER_CUBIC)
        for number in range(N_IMAGES):
            grey = np.clip(pattern + rng.normal(0, 4, (48, 48)), 0, 255).astype(np.uint8)
            pixels = np.repeat(grey[:, :, None], 3, axis=2)
            if patient in OUTLINED:
                cv2.circle(pixels, (24, 24), 10, (0, 0, 255), 1)
            name = f"p{patient:02d}_{number}.png"
            if patient in COPIED and number == N_IMAGES - 1:
                pixels = cv2.imread(str(folder / f"p{patient:02d}_0.png"))
            cv2.imwrite(str(folder / name), pixels)
            age = 40 + 2 * patient if patient != 4 else None
            rows.append({"image": name, "patient_id": f"P{patient:02d}", "label": int(labels[patient]), "age": age})
    pd.DataFrame(rows).to_csv(folder / "made.csv", index=False)
    return folder / "made.csv"


@pytest.fixture(scope="session")
def request_for(tiny, made):
    """A function that asks for a ledger of this cohort."""

    def ask(name, *, arms="image,concat", sets=(), **options):
        request = tiny.request(name, arms=arms, sets=["data.image_size=32", "train.max_epochs=1", *sets], **options)
        return replace(request, source=find_source(str(made)))

    return ask


@pytest.fixture(scope="session")
def rows(request_for):
    request = request_for("rows")
    return open_rows(request, request.study, Observer())
