"""Overviews: discrimination and calibration of every arm side by side, and everything about one arm in one picture."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.reporting.facts.counts import unit_noun
from study.reporting.figures import training
from study.reporting.figures.curves import (
    LABELS,
    Bands,
    area,
    bands_of,
    draw_curve,
    mark_points,
    operating_points,
    share_positive,
)
from study.reporting.figures.decisions import at_one_half, matrix
from study.reporting.figures.parts import (
    FEW,
    FigureAndData,
    Looks,
    arms_of,
    diagonal,
    extent,
    fit,
    key,
    letter,
    unit_square,
    wrapped,
)
from study.reporting.figures.probabilities import by_class, mirrored, reach, smoothed
from study.reporting.figures.style import DARK, NORMAL, NOTICE, SMALL, Look, canvas, journal_style, width
from study.text.format import count, interval, tenths, whole

N_BINS = 25
ROW = 6.6
"""Millimetres of an arm's line in the legend, which is its line of the histogram too."""
NO_CURVE = "too few patients,\nor predictions too alike, for a curve"
ASIDE = 11.0
"""Millimetres right of the panels, for the scale of the histograms."""
RISE = 0.95
"""Of its line, what the tallest histogram takes."""


@journal_style()
def main(
    scores: pd.DataFrame,
    summary: pd.DataFrame,
    reliability: pd.DataFrame,
    looks: Looks,
    level: str,
    bands: Bands | None = None,
) -> FigureAndData:
    """Two panels: each arm's ROC curve with the table's AUC, and its smoothed calibration above its predictions.

    Args:
        scores: units of `Evaluation.scores`.
        summary: lines of `Evaluation.summary`.
        reliability: lines of `Evaluation.reliability`, for the extent of the axes.
        looks: of all arms.
        level: of the units.
        bands: `bands_of` these scores, where other figures have it too.

    Returns:
        Data: panel (roc, calibration, histogram), arm, label, x, y, low, high: false positive rate and sensitivity with
        its band, predicted and observed share, middle of a bin and its share of the units.
    """
    arms, units = arms_of(summary, looks), scores[scores["level"] == level]
    upper, bands = reach(units, reliability), bands or bands_of(scores, level)
    figure, (left, names, right, strips), side = _layout(len(arms))
    diagonal(left)
    diagonal(right, upper)
    rows, histograms, drawn = [], [], False
    for arm in arms:
        look, of_arm = looks[arm], units[units["arm"] == arm]
        roc = bands(arm)["roc"]
        if len(arms) <= FEW:
            left.fill_between(roc["x"], roc["low"], roc["high"], color=look.colour, alpha=0.04, linewidth=0)
            for end in ("low", "high"):
                left.plot(roc["x"], roc[end], color=look.colour, alpha=0.45, linewidth=0.35)
        left.plot(roc["x"], roc["mean"], color=look.colour, linestyle=look.dash, linewidth=1.3)
        curve = smoothed(of_arm)
        drawn |= len(curve) > 0
        right.plot(curve["x"], curve["y"], color=look.colour, linestyle=look.dash, linewidth=1.3)
        rows.append(roc.rename(columns={"mean": "y"}).assign(panel="roc", arm=arm))
        rows.append(curve.assign(panel="calibration", arm=arm))
        histograms.append(by_class(of_arm, upper, N_BINS).assign(arm=arm))
    tops = [bins.groupby("label")["share"].max() for bins in histograms]
    most = max(float(top.sum()) for top in tops)
    for place, (arm, bins, top) in enumerate(zip(arms, histograms, tops, strict=True)):
        base = place + RISE * (top[1] - top[0]) / most / 2
        mirrored(strips, bins, looks[arm].colour, at=base, per=-RISE / most)
        middle = (bins["low"] + bins["high"]) / 2
        rows.append(bins[["arm", "label"]].assign(panel="histogram", x=middle, y=bins["share"]))
    if not drawn:
        right.text(0.7 * upper, 0.2 * upper, NO_CURVE, ha="center", va="center", fontsize=NORMAL, color="#5F5F5F")
    _legend(names, summary, looks, level, arms)
    left.text(0.98, 0.03, _sample(units, level), ha="right", fontsize=NORMAL)
    unit_square(left, side=side)
    unit_square(right, upper, side=side)
    left.set(xlabel="1 − specificity", ylabel="Sensitivity")
    right.set(ylabel="Observed share of positives")
    strips.set(xlim=right.get_xlim(), ylim=(len(arms) - 0.4, -0.6), xlabel="Predicted probability")
    strips.set_xticks(right.get_xticks(), [f"{tick:g}" for tick in right.get_xticks()])
    strips.set_yticks([])
    strips.spines["left"].set_visible(False)
    _scale(strips, most, len(arms))
    return figure, pd.concat(rows, ignore_index=True)[["panel", "arm", "label", "x", "y", "low", "high"]]


