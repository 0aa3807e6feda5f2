"""Methods: where the data come from, what is predicted from what, and how patients were divided."""

from typing import Any

from mmbc.data.tables.labels import CONTRALATERAL
from study.records.stored_study import StoredStudy
from study.reporting.facts.arm_names import display_name
from study.reporting.facts.bibliography import dataset
from study.reporting.facts.counts import breast_counts, n_positive
from study.reporting.facts.prose import paragraphs
from study.reporting.facts.search_facts import is_flat, is_nested
from study.reporting.facts.sentences import configs, has_baseline, leaves_trace, uses_table
from study.text.format import count, percent, span

PHANTOM = "phantom"
LEFT_OUT = {
    "other class": "of a class that is not compared",
    "missing": "without a file",
    "unreadable": "unreadable",
    "undecided": "with a label that could not be decided",
    "duplicate": "identical copies of another",
}


def data(study: StoredStudy) -> list[str]:
    """Return the paragraphs on data, images, clinical predictors and partitions."""
    return paragraphs(
        "methods_data", imported=study.imported, **_cohort(study), **_images(study), **_columns(study), **_parts(study)
    )


def _cohort(study: StoredStudy) -> dict[str, Any]:
    """Return source, size and labels of the cohort."""
    cohort, images = study.cohort, study.cohort.images
    totals = cohort.flow.groupby("step", sort=False)["n_images"].sum()
    positive, negative = (
        sorted(map(str, images.loc[images["label"] == y, "status"].dropna().unique())) for y in (1, 0)
    )
    return {
        "phantom": cohort.name == PHANTOM and not study.imported,
        "phantom_seed": study.settings.data.phantom.seed,
        "cites": dataset(cohort.name),
        "name": cohort.name,
        "n_rows": len(images),
        "n_patients": cohort.n_patients,
        "n_positive": n_positive(images),
        "share_positive": n_positive(images) / max(cohort.n_patients, 1),
        "n_listed": int(totals["listed"]) if "listed" in totals else 0,
        "lost": [f"{int(totals[step])} {why}" for step, why in LEFT_OUT.items() if totals.get(step, 0)],
        "sampled": [note for note in cohort.notes if "--limit-patients" in note],
        "positive": positive,
        "negative": negative,
        "named": bool(positive and negative and not set(positive) & set(negative)),
        "unit": study.settings.unit,
        "pooled": study.settings.data.conflicts == "any",
        **breast_counts(images),
        "contralateral": CONTRALATERAL,
    }


def _images(study: StoredStudy) -> dict[str, Any]:
    """Return the path from image files to network inputs."""
    d = study.settings.data
    return {
        "uses_images": bool(configs(study, lambda config: config.uses_images)),
        "outlined": study.cohort.n_outlined,
        "outlines": d.outlines,
        "trace": leaves_trace(study),
        "images_checked": study.cohort.images_checked,
        "crop": d.crop,
        "resize": d.resize,
        "side": d.image_size,
    }


def _columns(study: StoredStudy) -> dict[str, Any]:
    """Return the clinical columns that were predictors, and their encoding; none where nothing used them."""
    features, rows, arms = study.cohort.features, study.cohort.images, configs(study, uses_table)
    lacking = {feature.name: int(rows[feature.name].isna().sum()) for feature in features}
    kinds = {feature.kind for feature in features}
    asked = [arm for arm, config in arms.items() if config.data.missing_indicators]
    return {
        "columns": [str(feature) for feature in features] if arms or has_baseline(study) else [],
        "missing": [f"{name} in {count(n, 'image')} ({percent(n / len(rows))})" for name, n in lacking.items() if n],
        "numeric": bool(kinds - {"categorical"}),
        "categorical": "categorical" in kinds,
        "indicators": [display_name(study, arm) for arm in asked],
        "indicators_differ": len(asked) < len(arms),
    }


def _parts(study: StoredStudy) -> dict[str, Any]:
    """Return how patients were divided into training, validation and test parts."""
    p, folds, arms = study.settings.protocol, study.folds, configs(study)
    labels = study.cohort.images.groupby("patient_id")["label"].max()
    tests = [labels.reindex(list(fold.test)) for fold in folds.until(p.repeats)]
    best = {arm: config.train for arm, config in arms.items() if config.train.keep == "best"}
    stops = [arm for arm, train in best.items() if train.patience < train.max_epochs]
    search = study.settings.search
    return {
        "by_site": bool(study.cohort.images["site"].notna().any()),
        "n_folds": folds.n_folds,
        "repeats": p.repeats,
        "fold_column": p.fold_column,
        "test_where": p.test_where,
        "own_folds": folds.own,
        "holdout": folds.holdout,
        "holdout_share": f"{100 * p.holdout:.4g}" if p.holdout else "",
        "validation_share": f"{100 * p.validation:.4g}",
        "nested": is_nested(study),
        "flat": is_flat(study),
        "inner_folds": search.inner_folds if search is not None else 0,
        "stops": [display_name(study, arm) for arm in stops],
        "chooses": [display_name(study, arm) for arm in best if arm not in stops],
        "n_models": len(arms),
        "n_tests": len(tests),
        "tested": span(min(map(len, tests)), max(map(len, tests))) if len(tests) > 1 else sum(map(len, tests)),
        "tested_positive": span(min(t.sum() for t in tests), max(t.sum() for t in tests)) if tests else "",
        "disjoint": disjoint(study),
    }


def disjoint(study: StoredStudy) -> bool:
    """Whether no patient is on two sides; of given predictions only what their test parts show."""
    tested = [(fold.repeat, patient) for fold in study.folds.folds for patient in fold.test]
    return not study.imported or len(set(tested)) == len(tested)
