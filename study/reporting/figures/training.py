"""Figures of the fits: learning curves and the generalisation gap."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from study.reporting.figures.parts import CELL, FigureAndData, Looks, arms_of, columns_of, same_limits, small_multiples
from study.reporting.figures.style import GUIDE, journal_style
from study.text.format import difference

CURVES = {
    "loss_accuracy": (("loss", "Log loss"), ("accuracy", "Accuracy")),
    "f1_auc": (("f1", "F1 at 0.5"), ("auc", "AUC")),
}
TRAINING: dict[str, Any] = {"color": "#5F5F5F", "linestyle": (0, (3, 1.5)), "linewidth": 0.9}
GAP = "Validation − training\nlog loss"


def has_validation(history: pd.DataFrame) -> bool:
    """Whether fits had validation rows to look at."""
    return bool(history["val_loss"].notna().any())


@journal_style()
def training_curves(history: pd.DataFrame, looks: Looks, which: str) -> FigureAndData:
    """Training and validation values over epochs, one column per arm: median over fits, band between the quartiles.

    Fits that stopped early keep their last value, so that a median does not jump when one leaves. Fits without a
    validation part, as after a nested search, have training values alone.

    Args:
        history: `StoredStudy.history`.
        looks: of all arms.
        which: one of `CURVES`.

    Returns:
        Data: arm, measure, epoch, median, lower, upper (quartiles), n_fits.
    """
    arms, measures = arms_of(history, looks), CURVES[which]
    n_columns = columns_of(len(arms))
    names, validated = [looks[arm].name for arm in arms], has_validation(history)
    entries = [("training", TRAINING), *([("validation", {"linewidth": 1.1})] if validated else [])]
    figure, panels = small_multiples(names, [26.0] * len(measures), wide=len(arms) > 1, entries=entries)
    rows = []
    for number, (arm, column) in enumerate(zip(arms, panels, strict=True)):
        for axes, (measure, label) in zip(column, measures, strict=True):
            rows += both_parts(axes, history[history["arm"] == arm], measure, looks[arm].colour)
            epochs(axes, label if number % n_columns == 0 else "")
        column[-1].set_xlabel("Epoch")
    for row in range(len(measures)):
        same_limits([column[row] for column in panels])
    return figure, pd.concat(rows, ignore_index=True)


def both_parts(axes: Axes, fits: pd.DataFrame, measure: str, colour: str) -> list[pd.DataFrame]:
    """Draw a measure of one arm on training and, where there are any, on validation rows; return the bands."""
    bands = []
    for part, line in (("train", TRAINING), ("val", {"color": colour, "linewidth": 1.1})):
        if part == "train" or has_validation(fits):
            found = band(fits, f"{part}_{measure}")
            draw(axes, found, line)
            bands.append(found.assign(arm=fits["arm"].iloc[0], measure=f"{part}_{measure}"))
    return bands


@journal_style()
def generalisation_gap(history: pd.DataFrame, looks: Looks) -> FigureAndData:
    """Validation minus training log loss over epochs by arm: median and quartiles over fits, on one scale.

    Args:
        history: `StoredStudy.history`.
        looks: of all arms.

    Returns:
        Data: arm, epoch, median, lower, upper (quartiles), n_fits.
    """
    arms = arms_of(history, looks)
    bands = {arm: gap(history[history["arm"] == arm]) for arm in arms}
    last = [f"at the end {difference(found['median'].iloc[-1])}" for found in bands.values()]
    names = [looks[arm].name for arm in arms]
    figure, panels = small_multiples(names, [30.0], wide=len(arms) > 1, below=last, margin=15)
    for number, (arm, (axes,)) in enumerate(zip(arms, panels, strict=True)):
        axes.axhline(0, color=GUIDE, linewidth=0.6, zorder=0)
        draw(axes, bands[arm], {"color": looks[arm].colour, "linewidth": 1.1})
        epochs(axes, GAP if number % columns_of(len(arms)) == 0 else "")
        axes.set_xlabel("Epoch")
    same_limits([axes for (axes,) in panels])
    return figure, pd.concat([found.assign(arm=arm) for arm, found in bands.items()], ignore_index=True)


def gap(fits: pd.DataFrame) -> pd.DataFrame:
    """Return the band of validation minus training log loss of one arm's fits."""
    return band(fits.assign(gap=fits["val_loss"] - fits["train_loss"]), "gap")


def band(fits: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return epoch, median, lower, upper, n_fits over the fits of an arm."""
    wide = fits.pivot(index="epoch", columns=CELL, values=column).ffill()
    quartiles = {name: wide.quantile(at, axis=1) for name, at in (("median", 0.5), ("lower", 0.25), ("upper", 0.75))}
    return pd.DataFrame({"epoch": wide.index, **quartiles, "n_fits": wide.shape[1]}).reset_index(drop=True)


def draw(axes: Axes, found: pd.DataFrame, line: dict[str, object]) -> None:
    """Draw a median with its quartiles."""
    marker = "o" if len(found) == 1 else ""  # a single epoch is no line
    axes.plot(found["epoch"], found["median"], marker=marker, markersize=2.5, zorder=3, **line)  # type: ignore[arg-type]
    axes.fill_between(found["epoch"], found["lower"], found["upper"], color=line["color"], alpha=0.2, linewidth=0)


def epochs(axes: Axes, label: str) -> None:
    """Set the axes of a panel over epochs."""
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    axes.locator_params(axis="y", nbins=6)
