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


def test_how_fits_ended_is_said_where_the_best_epoch_was_the_last(stored):
    limit = stored.settings.train.max_epochs

    def point(best, lasted=limit, patience=limit):
        settings = stored.settings.model_copy(
            update={"train": stored.settings.train.model_copy(update={"patience": patience})}
        )
        records = {
            name: record.changed(best_epoch=best.get(record.arm, 1), n_epochs=limit if record.arm in best else lasted)
            if record.best_epoch
            else record
            for name, record in stored.records.items()
        }
        points = said(dataclasses.replace(stored, settings=settings, records=records))
        return "".join(one for one in points if "longer training" in one)

    n = sum(record.best_epoch is not None for record in stored.records.values())
    of_arm = sum(record.arm == "image" for record in stored.records.values())
    full = point({"image": limit, "tabular": limit})
    assert full == (
        f"All {n} fits ran the full {limit} epochs (with patience {limit} none could stop early). The best epoch was"
        f" the last one in {of_arm} of {of_arm} fits of Images alone and {of_arm} of {of_arm} fits of Clinical data"
        " alone: longer training might improve these models."
    )
    early = point({"image": limit}, lasted=1, patience=1)
    assert early.startswith(f"{of_arm} of {n} fits ran the full {limit} epochs, the others stopped early. The best")
    assert early.endswith("fits of Images alone: longer training might improve this model.")
    assert point({}) == ""


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
    share = f"{len(positive) // 2} of the {len(positive)} images labelled positive (50 %) show a healthy breast"
    assert n and place(said(stored), f"In {n} positive examinations both breasts were imaged") >= 0
    assert place(said(stored), share) >= 0
    one = images[(images["label"] == 0) | (images["breast"] == positive["breast"].iloc[0])]
    assert not any("healthy breast" in point for point in said(stored, images=one))


def test_a_declared_prevalence_is_a_limitation_where_it_was_used(stored):
    protocol = stored.settings.protocol.model_copy(update={"prevalence": 0.05})
    study = dataclasses.replace(stored, settings=stored.settings.model_copy(update={"protocol": protocol}))
    assert not any("prevalence" in point for point in said(study)), "nothing was evaluated"
    assert place(said(stored), "are therefore not given.") > 0
