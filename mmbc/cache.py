"""The cache of a results folder: its entries, their sizes, and making room. Everything in it can be made again."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from mmbc.errors import StudyError

GIB = 2**30
KINDS = {
    "features": "*.npy",
    "pixels": "*",
    "phantom": "phantom-*",
    "traces": "*",
    "appearance": "*.npy",
    ".": "facts-*.parquet",
}
"""Subfolder -> pattern of its entries: trunk features, prepared images, rendered phantoms, the audit's measurements of
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


def make_room(cache: Path, needed: int, limit: float, *, own: int = 0) -> None:
    """Delete the longest unused features until `needed` more bytes fit below `limit` GiB and on the disk.

    Args:
        cache: the cache folder.
        needed: bytes to be written.
        limit: largest size of all features, in GiB.
        own: bytes of the same study that are there already, and have just been used.

    Raises:
        StudyError: the features of the study alone are more than the limit, or than the disk has.
    """
    if needed + own > limit * GIB:
        raise StudyError(
            f"the features that this study keeps take {(needed + own) / GIB:.1f} GiB, more than the limit of"
            f" {limit:g} GiB; raise it (--cache-gib {(needed + own) / GIB + 1:.0f}), use smaller images, fewer depths"
            " or a smaller train.view_bank"
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
            f"{cache}: the features take {needed / GIB:.1f} GiB, the disk has {free / GIB:.1f} GiB left; clear"
            " it, or put --out on another disk"
        )


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
