"""Appearance of images apart from their lesions: measurements of the files in one pass, for all checks of the audit.

They are made per image and kept by pixel digest, so that copies and second runs cost nothing. Coloured annotations are
filled in first and counted by themselves. Border, silhouette, rim and background are meant to hold nothing of a lesion;
where that is doubtful, the functions say so.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import imagehash
import numpy as np
import pandas as pd
from PIL import Image

from mmbc.data.images import marks, outlines
from mmbc.data.images.decoding import DIGEST_SIDE, decode_file, to_grey
from mmbc.files import write_atomically
from mmbc.threads import Progress, map_parallel

FORMAT = 1
"""Raise it when the same pixels would give other values, so that images are measured anew."""

LONGEST = 2 * DIGEST_SIDE
"""Longer side in pixels that images are reduced to; JPEGs are decoded at 512 to 1023 pixels anyway. Lines and marks are
looked for at this size: a line of one pixel in a larger image may be lost."""

QUANTILES = (0.05, 0.25, 0.5)
"""Quantiles of the grey of the breast. None is above the median, where a bright lesion shows (AUC of 0.55 to 0.57 in
240 patients of the phantom)."""

COUNTS = ("n_coloured", "n_curves", "n_markers")
GREYS = ("mean", "spread", *(f"q{round(100 * share):02d}" for share in QUANTILES), "background")
NOISES = ("noise_background", "noise_breast")
NOISE_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32) / 6
"""Kernel whose response to noise of SD 1 has SD 1."""
COLUMNS = ("colour_share", *COUNTS, *GREYS, *NOISES)

BORDER = 0.04
"""Width of the frame along the four edges, as a share of the image's side."""
STRIPS = ((2, 32), (2, 32), (48, 2), (48, 2))
"""Rows and columns that the top, bottom, left and right strips of the frame are resized to."""

RIM = 0.02
"""Width of the rim along the skin that remains when the inside of the breast is removed, as a share of the image's
longer side. Of 372 images of Mini-DDSM v1 with outlined lesions, 5 % show more than a tenth of a lesion in the rim, and
1 % more than half."""

SILHOUETTE, UNCENTRED, THUMBNAIL = 24, 32, 64
"""Sides in pixels of the small images that are kept."""
HASH_SIZE = 16
"""Side of the perceptual hash; its square is the number of bits."""

