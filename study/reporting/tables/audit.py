"""The audit as a table: every check with its status and evidence."""

import pandas as pd

from study.checks.registry import description
from study.records.finding import NOT_CHECKED, Finding
from study.records.stored_study import StoredStudy
from study.reporting.facts.sentences import TRACES
from study.reporting.tables.base import PaperTable, caption, empty_table


def of_report(study: StoredStudy) -> list[Finding]:
    """Return the findings a report shows: of models trained elsewhere those alone that predictions can show."""
    return [f for f in study.findings if not (study.imported and f.status == NOT_CHECKED)]


def audit_table(study: StoredStudy) -> PaperTable:
    """Every check of the audit with its status and evidence."""
    findings = of_report(study)
    if not findings:
        return empty_table("audit")
    data = pd.DataFrame(
        [
            {
                "code": f.code,
                "check": description(f).title,
                "status": f.status,
                "evidence": f.evidence,
                "handled": f.handled,
            }
            for f in findings
        ]
    )
    shown = pd.DataFrame(
        {
            "Check": data["code"] + " " + data["check"],
            "Status": data["status"],
            "Evidence": [evidence(finding) for finding in findings],
        }
    )
    return PaperTable("audit", "Audit", caption("audit", study), data, shown)


def evidence(finding: Finding) -> str:
    """Return what a check saw, and what is done about it."""
    return finding.evidence + (f" Handled: {finding.handled}." if finding.handled else "")


def remains(study: StoredStudy) -> str:
    """Return what is left of lesion outlines after their removal; it belongs under every headline number."""
    traces = next((finding for finding in study.findings if finding.code == TRACES), None)
    return traces.evidence if traces is not None and study.cohort.n_outlined and study.uses_images else ""