def _sample(units: pd.DataFrame, level: str) -> str:
    """Return how many units were tested, and how many are positive."""
    ids = [column for column in ("patient_id", "case_id", "breast") if column in units and level != "patient"]
    tested = units.drop_duplicates(ids or ["patient_id"])
    noun = unit_noun(tested, level) if "case_id" in ids else level
    return f"{count(len(tested), noun)}, {int(tested['label'].sum())} positive"


def _scale(strips: Axes, most: float, n_arms: int) -> None:
    """Draw the height of a round share of all units right of the histograms."""
    share = max((round_ for round_ in (0.5, 0.2, 0.1, 0.05, 0.02) if RISE * round_ / most <= 1), default=most)
    end, high, at = 1.008, RISE * share / most, strips.get_yaxis_transform()
    low = n_arms - 0.5
    strips.plot([end, end], [low, low - high], color=DARK, linewidth=1, transform=at, clip_on=False)
    where: dict[str, Any] = {"transform": at, "fontsize": SMALL, "va": "center", "clip_on": False}
    strips.text(end + 0.012, low - high / 2, f"{100 * share:g} %", **where)


def _layout(n_arms: int) -> tuple[Figure, list[Axes], float]:
    """Return the axes of ROC, legend, calibration and histograms, the lower ones as wide as those above, and a side."""
    whole, left, gap, top, bottom = width(wide=True), 10.0, 15.0, 5.0, 8.0 + NOTICE
    side, lines = (whole - left - gap - ASIDE) / 2, ROW * (n_arms + 0.2)
    between = 12.5
    height = top + side + between + lines + bottom
    figure = canvas(height, wide=True, laid_out=False)
    panels = []
    for x, name in ((left, "a"), (left + side + gap, "b")):
        for y, tall in ((bottom + lines + between, side), (bottom, lines)):
            panels.append(figure.add_axes((x / whole, y / height, side / whole, tall / height)))
        letter(panels[-2], name)
    return figure, panels, side


def _legend(axes: Axes, summary: pd.DataFrame, looks: Looks, level: str, arms: list[str]) -> None:
    """Write each arm's line, name and AUC with its interval in the line of its histogram."""
    axes.axis("off")
    full = axes.get_position().width * width(wide=True)  # mm
    axes.set(xlim=(0, full), ylim=(len(arms) - 0.4, -0.6))
    chosen = summary[(summary["level"] == level) & (summary["metric"] == "roc_auc")].set_index("arm")
    start, values = 10.0, extent("0.000 (0.000 to 0.000)", NORMAL)
    longest = max(extent(looks[arm].name, NORMAL) for arm in arms)
    right = min(start + longest + 4, full - values)
    axes.text(right, -0.75, "AUC (95 % CI)", fontsize=NORMAL, va="center", fontweight="bold")
    for place, arm in enumerate(arms):
        colour, dash, _, called = looks[arm]
        axes.plot([0, start - 2], [place] * 2, color=colour, linestyle=dash, linewidth=1.3)
        name = wrapped(called, right - start - 2, NORMAL)
        axes.text(start, place, name, fontsize=fit(name, right - start - 2, NORMAL), va="center", linespacing=1)
        value, low, high = chosen.loc[[arm], ["value", "low", "high"]].to_numpy(dtype=float)[0]
        axes.text(right, place, interval("roc_auc", value, low, high), fontsize=NORMAL, va="center")


