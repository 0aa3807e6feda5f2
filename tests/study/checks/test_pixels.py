"""Every check passes on a clean phantom and finds the fault that was planted."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mmbc.config import PhantomConfig
from mmbc.data.images.appearance import Appearance, measure
from mmbc.data.synthetic import phantom
from study.checks import shortcuts, verdict
from study.checks.duplicates import near_duplicates
from study.checks.permutation import permuted_labels
from study.checks.registry import BY_CODE
from study.checks.subject import Subject
from study.checks.verdict import beyond_clinical, status_of
from study.records.finding import Finding
from study.stats.estimate import Estimate
from tests.study.checks.conftest import seen

PIXEL_CHECKS = ("A04", "A09", "A10", "A11", "A15", "A16", "A17", "A19", "A20", "A21", "A33")


def looked(code: str, images: pd.DataFrame, appearance: Appearance) -> Finding:
    """What a check sees in images of this appearance."""
    return BY_CODE[code](seen(images, appearance, pairs=near_duplicates(appearance, images)))


def opened(images: pd.DataFrame, facts: pd.DataFrame) -> Subject:
    """Rows whose files were opened and are all used."""
    every = pd.Series(True, images.index)
    return Subject(images, facts=facts.set_axis(images.index), account=SimpleNamespace(used=every))


@pytest.fixture(scope="module")
def cohort() -> tuple[pd.DataFrame, pd.DataFrame, Appearance]:
    """Rows, facts and appearance of 48 patients with two images each; no lesion, no effect of density."""
    config = PhantomConfig(
        n_patients=48, height=112, seed=5, image_strength=0, table_strength=0, interaction_strength=0
    )
    patients = phantom.draw_patients(config).replace({"status": {"Normal": "Benign"}})
    rows, records = [], []
    for number, patient in patients.iterrows():
        for view in (0, 2):
            image_id = f"{patient['patient_id']}.{view}"
            rows.append({**patient[["patient_id", "status", "site"]], "image_id": image_id, "path": f"{image_id}.png"})
            records.append(measure(phantom.render(config, patient, number, view)))
    images = pd.DataFrame(rows).assign(label=lambda frame: (frame["status"] == "Cancer").astype("int64"))
    n_bytes = np.random.default_rng(0).integers(9000, 9900, len(images))
    facts = pd.DataFrame({"width": 84, "height": 112, "n_bytes": n_bytes})
    return images, facts, Appearance.of(np.stack(records))


def changed(appearance: Appearance, column: str, values: np.ndarray) -> Appearance:
    return dataclasses.replace(appearance, table=appearance.table.assign(**{column: values}))


def check_rows(finding):
    assert len({tuple(row) for row in finding.rows}) <= 1
    for row in finding.rows:
        assert {"comparison", "AUC", "low", "high", "n_patients", "n_images"} <= set(row)
        assert 0 <= row["AUC"] <= 1


@pytest.mark.parametrize("code", PIXEL_CHECKS)
def test_clean_images_pass(cohort, code):
    images, _, appearance = cohort
    found = looked(code, images, appearance)
    assert (found.code, found.status) == (code, "PASSED"), found.evidence
    check_rows(found)


def test_clean_files_pass(cohort):
    images, facts, _ = cohort
    for found in (
        shortcuts.image_sizes(opened(images, facts)),
        shortcuts.file_sizes(opened(images, facts)),
        shortcuts.origins(Subject(images)),
    ):
        assert found.status == "PASSED", found.evidence
        check_rows(found)


@pytest.mark.parametrize(("code", "part"), [("A15", "border"), ("A19", "silhouette"), ("A20", "uncentred")])
def test_picture_that_tells_the_class_fails(cohort, code, part):
    images, _, appearance = cohort
    values = getattr(appearance, part).copy()
    values[:, :20] += 0.5 * images["label"].to_numpy()[:, None]
    found = looked(code, images, dataclasses.replace(appearance, **{part: values}))
    assert found.status == "FAILED" and "Cancer against the rest" in found.evidence
    check_rows(found)


@pytest.mark.parametrize(("code", "column"), [("A16", "background"), ("A17", "noise_background")])
def test_number_that_tells_the_class_fails(cohort, code, column):
    images, _, appearance = cohort
    values = appearance.table[column] + 3 * images["label"]
    found = looked(code, images, changed(appearance, column, values.to_numpy()))
    assert found.status == "FAILED", found.evidence


@pytest.mark.parametrize(("code", "column"), [("A09", "n_coloured"), ("A10", "n_curves"), ("A11", "n_markers")])
def test_counts_fail_where_they_tell_the_class_and_warn_where_not(cohort, code, column):
    images, _, appearance = cohort
    label = images["label"].to_numpy()
    telling = looked(code, images, changed(appearance, column, label))
    assert telling.status == "FAILED" and "AUC 1.00" in telling.evidence
    few = looked(code, images, changed(appearance, column, 1 - label))
    assert few.status == "FAILED"
    everywhere = looked(code, images, changed(appearance, column, np.ones_like(label)))
    assert everywhere.status == "WARNING", everywhere.evidence
    for found in (telling, few, everywhere):
        check_rows(found)
    n = int(label.sum())
    assert f"{n} of {n} Cancer" in telling.evidence and f"0 of {len(label) - n} Benign" in telling.evidence


def negatives(appearance: Appearance, which: np.ndarray) -> Appearance:
    thumbnails = np.where(which[:, None, None], 255 - appearance.thumbnails, appearance.thumbnails)
    return dataclasses.replace(appearance, thumbnails=thumbnails)


@pytest.mark.parametrize("common", [False, True])
def test_mixed_polarity_warns_and_fails_where_it_goes_with_the_class(cohort, common):
    images, _, appearance = cohort
    label = images["label"].to_numpy().astype(bool)
    one, by_class = np.arange(len(images)) == 3, label
    found = looked("A33", images, negatives(appearance, one ^ common))
    kind = "dark background beside bright" if common else "bright background beside dark"
    assert found.status == "WARNING" and images["image_id"][3] in found.evidence and kind in found.evidence
    found = looked("A33", images, negatives(appearance, by_class ^ common))
    assert found.status == "FAILED" and "AUC 1.00" in found.evidence
    check_rows(found)
    half = np.arange(len(images)) // 2 % 2 == 0
    assert looked("A33", images, negatives(appearance, half)).status == "WARNING"
    assert looked("A33", images, negatives(appearance, np.ones(len(images), bool))).status == "PASSED"


def test_images_without_a_background_have_no_polarity():
    noise = np.random.default_rng(0).integers(0, 256, (20, 64, 64)).astype(np.uint8)
    assert not shortcuts.backgrounds(noise).any()
    assert not shortcuts.backgrounds(np.full((2, 64, 64), 200, np.uint8)).any()


def test_a_stray_curve_is_tolerated_and_a_colour_image_is_named(cohort):
    images, _, appearance = cohort
    one = np.zeros(len(images), dtype=int)
    one[images.index[images["label"] == 0][0]] = 1
    assert looked("A10", images, changed(appearance, "n_curves", one)).status == "PASSED"
    colour = looked("A09", images, changed(appearance, "colour_share", 0.9 * one))
    assert colour.status == "WARNING" and "1 image is in colour throughout" in colour.evidence


def test_sizes_and_sites_that_tell_the_class_fail(cohort):
    images, facts, _ = cohort
    wider = facts.assign(width=facts["width"] + 9 * images["label"])
    assert shortcuts.image_sizes(opened(images, wider)).status == "FAILED"
    longer = facts.assign(n_bytes=facts["n_bytes"] + 5000 * images["label"])
    assert shortcuts.file_sizes(opened(images, longer)).status == "FAILED"
    assert shortcuts.origins(Subject(images.assign(site=images["status"].str[0]))).status == "FAILED"


def test_without_sites_the_beginning_of_file_names_is_looked_at(cohort):
    images, _, _ = cohort
    nowhere = images.assign(site="")
    assert "same for all" in shortcuts.origins(Subject(nowhere)).evidence
    named = nowhere.assign(path=[f"/x/{n}_{word[0]}_7.png" for n, word in enumerate(images["status"])])
    by_class = images.assign(site=pd.NA, path=[f"{word} ({row}).png" for row, word in enumerate(images["status"])])
    assert "begin with the class" in shortcuts.origins(Subject(by_class)).evidence
    found = shortcuts.origins(Subject(named))
    assert found.status == "FAILED" and "file name" in found.evidence


def test_duplicates_across_patients_fail_and_within_one_warn(cohort):
    images, _, appearance = cohort
    hashes, thumbnails = appearance.hashes.copy(), appearance.thumbnails.copy()
    hashes[7], thumbnails[7] = hashes[0], thumbnails[0]
    copied = dataclasses.replace(appearance, hashes=hashes, thumbnails=thumbnails)
    found = looked("A04", images, copied)
    assert found.status == "FAILED" and "P0001 and P0004" in found.evidence
    assert found.rows[0]["image"] == "P0001.0" and found.rows[0]["other patient"] == "P0004"
    same = images.assign(patient_id=images["patient_id"].replace("P0004", "P0001"))
    assert looked("A04", same, copied).status == "WARNING"


def test_folds_that_divide_patients_are_caught(cohort):
    images, _, appearance = cohort
    by_image = np.arange(len(images)) % 5
    found = permuted_labels(images, appearance, by_image)
    assert found.status == "FAILED"
    assert found.rows[0]["AUC"] > 0.53 and "48 patients are in more than one fold" in found.evidence


def test_few_patients_are_not_judged(cohort):
    images, _, appearance = cohort
    few = images["patient_id"].isin(images["patient_id"].unique()[:8])
    rows = images[few].reset_index(drop=True)
    part = Appearance(
        appearance.table[few.to_numpy()].reset_index(drop=True),
        *(
            getattr(appearance, name)[few.to_numpy()]
            for name in ("border", "silhouette", "uncentred", "thumbnails", "hashes", "mirrored")
        ),
    )
    assert looked("A15", rows, part).status == "NOT CHECKED"
    assert permuted_labels(rows, part).status == "NOT CHECKED"
    marked = looked("A11", rows, changed(part, "n_markers", rows["label"].to_numpy()))
    assert marked.status == "WARNING" and "too few patients" in marked.evidence


@pytest.mark.parametrize(
    ("intervals", "status"),
    [
        ([(0.5, 0.4, 0.6)], "PASSED"),
        ([(0.58, 0.53, 0.63)], "PASSED"),
        ([(0.62, 0.56, 0.68)], "WARNING"),
        ([(0.62, 0.56, 0.68), (0.75, 0.68, 0.81)], "FAILED"),
        ([(0.2, 0.1, 0.3)], "PASSED"),
        ([], "PASSED"),
        ([(1.0, np.nan, np.nan)], "FAILED"),
        ([(0.72, 0.65, 0.78)], "FAILED"),
        ([(0.72, 0.65, 0.78), *[(0.5, 0.4, 0.6)] * 3], "WARNING"),
    ],
)
def test_one_rule_for_all_probes(intervals, status):
    found = [Estimate(*values, "patient", "m", "E1", 100, 200) for values in intervals]
    assert status_of(found) == status


def test_density_is_taken_out_of_grey_and_the_site_left_in():
    rng = np.random.default_rng(0)
    density, site = rng.integers(1, 5, 400).astype(float), rng.integers(0, 2, 400)
    density[:10] = np.nan
    images = pd.DataFrame({"density": density, "site": np.where(site == 1, "A", "B")})
    grey = (1 + 0.3 * site) * np.nan_to_num(density, nan=2.5) + 5 * site + rng.normal(0, 0.5, 400)
    left = beyond_clinical(np.column_stack([grey, grey]), images)[:, 0]
    known = ~np.isnan(density)
    for place in (0, 1):
        assert abs(np.corrcoef(left[known & (site == place)], density[known & (site == place)])[0, 1]) < 0.1
    assert np.corrcoef(left, site)[0, 1] > 0.95
    assert np.array_equal(beyond_clinical(grey[:, None], images[["site"]]), grey[:, None])


def an_estimate(value, low, high):
    return Estimate(value, low, high, "patient", "m", "E1", 100, 400)


def a_verdict(monkeypatch, *estimates):
    """What the rule of all probes says of AUCs, one a comparison."""
    found = [(SimpleNamespace(name=f"comparison {n}"), one) for n, one in enumerate(estimates, start=1)]
    monkeypatch.setattr(verdict, "measured", lambda *_: iter(found))
    return verdict.probe_verdict("The size", np.zeros((2, 1)), SimpleNamespace(images=None, positive=()))


def test_an_open_shortcut_quotes_the_comparison_that_leaves_it_open(monkeypatch):
    """A limit of another comparison than the one that is named was quoted (A14)."""
    found = a_verdict(monkeypatch, an_estimate(0.55, 0.5, 0.6), an_estimate(0.52, 0.36, 0.68))
    assert found.evidence.startswith(
        "The size: AUC 0.52 (0.34 to 0.70) for comparison 2, the most uncertain of 2 comparisons (interval adjusted for"
        " 2): a shortcut can be neither shown nor excluded."
    )
    assert "0.55" not in found.evidence


def test_an_auc_below_chance_is_not_said_to_tell_nothing(monkeypatch):
    found = a_verdict(monkeypatch, an_estimate(0.43, 0.38, 0.49))
    assert found.status == "PASSED" and "does not noticeably tell" not in found.evidence
    assert "The size: AUC 0.43 (0.38 to 0.49) for comparison 1: it does not tell the classes apart." in found.evidence
    assert "no sign of a difference" in found.evidence and "have been noticed" in found.evidence


def test_what_does_not_vary_has_no_interval(monkeypatch):
    found = a_verdict(monkeypatch, an_estimate(0.5, 0.5, 0.5), an_estimate(0.5, 0.5, 0.5))
    assert found.status == "PASSED" and "the same in all images" in found.evidence and "0.50" not in found.evidence


def test_what_could_have_been_detected_follows_the_patients(monkeypatch):
    wide, narrow = an_estimate(0.5, 0.4, 0.6), an_estimate(0.5, 0.47, 0.53)
    assert 0.55 < verdict.detectable([narrow]) < 0.62 < verdict.detectable([wide]) < 0.8
    assert verdict.detectable([wide, narrow]) > verdict.detectable([wide]), "more comparisons, wider intervals"
    said = a_verdict(monkeypatch, an_estimate(0.5, 0.46, 0.54)).evidence
    assert "does not noticeably tell" in said and "An AUC of 0.6" in said and "have been noticed" in said
