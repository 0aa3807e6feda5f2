"""Readers of cohorts: each turns the files at a path into a `Listing`, one row per listed image.

Adding a layout takes three steps:

1. A module beside this one with two functions: `recognise(path)`, whether the path has the layout, and
   `read(path, data, aside)`, its listing. `manifest` reads a table of any columns, `mini_ddsm` a fixed layout.
2. One entry in `known_readers`.
3. A test in `tests/mmbc/data/readers/` that reads a small folder of the layout, and one for every error it raises.

Importing this package loads no pandas: the modules of the readers are loaded when the first path is looked at.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache as remember
from pathlib import Path
from typing import TYPE_CHECKING

from mmbc.config import DataConfig
from mmbc.errors import CohortError, nearest

if TYPE_CHECKING:
    from mmbc.data.listing import Listing

PHANTOM = "phantom"
MANIFEST = "manifest"
DEFAULT_FOLDER = Path("mini_ddsm")
"""The folder that is read, where it exists, when no `--data` is given."""


@dataclass(frozen=True)
class Source:
    """Where a cohort comes from: the kind of its layout and the path (None for the phantom)."""

    kind: str
    path: Path | None


@dataclass(frozen=True)
class Reader:
    """One layout of files.

    Attributes:
        kind: its name, as in `--data KIND:PATH`.
        recognise: whether a path has this layout, told from the names of files alone.
        read: (path, settings, columns that decide on splits and are no features) -> listing.
    """

    kind: str
    recognise: Callable[[Path], bool]
    read: "Callable[[Path, DataConfig, tuple[str, ...]], Listing]"


@remember
def known_readers() -> dict[str, Reader]:
    """Return the readers by kind, in the order in which they are tried on a path."""
    from mmbc.data.readers import manifest, mini_ddsm

    readers = (
        Reader("mini-ddsm-v1", mini_ddsm.recognise_v1, mini_ddsm.read_v1),
        Reader("mini-ddsm-v2", mini_ddsm.recognise_v2, mini_ddsm.read_v2),
        Reader(MANIFEST, manifest.recognise, manifest.read),
    )
    return {reader.kind: reader for reader in readers}


def find_source(data: str | None) -> Source:
    """Resolve `--data`: nothing, `phantom`, a path, or `kind:path`.

    Raises:
        CohortError: no such path or kind, or a path at which no layout is recognised.
    """
    if data is None:
        return find_source(str(DEFAULT_FOLDER)) if DEFAULT_FOLDER.is_dir() else Source(PHANTOM, None)
    if data == PHANTOM:
        return Source(PHANTOM, None)
    readers = known_readers()
    kind, colon, rest = data.partition(":")
    if colon and kind in readers:
        return Source(kind, _existing(Path(rest)))
    if colon and not _exists(Path(data)) and len(kind) > 1 and "/" not in kind:
        raise CohortError(f"--data {data}: unknown kind {kind!r}; {nearest(kind, [*readers, PHANTOM])}")
    path = _existing(Path(data))
    for reader in readers.values():
        if reader.recognise(path):
            return Source(reader.kind, path)
    if path.is_file():
        from mmbc.data.tables.text_table import SUFFIXES

        raise CohortError(
            f"--data {data}: a table is one of {', '.join(SUFFIXES)}; save it as .xlsx, or as 'CSV UTF-8'"
        )
    raise CohortError(
        f"--data {data}: no known layout is recognised there; known: {', '.join(readers)}, {PHANTOM}. "
        "Your own cohort needs a table of its images: see docs/how-to/own-cohort.md"
    )


def _existing(path: Path) -> Path:
    if not _exists(path):
        raise CohortError(f"--data {path}: there is no such file or folder")
    return path


def _exists(path: Path) -> bool:
    """Whether there is something at a path.

    Raises:
        CohortError: that cannot be known: a name is too long, or a folder may not be entered.
    """
    try:
        return path.exists()
    except OSError as error:
        raise CohortError(f"--data {path}: cannot be opened: {error.strerror}") from None


def read(
    source: Source,
    data: DataConfig,
    *,
    cache: Path,
    render: bool,
    aside: tuple[str, ...] = (),
    progress: Callable[[str, int, int], None] | None = None,
) -> "Listing":
    """Read the listing of a source.

    Args:
        source: kind and path.
        data: how a manifest is read, and what the phantom is like.
        cache: folder in which the phantom's images are made.
        render: whether those images are needed.
        aside: columns that decide on splits: kept, but no features.
        progress: told about images that are made.

    Raises:
        CohortError: a cohort that cannot be read, or `--columns` or `--merge-ids` for a layout that has its own.
    """
    if source.kind != MANIFEST and data.columns:
        raise CohortError(f"--columns is for a manifest; {source.kind} has a layout of its own")
    if source.kind != MANIFEST and data.spellings == "merge":
        raise CohortError(f"--merge-ids is for a manifest; {source.kind} has keys of its own")
    if source.path is None:
        from mmbc.data.synthetic import phantom

        return phantom.read(data.phantom, cache / PHANTOM, render=render, progress=progress)
    return known_readers()[source.kind].read(source.path, data, aside)
