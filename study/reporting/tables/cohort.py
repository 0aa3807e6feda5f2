"""Tables of the cohort: flow, Table 1 and the splits."""

import numpy as np
import pandas as pd

from mmbc.data.cohort import relevant_steps
from mmbc.data.splits import PARTS, n_with_several_values, patient_table, patient_values
from study.records.stored_study import StoredStudy
from study.reporting.facts.arm_names import codes, column_name
from study.reporting.facts.classes import several_classes
from study.reporting.tables.base import ABSENT, PaperTable, caption
from study.text.format import characteristic, plain, signed, span, whole


def flow_table(study: StoredStudy) -> PaperTable:
    """Cohort flow: images (patients) by step and status; and whether image files were opened, where that is known."""
    data = relevant_steps(study.cohort.flow)
    text = data.assign(text=data["n_images"].map(whole) + " (" + data["n_patients"].map(whole) + ")")
    shown = text.pivot(index="step", columns="status", values="text").reindex(data["step"].unique())
    rows = "rows" if study.imported else "images"
    shown.insert(len(shown.columns), f"All {rows}", data.groupby("step", sort=False)["n_images"].sum().map(whole))
    said = caption("flow", study, rows=rows, opened=study.cohort.images_checked, classes=several_classes(study))
    shown = shown.reset_index().rename(columns={"step": "Step"}).fillna(ABSENT)
    return PaperTable("flow", "Cohort flow", said, data, shown)


def table_one(study: StoredStudy) -> PaperTable:
    """Table 1: patients by status, with missing counts and standardised differences of the positives to all others."""
    cohort = study.cohort
    patients = patient_table(cohort.images).set_index("patient_id")
    names = [*(feature.name for feature in cohort.features), "site"]
    values = patient_values(cohort.images, names)
    positive = patients["label"] == 1
    groups = _classes(patients["status"], positive)
    rows = _count_rows("Patients, n", groups, pd.Series(1, index=patients.index))
    if len(cohort.images) > len(patients):
        rows += _count_rows("Images, n", groups, patients["n_images"])
    for feature in cohort.features:
        column = values[feature.name]
        name, short = column_name(study, feature.name)
        if feature.kind == "numeric":
            rows += _numeric_rows(f"{name}, mean (SD)", groups, column, positive)
        else:
            for value in feature.order or sorted(column.dropna().unique()):
                rows += _share_rows(f"{short} {plain(value)}, n (%)", groups, column, value, positive)
        rows += _count_rows(f"{short} missing, n", groups, column.isna().astype(int))
        blank = cohort.images[feature.name].isna().groupby(cohort.images["patient_id"]).sum()
        if (blank[column.notna()] > 0).any():
            rows += _missing_rows(f"{short} missing in images, n (%)", groups, blank, patients["n_images"])
    for site in sorted(values["site"].dropna().unique()):
        rows += _share_rows(f"Site {site}, n (%)", groups, values["site"], site, positive)
    data = pd.DataFrame(
        rows, columns=["characteristic", "group", "n", "share", "mean", "sd", "standardised_difference"]
    )
    said = caption(
        "table_1",
        study,
        n=len(patients),
        n_several=n_with_several_values(cohort.images, names),
        classes=several_classes(study),
        codes=codes(study),
    )
    return PaperTable("table_1", "Patients by status", said, data, _table_one_shown(data, list(groups)))


def _classes(status: pd.Series, positive: pd.Series) -> dict[str, pd.Series]:
    """Return name -> patients: positive classes, negative ones, either together where they are several, and all."""
    groups: dict[str, pd.Series] = {}
    for side, of_side in (("positive", positive), ("negative", ~positive)):
        names = [name for name in sorted(status[of_side].unique()) if name not in groups]
        groups |= {name: status == name for name in names}
        if len(names) > 1:
            groups[f"All {side}"] = of_side
    return groups | {"All": pd.Series(True, index=status.index)}


Row = dict[str, object]


def _count_rows(name: str, groups: dict[str, pd.Series], counted: pd.Series) -> list[Row]:
    return [{"characteristic": name, "group": group, "n": int(counted[mask].sum())} for group, mask in groups.items()]


def _missing_rows(name: str, groups: dict[str, pd.Series], blank: pd.Series, n_images: pd.Series) -> list[Row]:
    """Count images without a value, where some patients have one on another image alone."""
    counts = {group: (int(blank[mask].sum()), int(n_images[mask].sum())) for group, mask in groups.items()}
    return [
        {"characteristic": name, "group": group, "n": n, "share": n / of if of else np.nan}
        for group, (n, of) in counts.items()
    ]


