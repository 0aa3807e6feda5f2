"""The cache of a results folder: its entries, their sizes, and making room. Everything in it can be made again."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from mmbc.errors import StudyError

GIB = 2**30
KINDS = {
    "features": "clean-*.npy",
    "pixels": "*",
    "phantom": "phantom-*",
    "traces": "*",
    "appearance": "*.npy",
    ".": "facts-*.parquet",
}
"""Subfolder -> pattern of its entries: clean features, prepared images, rendered phantoms, the audit's measurements of
outlines and of images, facts about files."""


@dataclass(frozen=True)
class Entry:
    """One file or folder of the cache.

    Attributes:
        kind: `features`, `pixels`, `phantom`, `traces`, `appearance` or `facts`.
        path: a file or a folder.
        n_bytes: size on disk.
        used: time of the last use, in seconds since 1970.
    """

    kind: str
    path: Path
    n_bytes: int
    used: float


def entries(cache: Path) -> list[Entry]:
    """Return the entries of a cache folder, the longest unused first."""
    kept = []
    for folder, pattern in KINDS.items():
        for path in (cache / folder).glob(pattern):
            if path.name.startswith("."):
                continue
            files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
            kind = "facts" if folder == "." else folder
            n_bytes = sum(file.stat().st_size for file in files)
            kept.append(Entry(kind, path, n_bytes, path.stat().st_mtime))
    return sorted(kept, key=lambda entry: (entry.used, str(entry.path)))


def remove(entry: Entry) -> None:
    """Delete an entry; a process that has it open keeps reading it."""
    if entry.path.is_dir():
        shutil.rmtree(entry.path, ignore_errors=True)
    else:
        entry.path.unlink(missing_ok=True)


def make_room(cache: Path, needed: int, limit: float) -> None:
    """Delete the longest unused clean features until `needed` more bytes fit below `limit` GiB and on the disk.

    Raises:
        StudyError: they alone are more than the limit, or than the disk has.
    """
    if needed > limit * GIB:
        raise StudyError(
            f"the clean features of this study take {needed / GIB:.1f} GiB, more than the limit of {limit:g} GiB; raise"
            f" it (--cache-gib {needed / GIB + 1:.0f}), use smaller images or fewer depths"
        )
    kept = [entry for entry in entries(cache) if entry.kind == "features"]
    total = sum(entry.n_bytes for entry in kept)
    free = shutil.disk_usage(_existing(cache)).free
    for entry in kept:
        if total + needed <= limit * GIB and free >= needed:
            return
        remove(entry)
        total, free = total - entry.n_bytes, free + entry.n_bytes
    if free < needed:
        raise StudyError(
            f"{cache}: the clean features take {needed / GIB:.1f} GiB, the disk has {free / GIB:.1f} GiB left; clear"
            " it, or put --out on another disk"
        )


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
