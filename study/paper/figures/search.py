"""How a search of hyper-parameters went: its history, which settings mattered, values tried, and effort against result."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from study.paper.figures.parts import (
    Drawn,
    Looks,
    columns_of,
    drawn,
    entitle,
    extent,
    fit,
    key,
    panel_width,
    same_limits,
    small_multiples,
)
from study.paper.labels import label
from study.paper.searches import SEARCH, by_fold, parameter, value_text
from study.paper.style import DARK, FAINT, GUIDE, NORMAL, Look, canvas, styled, width

DOT = 6.0
"""Area of a trial's dot in square points."""
COMPLETE: dict[str, Any] = {"marker": "o", "markersize": 2.6, "linestyle": "none", "markeredgewidth": 0}
PRUNED: dict[str, Any] = {
    "marker": "o",
    "markersize": 2.6,
    "linestyle": "none",
    "markerfacecolor": "white",
    "markeredgewidth": 0.5,
}
REFERENCE: dict[str, Any] = {"marker": "D", "markersize": 3.2, "linestyle": "none", "markeredgewidth": 0}
NO_VALUE: dict[str, Any] = {"marker": "x", "markersize": 2.8, "linestyle": "none", "markeredgewidth": 0.7}
WINNER: dict[str, Any] = {
    "marker": "o",
    "markersize": 4.6,
    "linestyle": "none",
    "markerfacecolor": "none",
    "markeredgewidth": 0.9,
}


@styled()
def history(data: pd.DataFrame, looks: Looks, value: str) -> Drawn:
    """Value of every trial in the order of the search, one panel an arm; lines: best complete trial so far.

    Args:
        data: `study.paper.searches.history`.
        looks: of all arms.
        value: what a trial's value is called.

    Returns:
        Data: as given.
    """
    arms = drawn(data, looks)
    figure, panels = small_multiples(arms, [34.0], wide=len(arms) > 1, extra=5 if len(arms) > 1 else 9)
    for number, (arm, (axes,)) in enumerate(zip(arms, panels, strict=True)):
        mine, colour = data[data["arm"] == arm], looks[arm].colour
        for _, one in mine.groupby(SEARCH, sort=False):
            if mine["fold"].nunique() * mine["repeat"].nunique() > 1:
                axes.step(
                    one["trial"], one["best_so_far"], where="post", color=colour, linewidth=0.5, alpha=0.35, zorder=2
                )
        line = mine.drop_duplicates("trial").sort_values("trial")
        axes.step(line["trial"], line["mean_best_so_far"], where="post", color=colour, linewidth=1.3, zorder=4)
        _trials(axes, mine, "trial", colour)
        axes.set_ylabel(value if number % columns_of(len(arms)) == 0 else "")
        axes.set_xlabel("Trial")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4, steps=[1, 2, 5, 10], min_n_ticks=1))
        axes.locator_params(axis="y", nbins=5)
    same_limits([axes for (axes,) in panels])
    several = len(data[SEARCH].drop_duplicates()) > len(arms)
    entries = [*_states(data), ("best so far" + ", mean over folds" * several, {"linewidth": 1.3})]
    entries += [("one fold", {"linewidth": 0.5, "alpha": 0.5})] if several else []
    key(figure, entries, columns=None if len(arms) > 1 else 3)
    return figure, data


def _trials(axes: Axes, mine: pd.DataFrame, x: str, colour: str) -> None:
    """Draw trials: filled if complete, hollow if given up, a diamond for the reference, a cross below if without value."""
    known = mine["value"].notna()
    default = mine["default"].astype(bool)
    for rows, look in (
        (mine[known & (mine["state"] == "complete") & ~default], COMPLETE | {"color": colour, "alpha": 0.55}),
        (mine[known & (mine["state"] != "complete") & ~default], PRUNED | {"color": colour, "alpha": 0.75}),
        (mine[known & default], REFERENCE | {"color": DARK, "alpha": 0.8}),
    ):
        axes.plot(rows[x], rows["value"], zorder=3, **look)
    lost = mine[~known]
    axes.plot(
        lost[x], np.full(len(lost), 0.03), transform=axes.get_xaxis_transform(), color=colour, zorder=3, **NO_VALUE
    )


