"""The flow diagram of STARD: listed, left out and why, used by status, and how the models were tested."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from study.reporting.figures.parts import FigureAndData, wrapped
from study.reporting.figures.style import NORMAL, NOTICE, canvas, journal_style, width
from study.text.format import count

BOXES, LINES = 3, 6
"""Statuses shown side by side; more of them are listed in one box, and of those no more than `LINES`."""
LINE, PAD, GAP, MARGIN = 2.7, 1.8, 6.0, 1.0
"""Millimetres: height of a line of text, room around the text of a box, length of an arrow, around the diagram."""
TRUNK, ASIDE = 0.47, 0.45
"""Parts of the width that the boxes of the trunk and those beside it take."""
ENDS = ("listed", "used")


@dataclass(frozen=True)
class Box:
    """A box of the diagram.

    Attributes:
        wide: in mm.
        bold, plain: its lines.
    """

    wide: float
    bold: list[str]
    plain: list[str]

    @classmethod
    def of(cls, wide: float, title: str, lines: Sequence[str]) -> "Box":
        """Return a box whose text is broken to fit its width."""
        broken = [line for text in lines for line in wrapped(text, wide - 3, NORMAL).split("\n")]
        return cls(wide, wrapped(title, wide - 3, NORMAL).split("\n"), broken)

    @property
    def tall(self) -> float:
        """Height in mm."""
        return LINE * (len(self.bold) + len(self.plain)) + 2 * PAD


@journal_style()
def flow(
    counts: pd.DataFrame,
    n_patients: int,
    positive: Sequence[str] = (),
    tested: Sequence[str] = (),
    row: str = "image",
    n_several: int = 0,
) -> FigureAndData:
    """Flow diagram: listed, what was left out and why, used by status, tested.

    Args:
        counts: `Cohort.flow`: step, status, n_images, n_patients; with the steps `listed` and `used`.
        n_patients: of the cohort used.
        positive: statuses that count as positive.
        tested: lines on the test of the models: a heading, then what there is to say.
        row: what a row of the cohort is.
        n_several: patients with rows of several classes, whom the boxes of the classes count in each.

    Returns:
        Data: `counts`.
    """
    whole = width(wide=False) - 2 * MARGIN
    totals = counts.groupby("step", sort=False)[["n_images", "n_patients"]].sum().astype(int)

    several = totals["n_patients"]["used"] > n_patients  # statuses, of one patient: a sum over them counts twice

    def size(step: str, patients: int | None = None) -> str:
        n_rows, n = totals["n_images"][step], totals["n_patients"][step] if patients is None else patients
        return count(n_rows, row) + ("" if several and patients is None else f" of {count(n, 'patient')}")

    trunk = TRUNK * whole
    lost = [step for step in totals.index if step not in ENDS and totals["n_images"][step]]
    listed = Box.of(trunk, "Listed", [size("listed")])
    out = Box.of(ASIDE * whole, "Left out", [f"{step}: {size(step)}" for step in lost])
    twice = [f"({count(n_several, 'patient')} in several classes)"] if n_several else []
    used = Box.of(trunk, "Used", [size("used", n_patients), *twice])
    statuses = _statuses(counts[counts["step"] == "used"], whole, set(positive), row)
    last = [Box.of(whole if len(statuses) > 1 else 0.7 * whole, tested[0], tested[1:])] if tested else []
    branch = out.tall + GAP if lost else GAP
    tall = listed.tall + branch + used.tall + 2 * GAP + max(box.tall for box in statuses)
    tall += sum(box.tall + (2 * GAP if len(statuses) > 1 else GAP) for box in last)
    tall -= GAP if len(statuses) == 1 else 0
    height = tall + 2 * MARGIN + NOTICE
    figure = canvas(height, wide=False, laid_out=False)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-MARGIN, whole + MARGIN), ylim=(-(tall + MARGIN + NOTICE), MARGIN))
    axes.axis("off")
    middle = trunk / 2
    y = _draw(axes, (middle, 0), listed)
    _arrow(axes, (middle, y), (middle, y - branch))
    if lost:
        side = whole - out.wide
        _arrow(axes, (middle, y - branch / 2), (side, y - branch / 2))
        _draw(axes, (side + out.wide / 2, y - GAP / 2), out)
    y = _draw(axes, (middle, y - branch), used)
    y = _branches(axes, (middle, y), statuses, whole, bool(last))
    if last:
        _draw(axes, (middle if len(statuses) == 1 else whole / 2, y), last[0])
    return figure, counts


def _statuses(used: pd.DataFrame, whole: float, positive: set[str], row: str) -> list[Box]:
    """Return the boxes of the statuses: one for each, or one for all where they are many."""
    rows = used.to_dict("records")
    sizes = [[count(line["n_images"], row), count(line["n_patients"], "patient")] for line in rows]
    names = [
        f"{line['status']} ({'positive' if line['status'] in positive else 'negative'})"
        if positive
        else str(line["status"])
        for line in rows
    ]
    if len(rows) <= BOXES:
        share = (whole - 2 * (len(rows) - 1)) / len(rows) if len(rows) > 1 else 0.47 * whole
        boxes = [Box.of(share, name, lines) for name, lines in zip(names, sizes, strict=True)]
        most = max(len(box.bold) for box in boxes)
        return [Box(box.wide, box.bold + [""] * (most - len(box.bold)), box.plain) for box in boxes]
    lines = [f"{name}: {', '.join(size)}" for name, size in zip(names[:LINES], sizes[:LINES], strict=True)]
    more = [f"and {len(rows) - LINES} more"] if len(rows) > LINES else []
    return [Box.of(0.7 * whole, "By status", [*lines, *more])]


def _branches(axes: Axes, start: tuple[float, float], boxes: list[Box], whole: float, joined: bool) -> float:
    """Draw the boxes of the statuses below a point, and lines to where they join again; return where these end."""
    x, y = start
    if len(boxes) == 1:
        _arrow(axes, start, (x, y - GAP))
        left = max(x, boxes[0].wide / 2)
        end = _draw(axes, (left, y - GAP), boxes[0])
        if joined:
            _arrow(axes, (x, end), (x, end - GAP))
        return end - GAP
    places = [box.wide / 2 + number * (box.wide + 2) for number, box in enumerate(boxes)]
    ends = []
    _line(axes, start, (x, y - GAP))
    _line(axes, (places[0], y - GAP), (places[-1], y - GAP))
    for place, box in zip(places, boxes, strict=True):
        _arrow(axes, (place, y - GAP), (place, y - 2 * GAP))
        ends.append(_draw(axes, (place, y - 2 * GAP), box))
    low = min(ends) - GAP
    if joined:
        for place, end in zip(places, ends, strict=True):
            _line(axes, (place, end), (place, low))
        _line(axes, (places[0], low), (places[-1], low))
        _arrow(axes, (whole / 2, low), (whole / 2, low - GAP))
    return low - GAP


def _draw(axes: Axes, top: tuple[float, float], box: Box) -> float:
    """Draw a box below a point and return where it ends."""
    x, y = top
    axes.add_patch(
        Rectangle((x - box.wide / 2, y - box.tall), box.wide, box.tall, facecolor="white", edgecolor="black")
    )
    for number, text in enumerate([*box.bold, *box.plain]):
        weight = "bold" if number < len(box.bold) else "normal"
        place = (x, y - PAD - LINE * (number + 0.5))
        axes.text(*place, text, ha="center", va="center", fontsize=NORMAL, fontweight=weight)
    return y - box.tall


def _line(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.plot([start[0], end[0]], [start[1], end[1]], color="black", linewidth=0.6, solid_capstyle="projecting")


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    arrow = {"arrowstyle": "-|>", "mutation_scale": 5, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0, "color": "black"}
    axes.annotate("", end, start, arrowprops=arrow)
