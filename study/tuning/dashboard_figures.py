"""Figures of one search for the dashboard: plotly figures of Optuna's trials, small enough to live in a database.

Every function takes finished trials in the order of their numbers and returns a figure; `search_figures` says which of
them have something to show. Numbers are rounded to five digits, more than a screen resolves: nothing is read back from
a figure.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState
from plotly.subplots import make_subplots

from study.tuning.importance import varied_keys

ORDER = ("history", "fold-scores", "learning-curves", "slices", "importances")
"""The names that the figures are kept under, in the order of the page."""
COMPLETE, PRUNED, BEST, DARK, GUIDE = "#0072B2", "#999999", "#D55E00", "#333333", "#E6E6E6"
"""Colours as the paper's figures have them (Okabe and Ito), and greys."""
FOLDS = ("#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down")
STAR: dict[str, Any] = {"symbol": "star", "size": 15, "color": BEST, "line": {"width": 1, "color": "white"}}
OPEN: dict[str, Any] = {"symbol": "circle-open", "size": 8, "color": PRUNED, "line": {"width": 1.5}}
AXIS: dict[str, Any] = {
    "gridcolor": GUIDE,
    "zeroline": False,
    "showline": True,
    "linecolor": DARK,
    "ticks": "outside",
    "ticklen": 4,
}
COLUMNS = 3
"""Most panels side by side in the figure of slices."""
Points = Iterable[tuple[Any, Any]]


def search_figures(
    trials: Sequence[FrozenTrial], metric: str, importances: Mapping[str, float]
) -> dict[str, go.Figure]:
    """Return the figures of a search by name, in their order, those alone that have something to show.

    Args:
        trials: of the search; running ones do not count.
        metric: what the value is, as a label.
        importances: of each key.
    """
    finished = sorted((t for t in trials if t.state.is_finished()), key=lambda trial: trial.number)
    valued = [trial for trial in finished if _value(trial) is not None]
    figures = {}
    if finished:
        figures["history"] = history(finished, metric)
    if any(_scores(trial) for trial in valued):
        figures["fold-scores"] = fold_scores(valued, metric)
    if any(trial.intermediate_values for trial in finished):
        figures["learning-curves"] = learning_curves(finished, metric)
    if varied_keys(valued):
        figures["slices"] = slices(valued, metric)
    if importances:
        figures["importances"] = bars(importances, len(_ended(finished, TrialState.COMPLETE)))
    return figures


def history(trials: Sequence[FrozenTrial], metric: str) -> go.Figure:
    """Draw the value of each trial by its number, and the best so far."""
    figure = _figure("Optimisation history", _counted(trials), "Trial", metric)
    done, pruned = _ended(trials, TrialState.COMPLETE), _ended(trials, TrialState.PRUNED)
    line = {"color": BEST, "width": 1.5, "shape": "hv"}
    _add(figure, _so_far(done, trials[-1].number), mode="lines", name="best so far", line=line)
    _add(figure, _values(pruned), mode="markers", name="pruned, at its last epoch", marker=OPEN)
    _add(figure, _values(done), mode="markers", name="complete", marker={"color": COMPLETE, "size": 8})
    _mark_best(figure, trials)
    return figure


def _so_far(done: Sequence[FrozenTrial], last: int) -> list[tuple[int, float]]:
    """Return the greatest value until each trial, and until the last."""
    steps, best = [], -math.inf
    for number, value in _values(done):
        best = max(best, value)
        steps.append((number, best))
    return [*steps, (last, best)] if steps else []


def fold_scores(trials: Sequence[FrozenTrial], metric: str) -> go.Figure:
    """Draw the validation score in each fold of the search and their mean, by trial: how far the folds agree."""
    about = "a mark for each fold, a bar for their mean (grey: pruned)"
    figure = _figure("Validation scores by fold", about, "Trial", metric)
    scored = [trial for trial in trials if _scores(trial)]
    for fold in range(max(len(_scores(trial)) for trial in scored)):
        points = [(trial.number, _scores(trial)[fold]) for trial in scored if fold < len(_scores(trial))]
        marker = {"size": 6, "opacity": 0.75, "color": FOLDS[fold % len(FOLDS)], "symbol": SYMBOLS[fold % len(SYMBOLS)]}
        _add(figure, points, mode="markers", name=f"fold {fold + 1}", marker=marker)
    for state, name, colour in ((TrialState.PRUNED, "mean, pruned", PRUNED), (TrialState.COMPLETE, "mean", DARK)):
        means = [(trial.number, sum(_scores(trial)) / len(_scores(trial))) for trial in _ended(scored, state)]
        bar = {"symbol": "line-ew", "size": 13, "line": {"width": 2, "color": colour}}
        _add(figure, means, mode="markers", name=name, marker=bar)
    _mark_best(figure, trials)
    return figure