@journal_style()
def comprehensive(
    history: pd.DataFrame,
    scores: pd.DataFrame,
    summary: pd.DataFrame,
    calls: pd.DataFrame,
    look: Look,
    where: tuple[str, str],
    bands: Bands,
) -> FigureAndData:
    """Six panels about one arm: loss, accuracy, F1 and AUC over epochs, generalisation gap, confusion matrix, ROC.

    Args:
        history: `StoredStudy.history`.
        scores: units of `Evaluation.scores`.
        summary: lines of `Evaluation.summary`.
        calls: lines of `Evaluation.cross_tabulation`.
        look: of the arm.
        where: the arm, and the level of the units.
        bands: `bands_of` these scores.

    Returns:
        Data: panel, what, x, y, low, high; of the confusion matrix x is absent and y the mean count of a run.
    """
    arm, level = where
    fits = history[history["arm"] == arm]
    figure = canvas(112, wide=True)
    figure.text(0.005, 0.993, look.name, fontsize=8, fontweight="bold", va="top")
    panels = figure.subplots(2, 3)
    titles = ("Loss", "Accuracy", "AUC and F1, validation", "Generalisation gap", "Confusion matrix", "ROC curve")
    for axes, name, title in zip(panels.flat, "abcdef", titles, strict=True):
        letter(axes, name, title)
    loss, accuracy, scored, gap, cells, roc = panels.flat
    rows = [found.assign(panel="a") for found in training.both_parts(loss, fits, "loss", look.colour)]
    rows += [found.assign(panel="b") for found in training.both_parts(accuracy, fits, "accuracy", look.colour)]
    for measure, colour, dash in (("auc", look.colour, "-"), ("f1", DARK, (0, (4, 1.2)))):
        found = training.band(fits, f"val_{measure}")
        training.draw(scored, found, {"color": colour, "linestyle": dash, "linewidth": 1.1})
        rows.append(found.assign(panel="c", measure=f"val_{measure}"))
        name = "AUC" if measure == "auc" else "F1"
        scored.annotate(
            name,
            (1, found["median"].iloc[-1]),
            xycoords=scored.get_yaxis_transform(),
            xytext=(3, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            annotation_clip=False,
        )
    found = training.gap(fits)
    gap.axhline(0, color="#7F7F7F", linewidth=0.6, zorder=0)
    training.draw(gap, found, {"color": look.colour, "linewidth": 1.1})
    rows.append(found.assign(panel="d", measure="gap"))
    labels = ("Log loss", "Accuracy", "AUC, F1 at 0.5", training.GAP)
    for axes, label in zip((loss, accuracy, scored, gap), labels, strict=True):
        training.epochs(axes, label)
        axes.set_xlabel("Epoch")
    counts = at_one_half(calls[calls["arm"] == arm], level)
    matrix(cells, counts, as_text=tenths if counts["n_runs"].iloc[0] > 1 else whole)
    curve = bands(arm)["roc"]
    draw_curve(roc, curve, look)
    mark_points(roc, operating_points(summary, arm, level), "roc", share_positive(scores[scores["level"] == level]))
    diagonal(roc)
    unit_square(roc, box=False)
    roc.set(xlabel=LABELS["roc"][0], ylabel=LABELS["roc"][1])
    roc.text(0.98, 0.04, area(summary, arm, level, "roc", n_arms=99), ha="right", fontsize=NORMAL)
    key(figure, [("training", training.TRAINING), ("validation", {"color": look.colour, "linewidth": 1.1})])
    epochs = pd.concat(rows).rename(
        columns={"measure": "what", "epoch": "x", "median": "y", "lower": "low", "upper": "high"}
    )
    cells_ = counts[["tp", "fp", "fn", "tn"]].iloc[0].rename("y").rename_axis("what").reset_index().assign(panel="e")
    points = curve.rename(columns={"mean": "y"}).assign(panel="f", what="roc")
    data = pd.concat([epochs, cells_, points], ignore_index=True)
    return figure, data[["panel", "what", "x", "y", "low", "high"]]
