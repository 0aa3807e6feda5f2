"""Image files: read once to learn whether and what they are, then kept resized in a memory-mapped uint8 store.

Threads do the work: Pillow, OpenCV and hashlib release the interpreter's lock, and nothing has to be started or imported.
JPEGs are decoded at the smallest of libjpeg's scales whose longer side is still at least `WORKING_SIDE`, so that the
pixels, and with them the cohort, do not depend on `data.image_size`. 16-bit images are windowed to 8 bits between the
0.5th and 99.5th percentile of their non-zero pixels.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError

from mmbc.config import DataConfig
from mmbc.data import outlines
from mmbc.data.outlines import Outline, OutlinePool
from mmbc.errors import ImageError

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and how much there is."""

FORMAT = 1
"""Version of facts and stores; a change here makes old cache files unused."""
WORKING_SIDE = 1024
WINDOW = (0.5, 99.5)
FACTS = (
    "n_bytes", "width", "height", "mode", "content_digest", "pixel_digest", "n_outline_pixels", "error",
)  # fmt: skip

T = TypeVar("T")
R = TypeVar("R")


def decode(source: Path | Image.Image | np.ndarray) -> np.ndarray:
    """Return the pixels of an image: (height, width) or, if it has colour, (height, width, 3), of uint8.

    Raises:
        ImageError: not an image, truncated, or of a kind that is not understood.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        return _from_array(np.asarray(_upright(source)))
    try:
        with Image.open(source) as image:
            if image.format == "JPEG":
                image.draft(image.mode, _draft_size(image.size))
            return _from_array(np.asarray(_upright(image)))
    except FileNotFoundError:
        raise ImageError(f"{source}: missing") from None
    except UnidentifiedImageError:
        raise ImageError(f"{source}: not an image") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "truncated" if "truncated" in str(error).lower() else f"unreadable: {error}"
        raise ImageError(f"{source}: {reason}") from error


def _draft_size(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, WORKING_SIDE / max(size))
    return max(1, int(size[0] * scale)), max(1, int(size[1] * scale))


def _upright(image: Image.Image) -> Image.Image:
    """Apply the orientation a camera wrote, and turn palettes and rare colour spaces into grey or RGB."""
    image = ImageOps.exif_transpose(image)
    if image.mode in ("L", "RGB") or image.mode.startswith(("I", "F")):
        return image
    return image.convert("L" if image.mode in ("1", "LA") else "RGB")


def _from_array(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = pixels[..., :3]
    if pixels.size == 0 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise ImageError(f"pixels of shape {pixels.shape} are no image; expected (height, width) or (height, width, 3)")
    return pixels if pixels.dtype == np.uint8 else windowed(pixels)


def windowed(pixels: np.ndarray) -> np.ndarray:
    """Map grey levels of any depth to uint8 between the percentiles `WINDOW` of the non-zero pixels."""
    values = pixels.astype(np.float64)
    inside = values[values > 0]
    if not inside.size:
        return np.zeros(pixels.shape, dtype=np.uint8)
    low, high = np.percentile(inside, WINDOW)
    return np.rint(np.clip((values - low) / max(high - low, 1e-12), 0, 1) * 255).astype(np.uint8)


def as_grey(pixels: np.ndarray) -> np.ndarray:
    """Return (height, width) of uint8; grey stored as RGB comes out exactly as it was."""
    if pixels.ndim == 2:
        return pixels
    if (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all():
        return np.ascontiguousarray(pixels[..., 0])
    return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)


def outline_mask(pixels: np.ndarray) -> np.ndarray:
    """Return the mask of burned-in outlines, empty for a grey image."""
    return outlines.find(pixels) if pixels.ndim == 3 else np.zeros(pixels.shape, dtype=bool)


def pixel_digest(pixels: np.ndarray) -> str:
    """Return SHA-256 over shape and pixels; grey stored as RGB equals the same grey stored as grey."""
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    return hashlib.sha256(f"{pixels.shape}".encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def read_images(
    paths: Sequence[Path], *, cache: Path, workers: int = 0, progress: Progress | None = None
) -> pd.DataFrame:
    """Open every file and say what is in it.

    What was learned is kept below `cache`, by path, size and time of change, so a second call opens no unchanged file.

    Returns:
        One row per path, in order, with `FACTS`; `error` is empty for a readable image.
    """
    stamps = [_stamp(path) for path in paths]
    identity = hashlib.sha256("\n".join(sorted(str(path.resolve()) for path in paths)).encode()).hexdigest()[:16]
    file = cache / "images" / f"facts-{FORMAT}-{identity}.parquet"
    known = _known_facts(file)
    unread = [path for path, stamp in zip(paths, stamps, strict=True) if stamp not in known]
    found = list(_map(_facts, unread, "reading images", workers, progress))
    known |= {stamp: facts for stamp, facts in ((_stamp(p), f) for p, f in zip(unread, found, strict=True))}
    rows = pd.DataFrame([known[stamp] for stamp in stamps], columns=list(FACTS))
    if unread:
        _write_parquet(file, rows.assign(stamp=stamps))
    return rows


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return f"{path.resolve()}|absent"
    return f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}"


def _known_facts(file: Path) -> dict[str, dict[str, Any]]:
    """Return stamp -> facts of an earlier call; a damaged cache file counts as none. Errors are looked at anew."""
    try:
        stored = pd.read_parquet(file)
        good = stored[stored["error"] == ""].drop_duplicates("stamp").set_index("stamp")[list(FACTS)]
    except (OSError, ValueError, KeyError):
        return {}
    return {str(stamp): facts for stamp, facts in good.to_dict("index").items()}


def _write_parquet(file: Path, frame: pd.DataFrame) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}.part")
    frame.to_parquet(partial, index=False)
    partial.replace(file)


def _facts(path: Path) -> dict[str, Any]:
    nothing = {
        "n_bytes": 0, "width": 0, "height": 0, "mode": "", "content_digest": "", "pixel_digest": "",
        "n_outline_pixels": 0,
    }  # fmt: skip
    if not path.is_file():
        return nothing | {"error": "missing"}
    try:
        content = path.read_bytes()
        facts = nothing | {"n_bytes": len(content), "content_digest": hashlib.sha256(content).hexdigest()}
        pixels = decode(path)
        with Image.open(path) as image:
            size = {"width": image.width, "height": image.height, "mode": image.mode}
    except ImageError as error:
        return facts | {"error": str(error).removeprefix(f"{path}: ")}
    except OSError as error:
        return nothing | {"error": f"unreadable: {error.strerror}"}
    n_outline = int(outline_mask(pixels).sum())
    return facts | size | {"pixel_digest": pixel_digest(pixels), "n_outline_pixels": n_outline, "error": ""}


def _map(
    work: Callable[[T], R], items: Sequence[T], what: str, workers: int, progress: Progress | None
) -> Iterator[R]:
    """Yield `work(item)` in order from a pool of threads, telling the progress; an interrupt ends the pool."""
    pool = ThreadPoolExecutor(workers or min(os.cpu_count() or 1, 16))
    try:
        for done, result in enumerate(pool.map(work, items), start=1):
            if progress is not None:
                progress(what, done, len(items))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class ImageStore:
    """The cohort's images, decoded, treated and resized.

    Attributes:
        pixels: (n_images, size, size) of uint8, memory-mapped, row i for row i of the cohort.
        digest: 16 hex digits over the images' contents and everything that was done to them.
        pool: the real outlines of the cohort; a deployed model needs them to treat a new image the same way.
    """

    pixels: np.ndarray
    digest: str
    pool: OutlinePool


def open_store(
    paths: Sequence[Path], facts: pd.DataFrame, data: DataConfig, *, cache: Path, workers: int = 0,
    progress: Progress | None = None,
) -> ImageStore:  # fmt: skip
    """Open the store of some readable images, building it if it is not there.

    Args:
        paths: one file per cohort row.
        facts: their rows of `read_images`.
        data: outline treatment, size, resize and crop.
        cache: folder that holds stores; safe to delete.
        workers: threads; 0 for one per core.
        progress: told about decoding.
    """
    settings = data.model_dump(include={"image_size", "resize", "crop", "outlines"})
    identity = json.dumps([FORMAT, settings, facts["pixel_digest"].tolist()], sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    folder = cache / "images"
    pixels_file, pool_file = folder / f"store-{digest}.npy", folder / f"store-{digest}.npz"
    shape = (len(paths), data.image_size, data.image_size)
    stored = _opened(pixels_file, shape) if pool_file.exists() else None
    if stored is not None:
        return ImageStore(stored, digest, OutlinePool.load(pool_file))
    pool = _pool(paths, facts, data, workers, progress)
    folder.mkdir(parents=True, exist_ok=True)
    partial = pixels_file.with_name(f".{pixels_file.name}.{os.getpid()}.part")
    try:
        target = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
        treated = _map(lambda path: prepare(path, data, pool), paths, "storing images", workers, progress)
        for row, image in enumerate(treated):
            target[row] = image
        target.flush()
        partial.replace(pixels_file)
    finally:
        partial.unlink(missing_ok=True)
    pool.save(pool_file)
    return ImageStore(np.load(pixels_file, mmap_mode="r"), digest, pool)


def _opened(file: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return the stored array, or None where it is absent, torn or of another shape."""
    try:
        stored = np.load(file, mmap_mode="r")
    except (OSError, ValueError):
        return None
    return stored if stored.shape == shape and stored.dtype == np.uint8 else None