def learning_curves(trials: Sequence[FrozenTrial], metric: str) -> go.Figure:
    """Draw the mean over the folds by epoch, a line for each trial; the best one above all."""
    about = "mean over the folds after each epoch (grey: pruned or failed)"
    figure = _figure("Learning curves", about, "Epoch", metric)
    best = best_of(trials)
    for trial in sorted(trials, key=lambda one: (one is best, one.state == TrialState.COMPLETE, one.number)):
        points = sorted(trial.intermediate_values.items())
        colour = BEST if trial is best else COMPLETE if trial.state == TrialState.COMPLETE else PRUNED
        line = {"color": colour, "width": 2.5 if trial is best else 1}
        look = {"mode": "lines" if len(points) > 1 else "markers", "opacity": 1 if trial is best else 0.6}
        name = f"best (trial {trial.number})" if trial is best else f"trial {trial.number}"
        _add(figure, points, name=name, showlegend=trial is best, line=line, marker={"color": colour}, **look)
    return figure


def slices(trials: Sequence[FrozenTrial], metric: str) -> go.Figure:
    """Draw the value against each key that was varied, a panel for each."""
    keys, best = varied_keys(trials), best_of(trials)
    figure, n_columns = _panels(len(keys), metric)
    about = "a point for each trial, the darker the later (open and grey: pruned, at its last epoch)"
    figure.update_layout(_layout("Values by hyper-parameter", about), showlegend=False)
    done, pruned = _ended(trials, TrialState.COMPLETE), _ended(trials, TrialState.PRUNED)
    shade = {"size": 8, "color": [t.number for t in done], "colorscale": [[0, "#C6DBEF"], [1, "#08306B"]]}
    for place, key in enumerate(keys):
        where = {"row": place // n_columns + 1, "col": place % n_columns + 1}
        for shown, marker in ((pruned, OPEN), (done, shade), ([best] if best else [], STAR)):
            points, text = [(_place(t, key), _value(t)) for t in shown], [t.number for t in shown]
            _add(figure, points, mode="markers", name="trial", marker=marker, text=text, hovertemplate=HOVER, **where)
        figure.update_xaxes(AXIS, title={"text": key, "standoff": 4}, **_scale(trials, key), **where)
    figure.update_yaxes(AXIS)
    return figure


def _panels(n: int, metric: str) -> tuple[go.Figure, int]:
    """Return a figure of n panels with one label for all ordinates, and how many stand side by side."""
    n_rows = math.ceil(n / COLUMNS)
    n_columns = math.ceil(n / n_rows)
    specs: Any = [
        [{} if n_columns * row + column < n else None for column in range(n_columns)] for row in range(n_rows)
    ]
    spacing = {"horizontal_spacing": 0.04, "vertical_spacing": 0.24 / max(1, n_rows - 1)}
    return make_subplots(n_rows, n_columns, specs=specs, shared_yaxes=True, y_title=metric, **spacing), n_columns


HOVER = "trial %{text}<br>(%{x}, %{y})<extra></extra>"


def bars(importances: Mapping[str, float], n_trials: int) -> go.Figure:
    """Draw the importance of each key, the greatest on top."""
    about = f"share of what single keys explain of the values' variance (fANOVA, {n_trials} completed trials)"
    figure = _figure("Importance of the hyper-parameters", about, "Share of the explained variance", "")
    shares = list(importances.items())[::-1]
    figure.add_bar(
        x=[_rounded(share) for _, share in shares],
        y=[key for key, _ in shares],
        orientation="h",
        showlegend=False,
        text=[f"{share:.0%}" for _, share in shares],
        textposition="outside",
        cliponaxis=False,
        marker={"color": COMPLETE},
    )
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    figure.update_yaxes(automargin=True, showgrid=False)
    return figure


def best_of(trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """Return the completed trial with the greatest value, the first of several; None without one."""
    done = _ended(trials, TrialState.COMPLETE)
    return max(done, key=lambda trial: (trial.values[0], -trial.number), default=None)


def _mark_best(figure: go.Figure, trials: Sequence[FrozenTrial]) -> None:
    best = best_of(trials)
    if best is not None:
        _add(figure, _values([best]), mode="markers", name=f"best (trial {best.number})", marker=STAR)


def _counted(trials: Sequence[FrozenTrial]) -> str:
    """Return how many trials ended in which state, in words."""
    words = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
    parts = [f"{len(_ended(trials, state))} {word}" for state, word in words.items() if _ended(trials, state)]
    return f"{len(trials)} trial{'s' * (len(trials) > 1)}: {', '.join(parts)}"


def _ended(trials: Sequence[FrozenTrial], state: TrialState) -> list[FrozenTrial]:
    return [trial for trial in trials if trial.state == state]


def _value(trial: FrozenTrial) -> float | None:
    """Return the value of a trial; None if it has none, as a failed one or one pruned before its first epoch."""
    return trial.values[0] if trial.values and math.isfinite(trial.values[0]) else None


def _values(trials: Sequence[FrozenTrial]) -> list[tuple[int, float]]:
    return [(trial.number, value) for trial in trials if (value := _value(trial)) is not None]


def _scores(trial: FrozenTrial) -> list[float]:
    return list(trial.user_attrs.get("fold_scores") or [])


def _place(trial: FrozenTrial, key: str) -> float:
    """Return where a trial stands on the axis of a key: its value, or the number of its choice."""
    value, distribution = trial.params[key], trial.distributions[key]
    return distribution.to_internal_repr(value) if isinstance(distribution, CategoricalDistribution) else value


def _scale(trials: Sequence[FrozenTrial], key: str) -> dict[str, Any]:
    """Return the kind of a key's axis, its ends and, where they follow from the kind, its ticks."""
    distribution = trials[-1].distributions[key]
    if isinstance(distribution, CategoricalDistribution):
        names = [choice if isinstance(choice, str) else str(choice).lower() for choice in distribution.choices]
        return {"range": [-0.5, len(names) - 0.5], "tickvals": list(range(len(names))), "ticktext": names}
    places = [_place(trial, key) for trial in trials]
    low, high = min(*places, distribution.low), max(*places, distribution.high)  # type: ignore[attr-defined]
    if not distribution.log:  # type: ignore[attr-defined]
        return {"range": _padded(low, high), "nticks": 6}
    low, high = math.log10(low), math.log10(high)
    powers = {"dtick": math.ceil((high - low) / 4), "exponentformat": "power"} if high - low > 2 else {"nticks": 6}
    return {"type": "log", "range": _padded(low, high), **powers}


def _padded(low: float, high: float) -> list[float]:
    return [low - 0.05 * (high - low), high + 0.05 * (high - low)]


def _rounded(value: float | None) -> float | int | None:
    """Return a number with five digits; None, a gap, for one that JSON does not know."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _add(figure: go.Figure, points: Points, **look: Any) -> None:
    """Add points (x, y) to a figure, and to its legend, if there are any."""
    pairs = list(points)
    if pairs:
        figure.add_scatter(x=[_rounded(x) for x, _ in pairs], y=[_rounded(y) for _, y in pairs], **look)


def _layout(title: str, about: str) -> dict[str, Any]:
    """Return what all figures share; no template of plotly's, which would be most of the text that is stored."""
    return {
        "template": go.layout.Template(),
        "plot_bgcolor": "white",
        "hovermode": "closest",
        "showlegend": True,
        "title": {"text": f"<b>{title}</b><br><sup>{about}</sup>", "x": 0.01, "font": {"size": 16}},
        "margin": {"l": 60, "r": 20, "t": 60, "b": 50},
        "legend": {"orientation": "h", "y": -0.14, "yanchor": "top", "x": 0, "xanchor": "left"},
    }


def _figure(title: str, about: str, x: str, y: str) -> go.Figure:
    figure = go.Figure(layout=_layout(title, about))
    figure.update_xaxes(AXIS, title={"text": x, "standoff": 4})
    figure.update_yaxes(AXIS, title={"text": y})
    return figure
