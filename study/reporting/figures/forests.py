"""Forest plots: the declared contrasts, and the areas in subgroups."""

from collections.abc import Hashable, Mapping, Sequence
from textwrap import shorten
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from study.evaluation.verdicts import NOT_ASSESSED, in_few_words
from study.reporting.figures.parts import FigureAndData, Looks, arms_of, columns_of, extent, small_multiples, wrapped
from study.reporting.figures.style import DARK, FAINT, GUIDE, MM, NORMAL, NOTICE, SMALL, canvas, journal_style, width
from study.text.format import difference, p_value
from study.text.number_style import style

THICK, THIN = 2.8, 0.8
LABEL, APART = 44.0, 3.0
"""Millimetres that the names of contrasts take at most, and between columns of text."""
DOT: dict[str, Any] = {
    "marker": "o",
    "linestyle": "none",
    "color": "#0072B2",
    "markersize": 2.6,
    "markerfacecolor": "none",
    "markeredgewidth": 0.7,
}
"""A training seed; hollow, so that those at one place are seen."""
ESTIMATE: dict[str, Any] = {
    "marker": "D",
    "linestyle": "none",
    "color": "white",
    "markeredgecolor": DARK,
    "markersize": 3.6,
    "markeredgewidth": 0.8,
}
SIDES = (("← lower AUC", -3, "right"), ("higher AUC →", 3, "left"))
"""What stands below the abscissa on each side of 0: text, points away from 0, end of the text that is there."""
TICKS, LINE = 12.0, 7.5
"""Points that the ticks with their labels take, and a line of text below them."""
LEVELS = 3
"""Heights that the dots of seeds alternate between."""


@journal_style()
def contrasts(
    comparisons: pd.DataFrame, per_fold: pd.DataFrame, names: Sequence[str], level: str, delta: float
) -> FigureAndData:
    """Forest plot of the declared contrasts: E1 thick, E2 thin, ±δ shaded, a dot for each training seed, and columns.

    Args:
        comparisons: lines of `Evaluation.comparisons`, as assessed.
        per_fold: lines of `Evaluation.per_fold`.
        names: what each contrast is called.
        level: of the units.
        delta: half width of the region of practical equivalence, in AUC.

    Returns:
        Data: first, second, what (difference or seed), seed, value, e1_low, e1_high, e2_low, e2_high, p, verdict.
    """
    rows = comparisons.to_dict("records")
    labels = [wrapped(name, LABEL, NORMAL) for name in names]
    seeds = [seed_differences(per_fold, row["first"], row["second"], level) for row in rows]
    e2 = bool(comparisons["e2_low"].notna().any())
    columns = _columns(rows, delta, e2=e2)
    figure, axes = _layout(labels, columns)
    axes.axvspan(-delta, delta, color=FAINT, alpha=0.7, linewidth=0, zorder=0)
    axes.axvline(0, color=GUIDE, linewidth=0.6, zorder=0)
    for place, (row, dots) in enumerate(zip(rows, seeds, strict=True)):
        axes.plot([row["e2_low"], row["e2_high"]], [place] * 2, color=DARK, linewidth=THIN, solid_capstyle="butt")
        axes.plot([row["e1_low"], row["e1_high"]], [place] * 2, color=DARK, linewidth=THICK, solid_capstyle="butt")
        axes.plot(row["difference"], place, **ESTIMATE)
        axes.plot(dots, place + 0.22 + 0.09 * (np.arange(len(dots)) % LEVELS), **DOT)
    axes.set_yticks(range(len(rows)), labels)
    axes.set(ylim=(len(rows) - 0.4, -0.6), xlabel="Difference in AUC")
    axes.xaxis.labelpad = 2 + LINE
    for text, away, end in SIDES:
        where: dict[str, Any] = {
            "xycoords": axes.get_xaxis_transform(),
            "textcoords": "offset points",
            "annotation_clip": False,
        }
        axes.annotate(text, (0, 0), xytext=(away, -TICKS), ha=end, va="top", fontsize=NORMAL, **where)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.04)
    axes.locator_params(axis="x", nbins=6)
    _legend(figure, delta, several=max(map(len, seeds)) > 1, e2=e2)
    return figure, _data(comparisons, seeds)


Columns = list[tuple[str, list[str]]]
"""Headings with the text of every line."""


def _columns(rows: list[dict[Hashable, Any]], delta: float, *, e2: bool) -> Columns:
    """Return what stands beside the plot: difference, intervals, adjusted p that the verdicts rest on, verdict."""
    columns: Columns = [
        ("Difference", [difference(row["difference"]) for row in rows]),
        ("95 % CI, these\nfitted models", [_ends(row, "e1") for row in rows]),
    ]
    if e2:
        columns.append(("95 % CI,\ntrained again", [_ends(row, "e2") for row in rows]))
        columns.append(("p, trained\nagain (Holm)", [p_value(row["e2_p_holm"]) for row in rows]))
    if any(row["verdict"] == NOT_ASSESSED for row in rows):
        columns.append(("p, these\nmodels (Holm)", [p_value(row["e1_p_holm"]) for row in rows]))
    return [*columns, ("Verdict", ["\n".join(in_few_words(row, delta)) for row in rows])]


