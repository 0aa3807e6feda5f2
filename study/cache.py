"""What the cache of a results folder holds, and clearing it: `python -m study.cache`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from mmbc.cache import GIB, Entry, entries, remove
from mmbc.errors import ConfigError, MmbcError, nearest
from study.design.request import CACHE

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
MEANING = {
    "features": "trunk features of unaugmented images",
    "pixels": "decoded, resized images",
    "phantom": "images of synthetic cohorts",
    "appearance": "what the audit measured in images",
    "traces": "what the audit measured of removed outlines",
    "facts": "what every image file holds",
}


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="Where studies lie.")] = Path("results"),
    clear: Annotated[
        str, typer.Option(help=f"Delete these: 'all', or of {', '.join(MEANING)}, separated by commas.")
    ] = "",
    keep_gib: Annotated[
        float | None, typer.Option(min=0, help="Delete the longest unused until so much is left.")
    ] = None,
) -> None:
    """Show what is kept between runs, or delete it; everything in it is made again when it is needed."""
    console = Console()
    try:
        kinds = _kinds(clear)
        found = entries(out / CACHE)
        doomed = [entry for entry in found if entry.kind in kinds]
        if keep_gib is not None:
            left = sum(entry.n_bytes for entry in found if entry not in doomed)
            for entry in (entry for entry in found if entry not in doomed):
                if left <= keep_gib * GIB:
                    break
                doomed.append(entry)
                left -= entry.n_bytes
        for entry in doomed:
            remove(entry)
        console.print(_table(out, [entry for entry in found if entry not in doomed]))
        if doomed:
            console.print(f"deleted: {len(doomed)} entries, {sum(entry.n_bytes for entry in doomed) / GIB:.2f} GiB")
    except MmbcError as error:
        console.print(str(error), highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(2) from None


def _kinds(clear: str) -> set[str]:
    """Read `--clear`."""
    names = {name.strip() for name in clear.split(",") if name.strip()}
    for name in names - {"all", *MEANING}:
        raise ConfigError(f"--clear {name}: {nearest(name, ['all', *MEANING])}")
    return set(MEANING) if "all" in names else names


def _table(out: Path, found: list[Entry]) -> Table:
    table = Table("kind", "what", "entries", "GiB", title=f"Kept in {out / CACHE}")
    for kind, meaning in MEANING.items():
        chosen = [entry for entry in found if entry.kind == kind]
        table.add_row(kind, meaning, str(len(chosen)), f"{sum(entry.n_bytes for entry in chosen) / GIB:.2f}")
    return table


if __name__ == "__main__":
    app()
