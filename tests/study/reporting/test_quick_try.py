"""What a report says of a quick try, and what it calls the images."""

from dataclasses import replace

import pytest

from mmbc.config import Later, digest
from study.design.cells import baseline_cells, plan
from study.design.study_file import load
from study.reporting import document
from study.reporting.facts.arm_names import addition
from study.reporting.text.quick_try import quick_try
from study.text.image_name import image_name, worded


def with_settings(study, *sets, preset="demo", notes=()):
    settings = load(preset, None, list(sets)).model_copy(update={"arms": study.settings.arms})
    return replace(study, settings=settings, cohort=replace(study.cohort, notes=notes))


def test_a_quick_try_says_so_before_anything_bold(evaluated):
    study, evaluation = evaluated
    content = document.Content(study, evaluation, [], {}, [])
    text = document.report(content)
    n_listed = int(study.cohort.flow.query("step == 'listed'")["n_images"].sum())
    sentence = (
        f"Images listed: {n_listed}; used: {len(study.cohort.images)} images of {study.cohort.n_patients} patients"
    )
    assert "quick try, not a result" in text and sentence in text
    assert text.index("quick try") < text.index("**")


@pytest.mark.parametrize(
    ("sets", "preset", "notes", "reason"),
    [
        ((), "demo", ("A sample of 30 of the 120 listed patients (--limit-patients): for a try.",), "30 of the 120"),
        (("train.max_epochs=3",), "demo", (), "3 epochs of training"),
        (("train.max_epochs=40",), "tiny", (), "preset tiny"),
    ],
)
def test_each_reason_is_named(stored, sets, preset, notes, reason):
    assert reason in quick_try(with_settings(stored, *sets, preset=preset, notes=notes))


def test_a_study_in_earnest_is_no_quick_try(stored):
    assert quick_try(with_settings(stored)) == ""


def test_images_have_the_name_of_the_cohort(stored):
    assert image_name("phantom") == image_name("mini-ddsm-v2") == "mammograms"
    assert image_name("hospital") == "images" and image_name("phantom", "scans") == "scans"
    assert worded("How well do the mammograms alone tell?", "busi", "ultrasound images") == (
        "How well do the ultrasound images alone tell?"
    )
    own = with_settings(stored, 'data.image_name="ultrasound images"')
    assert addition(own, "concat", "tabular") == ("ultrasound images", "age and density")
    assert addition(replace(stored, cohort=replace(stored.cohort, name="busi")), "concat", "tabular")[0] == "images"


def test_the_name_of_the_images_is_no_part_of_a_digest():
    assert digest(load("tiny", None, ['data.image_name="scans"']).config) == digest(load("tiny").config)
    assert not Later("1", counts=False).counts


def test_another_seed_changes_every_fit_and_no_name(finished_study):
    splits = finished_study.folds.splits
    old, new = (plan(load("tiny", None, [f"protocol.first_seed={n}"]), ["image"], splits) for n in (0, 3))
    assert [cell.name for cell in old] == [cell.name for cell in new]
    assert not {cell.fit_seed for cell in old} & {cell.fit_seed for cell in new}
    assert not {cell.stream_seed for cell in old} & {cell.stream_seed for cell in new}
    assert (
        baseline_cells(load("tiny"), splits)[0].key
        == baseline_cells(load("tiny", None, ["protocol.first_seed=3"]), splits)[0].key
    )
