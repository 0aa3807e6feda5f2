"""Outlines drawn into one class only are caught where they stay or are merely filled in; the default passes."""

import hashlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmbc.config import DataConfig
from mmbc.data.images import outlines
from mmbc.data.images.facts import read_images
from study.checks import annotations, probes, regions, trace_verdict, traces
from tests.study.checks.conftest import seen

N_PATIENTS = 48
HEIGHT, WIDTH = 100, 64


def film(rng: np.random.Generator) -> np.ndarray:
    """A breast of coarse structure and fine grain, chest wall on the left."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    inside = np.hypot((rows - HEIGHT / 2) / (0.45 * HEIGHT), columns / (0.9 * WIDTH)) < 1
    noise = rng.normal(0, 1, (2, HEIGHT, WIDTH))
    grey = 120 + rng.uniform(-15, 15) + 80 * cv2.GaussianBlur(noise[0], (0, 0), 4) + 5 * noise[1]
    return np.where(inside, np.clip(grey, 60, 250), 4).astype(np.uint8)


def with_outline(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same in RGB with a circle anywhere: red, black in its core."""
    rgb = np.dstack([grey] * 3)
    centre = int(rng.integers(18, 34)), int(rng.integers(32, 68))
    radius = int(rng.integers(5, 14))
    cv2.circle(rgb, centre, radius, (255, 0, 0), 4)
    cv2.circle(rgb, centre, radius, (0, 0, 0), 1)
    return rgb


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> tuple[list[Path], pd.DataFrame, pd.DataFrame, Path]:
    """Two images a patient; of cancers the first has an outline, of normal ones none; acquisition is the same."""
    folder = tmp_path_factory.mktemp("cohort")
    rng = np.random.default_rng(0)
    paths, rows = [], []
    for patient in range(N_PATIENTS):
        for number in range(2):
            cancer = patient % 2
            pixels = with_outline(film(rng), rng) if cancer and number == 0 else film(rng)
            path = folder / f"{patient}_{number}.png"
            Image.fromarray(pixels).save(path)
            paths.append(path)
            rows.append((path.name, f"p{patient:02d}", "Cancer" if cancer else "Normal", "A", cancer))
    images = pd.DataFrame(rows, columns=["image_id", "patient_id", "status", "site", "label"])
    return paths, read_images(paths, cache=folder), images.assign(case_id=images["patient_id"]), folder


@pytest.fixture(scope="module")
def result(cohort) -> pd.DataFrame:
    paths, facts, images, folder = cohort
    return traces.measure(paths, facts, images, DataConfig(), cache=folder, workers=2)


def excess(result: pd.DataFrame, mode: str, view: str) -> float:
    rows = result[(result["mode"] == mode) & (result["view"] == view) & (result["place"] == "excess")]
    return rows["auc"].iloc[0]


@pytest.mark.parametrize("mode", ["keep", "inpaint"])
def test_outlines_that_stay_or_are_only_filled_in_are_caught(result, cohort, mode):
    assert excess(result, mode, "mask") > 0.95
    subject = seen(cohort[2], traces=result, n_outlined=20)
    found = annotations.traces(replace(subject, data=DataConfig(outlines=mode)))
    assert (found.code, found.status) == ("A12", "FAILED")
    assert "AUC" in found.evidence and found.rows


def test_the_default_passes(result):
    assert all(0.3 < excess(result, "sham", view) < 0.7 for view in regions.VIEWS)
    found = trace_verdict.judge_traces(result, "sham", 20)
    assert found.status == "PASSED" and "size class" in found.handled
    assert {row["seen"] for row in found.rows} == set(regions.VIEWS)
    assert all(set(row) == {"comparison", "seen", *traces.PLACES} for row in found.rows)


def test_both_numbers_are_said_with_their_intervals(result):
    said = trace_verdict.remains_text(result)
    assert said.count(" to ") == 2 and "Cancer against the rest" in said
    assert trace_verdict.judge_traces(result, "sham", 20).evidence.startswith(said)


def test_labels_of_breasts_are_judged_by_whose_outline_it_is(result):
    within = f"{traces.OWN} within Cancer"
    breasts = result.replace({"comparison": {traces.OWN: "Contralateral against Normal"}})
    told = breasts["comparison"] == within
    leaky = breasts.assign(auc=breasts["auc"].mask(told, 0.9), low=breasts["low"].mask(told, 0.8))
    assert within in trace_verdict.remains_text(leaky) and "0.90" in trace_verdict.remains_text(leaky)
    assert trace_verdict.judge_traces(leaky, "sham", 20).status == "FAILED"
    assert (
        trace_verdict.judge_traces(
            leaky.replace({"comparison": {"Contralateral against Normal": "x"}}), "sham", 20
        ).status
        == "PASSED"
    )


