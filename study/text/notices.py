"""The warning of a made-up cohort in the files that hold its numbers."""

import pandas as pd


def csv(data: pd.DataFrame, notice: str) -> str:
    """Return a frame as CSV at full precision; a notice is the name of one more column, which no filter can lose."""
    table = data.assign(**{f"notice: {notice}": ""}) if notice else data
    return table.to_csv(index=False, lineterminator="\n")
