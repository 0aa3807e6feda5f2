"""The figures of a report: functions that take frames and return a figure and the numbers behind it."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import roc_curve

from study.paper.format import interval
from study.paper.style import DOUBLE, SINGLE, look, styled

Drawn = tuple[Figure, pd.DataFrame]
GRID = np.linspace(0, 1, 201)


def roc(scores: pd.DataFrame, summary: pd.DataFrame, arms: list[str], level: str) -> Drawn:
    """ROC curves at one level: mean over test folds by false positive rate, thin lines for the folds."""
    rows = []
    with styled():
        figure = Figure(figsize=(SINGLE, SINGLE * 1.02))
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color="#BBBBBB", linewidth=0.6)
        for arm in arms:
            chosen = scores[(scores["arm"] == arm) & (scores["level"] == level)]
            curves = [_curve(fold) for _, fold in chosen.groupby(["repeat", "seed", "fold"])]
            colour, dash, _ = look(arm, arms)
            for curve in curves:
                axes.plot(GRID, curve, color=colour, alpha=0.12, linewidth=0.5)
            mean = np.mean(curves, axis=0)
            axes.plot(
                np.r_[0, GRID],
                np.r_[0, mean],
                color=colour,
                linestyle=dash,
                label=f"{arm}: {_auc_text(summary, arm, level)}",
            )
            rows.append(pd.DataFrame({"arm": arm, "false_positive_rate": GRID, "sensitivity": mean}))
        axes.set(xlabel="1 − specificity", ylabel="Sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        axes.legend(loc="lower right", title="ROC-AUC (95 % interval)", title_fontsize=6, handlelength=2.2)
    return figure, pd.concat(rows, ignore_index=True)


def _curve(fold: pd.DataFrame) -> np.ndarray:
    """Return the sensitivity of one fold at the false positive rates of `GRID`."""
    false_positive, true_positive, _ = roc_curve(fold["label"], fold["logit"], drop_intermediate=False)
    return np.interp(GRID, false_positive, true_positive)


def _auc_text(summary: pd.DataFrame, arm: str, level: str) -> str:
    chosen = (summary["arm"] == arm) & (summary["level"] == level) & (summary["metric"] == "roc_auc")
    line = summary[chosen].iloc[0]
    return interval("roc_auc", line["value"], line["low"], line["high"])


def fold_dots(per_fold: pd.DataFrame, summary: pd.DataFrame, arms: list[str], level: str) -> Drawn:
    """ROC-AUC of every test fold at one level; folds joined across arms; bars for mean and 95 % interval."""
    chosen = per_fold[(per_fold["level"] == level) & (per_fold["metric"] == "roc_auc") & per_fold["arm"].isin(arms)]
    with styled():
        figure = Figure(figsize=(SINGLE, SINGLE * 0.72))
        axes = figure.subplots()
        wide = chosen.groupby(["arm", "repeat", "fold"])["value"].mean().unstack("arm").reindex(columns=arms)
        for _, line in wide.iterrows():
            axes.plot(range(len(arms)), line, color="#CCCCCC", linewidth=0.5, zorder=1)
        for place, arm in enumerate(arms):
            colour, _, marker = look(arm, arms)
            values = wide[arm]
            axes.scatter(
                np.full(len(values), place), values, s=11, color=colour, marker=marker, zorder=2, linewidths=0.8
            )
            chosen_summary = (summary["arm"] == arm) & (summary["level"] == level) & (summary["metric"] == "roc_auc")
            line = summary[chosen_summary].iloc[0]
            axes.errorbar(
                place + 0.22, line["value"], yerr=[[line["value"] - line["low"]], [line["high"] - line["value"]]],
                fmt="_", color="black", capsize=2, elinewidth=0.8, capthick=0.8, markersize=6,
            )  # fmt: skip
        axes.axhline(0.5, color="#BBBBBB", linewidth=0.6)
        axes.set_xticks(range(len(arms)), arms)
        axes.set(ylabel=f"ROC-AUC, {level} level", xlim=(-0.4, len(arms) - 0.4))
    return figure, chosen


CURVES = {
    "loss_accuracy": (("loss", "Log loss"), ("accuracy", "Accuracy")),
    "f1_auc": (("f1", "F1 at 0.5"), ("auc", "ROC-AUC")),
}


def training_curves(history: pd.DataFrame, arms: list[str], which: str) -> Drawn:
    """Training and validation values over epochs, one column per arm: mean over fits, band from least to greatest.

    Fits that stopped early keep their last value, so that a mean does not jump when one leaves.
    """
    measures = CURVES[which]
    rows = []
    with styled():
        figure = Figure(figsize=(DOUBLE, 3.1))
        grid = figure.subplots(len(measures), len(arms), sharex=True, sharey="row", squeeze=False)
        for column, arm in enumerate(arms):
            fits = history[history["arm"] == arm]
            for row, (measure, label) in enumerate(measures):
                axes = grid[row][column]
                for part, name, dash in (("train", "training", (0, (3, 1.5))), ("val", "validation", "-")):
                    band = _band(fits, f"{part}_{measure}")
                    colour = look(arm, arms)[0] if part == "val" else "#7F7F7F"
                    axes.plot(band["epoch"], band["mean"], color=colour, linestyle=dash, label=name)
                    axes.fill_between(
                        band["epoch"], band["least"], band["greatest"], color=colour, alpha=0.15, linewidth=0
                    )
                    rows.append(band.assign(arm=arm, measure=f"{part}_{measure}"))
                _finish_epochs(axes, arm if row == 0 else "", label if column == 0 else "", row == len(measures) - 1)
            grid[0][column].legend(loc="best")
    return figure, pd.concat(rows, ignore_index=True)


def generalisation_gap(history: pd.DataFrame, arms: list[str]) -> Drawn:
    """Validation minus training log loss over epochs, mean and range over fits."""
    gaps = history.assign(gap=history["val_loss"] - history["train_loss"])
    rows = []
    with styled():
        figure = Figure(figsize=(SINGLE, SINGLE * 0.72))
        axes = figure.subplots()
        axes.axhline(0, color="#BBBBBB", linewidth=0.6)
        for arm in arms:
            band = _band(gaps[gaps["arm"] == arm], "gap")
            colour, dash, marker = look(arm, arms)
            every = max(1, len(band) // 8)
            axes.plot(
                band["epoch"],
                band["mean"],
                color=colour,
                linestyle=dash,
                marker=marker,
                markersize=2.5,
                markevery=every,
                label=arm,
            )
            axes.fill_between(band["epoch"], band["least"], band["greatest"], color=colour, alpha=0.08, linewidth=0)
            rows.append(band.assign(arm=arm))
        _finish_epochs(axes, "", "Validation − training log loss", last=True)
        axes.legend(loc="best")
    return figure, pd.concat(rows, ignore_index=True)


def _band(fits: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return epoch, mean, least, greatest over the fits of an arm."""
    wide = fits.pivot(index="epoch", columns=["repeat", "fold", "seed"], values=column).ffill()
    return pd.DataFrame(
        {"epoch": wide.index, "mean": wide.mean(axis=1), "least": wide.min(axis=1), "greatest": wide.max(axis=1)}
    ).reset_index(drop=True)


