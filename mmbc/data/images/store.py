"""Image files to network inputs: every file is read and checked first, then decoded and resized once into a store.

`read_images` opens every file and says what it holds; `open_store` keeps the treated, resized pixels in a memory-mapped
file; `prepare` does the same to a single image, to the same bytes. Work is shared by threads: decoding, hashing,
resizing and inpainting release the interpreter lock (two threads beat two spawned processes on the real images), and
threads are safe where torch is loaded and stop on Ctrl-C.
"""

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError

from mmbc.config import DataConfig, digest
from mmbc.data.images import outlines
from mmbc.data.images.outlines import Outline, OutlinePool
from mmbc.errors import ImageError, some

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, and how many there are."""

FACTS = {
    "n_bytes": "int64",
    "width": "int64",
    "height": "int64",
    "mode": "str",
    "content_digest": "str",
    "pixel_digest": "str",
    "n_outline_pixels": "int64",
    "constant": "bool",
    "error": "str",
}
"""The columns of `read_images` and what they hold."""

MISSING = "missing"

DIGEST_SIDE = 512
"""JPEGs are decoded for their pixel digest at libjpeg's smallest scale whose longer side is at least this many pixels.

It is fixed so that the cohort (duplicates are found by pixel digest) does not change with `data.image_size`.
"""

WINDOW = (0.005, 0.995)
"""Quantiles of the non-zero pixels of a 16-bit image that become black and white."""

FORMAT = 2
"""Raise it when the same file would give other facts or other pixels, so that what was kept is made anew."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class ImageStore:
    """The network inputs of a cohort.

    Attributes:
        pixels: (n_images, image_size, image_size) of uint8, memory-mapped and read-only; row i is image i.
        digest: 16 hex digits over the pixel digests in order, the settings that matter and the pool.
        pool: the real outlines that the sham treatment drew from; empty for the other treatments.
    """

    pixels: np.ndarray
    digest: str
    pool: OutlinePool


class _UnreadableError(Exception):
    """The short reason why a file is no usable image."""


# ---------------------------------------------------------------------------------------------- facts about the files


def read_images(
    paths: Sequence[Path], *, cache: Path, workers: int = 0, progress: Progress | None = None
) -> pd.DataFrame:
    """Open and decode every file and say what it holds.

    Args:
        paths: the files; one may be listed more than once.
        cache: folder in which facts are kept by (resolved path, size, time of change); a changed file is read again.
        workers: threads; 0 means one per core.
        progress: told about each file read.

    Returns:
        One row per path, in order, with the columns of `FACTS`. `error` is empty for a readable image, else a short
        reason such as "missing", "truncated" or "not an image"; such rows hold zeros and empty strings.
    """
    file = cache / f"facts-{FORMAT}.parquet"
    stamps = [_stamp(path) for path in paths]
    known = _load_facts(file)
    wanted = {stamp[0]: (stamp, path) for stamp, path in zip(stamps, paths, strict=True) if stamp not in known}
    fresh: dict[tuple[str, int, int], dict[str, Any]] = {}
    try:
        todo = list(wanted.values())
        for (stamp, _), facts in parallel(lambda item: _facts(item[1]), todo, workers, "reading images", progress):
            fresh[stamp] = facts
    finally:
        _save_facts(file, known, fresh)
    rows = [known.get(stamp) or fresh[stamp] for stamp in stamps]
    return pd.DataFrame(rows, columns=list(FACTS)).astype(FACTS)


def _facts(path: Path) -> dict[str, Any]:
    nothing: dict[str, Any] = {column: "" if kind == "str" else 0 for column, kind in FACTS.items()}
    try:
        content = _read(path)
        with _opened(content) as image:
            width, height, mode = image.width, image.height, image.mode
        pixels = _decode(content, DIGEST_SIDE)
    except _UnreadableError as error:
        return nothing | {"error": str(error)}
    return nothing | {
        "n_bytes": len(content),
        "width": width,
        "height": height,
        "mode": mode,
        "content_digest": hashlib.sha256(content).hexdigest(),
        "pixel_digest": _pixel_digest(pixels),
        "n_outline_pixels": int(outlines.find(pixels).sum()) if pixels.ndim == 3 else 0,
        "constant": bool((pixels == pixels.flat[0]).all()),
    }


