"""Expected precision of a study, before anything is trained: `python -m study.precision --patients 300 ...`."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbc import command
from mmbc.command import Command, Terminal
from mmbc.errors import ConfigError

if TYPE_CHECKING:
    from study.stats.planner import PlanResult


@dataclass(frozen=True, kw_only=True)
class Precision(Command):
    """Say how precise an AUC will be, which difference between arms can be found, and how many patients it takes."""

    patients: Annotated[int, typer.Option(max=10_000_000, help="Patients in the cohort.")]
    prevalence: Annotated[float, typer.Option(help="Share of patients with a positive label.")]
    auc: Annotated[float, typer.Option(help="Expected AUC.")]
    images_per_patient: Annotated[float, typer.Option(max=1000, help="Mean number of images of a patient.")] = 4
    folds: Annotated[int, typer.Option(max=1000, help="Folds of the cross-validation.")] = 5
    repeats: Annotated[int, typer.Option(max=1000, help="Repeats of the cross-validation.")] = 1
    correlation: Annotated[float, typer.Option(help="Correlation of the AUC estimates of two arms.")] = 0.6
    icc: Annotated[float, typer.Option(help="Correlation of the placement values of a patient's images.")] = 0.5
    delta: Annotated[float, typer.Option(help="Largest difference in AUC without practical meaning (δ).")] = 0.02
    power: Annotated[float, typer.Option(help="Wanted probability of finding a difference that exists.")] = 0.8
    half_width: Annotated[float, typer.Option(help="Wanted half width of the 95 % interval for the fitted models.")] = (
        0.05
    )
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write what was printed as JSON, for other programs.")
    ] = None

    def run(self, terminal: Terminal) -> None:
        """Plan, and print the table and what it means."""
        from mmbc.files import check_file
        from study.console import precision_text
        from study.console.json_output import write_facts

        if self.json_file is not None:
            check_file(self.json_file, "--json", (b"{", b"["))
        result = self.planned()
        write_facts(self.json_file, precision_text.facts(result))
        terminal.console.print(precision_text.table(result))
        terminal.console.print(precision_text.assumptions(result.inputs), highlight=False)
        terminal.console.print(precision_text.resolution(result), highlight=False)

    def planned(self) -> "PlanResult":
        """Return the plan.

        Raises:
            ConfigError: a value outside its range, named as the option is.
        """
        from study.stats.planner import Plan, plan

        inputs = {name: value for name, value in asdict(self).items() if name != "json_file"}
        try:
            return plan(Plan(n_patients=inputs.pop("patients"), **inputs))
        except ValueError as error:
            name, _, rest = str(error).partition(" ")
            raise ConfigError(f"{command.flag(name.removeprefix('n_'))} {rest}") from None


app = command.app(Precision)

if __name__ == "__main__":
    app()
