"""Counts of a study: patients, images, splits, runs."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from mmbc.data.tables.labels import CONTRALATERAL
from study.design.study_file import BASELINE
from study.records.stored_study import StoredStudy
from study.text.format import percent


def counts(study: StoredStudy) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the counts of the cohort, its flow and its splits: key, entry as in `study.reporting.numbers`."""
    for part in (_cohort, _flow, _splits):
        for key, value, about in part(study):
            yield key, {"value": value, "text": str(value), "about": about}
    share = n_positive(study.cohort.images) / max(study.cohort.n_patients, 1)
    yield (
        "share.positive",
        {"value": share, "text": percent(share), "about": "share of positive patients in the cohort"},
    )


CURVE_NEEDS = 10
"""Patients of each class below which no calibration curve is drawn, and no bin of predicted risk is judged."""


def n_positive(images: pd.DataFrame) -> int:
    """Return the number of patients with a positive image."""
    return int(images.groupby("patient_id")["label"].max().sum())


def smaller_class(study: StoredStudy) -> int:
    """Return how many tested patients the smaller class has: fewer than the cohort's where a test part was held out."""
    tested = {patient for fold in study.folds.folds for patient in fold.test}
    labels = study.cohort.images.groupby("patient_id")["label"].max()
    positive = labels[labels.index.isin(tested)]
    return int(min(positive.sum(), len(positive) - positive.sum()))


def unit_noun(units: pd.DataFrame, level: str) -> str:
    """Return what a unit of a level is called: a breast counts once for each of the patient's examinations.

    Args:
        units: rows with patient_id, case_id and breast, as many of a unit as there are.
        level: patient, breast or image.
    """
    if level != "breast":
        return level
    breasts = units.drop_duplicates(["patient_id", "case_id", "breast"])
    return "breast examination" if breasts.duplicated(["patient_id", "breast"]).any() else level


def breast_counts(images: pd.DataFrame) -> dict[str, Any]:
    """Return what breasts are called, and how many there are, are positive, or healthy beside a positive one."""
    marked = images.assign(positive=images["label"] == 1, opposite=images["status"] == CONTRALATERAL)
    breasts = marked.groupby(["patient_id", "case_id", "breast"], dropna=False)
    positive, opposite = breasts["positive"].any(), breasts["opposite"].any()
    return {
        "breast_noun": unit_noun(images, "breast"),
        "n_breasts": len(positive),
        "n_positive_breasts": int(positive.sum()),
        "n_opposite": int((opposite & ~positive).sum()),
    }


Counted = Iterator[tuple[str, int, str]]


def _cohort(study: StoredStudy) -> Counted:
    images, cohort = study.cohort.images, study.cohort
    positive = n_positive(images)
    yield "n.patients", cohort.n_patients, "patients in the cohort"
    yield "n.positive", positive, "positive patients"
    yield "n.negative", cohort.n_patients - positive, "negative patients"
    yield "n.images", len(images), "images in the cohort"
    yield "n.cases", int(images["case_id"].nunique()), "cases (examinations)"
    if images["breast"].notna().all():
        breasts = images.groupby(["patient_id", "case_id", "breast"])["label"].max()
        noun = unit_noun(images, "breast")
        yield "n.breasts", len(breasts), f"{noun}s"
        if study.settings.unit == "breast":
            yield "n.positive-breasts", int(breasts.sum()), f"positive {noun}s"
    yield "n.sites", int(images["site"].nunique()), "sites that are known; 0 where none is"
    yield "n.features", len(cohort.features), "clinical columns"
    for status, rows in images.groupby("status", sort=True):
        name = str(status).replace("\\", "\\\\").replace(".", "\\.")
        yield f"n.patients.{name}", int(rows["patient_id"].nunique()), f"patients with status {status}"
        yield f"n.images.{name}", len(rows), f"images with status {status}"


def _flow(study: StoredStudy) -> Counted:
    flow = study.cohort.flow
    for step, n in flow.groupby("step", sort=False)["n_images"].sum().items():
        if step != "used":
            yield f"n.flow.{step}", int(n), "images listed" if step == "listed" else f"images left out: {step}"


def _splits(study: StoredStudy) -> Counted:
    protocol = study.settings.protocol
    folds = study.folds.until(protocol.repeats)
    labels = study.cohort.images.groupby("patient_id")["label"].max()
    yield "n.folds", len({fold.fold for fold in folds}), "test parts of a repeat"
    yield "n.repeats", protocol.repeats, "repeats of the splitting"
    yield "n.seeds", protocol.seeds, "training seeds"
    yield "n.arms", len(study.settings.arms), "arms, the baseline not counted"
    if study.searched is not None:
        trials = study.searched.trials
        yield "n.searches", len(trials[["arm", "repeat", "fold"]].drop_duplicates()), "searches of hyper-parameters"
        yield "n.trials", len(trials), "trials of all searches, pruned ones counted"
        yield "n.trials.pruned", int((trials["state"] == "pruned").sum()), "trials that were pruned"
    models = [name for name in study.records if not name.startswith(f"{BASELINE}.")]
    yield "n.models", len(models), "models that were evaluated, the baseline's not counted"
    if folds:
        tests = [labels.reindex(list(fold.test)).dropna() for fold in folds]
        tested = {patient for fold in folds for patient in fold.test}
        yield "n.tested", len(tested), "patients tested"
        yield "n.smallest-test", min(len(test) for test in tests), "patients in the smallest test part"
        yield (
            "n.smallest-test.positive",
            min(int(test.sum()) for test in tests),
            "positive patients in the test part that has fewest",
        )
