"""Lesion outlines burned into the pixels: finding and removing them, and hiding which images had one.

Mini-DDSM v1 draws the radiologists' outlines in four pure colours into benign and cancer images, never into normal
ones: two coloured lines with a black core between them. Inpainting removes the colour, but leaves a trace that tells
which images had an outline, and a larger one after cancers. The sham treatment therefore removes one outline of each
size class from every image: its own in its own class, those of donors, from the pool of real ones, in the others.
The filled-in pixels depend on pixels that were never drawn on and on nothing else; they have the grain of their
surroundings, so that smoothness does not mark the place (`study.checks.traces` measures what remains).
"""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from mmbc.errors import ImageError
from mmbc.files import write_atomically

Mode = Literal["sham", "inpaint", "keep"]

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 255, 255))
"""The colours of the outlines (red, green, blue); no other colour occurs in Mini-DDSM v1."""

CORE = 3
"""Side in pixels of the square whose closing fills the black core, two pixels wide, between two coloured lines."""

RADIUS = 3
"""Neighbourhood in pixels that cv2.inpaint (Telea 2004) averages over."""

GRAIN_SCALE, GRAIN_WEIGHT = 4, 0.85
"""Grain is the detail that a Gaussian of this standard deviation in pixels smooths away, times the weight. With these
values, gradients and Laplacians at a filled place are on average those of an untouched place of the same image."""

GRAIN_SHIFTS = tuple(
    (distance * down, distance * right)
    for distance in (8, 12, 16)
    for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, -1), (-1, 1))
)
"""Shifts (rows, columns) at which a filled pixel looks for its grain: the first that leads to an untouched pixel."""

N_CLASSES = 3
"""Number of size classes of outlines, and so of outlines removed from every image; each has as many real ones."""

STEP = 4
"""Spacing in pixels of the places tried when a donor's outline has to be moved onto breast tissue."""

POOL_FORMAT = 2
"""Version of stored pools and of their digests; raise it when either changes."""


@dataclass(frozen=True, eq=False)
class Outline:
    """The outlines of one image, as a donor lends them to another.

    Attributes:
        mask: (height, width) of bool in the donor's frame, core included, mirrored where necessary so that the chest
            wall is on the left.
        on_tissue: share of the outline pixels that lie on the donor's breast.
    """

    mask: np.ndarray
    on_tissue: float

    @cached_property
    def size(self) -> int:
        """Number of pixels covered."""
        return int(self.mask.sum())

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the frame, the mask and the share on tissue."""
        frame = np.array(self.mask.shape, dtype="<i8").tobytes() + np.array(self.on_tissue, dtype="<f8").tobytes()
        return hashlib.sha256(frame + np.packbits(self.mask).tobytes()).hexdigest()

    @classmethod
    def of(cls, grey: np.ndarray, mask: np.ndarray) -> "Outline":
        """Return the outlines of an image: grey (height, width) of uint8 and the mask that `find` returned."""
        covered = fill_core(mask)
        clean = inpaint(grey, covered)
        breast = tissue(clean)
        share = float(breast[covered].mean())
        return cls(covered[:, ::-1].copy() if is_chest_wall_right(clean, breast) else covered, share)


@dataclass(frozen=True, eq=False)
class OutlinePool:
    """The real outlines of a cohort, ordered by size; the order depends on their content alone."""

    outlines: tuple[Outline, ...] = ()

    @classmethod
    def build(cls, outlines: Iterable[Outline]) -> "OutlinePool":
        """Collect outlines; copies of one count once, and the order in which they come does not matter."""
        unique = {outline.digest: outline for outline in outlines}
        return cls(tuple(sorted(unique.values(), key=lambda outline: (outline.size, outline.digest))))

    def __len__(self) -> int:
        return len(self.outlines)

    @cached_property
    def digest(self) -> str:
        """16 hex digits over all outlines."""
        text = "\n".join([f"pool {POOL_FORMAT}", *(outline.digest for outline in self.outlines)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def classes(self) -> tuple[tuple[Outline, ...], ...]:
        """The outlines in `N_CLASSES` classes of size, small to large, of equal numbers; fewer with few outlines."""
        parts = np.array_split(np.arange(len(self)), N_CLASSES)
        return tuple(tuple(self.outlines[number] for number in part) for part in parts if len(part))

    def class_of(self, size: int) -> int:
        """Return the number of the size class of an outline with this many pixels."""
        return int(np.searchsorted([members[-1].size for members in self.classes[:-1]], size))

    def donors(self, key: str, size: int = 0) -> list[Outline]:
        """Return the outlines that an image borrows: one of each size class except that of its own outlines.

        Args:
            key: the image's pixel digest, which decides on the donors.
            size: number of pixels of its own outlines; 0 without any.
        """
        own = self.class_of(size) if size else -1
        chosen = []
        for number, members in enumerate(self.classes):
            drawn_lot = hashlib.sha256(f"{self.digest} {key} {number}".encode()).digest()
            if number != own:
                chosen.append(members[int.from_bytes(drawn_lot[:8], "big") % len(members)])
        return chosen

    def save(self, path: Path) -> None:
        """Write the pool as a small npz file, whole or not at all."""
        bits = [np.packbits(outline.mask) for outline in self.outlines]
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            format=np.array(POOL_FORMAT),
            digest=np.array(self.digest),
            frames=np.array([outline.mask.shape for outline in self.outlines], dtype=np.int64).reshape(-1, 2),
            on_tissue=np.array([outline.on_tissue for outline in self.outlines], dtype=np.float64),
            bits=np.concatenate([*bits, np.empty(0, np.uint8)]),
        )
        write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> "OutlinePool":
        """Read a pool.

        Raises:
            ImageError: the file is missing, damaged or of another format; the text names it.
        """
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
                pool = cls(_unpack(stored["bits"], stored["frames"], stored["on_tissue"]))
                intact = int(stored["format"]) == POOL_FORMAT and str(stored["digest"]) == pool.digest
        except FileNotFoundError:
            raise ImageError(f"{path}: this file with the pool of outlines is missing") from None
        except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error, zipfile.BadZipFile) as error:
            raise ImageError(f"{path}: is not a readable pool of outlines ({error})") from error
        if not intact:
            raise ImageError(f"{path}: is damaged or of another format: its digest does not match its outlines")
        return pool


def _unpack(bits: np.ndarray, frames: np.ndarray, on_tissue: np.ndarray) -> tuple[Outline, ...]:
    sizes = [int(height * width) for height, width in frames]
    ends = np.cumsum([(size + 7) // 8 for size in sizes]).astype(int)
    starts = [0, *ends[:-1]]
    if (int(ends[-1]) if sizes else 0) != len(bits) or len(on_tissue) != len(frames):
        raise ValueError("its parts do not fit together")
    parts = zip(starts, ends, sizes, frames, on_tissue, strict=False)
    return tuple(
        Outline(np.unpackbits(bits[start:end], count=size).astype(bool).reshape(tuple(frame)), float(share))
        for start, end, size, frame, share in parts
    )


def find(pixels: np.ndarray) -> np.ndarray:
    """Return the outline pixels of an RGB image (height, width, 3) of uint8: (height, width) of bool."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    mask = np.zeros(pixels.shape[:2], dtype=bool)
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return mask
    for r, g, b in COLOURS:
        mask |= (red == r) & (green == g) & (blue == b)
    return mask


