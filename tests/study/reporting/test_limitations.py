"""Limitations that could explain the results: they are said where they are true, and before all that is common."""

import dataclasses

import pytest

from study.evaluation.evaluation import Evaluation
from study.records.finding import FAILED, NOT_CHECKED, PASSED, WARNING, Finding
from study.reporting.text.sections import limitations
from tests.study.reporting.test_methods import cohort

OUTSIDE = "No patients from outside this collection"


def said(study, *findings, **changed):
    """Return the limitations of a real cohort with these findings."""
    changed = {"name": "mine"} | changed
    return limitations(dataclasses.replace(study, findings=findings, cohort=cohort(study, **changed)), Evaluation())


def place(points, words):
    return next(n for n, point in enumerate(points) if words in point)


def test_shortcuts_are_one_limitation_before_the_common_ones(stored):
    found = (Finding("A12", WARNING, "x"), Finding("A13", FAILED, "x"), Finding("A14", PASSED, "x"))
    found += (Finding("A18", WARNING, "x"), Finding("A09", WARNING, "there are some"), Finding("A21", FAILED, "x"))
    points = said(stored, *found)
    names = "traces of removed outlines, image size and site alone (checks A12, A13 and A18)"
    assert place(points, f"told apart in part by {names}") == 0
    assert place(points, OUTSIDE) > 1 and "A14" not in points[0] and "A09" not in points[0]
    assert (
        "told apart in part by coloured annotations alone (check A09)" in said(stored, Finding("A09", FAILED, "x"))[0]
    )


@pytest.mark.parametrize("status", [PASSED, NOT_CHECKED])
def test_no_shortcut_that_was_not_found(stored, status):
    assert not any("told apart" in point for point in said(stored, Finding("A13", status, "x")))


def test_models_without_images_used_no_shortcut_of_images(stored):
    arms = {"tabular": stored.settings.arms["tabular"]}
    study = dataclasses.replace(stored, settings=stored.settings.model_copy(update={"arms": arms}))
    points = said(study, Finding("A13", FAILED, "x"))
    assert not any("told apart" in point or "pixels" in point or "healthy breast" in point for point in points)


def test_fits_that_the_limit_of_epochs_stopped_are_counted(stored):
    rows = [
        {"arm": "image", "fits": 10, "best at the last epoch": 9, "allowed": 4},
        {"arm": "tabular", "fits": 10, "best at the last epoch": 1, "allowed": 4},
    ]
    (point,) = (one for one in said(stored, Finding("A29", WARNING, "x", rows=tuple(rows))) if "limit of" in one)
    assert point == (
        "Training was stopped by the limit of 4 epochs in 9 of 10 fits of Images alone: this model may be undertrained."
    )
    assert not any("limit of" in one for one in said(stored, Finding("A29", PASSED, "x", rows=tuple(rows))))


def test_small_images_lose_small_structures(stored):
    side = stored.settings.data.image_size
    points = said(stored)
    assert place(points, f"images of {side} × {side} pixels, in which small structures such as") < place(
        points, OUTSIDE
    )
    assert not any("pixels" in point for point in said(stored, name="phantom")), "a phantom has no small structures"
    data = stored.settings.data.model_copy(update={"image_size": 1024})
    large = dataclasses.replace(stored, settings=stored.settings.model_copy(update={"data": data}))
    assert not any("pixels" in point for point in said(large))


def test_a_healthy_breast_with_the_label_of_the_examination_is_a_limitation(stored):
    images = stored.cohort.images
    positive = images[images["label"] == 1]
    n = int((positive.groupby(["patient_id", "case_id"])["breast"].nunique() == 2).sum())
    assert n and place(said(stored), f"({n} positive examinations with images of both breasts)") >= 0
    one = images[(images["label"] == 0) | (images["breast"] == positive["breast"].iloc[0])]
    assert not any("healthy breast" in point for point in said(stored, images=one))


def test_a_declared_prevalence_is_a_limitation_where_it_was_used(stored):
    protocol = stored.settings.protocol.model_copy(update={"prevalence": 0.05})
    study = dataclasses.replace(stored, settings=stored.settings.model_copy(update={"protocol": protocol}))
    assert not any("prevalence" in point for point in said(study)), "nothing was evaluated"
    assert place(said(stored), "are therefore not given.") > 0
