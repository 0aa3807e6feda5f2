"""Facts about image files: size, mode, digests and outline pixels of each, or why it cannot be used.

Facts are kept between runs by the state of the file, so that a large cohort is read once.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mmbc.data.images import decoding, outlines
from mmbc.files import write_atomically
from mmbc.threads import Progress, map_parallel

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
"""The columns of the facts and their types."""

FORMAT = 3
"""Raise it when the same file would give other facts, an error among them, so that files are read anew."""

Stamp = tuple[str, int, int]
"""The state of a file: resolved path, size in bytes, time of change in ns."""


def read_images(
    paths: Sequence[Path], *, cache: Path, workers: int = 0, progress: Progress | None = None
) -> pd.DataFrame:
    """Return the facts about image files; each is opened and decoded once.

    Args:
        paths: the files; one may be listed more than once.
        cache: folder in which the facts are kept by `Stamp`; a changed file is read again.
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
    fresh: dict[Stamp, dict[str, Any]] = {}
    try:
        todo = list(wanted.values())
        for (stamp, _), facts in map_parallel(lambda item: _facts(item[1]), todo, workers, "reading images", progress):
            fresh[stamp] = facts
    finally:
        _save_facts(file, known, fresh)
    rows = [known.get(stamp) or fresh[stamp] for stamp in stamps]
    return pd.DataFrame(rows, columns=list(FACTS)).astype(FACTS)


def _facts(path: Path) -> dict[str, Any]:
    nothing: dict[str, Any] = {column: "" if kind == "str" else 0 for column, kind in FACTS.items()}
    try:
        content = decoding.read_bytes(path)
        with decoding.open_image(content, path.name) as image:
            width, height, mode = image.width, image.height, image.mode
        pixels = decoding.decode(content, decoding.DIGEST_SIDE, path.name)
    except decoding.UnreadableError as error:
        return nothing | {"error": str(error)}
    return nothing | {
        "n_bytes": len(content),
        "width": width,
        "height": height,
        "mode": mode,
        "content_digest": hashlib.sha256(content).hexdigest(),
        "pixel_digest": decoding.digest_pixels(pixels),
        "n_outline_pixels": int(outlines.find(pixels).sum()) if pixels.ndim == 3 else 0,
        "constant": bool((pixels == pixels.flat[0]).all()),
    }


def _stamp(path: Path) -> Stamp:
    """Return the state of a file; (path, -1, -1) where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return str(path.absolute()), -1, -1
    return str(path.resolve()), status.st_size, status.st_mtime_ns


def _load_facts(file: Path) -> dict[Stamp, dict[str, Any]]:
    """Return the facts kept by stamp; none where the file is absent or damaged, for they can be read again."""
    try:
        kept = pd.read_parquet(file)
        stamps = zip(kept["path"], kept["size"], kept["mtime_ns"], strict=True)
        records: list[Any] = kept[list(FACTS)].to_dict("records")
        return dict(zip(stamps, records, strict=True))
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _save_facts(file: Path, known: dict[Stamp, dict[str, Any]], fresh: dict[Stamp, dict[str, Any]]) -> None:
    """Keep the facts of readable files, for the latest state of each path."""
    good = {stamp: facts for stamp, facts in fresh.items() if not facts["error"]}
    if not good:
        return
    latest = {stamp[0]: (stamp, facts) for stamp, facts in (*known.items(), *good.items())}
    rows = [dict(zip(("path", "size", "mtime_ns"), stamp, strict=True)) | facts for stamp, facts in latest.values()]
    write_atomically(file, pd.DataFrame(rows).astype(FACTS).to_parquet())
