"""The image store: the network inputs of a cohort in a memory-mapped file, made once for the images and settings."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmbc.config import DataConfig, digest
from mmbc.data.images import outlines
from mmbc.data.images.decoding import FORMAT
from mmbc.data.images.outlines import OutlinePool
from mmbc.data.images.preparation import collect_outlines, fit_to_input, read_untreated
from mmbc.errors import ImageError, count, some
from mmbc.files import build_folder
from mmbc.threads import Progress, map_parallel


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

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process gets the path of mapped pixels and maps them too."""
        whole = not isinstance(self.pixels.base, np.ndarray)  # no view of other pixels
        if isinstance(self.pixels, np.memmap) and whole:
            return _mapped, (self.pixels.filename, self.pixels.shape, self.digest, self.pool)
        return ImageStore, (self.pixels, self.digest, self.pool)


def _mapped(file: Path, shape: tuple[int, ...], digest: str, pool: OutlinePool) -> ImageStore:
    """Return a store whose pixels lie in a file."""
    return ImageStore(np.memmap(file, dtype=np.uint8, mode="r", shape=shape), digest, pool)


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
        facts: their rows of `mmbc.data.images.facts.read_images`, in the same order.
        data: what the pixels depend on: `image_size`, `resize`, `crop`, `outlines`.
        cache: folder the store is kept in.
        workers: threads; 0 means one per core.
        progress: told about each image prepared.

    Raises:
        ImageError: a file that cannot be read, or that has changed since its facts were read; names the files. Or
            the disk has no room.
    """
    bad = [path.name for path, error in zip(paths, facts["error"], strict=True) if error]
    if bad:
        raise ImageError(f"{count(len(bad), 'image')} cannot be read: {some(bad)}")
    key = _key(list(facts["pixel_digest"]), data)
    folder = cache / "pixels" / key
    shape = (len(paths), data.image_size, data.image_size)
    if (kept := _open_folder(folder, key, shape)) is not None:
        return kept
    with build_folder(folder) as building:
        _check_room(building, len(paths) * data.image_size**2)
        _build(building, key, shape, paths, facts, data, workers, progress)
    store = _open_folder(folder, key, shape)
    if store is None:
        raise ImageError(f"{folder}: the pixels just written cannot be read back; is the disk full?")
    return store


def find_store(pixel_digests: Sequence[str], data: DataConfig, cache: Path) -> ImageStore | None:
    """Return the network inputs of images that were prepared before; None where they are not kept.

    Args:
        pixel_digests: of the images, in order.
        data: as in `open_store`.
        cache: likewise.
    """
    key = _key(pixel_digests, data)
    return _open_folder(cache / "pixels" / key, key, (len(pixel_digests), data.image_size, data.image_size))


def _key(pixel_digests: Sequence[str], data: DataConfig) -> str:
    settings = data.model_dump(include={"image_size", "resize", "crop", "outlines"}) | {"format": FORMAT}
    return digest({"settings": settings, "images": list(pixel_digests)})


def _check_room(folder: Path, needed: int) -> None:
    """Refuse pixels that the disk has no room for.

    Raises:
        ImageError: says how many GiB are needed and free.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ImageError(
            f"{folder.parent}: the images prepared for the network take {needed / 2**30:,.1f} GiB, the disk has"
            f" {free / 2**30:.1f} GiB left; use smaller images (--set data.image_size=224) or put --out on another disk"
        )


def _open_folder(folder: Path, key: str, shape: tuple[int, int, int]) -> ImageStore | None:
    """Open a finished store; None where there is none, or a damaged one."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        pool = OutlinePool.load(folder / "outlines.npz")
        whole = (folder / "pixels.u8").stat().st_size == int(np.prod(shape))
        if not whole or meta != _meta(key, shape, pool):
            return None
        return _mapped(folder / "pixels.u8", shape, meta["digest"], pool)
    except (OSError, ValueError, ImageError):
        return None


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
        grey, mask = read_untreated(path, data, content_digest)
        pixels[row] = fit_to_input(outlines.treat(grey, mask, data.outlines, pool, pixel_digest), data)

    for _ in map_parallel(work, range(len(paths)), workers, "preparing images", progress):
        pass
    pixels.flush()
    pool.save(folder / "outlines.npz")
    (folder / "meta.json").write_text(json.dumps(_meta(key, shape, pool)), encoding="utf-8")
