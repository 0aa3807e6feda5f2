from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmbc.config import DataConfig
from mmbc.data.cohort import assemble
from mmbc.data.listing import Listing, sample_patients
from mmbc.data.tables.columns import Feature
from mmbc.errors import CohortError, ImageError


def listing(n_patients=6, **changes):
    rows = [
        {
            "image_id": f"P{p}-{view}",
            "patient_id": f"P{p}",
            "case_id": f"P{p}/1",
            "breast": "L",
            "view": view,
            "status": ("Cancer", "Benign", "Normal")[p % 3],
            "site": "A",
            "age": 50.0 + p,
            "path": Path(f"P{p}-{view}.png"),
        }
        for p in range(n_patients)
        for view in ("CC", "MLO")
    ]
    frame = pd.DataFrame(rows)
    for column, values in changes.items():
        frame[column] = values(frame) if callable(values) else values
    return Listing(name="made", images=frame, features=(Feature("age", "numeric"),))


def facts(n, **changes):
    frame = pd.DataFrame({"pixel_digest": [f"d{i}" for i in range(n)], "error": ""})
    for column, values in changes.items():
        for row, value in values.items():
            frame.loc[row, column] = value
    return frame


def counts(cohort):
    return cohort.flow.groupby("step")["n_images"].sum().to_dict()


def test_labels_and_flow():
    cohort = assemble(listing(), DataConfig(positive="Cancer"), facts=facts(12))
    assert cohort.images.groupby("status")["label"].first().to_dict() == {"Benign": 0, "Cancer": 1, "Normal": 0}
    assert counts(cohort) == {
        "listed": 12,
        "other class": 0,
        "missing": 0,
        "unreadable": 0,
        "undecided": 0,
        "duplicate": 0,
        "used": 12,
    }


def test_every_listed_row_is_accounted_for():
    found = facts(12, error={0: "missing", 3: "truncated"}, pixel_digest={5: "d4"})
    cohort = assemble(listing(), DataConfig(positive="Cancer"), facts=found, allow_missing=True, max_unreadable=1)
    assert counts(cohort) == {
        "listed": 12,
        "other class": 0,
        "missing": 1,
        "unreadable": 1,
        "undecided": 0,
        "duplicate": 1,
        "used": 9,
    }
    assert cohort.excluded["reason"].tolist() == ["missing", "truncated", "pixel-identical to P2-CC"]
    assert cohort.images.index.tolist() == list(range(9))


def test_missing_and_unreadable_files_are_counted_and_named():
    with pytest.raises(
        ImageError, match=r"2 of 12 listed images are missing: P0-CC.png, P1-MLO.png.*--allow-missing-images"
    ):
        assemble(listing(), DataConfig(positive="Cancer"), facts=facts(12, error={0: "missing", 3: "missing"}))
    with pytest.raises(ImageError, match=r"P1-MLO.png \(truncated\).*--max-unreadable 1"):
        assemble(listing(), DataConfig(positive="Cancer"), facts=facts(12, error={3: "truncated"}))


def test_identical_images_under_two_patients_make_one_group():
    cohort = assemble(listing(), DataConfig(positive="Cancer"), facts=facts(12, pixel_digest={10: "d2"}))
    assert "P5" not in set(cohort.images["patient_id"])  # P5 joins P1... and its copy is dropped
    (note,) = (note for note in cohort.notes if "pixel-identical" in note)
    assert note.startswith("1 patient shares a pixel-identical image with another patient") and "P5 with P" in note
    assert counts(cohort)["duplicate"] == 1


def test_identical_images_with_two_labels_are_refused():
    with pytest.raises(CohortError, match=r"different labels: P0-CC \(Cancer\) and P1-CC \(Benign\)"):
        assemble(listing(), DataConfig(positive="Cancer"), facts=facts(12, pixel_digest={2: "d0"}))


def test_bad_rows_are_named():
    with pytest.raises(CohortError, match="listed more than once: P0-CC"):
        assemble(listing(image_id=lambda f: f["image_id"].replace("P0-MLO", "P0-CC")), DataConfig(positive="Cancer"))
    with pytest.raises(CohortError, match="'patient_id' is empty in P0-CC, P0-MLO"):
        assemble(listing(patient_id=lambda f: f["patient_id"].replace("P0", " ")), DataConfig(positive="Cancer"))
    with pytest.raises(CohortError, match="label 'cancer'.*found: 'Benign' .4 rows., 'Cancer'"):
        assemble(listing(), DataConfig(positive="cancer"))
    with pytest.raises(CohortError, match="two classes"):
        assemble(listing(status="Cancer"), DataConfig(positive="Cancer"))


def test_digest_follows_rows_and_pixels_not_places():
    one = assemble(listing(), DataConfig(positive="Cancer"), facts=facts(12))
    moved = assemble(listing(path=Path("elsewhere.png")), DataConfig(positive="Cancer"), facts=facts(12))
    other = assemble(listing(), DataConfig(positive="Cancer"), facts=facts(12, pixel_digest={0: "x"}))
    unopened = assemble(listing(), DataConfig(positive="Cancer"))
    assert one.digest == moved.digest
    assert len({one.digest, other.digest, unopened.digest}) == 3
    assert not unopened.images_checked


def test_limited_keeps_every_status_and_says_so():
    small = sample_patients(listing(60), 9)
    assert small.images.groupby("status")["patient_id"].nunique().to_dict() == {"Benign": 3, "Cancer": 3, "Normal": 3}
    assert "sample of 9 of the 60" in small.notes[-1]
    assert np.array_equal(small.images["image_id"], sample_patients(listing(60), 9).images["image_id"])
