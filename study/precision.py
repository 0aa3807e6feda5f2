"""What a cohort of some size can show, before anything is trained: `python -m study.precision --patients 300 ...`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from mmbc.errors import ConfigError, MmbcError
from study.console.precision_text import assumptions, lines, resolution
from study.stats.planner import Plan, PlanResult, plan

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    patients: Annotated[int, typer.Option(help="Patients in the cohort.")],
    prevalence: Annotated[float, typer.Option(help="Share of patients with a positive label.")],
    auc: Annotated[float, typer.Option(help="Expected AUC.")],
    images_per_patient: Annotated[float, typer.Option(help="Mean number of images of a patient.")] = 4,
    folds: Annotated[int, typer.Option(help="Folds of the cross-validation.")] = 5,
    repeats: Annotated[int, typer.Option(help="Repeats of the cross-validation.")] = 1,
    correlation: Annotated[float, typer.Option(help="Correlation of the AUC estimates of two ablations.")] = 0.6,
    icc: Annotated[float, typer.Option(help="Correlation of the placement values of a patient's images.")] = 0.5,
    delta: Annotated[float, typer.Option(help="Differences in AUC up to this are practically none.")] = 0.02,
    power: Annotated[float, typer.Option(help="Probability with which a difference is to be found.")] = 0.8,
    half_width: Annotated[float, typer.Option(help="Half the width wanted of the 95 % interval (E1).")] = 0.05,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write what was printed, for machines.")] = None,
) -> None:
    """Say how precise an AUC will be, which difference between ablations can be found, and how many patients it takes."""
    console = Console()
    try:
        result = _planned(
            n_patients=patients,
            prevalence=prevalence,
            auc=auc,
            images_per_patient=images_per_patient,
            folds=folds,
            repeats=repeats,
            correlation=correlation,
            icc=icc,
            delta=delta,
            power=power,
            half_width=half_width,
        )
        if json_file is not None:
            _write(json_file, result)
    except MmbcError as error:
        console.print(f"error {type(error).__name__}: {error}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    console.print(_table(result))
    console.print(assumptions(result.inputs), highlight=False)
    console.print(resolution(result), highlight=False)


def _planned(**inputs: float) -> PlanResult:
    """Plan, with a value outside its range as the user's to mend."""
    try:
        return plan(Plan(**inputs))  # type: ignore[arg-type]
    except ValueError as error:
        name, _, rest = str(error).partition(" ")
        option = "patients" if name == "n_patients" else name.replace("_", "-")
        raise ConfigError(f"--{option} {rest}") from None


def _write(file: Path, result: PlanResult) -> None:
    """Write the numbers, the lines of the table and the sentences."""
    sentences = {"assumptions": assumptions(result.inputs), "resolution": resolution(result)}
    facts = {**asdict(result), "lines": dict(lines(result)), **sentences}
    try:
        file.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--json {file}: {error.strerror}") from None


def _table(result: PlanResult) -> Table:
    inputs = result.inputs
    table = Table(
        "expected",
        "value",
        title=(
            f"{inputs.n_patients} patients, prevalence {inputs.prevalence:g}, {inputs.folds} folds, "
            f"{inputs.repeats} repeat{'' if inputs.repeats == 1 else 's'}"
        ),
    )
    for label, value in lines(result):
        table.add_row(label, value)
    return table


if __name__ == "__main__":
    app()
