"""Figures of the fits: learning curves and the generalisation gap."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from study.reporting.figures.parts import (
    CELL,
    FEW,
    FigureAndData,
    Looks,
    arms_of,
    columns_of,
    key,
    same_limits,
    small_multiples,
)
from study.reporting.figures.style import FAINT, GUIDE, journal_style

CURVES = {
    "loss_accuracy": (("loss", "Log loss"), ("accuracy", "Accuracy")),
    "f1_auc": (("f1", "F1 at 0.5"), ("auc", "ROC-AUC")),
}
TRAINING = {"color": "#7F7F7F", "linestyle": (0, (3, 1.5)), "linewidth": 0.9}


def has_validation(history: pd.DataFrame) -> bool:
    """Whether fits had validation rows to look at."""
    return bool(history["val_loss"].notna().any())


@journal_style()
def training_curves(history: pd.DataFrame, looks: Looks, which: str) -> FigureAndData:
    """Training and validation values over epochs, one column per arm: mean over fits, band from least to greatest.

    Fits that stopped early keep their last value, so that a mean does not jump when one leaves. Fits without a
    validation part, as after a nested search, have training values alone.

    Args:
        history: `StoredStudy.history`.
        looks: of all arms.
        which: one of `CURVES`.

    Returns:
        Data: arm, measure, epoch, mean, least, greatest, n_fits.
    """
    arms, measures = arms_of(history, looks), CURVES[which]
    n_columns = columns_of(len(arms))
    figure, panels = small_multiples(arms, [26.0] * len(measures), wide=len(arms) > 1, extra=5)
    rows, validated = [], has_validation(history)
    for number, (arm, column) in enumerate(zip(arms, panels, strict=True)):
        fits = history[history["arm"] == arm]
        for axes, (measure, label) in zip(column, measures, strict=True):
            for part, line in (("train", TRAINING), ("val", {"color": looks[arm].colour, "linewidth": 1.1})):
                if part == "val" and not validated:
                    continue
                band = _band(fits, f"{part}_{measure}")
                _draw(axes, band, line)
                rows.append(band.assign(arm=arm, measure=f"{part}_{measure}"))
            _epochs(axes, label if number % n_columns == 0 else "")
        column[-1].set_xlabel("Epoch")
    for row in range(len(measures)):
        same_limits([column[row] for column in panels])
    key(figure, [("training", TRAINING), *([("validation", {"linewidth": 1.1})] if validated else [])])
    return figure, pd.concat(rows, ignore_index=True)


@journal_style()
def generalisation_gap(history: pd.DataFrame, looks: Looks) -> FigureAndData:
    """Validation minus training log loss over epochs by arm: mean and range over fits, the other arms behind in grey.

    Args:
        history: `StoredStudy.history`.
        looks: of all arms.

    Returns:
        Data: arm, epoch, mean, least, greatest, n_fits.
    """
    arms = arms_of(history, looks)
    gaps = history.assign(gap=history["val_loss"] - history["train_loss"])
    bands = {arm: _band(gaps[gaps["arm"] == arm], "gap") for arm in arms}
    figure, panels = small_multiples(arms, [30.0], wide=len(arms) > 1)
    for number, (arm, (axes,)) in enumerate(zip(arms, panels, strict=True)):
        axes.axhline(0, color=GUIDE, linewidth=0.6, zorder=0)
        for other in arms:
            if other != arm and len(arms) <= FEW:
                axes.plot(bands[other]["epoch"], bands[other]["mean"], color=FAINT, linewidth=0.6, zorder=1)
        _draw(axes, bands[arm], {"color": looks[arm].colour, "linewidth": 1.1})
        _epochs(axes, "Validation − training\nlog loss" if number % columns_of(len(arms)) == 0 else "")
        axes.set_xlabel("Epoch")
    same_limits([axes for (axes,) in panels])
    return figure, pd.concat([band.assign(arm=arm) for arm, band in bands.items()], ignore_index=True)


def _band(fits: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return epoch, mean, least, greatest, n_fits over the fits of an arm."""
    wide = fits.pivot(index="epoch", columns=CELL, values=column).ffill()
    return pd.DataFrame(
        {
            "epoch": wide.index,
            "mean": wide.mean(axis=1),
            "least": wide.min(axis=1),
            "greatest": wide.max(axis=1),
            "n_fits": wide.shape[1],
        }
    ).reset_index(drop=True)


def _draw(axes: Axes, band: pd.DataFrame, line: dict[str, object]) -> None:
    marker = "o" if len(band) == 1 else ""  # a single epoch is no line
    axes.plot(band["epoch"], band["mean"], marker=marker, markersize=2.5, zorder=3, **line)  # type: ignore[arg-type]
    axes.fill_between(band["epoch"], band["least"], band["greatest"], color=line["color"], alpha=0.15, linewidth=0)


def _epochs(axes: Axes, label: str) -> None:
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    axes.locator_params(axis="y", nbins=5)