def _numeric_rows(name: str, groups: dict[str, pd.Series], column: pd.Series, positive: pd.Series) -> list[Row]:
    one, other = column[positive], column[~positive]
    difference = standardised_difference(one.mean() - other.mean(), one.var(), other.var())
    return [
        {
            "characteristic": name,
            "group": group,
            "n": int(column[mask].notna().sum()),
            "mean": column[mask].mean(),
            "sd": column[mask].std(),
            "standardised_difference": difference,
        }
        for group, mask in groups.items()
    ]


def _share_rows(
    name: str, groups: dict[str, pd.Series], column: pd.Series, value: object, positive: pd.Series
) -> list[Row]:
    has = (column == value)[column.notna()]
    one, other = (float(has[mask.reindex(has.index)].mean()) for mask in (positive, ~positive))
    difference = standardised_difference(one - other, one * (1 - one), other * (1 - other))
    counted = {group: has[mask.reindex(has.index)] for group, mask in groups.items()}
    return [
        {
            "characteristic": name,
            "group": group,
            "n": int(values.sum()),
            "share": values.mean(),
            "standardised_difference": difference,
        }
        for group, values in counted.items()
    ]


def standardised_difference(difference: float, variance: float, other_variance: float) -> float:
    """Return a difference over the pooled standard deviation (Austin 2009), NaN where that is 0."""
    spread = np.sqrt((variance + other_variance) / 2)
    return float(difference / spread) if spread > 0 else float("nan")


def _table_one_shown(data: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    lines = []
    for name, rows in data.groupby("characteristic", sort=False):
        cells = {
            row["group"]: characteristic(row["n"], row["share"], row["mean"], row["sd"]) for _, row in rows.iterrows()
        }
        difference = rows["standardised_difference"].iloc[0]
        has_difference = rows[["share", "mean"]].notna().any(axis=None)
        lines.append({"": name, **cells, "Standardised difference": signed(difference) if has_difference else ""})
    return pd.DataFrame(lines, columns=["", *groups, "Standardised difference"])


def folds_table(study: StoredStudy) -> PaperTable:
    """Patients (positive) in every part of every split."""
    data = study.folds.table(study.cohort.images)
    data = data[data["repeat"] < study.settings.protocol.repeats]
    named = data["name"].ne("").any()
    keys = ["repeat", "fold", *(["name"] if named else [])]
    sizes = data.groupby("part")["n_patients"].sum()
    parts = [
        part for part in PARTS if sizes.get(part, 0)
    ]  # where models come from may be known of the test parts alone
    text = data.assign(text=data["n_patients"].map(whole) + " (" + data["n_positive"].map(whole) + ")")
    shown = text.pivot(index=keys, columns="part", values="text")[parts].reset_index()
    inner = inner_counts(study)
    if len(inner):
        shown.insert(
            len(keys) + 1,
            "inner folds of train",
            [_inner_text(inner, place) for place in shown[["repeat", "fold"]].to_numpy()],
        )
    if study.imported:  # whom a model was trained on is not known here
        parts = [part for part in parts if part != "train"]
        shown = shown[[*keys, *parts]]
    said = caption("folds", study, inner=len(inner))
    shown = shown.astype(str).rename(columns=lambda name: str(name).capitalize())
    data = (
        pd.concat([data[data["part"].isin(parts)], inner], ignore_index=True)
        if len(inner)
        else data[data["part"].isin(parts)]
    )
    return PaperTable("folds", "Splits", said, data, shown, n_keys=len(keys))


def inner_counts(study: StoredStudy) -> pd.DataFrame:
    """Return the inner folds of a nested search as lines like those of `Folds.table`, part `inner 0` and so on."""
    patients = patient_table(study.cohort.images).set_index("patient_id")
    rows = []
    for fold in study.folds.until(study.settings.protocol.repeats):
        for number, ids in enumerate(fold.inner):
            chosen = patients.loc[list(ids)]
            rows.append(
                {
                    "repeat": fold.repeat,
                    "fold": fold.fold,
                    "name": fold.name,
                    "part": f"inner {number}",
                    "n_patients": len(chosen),
                    "n_positive": int(chosen["label"].sum()),
                    "n_images": int(chosen["n_images"].sum()),
                    "prevalence": float(chosen["label"].mean()),
                }
            )
    return pd.DataFrame(rows)


def _inner_text(inner: pd.DataFrame, place: np.ndarray) -> str:
    """Return `3 of 53 to 54 (21 to 22)`."""
    sizes = inner[(inner["repeat"] == place[0]) & (inner["fold"] == place[1])]
    n, positive = (span(sizes[column].min(), sizes[column].max()) for column in ("n_patients", "n_positive"))
    return f"{len(sizes)} of {n} ({positive})"
