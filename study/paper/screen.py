"""What a finished study shows on the terminal."""

from rich import box
from rich.table import Table

from study.evaluate import Evaluation
from study.paper.format import NAMES, interval

SHOWN = ("roc_auc", "pr_auc", "sensitivity_at_90_specificity", "specificity_achieved", "accuracy", "brier")
NARROW = {"sensitivity_at_90_specificity": "Sens. at 90 % spec.", "specificity_achieved": "Spec. achieved"}
"""Headers that let the table fit 80 columns with no word cut."""


def summary_table(evaluation: Evaluation, notice: str = "") -> Table:
    """Return the summary at the level of the primary unit, with intervals."""
    title = f"{evaluation.unit.capitalize()} level, out of fold, 95 % interval over patients (E1)"
    table = Table(
        box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, title=f"{title} ({notice})" if notice else title
    )
    table.add_column("arm", no_wrap=True)
    for metric in SHOWN:
        table.add_column(NARROW.get(metric, NAMES[metric]))
    if evaluation.summary.empty:
        return table
    units = evaluation.summary[evaluation.summary["level"] == evaluation.unit]
    for arm, lines in units.groupby("arm", sort=False):
        values = lines.set_index("metric")[["value", "low", "high"]]
        table.add_row(
            str(arm), *(interval(metric, *values.loc[metric]) if metric in values.index else "n/a" for metric in SHOWN)
        )
    return table


def comparisons_lines(evaluation: Evaluation) -> list[str]:
    """Return the verdict on each declared contrast, and where methods disagree."""
    rows = evaluation.comparisons
    if rows.empty:
        return []
    return [
        f"{sentence} {disagreement}".strip() for sentence, disagreement in rows[["sentence", "disagreement"]].to_numpy()
    ]
