"""Outlines are found exactly, leave nothing that was drawn, and after the sham treatment do not tell who had one."""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mmbc.data.images.outlines import (
    COLOURS,
    N_CLASSES,
    Outline,
    OutlinePool,
    fill_core,
    find,
    inpaint,
    is_chest_wall_right,
    region,
    tissue,
    treat,
)
from mmbc.errors import ImageError

REAL = Path(__file__).resolve().parents[4].parent / "shared" / "data" / "Mini_DDSM_Upload"


def breast(height: int = 120, width: int = 80, *, right: bool = False) -> np.ndarray:
    """A bright half-ellipse on a dark ground, chest wall on the left unless `right`."""
    rows, columns = np.mgrid[:height, :width]
    grey = np.where(np.hypot((rows - height / 2) / (0.42 * height), columns / (0.8 * width)) < 1, 150, 5)
    grey = (grey + (rows * 7 + columns * 13) % 11).astype(np.uint8)
    return np.ascontiguousarray(grey[:, ::-1]) if right else grey


def ring(shape: tuple[int, int], centre: tuple[int, int], radius: int) -> np.ndarray:
    """The coloured pixels of a circle: two lines with a core of two pixels between them; centre is (row, column)."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    distance = np.hypot(rows - centre[0], columns - centre[1])
    covered = (distance >= radius - 2) & (distance < radius + 2)
    return covered & ~((distance >= radius - 1) & (distance < radius + 1))


def burned(grey: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The grey of an image into which an outline was drawn: coloured lines, black core."""
    return np.where(mask, 76, np.where(fill_core(mask), 0, grey)).astype(np.uint8)


def pool_of(*radii: int) -> OutlinePool:
    return OutlinePool.build(Outline.of(breast(), ring((120, 80), (60, 25), radius)) for radius in radii)


@pytest.mark.parametrize("colour", COLOURS)
def test_finds_each_colour_exactly_and_nothing_else(colour):
    rgb = np.dstack([breast()] * 3)
    rgb[0, 0], rgb[0, 1] = (254, 0, 0), (255, 255, 0)
    mask = ring((120, 80), (60, 30), 9)
    rgb[mask] = colour
    assert np.array_equal(find(rgb), mask)


def test_keep_changes_nothing():
    grey, mask = breast(), ring((120, 80), (60, 30), 9)
    assert np.array_equal(treat(grey, mask, "keep", pool_of(5, 8), "key"), grey)


def test_inpainting_leaves_nothing_that_was_drawn_even_at_the_border():
    grey = np.full((90, 70), 180, np.uint8)
    mask = ring((90, 70), (40, 0), 20) | ring((90, 70), (0, 69), 12)
    mask[60:85, 67] = True  # of an outline along the border one coloured line is inside the frame, and the core
    dark = burned(grey, mask)
    dark[62:83, 68:] = 0
    treated = treat(dark, mask, "inpaint", OutlinePool(), "")
    assert np.abs(treated.astype(int) - grey).max() <= 3


def test_what_is_filled_in_does_not_depend_on_what_was_drawn():
    grey, mask = breast(), ring((120, 80), (60, 30), 12)
    other = np.where(fill_core(mask), 255 - grey, grey)
    assert np.array_equal(inpaint(grey, fill_core(mask)), inpaint(other, fill_core(mask)))


def test_inpaint_touches_only_images_with_outlines_and_only_what_they_cover():
    grey, mask = breast(), ring((120, 80), (60, 30), 9)
    assert np.array_equal(treat(grey, np.zeros_like(mask), "inpaint", pool_of(5), "key"), grey)
    changed = treat(burned(grey, mask), mask, "inpaint", OutlinePool(), "key") != burned(grey, mask)
    assert (changed & mask).any() and not (changed & ~fill_core(mask)).any()


