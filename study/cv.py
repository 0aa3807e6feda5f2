"""Cross-validate a set of ablations: `python -m study.cv --ablation all`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from mmbc import command
from mmbc.command import Command, Terminal
from study.console.options import CrossValidationOptions, cohort_option

if TYPE_CHECKING:
    from study.console.live_view import View
    from study.design.request import Request
    from study.reporting.manifest import Options


@dataclass(frozen=True, kw_only=True)
class CrossValidate(CrossValidationOptions, Command):
    """Train every arm in every fold and report what each part of the model contributes.

    Begin with --describe, then --dry-run. Running the same command again continues; more --repeats, --seeds or arms
    extend the study.

    Words: an arm is one of the models that are compared. A fold is one division of the patients into training and test;
    a repeat divides them into folds anew; a seed is the start of all random numbers of a training. A cell is one model
    that is trained: an arm in a fold of a repeat with a seed.
    """

    describe: Annotated[bool, cohort_option("Show what is understood of the cohort, and stop.", "--describe")] = False

    def run(self, terminal: Terminal) -> None:
        """Say that a study is finished, or plan it, train what is not finished, and write the report."""
        from study.console import requests
        from study.console.finished_study import is_finished
        from study.console.live_view import View
        from study.reporting.manifest import Options

        view = View(terminal.console)
        request = requests.cross_validation(self)
        pack = Options(figures=self.figures, archive=self.with_predictions, examples=self.example_images)
        if not (self.describe or self.dry_run or self.write_plan or self.json_file):
            with view:
                if is_finished(terminal, request, self.reports, pack, view):
                    return
        self.carry_out(terminal, request, view, pack)

    def carry_out(self, terminal: Terminal, request: "Request", view: "View", pack: "Options") -> None:
        """Plan, train what is not finished, and write the report."""
        from study.checks.study_start import start_findings
        from study.checks.user_checks import checks_of
        from study.cohort.description import write_description
        from study.cohort.inspection import describe
        from study.console import plan_screen, requests
        from study.console.interruption import interrupted
        from study.console.json_output import write_facts
        from study.console.plan_file import write_plan_file
        from study.console.report_screen import write_report
        from study.training.preparation import prepare
        from study.training.run import carry_out

        console = terminal.console
        terminal.if_interrupted = lambda: interrupted(view, "study.cv", terminal.words)
        with view:
            if self.describe:
                description = describe(request, view)
                plan_screen.show_description(console, description)
                write_facts(self.json_file, description.facts())
                page, kept = write_description(description, self.reports)
                if kept is not None:
                    terminal.say(f"The page on another table that is called the same was kept: {kept}")
                terminal.say(f"The same as Markdown: {page}")
                return
            checks_of(request.study)  # a file of checks that cannot be is refused before any work
            if self.dry_run:
                plan_screen.show_outline(console, prepare(request, view, open_files=False))
            planned = prepare(request, view)
            command = ["python", "-m", "study.cv", *terminal.words]
            if self.write_plan is not None:
                plan_screen.show_plan(terminal, write_plan_file(planned, self.write_plan, command), self.write_plan)
                return
            findings = start_findings(planned, request, view)
            plan_screen.show(console, planned, request, findings, requests.audit_command(self))
            if self.dry_run:
                plan_screen.show_forecast(console, planned, request)
                write_facts(self.json_file, plan_screen.plan_facts(planned))
                return
            carry_out(planned, request, view, command=command, findings=findings)
        write_report(console, planned.folder, self.reports, self.json_file, pack)


app = command.app(CrossValidate)

if __name__ == "__main__":
    app()
