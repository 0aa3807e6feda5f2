"""Checks of the clinical columns, which may tell too much by value, by absence or by how they were prepared."""

from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError
from scipy.stats import fisher_exact

from mmbc.data.splits import rows_of
from mmbc.data.tables import encoding, target_leakage
from mmbc.data.tables.encoding import TabularEncoder
from mmbc.errors import some
from study.checks.check import Outcome, check, failed, not_checked, passed, warning
from study.checks.subject import Subject, given
from study.design.cells import baseline_cells, plan
from study.design.study_file import BASELINE

GROUP = "clinical columns"

STRONG = 0.85
"""A column with which, alone, the classes are told apart this well is worth a look."""
APART = 0.10
"""Shares of missing values this far apart between the classes are worth a look, if chance does not explain them."""
P = 0.01


@check(
    "A22",
    "columns that tell too much",
    group=GROUP,
    question="Does one clinical column alone tell the classes nearly perfectly (AUC 0.97: failed; 0.85: warning), or"
    " does one class alone have a category, or a missing value, that many patients have?",
    meaning="The column is a result of the diagnosis, not a predictor of it.",
    remedy="Leave it out: `--features` with the others, or `data.feature_kinds` with `skip`.",
    needs=("list", "clinical columns"),
)
def separation(subject: Subject) -> Outcome:
    """Columns that tell the classes apart too well, alone."""
    if (n_least := _smaller_class(subject.images)) < target_leakage.FEWEST:
        return not_checked(f"Only {n_least} patients of one class can be used; {target_leakage.FEWEST} are needed.")
    areas = target_leakage.separation(
        subject.images, subject.features, "breast" if subject.unit == "breast" else "case"
    )
    pure = target_leakage.pure_categories(subject.images, subject.features)
    of_one_class = {
        name: "; ".join(one.evidence for one in pure if one.column == name) for name in {one.column for one in pure}
    }
    rows = [
        {"column": name, "AUC alone": area, "of one class alone": of_one_class.get(name, "")}
        for name, area in areas.items()
    ]
    text = "; ".join(f"{name} {area:.2f}" for name, area in sorted(areas.items(), key=lambda item: -item[1])[:5])
    text += "".join(f". {name}: {evidence}" for name, evidence in sorted(of_one_class.items()))
    stopping = {one.column for one in pure if one.stops}
    sure = sorted(name for name in areas if areas[name] >= target_leakage.AUC or name in stopping)
    strong = sorted(name for name in areas if areas[name] >= STRONG or name in of_one_class)
    if sure:
        verb = "determines" if len(sure) == 1 else "determine"
        evidence = (
            f"{some(sure)} nearly {verb} the label (AUC of at least {target_leakage.AUC:g}, or a category of one class"
            f" alone). AUC alone: {text}."
        )
        if set(sure) <= set(subject.tolerance.allow_leaky):
            return warning(evidence, "allowed, and named among the limitations", rows)
        return failed(evidence, rows=rows)
    if strong:
        verb = "tells" if len(strong) == 1 else "tell"
        return warning(
            f"{some(strong)} {verb} a lot (AUC of at least {STRONG:g}, or a category of one class alone). AUC alone:"
            f" {text}.",
            rows=rows,
        )
    return passed(f"AUC alone: {text}; below {STRONG:g}.", rows=rows)