def _states(data: pd.DataFrame) -> list[tuple[str, dict[str, Any]]]:
    """Return what a legend says of the trials that there are."""
    known, default = data["value"].notna(), data["default"].astype(bool)
    complete, others = data["state"] == "complete", known & (data["state"] != "complete") & ~default
    found = [
        ("complete", COMPLETE, (known & complete & ~default).any()),
        ("pruned" if (data.loc[others, "state"] == "pruned").all() else "pruned or diverged", PRUNED, others.any()),
        ("reference", REFERENCE, (known & default).any()),
        ("without value", NO_VALUE, (~known).any()),
    ]
    return [(name, look) for name, look, there in found if there]


@styled()
def importance(importances: pd.DataFrame, looks: Looks) -> Drawn:
    """Importance of every setting, one panel an arm: a dot for each outer fold, a bar for their mean, a diamond for the whole cohort.

    Args:
        importances: `Searched.importances`.
        looks: of all arms.

    Returns:
        Data: arm, repeat, fold, key, importance.
    """
    arms, folds = drawn(importances, looks), by_fold(importances)
    means, several = folds.groupby("key")["importance"].mean(), len(folds[SEARCH].drop_duplicates()) > len(arms)
    keys = list(means.sort_values(ascending=False, kind="stable").index)
    names = [fill(label(each), 20, break_on_hyphens=False) for each in keys]
    most = 1 if len(arms) == 1 else 3 if len(arms) in (3, 5, 6) else 4
    margin = max(extent(name, NORMAL) for name in names) + 4
    height = sum(3.4 + 2.6 * name.count("\n") + 1.6 for name in names) + 2
    figure, panels = small_multiples(arms, [height], most=most, wide=len(arms) > 1, margin=margin, extra=5)
    for arm, (axes,) in zip(arms, panels, strict=True):
        _importances(
            axes, importances[importances["arm"] == arm], folds[folds["arm"] == arm], keys, looks[arm], several=several
        )
        axes.set_yticks(range(len(keys)), names)
        axes.set(ylim=(len(keys) - 0.5, -0.5), xlim=(-0.03, 1.03), xlabel="Importance")
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.tick_params(axis="y", length=0)
    entries = [("one fold" if several else "one search", COMPLETE)]
    entries += [("mean over folds", {"marker": "|", "markersize": 7, "linestyle": "none"})] if several else []
    if len(folds) < len(importances):
        entries.append(
            ("whole cohort", REFERENCE | {"markerfacecolor": "white", "markeredgewidth": 0.6, "markeredgecolor": DARK})
        )
    key(figure, entries)
    return figure, importances


def _importances(
    axes: Axes, mine: pd.DataFrame, folds: pd.DataFrame, keys: Sequence[str], look: Look, *, several: bool
) -> None:
    whole = mine.drop(index=folds.index, errors="ignore")
    for at, each in enumerate(keys):
        axes.axhline(at, color=FAINT, linewidth=0.5, zorder=0)
        values = folds.loc[folds["key"] == each, "importance"]
        if values.empty:
            axes.text(0.02, at, "not searched", fontsize=NORMAL, color=GUIDE, va="center", backgroundcolor="white")
            continue
        axes.plot(values, np.full(len(values), at), color=look.colour, alpha=0.6, zorder=2, **COMPLETE)
        if several:
            axes.plot(values.mean(), at, "|", color="black", markersize=8, markeredgewidth=1.1, zorder=4)
        all_ = whole.loc[whole["key"] == each, "importance"]
        axes.plot(
            all_,
            np.full(len(all_), at),
            zorder=3,
            **(REFERENCE | {"markerfacecolor": "white", "markeredgewidth": 0.6, "color": DARK}),
        )


