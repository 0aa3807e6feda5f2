"""The checks as a reference for readers, made from the registry."""

import pandas as pd

from study.checks.markdown import table
from study.checks.registry import CHECKS


def reference_table() -> str:
    """Return all checks as a table in Markdown; each code links to the section `#a01` and so on of the same page."""
    rows = [
        {
            "code": f"[{one.code}](#{one.code.lower()})",
            "check": one.title,
            "group": one.group,
            "needs": ", ".join(one.needs),
            "at worst": one.severity,
            "made": "at the start of a study" if one.fast else "by an audit",
        }
        for one in CHECKS
    ]
    return table(pd.DataFrame(rows))