def fill_core(mask: np.ndarray) -> np.ndarray:
    """Return all pixels that outlines cover: the coloured ones (height, width) of bool and the black core between them.

    Outside the frame counts as coloured, because an outline along the border has its second line there.
    """
    if not mask.any():
        return mask
    padded = np.pad(mask, CORE, constant_values=True).astype(np.uint8)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, np.ones((CORE, CORE), np.uint8))
    return closed[CORE:-CORE, CORE:-CORE].astype(bool)


def treat(grey: np.ndarray, mask: np.ndarray, mode: Mode, pool: OutlinePool, key: str) -> np.ndarray:
    """Return the image with its outlines treated: (height, width) of uint8.

    Args:
        grey: (height, width) of uint8.
        mask: (height, width) of bool, as `find` returns it.
        mode: `keep` changes nothing, `inpaint` removes the image's own outlines, `sham` also those of donors, so that
            every image has lost one of each size class.
        pool: the real outlines that donors are drawn from; with an empty pool there is nothing to imitate.
        key: the image's pixel digest, which decides on the donors.
    """
    return inpaint(grey, region(grey, mask, mode, pool, key))


def region(grey: np.ndarray, mask: np.ndarray, mode: Mode, pool: OutlinePool, key: str) -> np.ndarray:
    """Return the pixels that `treat` fills in, under own outlines and donors': (height, width) of bool."""
    if mode == "keep":
        return np.zeros_like(mask)
    own = fill_core(mask)
    if mode == "inpaint" or not len(pool):
        return own
    clean = inpaint(grey, own)
    breast = tissue(clean)
    return own | place_donors(breast, is_chest_wall_right(clean, breast), pool.donors(key, int(own.sum())))


def place_donors(breast: np.ndarray, mirrored: bool, donors: Iterable[Outline]) -> np.ndarray:
    """Return the donors' outlines in the frame of an image without one: (height, width) of bool.

    Args:
        breast: `tissue` of the image.
        mirrored: whether its chest wall is on the right.
        donors: outlines of images whose chest wall is on the left.
    """
    placed = np.zeros(breast.shape, dtype=bool)
    for donor in donors:
        rows, columns = _place(donor.mask[:, ::-1] if mirrored else donor.mask, breast, donor.on_tissue)
        placed[rows, columns] = True
    return placed


