"""One look for every figure: journal widths, 6-7 pt text, Okabe-Ito colours with a second channel, editable fonts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from study.settings import BASELINE

SINGLE, DOUBLE = 89 / 25.4, 183 / 25.4
"""Widths of one and two journal columns in inches."""

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: tuple[object, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1.5, 1)),
    (0, (5, 1, 1, 1)),
    (0, (8, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
    "-",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
BASELINE_LOOK = ("#7F7F7F", (0, (1, 1)), "x")
FIXED = {"image": 0, "tabular": 1, "concat": 2, "attention": 3}
"""The four arms of the mission keep their looks in every figure of every study."""

SETTINGS: Any = {
    "font.family": "sans-serif", "font.sans-serif": ["Arial", "Helvetica", "DejaVu Sans"], "font.size": 6.5,
    "axes.titlesize": 7, "axes.labelsize": 6.5, "xtick.labelsize": 6, "ytick.labelsize": 6, "legend.fontsize": 6,
    "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6, "lines.linewidth": 1.1,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": False, "legend.frameon": False,
    "pdf.fonttype": 42, "svg.fonttype": "none", "figure.dpi": 150, "savefig.dpi": 300, "legend.handlelength": 2.6,
    "figure.constrained_layout.use": True,
}  # fmt: skip


@contextmanager
def styled() -> Iterator[None]:
    """Draw with the project's settings; the caller's are untouched afterwards."""
    with mpl.rc_context(SETTINGS):
        yield


def look(arm: str, arms: list[str]) -> tuple[str, object, str]:
    """Return (colour, dash, marker) of an arm: stable over the figures of a study."""
    if arm == BASELINE:
        return BASELINE_LOOK
    others = [name for name in arms if name not in FIXED and name != BASELINE]
    place = FIXED.get(arm, len(FIXED) + others.index(arm) if arm in others else 0) % len(OKABE_ITO)
    return OKABE_ITO[place], DASHES[place], MARKERS[place]


def save(figure: Figure, data: pd.DataFrame, folder: Path, name: str, notice: str) -> None:
    """Write a figure as PNG (300 dpi) and PDF, with the numbers behind it as CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    with styled():
        if notice:
            figure.supxlabel(notice, fontsize=6, color="#B00000", fontstyle="italic")
        for suffix in ("png", "pdf"):
            figure.savefig(folder / f"{name}.{suffix}", metadata={"CreationDate": None} if suffix == "pdf" else None)
    (data.assign(notice=notice) if notice else data).to_csv(folder / f"{name}.csv", index=False)
