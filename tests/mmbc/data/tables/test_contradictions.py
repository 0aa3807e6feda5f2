"""Cases, breasts and identical images with both labels: what is said of them, and what each way on does."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmbc.config import Config, DataConfig, digest
from mmbc.data.cohort import assemble
from mmbc.data.readers import manifest
from mmbc.data.tables.contradictions import with_both_labels
from mmbc.errors import CohortError


def table(classes, **columns):
    """A table of one image for each (patient, breast, class), as a listing on disk would have it."""
    frame = pd.DataFrame(classes, columns=["patient_id", "breast", "label"])
    frame.insert(0, "image", [f"i{n:02d}.png" for n in frame.index])
    return frame.assign(**columns)


def one_sided(n=8):
    """Patients with two images of each breast, the left one malignant in every second patient."""
    return [(f"P{k}", side, "M" if side == "L" and k % 2 else "N") for k in range(n) for side in "LR" for _ in "ab"]


def build(folder, frame, facts=None, **data):
    path = Path(folder) / "made.csv"
    frame.to_csv(path, index=False)
    config = DataConfig(**({"positive": "M"} | data))
    return assemble(manifest.read(path, config), config, facts=facts, allow_missing=True)


def files(frame, **digests):
    """Facts of readable files; `digests` name rows that share pixels."""
    found = pd.DataFrame({"error": "", "pixel_digest": [f"d{n}" for n in frame.index]}, index=frame.index)
    for row, value in digests.items():
        found.loc[int(row[1:]), "pixel_digest"] = value
    return found


def test_units_with_both_labels():
    frame = table(one_sided(2)).assign(case_id=lambda f: f["patient_id"])
    label = (frame["label"] == "M").astype("Int64")
    assert with_both_labels(frame, label, "case").tolist() == [False] * 4 + [True] * 4
    assert not with_both_labels(frame, label, "breast").any()
    assert not with_both_labels(frame, label.mask(frame["breast"] == "R"), "case").any(), (
        "a class left out says nothing"
    )


def test_labels_of_breasts_name_both_ways_on(tmp_path):
    agree = (
        r"4 of 8 cases \(4 patients\).*P1: row 6 \(i04.png, positive\), row 8 \(i06.png, negative\)\. Within breasts"
    )
    with pytest.raises(CohortError, match=rf"{agree} .*: --label-level breast .*; or --conflicts any"):
        build(tmp_path, table(one_sided()))
    breasts = build(tmp_path, table(one_sided()), label_level="breast").images
    assert breasts.groupby(["patient_id", "breast"])["label"].max().sum() == 4
    pooled = build(tmp_path, table(one_sided()), conflicts="any")
    assert pooled.images["label"].tolist() == [int(kind == "M") for *_, kind in one_sided()], "an image keeps its label"
    assert any("Each counts as positive" in note for note in pooled.notes)


def test_a_breast_under_another_name_is_offered_with_its_option(tmp_path):
    frame = table(one_sided()).rename(columns={"breast": "Image Side", "image": "File"})
    asked = {"image": "File"}
    with pytest.raises(CohortError, match=r"--columns 'image=File,breast=Image Side' --label-level breast"):
        build(tmp_path, frame, columns=asked)
    build(tmp_path, frame, columns=asked | {"breast": "Image Side"}, label_level="breast")
    with pytest.raises(CohortError, match="add a column 'breast'"):
        build(tmp_path, frame.drop(columns="Image Side"), columns=asked)
    some_empty = frame.rename(columns={"Image Side": "breast"})
    some_empty.loc[3, "breast"] = None
    with pytest.raises(CohortError, match="complete the column 'breast'"):
        build(tmp_path, some_empty, columns=asked)


def torn():
    """One-sided cancers; in the left breast of P1 and P3 one view is benign."""
    rows = one_sided()
    return table([*rows[:5], ("P1", "L", "N"), *rows[6:13], ("P3", "L", "N"), *rows[14:]])


def test_breasts_that_contradict_themselves(tmp_path):
    with pytest.raises(CohortError, match=r"conflicts any .*; or --label-level breast, where 2 of 16 breasts still"):
        build(tmp_path, torn())
    with pytest.raises(CohortError, match=r"2 of 16 breasts \(2 patients\).*P1 L: row 6 .*--conflicts any.*exclude"):
        build(tmp_path, torn(), label_level="breast")
    cohort = build(tmp_path, torn(), label_level="breast", conflicts="exclude")
    assert len(cohort.images) == 28 and set(cohort.excluded["step"]) == {"undecided"}
    assert set(zip(cohort.excluded["patient_id"], cohort.excluded["status"], strict=True)) == {
        (patient, status) for patient in ("P1", "P3") for status in ("M", "N")
    }
    (note,) = (note for note in cohort.notes if "(--conflicts exclude)" in note)
    assert "2 of the 4 breasts with a positive image, and none of the 12 without" in note
    assert "4 images: 2 M (positive), 2 N (negative); 0 patients have no image left" in note
    pooled = build(tmp_path, torn(), label_level="breast", conflicts="any").images
    assert pooled.groupby(["patient_id", "breast"])["label"].max().sum() == 4 and len(pooled) == 32


def test_excluding_patients_is_refused_with_the_ways_on(tmp_path):
    with pytest.raises(CohortError, match=r"remove those with cancer in one breast alone.*--label-level breast.*any"):
        build(tmp_path, table(one_sided()), conflicts="exclude")


def test_identical_images_with_both_labels(tmp_path):
    frame = table([(f"P{k}", "L", "M" if k % 2 else "N") for k in range(8)]).drop(columns="breast")
    pair = files(frame, r0="same", r1="same")
    with pytest.raises(CohortError, match=r"i00.png \(N\) and i01.png \(M\)\. .*--conflicts exclude"):
        build(tmp_path, frame, pair)
    with pytest.raises(CohortError, match=r"any does not say which label one image has.*leave them all out"):
        build(tmp_path, frame, pair, conflicts="any")
    cohort = build(tmp_path, frame, pair, conflicts="exclude")
    assert cohort.images["image_id"].tolist() == [f"i{n:02d}.png" for n in range(2, 8)], "both of the pair are gone"
    assert any("2 images: 1 M (positive), 1 N (negative)" in note for note in cohort.notes)
    kept = build(tmp_path, frame, files(frame, r0="same", r2="same"), conflicts="exclude")
    assert len(kept.images) == 7, "a copy with the same label is used once, as ever"


def test_a_pair_of_copies_does_not_make_its_patient_contradict_itself(tmp_path):
    frame = table([(f"P{k // 2}", "L", "M" if k // 2 % 2 else "N") for k in range(16)]).drop(columns="breast")
    frame.loc[3, "label"] = "N"
    pair = files(frame, r2="same", r3="same")
    with pytest.raises(CohortError, match="pixel-identical images carry different labels.*--conflicts exclude"):
        build(tmp_path, frame, pair)
    assert len(build(tmp_path, frame, pair, conflicts="exclude").images) == 14
    frame.loc[5, "label"] = "M"
    with pytest.raises(CohortError, match="remove their rows from the table"):
        build(tmp_path, frame, pair, conflicts="any")


def test_a_positive_unit_never_passes_for_negative_when_its_positive_image_is_missing(tmp_path):
    found = files(table(one_sided()))
    found.loc[[4, 5], "error"] = "missing"
    cohort = build(tmp_path, table(one_sided()), found, conflicts="any")
    assert "P1" not in set(cohort.images["patient_id"])
    assert cohort.excluded.query("step == 'undecided'")["image_id"].tolist() == ["i06.png", "i07.png"]


def test_every_image_a_patient_of_its_own(tmp_path):
    frame = table([("", "L", "M" if k % 2 else "N") for k in range(8)]).drop(columns=["patient_id", "breast"])
    with pytest.raises(CohortError, match=r"if every image is of another patient: --columns patient_id=image\."):
        build(tmp_path, frame)
    cohort = build(tmp_path, frame, columns={"patient_id": "image"})
    assert cohort.n_patients == 8 and any("Each image counts as a patient of its own" in note for note in cohort.notes)
    named = frame.rename(columns={"image": "File"})
    with pytest.raises(CohortError, match=r"--columns image=File,patient_id=File\."):
        build(tmp_path, named, columns={"image": "File"})
    assert build(tmp_path, named, columns={"image": "File", "patient_id": "File"}).n_patients == 8


def test_a_setting_that_came_later_leaves_digests_alone():
    assert digest(Config()) == digest(Config(data=DataConfig(conflicts="stop")))
    assert digest(Config()) != digest(Config(data=DataConfig(conflicts="any")))


def test_what_is_said_does_not_depend_on_the_order_of_rows(tmp_path):
    frame = torn()
    shuffled = frame.iloc[np.random.default_rng(0).permutation(len(frame))]
    asked = {"label_level": "breast", "conflicts": "exclude"}
    one, other = (build(tmp_path, rows, **asked) for rows in (frame, shuffled))
    assert one.notes == other.notes and set(one.images["image_id"]) == set(other.images["image_id"])
