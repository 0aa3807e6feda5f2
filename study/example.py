"""Write an example of a table of predictions: `python -m study.example synthetic.csv`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mmbc import command
from mmbc.command import Command, Terminal

GAINS = {"cnn": 0.7, "clinical": 0.5, "fusion": 1.2}


@dataclass(frozen=True, kw_only=True)
class Example(Command):
    """Write synthetic predictions of three models, as they could come from any program; not clinical evidence."""

    file: Annotated[Path, typer.Argument(help="Where to write the table (CSV).")]
    patients: Annotated[int, typer.Option(min=60, max=100_000, help="Number of patients.")] = 240
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Training seeds.")] = 3

    def run(self, terminal: Terminal) -> None:
        """Draw and write the table."""
        from study.imports.example_table import predictions

        table = predictions(self.patients, GAINS, n_seeds=self.seeds, seed=5)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(self.file, index=False)
        models = ", ".join(GAINS)
        terminal.say(f"{len(table)} predictions of {self.patients} synthetic patients by {models}: {self.file}")


app = command.app(Example)

if __name__ == "__main__":
    app()
