"""Write an example of a table of predictions: `python -m study.example synthetic.csv`."""

from pathlib import Path
from typing import Annotated

import typer

from study.imports.example_table import predictions

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
GAINS = {"cnn": 0.7, "clinical": 0.5, "fusion": 1.2}


@app.command()
def main(
    file: Annotated[Path, typer.Argument(help="Where to write the table (CSV).")],
    patients: Annotated[int, typer.Option(min=60, help="Number of patients.")] = 240,
    seeds: Annotated[int, typer.Option(min=1, help="Training seeds.")] = 3,
) -> None:
    """Write synthetic predictions of three models, as they could come from any program; not clinical evidence."""
    table = predictions(patients, GAINS, n_seeds=seeds, seed=5)
    file.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(file, index=False)
    typer.echo(f"{len(table)} predictions of {patients} synthetic patients by {', '.join(GAINS)}: {file}")


if __name__ == "__main__":
    app()
