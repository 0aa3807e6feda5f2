"""The page of the audit's checks, from their registry."""

from reference_pages.markdown import table
from study.checks.catalogue import CHECKS, GROUPS

INTRODUCTION = """# Checks of the audit

Every check has a code, which no other check is ever given. `mmbc cv` and `mmbc search` make those that need
no look into pixels at the start of every study; `mmbc audit --quick` makes these alone.
[How to audit](../how-to/audit.md) says how to run them and what PASSED, FAILED, WARNING and NOT CHECKED mean.
[How to add a check](../contributing/add-a-check.md) shows how to write your own.
"""


def page() -> str:
    """Return the page: an overview, and a section for each check."""
    rows = [
        (f"[{check.code}](#{check.code.lower()})", check.name, check.group, "" if check.fast else "yes")
        for check in CHECKS
    ]
    parts = [INTRODUCTION, table(("code", "check", "group", "looks into pixels"), rows) + "\n"]
    for group in GROUPS:
        parts.append(f"## {group.capitalize()}\n")
        for check in (check for check in CHECKS if check.group == group):
            parts.append(f"### {check.code} {check.name} {{ #{check.code.lower()} }}\n")
            parts.append(f"{check.asks}\n\n**A fault means:** {check.means}\n\n**What to do:** {check.remedy}\n")
    return "\n".join(parts)
