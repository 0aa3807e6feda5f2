"""The same exposure is found however it was saved, and two exposures never; pairs hang together and are shown."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmbc.config import PhantomConfig
from mmbc.data.images.appearance import Appearance, measure
from mmbc.data.synthetic import phantom
from study.checks.contact_sheet import contact_sheet
from study.checks.duplicates import clusters, near_duplicates


@pytest.fixture(scope="module")
def cohort():
    """Rows and pixels of 12 patients with four images each."""
    config = PhantomConfig(n_patients=12, height=224, seed=3)
    patients = phantom.draw_patients(config)
    rows, pixels = [], []
    for number, patient in patients.iterrows():
        for view in range(4):
            rows.append({"image_id": f"{patient['patient_id']}.{view}", "patient_id": patient["patient_id"]})
            pixels.append(phantom.render(config, patient, number, view))
    return pd.DataFrame(rows), pixels


@pytest.fixture(scope="module")
def records(cohort):
    return np.stack([measure(pixels) for pixels in cohort[1]])


def in_jpeg(pixels: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_GRAYSCALE)


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


CHANGES = {
    "saved as JPEG": in_jpeg,
    "brightened": lambda grey: np.clip(grey * 1.15 + 12, 0, 255).astype(np.uint8),
    "resized": lambda grey: cv2.resize(grey, (112, 150), interpolation=cv2.INTER_AREA),
    "cropped": lambda grey: np.ascontiguousarray(grey[3:-2, 2:-2]),
    "mirrored": lambda grey: np.ascontiguousarray(grey[:, ::-1]),
    "outlined": lambda grey: cv2.ellipse(np.dstack([grey] * 3), (84, 112), (20, 14), 0, 0, 360, (255, 0, 0), 2),
    "outlined in white": lambda grey: cv2.ellipse(grey.copy(), (84, 112), (20, 14), 0, 0, 360, 255, 2),
}


def with_copies(cohort, records, change) -> tuple[Appearance, pd.DataFrame]:
    """Changed copies of images 5 and 22, the second of them as a patient of its own."""
    images, pixels = cohort
    copies = np.stack([measure(CHANGES[change](pixels[row])) for row in (5, 22)])
    rows = images.iloc[[5, 22]].assign(image_id=["a copy", "another"], patient_id=[images["patient_id"][5], "P9999"])
    return Appearance.of(np.concatenate([records, copies])), pd.concat([images, rows], ignore_index=True)


def test_two_exposures_are_no_duplicates(cohort, records):
    pairs = near_duplicates(Appearance.of(records), cohort[0], workers=1)
    assert pairs.empty and clusters(pairs) == []
    assert list(pairs.columns) == ["i", "j", "distance", "correlation", "same_patient", "mirrored"]


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copy_is_found(cohort, records, change):
    pairs = near_duplicates(*with_copies(cohort, records, change), workers=1)
    assert pairs[["i", "j"]].to_numpy().tolist() == [[22, 49], [5, 48]]
    assert pairs["same_patient"].tolist() == [False, True]
    assert pairs["mirrored"].tolist() == [change == "mirrored"] * 2
    assert (pairs["correlation"] >= 0.75).all() and pairs["distance"].between(0, 60).all()


def test_pairs_hang_together():
    pairs = pd.DataFrame({"i": [1, 4, 2, 8], "j": [2, 9, 7, 30]})
    assert clusters(pairs) == [(1, 2, 7), (4, 9), (8, 30)]


@pytest.fixture
def pairs():
    """30 pairs of rows 2n and 2n + 1."""
    n = np.arange(30)
    return pd.DataFrame(
        {"i": 2 * n, "j": 2 * n + 1, "distance": n, "correlation": 0.9, "same_patient": n > 1, "mirrored": n == 3}
    )


def test_contact_sheet_is_drawn_for_many_long_ids_and_for_none(tmp_path, cohort, pairs):
    rows = []
    for row, pixels in enumerate((cohort[1] * 2)[:60]):
        path = tmp_path / f"{row}.png"
        Image.fromarray(pixels).save(path)
        rows.append({"image_id": f"Benign/{row}_B_{'long' * 20}.png", "patient_id": f"P{row // 4}", "path": path})
    images = pd.DataFrame(rows)
    contact_sheet(pairs, images, tmp_path / "sheets" / "many.png")
    contact_sheet(pairs.head(1), images, tmp_path / "one.png")
    contact_sheet(pairs.head(0), images, tmp_path / "none.png")
    many, one, none = (size(tmp_path / name) for name in ("sheets/many.png", "one.png", "none.png"))
    assert many[0] > one[0] > 600
    assert many[1] > 7 * (one[1] - 80) > 0 and none[1] < 100