def test_the_control_region_is_the_same_for_every_treatment(result):
    control = result[result["place"] == "control"]
    assert control.groupby(["view", "comparison"])["auc"].nunique().max() == 1


@pytest.mark.slow
def test_a_second_call_reads_nothing_and_a_change_of_labels_no_image(cohort, result, monkeypatch):
    paths, facts, images, folder = cohort
    monkeypatch.setattr(traces, "read_untreated", None)
    again = traces.measure(paths, facts, images, DataConfig(), cache=folder)
    pd.testing.assert_frame_equal(again, result)
    moved = images.assign(label=1 - images["label"])
    other = traces.measure(paths, facts, moved, DataConfig(), cache=folder)
    assert set(other["comparison"]) != set(result["comparison"])


def test_features_are_the_same_bits_every_time(cohort):
    paths, facts, _, _ = cohort
    rgb = np.asarray(Image.open(paths[2]))
    grey, mask = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), outlines.find(rgb)
    pool = outlines.OutlinePool.build([outlines.Outline.of(grey, mask)])
    first, second = (regions.image_features(grey, mask, pool, facts["pixel_digest"][2]) for _ in range(2))
    assert first.tobytes() == second.tobytes() and first.shape == (4, regions.N_FEATURES)


def test_images_without_outlines_have_no_traces(cohort):
    paths, facts, images, folder = cohort
    plain = facts.assign(n_outline_pixels=0)
    empty = traces.measure(paths, plain, images, DataConfig(), cache=folder)
    assert empty.empty
    assert trace_verdict.judge_traces(empty, "sham", 0).status == "PASSED"
    few = trace_verdict.judge_traces(empty, "sham", 3)
    assert few.status == "NOT CHECKED" and "too few patients" in few.evidence
    assert trace_verdict.judge_traces(empty, "keep", 3).status == "FAILED"


def test_acquisition_shows_at_both_regions_and_not_in_the_excess():
    rng = np.random.default_rng(1)
    images = pd.DataFrame({"patient_id": [f"p{n:03d}" for n in range(200)], "label": [0, 1] * 100})
    images = images.assign(
        image_id=images["patient_id"], status=images["label"].map({0: "Normal", 1: "Cancer"}), site="A"
    )
    like = rng.normal(0, 1, (200, 8)) + images["label"].to_numpy()[:, None]  # a class is brighter and noisier anywhere
    spread = 1 + images["label"].to_numpy()[:, None]
    treated, control = (like + spread * rng.normal(0, 1, (200, 8)) for _ in range(2))
    comparison = probes.comparisons(images, ("Cancer",))[0]
    assert all(probes.probe(seen, images, comparison).value > 0.8 for seen in (treated, control))
    assert 0.35 < probes.probe(treated - control, images, comparison, linear=True).value < 0.65


def test_a_comparison_of_images_that_were_not_treated_has_nothing_to_go_by():
    images = pd.DataFrame({"patient_id": [f"p{n:02d}" for n in range(40)], "label": [0, 1] * 20, "site": "A"})
    images = images.assign(image_id=images["patient_id"], status=images["label"].map({0: "Normal", 1: "Benign"}))
    comparison = probes.comparisons(images, ("Benign",))[0]
    assert probes.probe(np.full((40, 8), np.nan), images, comparison).value == 0.5


def test_own_outlines_are_told_by_image_and_opposite_breasts_stay_with_their_case():
    images = pd.DataFrame(
        {
            "patient_id": ["a", "a", "b", "b"],
            "case_id": ["a", "a", "b", "b"],
            "status": ["Cancer", "Contralateral", "Normal", "Normal"],
        }
    )
    found = traces.own_comparisons(images, np.array([True, False, False, False]))
    assert [each.name for each in found] == [traces.OWN, f"{traces.OWN} within Cancer"]
    assert found[1].rows.tolist() == [True, True, False, False]


def test_a_pool_gives_the_control_other_donors():
    grey = film(np.random.default_rng(2))
    masks = [outlines.find(with_outline(grey, np.random.default_rng(seed))) for seed in range(12)]
    pool = outlines.OutlinePool.build(outlines.Outline.of(grey, mask) for mask in masks)
    key = hashlib.sha256(b"image").hexdigest()
    assert {one.digest for one in pool.donors(key)} != {one.digest for one in pool.donors(f"control {key}")}
