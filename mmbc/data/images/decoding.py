"""Image files to pixels: every file is checked, and decoded in one canonical form.

JPEG, PNG, TIFF and whatever else Pillow reads become grey of 8 or 16 bits, or RGB where there is colour.
"""

import hashlib
import stat
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps

from mmbc.data.images import formats, outlines
from mmbc.data.images.formats import CONVERT, UnreadableError, open_image
from mmbc.errors import ImageError

FORMAT = 2
"""Raise it when images that were read rightly would give other pixels, so that what was kept is made anew."""

MISSING = "missing"
"""The reason given for a file that does not exist."""

DIGEST_SIDE = 512
"""JPEGs are decoded for their pixel digest at libjpeg's smallest scale whose longer side is at least this many pixels.

It is fixed so that the cohort (duplicates are found by pixel digest) does not change with `data.image_size`.
"""

WINDOW = (0.005, 0.995)
"""Quantiles of the non-zero pixels of a 16-bit image that become black and white."""


PHOTOMETRIC, WHITE_IS_ZERO = 262, 0
"""The tag of a TIFF that says which end of its values is black, and its value where the highest is."""


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
        pixels = decode(read_bytes(path), DIGEST_SIDE, path.name)
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
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for, and /dev/zero never ends
            raise UnreadableError("cannot be opened: it is no file")
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise UnreadableError(MISSING) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise UnreadableError(f"cannot be opened: {getattr(error, 'strerror', None) or error}") from None
    if not content:
        raise UnreadableError("empty file")
    return content


def decode(source: bytes | np.ndarray | Image.Image, side: int, name: str = "") -> np.ndarray:
    """Return canonical pixels: (height, width) of uint8 or uint16, or (height, width, 3) of uint8 if there is colour.

    Args:
        source: the content of a file, a PIL image, or pixels.
        side: JPEG files are decoded at the smallest scale of libjpeg whose longer side is at least this long.
        name: the file's name, see `open_image`.

    Raises:
        UnreadableError: it is truncated, damaged, or holds pixels of a kind that is not supported.
    """
    if isinstance(source, np.ndarray):
        return _canonical(source)
    try:
        if isinstance(source, Image.Image):
            return _canonical(_pixels(source, None))
        with open_image(source, name) as image:
            if image.format == "PNG":
                _verify(source)
            longer = max(image.size)
            image.draft(None, (max(1, side * image.width // longer), max(1, side * image.height // longer)))
            with formats.quiet() if image.width * image.height > formats.LARGE else nullcontext():
                return _canonical(_pixels(image, source))
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, cv2.error) as error:
        raise UnreadableError("truncated" if "truncated" in str(error).lower() else f"damaged: {error}") from None


def _verify(content: bytes) -> None:
    """Check a PNG's checksums and its end, neither of which decoding looks at."""
    try:
        with open_image(content) as image:
            image.verify()
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        broken = "truncated" if b"IEND" not in content[-64:] else f"damaged: {error}"
        raise UnreadableError(broken) from None


def _pixels(image: Image.Image, content: bytes | None) -> np.ndarray:
    """Return the pixels of a PIL image the right way up, 0 being black, without alpha.

    Args:
        image: an image that is not decoded yet, or decoded.
        content: the file it comes from, if that is known.
    """
    photometric = image.tag_v2.get(PHOTOMETRIC) if image.format == "TIFF" else 1  # type: ignore[attr-defined]
    if photometric is None:
        raise UnreadableError(f"a TIFF that does not say whether 0 is black or white (tag {PHOTOMETRIC}): {CONVERT}")
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        raise UnreadableError(f"a CMYK JPEG that does not say whether 0 is black or white: {CONVERT}")
    if formats.cuts_bits(image, content):
        return _deep_pixels(image, content)
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):
        return _sixteen_bits(upright, photometric == WHITE_IS_ZERO)
    if upright.mode in ("F", "LAB"):
        raise UnreadableError(
            "floating-point pixels are not supported" if upright.mode == "F" else f"LAB colours: {CONVERT}"
        )
    if upright.mode in ("La", "RGBa"):
        upright = upright.convert(upright.mode.upper())
    if upright.mode in ("LA", "PA", "RGBA") or "transparency" in upright.info:
        values = np.asarray(upright.convert("RGBA"))
        _check_opaque(values[..., 3] < 255, values[..., :3])
    upright.info.pop("transparency", None)
    return np.asarray(upright.convert("L" if upright.mode in ("1", "L", "LA") else "RGB"))


def _sixteen_bits(image: Image.Image, white_is_zero: bool) -> np.ndarray:
    """Return the pixels of a grey image of 9 to 32 bits, (height, width) of uint16."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
        raise UnreadableError("pixel values do not fit into 16 bits")
    values = values.astype(np.uint16)
    if isinstance(key := image.info.get("transparency"), int):
        _check_opaque(values == key, values)
    if white_is_zero:  # black is the highest value of the bits in use: 4095 where 12 of 16 are
        values = np.uint16(2 ** int(values.max()).bit_length() - 1) - values
    return values


def _deep_pixels(image: Image.Image, content: bytes | None) -> np.ndarray:
    """Return the pixels of an image with 9 to 16 bits of colour, or of grey with alpha.

    They are grey of uint16 where the channels agree. Colour is kept, in 8 bits, where the image fills its 16.
    """
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    # versions of OpenCV do not agree on the orientation of a TIFF
    if content is None or image.tell() or (image.format == "TIFF" and orientation != 1):
        raise UnreadableError(f"more than 8 bits of colour or with alpha: {CONVERT}")
    image.load()  # for its errors: OpenCV fills what is truncated
    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if values is None or values.dtype != np.uint16 or values.ndim != 3 or values.shape[2] not in (3, 4):
        raise UnreadableError(f"more than 8 bits of colour or with alpha, in a {image.format} file: {CONVERT}")
    if values.shape[2] == 4:
        _check_opaque(values[..., 3] < np.iinfo(np.uint16).max, values[..., :3])
    values = _turned(values[..., 2::-1], orientation)
    plain = (values == values[..., :1]).all(axis=2)
    if plain.all():
        return values[..., 0]
    lit = values[plain & (values[..., 0] > 0)]  # colours drawn on an image of 12 bits may fill 16
    if np.quantile(lit if lit.size else values, WINDOW[1]) < 2**15:
        raise UnreadableError("colour of 16 bits whose upper ones are empty: convert it to 8-bit colour first")
    return (values >> 8).astype(np.uint8)


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return pixels (height, width, 3) the right way up, given what EXIF says of their orientation, 1 to 8."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    return pixels[:: -1 if orientation in (3, 4, 7, 8) else 1, :: -1 if orientation in (2, 3, 6, 7) else 1]


def _check_opaque(transparent: np.ndarray, values: np.ndarray) -> None:
    """Refuse an image whose look depends on what lies behind it; transparent pixels that are black are black.

    Args:
        transparent: which pixels are not opaque, (height, width) of bool.
        values: (height, width) or (height, width, 3).

    Raises:
        UnreadableError: transparent pixels hold another value than 0.
    """
    n_open = int((transparent & (values if values.ndim == 2 else values.max(axis=2)).astype(bool)).sum())
    if n_open:
        raise UnreadableError(
            f"{n_open} of its {transparent.size} pixels are transparent: put the image on a black background first"
            " (flatten it), or remove the alpha channel"
        )


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
