"""Audit a cohort and a study: `python -m study.audit --data PATH [--study results/NAME]`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from mmbc import command
from mmbc.command import Command, Terminal
from mmbc.errors import ConfigError
from study.console.options import CohortSettings, ProtocolOptions, StudyOptions, ToleranceOptions

audit_option = command.options_of("Audit")


@dataclass(frozen=True, kw_only=True)
class LookOptions:
    """What is done with the cohort's files."""

    write_clean_list: Annotated[
        Path | None, audit_option("Write facts about the cohort's files to this CSV, to publish.")
    ] = None
    quick: Annotated[bool, audit_option("Only the checks that need no look into pixels.", "--quick")] = False


@dataclass(frozen=True, kw_only=True)
class Audit(LookOptions, StudyOptions, Command):
    """Find what a reviewer would find: leaks, copies, annotations in pixels, shortcuts, unequal arms.

    Writes reports/NAME-audit: a page with every check, the fold certificate, a contact sheet of near-duplicates. The
    exit code is 1 if a check failed that is not ignored, and 2 if the audit itself could not be made.
    """

    MOVED: ClassVar = {
        "--ledger": "the optimism ledger trains models and is a command of its own: python -m study.ledger"
    }

    study: Annotated[
        Path | None,
        audit_option("A study's folder (results/NAME) or an archive: its splits, records and search are audited too."),
    ] = None
    ignore: Annotated[
        str | None, audit_option("Codes of checks whose failure is known, separated by commas: A13,A18.")
    ] = None

    def run(self, terminal: Terminal) -> int:
        """Make the checks, write the page, and print what was found."""
        from study.checks import page
        from study.checks.audit import audit, known_codes
        from study.checks.clean_list import write_clean_list
        from study.checks.registry import ignored_codes
        from study.console import audit_screen, requests
        from study.console.json_output import write_facts
        from study.console.live_view import View
        from study.records.stored_study import load_study

        self.check()
        stored = load_study(self.study) if self.study is not None else None
        settings = stored.settings if stored is not None else requests.study_file(self)
        ignored = ignored_codes(self.ignore.split(","), known_codes(settings, stored)) if self.ignore else ()
        alone = stored is not None and self.data is None
        request = None if alone else requests.request(self, settings)
        with View(terminal.console) as view:
            result = audit(request, view, stored=stored, name=self.name, quick=self.quick)
        written = result.write(self.reports, ignored)
        audit_screen.show(terminal, result, ignored)
        if self.write_clean_list is not None:
            told = write_clean_list(result.subject, self.write_clean_list)
            terminal.say(f"Clean list: {self.write_clean_list}. {told}")
        write_facts(self.json_file, result.facts(ignored))
        terminal.say(f"Audit: {written}")
        return 1 if page.failed(result.findings, ignored) else 0

    def check(self) -> None:
        """Refuse places that cannot be written to, and options that mean nothing together.

        Raises:
            ConfigError: settings beside a study's own, options of a cohort where none is read, or a list that is no
                CSV file.
        """
        from study.console import requests

        requests.check_places(self)
        if self.write_clean_list is not None and self.write_clean_list.suffix != ".csv":
            raise ConfigError(f"--write-clean-list {self.write_clean_list}: is a CSV file; give it that ending")
        if self.study is None:
            return
        requests.refuse(self, [CohortSettings, ProtocolOptions], requests.OF_THE_STUDY)
        if self.data is None:
            requests.refuse(self, [LookOptions, ToleranceOptions], "without --data no file is looked at; add --data")


app = command.app(Audit)

if __name__ == "__main__":
    app()
