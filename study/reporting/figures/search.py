"""Figures of a search of hyper-parameters: its history, importances, values tried, and effort against result."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from study.design.search_results import PARAMETER
from study.design.search_space import Hole
from study.reporting.facts.search_facts import SEARCH, by_fold, in_order, parameter_column
from study.reporting.figures.parts import (
    FigureAndData,
    Looks,
    arms_of,
    columns_of,
    entitle,
    extent,
    fit,
    key,
    panel_width,
    same_limits,
    small_multiples,
    wrapped,
)
from study.reporting.figures.scales import scale
from study.reporting.figures.style import DARK, FAINT, GUIDE, LARGE, NORMAL, Look, canvas, journal_style, width
from study.text.setting_labels import label

ROOM = 0.1
"""Share of an ordinate kept free at both ends, for rings and for the crosses at the foot."""
COMPLETE: dict[str, Any] = {"marker": "o", "markersize": 2.6, "linestyle": "none", "markeredgewidth": 0}
PRUNED: dict[str, Any] = COMPLETE | {"markerfacecolor": "white", "markeredgewidth": 0.5}
REFERENCE: dict[str, Any] = COMPLETE | {"marker": "D", "markersize": 3.2}
NO_VALUE: dict[str, Any] = COMPLETE | {"marker": "x", "markersize": 2.8, "markeredgewidth": 0.7}
"""Marks of trials in every figure of a search."""
WINNER: dict[str, Any] = COMPLETE | {"markersize": 4.6, "markerfacecolor": "none", "markeredgewidth": 0.9}


@journal_style()
def history(data: pd.DataFrame, looks: Looks, value: str) -> FigureAndData:
    """Value of every trial in the order of the search, one panel an arm; lines: best complete trial so far.

    Args:
        data: `study.reporting.facts.search_facts.history`.
        looks: of all arms.
        value: what a trial's value is called.

    Returns:
        Data: as given.
    """
    arms = arms_of(data, looks)
    several = len(data[SEARCH].drop_duplicates()) > len(arms)
    entries = [*_states(data), ("best so far" + ", mean over folds" * several, {"linewidth": 1.3})]
    entries += [("one fold", {"linewidth": 0.5, "alpha": 0.5})] if several else []
    figure, panels = small_multiples([looks[arm].name for arm in arms], [34.0], wide=len(arms) > 1, entries=entries)
    for number, (arm, (axes,)) in enumerate(zip(arms, panels, strict=True)):
        of_arm, colour = data[data["arm"] == arm], looks[arm].colour
        for _, one in of_arm.groupby(SEARCH, sort=False):
            if of_arm["fold"].nunique() * of_arm["repeat"].nunique() > 1:
                axes.step(
                    one["trial"], one["best_so_far"], where="post", color=colour, linewidth=0.5, alpha=0.35, zorder=2
                )
        line = of_arm.drop_duplicates("trial").sort_values("trial")
        axes.step(line["trial"], line["mean_best_so_far"], where="post", color=colour, linewidth=1.3, zorder=4)
        _trials(axes, of_arm, "trial", colour)
        axes.margins(y=ROOM)
        axes.set_ylabel(value if number % columns_of(len(arms)) == 0 else "")
        axes.set_xlabel("Trial")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4, steps=[1, 2, 5, 10], min_n_ticks=1))
        axes.locator_params(axis="y", nbins=5)
    same_limits([axes for (axes,) in panels])
    return figure, data


def _trials(axes: Axes, trials: pd.DataFrame, x: str, colour: str) -> None:
    """Draw trials: filled if complete, hollow if given up, a diamond for the reference, a cross if without value."""
    known = trials["value"].notna()
    default = trials["default"].astype(bool)
    for rows, look in (
        (trials[known & (trials["state"] == "complete") & ~default], COMPLETE | {"color": colour, "alpha": 0.55}),
        (trials[known & (trials["state"] != "complete") & ~default], PRUNED | {"color": colour, "alpha": 0.75}),
        (trials[known & default], REFERENCE | {"color": DARK, "alpha": 0.8}),
    ):
        axes.plot(rows[x], rows["value"], zorder=3, **look)
    lost = trials[~known]
    axes.plot(
        lost[x], np.full(len(lost), 0.03), transform=axes.get_xaxis_transform(), color=colour, zorder=3, **NO_VALUE
    )


def _states(data: pd.DataFrame) -> list[tuple[str, dict[str, Any]]]:
    """Return what a legend says of the trials that there are."""
    known, default = data["value"].notna(), data["default"].astype(bool)
    complete, others = data["state"] == "complete", known & (data["state"] != "complete") & ~default
    states = [
        ("complete", COMPLETE, (known & complete & ~default).any()),
        ("pruned" if (data.loc[others, "state"] == "pruned").all() else "pruned or diverged", PRUNED, others.any()),
        ("reference", REFERENCE, (known & default).any()),
        ("without value", NO_VALUE, (~known).any()),
    ]
    return [(name, look) for name, look, there in states if there]


@journal_style()
def importance(importances: pd.DataFrame, looks: Looks) -> FigureAndData:
    """Importance of every setting, one panel an arm.

    A dot is an outer fold, the bar their mean, a diamond the whole cohort.

    Args:
        importances: `SearchResult.importances`.
        looks: of all arms.

    Returns:
        Data: arm, repeat, fold, key, importance.
    """
    arms, folds = arms_of(importances, looks), by_fold(importances)
    means, several = folds.groupby("key")["importance"].mean(), len(folds[SEARCH].drop_duplicates()) > len(arms)
    keys = list(means.sort_values(ascending=False, kind="stable").index)
    names = [fill(label(each), 20, break_on_hyphens=False) for each in keys]
    most = 1 if len(arms) == 1 else 3 if len(arms) in (3, 5, 6) else 4
    margin = max(extent(name, NORMAL) for name in names) + 4
    height = sum(3.4 + 2.6 * name.count("\n") + 1.6 for name in names) + 2
    titles = [looks[arm].name for arm in arms]
    entries: list[tuple[str, dict[str, Any]]] = [("one fold" if several else "one search", COMPLETE)]
    entries += [("mean over folds", {"marker": "|", "markersize": 7, "linestyle": "none"})] if several else []
    if len(folds) < len(importances):
        hollow = {"markerfacecolor": "white", "markeredgewidth": 0.6, "markeredgecolor": DARK}
        entries.append(("whole cohort", REFERENCE | hollow))
    look: dict[str, Any] = {"most": most, "wide": len(arms) > 1, "margin": margin, "entries": entries}
    figure, panels = small_multiples(titles, [height], **look)
    for arm, (axes,) in zip(arms, panels, strict=True):
        _importances(
            axes, importances[importances["arm"] == arm], folds[folds["arm"] == arm], keys, looks[arm], several=several
        )
        axes.set_yticks(range(len(keys)), names)
        axes.set(ylim=(len(keys) - 0.5, -0.5), xlim=(-0.03, 1.03), xlabel="Importance")
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.tick_params(axis="y", length=0)
    return figure, importances


def _importances(
    axes: Axes, lines: pd.DataFrame, folds: pd.DataFrame, keys: Sequence[str], look: Look, *, several: bool
) -> None:
    whole = lines.drop(index=folds.index, errors="ignore")
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


@journal_style()
def slices(
    trials: pd.DataFrame, chosen: pd.DataFrame, looks: Looks, declared: Mapping[str, Hole], value: str
) -> FigureAndData:
    """Value of every trial against each setting, a row of panels for each arm; the winners are ringed.

    Args:
        trials: `SearchResult.trials`.
        chosen: arm, repeat, fold, number of the winners.
        looks: of all arms.
        declared: the space that was searched, by key.
        value: what a trial's value is called.

    Returns:
        Data: arm, repeat, fold, key, trial, parameter, value, state, default, winner.
    """
    shown = by_fold(trials)
    arms = arms_of(shown, looks)
    keys = in_order([c.removeprefix(PARAMETER) for c in shown.columns if c.startswith(PARAMETER)], declared)
    data = _long(shown, chosen, keys)
    scales = {each: scale(data.loc[data["key"] == each, "parameter"], declared.get(each)) for each in keys}
    wide = len(keys) > 1
    tallest = max(scales[each].lines for each in keys)
    each_row = 30 if len(arms) == 1 else max(min(24, 190 / len(arms)), 15)
    figure = canvas(len(arms) * each_row + 13 + 2.5 * tallest, wide=wide)
    grid = figure.subplots(len(arms), len(keys), squeeze=False)
    available = panel_width(len(keys), wide=wide)
    for row, arm in enumerate(arms):
        name, room = looks[arm].name, available * len(keys)
        entitle(grid[row, 0], name, "", [fit(name, room, LARGE), NORMAL])
        for column, each in enumerate(keys):
            axes, trials_shown = grid[row, column], data[(data["arm"] == arm) & (data["key"] == each)]
            scales[each].apply(axes, available, lowest=row == len(arms) - 1)
            _slice(axes, trials_shown.assign(at=scales[each].at(trials_shown)), looks[arm].colour)
            axes.tick_params(labelleft=column == 0)
            axes.locator_params(axis="y", nbins=4)
            if row == len(arms) - 1:
                name = fill(label(each), max(int(available / 1.25), 8), break_on_hyphens=False)
                axes.set_xlabel(name, fontsize=fit(name, available, 6.5))
    same_limits([axes for axes in grid.flat if axes.lines])
    figure.supylabel(value, fontsize=6.5)
    key(figure, [*_states(data), ("chosen", WINNER)])
    return figure, data


def _long(shown: pd.DataFrame, chosen: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    won = set(chosen[["arm", "repeat", "fold", "number"]].itertuples(index=False, name=None))
    winner = [place in won for place in shown[["arm", "repeat", "fold", "number"]].itertuples(index=False, name=None)]
    facts = shown[[*SEARCH, "value", "state", "default"]].assign(trial=shown["order"] + 1, winner=winner)
    frames = [facts.assign(key=each, parameter=shown[parameter_column(each)].astype(object)) for each in keys]
    long = pd.concat(frames, ignore_index=True)
    long = long[long["parameter"].notna()].reset_index(drop=True)
    return long[[*SEARCH, "key", "trial", "parameter", "value", "state", "default", "winner"]]


def _slice(axes: Axes, trials: pd.DataFrame, colour: str) -> None:
    if trials.empty:
        axes.text(
            0.5, 0.5, "not searched", transform=axes.transAxes, ha="center", va="center", fontsize=NORMAL, color=GUIDE
        )
        axes.set_yticks([])
        return
    _trials(axes, trials, "at", colour)
    axes.margins(y=ROOM)
    won = trials[trials["winner"]]
    axes.plot(won["at"], won["value"], color="black", zorder=5, **WINNER)


@journal_style()
def effort(data: pd.DataFrame, looks: Looks, value: str) -> FigureAndData:
    """Expected best value after n trials, all arms together.

    Args:
        data: `study.reporting.facts.search_facts.effort`.
        looks: of all arms.
        value: what a trial's value is called.

    Returns:
        Data: as given.
    """
    arms = arms_of(data, looks)
    n_columns = 2 if len(arms) > 3 else 1
    room = width(wide=False) / n_columns - 14
    names = {looks[arm]: wrapped(looks[arm].name, room, NORMAL) for arm in arms}
    figure = canvas(56 + 2.7 * sum(name.count("\n") + 1.2 for name in names.values()) / n_columns, wide=False)
    axes = figure.subplots()
    for arm in arms:
        of_arm, (colour, dash, marker, _) = data[data["arm"] == arm], looks[arm]
        axes.plot(
            of_arm["n"],
            of_arm["mean"],
            color=colour,
            linestyle=dash,
            marker=marker if len(of_arm) == 1 else "",
            markersize=3,
        )
        if len(arms) == 1:
            axes.fill_between(of_arm["n"], of_arm["least"], of_arm["greatest"], color=colour, alpha=0.15, linewidth=0)
    axes.set(xlabel="Trials of every search", ylabel=f"Expected best\n{value[0].lower() + value[1:]}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=[1, 2, 5, 10], min_n_ticks=1))
    handles = [Line2D([], [], color=look.colour, linestyle=look.dash, label=name) for look, name in names.items()]
    figure.legend(handles=handles, loc="outside upper left", ncols=n_columns, columnspacing=1.2)
    return figure, data