@styled()
def slices(trials: pd.DataFrame, chosen: pd.DataFrame, looks: Looks, logarithmic: Sequence[str], value: str) -> Drawn:
    """Value of every trial against each setting, a row of panels for each arm; the winners are ringed.

    Args:
        trials: `Searched.trials`.
        chosen: arm, repeat, fold, number of the winners.
        looks: of all arms.
        logarithmic: keys whose values were drawn on a logarithmic scale.
        value: what a trial's value is called.

    Returns:
        Data: arm, repeat, fold, key, trial, parameter, value, state, default, winner.
    """
    shown = by_fold(trials)
    arms, keys = drawn(shown, looks), [c.removeprefix("param.") for c in shown.columns if c.startswith("param.")]
    data = _long(shown, chosen, keys)
    scales = {each: _Scale(data.loc[data["key"] == each, "parameter"], each in logarithmic) for each in keys}
    wide = len(keys) > 1
    tallest = max(scales[each].lines for each in keys)
    each_row = 30 if len(arms) == 1 else max(min(24, 190 / len(arms)), 15)
    figure = canvas(len(arms) * each_row + 13 + 2.5 * tallest, wide=wide)
    grid = figure.subplots(len(arms), len(keys), squeeze=False)
    available = panel_width(len(keys), wide=wide)
    for row, arm in enumerate(arms):
        entitle(grid[row, 0], arm, "", available * len(keys))
        for column, each in enumerate(keys):
            axes, mine = grid[row, column], data[(data["arm"] == arm) & (data["key"] == each)]
            scales[each].apply(axes, available, lowest=row == len(arms) - 1)
            _slice(axes, mine.assign(at=scales[each].at(mine)), looks[arm].colour)
            axes.tick_params(labelleft=column == 0)
            axes.locator_params(axis="y", nbins=4)
            if row == len(arms) - 1:
                name = fill(label(each), max(int(available / 1.25), 8), break_on_hyphens=False)
                axes.set_xlabel(name, fontsize=fit(name, available, 6.5))
    same_limits([axes for axes in grid.flat if axes.lines])
    figure.supylabel(value, fontsize=6.5)
    key(figure, [*_states(data), ("chosen", WINNER)], columns=None if wide else 3)
    return figure, data


