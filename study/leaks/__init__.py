"""The optimism ledger: how much each methodological leak is worth, measured by committing it on purpose."""

from study.leaks.book import CANDIDATES, Ledger, run, write

__all__ = ["CANDIDATES", "Ledger", "run", "write"]
