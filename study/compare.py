"""Compare finished studies, arm by arm: `python -m study.compare results/A results/B`. Needs no torch."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mmbc.errors import MmbcError
from study.console.report_screen import show_evaluation
from study.evaluation.evaluation import evaluate
from study.evaluation.side_by_side import together
from study.records.stored_study import load_study
from study.reporting.comparison import write_comparison

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    studies: Annotated[
        list[Path], typer.Argument(help="Folders of finished studies; each is compared with the first.")
    ],
    name: Annotated[str, typer.Option(help="Name of the report. Default: A-vs-B.")] = "",
    reports: Annotated[Path, typer.Option(help="Where reports lie.")] = Path("reports"),
    replicates: Annotated[int, typer.Option(min=100, help="Bootstrap draws.")] = 2000,
) -> None:
    """Compare the arms that studies have in common: another backbone, another preprocessing, another schedule.

    The studies must have tested the same patients in the same folds: run the second with `--folds
    results/A/folds.json`.
    """
    console = Console()
    try:
        joined = together([load_study(folder) for folder in studies])
        evaluation = evaluate(joined.study, n_replicates=replicates)
        report = write_comparison(joined, evaluation, reports / (name or joined.study.name))
    except MmbcError as error:
        console.print(f"error {type(error).__name__}: {error}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    for note in joined.notes:
        console.print(f"- {note}", highlight=False, markup=False)
    show_evaluation(console, evaluation, joined.study.cohort.notice)
    console.print(f"Report: {report}", soft_wrap=True)


if __name__ == "__main__":
    app()
