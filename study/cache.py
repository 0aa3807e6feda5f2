"""The cache of a results folder, shown or cleared: `python -m study.cache`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from mmbc import command
from mmbc.cache import GIB, Entry, entries, remove
from mmbc.command import Command, Terminal
from mmbc.errors import ConfigError, nearest
from study.design.request import CACHE

MEANING = {
    "features": "what the frozen layers make of images",
    "pixels": "decoded, resized images",
    "phantom": "images of synthetic cohorts",
    "appearance": "what the audit measured in images",
    "traces": "what the audit measured of removed outlines",
    "facts": "what every image file holds",
}


@dataclass(frozen=True, kw_only=True)
class Cache(Command):
    """Show what is kept between runs, or delete it; everything in it is made again when it is needed."""

    out: Annotated[Path, typer.Option(help="Where studies lie.")] = Path("results")
    clear: Annotated[
        str, typer.Option(help=f"Delete these: 'all', or any of {', '.join(MEANING)}, separated by commas.")
    ] = ""
    keep_gib: Annotated[
        float | None,
        typer.Option(min=0, max=1_000_000, help="Delete what was unused longest, until no more than this is left."),
    ] = None

    def run(self, terminal: Terminal) -> None:
        """Delete what is asked for and show what is left."""
        kinds = _kinds(self.clear)
        kept = entries(self.out / CACHE)
        doomed = [entry for entry in kept if entry.kind in kinds]
        kept = [entry for entry in kept if entry.kind not in kinds]
        while self.keep_gib is not None and kept and _n_bytes(kept) > self.keep_gib * GIB:
            doomed.append(kept.pop(0))
        for entry in doomed:
            remove(entry)
        terminal.console.print(_table(self.out, kept))
        if doomed:
            terminal.console.print(f"deleted: {len(doomed)} entries, {_n_bytes(doomed) / GIB:.2f} GiB")


def _kinds(clear: str) -> set[str]:
    """Read `--clear`."""
    names = {name.strip() for name in clear.split(",") if name.strip()}
    for name in names - {"all", *MEANING}:
        raise ConfigError(f"--clear {name}: {nearest(name, ['all', *MEANING])}")
    return set(MEANING) if "all" in names else names


def _n_bytes(entries: Sequence[Entry]) -> int:
    return sum(entry.n_bytes for entry in entries)


def _table(out: Path, kept: Sequence[Entry]) -> Table:
    table = Table("kind", "what", "entries", "GiB", title=f"Kept in {out / CACHE}")
    for kind, meaning in MEANING.items():
        chosen = [entry for entry in kept if entry.kind == kind]
        table.add_row(kind, meaning, str(len(chosen)), f"{_n_bytes(chosen) / GIB:.2f}")
    return table


app = command.app(Cache)

if __name__ == "__main__":
    app()