def _long(shown: pd.DataFrame, chosen: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    won = set(chosen[["arm", "repeat", "fold", "number"]].itertuples(index=False, name=None))
    winner = [place in won for place in shown[["arm", "repeat", "fold", "number"]].itertuples(index=False, name=None)]
    facts = shown[[*SEARCH, "value", "state", "default"]].assign(trial=shown["order"] + 1, winner=winner)
    frames = [facts.assign(key=each, parameter=shown[parameter(each)].astype(object)) for each in keys]
    found = pd.concat(frames, ignore_index=True)
    found = found[found["parameter"].notna()].reset_index(drop=True)
    return found[[*SEARCH, "key", "trial", "parameter", "value", "state", "default", "winner"]]


def _slice(axes: Axes, mine: pd.DataFrame, colour: str) -> None:
    if mine.empty:
        axes.text(
            0.5, 0.5, "not searched", transform=axes.transAxes, ha="center", va="center", fontsize=NORMAL, color=GUIDE
        )
        axes.set_yticks([])
        return
    _trials(axes, mine, "at", colour)
    won = mine[mine["winner"]]
    axes.plot(won["at"], won["value"], color="black", zorder=5, **WINNER)


class _Scale:
    """Where the values of one setting lie on an axis, the same for all arms.

    Numbers of many values are on a scale of their own; a few whole numbers and words have ticks, and are spread a little around
    them so that trials do not hide each other.
    """

    def __init__(self, values: pd.Series, logarithmic: bool) -> None:
        known = values.dropna()
        numeric = all(isinstance(v, int | float | np.number) and not isinstance(v, bool | np.bool_) for v in known)
        whole = numeric and all(float(v).is_integer() for v in known) and known.nunique() <= 12
        self.logarithmic = logarithmic
        self.levels: list[Any] = (
            [] if numeric and (logarithmic or not whole) else list(dict.fromkeys(sorted(known, key=_order)))
        )
        self.names = [value_text(int(level) if whole else level) for level in self.levels]
        self.turned = sum(map(len, self.names)) > 16
        self.ends = (float(known.min()), float(known.max())) if not self.levels and len(known) else (0.0, 1.0)

    @property
    def lines(self) -> float:
        """How many lines of text the tick labels take."""
        return 1 + (max(map(len, self.names)) / 2.2 if self.turned and self.names else 0)

    def at(self, mine: pd.DataFrame) -> pd.Series:
        """Return where trials are drawn."""
        if not self.levels:
            return mine["parameter"].astype(float)
        places = mine["parameter"].map(lambda value: self.levels.index(value)).astype(float)
        return places + 0.5 * ((mine["trial"] * 0.618034) % 1 - 0.5)

    def apply(self, axes: Axes, available: float, *, lowest: bool) -> None:
        """Set limits and ticks of a panel of so many mm width."""
        if self.levels:
            names = self.names if lowest else [""] * len(self.names)
            axes.set_xticks(range(len(names)), names, rotation=90 if self.turned else 0)
            axes.set_xlim(-0.6, len(self.levels) - 0.4)
            return
        low, high = self.ends
        if self.logarithmic:
            axes.set_xscale("log")
            margin = (high / low) ** 0.06 if high > low else 1.5
            axes.set_xlim(low / margin, high * margin)
            if high >= 100 * low:
                axes.xaxis.set_major_locator(LogLocator(numticks=max(int(available / 8), 2)))
                axes.xaxis.set_minor_formatter(NullFormatter())
            else:  # too few powers of ten for an axis
                ticks = np.geomspace(low, high, 3 if high > low else 1)
                axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
                axes.minorticks_off()
        else:
            margin = 0.06 * (high - low) or 0.1 * abs(high) or 0.5
            axes.set_xlim(low - margin, high + margin)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=3))
        axes.tick_params(labelbottom=lowest)


def _order(value: Any) -> tuple[bool, Any]:
    """Sort numbers by size, words as words."""
    return (True, str(value)) if isinstance(value, str) else (False, float(value))


@styled()
def effort(data: pd.DataFrame, looks: Looks, value: str) -> Drawn:
    """Expected best value after n trials, all arms together.

    Args:
        data: `study.paper.searches.effort`.
        looks: of all arms.
        value: what a trial's value is called.

    Returns:
        Data: as given.
    """
    arms = drawn(data, looks)
    figure = canvas(58 + 3.2 * -(-len(arms) // 3), wide=False)
    axes = figure.subplots()
    for arm in arms:
        mine, (colour, dash, marker) = data[data["arm"] == arm], looks[arm]
        axes.plot(
            mine["n"],
            mine["mean"],
            color=colour,
            linestyle=dash,
            marker=marker if len(mine) == 1 else "",
            markersize=3,
            label=arm,
        )
        if len(arms) == 1:
            axes.fill_between(mine["n"], mine["least"], mine["greatest"], color=colour, alpha=0.15, linewidth=0)
    axes.set(xlabel="Trials of every search", ylabel=f"Expected best\n{value[0].lower() + value[1:]}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=[1, 2, 5, 10], min_n_ticks=1))
    handles = [Line2D([], [], color=looks[arm].colour, linestyle=looks[arm].dash, label=arm) for arm in arms]
    size = fit("".join(arms) + "mmmm" * len(arms), width(wide=False) * max(1, -(-len(arms) // 3)), NORMAL)
    figure.legend(handles=handles, loc="outside upper right", ncols=min(len(arms), 3), fontsize=size)
    return figure, data
