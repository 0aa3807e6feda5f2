"""Subgroups: the areas, the declared contrasts, and what the common threshold does in each."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from study.evaluation.evaluation import Evaluation
from study.evaluation.groups import SMALLEST_CELL
from study.records.stored_study import StoredStudy
from study.reporting.tables.base import ABSENT, PaperTable, caption, empty_table, metric_name
from study.text.format import difference_interval, interval, p_value

SIZE = "Patients (positive)"
FEW = f"fewer than {SMALLEST_CELL}"


def subgroups_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """AUC by subgroup, with the size of those that are too small, and tests of a difference."""
    data = evaluation.subgroups
    if data.empty or data["value"].notna().sum() == 0:
        return empty_table("subgroups")
    texts = [interval("roc_auc", *values) for values in data[["value", "low", "high"]].to_numpy()]
    shown = _wide(data.assign(text=texts), "arm")
    said = caption(
        "subgroups",
        study,
        evaluation,
        few=FEW,
        by_image=_by_image(data),
        alike=_alike(data),
        **_number_of_tests(evaluation),
    )
    return PaperTable("subgroups", "Subgroups", said, data, shown.fillna(ABSENT), n_keys=2)


def subgroup_contrasts_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """The declared contrasts by subgroup: whether what is added helps in some patients more than in others."""
    data = evaluation.subgroup_contrasts
    if data.empty or data["difference"].notna().sum() == 0:
        return empty_table("subgroup_contrasts")
    texts = [difference_interval(*values) for values in data[["difference", "low", "high"]].to_numpy()]
    shown = _wide(data.assign(text=texts, contrast=data["first"] + " minus " + data["second"]), "contrast")
    said = caption(
        "subgroup_contrasts",
        study,
        evaluation,
        by_image=_by_image(data),
        alike=_alike(data),
        **_number_of_tests(evaluation),
    )
    title = "Differences between models by subgroup"
    return PaperTable("subgroup_contrasts", title, said, data, shown.fillna(ABSENT), n_keys=2)


def subgroup_performance_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """Sensitivity, specificity and calibration by subgroup, at the threshold that all subgroups have in common."""
    data = evaluation.subgroup_performance
    if data.empty:
        return empty_table("subgroup_performance")
    texts = [interval(*line) for line in data[["metric", "value", "low", "high"]].itertuples(index=False, name=None)]
    text = data.assign(text=texts, subgroup=data["column"].str.cat(data["group"].astype(str), " "))
    keys = ["subgroup", "arm"]
    shown = text.pivot(index=keys, columns="metric", values="text")[list(text["metric"].unique())]
    shown = shown.reindex(pd.MultiIndex.from_frame(text[keys].drop_duplicates())).rename(columns=metric_name)
    shown = shown.reset_index().rename(columns={"subgroup": "Subgroup", "arm": "Arm"})
    said = caption("subgroup_performance", study, evaluation, by_image=_by_image(data))
    title = "Sensitivity, specificity and calibration by subgroup"
    return PaperTable("subgroup_performance", title, said, data, shown.fillna(ABSENT), n_keys=2)


def _by_image(data: pd.DataFrame) -> list[str]:
    return [str(column) for column in data.loc[data["level"] == "image", "column"].unique()]


def _alike(data: pd.DataFrame) -> bool:
    """Whether something was not tested between images although two subgroups are large enough."""
    shown = data[(data["level"] == "image") & ~data["suppressed"].astype(bool)]
    several = shown.groupby("column")["group"].transform("nunique") > 1
    return bool(shown.loc[several, "interaction_p"].isna().any())


def _wide(data: pd.DataFrame, across: str) -> pd.DataFrame:
    """Return a row for each subgroup and for each column that was tested, and a column for each arm or contrast."""
    rows: list[dict[str, Any]] = []
    for (column, group), lines in data.groupby(["column", "group"], sort=False):
        values = dict(zip(lines[across], lines["text"], strict=True))
        rows.append({"Subgroup": f"{column!s} {group!s}", SIZE: _size(lines.iloc[0].to_dict())} | values)
    for column, lines in data.drop_duplicates(["column", across]).groupby("column", sort=False):
        if lines["interaction_p"].notna().any():
            p_values = {name: p_value(p) for name, p in zip(lines[across], lines["interaction_p"], strict=True)}
            rows.append({"Subgroup": f"{column!s}, p of a difference", SIZE: ""} | p_values)
    return pd.DataFrame(rows)


def _size(line: Mapping[Hashable, Any]) -> str:
    if pd.isna(line["n_patients"]):
        return FEW
    n = f"{line['n_patients']:.0f}"
    return f"{n} ({FEW} of a class)" if line["suppressed"] else f"{n} ({line['n_positive']:.0f})"


def n_tests(evaluation: Evaluation) -> tuple[int, int]:
    """Return how many tests of a difference between subgroups were made: of areas, and of contrasts."""
    areas, apart = evaluation.subgroups, evaluation.subgroup_contrasts
    return (
        len(areas.drop_duplicates(["column", "arm"]).dropna(subset="interaction_p")),
        len(apart.drop_duplicates(["column", "first", "second"]).dropna(subset="interaction_p")),
    )


def _number_of_tests(evaluation: Evaluation) -> dict[str, Any]:
    n_areas, n_contrasts = n_tests(evaluation)
    by_chance = f"{0.05 * (n_areas + n_contrasts):.0f}"
    return {"n_areas": n_areas, "n_contrasts": n_contrasts, "by_chance": by_chance}
