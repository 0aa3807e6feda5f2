"""Write the report of a study again: `python -m study.report results/NAME`. Needs no torch, no GPU and no images."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mmbc.errors import MmbcError
from study.evaluate import evaluate
from study.paper.pack import write_report
from study.paper.screen import comparisons_lines, summary_table
from study.paper.text import unfinished
from study.stored import load_study

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    study: Annotated[Path, typer.Argument(help="Folder of a study, finished or not: results/NAME.")],
    reports: Annotated[Path, typer.Option(help="Where reports lie.")] = Path("reports"),
    replicates: Annotated[int, typer.Option(min=100, help="Bootstrap draws.")] = 2000,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write what was printed, for machines.")] = None,
) -> None:
    """Turn a study's predictions into tables, figures and text."""
    console = Console()
    try:
        stored = load_study(study)
        evaluation = evaluate(stored, n_replicates=replicates)
        report = write_report(stored, evaluation, reports / stored.name)
    except MmbcError as error:
        console.print(f"error {type(error).__name__}: {error}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    if missing := unfinished(stored):
        console.print(f"{missing}.", highlight=False, markup=False)
    console.print(summary_table(evaluation, stored.cohort.notice))
    for line in comparisons_lines(evaluation):
        console.print(f"- {line}", highlight=False, markup=False)
    if json_file is not None:
        facts = {
            "study": stored.name, "summary": evaluation.summary.to_dict("records"),
            "comparisons": evaluation.comparisons.to_dict("records"), "gaps": list(evaluation.gaps),
        }  # fmt: skip
        json_file.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    console.print(f"Report: {report}", soft_wrap=True)


if __name__ == "__main__":
    app()
