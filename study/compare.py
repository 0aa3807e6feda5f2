"""Compare finished studies, arm by arm: `python -m study.compare results/A results/B`. Needs no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mmbc import command
from mmbc.command import Command, Terminal


@dataclass(frozen=True, kw_only=True)
class Compare(Command):
    """Compare the arms that studies have in common: another backbone, another preprocessing, another schedule.

    The studies must have tested the same patients in the same folds: run the second with `--folds
    results/A/folds.json`.
    """

    studies: Annotated[list[Path], typer.Argument(help="Folders of finished studies; each is compared with the first.")]
    name: Annotated[str, typer.Option(help="Name of the report. Default: A-vs-B.")] = ""
    reports: Annotated[Path, typer.Option(help="Where reports lie.")] = Path("reports")
    replicates: Annotated[int, typer.Option(min=100, max=100_000, help="Bootstrap draws.")] = 2000

    def run(self, terminal: Terminal) -> None:
        """Evaluate the studies as one, and write its report."""
        from mmbc.files import check_place
        from study.console.report_screen import show_evaluation
        from study.design.study_name import check_name, fitting
        from study.evaluation.evaluation import evaluate
        from study.evaluation.joint_study import join_studies
        from study.records.stored_study import load_study
        from study.reporting.comparison import write_comparison

        check_name(self.name)
        check_place(self.reports, "--reports")
        joined = join_studies([load_study(folder) for folder in self.studies])
        evaluation = evaluate(joined.study, n_replicates=self.replicates)
        report = write_comparison(joined, evaluation, self.reports / (self.name or fitting(joined.study.name)))
        for note in joined.notes:
            terminal.console.print(f"- {note}", highlight=False, markup=False)
        show_evaluation(terminal.console, joined.study, evaluation)
        terminal.console.print(f"Report: {report}", markup=False, soft_wrap=True)


app = command.app(Compare)

if __name__ == "__main__":
    app()