def _finish_epochs(axes: Axes, title: str, label: str, last: bool) -> None:
    axes.set_title(title)
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if last:
        axes.set_xlabel("Epoch")


def confusion_matrices(confusion: pd.DataFrame, arms: list[str], level: str) -> Drawn:
    """Confusion matrices at calibrated probability 0.5: counts and shares of the true class."""
    chosen = confusion[confusion["level"] == level].set_index("arm").loc[arms]
    with styled():
        figure = Figure(figsize=(DOUBLE, 2.1))
        grid = figure.subplots(1, len(arms), squeeze=False)[0]
        for axes, (arm, row) in zip(grid, chosen.iterrows(), strict=True):
            matrix = np.array([[row["tn"], row["fp"]], [row["fn"], row["tp"]]], dtype=float)
            shares = matrix / matrix.sum(axis=1, keepdims=True)
            axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
            for (i, j), n in np.ndenumerate(matrix):
                dark = shares[i, j] > 0.55
                axes.text(
                    j,
                    i,
                    f"{n:.0f}\n{100 * shares[i, j]:.0f} %",
                    ha="center",
                    va="center",
                    color="white" if dark else "black",
                )
            axes.set_title(str(arm))
            axes.set_xticks([0, 1], ["negative", "positive"])
            axes.set_yticks([0, 1], ["negative", "positive"] if axes is grid[0] else ["", ""])
            axes.set_xlabel("Called")
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
        grid[0].set_ylabel("True")
    return figure, chosen.reset_index()


