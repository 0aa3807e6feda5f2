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
        from study.api.audits import run_audit
        from study.checks.clean_list import write_clean_list
        from study.console import audit_screen
        from study.console.json_output import write_facts
        from study.console.live_view import View

        with View(terminal.console) as view:
            audited = run_audit(self, view)
        result, ignored = audited.audit, audited.ignored
        kept = result.make_way(self.reports)
        written = audited.write(self.reports)
        audit_screen.show(terminal, result, ignored)
        if kept is not None:
            terminal.say(f"The audit of another table that is called the same was kept: {kept}")
        if self.write_clean_list is not None:
            told = write_clean_list(result.subject, self.write_clean_list)
            terminal.say(f"Clean list: {self.write_clean_list}. {told}")
        write_facts(self.json_file, result.facts(ignored))
        terminal.say(f"Audit: {written}")
        return 0 if audited.passed else 1


app = command.app(Audit)

make_callable(__name__, "study.api.audits:audit")

if __name__ == "__main__":
    app()
