"""Formats of image files: an image file is opened at its one picture, and what is no image is called by its name."""

import io
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageFile, UnidentifiedImageError

CONVERT = "convert it to 16-bit grey PNG first"
MONOCHROME = "a DICOM file: convert it to 16-bit PNG first, MONOCHROME1 inverted"
DICOM_SUFFIXES = (".dcm", ".dicom")
LARGEST, LARGE = 178_956_970, 89_478_485
"""Numbers of pixels above which Pillow refuses an image, and warns of it. Mammograms have up to 40 million."""

FOREIGN: tuple[tuple[int, bytes, str], ...] = (
    (128, b"DICM", MONOCHROME),
    (0, b"version https://git-lfs", "a Git LFS pointer, not the image itself: run 'git lfs pull'"),
    (0, b"%PDF", f"a PDF document: {CONVERT}"),
    (344, b"n+1\0", f"a NIfTI volume: {CONVERT}"),
    (344, b"ni1\0", f"a NIfTI volume: {CONVERT}"),
    (0, b"\x1f\x8b", f"compressed with gzip (a NIfTI volume, .nii.gz?): unpack it, or {CONVERT}"),
    (0, b"ObjectType", f"a MetaImage file (.mha, .mhd): {CONVERT}"),
    (0, b"NRRD", f"an NRRD file: {CONVERT}"),
    (0, b"\x93NUMPY", f"a NumPy array: {CONVERT}"),
    (0, b"\x89HDF", f"an HDF5 file: {CONVERT}"),
    (0, b"MATLAB", f"a MATLAB file: {CONVERT}"),
    (0, b"PK\x03\x04", "a ZIP archive or Office document: unpack it"),
    (0, b"\x00\x05\x16\x07", "a file in which macOS keeps its notes (._NAME), not the image itself"),
    (4, b"ftyphei", "a HEIC photograph: convert it to PNG first"),
    (4, b"ftypmif1", "a HEIC photograph: convert it to PNG first"),
)
"""What the bytes at an offset say that a file is, where it is no image."""

KNOWN = ((b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"II+\0", "TIFF"), (b"\xff\xd8\xff", "JPEG"), (b"\x89PNG", "PNG"))
"""Beginnings of files of a known format of which some kinds cannot be read (12-bit JPEG, say)."""

REDUCED = 1 | 4
"""Bits of NewSubfileType of a TIFF page: a smaller version of another page, a transparency mask."""
NEW_SUBFILE_TYPE, SUBFILE_TYPE = 254, 255
MP_ENTRIES = 0xB002

_QUIET = threading.Lock()
"""Held while warnings are off, because their filters belong to all threads."""


class UnreadableError(Exception):
    """A file that is no usable image; the text is the short reason."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep to itself what Pillow thinks of large images and odd tags: a user can do nothing about it."""
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def open_image(content: bytes, name: str = "") -> Image.Image:
    """Open an image, without decoding it yet, at its one picture: smaller versions of it in the same file do not count.

    Args:
        content: the bytes of the file.
        name: the file's name, whose suffix may tell what a file is that is no image.

    Raises:
        UnreadableError: it is no image, damaged, too large or holds several frames.
    """
    try:
        with quiet():
            image = Image.open(io.BytesIO(content))
            _choose_frame(image)
    except UnidentifiedImageError:
        raise UnreadableError(_foreign(content, name)) from None
    except Image.DecompressionBombError as error:
        number = re.search(r"\d+", str(error))
        size = f"{int(number[0]):,}" if number else "too many"
        raise UnreadableError(f"has {size} pixels; an image may have {LARGEST:,}") from None
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, TypeError) as error:
        raise UnreadableError(f"damaged: {error}") from None
    if isinstance(image, ImageFile.StubImageFile):
        raise UnreadableError(_foreign(content, name))
    return image


def _choose_frame(image: Image.Image) -> None:
    """Go to the one picture of a file.

    Raises:
        UnreadableError: there are several; says how many.
    """
    n_frames = 1 if image.format == "PSD" else getattr(image, "n_frames", 1)  # layers of a PSD are no frames
    if n_frames == 1:
        return
    numbers = list(range(n_frames))
    if image.format == "TIFF":
        numbers = [number for number in numbers if not _is_reduced(image, number)]
    elif image.format == "MPO":
        kinds = [str(entry["Attribute"]["MPType"]) for entry in image.mpinfo[MP_ENTRIES]]  # type: ignore[attr-defined]
        numbers = [number for number in numbers if "Thumbnail" not in kinds[number]]
    if len(numbers) != 1:
        raise UnreadableError(f"holds {len(numbers) or n_frames} frames; one image a row")
    image.seek(numbers[0])


def _is_reduced(image: Image.Image, number: int) -> bool:
    """Whether a page of a TIFF is a smaller version or a mask of another page."""
    image.seek(number)
    tags = image.tag_v2  # type: ignore[attr-defined]
    return bool(int(tags.get(NEW_SUBFILE_TYPE, 0)) & REDUCED) or tags.get(SUBFILE_TYPE) == 2


def _foreign(content: bytes, name: str) -> str:
    """Return what a file is that Pillow does not take for an image."""
    for offset, magic, what in FOREIGN:
        if content[offset : offset + len(magic)] == magic:
            return what
    start = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if name.lower().endswith(DICOM_SUFFIXES) or re.match(
        rb"[\x02\x08]\x00.\x00([A-Z]{2}|.\x00\x00\x00)", content, re.S
    ):
        return MONOCHROME
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page (HTML), saved in place of the image: download it again"
    if start.startswith((b"<svg", b"<?xml")):
        return "an XML or SVG file, not an image of pixels"
    if not content.strip(b"\0"):
        return "holds nothing but zeros (a copy that was broken off?)"
    for magic, kind in KNOWN:
        if content.startswith(magic):
            return f"a {kind} that is damaged, or of a kind that cannot be read: {CONVERT}"
    return "not an image"


def cuts_bits(image: Image.Image, content: bytes | None) -> bool:
    """Whether Pillow would cut the pixels of an opened image, 9 to 16 bits of colour or with alpha, to 8 bits."""
    if image.mode.startswith(("I", "F")):
        return False
    for tile in getattr(image, "tile", []):
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if any(isinstance(value, str) and ";16" in value for value in arguments):
            return True
        if tile[0] in ("ppm", "ppm_plain") and isinstance(arguments[-1], int) and arguments[-1] > 255:
            return True
        if tile[0] == "SGI16":
            return True
    return image.format == "JPEG2000" and content is not None and _depth_of_jpeg2000(content) > 8


def _depth_of_jpeg2000(content: bytes) -> int:
    """Return the bits of the first component, which the marker SIZ at the start of the code stream says; 8 if none."""
    at = content.find(b"\xff\x4f\xff\x51")
    return (content[at + 42] & 127) + 1 if 0 <= at < len(content) - 42 else 8
