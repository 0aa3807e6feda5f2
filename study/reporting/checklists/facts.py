"""Facts that the answers to checklist items rest on, under the names that the answers' templates use."""

from typing import Any

import pandas as pd

from study.evaluation.evaluation import Evaluation
from study.records.progress import models_finished
from study.records.stored_study import StoredStudy
from study.reporting.facts.arm_names import display_name, display_names
from study.reporting.facts.bibliography import dataset
from study.reporting.facts.counts import n_positive
from study.reporting.facts.search_facts import is_flat, is_nested
from study.reporting.facts.sentences import configs, has_baseline, uses_table
from study.reporting.methods.analysis import has_validation
from study.reporting.methods.data import LEFT_OUT, PHANTOM, disjoint
from study.reporting.methods.plan import plan_facts
from study.reporting.text import sections
from study.reporting.text.search_results import chosen_on
from study.text.format import count, interval, number, p_equals

OUTLINES = {"sham": "filled in", "inpaint": "filled in", "keep": "kept"}
IN_FIT = {
    "best": "Within a fit the epoch was chosen on tuning (validation) patients.",
    "last": "Every fit kept its last epoch.",
    "both": "Within a fit the epoch was chosen on tuning (validation) patients, or the last one was kept.",
}
"""Which epoch a fit kept."""
KEPT = {"best": "the epoch that is best on tuning (validation) rows", "last": "the last epoch"}


def gather_facts(study: StoredStudy, evaluation: Evaluation) -> dict[str, Any]:
    """Return every fact that a template of `answers/` may name."""
    return {
        **_cohort(study),
        **_inputs(study),
        **_parts(study),
        **_training(study),
        **_sites_and_groups(study, evaluation),
        **_results(study, evaluation),
        "version": study.environment.mmbc,
        "commit": (study.environment.commit or "")[:12],
        "plan": plan_facts(study, evaluation),
        "limits": sections.limitations(study, evaluation),
    }


def _cohort(study: StoredStudy) -> dict[str, Any]:
    cohort, images = study.cohort, study.cohort.images
    totals = {str(step): int(n) for step, n in cohort.flow.groupby("step", sort=False)["n_images"].sum().items()}
    first = images.sort_values("label", ascending=False, kind="stable").drop_duplicates("patient_id")
    by_label = [images.loc[images["label"] == label, "status"].dropna().unique() for label in (1, 0)]
    positive, negative = (sorted(map(str, names)) for names in by_label)
    told = bool(positive and negative) and not set(positive) & set(negative)
    counts = {str(status): int(n) for status, n in first["status"].value_counts().items()} if told else {}
    return {
        "imported": study.imported,
        "phantom": cohort.name == PHANTOM and not study.imported,
        "public": cohort.name != PHANTOM and bool(dataset(cohort.name)) and not study.imported,
        "size": f"{count(cohort.n_patients, 'patient')} ({n_positive(images)} positive)",
        "unit": study.settings.unit,
        "pooled": study.settings.data.conflicts == "any",
        "positive": positive if told else [str(label) for label in cohort.positive],
        "negative": negative if told else [],
        "classes": [*positive, *negative] if told else ["positive", "negative"],
        "positive_counts": [f"{counts[name]} {name}" for name in positive if name in counts],
        "negative_counts": [f"{counts[name]} {name}" for name in negative if name in counts],
        "n_listed": totals.get("listed", 0),
        "lost": {why: totals[step] for step, why in LEFT_OUT.items() if totals.get(step)},
        "undecided": totals.get("undecided", 0),
        "unreadable": totals.get("unreadable", 0) + totals.get("missing", 0),
        "checked": cohort.images_checked,
    }


def _inputs(study: StoredStudy) -> dict[str, Any]:
    with_images = configs(study, lambda config: config.uses_images)
    table = bool(configs(study, uses_table)) or has_baseline(study)
    features = [feature.name for feature in study.cohort.features]
    clinical = table and bool(features)
    lacking = study.cohort.images[features].isna() if clinical else pd.DataFrame(index=study.cohort.images.index)
    kinds = {one.kind for one in study.cohort.features if clinical and lacking[one.name].any()}
    means = ["the median of the training part"] * bool(kinds - {"categorical"}) + ["no category"] * (
        "categorical" in kinds
    )
    return {
        "images": bool(with_images),
        "arms_with_images": len(with_images),
        "clinical": clinical,
        "inputs": ["images"] * bool(with_images) + [str(feature) for feature in study.cohort.features] * clinical,
        "n_missing": int(lacking.any(axis=1).sum()),
        "missing_patients": int(study.cohort.images.loc[lacking.any(axis=1), "patient_id"].nunique()),
        "stood_in": " or ".join(means),
        "outlined": study.cohort.n_outlined if with_images else 0,
        "outlines": OUTLINES[study.settings.data.outlines],
        "cropped": study.settings.data.crop == "breast",
    }


