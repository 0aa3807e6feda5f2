"""Sentences of a report that have to stay true in cohorts of other shapes than the usual one."""

import dataclasses

import pandas as pd

from mmbc.data.tables.labels import CONTRALATERAL
from study.design.study_file import BASELINE
from study.evaluation.evaluation import evaluate
from study.reporting.document import report, supplement
from study.reporting.facts.counts import breast_counts, unit_noun
from study.reporting.facts.prose import render
from study.reporting.facts.sentences import in_runs, models_counted
from study.reporting.manifest import Options
from study.reporting.pack import gather_content
from study.reporting.tables.base import Sample
from study.reporting.tables.misclassification import errors_table
from study.reporting.tables.setup import settings_table
from study.reporting.text.sections import calibration, chance
from tests.study.reporting.test_methods import cohort
from tests.study.reporting.test_prose import imported


def test_a_breast_with_one_positive_image_counts_as_positive():
    rows = [("a", "L", 0, "Benign"), ("a", "L", 1, "Cancer"), ("a", "R", 0, CONTRALATERAL), ("b", None, 0, "Benign")]
    images = pd.DataFrame(rows, columns=["patient_id", "breast", "label", "status"]).assign(case_id="1")
    assert breast_counts(images) == {"breast_noun": "breast", "n_breasts": 3, "n_positive_breasts": 1, "n_opposite": 1}


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
    facts = {"unit": "patient", "kind": "network", "calibrated_on": "validation patients", "of_images": False, **counts}
    text = render("errors", n_models=2, n_runs=1, often="", **facts)
    assert "1 of 1 positive patient was called negative" in text and "0 were called positive" in text
    assert "Of 3 negative patients, 0 were called positive by both networks, and 1 was called negative" in text
    text = render("errors", n_models=4, n_runs=2, often=in_runs(2), **facts)
    assert "called negative by all 4 networks in both runs, and 0 were called positive by every network in at" in text
    assert "called negative by the network in most runs, and 0 were called positive." in render(
        "errors", n_models=1, n_runs=3, often=in_runs(3), **facts
    )
    text = render("errors", n_models=3, n_runs=1, often="", **facts | {"of_images": True})
    assert "called negative by all 3 networks that see images, and 0 were called positive by each of these." in text


def test_a_breast_of_two_examinations_is_not_called_two_breasts():
    rows = [("a", "1", "L"), ("a", "1", "R"), ("a", "2", "L"), ("b", "1", "L")]
    images = pd.DataFrame(rows, columns=["patient_id", "case_id", "breast"])
    assert unit_noun(images, "breast") == "breast examination" and unit_noun(images, "patient") == "patient"
    assert unit_noun(pd.concat([images[:2], images[:2]]), "breast") == "breast", "views of a breast are one"
    assert Sample(unit_noun(images, "breast"), 2, 4, 1, 4).text("breast").startswith("4 breast examinations (1 pos")


def test_networks_are_counted_and_the_logistic_regression_stands_apart(stored):
    assert models_counted(stored, ["image", "concat", BASELINE]) == "2 networks and a logistic regression"
    assert models_counted(stored, ["image", "concat"]) == "2 networks"
    assert models_counted(imported(stored), ["mine", BASELINE]) == "1 model and a logistic regression"


def test_worst_errors_are_errors(evaluated):
    study, evaluation = evaluated
    table = errors_table(study, evaluation)
    (column,) = (name for name in table.shown if "wrong" in name)
    assert column.startswith("Networks wrong") and not table.shown[column].str.startswith("0 of").any()
    assert (table.data["n_wrong"] == 0).any(), "the CSV has those without an error too"
    right = dataclasses.replace(evaluation, errors=evaluation.errors.assign(wrong=0.0))
    assert errors_table(study, right).shown.empty


def test_settings_that_do_not_apply_to_the_cohort_are_left_out(stored):
    def keys(**changes):
        return set(settings_table(dataclasses.replace(stored, cohort=cohort(stored, **changes))).shown["Key"])

    outlined, plain = keys(n_outlined=3), keys(n_outlined=0)
    assert outlined - plain == {"data.outlines"}
    images = stored.cohort.images.copy()
    for feature in stored.cohort.features:
        images[feature.name] = images[feature.name].ffill().bfill()
    assert "data.missing_indicators" not in keys(images=images)
