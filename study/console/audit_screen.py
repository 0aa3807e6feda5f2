"""Screen of an audit."""

from collections.abc import Sequence

from rich.markup import escape

from mmbc.command import Terminal
from study.checks import page
from study.checks.audit import Audit


def show(terminal: Terminal, audit: Audit, ignored: Sequence[str]) -> None:
    """Print every check, what was not made, and codes that were ignored in vain."""
    console = terminal.console
    if audit.notice:
        console.print(f"[bold]{escape(audit.notice)}[/]")
    console.print(page.screen(audit.findings, f"Audit of {escape(audit.name)}", ignored=ignored))
    console.print(page.counted(audit.findings, ignored), highlight=False, markup=False, soft_wrap=True)
    if audit.read.get("Not made"):
        terminal.say(f"Not made: {audit.read['Not made']}.")
    if idle := sorted(set(ignored) - {finding.code for finding in page.failed(audit.findings)}):
        console.print(f"--ignore {','.join(idle)}: did not fail, or was not made.", highlight=False)
    for line in audit.notes:
        terminal.say(line)
