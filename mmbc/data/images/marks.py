"""Marks that people leave in images: colour, thin closed curves in grey, text and markers beside the breast.

They are looked for in images of any origin; `mmbc.data.images.outlines` finds, and removes, the four colours of
Mini-DDSM alone.
"""

import cv2
import numpy as np

from mmbc.data.images import outlines

CHROMA = 48
"""Difference between the largest and the smallest channel from which a pixel is coloured.

A grey image stays grey as a colour JPEG of any quality; the threshold is for the smear around real colour and for
faint tints."""

SMALLEST_SPOT = 4
"""Smallest number of connected coloured pixels that are an annotation; fewer are noise."""

COLOURED_THROUGHOUT = 0.2
"""Share of coloured pixels from which an image is a colour image, not a grey one with annotations."""

BLEEDING = 2
"""Pixels by which colour is grown before it is taken out: lossy compression smears it over its neighbours."""

THICKEST = 5
"""Width in pixels up to which a line is thin: 4, and one more for the blur of lossy compression."""

CONTRAST = 25
"""Grey levels by which a curve stands out from its surroundings; so white is found on tissue of up to 230."""

BRIGHT = 40
"""Grey levels above the median of the background from which a pixel belongs to a marker."""

EXTREME = 20
"""Largest distance in grey levels of a curve from black or white, and twice the largest SD of its grey."""

SMALLEST_LOOP = 8
"""Smallest height and width in pixels inside a curve; less is a calcification with a dark centre, or a letter."""

SMALLEST_MARKER, LARGEST_MARKER = 6, 0.35
"""Smallest height and width of a marker in pixels, and the largest as a share of the image's side."""

NEAR_BORDER = 0.25
"""Largest distance of a marker's centre from an edge, as a share of the width or height."""


def find_colour(pixels: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the coloured annotations of a grey image, and the share of its pixels that are coloured.

    Args:
        pixels: (height, width), or (height, width, 3) of uint8.

    Returns:
        The mask (height, width) of bool, empty for an image that is coloured throughout; and the share, 0 to 1.
    """
    if pixels.ndim == 2:
        return np.zeros(pixels.shape, dtype=bool), 0.0
    red, green, blue = cv2.split(pixels)
    mask = cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)) >= CHROMA
    share = float(mask.mean())
    if not mask.any() or share >= COLOURED_THROUGHOUT:
        return np.zeros_like(mask), share
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= SMALLEST_SPOT
    large[0] = False
    return large[labels], share


def remove_colour(grey: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the image with colour filled in from around it, and the filled pixels: (height, width) of uint8, bool."""
    if not mask.any():
        return grey, mask
    side = 2 * BLEEDING + 1
    grown = cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8))
    return cv2.inpaint(np.ascontiguousarray(grey), grown, outlines.RADIUS, cv2.INPAINT_TELEA), grown.astype(bool)


def fill_holes(breast: np.ndarray) -> np.ndarray:
    """Return the breast (height, width) of bool without holes."""
    contours, _ = cv2.findContours(breast.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return cv2.drawContours(np.zeros(breast.shape, np.uint8), contours, -1, 1, cv2.FILLED).astype(bool)


def count_curves(grey: np.ndarray, breast: np.ndarray) -> int:
    """Return the number of thin closed curves of near black or near white that enclose a part of the breast.

    A top-hat keeps lines that stand out and are thinner than `THICKEST`; loops of even, extreme grey among them count.

    Args:
        grey: (height, width) of uint8, without coloured annotations.
        breast: (height, width) of bool, without holes.
    """
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (THICKEST + 2, THICKEST + 2))
    white = (cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, kernel) >= CONTRAST) & (grey >= 255 - EXTREME)
    black = (cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, kernel) >= CONTRAST) & (grey <= EXTREME)
    return sum(_is_curve(loop, line, grey, breast) for line in (white, black) for loop in _loops(line))


def _loops(line: np.ndarray) -> list[np.ndarray]:
    """Return the inner contours, each (n, 1, 2), of lines (height, width) of bool that enclose enough."""
    closed = cv2.morphologyEx(line.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    contours, hierarchy = cv2.findContours(closed, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if hierarchy is None:
        return []
    holes = [contour for contour, (*_, parent) in zip(contours, hierarchy[0], strict=True) if parent >= 0]
    return [hole for hole in holes if min(cv2.boundingRect(hole)[2:]) >= SMALLEST_LOOP]


def _is_curve(loop: np.ndarray, line: np.ndarray, grey: np.ndarray, breast: np.ndarray) -> bool:
    """Whether the pixels of `line` along a loop are thin, of even grey, and enclose breast."""
    x, y, width, height = cv2.boundingRect(loop)
    left, top = max(x - THICKEST, 0), max(y - THICKEST, 0)
    window = np.s_[top : y + height + THICKEST, left : x + width + THICKEST]
    inside = cv2.drawContours(np.zeros(line[window].shape, np.uint8), [loop - (left, top)], -1, 1, cv2.FILLED)
    side = 2 * THICKEST + 1
    rim = cv2.dilate(inside, np.ones((side, side), np.uint8)).astype(bool) & line[window]
    around = cv2.arcLength(loop, closed=True) + np.pi * THICKEST
    even = grey[window][rim].std() <= EXTREME / 2
    return bool(rim.sum() <= THICKEST * around and even and breast[window][inside.astype(bool)].mean() > 0.5)


def count_markers(grey: np.ndarray, breast: np.ndarray) -> int:
    """Return the number of bright compact marks, text and markers, beside the breast near an edge of the image.

    The letters of a word count as one mark. Strips along an edge (the border of the film) are too long to count.

    Args:
        grey: (height, width) of uint8, without coloured annotations.
        breast: (height, width) of bool, without holes.
    """
    height, width = grey.shape
    gap = max(3, round(0.01 * max(grey.shape)) | 1)
    beside = ~cv2.dilate(breast.astype(np.uint8), np.ones((2 * gap + 1, 2 * gap + 1), np.uint8)).astype(bool)
    if beside.sum() < SMALLEST_MARKER**2:
        return 0
    bright = beside & (grey >= np.median(grey[beside]) + BRIGHT)
    words = cv2.morphologyEx(bright.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((gap, gap), np.uint8))
    _, _, stats, centres = cv2.connectedComponentsWithStats(words, connectivity=8)
    sides = stats[1:, [cv2.CC_STAT_HEIGHT, cv2.CC_STAT_WIDTH]]
    compact = (sides >= SMALLEST_MARKER).all(axis=1) & (sides <= LARGEST_MARKER * np.array(grey.shape)).all(axis=1)
    from_edge = np.minimum(centres[1:], np.array([width, height]) - centres[1:]) / np.array([width, height])
    return int((compact & (from_edge.min(axis=1) <= NEAR_BORDER)).sum())
