"""Preparation of images: decoded, their outlines treated, cropped and resized to the network input.

The same bytes come out whether an image is prepared alone (`prepare`) or for a store (`mmbc.data.images.store`).
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from mmbc.config import DataConfig
from mmbc.data.images import decoding, outlines
from mmbc.data.images.outlines import Outline, OutlinePool
from mmbc.errors import ImageError
from mmbc.threads import Progress, map_parallel


def prepare(image: Path | np.ndarray | Image.Image, data: DataConfig, pool: OutlinePool) -> np.ndarray:
    """Return the network input of one image, the same bytes as its row in a store with that pool.

    Args:
        image: a file; a PIL image; or pixels, (height, width) of uint8 or uint16 or (height, width, 3) of uint8. A JPEG
            is best given as a file: an image that is decoded already cannot take libjpeg's scaled decoding.
        data: `image_size`, `resize`, `crop` and `outlines` matter.
        pool: the outlines of the cohort the model was trained on.

    Returns:
        (image_size, image_size) of uint8.

    Raises:
        ImageError: the image cannot be read; names the file.
    """
    name = str(image) if isinstance(image, Path) else "the image"
    try:
        source = decoding.read_bytes(image) if isinstance(image, Path) else image
        grey, mask = decoding.split_outlines(decoding.decode(source, _decode_side(data), name))
        donated = data.outlines == "sham" and len(pool) > 0
        key = decoding.digest_pixels(decoding.decode(source, decoding.DIGEST_SIDE)) if donated else ""
    except decoding.UnreadableError as error:
        raise ImageError(f"{name}: {error}") from None
    return fit_to_input(outlines.treat(grey, mask, data.outlines, pool, key), data)


def read_untreated(path: Path, data: DataConfig, content_digest: str) -> tuple[np.ndarray, np.ndarray]:
    """Return an image as it is before treatment: grey of uint8 and the mask of its outlines, both (height, width).

    Raises:
        ImageError: the file cannot be read, or its content has another SHA-256 than `content_digest`; names the file.
    """
    return decoding.split_outlines(decoding.decode(_checked(path, content_digest), _decode_side(data)))


def _checked(path: Path, content_digest: str) -> bytes:
    try:
        content = decoding.read_bytes(path)
    except decoding.UnreadableError as error:
        raise ImageError(f"{path}: {error}") from None
    if hashlib.sha256(content).hexdigest() != content_digest:
        raise ImageError(f"{path}: has changed since it was first read in this run; run the command again")
    return content


def collect_outlines(
    paths: Sequence[Path], facts: pd.DataFrame, data: DataConfig, *, workers: int = 0, progress: Progress | None = None
) -> OutlinePool:
    """Return the real outlines of a cohort's images; the arguments are those of `mmbc.data.images.store.open_store`."""

    def collect(row: int) -> Outline | None:
        grey, mask = read_untreated(paths[row], data, facts["content_digest"].iloc[row])
        return Outline.of(grey, mask) if mask.any() else None

    outlined = np.flatnonzero(facts["n_outline_pixels"] > 0).tolist()
    collected = map_parallel(collect, outlined, workers, "reading outlined images", progress)
    return OutlinePool.build(outline for _, outline in collected if outline is not None)


def fit_to_input(grey: np.ndarray, data: DataConfig) -> np.ndarray:
    """Crop and resize: (height, width) -> (image_size, image_size), both uint8."""
    if data.crop == "breast":
        grey = _breast(grey)
    size = data.image_size
    if data.resize == "stretch":
        return _resized(grey, size, size)
    longer = max(grey.shape)
    height, width = (max(1, round(side * size / longer)) for side in grey.shape)
    top, left = (size - height) // 2, (size - width) // 2
    boxed = np.zeros((size, size), dtype=np.uint8)
    boxed[top : top + height, left : left + width] = _resized(grey, height, width)
    return boxed


def _resized(grey: np.ndarray, height: int, width: int) -> np.ndarray:
    shrinks = height <= grey.shape[0] and width <= grey.shape[1]
    return cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _breast(grey: np.ndarray) -> np.ndarray:
    """Cut out the bounding box of the breast; the whole image where none is found."""
    x, y, width, height = cv2.boundingRect(outlines.tissue(grey).astype(np.uint8))
    return grey[y : y + height, x : x + width] if width and height else grey


def _decode_side(data: DataConfig) -> int:
    """Return the shortest longer side in pixels of a scaled decoding after which nothing is enlarged.

    A breast rarely fills less than half of the film, and mammograms are less than twice as long as they are wide.
    """
    return data.image_size * (2 if data.crop == "breast" else 1) * (2 if data.resize == "stretch" else 1)