def inpaint(grey: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Return the image with the covered pixels (height, width) of bool filled in from around them, and grain added.

    Without covered pixels it is the image itself. Integers alone are added, so that machines agree.
    """
    if not covered.any():
        return grey
    filled = cv2.inpaint(np.ascontiguousarray(grey), covered.astype(np.uint8), RADIUS, cv2.INPAINT_TELEA)
    detail = filled.astype(np.int16) - cv2.GaussianBlur(filled, (0, 0), GRAIN_SCALE)
    points = np.argwhere(covered)
    grain = np.rint(GRAIN_WEIGHT * _grain(detail, covered, points))
    filled[covered] = np.clip(filled[covered] + grain, 0, 255).astype(np.uint8)
    return filled


def _grain(detail: np.ndarray, covered: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the detail (n,) for covered points (n, 2), each from the first of `GRAIN_SHIFTS` that is not covered."""
    grain = np.zeros(len(points), dtype=np.int16)
    waiting = np.arange(len(points))
    for shift in GRAIN_SHIFTS:
        source = points[waiting] + shift
        inside = np.all((source >= 0) & (source < covered.shape), axis=1)
        rows, columns = np.where(inside[:, None], source, 0).T
        good = inside & ~covered[rows, columns]
        grain[waiting[good]] = detail[rows[good], columns[good]]
        waiting = waiting[~good]
    return grain


def tissue(grey: np.ndarray) -> np.ndarray:
    """Return the breast: the largest bright component of an image, (height, width) of bool.

    The threshold is half of Otsu's, because Otsu's separates dense from fatty tissue as often as breast from
    background. Opening cuts off labels and film edges that touch the breast.
    """
    smooth = cv2.GaussianBlur(np.ascontiguousarray(grey), (5, 5), 0)
    otsu, _ = cv2.threshold(smooth, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    bright = (smooth > otsu / 2).astype(np.uint8)
    side = max(3, round(0.03 * min(grey.shape)) | 1)
    opened = cv2.morphologyEx(bright, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    n_components, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    if n_components < 2:
        return np.zeros(grey.shape, dtype=bool)
    return labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))


def is_chest_wall_right(grey: np.ndarray, breast: np.ndarray) -> bool:
    """Whether the chest wall is on the right, because the breast is brighter in the right half of the image."""
    light = np.where(breast, grey, 0).sum(axis=0, dtype=np.int64)
    half = len(light) // 2
    return bool(light[len(light) - half :].sum() > light[:half].sum())


def _place(mask: np.ndarray, breast: np.ndarray, on_tissue: float) -> np.ndarray:
    """Return the pixels of a donor's outline in another image, at the same relative place: rows and columns (2, n).

    It is moved, never scaled, so that its lines stay as thick as real ones. It stays inside the frame, at the nearest
    place where as much of it lies on breast tissue as in the donor.
    """
    points = np.argwhere(mask)  # (n, 2): row, column
    frame, target = np.array(mask.shape), np.array(breast.shape)
    low, high = -points.min(axis=0), np.maximum(target - 1 - points.max(axis=0), -points.min(axis=0))
    wanted = np.rint(points.mean(axis=0) * (target / frame - 1)).astype(int)
    moved = points + _nearest_on_tissue(points, breast, np.clip(wanted, low, high), low, high, on_tissue)
    return moved[(moved < target).all(axis=1)].T


def _nearest_on_tissue(
    points: np.ndarray, breast: np.ndarray, start: np.ndarray, low: np.ndarray, high: np.ndarray, share: float
) -> np.ndarray:
    """Return the shift (2,) within [low, high] nearest to `start` that puts `share` of the points (n, 2) on the breast.

    Where no shift reaches that share, it is the one with the largest share, the nearest of equal ones.
    """
    limits = zip(low, start, high, strict=True)
    steps = [np.arange(begin + (at - begin) % STEP, end + 1, STEP) for begin, at, end in limits]
    shifts = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 2)  # (rows, columns, 2) -> (n, 2)
    shifts = shifts[np.argsort(((shifts - start) ** 2).sum(axis=1), kind="stable")]
    best, best_share = start, -1.0
    height, width = breast.shape
    flat, places, fits = breast.ravel(), points @ (width, 1), bool((points.max(axis=0) + high < breast.shape).all())
    for shift in shifts:
        chosen = places
        if not fits:  # a donor from a larger frame
            rows, columns = (points + shift).T
            chosen = places[(rows < height) & (columns < width)]
            if not len(chosen):
                continue
        reached = np.count_nonzero(flat[chosen + shift @ (width, 1)]) / len(chosen)
        if reached >= share:
            return shift
        if reached > best_share:
            best, best_share = shift, reached
    return best
