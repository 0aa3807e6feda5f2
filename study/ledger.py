"""Measure what each methodological leak is worth: `python -m study.ledger --data PATH`. Trains models."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mmbc import command
from mmbc.command import Command, Terminal
from mmbc.errors import ConfigError, some
from study.console.options import (
    ArmOptions,
    CheckpointOptions,
    CohortSettings,
    JobOptions,
    StudyOptions,
    TrackOptions,
    comparison_option,
)
from study.design.request import CANDIDATES, Request

if TYPE_CHECKING:
    from study.design.study_file import StudyFile

ledger_option = command.options_of("Optimism ledger")
USUAL = ("image", "concat")
"""Arms a ledger is kept for unless others are named."""


@dataclass(frozen=True, kw_only=True)
class Ledger(StudyOptions, ArmOptions, JobOptions, CheckpointOptions, TrackOptions, Command):
    """Commit each leak on purpose, alone and all together, and measure what it is worth; this trains models.

    Writes reports/NAME-audit: the ledger as table and figure, labelled as leaky by design. Running the same command
    again continues.
    """

    study: Annotated[
        Path | None, ledger_option("A study's folder (results/NAME): its settings and folds are the honest ones.")
    ] = None
    candidates: Annotated[
        int, ledger_option("Configurations that the leak of tuning on test parts compares.", min=2, max=1000)
    ] = CANDIDATES
    ablation: Annotated[str, comparison_option(f"Arms the ledger is kept for. Default: {','.join(USUAL)}.")] = ""

    def run(self, terminal: Terminal) -> None:
        """Train every protocol, honest and leaky, and write what each leak is worth."""
        from mmbc.files import read_json
        from study.console.interruption import interrupted
        from study.console.json_output import write_facts
        from study.console.live_view import View
        from study.leaks import optimism
        from study.leaks.ledger_report import NOTICE, ledger_table

        console = terminal.console
        view = View(console)
        terminal.if_interrupted = lambda: interrupted(view, "study.ledger", terminal.words)
        self.check()
        with view:
            ledger = optimism.run(self.request(), view, n_candidates=self.candidates)
        written = optimism.write(ledger, self.reports / f"{ledger.name}-audit")
        console.print(f"[bold red]{NOTICE}[/]", highlight=False)
        console.print(ledger_table(ledger.table))
        for note in ledger.notes:
            console.print(f"- {note}", highlight=False, markup=False)
        write_facts(self.json_file, read_json(next(path for path in written if path.name == "ledger.json")))
        terminal.say(f"Ledger: {written[0]}")

    def check(self) -> None:
        """Refuse settings beside a study's own; repeats and seeds may extend it.

        Raises:
            ConfigError: one of these, or a name, was given.
        """
        from study.console import requests

        if self.study is None:
            return
        protocol = ("repeats", "seeds", "ablation")
        requests.refuse(self, [CohortSettings, ArmOptions], requests.OF_THE_STUDY, but=protocol)
        if self.name:
            raise ConfigError("--name: the ledger of a study lies in the study's folder; leave it out")

    def request(self) -> Request:
        """Return what is asked for: the study's settings and folds, or those of the options."""
        from study.console import requests
        from study.design.study_name import with_name
        from study.records.cell_records import read_settings

        options = self
        if self.study is None:
            settings = requests.study_file(self)
        else:
            settings = read_settings(self.study)
            given = {"repeats": self.repeats, "seeds": self.seeds}
            more = {name: value for name, value in given.items() if value is not None}
            settings = settings.model_copy(update={"protocol": settings.protocol.model_copy(update=more)})
            folder = with_name(self.study)
            options = replace(self, name=folder.name, out=folder.parent)
        request = requests.request(options, requests.with_arms(settings, self.ablation or _usual(settings)))
        every, track = self.checkpoint_every, requests.tracker(self)
        return replace(request, jobs=requests.n_jobs(self), checkpoint_every=every, track=track)


def _usual(settings: "StudyFile") -> str:
    """Return the arms a ledger is kept for unless others are named, as far as the study has them."""
    if arms := [name for name in USUAL if name in settings.arms]:
        return ",".join(arms)
    raise ConfigError(f"the study has no arm {some(USUAL)}; name others: --ablation {next(iter(settings.arms))}")


app = command.app(Ledger)

if __name__ == "__main__":
    app()