def _ends(row: Mapping[Hashable, Any], which: str) -> str:
    low, high = row[f"{which}_low"], row[f"{which}_high"]
    return "n/a" if np.isnan(low) else style().ends(difference(low), difference(high))


def adjusted_p(row: Mapping[Hashable, Any]) -> float:
    """Return the p value that goes with a verdict, adjusted (Holm): that of E2, or of E1 where there is no E2."""
    return float(row["e1_p_holm"] if np.isnan(row["e2_low"]) else row["e2_p_holm"])


def _layout(labels: Sequence[str], columns: Columns) -> tuple[Figure, Axes]:
    """Return a figure with room for labels at the left and columns at the right, whose text it has."""
    widths = [max(1.06 * extent(text, NORMAL) for text in [heading, *texts]) + APART for heading, texts in columns]
    n_lines = max(text.count("\n") + 1 for text in [*labels, *columns[-1][1]])
    whole, pitch = width(wide=True), max(6.8, 2.6 * n_lines + 1.6)
    left, top, bottom = max(extent(label, NORMAL) for label in labels) + 3, 11.0, 11.0 + NOTICE
    plot, tall = whole - left - sum(widths) - 1, pitch * len(labels)
    height = top + tall + bottom
    figure = canvas(height, wide=True, laid_out=False)
    axes = figure.add_axes((left / whole, bottom / height, plot / whole, tall / height))
    at = left + plot + APART
    for (heading, texts), wide in zip(columns, widths, strict=True):
        offset = (at - left - plot) * MM * 72
        _beside(axes, -0.6, heading, offset, fontsize=NORMAL, fontweight="bold", va="bottom")
        for place, text in enumerate(texts):
            _beside(axes, place, text, offset, fontsize=NORMAL, linespacing=1.05)
        at += wide
    return figure, axes


def seed_differences(per_fold: pd.DataFrame, first: str, second: str, level: str) -> pd.Series:
    """Return the mean difference of the AUC over test parts by training seed; an arm of one seed stands for all."""
    chosen = per_fold[(per_fold["level"] == level) & (per_fold["metric"] == "roc_auc")]
    wide = [
        chosen[chosen["arm"] == arm].pivot(index=["repeat", "fold"], columns="seed", values="value")
        for arm in (first, second)
    ]
    seeds = sorted({seed for table in wide for seed in table.columns})
    one, other = (
        pd.concat([table.iloc[:, 0].rename(seed) for seed in seeds], axis=1) if table.shape[1] == 1 else table
        for table in wide
    )
    return (one - other).mean()


def _beside(axes: Axes, place: float, text: str, offset: float, **look: Any) -> None:
    """Write text to the right of a plot, at a place on its ordinate, so many points away."""
    at: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
    axes.annotate(text, (1, place), xytext=(offset, 0), annotation_clip=False, **(at | look))


def _legend(figure: Figure, delta: float, *, several: bool, e2: bool) -> None:
    handles: list[Artist] = [Line2D([], [], color=DARK, linewidth=THICK, label="95 % CI, these fitted models")]
    if e2:
        handles.append(Line2D([], [], color=DARK, linewidth=THIN, label="95 % CI, trained again"))
    handles.insert(0, Line2D([], [], label="estimate", **ESTIMATE))
    handles.append(Patch(color=FAINT, alpha=0.7, label=f"unimportant: ±{delta:g}"))
    handles.append(Line2D([], [], label="training seeds" if several else "the one training seed", **DOT))
    figure.legend(handles=handles, loc="upper left", ncols=5, borderpad=0.2, columnspacing=1.4, borderaxespad=0.1)


def _data(comparisons: pd.DataFrame, seeds: list[pd.Series]) -> pd.DataFrame:
    ends = ["e1_low", "e1_high", "e2_low", "e2_high"]
    whole = comparisons[["first", "second", "difference", *ends, "verdict"]].rename(columns={"difference": "value"})
    p = [adjusted_p(row) for row in comparisons.to_dict("records")]
    rows = [whole.assign(what="difference", p=p)]
    for (first, second), dots in zip(comparisons[["first", "second"]].to_numpy(), seeds, strict=True):
        seen = {"first": first, "second": second, "what": "seed", "seed": dots.index, "value": dots.to_numpy()}
        rows.append(pd.DataFrame(seen))
    data = pd.concat(rows, ignore_index=True)
    return data[["first", "second", "what", "seed", "value", *ends, "p", "verdict"]]


