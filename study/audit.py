"""Audit a cohort and a study: `python -m study.audit --data PATH [--study results/NAME]`."""

from dataclasses import dataclass
from typing import ClassVar

from mmbc import command
from mmbc.command import Command, Terminal
from study.api.callables import make_callable
from study.console.options import AuditOptions


@dataclass(frozen=True, kw_only=True)
class Audit(AuditOptions, Command):
    """Find what a reviewer would find: leaks, copies, annotations in pixels, shortcuts, unequal arms.

    Writes reports/NAME-audit: a page with every check, the fold certificate, a contact sheet of near-duplicates. The
    exit code is 1 if a check failed that is not ignored, and 2 if the audit itself could not be made.
    """

    MOVED: ClassVar = {
        "--ledger": "the optimism ledger trains models and is a command of its own: python -m study.ledger"
    }

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

        requests.check_audit(self)
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


app = command.app(Audit)

make_callable(__name__, "study.api.audits:audit")

if __name__ == "__main__":
    app()
