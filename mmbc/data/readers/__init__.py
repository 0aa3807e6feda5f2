"""One module a cohort layout; each turns what is at a path into a `Listing`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmbc.config import DataConfig
from mmbc.data.listing import Listing
from mmbc.data.readers import manifest, mini_ddsm, phantom
from mmbc.errors import CohortError, nearest

PHANTOM = "phantom"
FOUND_HERE = Path("mini_ddsm")
"""The folder that is read when no `--data` is given."""


@dataclass(frozen=True)
class Source:
    """Where a cohort comes from: the kind of its layout and the path (None for the phantom)."""

    kind: str
    path: Path | None


Read = Callable[[Path, DataConfig, tuple[str, ...]], Listing]

READERS: dict[str, tuple[Callable[[Path], bool], Read]] = {
    "mini-ddsm-v1": (mini_ddsm.recognise_v1, lambda path, *_: mini_ddsm.read_v1(path)),
    "mini-ddsm-v2": (mini_ddsm.recognise_v2, lambda path, *_: mini_ddsm.read_v2(path)),
    manifest.KIND: (manifest.recognise, manifest.read),
}


def find_source(data: str | None) -> Source:
    """Resolve `--data`: nothing, `phantom`, a path, or `kind:path`.

    Raises:
        CohortError: no such path or kind, or a path at which no layout is recognised.
    """
    if data is None:
        return find_source(str(FOUND_HERE)) if FOUND_HERE.is_dir() else Source(PHANTOM, None)
    if data == PHANTOM:
        return Source(PHANTOM, None)
    kind, colon, rest = data.partition(":")
    if colon and kind in READERS:
        return Source(kind, _existing(Path(rest)))
    if colon and not Path(data).exists() and len(kind) > 1 and "/" not in kind:
        raise CohortError(f"--data {data}: unknown kind {kind!r}; {nearest(kind, [*READERS, PHANTOM])}")
    path = _existing(Path(data))
    for name, (recognise, _) in READERS.items():
        if recognise(path):
            return Source(name, path)
    raise CohortError(
        f"--data {data}: no known layout is recognised there; known: {', '.join(READERS)}, {PHANTOM}. "
        "Your own cohort needs a table of its images: see 'Your own cohort' in README.md"
    )


def _existing(path: Path) -> Path:
    if not path.exists():
        raise CohortError(f"--data {path}: there is no such file or folder")
    return path


def read(
    origin: Source,
    data: DataConfig,
    *,
    cache: Path,
    render: bool,
    aside: tuple[str, ...] = (),
    progress: Callable[[str, int, int], None] | None = None,
) -> Listing:
    """Read the listing of a source; the phantom's images are made below `cache` if `render` is set.

    Args:
        origin: kind and path.
        data: how a manifest is read.
        cache: where the phantom's images lie.
        render: whether they are needed.
        aside: columns that decide on splits and are no features.
        progress: told about images that are made.
    """
    if origin.kind != manifest.KIND and data.columns:
        raise CohortError(f"--columns is for a manifest; {origin.kind} has a layout of its own")
    if origin.path is None:
        return phantom.read(data.phantom, cache / "phantom", render=render, progress=progress)
    return READERS[origin.kind][1](origin.path, data, aside)