@check(
    "A23",
    "missing by class",
    group=GROUP,
    question="Is a clinical column missing more often in one class?",
    meaning="A missing value then reveals the class, and an imputed value or an indicator passes it on to the model.",
    remedy="Find out why; leave the column out, or do without `data.missing_indicators`.",
    needs=("list", "clinical columns"),
)
def missing_by_class(subject: Subject) -> Outcome:
    """Columns that are missing more often in one class; compared over patients by Fisher's exact test."""
    if not _smaller_class(subject.images):
        return not_checked("The images that can be used have one class only.")
    names = [feature.name for feature in subject.features]
    patients = subject.images.groupby("patient_id")[["label", *names]].agg(
        {"label": "max"} | dict.fromkeys(names, "first")
    )
    positive = patients["label"] == 1
    rows, apart = [], []
    for name in names:
        gone = patients[name].isna()
        counts = np.array([[int((gone & side).sum()), int((~gone & side).sum())] for side in (positive, ~positive)])
        shares = counts[:, 0] / np.maximum(counts.sum(axis=1), 1)
        p = float(fisher_exact(counts).pvalue)
        rows.append({"column": name, "missing in positives": shares[0], "in negatives": shares[1], "p": p})
        if abs(shares[0] - shares[1]) >= APART and p < P / len(names):
            apart.append(f"{name} ({100 * shares[0]:.0f} % of positives, {100 * shares[1]:.0f} % of negatives)")
    if apart:
        return failed(f"Missing more often in one class: {some(apart)}.", rows=rows)
    table = pd.DataFrame(rows).set_index("column")
    if not table[["missing in positives", "in negatives"]].to_numpy().any():
        return passed("No value is missing.", rows=rows)
    shares = table.iloc[int((table["missing in positives"] - table["in negatives"]).abs().to_numpy().argmax())]
    ends = [f"{100 * shares[side]:.1f} %" for side in ("missing in positives", "in negatives")]
    if ends[0] == ends[1]:
        most = 100 * table[["missing in positives", "in negatives"]].to_numpy().max()
        evidence = f"Values are missing as often in positive as in negative patients: at most {most:.1f} % in a column."
        return passed(evidence, rows=rows)
    return passed(
        f"Shares of missing values differ most in {shares.name}: {ends[0]} of positive, {ends[1]} of negative"
        " patients; no clear difference.",
        rows=rows,
    )


@check(
    "A24",
    "preprocessing of training rows alone",
    group=GROUP,
    question="Are the recorded medians, means and scales of each fit those of its training rows, recomputed from"
    " the cohort?",
    meaning="Scalers and imputers fitted on all rows know the test rows.",
    remedy="Train the named fits again.",
    needs=("training",),
)
def preprocessing(subject: Subject) -> Outcome:
    """Encoders in the records that are not those of the training rows, fitted again here."""
    study = given(subject.study)
    records = {name: record for name, record in study.records.items() if record.preprocessing is not None}
    if not records:
        return not_checked("the records of an archive do not hold the preprocessing")
    other, images, splits = [], study.cohort.images, study.folds.splits
    planned = [*plan(study.settings, tuple(study.settings.arms), splits, study.searched)]
    cells = {cell.name: cell for cell in [*planned, *baseline_cells(study.settings, splits)]}
    fitted: dict[tuple[Any, ...], TabularEncoder] = {}
    for name, record in records.items():
        stored, fraction = record.preprocessing or {}, cells[name].config.train.fraction
        indicators = _indicates(stored)
        place = (*record.place, indicators, *((fraction, record.seed) if fraction < 1 else ()))
        if place not in fitted:
            rows = images.loc[rows_of(cells[name].learns_from(images), images)["train"]]
            fitted[place] = encoding.fit(rows, study.cohort.features, missing_indicators=indicators)
        if not _same(stored, fitted[place]):
            other.append(name)
    n_baseline = sum(record.arm == BASELINE for record in records.values())
    shown = f"{len(records)} fits" + (f" ({n_baseline} of the baseline)" if n_baseline else "")
    if other:
        return failed(
            f"In {len(other)} of {shown} medians, means or scales are not those of the training rows:"
            f" {some(other, 5)}.",
            rows=[{"cell": name} for name in other],
        )
    return passed(
        f"In all {shown} imputation and scaling are those of the training rows, fitted again to the last digit."
    )


def _smaller_class(images: pd.DataFrame) -> int:
    """Return the number of patients of the class with fewer; a patient with any positive row is positive."""
    labels = images.groupby("patient_id")["label"].max()
    return int(min((labels == 1).sum(), (labels == 0).sum()))


def _indicates(encoder: dict[str, Any]) -> bool:
    return any(column.get("indicator") for column in encoder["columns"])


def _same(stored: dict[str, Any], expected: TabularEncoder) -> bool:
    try:
        return (
            TabularEncoder.model_validate(stored).columns == expected.columns
            and stored["rows_digest"] == expected.rows_digest
        )
    except ValidationError:
        return False
