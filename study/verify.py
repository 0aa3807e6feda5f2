"""Recompute every number of a report from its predictions: `python -m study.verify reports/NAME`. Needs no torch."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mmbc.errors import MmbcError
from study.reporting.verification import verify

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    report: Annotated[Path, typer.Argument(help="Folder of a report: reports/NAME.")],
    study: Annotated[
        Path | None, typer.Option(help="Where its predictions lie. Default: in the report (study/), else results/NAME.")
    ] = None,
    results: Annotated[Path, typer.Option(help="Where studies lie.")] = Path("results"),
    redraw: Annotated[
        bool,
        typer.Option(
            "--redraw",
            help=(
                "Draw the figures again too and compare them bit by bit; needs the versions that the report was made"
                " with."
            ),
        ),
    ] = False,
    most: Annotated[int, typer.Option(min=1, help="Disagreements to print.")] = 20,
) -> None:
    """Say which numbers of a report do not follow from its predictions.

    Exit code 0: all do; 1: some do not; 2: it could not be checked.
    """
    console = Console()
    try:
        found = verify(report, study, results, redraw=redraw)
    except MmbcError as error:
        console.print(f"error {type(error).__name__}: {error}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    for disagreement in found[:most]:
        console.print(f"- {disagreement}", markup=False, highlight=False, soft_wrap=True)
    if len(found) > most:
        console.print(f"- and {len(found) - most} more (--most {len(found)} shows them)", markup=False, highlight=False)
    if found:
        files = len({disagreement.file for disagreement in found})
        console.print(f"{report}: {len(found)} disagreements in {files} files.", soft_wrap=True)
        raise typer.Exit(1)
    console.print(f"{report}: every number follows from its predictions.", soft_wrap=True)


if __name__ == "__main__":
    app()
