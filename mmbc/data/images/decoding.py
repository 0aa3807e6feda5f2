"""Image files to pixels: every file is checked, and decoded in one canonical form.

JPEG, PNG, TIFF and whatever else Pillow reads become grey of 8 or 16 bits, or RGB where there is colour.
"""

import hashlib
import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mmbc.data.images import outlines
from mmbc.errors import ImageError

FORMAT = 2
"""Raise it when the same file would give other facts or other pixels, so that what was kept is made anew."""

MISSING = "missing"
"""The reason given for a file that does not exist."""

DIGEST_SIDE = 512
"""JPEGs are decoded for their pixel digest at libjpeg's smallest scale whose longer side is at least this many pixels.

It is fixed so that the cohort (duplicates are found by pixel digest) does not change with `data.image_size`.
"""

WINDOW = (0.005, 0.995)
"""Quantiles of the non-zero pixels of a 16-bit image that become black and white."""


class UnreadableError(Exception):
    """A file that is no usable image; the text is the short reason."""


def decode_file(path: Path, pixel_digest: str | None = None) -> np.ndarray:
    """Return the pixels that the pixel digest of a file is taken from, JPEGs at a reduced scale (see `DIGEST_SIDE`).

    Args:
        path: the file.
        pixel_digest: the digest it must have, if that is known.

    Returns:
        (height, width) of uint8 or uint16, or (height, width, 3) of uint8 if there is colour.

    Raises:
        ImageError: the file cannot be read, or has changed since its digest was taken; names it.
    """
    try:
        pixels = decode(read_bytes(path), DIGEST_SIDE)
    except UnreadableError as error:
        raise ImageError(f"{path}: {error}") from None
    if pixel_digest is not None and digest_pixels(pixels) != pixel_digest:
        raise ImageError(f"{path}: has changed since it was first read in this run; run the command again")
    return pixels


def to_grey(pixels: np.ndarray) -> np.ndarray:
    """Return decoded pixels as grey, (height, width) of uint8; 16 bits are windowed (see `WINDOW`)."""
    return split_outlines(pixels)[0]


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        UnreadableError: it is missing, empty or cannot be opened.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise UnreadableError(MISSING) from None
    except OSError as error:
        raise UnreadableError(f"cannot be opened: {error.strerror}") from None
    if not content:
        raise UnreadableError("empty file")
    return content


def open_image(content: bytes) -> Image.Image:
    """Open an image without decoding it yet.

    Raises:
        UnreadableError: it is no image, damaged or too large.
    """
    try:
        return Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        raise UnreadableError("not an image") from None
    except Image.DecompressionBombError:
        raise UnreadableError("too large") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise UnreadableError(f"damaged: {error}") from None


def decode(source: bytes | np.ndarray | Image.Image, side: int) -> np.ndarray:
    """Return canonical pixels: (height, width) of uint8 or uint16, or (height, width, 3) of uint8 if there is colour.

    Args:
        source: the content of a file, a PIL image, or pixels.
        side: JPEG files are decode_file at the smallest scale of libjpeg whose longer side is at least this long.

    Raises:
        UnreadableError: it is truncated, damaged, or holds pixels of a kind that is not supported.
    """
    if isinstance(source, np.ndarray):
        return _canonical(source)
    if isinstance(source, Image.Image):
        return _canonical(_pixels(source))
    try:
        with open_image(source) as image:
            if image.format == "PNG":
                _verify(source)
            longer = max(image.size)
            image.draft(None, (max(1, side * image.width // longer), max(1, side * image.height // longer)))
            return _canonical(_pixels(image))
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as error:
        raise UnreadableError("truncated" if "truncated" in str(error).lower() else f"damaged: {error}") from None


def _verify(content: bytes) -> None:
    """Check a PNG's checksums and its end, neither of which decoding looks at."""
    try:
        with open_image(content) as image:
            image.verify()
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        broken = "truncated" if b"IEND" not in content[-64:] else f"damaged: {error}"
        raise UnreadableError(broken) from None


def _pixels(image: Image.Image) -> np.ndarray:
    """Return the pixels of a PIL image the right way up, without alpha."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):
        values = np.asarray(upright)
        if values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
            raise UnreadableError("pixel values do not fit into 16 bits")
        return values.astype(np.uint16)
    if upright.mode == "F":
        raise UnreadableError("floating-point pixels are not supported")
    upright.info.pop("transparency", None)
    return np.asarray(upright.convert("L" if upright.mode in ("1", "L", "LA", "La") else "RGB"))


def _canonical(pixels: np.ndarray) -> np.ndarray:
    """Check pixels and drop colour channels that say nothing, so that grey is grey however it was stored."""
    grey = pixels.ndim == 2 and pixels.dtype in (np.uint8, np.uint16)
    colour = pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8
    if not (grey or colour) or pixels.size == 0:
        raise UnreadableError(f"pixels of shape {pixels.shape} and type {pixels.dtype}: expected a grey or RGB image")
    if colour and np.array_equal(pixels[..., 0], pixels[..., 1]) and np.array_equal(pixels[..., 1], pixels[..., 2]):
        pixels = pixels[..., 0]
    return np.ascontiguousarray(pixels)


def digest_pixels(pixels: np.ndarray) -> str:
    """Return the SHA-256 over type, shape and values of canonical pixels."""
    state = hashlib.sha256(f"{pixels.dtype} {pixels.shape}".encode())
    state.update(pixels.data)
    return state.hexdigest()


def split_outlines(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split canonical pixels into grey of uint8 and the mask of the outlines of bool, both (height, width)."""
    if pixels.ndim == 3:
        return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), outlines.find(pixels)
    grey = _windowed(pixels) if pixels.dtype == np.uint16 else pixels
    return grey, np.zeros(grey.shape, dtype=bool)


def _windowed(pixels: np.ndarray) -> np.ndarray:
    """Map 16-bit pixels to uint8 so that the quantiles `WINDOW` of the non-zero ones become 0 and 255."""
    counts = np.bincount(pixels.ravel(), minlength=2**16)
    counts[0] = 0
    total = np.cumsum(counts)
    if total[-1] == 0:
        return np.zeros(pixels.shape, dtype=np.uint8)
    low, high = (int(np.searchsorted(total, share * total[-1])) for share in WINDOW)
    scaled = (np.arange(2**16) - low) / max(high - low, 1)
    table = np.rint(255 * np.clip(scaled, 0, 1)).astype(np.uint8)
    return table[pixels]