def decoded(path: Path, pixel_digest: str | None = None) -> np.ndarray:
    """Return the pixels of a file that `read_images` takes the digest of, JPEGs at a reduced scale (see `DIGEST_SIDE`).

    Args:
        path: the file.
        pixel_digest: what its digest has to be, if that is known.

    Returns:
        (height, width) of uint8 or uint16, or (height, width, 3) of uint8 if there is colour.

    Raises:
        ImageError: the file cannot be read, or has changed since; names it.
    """
    try:
        pixels = _decode(_read(path), DIGEST_SIDE)
    except _UnreadableError as error:
        raise ImageError(f"{path}: {error}") from None
    if pixel_digest is not None and _pixel_digest(pixels) != pixel_digest:
        raise ImageError(f"{path}: has changed since it was first read in this run; run the command again")
    return pixels


def as_grey(pixels: np.ndarray) -> np.ndarray:
    """Return decoded pixels as grey, (height, width) of uint8; 16 bits are windowed (see `WINDOW`)."""
    return _split(pixels)[0]


def _stamp(path: Path) -> tuple[str, int, int]:
    """Return what identifies the state of a file: resolved path, size, time of change; (path, -1, -1) without one."""
    try:
        status = path.stat()
    except OSError:
        return str(path.resolve()), -1, -1
    return str(path.resolve()), status.st_size, status.st_mtime_ns


def _load_facts(file: Path) -> dict[tuple[str, int, int], dict[str, Any]]:
    """Return the facts kept by stamp; none where the file is absent or damaged, for they can be read again."""
    try:
        kept = pd.read_parquet(file)
        stamps = zip(kept["path"], kept["size"], kept["mtime_ns"], strict=True)
        records: list[Any] = kept[list(FACTS)].to_dict("records")
        return dict(zip(stamps, records, strict=True))
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _save_facts(
    file: Path, known: dict[tuple[str, int, int], dict[str, Any]], fresh: dict[tuple[str, int, int], dict[str, Any]]
) -> None:
    """Keep the facts of readable files by rename, the latest state of each path."""
    good = {stamp: facts for stamp, facts in fresh.items() if not facts["error"]}
    if not good:
        return
    latest = {stamp[0]: (stamp, facts) for stamp, facts in (*known.items(), *good.items())}
    rows = [dict(zip(("path", "size", "mtime_ns"), stamp, strict=True)) | facts for stamp, facts in latest.values()]
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    pd.DataFrame(rows).astype(FACTS).to_parquet(temporary)
    temporary.replace(file)


# --------------------------------------------------------------------------------------------------------- the store


