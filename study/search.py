"""Search hyper-parameters without fooling yourself: `python -m study.search --ablation all --trials 50`."""

from dataclasses import dataclass

from mmbc import command
from mmbc.command import Command, Terminal
from study.api.callables import make_callable
from study.console.options import SearchRunOptions


@dataclass(frozen=True, kw_only=True)
class SearchSettings(SearchRunOptions, Command):
    """Search every arm's settings with the same budget, train the winners, and test each once.

    Begin with --dry-run. Running the same command again continues; on several machines or GPUs, with one --storage, it
    shares the work. The report says what was searched, what was chosen in each fold, and what the whole procedure
    achieves.

    Words: an arm is one of the models that are compared. A fold is one division of the patients into training and test;
    a repeat divides them into folds anew; a seed is the start of all random numbers of a training. A cell is one model
    that is trained: an arm in a fold of a repeat with a seed.
    """

    def run(self, terminal: Terminal) -> None:
        """Plan, search, train the winners, and write the report."""
        from study.checks.study_start import start_findings
        from study.checks.user_checks import checks_of
        from study.console import plan_screen, requests, search_screen
        from study.console.interruption import search_interrupted
        from study.console.json_output import write_facts
        from study.console.live_view import View
        from study.console.plan_file import write_plan_file
        from study.console.report_screen import write_report
        from study.reporting.manifest import Options
        from study.training.preparation import Planned, prepare
        from study.tuning.forecast import search_seconds
        from study.tuning.search import SearchWork, run_search
        from study.tuning.targets import targets_of

        console = terminal.console
        if self.dashboard:
            search_screen.serve_dashboard(terminal, self.out, self.name, self.storage, self.port)
            return
        planned: Planned | None = None
        view = View(console)
        words = self.typed(terminal)[3:]
        terminal.if_interrupted = lambda: search_interrupted(view, planned, "study.search", words)
        request, work = requests.search(self), SearchWork(self.storage, self.wave)
        with view:
            checks_of(request.study)  # a file of checks that cannot be is refused before any work
            if self.dry_run:
                plan_screen.show_outline(console, prepare(request, view, open_files=False))
            planned = prepare(request, view)
            targets = targets_of(planned)
            if self.write_plan is not None:
                plan = write_plan_file(planned, self.write_plan, self.typed(terminal))
                plan_screen.show_plan(terminal, plan, self.write_plan)
                return
            findings = start_findings(planned, request, view)
            search_screen.show(console, planned, targets, findings, requests.audit_command(self))
            n_together = search_screen.show_waves(console, planned, targets, work, request)
            search_screen.show_progress(console, planned, request)
            if self.dry_run:
                seconds = search_seconds(planned, targets, request, n_together)
                console.print(search_screen.cost_line(seconds), highlight=False)
                write_facts(self.json_file, search_screen.plan_facts(planned, targets))
                return
            searched = run_search(
                planned, request, work, observer=view, say=terminal.say, command=self.typed(terminal), findings=findings
            )
        console.print(search_screen.winners_table(searched, list(planned.study.arms), planned.cohort.notice))
        console.print(search_screen.trials_line(searched), highlight=False)
        pack = Options(figures=self.figures, archive=self.with_predictions, examples=self.example_images)
        write_report(console, planned.folder, self.reports, self.json_file, pack)
        search_screen.show_places(terminal, planned, self.storage)

    def typed(self, terminal: Terminal) -> list[str]:
        """Return the command as typed, without a password."""
        from study.tuning.storage import hide_password

        words = [
            word.replace(self.storage, hide_password(self.storage)) if self.storage else word for word in terminal.words
        ]
        return ["python", "-m", "study.search", *words]


app = command.app(SearchSettings)

make_callable(__name__, "study.api.runs:search")

if __name__ == "__main__":
    app()
