"""The audit as a table on the terminal and as a Markdown page."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd
from rich.markup import escape
from rich.table import Table

from study.checks.markdown import table
from study.checks.registry import GROUPS, description
from study.records.finding import FAILED, NOT_CHECKED, PASSED, WARNING, Finding

COLOURS = {PASSED: "green", WARNING: "yellow", FAILED: "bold red", NOT_CHECKED: "dim"}
DIGITS = 3
SHOWN = 20
"""Lines of a table of details on the page."""


def failed(findings: Sequence[Finding], ignored: Sequence[str] = ()) -> list[Finding]:
    """Return the findings that make the audit fail."""
    return [finding for finding in findings if finding.status == FAILED and finding.code not in ignored]


def counted(findings: Sequence[Finding], ignored: Sequence[str] = ()) -> str:
    """Return `23 passed, 4 warnings (A03, A05), 1 failed (A13), 2 not checked`, and how many failures are ignored."""
    set_aside = [f.code for f in findings if f.status == FAILED and f.code in ignored]
    codes = {
        status: [f.code for f in findings if f.status == status and f.code not in set_aside]
        for status in (PASSED, WARNING, FAILED, NOT_CHECKED)
    }
    counts = Counter({status: len(of_status) for status, of_status in codes.items()})
    parts = [f"{counts[PASSED]} passed"]
    for status, one, many in ((WARNING, "warning", "warnings"), (FAILED, "failed", "failed")):
        if counts[status]:
            parts.append(f"{counts[status]} {one if counts[status] == 1 else many} ({', '.join(codes[status])})")
    if counts[NOT_CHECKED]:
        parts.append(f"{counts[NOT_CHECKED]} not checked")
    if set_aside:
        parts.append(f"{len(set_aside)} failed but ignored ({', '.join(set_aside)})")
    return ", ".join(parts)


def screen(findings: Sequence[Finding], title: str, *, ignored: Sequence[str] = ()) -> Table:
    """Return findings as a table for the terminal."""
    shown = Table("", "check", "status", "evidence", title=title, title_justify="left")
    for finding in findings:
        mark = "IGNORED" if finding.status == FAILED and finding.code in ignored else finding.status
        text = escape(finding.evidence) + (f" [dim]Handled: {escape(finding.handled)}.[/]" if finding.handled else "")
        colour = "dim" if mark == "IGNORED" else COLOURS[finding.status]
        shown.add_row(finding.code, description(finding).title, f"[{colour}]{mark}[/]", text)
    return shown


def to_markdown(
    name: str,
    findings: Sequence[Finding],
    *,
    notice: str = "",
    ignored: Sequence[str] = (),
    about: Mapping[str, str] | None = None,
) -> str:
    """Return the whole audit: what failed first, then every check with its evidence, meaning, remedy and details."""
    parts = [f"# Audit of {name}"]
    parts += [f"> **{notice[0].upper()}{notice[1:]}.**"] if notice else []
    parts += [f"**{counted(findings, ignored)}.**"]
    if lines := [f"- {what}: {text}" for what, text in (about or {}).items() if text]:
        parts.append("\n".join(lines))
    parts += ["## Overview", table(_overview(findings, ignored))]
    for group in dict.fromkeys([*GROUPS, *(description(finding).group for finding in findings)]):
        if of_group := [finding for finding in findings if description(finding).group == group]:
            parts.append(f"## {group[0].upper()}{group[1:]}")
            parts += [text for finding in of_group for text in _section(finding, ignored)]
    return "\n\n".join(parts) + "\n"


def _overview(findings: Sequence[Finding], ignored: Sequence[str]) -> pd.DataFrame:
    order = {FAILED: 0, WARNING: 1, NOT_CHECKED: 2, PASSED: 3}
    ranked = sorted(findings, key=lambda finding: (order[finding.status], finding.code))
    return pd.DataFrame(
        [
            {
                "code": f.code,
                "check": description(f).title,
                "status": f"{f.status} (ignored)" if f.status == FAILED and f.code in ignored else f.status,
                "evidence": f.evidence,
            }
            for f in ranked
        ]
    )


def _section(finding: Finding, ignored: Sequence[str]) -> list[str]:
    check = description(finding)
    mark = " (ignored)" if finding.status == FAILED and finding.code in ignored else ""
    lines = [f"- asked: {check.question}", f"- found: {finding.evidence}"]
    if finding.handled:
        lines.append(f"- handled: {finding.handled}")
    if finding.status in (WARNING, FAILED):
        lines += [f"- what it means: {check.meaning}", f"- what to do: {check.remedy}"]
    details = [table(rounded(finding).head(SHOWN))] if finding.rows else []
    if len(finding.rows) > SHOWN:
        details.append(f"The first {SHOWN} of {len(finding.rows)}; `--json FILE` writes all.")
    return [f"### {finding.code} {check.title}: {finding.status}{mark}", "\n".join(lines), *details]


def rounded(finding: Finding) -> pd.DataFrame:
    """Return the details of a finding with numbers as text."""
    frame = pd.DataFrame([dict(row) for row in finding.rows])
    return frame.map(lambda value: f"{value:.{DIGITS}g}" if isinstance(value, float) else value)
