"""Small tables as Markdown."""

import pandas as pd


def table(frame: pd.DataFrame) -> str:
    """Return a frame as a Markdown table; empty cells where there is nothing."""
    if frame.empty:
        return "(none)"
    shown = frame.astype(object).where(frame.notna(), "").astype(str)
    lines = [list(map(str, shown.columns)), ["---"] * len(shown.columns), *shown.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
