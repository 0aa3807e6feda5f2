"""Sentences of a report that have to stay true in cohorts of other shapes than the usual one."""

import dataclasses

import pandas as pd

from mmbc.data.tables.labels import CONTRALATERAL
from study.design.study_file import BASELINE
from study.evaluation.evaluation import evaluate
from study.reporting.document import report, supplement
from study.reporting.facts.counts import breast_counts
from study.reporting.facts.prose import render
from study.reporting.pack import Options, gather_content
from study.reporting.tables.setup import settings_table
from study.reporting.text.sections import calibration, chance
from tests.study.reporting.test_methods import cohort


def test_a_breast_with_one_positive_image_counts_as_positive():
    rows = [("a", "L", 0, "Benign"), ("a", "L", 1, "Cancer"), ("a", "R", 0, CONTRALATERAL), ("b", None, 0, "Benign")]
    images = pd.DataFrame(rows, columns=["patient_id", "breast", "label", "status"]).assign(case_id="1")
    assert breast_counts(images) == {"n_breasts": 3, "n_positive_breasts": 1, "n_opposite": 1}


def test_an_interval_below_one_half_is_worse_than_chance(evaluated):
    study, evaluation = evaluated
    lines = evaluation.contrasts_by_class.head(2).assign(
        metric="against Benign", value=[0.21, 0.45], low=[0.085, 0.3], high=[0.433, 0.6]
    )
    text = chance(study, dataclasses.replace(evaluation, contrasts_by_class=lines))
    includes, below = text.split("Worse than chance (the whole 95 % CI of the AUC lies below 0.5):")
    assert "0.210 (0.085 to 0.433)" in below and "0.450" not in below
    assert "0.450 (0.300 to 0.600)" in includes and "0.210" not in includes


def test_without_a_clinical_column_nothing_is_said_of_a_logistic_regression(stored):
    arms = {"image": stored.settings.arms["image"]}
    names = tuple(name for name in stored.planned if name.split(".")[0] in {"image", BASELINE})
    bare = dataclasses.replace(
        stored,
        settings=stored.settings.model_copy(update={"arms": arms}),
        cohort=cohort(stored, features=()),
        planned=names,
        records={name: stored.records[name] for name in names},
        predictions=stored.predictions[stored.predictions["arm"].isin(["image", BASELINE])],
        history=stored.history[stored.history["arm"] == "image"],
    )
    evaluation = evaluate(bare, n_replicates=100)
    content = gather_content(bare, evaluation, Options())
    said = report(content) + supplement(content)
    assert set(evaluation.summary["arm"]) == {"image"}
    assert "Logistic regression" not in said and "logistic regression left out" not in said
    assert "**Baseline.**" not in said and "The study evaluated one model on" in said
    named = dataclasses.replace(bare, chosen_contrasts=(("image", BASELINE),))
    assert BASELINE in set(evaluate(named, n_replicates=100).summary["arm"]), "asked for by name"


def test_calibration_that_could_not_be_assessed(evaluated):
    study, evaluation = evaluated
    rows = evaluation.summary.copy()
    rows.loc[rows["metric"].str.startswith("calibration_"), ["value", "low", "high"]] = 0.5, 0.2, 1.2
    undefined = rows["metric"].isin(["calibration_slope", "calibration_in_the_large"])

    def said(lines):
        summary = rows.copy()
        summary.loc[lines, ["value", "low", "high"]] = float("nan")
        return calibration(study, dataclasses.replace(evaluation, summary=summary))

    text = said(undefined)
    assert text.startswith("Calibration could not be assessed: ") and "ideal" not in text and "bins" not in text
    one = said(undefined & (rows["arm"] == "image"))
    assert "Calibration of Images alone could not be assessed: " in one and "bins" in one


def test_one_image_a_patient_needs_no_rule_for_several(stored):
    one = stored.cohort.images.drop_duplicates("patient_id")
    facts = {"imported": False, "brief": True, "n_images": len(one), "n_patients": len(one), "unit": "patient"}
    facts |= {"positive": ["1 x"], "negative": ["1 y"], "columns": ["age"], "notes": []}
    facts |= {"name": "mine", "lost": {}, "outlined": 0, "outlines": "sham", "trace": False}
    for pooled in (True, False):
        text = render("cohort", **facts, pooled=pooled)
        assert "Every patient has one label" in text and "any of the patient's images" not in text
        assert "healthy breast" not in text


def test_errors_of_a_single_unit():
    counts = {"positive": {"n": 1, "all": 1, "none": 0}, "negative": {"n": 3, "all": 0, "none": 1}}
    text = render("errors", unit="patient", n_models=2, calibrated_on="validation patients", **counts)
    assert "1 of 1 positive patient was called negative" in text and "0 were called positive" in text
    assert "Of 3 negative patients, 0 were called positive by all 2 models, and 1 was called negative" in text


def test_settings_that_do_not_apply_to_the_cohort_are_left_out(stored):
    def keys(**changes):
        return set(settings_table(dataclasses.replace(stored, cohort=cohort(stored, **changes))).shown["Key"])

    outlined, plain = keys(n_outlined=3), keys(n_outlined=0)
    assert outlined - plain == {"data.outlines"}
    images = stored.cohort.images.copy()
    for feature in stored.cohort.features:
        images[feature.name] = images[feature.name].ffill().bfill()
    assert "data.missing_indicators" not in keys(images=images)
