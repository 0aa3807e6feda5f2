"""The page of the audit's checks, from their registry."""

from reference_pages.markdown import table
from study.checks.check import NEEDS
from study.checks.reference import reference_table
from study.checks.registry import CHECKS, GROUPS

INTRODUCTION = """# Checks of the audit

Every check has a code, which no other check is ever given. `mmbc cv` and `mmbc search` make those that need
no look into pixels at the start of every study; `mmbc audit --quick` makes these alone. What a check needs has
to be at hand, else it is NOT CHECKED; without `--study` those that need a study are not made.
[How to audit](../how-to/audit.md) says how to run them and what PASSED, FAILED, WARNING and NOT CHECKED mean.
[How to add a check](../contributing/add-a-check.md) shows how to write your own.
"""


def page() -> str:
    """Return the page: an overview, what checks need, and a section for each check."""
    parts = [INTRODUCTION, reference_table() + "\n", table(("needs", "which is"), list(NEEDS.items())) + "\n"]
    for group in GROUPS:
        parts.append(f"## {group.capitalize()}\n")
        for check in (check for check in CHECKS if check.group == group):
            parts.append(f"### {check.code} {check.title} {{ #{check.code.lower()} }}\n")
            parts.append(f"{check.question}\n\n**A fault means:** {check.meaning}\n\n**What to do:** {check.remedy}\n")
    return "\n".join(parts)
