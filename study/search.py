"""Search hyper-parameters without fooling yourself: `python -m study.search --ablation all --trials 50`."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mmbc import command
from mmbc.command import Command, Terminal
from study.console.options import ArmOptions, DryRunOptions, ReportOptions, StudyOptions, work_option
from study.design.request import WAVE, Request

if TYPE_CHECKING:
    from study.design.study_file import StudyFile

search_option = command.options_of("Search")


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What is searched, by which rules, and where the trials are kept."""

    trials: Annotated[int | None, search_option("Trials of every arm in every fold. Default: 50.", min=1)] = None
    mode: Annotated[
        str | None,
        search_option(
            "nested: inside every fold, tested honestly; flat: once for each arm, quicker and optimistic."
            " Default: nested."
        ),
    ] = None
    space: Annotated[
        Path | None,
        search_option(
            "What is searched (TOML, a configuration with holes). Default: dropout, learning rates, fine-tuned blocks."
        ),
    ] = None
    inner_folds: Annotated[int | None, search_option("Inner folds of a nested search. Default: 3.", min=2)] = None
    pruner: Annotated[str | None, search_option("median, halving or none. Default: median.")] = None
    select: Annotated[
        str | None,
        search_option("best: the best mean; one-se: the cheapest within a standard error of it. Default: best."),
    ] = None
    whole: Annotated[
        bool | None,
        search_option("Search on the whole cohort too, for best.toml. Default: yes.", "--best-toml/--no-best-toml"),
    ] = None
    wave: Annotated[
        int, search_option("Trials of an arm in a fold that are asked for at once, and train together.", min=1)
    ] = WAVE
    storage: Annotated[
        str | None,
        search_option(
            "Where trials are kept: postgresql://..., mysql://..., or journal:FILE on a network disk. Several"
            " machines that run the same command share the work. Default: a file beside the study.",
            envvar="MMBC_STORAGE",
        ),
    ] = None
    dashboard: Annotated[
        bool,
        search_option("Open Optuna's dashboard on a search (--name or --storage) instead of searching.", "--dashboard"),
    ] = False
    port: Annotated[int, search_option("Of the dashboard; 0 for any that is free.", min=0, max=65535)] = 8080


@dataclass(frozen=True, kw_only=True)
class SearchSettings(SearchOptions, StudyOptions, ArmOptions, ReportOptions, DryRunOptions, Command):
    """Search every arm's settings with the same budget, train the winners, and test each once.

    Begin with --dry-run. Running the same command again continues; on several machines or GPUs, with one --storage, it
    shares the work. The report says what was searched, what was chosen in each fold, and what the whole procedure
    achieves.
    """

    executor: Annotated[str, work_option("lockstep; or sequential, one fit after the other, which prunes nothing.")] = (
        "lockstep"
    )

    def run(self, terminal: Terminal) -> None:
        """Plan, search, train the winners, and write the report."""
        from study.checks.study_start import start_findings
        from study.checks.user_checks import checks_of
        from study.console import search_screen
        from study.console.json_output import write_facts
        from study.console.report_screen import write_report
        from study.reporting.pack import Options
        from study.training.preparation import Planned, prepare
        from study.tuning import driver
        from study.tuning.targets import targets_of

        console = terminal.console
        if self.dashboard:
            search_screen.serve_dashboard(terminal, self.out, self.name, self.storage, self.port)
            return
        planned: Planned | None = None
        terminal.if_interrupted = lambda: search_screen.interrupted(planned)
        request, work = self.request(), driver.SearchWork(self.storage, self.wave)
        with search_screen.WaveView(console) as view:
            checks_of(request.study)  # a file of checks that cannot be is refused before any work
            planned = prepare(request, view)
            findings = start_findings(planned, request, view)
            targets = targets_of(planned)
            search_screen.show(console, planned, targets, findings)
            n_together = search_screen.show_waves(console, planned, targets, work, request)
            search_screen.show_progress(console, planned, request)
            if self.dry_run:
                seconds = driver.expected(planned, targets, request, n_together)
                console.print(search_screen.cost_line(seconds), highlight=False)
                write_facts(self.json_file, search_screen.plan_facts(planned, targets))
                return
            searched = driver.search(
                planned,
                request,
                work,
                observer=view,
                said=terminal.say,
                command=self.typed(terminal),
                findings=findings,
            )
        console.print(search_screen.winners_table(searched, list(planned.study.arms), planned.cohort.notice))
        console.print(search_screen.trials_line(searched), highlight=False)
        pack = Options(figures=self.figures, archive=self.with_predictions)
        write_report(console, planned.folder, self.reports, self.json_file, pack)
        search_screen.show_places(terminal, planned)

    def request(self) -> Request:
        """Return what is asked for; a dry run starts nothing over, whatever `--force` says."""
        from study.console import requests

        request = requests.request(self, requests.with_arms(self.study_file(), self.ablation))
        return replace(request, checkpoint_every=0, force=self.force and not self.dry_run)

    def study_file(self) -> "StudyFile":
        """Return the settings with the search asked for: the study file's section [search], under the options."""
        from study.console import requests
        from study.design.search_space import read_space
        from study.design.study_file import Search

        rules = {
            "search.trials": self.trials,
            "search.mode": self.mode,
            "search.inner_folds": self.inner_folds,
            "search.pruner": self.pruner,
            "search.select": self.select,
            "search.whole": self.whole,
        }
        study = requests.study_file(self, rules)
        search = study.search or Search()
        if self.space is None and search.space:
            return study
        plain, holes = read_space(self.space)
        fixed = [f"{key}={json.dumps(value)}" for key, value in plain.items()]
        study = requests.study_file(replace(self, set_=[*fixed, *(self.set_ or [])]), rules)
        return study.model_copy(update={"search": search.model_copy(update={"space": holes})})

    def typed(self, terminal: Terminal) -> list[str]:
        """Return the command as typed, without a password."""
        from study.tuning.storage import shown

        words = [word.replace(self.storage, shown(self.storage)) if self.storage else word for word in terminal.words]
        return ["python", "-m", "study.search", *words]


app = command.app(SearchSettings)

if __name__ == "__main__":
    app()
