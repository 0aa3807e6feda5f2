"""Every file is read and judged, kept facts and pixels are used again, and one image gives the bytes of its row."""

import os
import pickle
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmbc.config import DataConfig
from mmbc.data.images import decoding, preparation
from mmbc.data.images.facts import FACTS, read_images
from mmbc.data.images.outlines import OutlinePool
from mmbc.data.images.preparation import prepare
from mmbc.data.images.store import ImageStore, open_store
from mmbc.errors import ImageError

REAL = Path(__file__).resolve().parents[4].parent / "shared" / "data" / "Mini_DDSM_Upload"
SMALL = DataConfig(image_size=48)


def film(seed: int, height: int = 90, width: int = 60) -> np.ndarray:
    """A bright, noisy half-ellipse at the left on a dark ground, (height, width) of uint8."""
    rows, columns = np.mgrid[:height, :width]
    inside = np.hypot((rows - height / 2) / (0.42 * height), columns / (0.8 * width)) < 1
    noise = np.random.default_rng(seed).integers(0, 60, (height, width))
    return np.where(inside, 120 + noise, 4 + noise // 20).astype(np.uint8)


def outlined(seed: int) -> np.ndarray:
    """The same in RGB with a red and a cyan box burned in."""
    rgb = np.dstack([film(seed)] * 3)
    rgb[30:32, 10 : 20 + seed], rgb[44:46, 10:25] = (255, 0, 0), (255, 0, 0)
    rgb[50:56, 12:14] = (0, 255, 255)
    return rgb


def encoded(pixels: np.ndarray, kind: str, **options) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def cohort(tmp_path) -> list[Path]:
    """Outlined and plain PNGs, a JPEG, a 16-bit PNG and a 16-bit TIFF."""
    files = {f"plain{seed}.png": encoded(film(seed), "PNG") for seed in range(4)}
    files |= {f"outlined{seed}.png": encoded(outlined(seed), "PNG") for seed in range(4, 6)}
    files["large.jpg"] = encoded(film(7, 1300, 900), "JPEG")
    files["deep.png"] = encoded(film(8).astype(np.uint16) * 97, "PNG")
    files["deep.tif"] = encoded(film(9).astype(np.uint16) * 97, "TIFF")
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return [tmp_path / name for name in files]


def facts_of(paths, cache, data=SMALL) -> pd.DataFrame:
    return read_images(paths, cache=cache, workers=2)


def test_facts_are_one_row_per_path_in_order(cohort, tmp_path):
    seen = []
    facts = read_images([*cohort, cohort[0]], cache=tmp_path / "c", progress=lambda *done: seen.append(done))
    assert list(facts.columns) == list(FACTS) and (facts["error"] == "").all()
    assert facts["width"].tolist() == [60] * 6 + [900, 60, 60, 60]
    assert (facts["n_outline_pixels"] > 0).tolist() == [False] * 4 + [True] * 2 + [False] * 4
    assert facts.loc[0].equals(facts.loc[len(cohort)])
    assert facts["n_bytes"].tolist()[:-1] == [path.stat().st_size for path in cohort]
    assert seen[-1] == ("reading images", len(cohort), len(cohort))


def test_pixel_digest_sees_pixels_not_files_nor_image_size(tmp_path):
    grey = film(1)
    variants = {
        "a.png": grey,
        "b.png": np.dstack([grey] * 3),
        "c.png": np.dstack([grey, grey, grey, np.full_like(grey, 255)]),
    }
    for name, pixels in variants.items():
        (tmp_path / name).write_bytes(encoded(pixels, "PNG"))
    (tmp_path / "d.jpg").write_bytes(encoded(film(2, 1300, 900), "JPEG"))
    paths = [*(tmp_path / name for name in variants), tmp_path / "d.jpg"]
    small, large = (facts_of(paths, tmp_path / str(n), DataConfig(image_size=n)) for n in (48, 600))
    assert small["pixel_digest"].nunique() == 2 and small["content_digest"].nunique() == 4
    assert small.equals(large)


PNG, JPEG = encoded(film(1), "PNG"), encoded(film(1, 300, 200), "JPEG")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (PNG[: len(PNG) // 2], "truncated"),
        (PNG[:-6], "truncated"),
        (PNG[:-12], "truncated"),
        (JPEG[: len(JPEG) // 2], "truncated"),
        (JPEG[:-20], "truncated"),
        (b"not a picture", "not an image"),
        (b"", "empty file"),
        (None, "missing"),
        (PNG[:200] + bytes([PNG[200] ^ 255]) + PNG[201:], "damaged"),
        (encoded(np.ones((9, 9), np.float32), "TIFF"), "floating-point"),
    ],
    ids=[
        "half a PNG",
        "PNG's end",
        "PNG's last chunk",
        "half a JPEG",
        "JPEG's end",
        "text",
        "empty",
        "missing",
        "bit",
        "float",
    ],
)
def test_no_bad_file_is_accepted(tmp_path, content, reason):
    file, good = tmp_path / "bad.png", tmp_path / "good.png"
    good.write_bytes(PNG)
    if content is not None:
        file.write_bytes(content)
    facts = facts_of([good, file], tmp_path / "cache")
    assert facts["error"][0] == "" and facts["error"][1].startswith(reason)
    with pytest.raises(ImageError, match=r"bad\.png"):
        prepare(file, SMALL, OutlinePool())
    with pytest.raises(ImageError, match=r"bad\.png"):
        open_store([good, file], facts, SMALL, cache=tmp_path / "cache")


def test_a_folder_is_no_image(tmp_path):
    assert facts_of([tmp_path], tmp_path / "cache")["error"][0].startswith("cannot be opened")


def test_constant_images_are_readable_and_said_to_be_constant(tmp_path):
    (tmp_path / "flat.png").write_bytes(encoded(np.full((20, 20), 9, np.uint8), "PNG"))
    (tmp_path / "zero.png").write_bytes(encoded(np.zeros((20, 20), np.uint16), "PNG"))
    paths = [tmp_path / "flat.png", tmp_path / "zero.png"]
    facts = facts_of(paths, tmp_path / "cache")
    assert facts["constant"].all() and (facts["error"] == "").all()
    assert prepare(paths[0], DataConfig(image_size=32, crop="breast"), OutlinePool()).shape == (32, 32)
    assert not prepare(paths[1], SMALL, OutlinePool()).any()


def test_a_changed_file_is_read_again_and_others_are_not(cohort, tmp_path, monkeypatch):
    before = facts_of(cohort, tmp_path / "cache")
    cohort[1].write_bytes(encoded(film(99), "PNG"))
    os.utime(cohort[1], ns=(1, 1))
    opened = []
    monkeypatch.setattr(
        decoding, "read_bytes", lambda path, read=decoding.read_bytes: opened.append(path) or read(path)
    )
    after = facts_of(cohort, tmp_path / "cache")
    assert opened == [cohort[1]]
    assert (before["pixel_digest"] != after["pixel_digest"]).tolist() == [row == 1 for row in range(len(cohort))]


def test_failures_are_not_remembered(tmp_path):
    file = tmp_path / "late.png"
    assert facts_of([file], tmp_path / "cache")["error"][0] == "missing"
    file.write_bytes(PNG)
    assert facts_of([file], tmp_path / "cache")["error"][0] == ""


def test_damaged_facts_are_made_anew(cohort, tmp_path):
    cache = tmp_path / "cache"
    first = facts_of(cohort, cache)
    (kept,) = cache.glob("facts-*.parquet")
    for content in (b"", b"rubbish", kept.read_bytes()[:-30]):
        kept.write_bytes(content)
        assert facts_of(cohort, cache).equals(first)
    pd.DataFrame({"other": [1]}).to_parquet(kept)
    assert facts_of(cohort, cache).equals(first)


@pytest.mark.parametrize("outlines", ["sham", "inpaint", "keep"])
@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
@pytest.mark.parametrize("crop", ["none", "breast"])
def test_one_image_prepared_is_its_row(cohort, tmp_path, outlines, resize, crop):
    data = DataConfig(image_size=48, outlines=outlines, resize=resize, crop=crop)
    facts = facts_of(cohort, tmp_path / "cache")
    store = open_store(cohort, facts, data, cache=tmp_path / "cache", workers=2)
    assert store.pixels.shape == (len(cohort), 48, 48) and len(store.pool) == (2 if outlines == "sham" else 0)
    for row, path in enumerate(cohort):
        assert np.array_equal(prepare(path, data, store.pool), store.pixels[row]), path.name
    for array, row in (
        (film(0), 0),
        (np.dstack([film(0)] * 3), 0),
        (outlined(4), 4),
        (film(8).astype(np.uint16) * 97, 7),
    ):
        assert np.array_equal(prepare(array, data, store.pool), store.pixels[row])
    with Image.open(cohort[4]) as picture:
        assert np.array_equal(prepare(picture, data, store.pool), store.pixels[4])


def test_sham_treats_every_image_and_keeps_no_colour(tmp_path):
    paths = [tmp_path / f"{seed}.png" for seed in range(8)]
    for seed, path in enumerate(paths):
        path.write_bytes(encoded(outlined(seed) if seed < 3 else film(seed), "PNG"))
    data = {mode: DataConfig(image_size=90, outlines=mode) for mode in ("sham", "inpaint", "keep")}
    facts = facts_of(paths, tmp_path / "cache")
    pixels = {m: open_store(paths, facts, d, cache=tmp_path / "cache").pixels for m, d in data.items()}
    assert (pixels["sham"] != pixels["keep"]).any(axis=(1, 2)).all()
    assert (pixels["inpaint"] != pixels["keep"]).any(axis=(1, 2)).tolist() == [True] * 3 + [False] * 5
    assert (pixels["sham"] != pixels["inpaint"])[:3].any(), "outlined images have donors too"
    assert pixels["sham"][:3, 30:32, 26:34].min() > 100, "a box of grey 76 is left"


def test_a_second_call_opens_the_store_without_decoding(cohort, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    facts = facts_of(cohort, cache)
    first = open_store(cohort, facts, SMALL, cache=cache)
    copy = first.pixels.copy()
    monkeypatch.setattr(decoding, "decode", None)
    again = open_store(cohort, facts_of(cohort, cache), SMALL, cache=cache)
    assert again.digest == first.digest and np.array_equal(again.pixels, copy)
    assert not again.pixels.flags.writeable


def test_a_damaged_store_is_made_anew(cohort, tmp_path):
    cache = tmp_path / "cache"
    facts = facts_of(cohort, cache)
    first = open_store(cohort, facts, SMALL, cache=cache)
    copy = first.pixels.copy()
    (folder,) = (cache / "pixels").iterdir()
    for name in ("pixels.u8", "outlines.npz", "meta.json"):
        (folder / name).write_bytes(b"{}")
        again = open_store(cohort, facts, SMALL, cache=cache)
        assert again.digest == first.digest and np.array_equal(again.pixels, copy), name
    assert [path.name for path in (cache / "pixels").iterdir()] == [folder.name]


def test_pixels_that_the_disk_cannot_hold_are_refused(cohort, tmp_path):
    facts = facts_of(cohort, tmp_path / "a")
    with pytest.raises(ImageError, match=r"take [\d,.]+ GiB, the disk has [\d.]+ GiB left"):
        open_store(cohort, facts, DataConfig().model_copy(update={"image_size": 10**8}), cache=tmp_path / "b")
    assert not list((tmp_path / "b" / "pixels").iterdir())


def test_digest_follows_images_order_and_settings_not_names_nor_workers(cohort, tmp_path):
    facts = facts_of(cohort, tmp_path / "a")

    def stored(name, order=slice(None), workers=1, **settings):
        data = DataConfig(**{"image_size": 48, **settings})
        chosen = facts[order].reset_index(drop=True)
        return open_store(cohort[order], chosen, data, cache=tmp_path / name, workers=workers)

    one, two = stored("a"), stored("b", workers=2)
    assert one.digest == two.digest and np.array_equal(one.pixels, two.pixels)
    assert stored("c", positive="Benign").digest == one.digest
    others = [stored("d", order=slice(None, None, -1)), stored("d", image_size=32), stored("d", resize="stretch")]
    others += [stored("d", crop="breast"), stored("d", outlines="keep")]
    assert len({one.digest, *(other.digest for other in others)}) == 6


def test_a_file_that_changes_between_reading_and_storing_is_named(cohort, tmp_path):
    facts = facts_of(cohort, tmp_path / "cache")
    cohort[2].write_bytes(encoded(film(55), "PNG"))
    with pytest.raises(ImageError, match=r"plain2\.png.*changed"):
        open_store(cohort, facts, SMALL, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache" / "pixels").iterdir())


def test_letterbox_keeps_the_aspect_and_centres():
    white = np.full((80, 40), 255, np.uint8)
    boxed = prepare(white, DataConfig(image_size=40), OutlinePool())
    assert (boxed[:, 10:30] == 255).all() and not boxed[:, :10].any() and not boxed[:, 30:].any()
    assert (prepare(white, DataConfig(image_size=40, resize="stretch"), OutlinePool()) == 255).all()


def test_breast_crop_removes_the_empty_film():
    grey = np.zeros((100, 100), np.uint8)
    grey[30:70, 20:60] = 200
    assert prepare(grey, DataConfig(image_size=40, crop="breast"), OutlinePool()).mean() > 180
    assert not prepare(np.zeros_like(grey), DataConfig(image_size=40, crop="breast"), OutlinePool()).any()


@pytest.mark.parametrize(
    ("size", "resize", "crop"), [(224, "letterbox", "none"), (300, "stretch", "none"), (96, "letterbox", "breast")]
)
def test_scaled_jpegs_are_never_enlarged(size, resize, crop):
    data = DataConfig(image_size=size, resize=resize, crop=crop)
    content = encoded(film(1, 2304, 1460), "JPEG")
    decoded = decoding.decode(content, preparation._decode_side(data))
    assert size <= max(decoded.shape) < 2304
    assert resize == "letterbox" or min(decoded.shape) >= size


def test_16_bit_pixels_are_windowed_by_their_non_zero_quantiles():
    ramp = np.zeros((100, 100), np.uint16)
    ramp[50:] = np.linspace(1000, 3000, 5000).reshape(50, 100)
    windowed = decoding._windowed(ramp)
    assert not windowed[:50].any() and windowed[-1, -1] == 255 and windowed[50, 0] == 0
    assert windowed[75, 0] == pytest.approx(127.5, abs=1)


def test_orientation_is_respected_and_opaque_alpha_ignored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    grey = film(3)
    (tmp_path / "turned.png").write_bytes(encoded(np.rot90(grey).copy(), "PNG", exif=exif))
    (tmp_path / "alpha.png").write_bytes(encoded(np.dstack([grey, np.full_like(grey, 255)]), "PNG"))
    (tmp_path / "plain.png").write_bytes(encoded(grey, "PNG"))
    names = ("plain.png", "turned.png", "alpha.png")
    plain, turned, alpha = (prepare(tmp_path / name, SMALL, OutlinePool()) for name in names)
    assert np.array_equal(turned, plain) and np.array_equal(alpha, plain)


@pytest.mark.parametrize("wrong", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)])
def test_arrays_that_are_no_image_are_refused(wrong):
    with pytest.raises(ImageError, match="expected a grey or RGB image"):
        prepare(wrong, SMALL, OutlinePool())


def test_real_images_prepared_equal_their_rows(tmp_path):
    if not REAL.is_dir():
        pytest.skip("the Mini-DDSM v1 sample is not beside this checkout")
    paths = sorted(REAL.glob("*/*.png"))[::20]
    facts = read_images(paths, cache=tmp_path, workers=2)
    store = open_store(paths, facts, DataConfig(), cache=tmp_path, workers=2)
    assert len(store.pool) > 5 and (facts["error"] == "").all()
    for row in range(0, len(paths), 5):
        assert np.array_equal(prepare(paths[row], DataConfig(), store.pool), store.pixels[row])


def test_a_store_travels_to_another_process_as_a_path(tmp_path):
    pixels = np.arange(4 * 8 * 8, dtype=np.uint8).reshape(4, 8, 8)
    (tmp_path / "pixels.u8").write_bytes(pixels.tobytes())
    mapped = np.memmap(tmp_path / "pixels.u8", dtype=np.uint8, mode="r", shape=pixels.shape)
    for sent, is_mapped in ((mapped, True), (mapped[1:3], False), (pixels, False)):
        there = pickle.loads(pickle.dumps(ImageStore(sent, "digest", OutlinePool())))
        assert np.array_equal(there.pixels, sent)
        assert (there.digest, there.pool.digest) == ("digest", OutlinePool().digest)
        assert (getattr(there.pixels, "filename", None) is not None) == is_mapped