@journal_style()
def subgroups(lines: pd.DataFrame, summary: pd.DataFrame, looks: Looks, level: str) -> FigureAndData:
    """AUC by subgroup, a panel for each arm; a dashed line is the arm's value overall, at the level of the rows.

    Args:
        lines: of `Evaluation.subgroups`; those that were too small to be analysed are not drawn.
        summary: lines of `Evaluation.summary`.
        looks: of all arms.
        level: of the units; rows at another level say so.

    Returns:
        Data: the lines that were drawn, and overall: the arm's value at their level.
    """
    lines = lines[~lines["suppressed"].astype(bool)]
    overall = summary[summary["metric"] == "roc_auc"][["arm", "level", "value"]].rename(columns={"value": "overall"})
    lines = lines.merge(overall, on=["arm", "level"], how="left")
    arms = arms_of(lines, looks)
    groups = lines.drop_duplicates(["column", "group"])
    n_columns = columns_of(len(arms))
    pitch = float(np.clip(230 / (-(-len(arms) // n_columns) * (len(groups) + 3)), 2.8, 4.2))
    labels = _group_labels(groups, level)
    margin, aside = max(extent(label, NORMAL) for label in labels) + 3, extent(SIZES, NORMAL) + 1
    names = [looks[arm].name for arm in arms]
    figure, panels = small_multiples(names, [pitch * len(groups) + 2], wide=len(arms) > 1, margin=margin, aside=aside)
    ends = lines[["low", "high", "value"]].to_numpy(dtype=float)
    limits = (min(np.nanmin(ends), 0.45) - 0.03, min(np.nanmax(ends) + 0.03, 1.01))
    ticks = _ticks(limits, panels[0][0].get_position().width * width(wide=len(arms) > 1))
    for number, (arm, (axes,)) in enumerate(zip(arms, panels, strict=True)):
        _areas(axes, lines[lines["arm"] == arm], looks[arm].colour, looks[arm].marker)
        axes.axvline(0.5, color=GUIDE, linewidth=0.6, zorder=0)
        axes.set(xlim=limits, ylim=(len(groups) - 0.3, -0.7), xlabel="AUC")
        axes.set_yticks(range(len(groups)), labels if number % n_columns == 0 else [""] * len(groups))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        for place in _breaks(groups, "column"):
            axes.axhline(place - 0.5, color=FAINT, linewidth=0.4, zorder=0)
        if number % n_columns == n_columns - 1 or number == len(arms) - 1:
            _sizes(axes, groups)
    return figure, lines


TICK = 7.0
"""Millimetres that a tick label and the room beside it take."""


def _ticks(limits: tuple[float, float], available: float) -> list[float]:
    """Return the finest ticks of an AUC between limits whose labels do not touch in a panel of so many mm."""
    for per_unit in (10, 5, 4, 2):
        ticks = [tick / per_unit for tick in range(per_unit + 1) if limits[0] <= tick / per_unit <= limits[1]]
        if len(ticks) <= max(available / TICK, 2):
            break
    return ticks


SIZES = "n (positive)"


def _areas(axes: Axes, lines: pd.DataFrame, colour: str, marker: str) -> None:
    """Draw the rows of one arm, and behind each run of rows at one level the value overall at this level."""
    for place, row in enumerate(lines.to_dict("records")):
        axes.plot([row["low"], row["high"]], [place] * 2, color=colour, linewidth=1, solid_capstyle="butt")
        axes.plot(row["value"], place, marker=marker, color=colour, markersize=2.8, markeredgewidth=0.6)
    starts = [0, *_breaks(lines, "level")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        value = lines["overall"].iloc[start]
        axes.plot([value] * 2, [start - 0.5, end - 0.5], color=DARK, linewidth=0.7, linestyle=(0, (4, 2)), zorder=0)


def _breaks(rows: pd.DataFrame, column: str) -> list[int]:
    """Return the places of rows whose value of a column differs from that of the row above."""
    values = rows[column].to_numpy()
    return [int(place) + 1 for place in np.flatnonzero(values[1:] != values[:-1])]


def _group_labels(groups: pd.DataFrame, level: str) -> list[str]:
    return [
        shorten(f"{column} {group}", 32, placeholder=" …") + (", by image" if at == "image" != level else "")
        for column, group, at in groups[["column", "group", "level"]].astype(str).to_numpy()
    ]


def _sizes(axes: Axes, groups: pd.DataFrame) -> None:
    """Write how many patients, and positive ones, a group has."""
    _beside(axes, -1, SIZES, 5, fontsize=SMALL, fontweight="bold")
    for place, row in enumerate(groups.to_dict("records")):
        _beside(axes, place, f"{row['n_patients']:.0f} ({row['n_positive']:.0f})", 5, fontsize=NORMAL)
