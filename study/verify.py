"""Recompute every number of a report from its predictions: `python -m study.verify reports/NAME`. Needs no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mmbc import command
from mmbc.command import Command, Terminal
from mmbc.errors import count


@dataclass(frozen=True, kw_only=True)
class Verify(Command):
    """Say which numbers of a report do not follow from its predictions, and where it departs from its analysis plan.

    Exit code 0: all do, and every file is as it was written; 1: some do not, or a file was edited, deleted or added;
    2: nothing could be checked.
    """

    report: Annotated[Path, typer.Argument(help="Folder of a report: reports/NAME.")]
    study: Annotated[
        Path | None, typer.Option(help="Where its predictions lie. Default: in the report (study/), else results/NAME.")
    ] = None
    results: Annotated[Path, typer.Option(help="Where studies lie.")] = Path("results")
    redraw: Annotated[
        bool,
        typer.Option(
            "--redraw",
            help=(
                "Draw the figures again too and compare them bit by bit; needs the versions that the report was made"
                " with."
            ),
        ),
    ] = False
    most: Annotated[int, typer.Option(min=1, max=1_000_000, help="Disagreements to print.")] = 20

    def run(self, terminal: Terminal) -> int:
        """Compare and list what differs."""
        from study.reporting.verification import verify

        differing = verify(self.report, self.study, self.results, redraw=self.redraw, say=terminal.say)
        for disagreement in differing[: self.most]:
            terminal.say(f"- {disagreement}")
        if len(differing) > self.most:
            terminal.say(f"- and {len(differing) - self.most} more (--most {len(differing)} shows them)")
        if differing:
            files = len({disagreement.file for disagreement in differing})
            terminal.say(f"{self.report}: {count(len(differing), 'disagreement')} in {count(files, 'file')}.")
            return 1
        terminal.say(f"{self.report}: every number follows from its predictions.")
        return 0


app = command.app(Verify)

if __name__ == "__main__":
    app()
