"""The table of the paper: one row an arm, at most nine columns."""

import pandas as pd

from study.evaluation.evaluation import Evaluation
from study.records.added_predictions import UNVERIFIED
from study.records.stored_study import StoredStudy
from study.reporting.tables.added import marked
from study.reporting.tables.audit import remains
from study.reporting.tables.base import (
    ABSENT,
    PaperTable,
    at_unit,
    caption,
    cell,
    empty_table,
    metric_name,
    sample,
    trained_again,
    unfinished_arms,
)
from study.text.format import interval, number

WITHIN, AGAINST = "within sites", "against "
PLAIN = ("sensitivity_at_90_specificity", "specificity_achieved", "calibration_slope", "brier")
AGAIN = "95 % CI of the AUC, trained again"


def main_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """The arms by AUC, AUC within sites and against one negative status, sensitivity, calibration and Brier score.

    Its data has one row per arm with value, `_low` and `_high` of each. An arm without a summary has a row that says
    why.
    """
    if evaluation.summary.empty:
        return empty_table("main")
    lines = at_unit(evaluation.summary, evaluation)
    by_arm = {str(arm): rows.set_index("metric") for arm, rows in lines.groupby("arm", sort=False)}
    further = _further(study, evaluation)
    again = {row["arm"]: row for row in trained_again(evaluation).to_dict("records")}
    missing = unfinished_arms(study, evaluation)
    order = [arm for arm in dict.fromkeys([*study.settings.arms, *by_arm, *missing]) if arm in by_arm or arm in missing]
    order.sort(key=lambda arm: arm not in study.settings.arms)  # the baseline last; sorting is stable
    shown, data = [], []
    for arm in order:
        numbers = by_arm.get(arm, pd.DataFrame(columns=["value", "low", "high"]))
        extra = {metric: rows.get(arm) for metric, rows in further.items()}
        ends = tuple(float(again[arm][end]) for end in ("low", "high")) if arm in again else NOWHERE[:2]
        row = _absent(further, missing[arm]) if arm in missing else _shown(numbers, extra, ends)
        shown.append({"Arm": arm} | (row if again else _without(row, AGAIN)))
        trained = dict(zip(("roc_auc_again_low", "roc_auc_again_high"), ends, strict=True)) if again else {}
        data.append({"arm": arm, "state": missing.get(arm, "finished"), **_data(numbers, extra), **trained})
    nothing: dict[str, Triple | None] = dict.fromkeys(further)
    for added, lines in evaluation.added.groupby("arm", sort=False):
        numbers = lines.set_index("metric")
        row = _shown(numbers, nothing, NOWHERE[:2])
        shown.append({"Arm": marked(str(added))} | (row if again else _without(row, AGAIN)))
        data.append({"arm": str(added), "state": f"added; {UNVERIFIED}", **_data(numbers, nothing)})
    title = f"Performance of the models, {evaluation.unit} level"
    said = _caption(study, evaluation, list(further), again=bool(again))
    return PaperTable("main", title, said, pd.DataFrame(data), pd.DataFrame(shown))


def _without(row: dict[str, str], column: str) -> dict[str, str]:
    return {name: text for name, text in row.items() if name != column}


Triple = tuple[float, float, float]
"""Value and both ends of its interval."""


def _further(study: StoredStudy, evaluation: Evaluation) -> dict[str, dict[str, Triple]]:
    """Return metric -> arm -> AUC: within sites where there are several, and against one negative status.

    That status is the benign one where there is one, as telling cancer from healthy women is the easier task; else the
    one with most patients. The choice does not depend on any result.
    """
    rows = evaluation.contrasts_by_class
    if rows.empty:
        return {}
    against = [str(metric) for metric in rows["metric"].unique() if str(metric).startswith(AGAINST)]
    images = study.cohort.images
    sizes = images.groupby("status")["patient_id"].nunique()
    against.sort(key=lambda m: ("benign" not in m.lower(), -int(sizes.get(m.removeprefix(AGAINST), 0)), m))
    chosen = [metric for metric in (WITHIN, *against[:1]) if metric in set(rows["metric"])]
    return {
        metric: {
            line["arm"]: (line["value"], line["low"], line["high"])
            for line in rows[rows["metric"] == metric].to_dict("records")
        }
        for metric in chosen
    }


def _header(metric: str) -> str:
    return f"AUC {metric}"


def _shown(numbers: pd.DataFrame, extra: dict[str, Triple | None], again: tuple[float, ...]) -> dict[str, str]:
    ends = [number("roc_auc", end) for end in again]
    row = {"AUC": cell(numbers, "roc_auc"), AGAIN: ABSENT if ABSENT in ends else " to ".join(ends)}
    row |= {
        _header(metric): interval("roc_auc", *estimate) if estimate else ABSENT for metric, estimate in extra.items()
    }
    return row | {metric_name(metric): cell(numbers, metric) for metric in PLAIN}


def _absent(further: dict[str, dict[str, Triple]], reason: str) -> dict[str, str]:
    others = [AGAIN, *map(_header, further), *map(metric_name, PLAIN)]
    return {"AUC": reason} | dict.fromkeys(others, ABSENT)


def _data(numbers: pd.DataFrame, extra: dict[str, Triple | None]) -> dict[str, float]:
    metrics = ("roc_auc", *PLAIN, "calibration_intercept")
    triples = {metric: _triple(numbers, metric) for metric in metrics}
    areas = {f"roc_auc {metric}": triple or NOWHERE for metric, triple in extra.items()}
    ordered = {"roc_auc": triples.pop("roc_auc")} | areas | triples
    return {
        f"{metric}{end}": value
        for metric, triple in ordered.items()
        for end, value in zip(("", "_low", "_high"), triple, strict=True)
    }


def _triple(numbers: pd.DataFrame, metric: str) -> Triple:
    """Return value, low and high of a metric; NaN where it was not computed."""
    if metric not in numbers.index:
        return NOWHERE
    value, low, high = numbers.loc[metric, ["value", "low", "high"]].to_numpy(dtype=float)
    return float(value), float(low), float(high)


NOWHERE: Triple = (float("nan"), float("nan"), float("nan"))


def _caption(study: StoredStudy, evaluation: Evaluation, further: list[str], *, again: bool) -> str:
    return caption(
        "main",
        study,
        evaluation,
        people=sample(evaluation, evaluation.unit).text(evaluation.unit),
        again=again,
        within=WITHIN in further,
        against=[metric.removeprefix(AGAINST) for metric in further if metric != WITHIN],
        brier=number("brier", _of_prevalence(study, evaluation)),
        added=study.added.facts.file if study.added is not None else "",
        unverified=UNVERIFIED,
        remains=remains(study),
    )


def _of_prevalence(study: StoredStudy, evaluation: Evaluation) -> float:
    """Return the Brier score of a constant probability, the share of positive units."""
    counted = at_unit(evaluation.confusion, evaluation).iloc[0]
    share = (counted["tp"] + counted["fn"]) / counted[["tp", "fp", "fn", "tn"]].sum()
    return float(share * (1 - share))
