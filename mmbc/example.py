"""Write a synthetic cohort as a hospital might hand it over: `python -m mmbc.example hospital`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mmbc import command
from mmbc.command import Command, Terminal


@dataclass(frozen=True, kw_only=True)
class ExampleCohort(Command):
    """Write the example cohort (synthetic, not clinical evidence)."""

    folder: Annotated[Path, typer.Argument(help="Where to write images/ and synthetic.csv.")]
    patients: Annotated[int, typer.Option(min=20, max=100_000, help="Number of patients.")] = 60
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Another seed, other patients.")] = 11

    def run(self, terminal: Terminal) -> None:
        """Draw and write the images and the table."""
        from mmbc.data.synthetic.hospital import write

        table = write(self.folder, self.patients, self.seed)
        terminal.say(f"{len(table)} images of {self.patients} synthetic patients: {self.folder / 'synthetic.csv'}")


app = command.app(ExampleCohort)

if __name__ == "__main__":
    app()
