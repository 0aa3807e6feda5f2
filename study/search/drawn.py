"""Figures of one search for the dashboard: plotly figures of Optuna's trials, small enough to live in a database.

Every function takes what it draws and returns a figure; `drawn` says which of them have something to show. Values are rounded to
five decimals, which no screen resolves; nothing is read back from a figure.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState
from plotly.subplots import make_subplots

from study.search.importance import varied

COMPLETE, PRUNED, BEST, DARK, GUIDE = "#0072B2", "#B3B3B3", "#D55E00", "#333333", "#E6E6E6"
"""Colours as the paper's figures have them (Okabe and Ito), and greys."""
FOLDS = ("#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down")
STAR = {"symbol": "star", "size": 15, "color": BEST, "line": {"width": 1, "color": "white"}}
COLUMNS = 3
"""Panels side by side in the figure of slices."""


def drawn(trials: Sequence[FrozenTrial], metric: str, importances: Mapping[str, float]) -> dict[str, go.Figure]:
    """Return the figures of a search by the name they are kept under, those alone that have something to show.

    Args:
        trials: of the search, in the order of their numbers; running ones do not count.
        metric: what the value is, as a label.
        importances: of each key.
    """
    finished = [trial for trial in trials if trial.state.is_finished()]
    done = [trial for trial in finished if trial.state == TrialState.COMPLETE]
    if not finished:
        return {}
    found = {"history": history(finished, metric)}
    if any(_scores(trial) for trial in finished):
        found["fold-scores"] = fold_scores(finished, metric)
    if any(trial.intermediate_values for trial in finished):
        found["learning-curves"] = learning_curves(finished, metric)
    if varied(done):
        found["slices"] = slices(finished, metric)
    if importances:
        found["importances"] = bars(importances)
    return found


def history(trials: Sequence[FrozenTrial], metric: str) -> go.Figure:
    """Draw the value of each trial by its number, and the best so far."""
    figure = _figure("Optimisation history", counted(trials), "Trial", metric)
    best, so_far = best_of(trials), float("-inf")
    steps = []
    for trial in _complete(trials):
        so_far = max(so_far, _value(trial))
        steps.append((trial.number, so_far))
    if len(steps) > 1:
        steps.append((trials[-1].number, so_far))
        figure.add_scatter(
            **_xy(steps), mode="lines", name="best so far", line={"color": BEST, "width": 1.5, "shape": "hv"}
        )
    pruned = [(t.number, _value(t)) for t in trials if t.state == TrialState.PRUNED and t.value is not None]
    figure.add_scatter(**_xy(pruned), mode="markers", name="pruned (at its last epoch)", marker=_open(PRUNED))
    done = [(t.number, _value(t)) for t in _complete(trials)]
    figure.add_scatter(**_xy(done), mode="markers", name="complete", marker={"color": COMPLETE, "size": 8})
    if best is not None:
        figure.add_scatter(
            **_xy([(best.number, _value(best))]), mode="markers", name=f"best (trial {best.number})", marker=STAR
        )
    return figure


def fold_scores(trials: Sequence[FrozenTrial], metric: str) -> go.Figure:
    """Draw the score in each inner fold and their mean, by trial: how far the folds agree."""
    about = (
        "a dot for each inner fold, a bar for their mean; a difference smaller than the spread of the dots says little"
    )
    figure = _figure("Scores in the inner folds", about, "Trial", metric)
    scored, best = [trial for trial in trials if _scores(trial)], best_of(trials)
    for fold in range(max(len(_scores(trial)) for trial in scored)):
        points = [(trial.number, _scores(trial)[fold]) for trial in scored if fold < len(_scores(trial))]
        marker = {"size": 6, "opacity": 0.75, "color": FOLDS[fold % len(FOLDS)], "symbol": SYMBOLS[fold % len(SYMBOLS)]}
        figure.add_scatter(**_xy(points), mode="markers", name=f"fold {fold}", marker=marker)
    means = [(trial.number, sum(_scores(trial)) / len(_scores(trial))) for trial in scored]
    bar = {"symbol": "line-ew", "size": 13, "line": {"width": 2, "color": DARK}}
    figure.add_scatter(**_xy(means), mode="markers", name="mean", marker=bar)
    if best is not None and _scores(best):
        star = [(best.number, _value(best))]
        figure.add_scatter(**_xy(star), mode="markers", name=f"best (trial {best.number})", marker=STAR)
    return figure


def learning_curves(trials: Sequence[FrozenTrial], metric: str) -> go.Figure:
    """Draw the mean over inner folds by epoch, a line for each trial; pruned ones grey, the best one above all."""
    about = "mean over the inner folds after each epoch; grey: pruned"
    figure = _figure("Learning curves", about, "Epoch", metric)
    best = best_of(trials)
    reported = [trial for trial in trials if trial.intermediate_values]
    order = {TrialState.PRUNED: 1, TrialState.COMPLETE: 2}
    for trial in sorted(reported, key=lambda one: (one is best, order.get(one.state, 0), one.number)):
        done = trial.state == TrialState.COMPLETE
        line = {"color": COMPLETE if done else PRUNED, "width": 1}
        points = sorted(trial.intermediate_values.items())
        look: dict[str, Any] = {"mode": "lines" if len(points) > 1 else "markers", "opacity": 0.6, "line": line}
        look["marker"] = {"color": line["color"]}
        if trial is best:
            look |= {"opacity": 1, "line": {"color": BEST, "width": 2.5}, "marker": {"color": BEST}}
        figure.add_scatter(**_xy(points), name=f"trial {trial.number}", showlegend=trial is best, **look)
    return figure


