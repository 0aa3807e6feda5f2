"""Results in words: ranges of performance, results by image, where a model is useful, the shape of calibration."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from study.evaluation.evaluation import Evaluation
from study.records.stored_study import StoredStudy
from study.reporting.facts.arm_names import addition, contrast_name, display_name, input_names
from study.reporting.facts.prose import render
from study.reporting.facts.sentences import configs
from study.reporting.text.data_limits import both_breasts
from study.text.format import difference, listed, number, percentage

SHOWN_APART = 0.01
"""How much more a difference has to be by image than by patient to be given as an example."""
MANY_RANGES = 3
"""With more ranges of thresholds than this their ends alone are given."""


def performance(study: StoredStudy, evaluation: Evaluation, *, compared: bool) -> str:
    """Return the ranges of AUC, sensitivity and specificity over the models, those that see images apart.

    `compared` says whether there is a chapter of differences to refer to.
    """
    rows = evaluation.summary
    if rows.empty:
        return ""
    rows = rows[rows["level"] == evaluation.unit]
    arms = [str(arm) for arm in rows["arm"].unique()]
    seeing = _seeing(study, arms)
    others = [arm for arm in arms if arm not in seeing]
    groups = [("with", seeing), ("without", others)] if seeing and others else [("", arms)]
    return render(
        "performance",
        unit=evaluation.unit,
        groups=[
            {
                "which": which,
                "n": len(of),
                "auc": _range(rows, "roc_auc", of),
                "sensitivity": _range(rows, "sensitivity_at_90_specificity", of),
                "specificity": _range(rows, "specificity_achieved", of),
            }
            for which, of in groups
        ],
        several=len(arms) > 1,
        compared=compared and len(evaluation.comparisons) > 0,
    )


def by_image(study: StoredStudy, evaluation: Evaluation) -> str:
    """Return why the AUC by image is lower where images carry the label of their examination; '' where it is not."""
    rows, labels = evaluation.summary, both_breasts(study)
    if rows.empty or not labels["n_both"] or "image" not in set(rows["level"]):
        return ""
    areas = rows[rows["metric"] == "roc_auc"].pivot(index="arm", columns="level", values="value")
    seeing = _seeing(study, areas.index)
    if not seeing or not (areas.loc[seeing, "image"] < areas.loc[seeing, "patient"]).all():
        return ""
    levels = {level: rows[rows["level"] == level] for level in ("image", "patient")}
    apart: dict[tuple[str, str], tuple[float, float]] = {
        (str(first), str(second)): (
            float(areas.loc[first, "image"] - areas.loc[second, "image"]),
            float(areas.loc[first, "patient"] - areas.loc[second, "patient"]),
        )
        for first, second in evaluation.comparisons[["first", "second"]].to_numpy().tolist()
    }
    pair = max(apart, key=lambda one: apart[one][0] - apart[one][1], default=("", ""))
    image, patient = apart.get(pair, (0.0, 0.0))
    shown = image - patient > SHOWN_APART
    added = addition(study, *pair) if shown else None
    return render(
        "by_image",
        n=len(seeing),
        by_image=_range(levels["image"], "roc_auc", seeing),
        by_patient=_range(levels["patient"], "roc_auc", seeing),
        contrast=_in_sentence(study, *pair) if shown else "",
        difference_by_image=difference(image),
        difference_by_patient=difference(patient),
        adds_clinical=added is not None and added[0] == input_names(study)["tabular"],
        **labels,
    )


def utility(study: StoredStudy, evaluation: Evaluation) -> str:
    """Return what the thresholds for 90 % sensitivity achieved, and at which thresholds models have a net benefit."""
    rows, curves, prevalence = evaluation.summary, evaluation.decision, study.settings.protocol.prevalence
    if rows.empty:
        return ""
    rows = rows[rows["level"] == evaluation.unit]
    arms = [str(arm) for arm in rows["arm"].unique()]
    by_range: dict[str, list[str]] = {}
    for arm, lines in curves.groupby("arm", sort=False):
        by_range.setdefault(useful_thresholds(lines), []).append(display_name(study, str(arm)))
    useless = by_range.pop("", [])
    return render(
        "utility",
        sensitivity=_range(rows, "sensitivity_achieved", arms),
        specificity=_range(rows, "specificity_at_90_sensitivity", arms),
        useful=[(names, thresholds) for thresholds, names in by_range.items()],
        useless=useless,
        prevalence=percentage(prevalence) if prevalence is not None else "",
        low=_threshold(curves["threshold"].min()) if len(curves) else "",
        high=_threshold(curves["threshold"].max()) if len(curves) else "",
    )


def useful_thresholds(lines: pd.DataFrame) -> str:
    """Return where the net benefit of an arm is above that of recalling everybody and nobody: `2 % to 5 %`, or ''.

    Args:
        lines: of one arm in `Evaluation.decision`.
    """
    lines = lines.sort_values("threshold")
    better = (lines["value"] > np.maximum(lines["treat_all"], 0) + 1e-12).to_numpy()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], better, [False]]).astype(int)))
    at = lines["threshold"].to_numpy()
    runs = [(at[start], at[end - 1]) for start, end in edges.reshape(-1, 2)]
    if len(runs) > MANY_RANGES:
        return f"{_threshold(runs[0][0])} to {_threshold(runs[-1][1])}, with gaps,"
    return listed(
        [_threshold(low) if low == high else f"{_threshold(low)} to {_threshold(high)}" for low, high in runs] or [""]
    )


def off_bins(study: StoredStudy, outside: pd.DataFrame) -> list[str]:
    """Return for each arm at which predicted risks the observed share lies clearly above or below the prediction.

    Args:
        study: with the names of the arms.
        outside: lines of `Evaluation.reliability` whose interval excludes the predicted risk.
    """
    said = []
    for arm, lines in outside.groupby("arm", sort=False):
        above = lines["observed"] > lines["mean_prob"]
        parts = [
            f"{side} the prediction {_at(lines.loc[where, 'mean_prob'])}"
            for side, where in (("below", ~above), ("above", above))
            if where.any()
        ]
        said.append(f"of {display_name(study, str(arm))}, it lies {listed(parts)}")
    return said


def _at(predicted: "pd.Series[float]") -> str:
    values = list(dict.fromkeys(number("brier", value) for value in sorted(predicted)))
    if len(values) > 2:
        return f"at predicted risks from {values[0]} to {values[-1]}"
    return f"at predicted risks of {listed(values)}" if len(values) > 1 else f"at a predicted risk of {values[0]}"


def calibration_errors(study: StoredStudy, evaluation: Evaluation) -> list[str]:
    """Return the expected calibration error of each arm beside what perfectly calibrated predictions would show."""
    rows = evaluation.summary[
        (evaluation.summary["level"] == evaluation.unit) & (evaluation.summary["metric"] == "ece")
    ]
    chance = evaluation.expected_ece.query("metric == 'ece'").set_index("arm")["expected"]
    return [
        f"{display_name(study, arm)} {number('ece', value)} ({number('ece', chance[arm])})"
        for arm, value in rows[["arm", "value"]].itertuples(index=False, name=None)
        if arm in chance.index and not np.isnan(value)
    ]


def _in_sentence(study: StoredStudy, first: str, second: str) -> str:
    name = contrast_name(study, first, second)
    return name if " minus " in name else name[0].lower() + name[1:]


def _seeing(study: StoredStudy, arms: Iterable[str]) -> list[str]:
    """Return the arms that see images, as far as that is known."""
    known = configs(study, lambda config: config.uses_images)
    return [arm for arm in arms if arm in known]


def _range(rows: pd.DataFrame, metric: str, arms: Sequence[str]) -> str:
    """Return the least and the greatest value of a metric at one level: `0.867 to 0.873`; '' where there is none."""
    values = rows.loc[(rows["metric"] == metric) & rows["arm"].isin(arms), "value"].dropna()
    return (
        " to ".join(dict.fromkeys(number(metric, end) for end in (values.min(), values.max()))) if len(values) else ""
    )


def _threshold(share: float) -> str:
    return f"{100 * share:.3g} %"
