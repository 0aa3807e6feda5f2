"""Forest plots: the declared contrasts, and the areas in subgroups."""

from collections.abc import Hashable, Mapping
from textwrap import shorten
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from study.evaluation.groups import SMALLEST_CELL
from study.evaluation.verdicts import size
from study.reporting.figures.parts import FigureAndData, Looks, arms_of, columns_of, extent, small_multiples
from study.reporting.figures.style import DARK, FAINT, GUIDE, MM, NORMAL, SMALL, canvas, journal_style
from study.stats.comparison import SEEDS_NEEDED, SMALL_GAIN
from study.text.format import difference_interval

THICK, THIN = 2.8, 0.8
ONE_LINE = 40.0
"""A contrast whose label would be wider than this (mm) is written on two lines."""


@journal_style()
def contrasts(comparisons: pd.DataFrame, per_fold: pd.DataFrame, level: str, delta: float) -> FigureAndData:
    """Forest plot of the declared contrasts: E1 thick, E2 thin, ±δ shaded, a dot for each training seed.

    Args:
        comparisons: lines of `Evaluation.comparisons`.
        per_fold: lines of `Evaluation.per_fold`.
        level: of the units.
        delta: half width of the region of practical equivalence, in AUC.

    Returns:
        Data: first, second, what (difference or seed), seed, value, e1_low, e1_high, e2_low, e2_high, verdict.
    """
    rows = comparisons.to_dict("records")
    labels = [_label(row["first"], row["second"]) for row in rows]
    pitch = 8.0 if any("\n" in label for label in labels) else 6.0
    figure = canvas(pitch * len(rows) + 21, wide=True)
    axes = figure.subplots()
    axes.axvspan(-delta, delta, color=FAINT, alpha=0.7, linewidth=0, zorder=0)
    axes.axvline(0, color=GUIDE, linewidth=0.6, zorder=0)
    seeds = [seed_differences(per_fold, row["first"], row["second"], level) for row in rows]
    for place, (row, dots) in enumerate(zip(rows, seeds, strict=True)):
        axes.plot([row["e2_low"], row["e2_high"]], [place] * 2, color=DARK, linewidth=THIN, solid_capstyle="butt")
        axes.plot([row["e1_low"], row["e1_high"]], [place] * 2, color=DARK, linewidth=THICK, solid_capstyle="butt")
        axes.plot(
            row["difference"], place, "D", color="white", markeredgecolor=DARK, markersize=3.6, markeredgewidth=0.8
        )
        axes.plot(dots, [place + 0.27] * len(dots), "o", color="#0072B2", markersize=2.4, markeredgewidth=0, alpha=0.85)
    axes.set_yticks(range(len(rows)), labels)
    axes.set(ylim=(len(rows) - 0.45, -0.55), xlabel="Difference in ROC-AUC (above 0: first arm higher)")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    intervals = [difference_interval(row["difference"], row["e1_low"], row["e1_high"]) for row in rows]
    _columns(axes, [("Difference (E1 95 % interval)", intervals), ("Verdict", [verdict(row, delta) for row in rows])])
    _legend(figure, delta, several=max(map(len, seeds)) > 1, e2=bool(comparisons["e2_low"].notna().any()))
    return figure, _data(comparisons, seeds)


def seed_differences(per_fold: pd.DataFrame, first: str, second: str, level: str) -> pd.Series:
    """Return the mean difference of the ROC-AUC over test parts by training seed; an arm of one seed stands for all."""
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


def verdict(row: Mapping[Hashable, Any], delta: float) -> str:
    """Return a verdict in a few words: with the size of what was found, or what is missing."""
    said = str(row["verdict"])
    if said == "not assessed":
        n_seeds = int(row["n_seeds"])
        few = n_seeds < SEEDS_NEEDED
        return f"not assessed\n({n_seeds} of {SEEDS_NEEDED} seeds)" if few else "not assessed\n(one split)"
    if said in ("better", "worse"):
        return f"{said},\n{size((row['e1_low'], row['e1_high']), (row['e2_low'], row['e2_high']), delta)}"
    if said == SMALL_GAIN:
        return f"any gain\nbelow {delta:g}"
    return f"{said}\n(±{delta:g})" if said == "equivalent" else said


def _label(first: str, second: str) -> str:
    text = f"{first} − {second}"
    return text if extent(text, NORMAL) <= ONE_LINE else f"{first}\n− {second}"


def _columns(axes: Axes, columns: list[tuple[str, list[str]]]) -> None:
    """Write columns of text to the right of a forest plot, their headings above."""
    offset = 6.0
    for heading, texts in columns:
        _beside(axes, -0.75, heading, offset, fontsize=SMALL, fontweight="bold", va="baseline")
        for place, text in enumerate(texts):
            _beside(axes, place, text, offset, fontsize=NORMAL, linespacing=1.05)
        offset += max(extent(text, NORMAL) for text in ["n" + heading, *texts]) * MM * 72 + 11


def _beside(axes: Axes, place: float, text: str, offset: float, **look: Any) -> None:
    """Write text to the right of a plot, at a place on its ordinate, so many points away."""
    at: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
    axes.annotate(text, (1, place), xytext=(offset, 0), annotation_clip=False, **(at | look))