BOXES, LINES = 4, 5
"""Statuses shown side by side in the flow diagram, and in one box where they are more."""


def flow(counts: pd.DataFrame, n_patients: int) -> Drawn:
    """Cohort flow diagram: listed, what was left out, used by status."""
    totals = counts.groupby("step", sort=False)["n_images"].sum()
    lost = [(step, int(totals[step])) for step in totals.index if step not in ("listed", "used") and totals[step]]
    used = counts[counts["step"] == "used"]
    with styled():
        figure = Figure(figsize=(SINGLE, 2.3))
        axes = figure.subplots()
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.axis("off")
        _box(axes, 0.3, 0.92, f"Listed\n{totals['listed']} images")
        _box(axes, 0.3, 0.46, f"Used\n{totals['used']} images of {n_patients} patients")
        _arrow(axes, (0.3, 0.82), (0.3, 0.56))
        left_out = "\n".join(f"{step}: {n} images" for step, n in lost) or "nothing"
        aside = _box(axes, 0.8, 0.69, f"Left out\n{left_out}")
        axes.annotate("", (0, 0.5), (0.3, 0.69), xycoords=aside, textcoords="data", arrowprops=ARROW | {"shrinkB": 4})
        lines = [(f"{row.status}", f"{row.n_images} images", f"{row.n_patients} patients") for row in used.itertuples()]
        if len(lines) > BOXES:  # side by side they would overlap
            shown = [f"{name}: {images}, {patients}" for name, images, patients in lines[:LINES]]
            shown += [f"and {len(lines) - LINES} more"] if len(lines) > LINES else []
            box = _box(axes, 0.3, 0.06, "\n".join(shown))
            axes.annotate("", (0.5, 1), (0.3, 0.37), xycoords=box, textcoords="data", arrowprops=ARROW | {"shrinkB": 4})
            return figure, counts
        for place, line in zip(np.linspace(0.15, 0.85, len(lines)), lines, strict=True):
            _box(axes, place, 0.1, "\n".join(line))
            _arrow(axes, (0.3 + 0.2 * (place - 0.3), 0.37), (place, 0.235))
    return figure, counts


ARROW = {"arrowstyle": "-|>", "linewidth": 0.6, "color": "black", "shrinkA": 0, "shrinkB": 0}


def _box(axes: Axes, x: float, y: float, text: str) -> Text:
    outline = {"boxstyle": "round,pad=0.4", "facecolor": "white", "linewidth": 0.6}
    return axes.text(x, y, text, ha="center", va="center", bbox=outline)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", end, start, arrowprops=ARROW)


def score_figures(
    scores: pd.DataFrame, summary: pd.DataFrame, per_fold: pd.DataFrame, confusion: pd.DataFrame, arms: list[str],
    level: str,
) -> dict[str, Callable[[], Drawn]]:  # fmt: skip
    """Return the drawing functions of the figures made from predictions, at the primary unit's level, by file name."""
    return {
        "roc": lambda: roc(scores, summary, arms, level),
        "auc_by_fold": lambda: fold_dots(per_fold, summary, arms, level),
        "confusion": lambda: confusion_matrices(confusion, arms, level),
    }


def history_figures(history: pd.DataFrame, arms: Sequence[str]) -> dict[str, Callable[[], Drawn]]:
    """Return the drawing functions of the figures made from training histories, by file name."""
    drawn = list(arms)
    return {
        "loss_accuracy": lambda: training_curves(history, drawn, "loss_accuracy"),
        "f1_auc": lambda: training_curves(history, drawn, "f1_auc"),
        "generalisation_gap": lambda: generalisation_gap(history, drawn),
    }