def test_a_filled_place_is_as_rough_as_an_untouched_one():
    noise = np.random.default_rng(0).normal(0, 1, (2, 120, 80))  # coarse structure and fine grain
    grey = (130 + 100 * cv2.GaussianBlur(noise[0], (0, 0), 4) + 5 * noise[1]).astype(np.uint8)
    covered = fill_core(ring((120, 80), (60, 40), 20))

    def roughness(pixels: np.ndarray) -> float:
        return float(np.abs(cv2.Laplacian(pixels.astype(np.float32), -1))[covered].mean())

    smooth = cv2.inpaint(grey, covered.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    assert roughness(smooth) < 0.6 * roughness(grey)
    assert 0.85 * roughness(grey) < roughness(inpaint(grey, covered)) < 1.15 * roughness(grey)


def test_every_image_loses_one_outline_of_each_size_class():
    pool = pool_of(*range(4, 16))
    sizes = [[outline.size for outline in members] for members in pool.classes]
    assert [len(members) for members in sizes] == [12 // N_CLASSES] * N_CLASSES
    assert [size for members in sizes for size in members] == [outline.size for outline in pool.outlines]
    assert all(max(small) <= min(large) for small, large in pairwise(sizes))
    for outline in pool.outlines:
        others = [number for number in range(N_CLASSES) if number != pool.class_of(outline.size)]
        assert [pool.class_of(donor.size) for donor in pool.donors("key", outline.size)] == others
        assert outline.size in sizes[pool.class_of(outline.size)]
    assert [pool.class_of(donor.size) for donor in pool.donors("key")] == list(range(N_CLASSES))


def test_sham_of_an_outlined_image_takes_out_its_own_and_donors_whatever_was_drawn():
    pool, grey, mask = pool_of(5, 8, 12), breast(160, 100), ring((160, 100), (80, 30), 12)
    taken = region(burned(grey, mask), mask, "sham", pool, "key")
    assert taken[fill_core(mask)].all() and taken.sum() > fill_core(mask).sum()
    again = np.where(fill_core(mask), 255, grey).astype(np.uint8)
    assert np.array_equal(region(again, mask, "sham", pool, "key"), taken)


def test_an_outline_of_ones_own_needs_no_donor_of_its_class():
    grey, mask = breast(), ring((120, 80), (60, 30), 9)
    assert np.array_equal(treat(grey, mask, "sham", pool_of(9), "key"), inpaint(grey, fill_core(mask)))


@pytest.mark.parametrize("right", [False, True])
def test_sham_lays_a_donors_outline_on_tissue_unscaled(right):
    pool = pool_of(8)
    grey = breast(160, 100, right=right)
    nothing = np.zeros(grey.shape, bool)
    placed = region(grey, nothing, "sham", pool, "some key")
    assert placed.sum() == pool.outlines[0].size
    assert tissue(grey)[placed].mean() >= pool.outlines[0].on_tissue
    assert (np.argwhere(placed)[:, 1].mean() > 50) == right
    assert (treat(grey, nothing, "sham", pool, "some key") != grey).any()


def test_sham_stays_inside_a_frame_smaller_than_the_donors():
    grey = breast(30, 20)
    placed = region(grey, np.zeros(grey.shape, bool), "sham", pool_of(24), "key")
    assert placed.any() and placed.shape == grey.shape


def test_sham_without_a_pool_leaves_images_as_they_are():
    grey = breast()
    assert np.array_equal(treat(grey, np.zeros(grey.shape, bool), "sham", OutlinePool(), "key"), grey)


def test_donors_depend_on_key_and_pool_alone():
    pool = pool_of(*range(4, 16))
    again = pool_of(*reversed(range(4, 16)))
    assert [donor.digest for donor in pool.donors("a")] == [donor.digest for donor in again.donors("a")]
    assert len({donor.digest for key in range(200) for donor in pool.donors(str(key))}) == len(pool)


def test_pool_ignores_order_and_copies():
    assert pool_of(5, 8, 12).digest == pool_of(12, 5, 8, 5).digest != pool_of(5, 8).digest
    assert len(pool_of(5, 5)) == 1


def test_outlines_are_stored_with_the_chest_wall_on_the_left():
    mask = ring((120, 80), (60, 25), 8)
    left, right = Outline.of(breast(), mask), Outline.of(breast(right=True), mask[:, ::-1])
    assert np.array_equal(left.mask, right.mask) and left.digest == right.digest
    assert is_chest_wall_right(breast(right=True), tissue(breast(right=True)))


@pytest.mark.parametrize("radii", [(), (5, 9)])
def test_pool_survives_the_disk(tmp_path, radii):
    pool = pool_of(*radii)
    pool.save(tmp_path / "new" / "pool.npz")
    again = OutlinePool.load(tmp_path / "new" / "pool.npz")
    assert again.digest == pool.digest and len(again) == len(radii)
    assert all(np.array_equal(a.mask, b.mask) for a, b in zip(again.outlines, pool.outlines, strict=True))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["pool.npz"]


def test_a_missing_or_damaged_pool_is_named(tmp_path):
    file = tmp_path / "pool.npz"
    with pytest.raises(ImageError, match=r"pool\.npz.*missing"):
        OutlinePool.load(file)
    pool_of(5, 9).save(file)
    whole = file.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2], whole[:200] + b"\0" + whole[201:]):
        file.write_bytes(content)
        with pytest.raises(ImageError, match=r"pool\.npz"):
            OutlinePool.load(file)


def test_a_pool_whose_content_was_changed_is_refused(tmp_path):
    file = tmp_path / "pool.npz"
    pool_of(5, 9).save(file)
    with np.load(file) as stored:
        parts = dict(stored)
    np.savez_compressed(file, **(parts | {"bits": parts["bits"] ^ 1}))
    with pytest.raises(ImageError, match="damaged"):
        OutlinePool.load(file)


def test_on_real_images_the_treated_area_does_not_tell_who_had_outlines():
    if not REAL.is_dir():
        pytest.skip("the Mini-DDSM v1 sample is not beside this checkout")
    images = [cv2.imread(str(path))[..., ::-1] for path in sorted(REAL.glob("*/*.png"))[::8]]
    greys, masks = ([cv2.cvtColor(rgb.copy(), cv2.COLOR_RGB2GRAY) for rgb in images], [find(rgb) for rgb in images])
    had = [bool(mask.any()) for mask in masks]
    pool = OutlinePool.build(Outline.of(g, m) for g, m in zip(greys, masks, strict=True) if m.any())
    pairs = list(enumerate(zip(greys, masks, strict=True)))
    area = [region(grey, mask, "sham", pool, str(key)).sum() for key, (grey, mask) in pairs]
    assert min(area) > 0
    assert 0.35 < roc_auc_score(had, area) < 0.65
    assert all(g[m].size == 0 or not (treat(g, m, "sham", pool, "") == g)[m].all() for _, (g, m) in pairs)
