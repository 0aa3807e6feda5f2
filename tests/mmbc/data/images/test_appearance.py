"""One pass over the images: kept by digest, blind to lesions and to colour, and it finds what was drawn on them."""

import cv2
import numpy as np
import pytest
from PIL import Image

from mmbc.data.images import marks
from mmbc.data.images.appearance import COLUMNS, GREYS, NOISES, RECORD, Appearance, measure, read_appearance
from mmbc.data.images.facts import read_images
from mmbc.errors import ImageError


def film(seed: int = 0, height: int = 240, width: int = 180, noise: float = 3.0) -> np.ndarray:
    """A breast at the left with strands of tissue, (height, width) of uint8."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    inside = np.clip(1 - np.hypot((rows - height / 2) / (0.42 * height), columns / (0.75 * width)), 0, None)
    strands = cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), 5) * 200
    tissue = np.clip(inside / 0.1, 0, 1) * (120 + np.clip(strands, -40, 60))
    return np.clip(tissue + 6 + rng.normal(0, noise, (height, width)), 0, 255).astype(np.uint8)


def in_colour(grey: np.ndarray) -> np.ndarray:
    """The same in RGB with a red ellipse."""
    return cv2.ellipse(np.dstack([grey] * 3), (60, 120), (20, 14), 20, 0, 360, (255, 0, 0), 2)


def in_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_UNCHANGED)


def table(pixels: np.ndarray) -> dict[str, float]:
    return dict(zip(COLUMNS, measure(pixels)["table"].tolist(), strict=True))


@pytest.fixture
def files(tmp_path):
    """Three images, the first of them twice."""
    paths = [tmp_path / f"{name}.png" for name in "abcd"]
    for path, seed in zip(paths, (1, 1, 2, 3), strict=True):
        Image.fromarray(film(seed)).save(path)
    return paths


def test_copies_and_second_runs_cost_nothing(files, tmp_path):
    digests = read_images(files, cache=tmp_path, workers=1)["pixel_digest"].tolist()
    done = []
    options = {"cache": tmp_path, "workers": 1, "progress": lambda what, n, total: done.append(total)}
    first = read_appearance(files[:3], digests[:3], **options)
    assert done == [2, 2]
    again = read_appearance(files, digests, **options)
    assert done == [2, 2, 1]
    assert again.table.iloc[:3].equals(first.table) and again.table.iloc[0].equals(again.table.iloc[1])
    assert again.border.shape == (4, 320) and again.border.dtype == np.float32
    assert again.silhouette.shape == (4, 24**2) and again.uncentred.shape == (4, 32**2)
    assert again.hashes.shape == again.mirrored.shape == (4, 32) and again.hashes.dtype == np.uint8


def test_damaged_cache_is_measured_anew(files, tmp_path):
    digests = read_images(files, cache=tmp_path, workers=1)["pixel_digest"].tolist()
    before = read_appearance(files, digests, cache=tmp_path, workers=1)
    (kept,) = (tmp_path / "appearance").iterdir()
    kept.write_bytes(kept.read_bytes()[:200])
    assert read_appearance(files, digests, cache=tmp_path, workers=1).table.equals(before.table)


def test_changed_file_is_named(files, tmp_path):
    digests = read_images(files, cache=tmp_path, workers=1)["pixel_digest"].tolist()
    Image.fromarray(film(9)).save(files[2])
    with pytest.raises(ImageError, match=r"c\.png: has changed"):
        read_appearance(files, digests, cache=tmp_path, workers=1)


def test_colour_is_counted_and_changes_nothing_else():
    plain, coloured = table(film()), table(in_colour(film()))
    assert plain["n_coloured"] == 0 and 100 < coloured["n_coloured"] < 500
    assert coloured["n_curves"] == coloured["n_markers"] == 0
    for column in (*GREYS, *NOISES):
        assert coloured[column] == pytest.approx(plain[column], abs=3), column


def test_chroma_noise_is_no_annotation_and_a_colour_image_is_recognised():
    grey = np.dstack([film()] * 3)
    assert table(in_jpeg(grey, 30))["n_coloured"] == 0
    assert table(in_jpeg(in_colour(film()), 60))["n_coloured"] > 50
    tinted = table((grey * np.array([1.0, 0.7, 0.4])).astype(np.uint8))
    assert tinted["n_coloured"] == 0 and tinted["colour_share"] >= marks.COLOURED_THROUGHOUT


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("thickness", [1, 2, 3])
def test_grey_curve_is_found(value, thickness):
    drawn = cv2.ellipse(film(), (60, 120), (22, 15), 30, 0, 360, value, thickness)
    assert table(film())["n_curves"] == 0
    assert table(drawn)["n_curves"] == 1
    assert thickness == 1 or table(in_jpeg(drawn, 80))["n_curves"] == 1


def test_disc_open_line_and_letters_are_no_curves():
    drawn = cv2.circle(film(), (60, 120), 12, 255, cv2.FILLED)
    cv2.ellipse(drawn, (60, 60), (20, 14), 0, 0, 300, 255, 2)
    cv2.putText(drawn, "DO", (130, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2)
    assert table(drawn)["n_curves"] == 0


def test_markers_beside_the_breast_are_counted_by_words():
    drawn = cv2.putText(film(), "MLO", (120, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 220, 2)
    cv2.rectangle(drawn, (150, 210), (170, 225), 200, cv2.FILLED)
    drawn[:, -2:] = 255  # the film's own edge
    assert table(film())["n_markers"] == 0
    assert 2 <= table(drawn)["n_markers"] <= 4


def test_lesion_is_not_seen_by_what_the_probes_see():
    lesion = film().astype(float)
    rows, columns = np.mgrid[:240, :180]
    lesion += 70 * np.exp(-(np.hypot(rows - 120, columns - 70) ** 2) / (2 * 7**2))
    healthy, ill = measure(film()), measure(np.clip(lesion, 0, 255).astype(np.uint8))
    for name in ("border", "silhouette", "uncentred"):
        assert np.array_equal(healthy[name], ill[name]), name
    before, after = (dict(zip(COLUMNS, record["table"], strict=True)) for record in (healthy, ill))
    for column in (*GREYS, *NOISES):
        assert after[column] == pytest.approx(before[column], abs=1.0), column


def test_side_does_not_matter():
    one, other = measure(film()), measure(np.ascontiguousarray(film()[:, ::-1]))
    for name in ("border", "silhouette", "uncentred"):
        assert np.abs(one[name].astype(int) - other[name].astype(int)).mean() < 1, name
    assert np.array_equal(one["mirrored"], other["hash"])


def test_noise_is_in_grey_levels():
    quiet, loud = table(film(noise=2.0)), table(film(noise=6.0))
    assert loud["noise_breast"] == pytest.approx(6.0, rel=0.15)
    assert loud["noise_background"] > quiet["noise_background"]


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((50, 40), np.uint8),
        np.full((1, 1), 7, np.uint8),
        film().astype(np.uint16) * 200,
        np.full((30, 30, 3), (200, 20, 20), np.uint8),
        film(height=1500, width=1100),
    ],
)
def test_odd_images_are_measured(pixels):
    found = Appearance.of(np.stack([measure(pixels)]))
    assert found.table["n_curves"].tolist() == [0]
    assert np.isfinite(found.table["colour_share"]).all() and np.isfinite(found.border).all()


def test_a_record_is_small():
    assert RECORD.itemsize < 8000
