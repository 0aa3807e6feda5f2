"""The optimism ledger: how much each methodological leak is worth, measured by committing it on purpose."""
