"""What a probe of outlines sees of an image: numbers of a region, of what was filled in, and of what lies around."""

import cv2
import numpy as np

from mmbc.data.images import outlines
from mmbc.data.images.outlines import OutlinePool

MODES = ("keep", "inpaint", "sham")
"""Treatments of outlines, each with a region of its own."""
CONTROL = "control"
VIEWS = {"mask": slice(0, 8), "pixels": slice(8, 16), "surroundings": slice(16, 24), "all": slice(0, 24)}
"""Which of the numbers a probe sees."""
N_FEATURES = 24
RING, FAR = 3, 7
"""Pixels from the region to the end of its surroundings, and of what these are compared with."""
LITTLE = 0.1
"""Added to spreads before their ratio, in grey levels, so that flat regions have one."""


def region_features(grey: np.ndarray, region: np.ndarray, breast: np.ndarray, chest_right: bool) -> np.ndarray:
    """Return the numbers (`N_FEATURES`,) that probes see of a region; NaN where it is empty.

    Args:
        grey: (height, width) of uint8, treated.
        region: (height, width) of bool.
        breast: (height, width) of bool.
        chest_right: whether columns are counted from the right.
    """
    if not region.any():
        return np.array([0.0, 0.0, *[np.nan] * (N_FEATURES - 2)])
    whole = _enclosed(region)
    return np.array([*_shape(region, whole, breast, chest_right), *_texture(grey, region, whole)])


def _shape(region: np.ndarray, whole: np.ndarray, breast: np.ndarray, chest_right: bool) -> list[float]:
    """Area, parts, bounding box, place relative to the breast, enclosed area, thickness."""
    area, bits = int(region.sum()), region.astype(np.uint8)
    _, _, width, height = cv2.boundingRect(bits)
    left, top, breast_width, breast_height = cv2.boundingRect(breast.astype(np.uint8))
    row, column = np.argwhere(region).mean(axis=0)
    down, right = (row - top) / max(breast_height, 1), (column - left) / max(breast_width, 1)
    thickness = cv2.distanceTransform(np.pad(bits, 1), cv2.DIST_L2, 3)[1:-1, 1:-1][region].mean()
    n_parts = cv2.connectedComponents(bits)[0] - 1
    enclosed = int(whole.sum()) - area
    return [
        np.log1p(area),
        n_parts,
        height,
        width,
        down,
        1 - right if chest_right else right,
        np.log1p(enclosed),
        thickness,
    ]


def _texture(grey: np.ndarray, region: np.ndarray, whole: np.ndarray) -> list[float]:
    """The filled pixels, alone and relative to the ring around them; the ring, alone and relative to farther ones."""
    values = grey.astype(np.float32)
    steps = cv2.magnitude(cv2.Sobel(values, -1, 1, 0), cv2.Sobel(values, -1, 0, 1))
    layers = np.stack([values, steps, np.abs(cv2.Laplacian(values, -1))])
    near = _grown(region, RING)
    around, beyond = near & ~region, _grown(region, FAR) & ~near
    filled, ring, far, inside, outside = (
        _statistics(layers, part) for part in (region, around, beyond, whole & ~region, beyond & ~whole)
    )
    return [
        *filled,
        filled[0] - ring[0],
        *_log_ratio(filled[1:], ring[1:]),
        *ring,
        far[0] - ring[0],
        _log_ratio(far[3], ring[3]),
        inside[0] - outside[0],
        _log_ratio(inside[1], outside[1]),
    ]


def _statistics(layers: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Return mean, standard deviation, mean gradient and mean Laplacian (4,); NaN for a part of no pixels."""
    chosen = layers[:, part]
    if not chosen.size:
        return np.full(4, np.nan)
    mean, steps, laplacian = chosen.mean(axis=1)
    return np.array([mean, chosen[0].std(), steps, laplacian])


def _log_ratio(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.log((first + LITTLE) / (second + LITTLE))


def _grown(region: np.ndarray, by: int) -> np.ndarray:
    return cv2.dilate(region.astype(np.uint8), np.ones((2 * by + 1, 2 * by + 1), np.uint8)).astype(bool)


def _enclosed(region: np.ndarray) -> np.ndarray:
    """Return the region with everything its outer contours enclose: (height, width) of bool."""
    contours, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros(region.shape, np.uint8), contours, -1, 1, cv2.FILLED).astype(bool)


def image_features(grey: np.ndarray, mask: np.ndarray, pool: OutlinePool, key: str) -> np.ndarray:
    """Return the numbers of one image: (4, `N_FEATURES`), the treated regions of `MODES` in order, then the control.

    Args:
        grey: (height, width) of uint8, before treatment.
        mask: (height, width) of bool, as `mmbc.data.images.outlines.find` returns it.
        pool: the real outlines.
        key: the image's pixel digest.
    """
    own = outlines.fill_core(mask)
    clean = outlines.inpaint(grey, own)
    breast = outlines.tissue(clean)
    side = outlines.is_chest_wall_right(clean, breast)
    sham = own | outlines.place_donors(breast, side, pool.donors(key, int(own.sum())))  # as `outlines.region`
    control = outlines.place_donors(breast, side, pool.donors(f"{CONTROL} {key}"))
    pairs = (
        (grey, own),
        (clean, own),
        (outlines.inpaint(grey, sham), sham),
        (outlines.inpaint(grey, own | control), control),
    )
    return np.stack([region_features(pixels, region, breast, side) for pixels, region in pairs])