RECORD = np.dtype(
    [
        ("digest", "U64"),
        ("table", "<f8", (len(COLUMNS),)),
        ("border", "u1", (sum(rows * columns for rows, columns in STRIPS),)),
        ("silhouette", "u1", (SILHOUETTE**2,)),
        ("uncentred", "u1", (UNCENTRED**2,)),
        ("thumbnail", "u1", (THUMBNAIL, THUMBNAIL)),
        ("hash", "u1", (HASH_SIZE**2 // 8,)),
        ("mirrored", "u1", (HASH_SIZE**2 // 8,)),
    ]
)
"""The measurements of one image."""


@dataclass(frozen=True, eq=False)
class Appearance:
    """The measurements of images, row i for image i.

    Attributes:
        table: `n_coloured` pixels, `colour_share` (at least `marks.COLOURED_THROUGHOUT` where the whole image is in
            colour, which is not counted), `n_curves`, `n_markers`, the `GREYS` (mean and SD without the inside of the
            breast, quantiles of the breast, median of the background; grey levels) and `NOISES` (SD of pixel noise;
            grey levels).
        border: (n_images, 320) of float32, 0 to 1: the frame without the inside of the breast, mirrored so that the
            chest wall is on the left; otherwise it would mostly show side and view.
        silhouette: (n_images, 24 * 24) of float32, 0 to 1: share of each cell that is breast, mirrored alike.
        uncentred: (n_images, 32 * 32) of float32, 0 to 1: grey of rim and background, mirrored alike.
        thumbnails: (n_images, 64, 64) of uint8: the whole image, to confirm duplicates with.
        hashes: (n_images, 32) of uint8: 256 bits of a perceptual hash.
        mirrored: (n_images, 32) of uint8: the hash of the mirrored image.
    """

    table: pd.DataFrame
    border: np.ndarray
    silhouette: np.ndarray
    uncentred: np.ndarray
    thumbnails: np.ndarray
    hashes: np.ndarray
    mirrored: np.ndarray

    @classmethod
    def of(cls, records: np.ndarray) -> "Appearance":
        """Turn records (n_images,) of `RECORD` into measurements by kind."""
        parts = {name: records[name].astype(np.float32) / 255 for name in ("border", "silhouette", "uncentred")}
        table = pd.DataFrame(records["table"], columns=list(COLUMNS)).astype(dict.fromkeys(COUNTS, "int64"))
        return cls(
            table=table, thumbnails=records["thumbnail"], hashes=records["hash"], mirrored=records["mirrored"], **parts
        )


def read_appearance(
    paths: Sequence[Path],
    pixel_digests: Sequence[str],
    *,
    cache: Path,
    workers: int = 0,
    progress: Progress | None = None,
) -> Appearance:
    """Measure images, or take earlier measurements of the same pixels.

    Args:
        paths: the files, readable ones only.
        pixel_digests: of `mmbc.data.images.facts.read_images`, in the same order; each is measured once.
        cache: folder in which the measurements are kept, about 6.5 kB an image.
        workers: threads; 0 means one per core.
        progress: told about each image measured.

    Raises:
        ImageError: a file that cannot be read, or has changed since its digest was taken.
    """
    file = cache / "appearance" / f"appearance-{FORMAT}.npy"
    known = _load(file)
    kept = set(known["digest"].tolist())
    wanted = {digest: path for digest, path in zip(pixel_digests, paths, strict=True) if digest not in kept}
    fresh: list[np.ndarray] = []
    try:
        todo = list(wanted.items())
        for _, record in map_parallel(
            lambda item: _record(item[1], item[0]), todo, workers, "auditing images", progress
        ):
            fresh.append(record)
    finally:
        known = _save(file, known, fresh)
    row = {digest: number for number, digest in enumerate(known["digest"].tolist())}
    return Appearance.of(known[[row[digest] for digest in pixel_digests]])


def _load(file: Path) -> np.ndarray:
    """Return the kept records; none where the file is absent or damaged, because they can be measured again."""
    try:
        kept = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return np.empty(0, RECORD)
    return kept if kept.dtype == RECORD else np.empty(0, RECORD)


def _save(file: Path, known: np.ndarray, fresh: list[np.ndarray]) -> np.ndarray:
    """Keep the records, and return them all."""
    if not fresh:
        return known
    records = np.concatenate([known, np.stack(fresh)])
    content = io.BytesIO()
    np.save(content, records)
    write_atomically(file, content.getvalue())
    return records


# -------------------------------------------------------------------------------------------------------- one image


def _record(path: Path, digest: str) -> np.ndarray:
    record = measure(decode_file(path, digest))
    record["digest"] = digest
    return record


def measure(pixels: np.ndarray) -> np.ndarray:
    """Measure an image: (height, width) of uint8 or uint16 or (height, width, 3) of uint8 -> () of `RECORD`."""
    pixels = _reduced(pixels)
    mask, share = marks.find_colour(pixels)
    grey, gone = marks.remove_colour(to_grey(pixels), mask)
    tissue = outlines.tissue(grey)
    breast = marks.fill_holes(tissue)
    record = np.zeros((), RECORD)
    inside = interior(breast)
    counts = [share, mask.sum(), marks.count_curves(grey, breast), marks.count_markers(grey, breast)]
    record["table"] = [*counts, *_greys(grey, breast, inside, ~gone), *_noise(grey, breast, inside, ~gone)]
    record["thumbnail"] = thumbnail = _shrunk(grey, THUMBNAIL, THUMBNAIL)
    record["hash"], record["mirrored"] = _hash(thumbnail), _hash(thumbnail[:, ::-1])
    around = np.where(inside, 0, grey)
    if outlines.is_chest_wall_right(grey, tissue):
        around, breast = np.ascontiguousarray(around[:, ::-1]), np.ascontiguousarray(breast[:, ::-1])
    record["border"] = _border(around)
    record["silhouette"] = _shrunk(255 * breast.astype(np.uint8), SILHOUETTE, SILHOUETTE).ravel()
    record["uncentred"] = _shrunk(around, UNCENTRED, UNCENTRED).ravel()
    return record


def _reduced(pixels: np.ndarray) -> np.ndarray:
    longer = max(pixels.shape[:2])
    if longer <= LONGEST:
        return pixels
    height, width = (max(1, round(side * LONGEST / longer)) for side in pixels.shape[:2])
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)


def _shrunk(grey: np.ndarray, rows: int, columns: int) -> np.ndarray:
    return cv2.resize(grey, (columns, rows), interpolation=cv2.INTER_AREA)


def interior(breast: np.ndarray) -> np.ndarray:
    """Return the inside of the breast: its convex hull, less a rim along the skin, (height, width) of bool.

    The hull covers parts that the mask missed. There is no rim at the edges of the image, where the chest wall is. A
    lesion that touches the skin does show in the rim.
    """
    contours, _ = cv2.findContours(breast.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return np.zeros(breast.shape, dtype=bool)
    hull = cv2.convexHull(np.concatenate(contours))
    solid = cv2.fillConvexPoly(np.zeros(breast.shape, np.uint8), hull, 1)
    side = 2 * max(1, round(RIM * max(breast.shape))) + 1
    return cv2.erode(solid, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))).astype(bool)


def _border(grey: np.ndarray) -> np.ndarray:
    """Return the frame (320,) of uint8: top, bottom, chest wall, far side."""
    high, wide = (max(1, round(BORDER * side)) for side in grey.shape)
    parts = (grey[:high], grey[-high:], grey[:, :wide], grey[:, -wide:])
    return np.concatenate([_shrunk(part, *size).ravel() for part, size in zip(parts, STRIPS, strict=True)])


def _greys(grey: np.ndarray, breast: np.ndarray, inside: np.ndarray, intact: np.ndarray) -> list[float]:
    """Return the values of `GREYS`; those of the breast depend on breast density."""
    around, tissue, background = grey[~inside & intact], grey[breast & intact], grey[~breast & intact]
    quantiles = np.quantile(tissue, QUANTILES) if tissue.size else np.full(len(QUANTILES), np.nan)
    mean, spread = (around.mean(), around.std()) if around.size else (np.nan, np.nan)
    return [float(mean), float(spread), *map(float, quantiles), _median(background)]


def _median(grey: np.ndarray) -> float:
    return float(np.median(grey)) if grey.size else float("nan")


def _noise(grey: np.ndarray, breast: np.ndarray, inside: np.ndarray, intact: np.ndarray) -> list[float]:
    """Return the values of `NOISES`: outside and inside the breast, without the largest values.

    The difference of two Laplacians cancels edges and slow changes (Immerkaer 1996, doi 10.1006/cviu.1996.0060). Fine
    structure of the breast remains, and with it a little of the breast density.
    """
    side = 2 * marks.BLEEDING + 1
    apart = cv2.erode(intact.astype(np.uint8), np.ones((side, side), np.uint8)).astype(bool)
    detail = np.abs(cv2.filter2D(grey, cv2.CV_32F, NOISE_KERNEL))
    grown = cv2.dilate(breast.astype(np.uint8), np.ones((side, side), np.uint8)).astype(bool)
    return [_spread(detail[~grown & apart]), _spread(detail[inside & apart])]


def _spread(detail: np.ndarray) -> float:
    """Return the SD of Gaussian values from the smaller three quarters of their absolute values (n,).

    Their mean is 0.515 SD. The median would do as well, but it takes few values on whole numbers.
    """
    if not detail.size:
        return float("nan")
    return float(detail[detail <= np.quantile(detail, 0.75)].mean()) / 0.515


def _hash(thumbnail: np.ndarray) -> np.ndarray:
    """Return the bits of a perceptual hash, (32,) of uint8; the thumbnail has the size at which the hash works."""
    image = Image.fromarray(np.ascontiguousarray(thumbnail))
    return np.packbits(imagehash.phash(image, hash_size=HASH_SIZE).hash)