def _legend(figure: Figure, delta: float, *, several: bool, e2: bool) -> None:
    handles: list[Artist] = [Line2D([], [], color=DARK, linewidth=THICK, label="E1 95 % interval")]
    if e2:
        handles.append(Line2D([], [], color=DARK, linewidth=THIN, label="E2 95 % interval"))
    handles.append(Patch(color=FAINT, alpha=0.7, label=f"±δ = {delta:g}"))
    dots = {"marker": "o", "linestyle": "", "color": "#0072B2", "markersize": 2.4}
    handles.append(Line2D([], [], label="each training seed" if several else "the one training seed", **dots))  # type: ignore[arg-type]
    figure.legend(handles=handles, loc="outside upper left", ncols=4, borderpad=0.2, columnspacing=1.4)


def _data(comparisons: pd.DataFrame, seeds: list[pd.Series]) -> pd.DataFrame:
    ends = ["e1_low", "e1_high", "e2_low", "e2_high"]
    whole = comparisons[["first", "second", "difference", *ends, "verdict"]].rename(columns={"difference": "value"})
    rows = [whole.assign(what="difference")]
    for (first, second), dots in zip(comparisons[["first", "second"]].to_numpy(), seeds, strict=True):
        rows.append(
            pd.DataFrame(
                {"first": first, "second": second, "what": "seed", "seed": dots.index, "value": dots.to_numpy()}
            )
        )
    data = pd.concat(rows, ignore_index=True)
    return data[["first", "second", "what", "seed", "value", *ends, "verdict"]]


@journal_style()
def subgroups(lines: pd.DataFrame, summary: pd.DataFrame, looks: Looks, level: str) -> FigureAndData:
    """ROC-AUC by subgroup, a panel for each arm; the overall value is a line, what was not analysed says so.

    Args:
        lines: of `Evaluation.subgroups`.
        summary: lines of `Evaluation.summary`.
        looks: of all arms.
        level: of the units.

    Returns:
        Data: the lines, and overall.
    """
    arms = arms_of(lines, looks)
    groups = lines.drop_duplicates(["column", "group"])
    n_columns = columns_of(len(arms))
    pitch = float(np.clip(230 / (-(-len(arms) // n_columns) * (len(groups) + 3)), 2.4, 3.6))
    labels = _group_labels(groups, level)
    margin = max(extent(label, SMALL) for label in labels) + extent("patients (positive)", SMALL) + 8
    figure, panels = small_multiples(arms, [pitch * len(groups) + 2], wide=True, margin=margin)
    overall = summary[(summary["level"] == level) & (summary["metric"] == "roc_auc")].set_index("arm")["value"]
    ends = lines[["low", "high", "value"]].to_numpy(dtype=float)
    limits = (min(np.nanmin(ends), 0.45) - 0.03, min(np.nanmax(ends) + 0.03, 1.01))
    for number, (arm, (axes,)) in enumerate(zip(arms, panels, strict=True)):
        of_arm = lines[lines["arm"] == arm]
        _areas(axes, of_arm, looks[arm].colour, looks[arm].marker)
        axes.axvline(float(overall[arm]), color=DARK, linewidth=0.6, linestyle=(0, (4, 2)), zorder=0)
        axes.axvline(0.5, color=GUIDE, linewidth=0.6, zorder=0)
        axes.set(xlim=limits, ylim=(len(groups) - 0.3, -0.7), xlabel="ROC-AUC")
        axes.set_yticks(range(len(groups)), labels if number % n_columns == 0 else [""] * len(groups))
        axes.tick_params(axis="y", length=0, labelsize=SMALL if pitch > 2.8 else 5)
        axes.spines["left"].set_visible(False)
        axes.locator_params(axis="x", nbins=3)
        _between(axes, groups)
        if number % n_columns == n_columns - 1:
            _sizes(axes, groups, small=pitch <= 2.8)
    return figure, lines.assign(overall=lines["arm"].map(overall))


def _areas(axes: Axes, lines: pd.DataFrame, colour: str, marker: str) -> None:
    for place, row in enumerate(lines.to_dict("records")):
        axes.plot([row["low"], row["high"]], [place] * 2, color=colour, linewidth=1, solid_capstyle="butt")
        axes.plot(row["value"], place, marker=marker, color=colour, markersize=2.8, markeredgewidth=0.6)


def _group_labels(groups: pd.DataFrame, level: str) -> list[str]:
    return [
        shorten(f"{column} {group}", 32, placeholder=" …") + (", by image" if at == "image" != level else "")
        for column, group, at in groups[["column", "group", "level"]].astype(str).to_numpy()
    ]


def _between(axes: Axes, groups: pd.DataFrame) -> None:
    """Draw a faint line between the groups of one column and those of the next."""
    names = groups["column"].to_numpy()
    for place in np.flatnonzero(names[1:] != names[:-1]):
        axes.axhline(place + 0.5, color=FAINT, linewidth=0.4, zorder=0)


def _sizes(axes: Axes, groups: pd.DataFrame, *, small: bool) -> None:
    """Write how many patients, and positive ones, a group has, or that it was too small."""
    texts = [
        (
            f"fewer than {SMALLEST_CELL} of a class"
            if row["suppressed"]
            else f"{row['n_patients']:.0f} ({row['n_positive']:.0f})"
        )
        for row in groups.to_dict("records")
    ]
    size = 5 if small else SMALL
    _beside(axes, -1, "patients (positive)", 5, fontsize=5)
    for place, (text, suppressed) in enumerate(zip(texts, groups["suppressed"], strict=True)):
        _beside(axes, place, text, 5, fontsize=size, color="#7F7F7F" if suppressed else DARK)