def _pool(
    paths: Sequence[Path], facts: pd.DataFrame, data: DataConfig, workers: int, progress: Progress | None
) -> OutlinePool:
    if data.outlines != "sham":
        return OutlinePool()
    outlined = [path for path, n in zip(paths, facts["n_outline_pixels"], strict=True) if n > 0]
    return OutlinePool.build(_map(_outline, outlined, "collecting outlines", workers, progress))


def _outline(path: Path) -> Outline:
    pixels = decode(path)
    return Outline.of(as_grey(pixels), outline_mask(pixels))


def prepare(source: Path | Image.Image | np.ndarray, data: DataConfig, pool: OutlinePool) -> np.ndarray:
    """Decode, treat, crop and resize one image: (image_size, image_size) of uint8, as the store has it.

    Raises:
        ImageError: the image cannot be read.
    """
    pixels = decode(source)
    treated = outlines.treat(as_grey(pixels), outline_mask(pixels), data.outlines, pool, pixel_digest(pixels))
    if data.crop == "breast":
        treated = cropped_to_breast(treated)
    return stretched(treated, data.image_size) if data.resize == "stretch" else letterboxed(treated, data.image_size)


def cropped_to_breast(grey: np.ndarray) -> np.ndarray:
    """Return the bounding box of the largest bright component (Otsu's threshold), or the whole image without one."""
    _, bright = cv2.threshold(cv2.GaussianBlur(grey, (5, 5), 0), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    n, _, stats, _ = cv2.connectedComponentsWithStats(bright, connectivity=8)
    if n < 2:
        return grey
    left, top, width, height, _ = stats[1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())]
    return grey[top : top + height, left : left + width]


def stretched(grey: np.ndarray, size: int, width: int | None = None) -> np.ndarray:
    """Resize to (size, width or size), averaging when it shrinks."""
    shape = (size, width or size)
    shrinks = grey.shape[0] > shape[0] or grey.shape[1] > shape[1]
    return cv2.resize(grey, shape[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def letterboxed(grey: np.ndarray, size: int) -> np.ndarray:
    """Resize with the aspect kept, centred on black: (size, size)."""
    scale = size / max(grey.shape)
    height, width = (max(1, round(side * scale)) for side in grey.shape)
    top, left = (size - height) // 2, (size - width) // 2
    box = np.zeros((size, size), dtype=np.uint8)
    box[top : top + height, left : left + width] = stretched(grey, height, width)
    return box