def slices(trials: Sequence[FrozenTrial], metric: str) -> go.Figure:
    """Draw the value against each key that was varied, a panel for each; darker trials are later ones."""
    done, best = _complete(trials), best_of(trials)
    keys = varied(done)
    n_columns = min(COLUMNS, len(keys))
    n_rows = math.ceil(len(keys) / n_columns)
    figure = make_subplots(
        rows=n_rows, cols=n_columns, shared_yaxes=True, horizontal_spacing=0.04, vertical_spacing=0.24
    )
    figure.update_layout(
        _layout("Values by hyper-parameter", "completed trials; the darker, the later"), showlegend=False
    )
    shade = {"size": 8, "color": [trial.number for trial in done], "colorscale": [[0, "#C6DBEF"], [1, "#08306B"]]}
    for place, key in enumerate(keys):
        row, column = place // n_columns + 1, place % n_columns + 1
        kind, ticks = _axis(done, key)
        for shown, marker in ((done, shade), ([best] if best is not None else [], STAR)):
            points = [
                (_shown(trial.params[key]) if kind == "category" else trial.params[key], _value(trial))
                for trial in shown
            ]
            text = [f"trial {trial.number}" for trial in shown]
            figure.add_scatter(**_xy(points), mode="markers", marker=marker, text=text, name=key, row=row, col=column)
        figure.update_xaxes(title={"text": key, "standoff": 4}, type=kind, row=row, col=column, **ticks)
    figure.update_xaxes(_AXIS)
    figure.update_yaxes(_AXIS)
    figure.update_yaxes(title=metric, col=1)
    return figure


def bars(importances: Mapping[str, float]) -> go.Figure:
    """Draw the importance of each key, the greatest on top."""
    about = "share of the variance of the values that a key alone explains (fANOVA, completed trials)"
    figure = _figure("Importance of the hyper-parameters", about, "Share of the explained variance", "")
    shares = list(importances.items())[::-1]
    figure.add_bar(
        x=[_rounded(share) for _, share in shares], y=[key for key, _ in shares], orientation="h", marker={"color": COMPLETE},
        text=[f"{share:.0%}" for _, share in shares], textposition="auto", showlegend=False,
    )  # fmt: skip
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    figure.update_yaxes(automargin=True, showgrid=False)
    return figure


def best_of(trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """Return the completed trial with the greatest value, the first of several."""
    return max(_complete(trials), key=lambda trial: (_value(trial), -trial.number), default=None)


def counted(trials: Sequence[FrozenTrial]) -> str:
    """Return how many trials ended in which state, in words."""
    words = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    numbers = {word: sum(trial.state == state for trial in trials) for state, word in words.items()}
    return f"{len(trials)} trials: " + ", ".join(f"{n} {word}" for word, n in numbers.items() if n)


def _complete(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    return [trial for trial in trials if trial.state == TrialState.COMPLETE]


def _value(trial: FrozenTrial) -> float:
    return float(trial.value) if trial.value is not None else float("nan")


def _scores(trial: FrozenTrial) -> list[float]:
    return list(trial.user_attrs.get("fold_scores") or [])


def _rounded(value: Any) -> Any:
    """Return a number with five decimals or digits, None for one that JSON does not know, and anything else as it is."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _xy(points: Iterable[tuple[Any, Any]]) -> dict[str, list[Any]]:
    pairs = list(points)
    return {"x": [_rounded(x) for x, _ in pairs], "y": [_rounded(y) for _, y in pairs]}


def _open(colour: str) -> dict[str, Any]:
    return {"symbol": "circle-open", "size": 8, "color": colour, "line": {"width": 1.5}}


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else "none" if value is None else str(value).lower()


def _axis(trials: Sequence[FrozenTrial], key: str) -> tuple[str, dict[str, Any]]:
    """Return the kind of a key's axis, and its ticks where they follow from the kind."""
    distribution = trials[0].distributions[key]
    if isinstance(distribution, CategoricalDistribution):
        order = [_shown(choice) for choice in distribution.choices]
        return "category", {"categoryorder": "array", "categoryarray": order}
    if getattr(distribution, "log", False):
        return "log", {"dtick": 1, "exponentformat": "power"}
    return "linear", {"nticks": 6}


_AXIS: dict[str, Any] = {
    "gridcolor": GUIDE, "zeroline": False, "showline": True, "linecolor": DARK, "ticks": "outside", "ticklen": 4,
}  # fmt: skip


def _layout(title: str, about: str) -> dict[str, Any]:
    """Return what all figures share; no template of plotly's, which would be most of the text that is stored."""
    return {
        "template": go.layout.Template(), "plot_bgcolor": "white", "hovermode": "closest",
        "title": {"text": f"<b>{title}</b><br><sup>{about}</sup>", "x": 0.01, "font": {"size": 16}},
        "margin": {"l": 60, "r": 20, "t": 60, "b": 50},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
    }  # fmt: skip


def _figure(title: str, about: str, x: str, y: str) -> go.Figure:
    figure = go.Figure(layout=_layout(title, about))
    figure.update_xaxes(_AXIS, title={"text": x, "standoff": 4})
    figure.update_yaxes(_AXIS, title={"text": y})
    return figure