def _parts(study: StoredStudy) -> dict[str, Any]:
    protocol, images = study.settings.protocol, study.cohort.images
    table = study.folds.table(images)
    tests, trains = (table[table["part"] == part] for part in ("test", "train"))
    labels = images.groupby("patient_id")["label"].max()
    tested = labels.reindex(sorted({p for fold in study.folds.until(protocol.repeats) for p in fold.test})).dropna()
    known = len(trains) > 0 and not study.imported
    varied = {"repeat": protocol.repeats, "training seed": protocol.seeds}
    return {
        "by": protocol.fold_column or protocol.test_where,
        "own": study.folds.own and not study.imported,
        "holdout": study.folds.holdout,
        "single": study.folds.holdout and protocol.repeats == 1,
        "disjoint": bool(disjoint(study)),
        "tested": len(tested),
        "tested_positive": int(tested.sum()),
        "test_patients": int(tests["n_patients"].min()),
        "test_positive": int(tests["n_positive"].min()),
        "train_patients": int(trains["n_patients"].min()) if known else 0,
        "train_positive": int(trains["n_positive"].min()) if known else 0,
        "varied": [count(n, what) for what, n in varied.items() if n > 1],
    }


def _training(study: StoredStudy) -> dict[str, Any]:
    arms = configs(study)
    keeps = sorted({config.train.keep for config in arms.values()})
    weighted = [display_name(study, a) for a, c in arms.items() if c.train.class_weighting == "balanced"]
    from_file = configs(study, lambda c: c.uses_images and c.model.weights.startswith("file:"))
    return {
        "weighted": weighted,
        "weights_file": bool(from_file),
        "kept": [KEPT[keep] for keep in keeps],
        "kept_in_fit": IN_FIT["both" if len(keeps) > 1 else keeps[0]] if keeps else "",
        "fits_each": sum(name.startswith(f"{next(iter(arms), '')}.") for name in study.planned),
        "nested": is_nested(study),
        "flat": is_flat(study),
        "tuned": study.settings.tuned.cohort if study.settings.tuned is not None else "",
        "optimistic": bool(chosen_on(study)),
        "validated": has_validation(study),
    }


def _sites_and_groups(study: StoredStudy, evaluation: Evaluation) -> dict[str, Any]:
    site, rows, classes = study.cohort.images["site"], evaluation.subgroups, evaluation.contrasts_by_class
    shown = rows[~rows["suppressed"].astype(bool)] if len(rows) else rows
    groups = [str(name) for name in shown["column"].unique()] if len(shown) else []
    small = rows[rows["suppressed"].astype(bool)].drop_duplicates(["column", "group"]) if len(rows) else rows
    by_site = shown[shown["column"] == "site"].groupby("arm", sort=False) if "site" in groups else ()
    within = len(classes) > 0 and bool((classes["metric"] == "within sites").any())
    return {
        "n_sites": int(site.nunique()),
        "one_site": bool(site.notna().all()) and site.nunique() == 1,
        "within_sites": within,
        "site_groups": "site" in groups,
        "sites": [_site_row(study, str(arm), lines) for arm, lines in by_site],
        "groups": groups,
        "small_groups": len(small),
        "subgroup_text": sections.subgroups(study, evaluation),
    }


def _site_row(study: StoredStudy, arm: str, lines: pd.DataFrame) -> dict[str, str]:
    """Return the lowest and highest AUC of an arm over sites, and p of a difference."""
    p = lines["interaction_p"].dropna()
    return {
        "arm": display_name(study, arm),
        "low": number("roc_auc", lines["value"].min()),
        "high": number("roc_auc", lines["value"].max()),
        "p": p_equals(float(p.iloc[0])) if len(p) else "",
    }


def _results(study: StoredStudy, evaluation: Evaluation) -> dict[str, Any]:
    rows, protocol = evaluation.summary, study.settings.protocol
    areas = rows[(rows["metric"] == "roc_auc") & (rows["level"] == evaluation.unit)] if len(rows) else rows
    widths = (areas["high"] - areas["low"]) / 2 if len(areas) else pd.Series(dtype=float)
    ends = sorted({number("roc_auc", width) for width in (widths.min(), widths.max())}) if len(areas) else []
    names = display_names(study)
    called = {arm: names.get(arm, arm) for arm in study.arms}
    pairs = study.chosen_contrasts if study.chosen_contrasts is not None else protocol.contrasts
    return {
        "finished": len(rows) > 0,
        "n_absent": sum(name not in study.records for name in study.planned),
        "models_finished": models_finished(study.planned, study.records),
        "arms": list(called.values()),
        "aucs": [
            f"{called.get(arm, arm)} {interval('roc_auc', value, low, high)}"
            for arm, value, low, high in areas[["arm", "value", "low", "high"]].to_numpy().tolist()
        ]
        if len(areas)
        else [],
        "half_widths": " to ".join(ends),
        "contrasts": [f"{called[a]} minus {called[b]}" for a, b in pairs if a in called and b in called],
        "chosen_after": study.chosen_contrasts is not None,
        "delta": f"{protocol.delta:g}",
        "prevalence": "" if protocol.prevalence is None else f"{100 * protocol.prevalence:g} %",
        "errors_text": sections.errors(study, evaluation),
    }