def open_store(
    paths: Sequence[Path],
    facts: pd.DataFrame,
    data: DataConfig,
    *,
    cache: Path,
    workers: int = 0,
    progress: Progress | None = None,
) -> ImageStore:
    """Return the network inputs of images, made now or kept from an earlier call with the same images and settings.

    Args:
        paths: the files, readable ones only.
        facts: their rows of `read_images`, in the same order.
        data: what the pixels depend on: `image_size`, `resize`, `crop`, `outlines`.
        cache: folder the store is kept in.
        workers: threads; 0 means one per core.
        progress: told about each image prepared.

    Raises:
        ImageError: a file that cannot be read, or that has changed since its facts were read; names the files.
    """
    bad = [path.name for path, error in zip(paths, facts["error"], strict=True) if error]
    if bad:
        raise ImageError(f"{len(bad)} images cannot be read: {some(bad)}")
    settings = data.model_dump(include={"image_size", "resize", "crop", "outlines"}) | {"format": FORMAT}
    key = digest({"settings": settings, "images": list(facts["pixel_digest"])})
    folder = cache / "pixels" / key
    shape = (len(paths), data.image_size, data.image_size)
    if (kept := _open_folder(folder, key, shape)) is not None:
        return kept
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=folder.parent))
    try:
        _build(building, key, shape, paths, facts, data, workers, progress)
        move_into_place(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    store = _open_folder(folder, key, shape)
    if store is None:
        raise ImageError(f"{folder}: the pixels just written cannot be read back; is the disk full?")
    return store


def _open_folder(folder: Path, key: str, shape: tuple[int, int, int]) -> ImageStore | None:
    """Open a finished store; None where there is none, or a damaged one."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        pool = OutlinePool.load(folder / "outlines.npz")
        whole = (folder / "pixels.u8").stat().st_size == int(np.prod(shape))
        if not whole or meta != _meta(key, shape, pool):
            return None
        pixels = np.memmap(folder / "pixels.u8", dtype=np.uint8, mode="r", shape=shape)
    except (OSError, ValueError, ImageError):
        return None
    return ImageStore(pixels, meta["digest"], pool)


def _meta(key: str, shape: tuple[int, int, int], pool: OutlinePool) -> dict[str, Any]:
    return {"format": FORMAT, "key": key, "shape": list(shape), "digest": digest({"images": key, "pool": pool.digest})}


def _build(
    folder: Path,
    key: str,
    shape: tuple[int, int, int],
    paths: Sequence[Path],
    facts: pd.DataFrame,
    data: DataConfig,
    workers: int,
    progress: Progress | None,
) -> None:
    """Write the pixels, the pool and last the meta file.

    Images with outlines are read twice for the sham treatment: first for the pool that every image gets donors from.
    """
    pixels = np.memmap(folder / "pixels.u8", dtype=np.uint8, mode="w+", shape=shape)
    pool = OutlinePool()
    if data.outlines == "sham":
        pool = collect_outlines(paths, facts, data, workers=workers, progress=progress)
    files = list(zip(paths, facts["content_digest"], facts["pixel_digest"], strict=True))

    def work(row: int) -> None:
        path, content_digest, pixel_digest = files[row]
        grey, mask = untreated(path, data, content_digest)
        pixels[row] = _finish(outlines.treat(grey, mask, data.outlines, pool, pixel_digest), data)

    for _ in parallel(work, range(len(paths)), workers, "preparing images", progress):
        pass
    pixels.flush()
    pool.save(folder / "outlines.npz")
    (folder / "meta.json").write_text(json.dumps(_meta(key, shape, pool)), encoding="utf-8")


def collect_outlines(
    paths: Sequence[Path], facts: pd.DataFrame, data: DataConfig, *, workers: int = 0, progress: Progress | None = None
) -> OutlinePool:
    """Return the real outlines of images; the arguments are those of `open_store`."""

    def collect(row: int) -> Outline | None:
        grey, mask = untreated(paths[row], data, facts["content_digest"].iloc[row])
        return Outline.of(grey, mask) if mask.any() else None

    outlined = np.flatnonzero(facts["n_outline_pixels"] > 0).tolist()
    found = parallel(collect, outlined, workers, "reading outlined images", progress)
    return OutlinePool.build(outline for _, outline in found if outline is not None)


def untreated(path: Path, data: DataConfig, content_digest: str) -> tuple[np.ndarray, np.ndarray]:
    """Return an image as it is before treatment: grey of uint8 and the mask of its outlines, both (height, width).

    Raises:
        ImageError: the file cannot be read, or its content has another SHA-256 than `content_digest`; names the file.
    """
    return _split(_decode(_checked(path, content_digest), _decode_side(data)))


def _checked(path: Path, content_digest: str) -> bytes:
    try:
        content = _read(path)
    except _UnreadableError as error:
        raise ImageError(f"{path}: {error}") from None
    if hashlib.sha256(content).hexdigest() != content_digest:
        raise ImageError(f"{path}: has changed since it was first read in this run; run the command again")
    return content


def move_into_place(building: Path, folder: Path) -> None:
    """Rename a finished folder to its final name, over an incomplete one of that name."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        building.replace(folder)
    except OSError:
        if not folder.is_dir():  # else another process has just made the same
            raise


# ----------------------------------------------------------------------------------------------------- a single image


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
        source = _read(image) if isinstance(image, Path) else image
        grey, mask = _split(_decode(source, _decode_side(data)))
        donated = data.outlines == "sham" and len(pool) > 0
        key = _pixel_digest(_decode(source, DIGEST_SIDE)) if donated else ""
    except _UnreadableError as error:
        raise ImageError(f"{name}: {error}") from None
    return _finish(outlines.treat(grey, mask, data.outlines, pool, key), data)


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise _UnreadableError(MISSING) from None
    except OSError as error:
        raise _UnreadableError(f"cannot be opened: {error.strerror}") from None
    if not content:
        raise _UnreadableError("empty file")
    return content


def _opened(content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        raise _UnreadableError("not an image") from None
    except Image.DecompressionBombError:
        raise _UnreadableError("too large") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise _UnreadableError(f"damaged: {error}") from None


def _decode(source: bytes | np.ndarray | Image.Image, side: int) -> np.ndarray:
    """Return canonical pixels: (height, width) of uint8 or uint16, or (height, width, 3) of uint8 if there is colour.

    Args:
        source: the content of a file, a PIL image, or pixels.
        side: JPEG files are decoded at the smallest scale of libjpeg whose longer side is at least this long.
    """
    if isinstance(source, np.ndarray):
        return _canonical(source)
    if isinstance(source, Image.Image):
        return _canonical(_pixels(source))
    try:
        with _opened(source) as image:
            if image.format == "PNG":
                _verify(source)
            longer = max(image.size)
            image.draft(None, (max(1, side * image.width // longer), max(1, side * image.height // longer)))
            return _canonical(_pixels(image))
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as error:
        raise _UnreadableError("truncated" if "truncated" in str(error).lower() else f"damaged: {error}") from None


def _verify(content: bytes) -> None:
    """Check a PNG's checksums and its end, neither of which decoding looks at."""
    try:
        with _opened(content) as image:
            image.verify()
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        broken = "truncated" if b"IEND" not in content[-64:] else f"damaged: {error}"
        raise _UnreadableError(broken) from None


def _pixels(image: Image.Image) -> np.ndarray:
    """Return the pixels of a PIL image the right way up, without alpha."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):
        values = np.asarray(upright)
        if values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
            raise _UnreadableError("pixel values do not fit into 16 bits")
        return values.astype(np.uint16)
    if upright.mode == "F":
        raise _UnreadableError("floating-point pixels are not supported")
    upright.info.pop("transparency", None)
    return np.asarray(upright.convert("L" if upright.mode in ("1", "L", "LA", "La") else "RGB"))


def _canonical(pixels: np.ndarray) -> np.ndarray:
    """Check pixels and drop colour channels that say nothing, so that grey is grey however it was stored."""
    grey = pixels.ndim == 2 and pixels.dtype in (np.uint8, np.uint16)
    colour = pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8
    if not (grey or colour) or pixels.size == 0:
        raise _UnreadableError(f"pixels of shape {pixels.shape} and type {pixels.dtype}: expected a grey or RGB image")
    if colour and np.array_equal(pixels[..., 0], pixels[..., 1]) and np.array_equal(pixels[..., 1], pixels[..., 2]):
        pixels = pixels[..., 0]
    return np.ascontiguousarray(pixels)


def _pixel_digest(pixels: np.ndarray) -> str:
    """Return SHA-256 over type, shape and values of canonical pixels."""
    state = hashlib.sha256(f"{pixels.dtype} {pixels.shape}".encode())
    state.update(pixels.data)
    return state.hexdigest()


def _split(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn canonical pixels into grey of uint8 and the mask of their outlines of bool, both (height, width)."""
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


def _finish(grey: np.ndarray, data: DataConfig) -> np.ndarray:
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
    """Return how long the longer side of a scaled decoding must be, so that nothing is enlarged afterwards.

    A breast rarely fills less than half of the film, and mammograms are less than twice as long as they are wide.
    """
    return data.image_size * (2 if data.crop == "breast" else 1) * (2 if data.resize == "stretch" else 1)


# ------------------------------------------------------------------------------------------------------ shared threads


def parallel(
    function: Callable[[T], R], items: Sequence[T], workers: int, what: str, progress: Progress | None
) -> Iterator[tuple[T, R]]:
    """Yield (item, result) as results come; an error or Ctrl-C drops the work that has not begun."""
    threads = ThreadPoolExecutor(workers or available_cores())
    try:
        futures = {threads.submit(function, item): item for item in items}
        for done, future in enumerate(as_completed(futures), start=1):
            yield futures[future], future.result()
            if progress is not None:
                progress(what, done, len(items))
    finally:
        threads.shutdown(cancel_futures=True)


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
