"""Example images: the surest hits and misses, only where asked for and at hand; without them a report is whole."""

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mmbc.data.images.store import find_store
from study import report as command
from study.evaluation.evaluation import evaluate
from study.evaluation.example_units import KINDS, example_units
from study.records.stored_study import load_study, write_archive
from study.reporting import pack
from study.reporting.example_images import FILE, pictures_at_hand, read_pictures, to_bytes
from study.reporting.figures.catalogue import catalogue, example_arm
from study.reporting.figures.examples import EACH, examples
from study.reporting.manifest import Options
from study.reporting.pack import write_pack
from study.reporting.verification import verify


def scored(stored, probs, labels):
    """A study of one arm and one run whose patients have these validation and test logits; one image each."""
    names = [f"P{n}" for n in range(len(probs))]
    rows = stored.predictions.iloc[:1]
    frames = [
        pd.concat([rows] * len(names), ignore_index=True).assign(
            image_id=names, patient_id=names, case_id=names, label=labels, logit=probs, part=part, arm="concat"
        )
        for part in ("validation", "test")
    ]
    return dataclasses.replace(stored, predictions=pd.concat(frames, ignore_index=True))


def test_the_surest_of_each_kind_come_first(stored):
    logits = [3.0, 1.0, -2.0, -1.0, 2.5, 2.0, -3.0, -2.5, -2.4, -2.3, -2.2, -2.1, -2.0, -1.9, -1.8, -1.7, -1.6, -1.5]
    labels = [1, 1, 1, 1, 0, 0] + [0] * 12
    found = example_units(scored(stored, logits, labels), "concat", 2)
    kinds = found.groupby("kind", sort=False)["patient_id"].agg(list).to_dict()
    assert list(kinds) == list(KINDS.values())
    # 90 % of the 14 negatives do not exceed 2.0, so that alone 2.5 and 3.0 are called
    assert kinds == {
        "true positive": ["P0"],
        "false negative": ["P2", "P3"],
        "false positive": ["P4"],
        "true negative": ["P6", "P7"],
    }
    assert found.groupby("kind")["n"].first().to_dict() == {
        "true positive": 1,
        "false negative": 3,
        "false positive": 1,
        "true negative": 13,
    }
    assert (found["image_id"] == found["patient_id"]).all()


def test_counts_are_those_of_the_cross_tabulation(evaluated):
    study = dataclasses.replace(
        evaluated[0], predictions=evaluated[0].predictions.query("repeat == 0"), chosen_contrasts=()
    )
    found = example_units(study, "concat", 100)
    n = found.groupby("kind")["n"].first()
    assert n.sum() == study.cohort.n_patients == len(found) and not found["image_id"].isna().any()
    units = study.predictions.query("arm == 'concat' and part == 'test'").set_index("image_id")
    strongest = units.groupby("patient_id")["logit"].max()
    shown = found.set_index("patient_id")["image_id"].map(units["logit"])
    assert np.allclose(shown, strongest.reindex(shown.index))


def test_pictures_are_those_the_network_received(evaluated, finished_study):
    study, evaluation = evaluated
    pictures = pictures_at_hand(study, evaluation)
    wanted = example_units(study, example_arm(study, evaluation), EACH)
    assert set(pictures) == set(wanted["image_id"])
    images = list(finished_study.cohort.images["image_id"])
    for image, picture in pictures.items():
        assert np.array_equal(picture, finished_study.store.pixels[images.index(image)])
    data = finished_study.study.data
    assert find_store(["another"], data, finished_study.folder.parent / ".cache") is None


def test_they_are_read_back_and_what_is_no_such_file_is_none(tmp_path):
    pictures = {"P1.L_CC": np.arange(16, dtype=np.uint8).reshape(4, 4), "ß/2": np.zeros((4, 4), dtype=np.uint8)}
    assert to_bytes(pictures) == to_bytes(pictures)
    (tmp_path / "kept.npz").write_bytes(to_bytes(pictures))
    again = read_pictures(tmp_path / "kept.npz")
    assert list(again) == list(pictures) and np.array_equal(again["P1.L_CC"], pictures["P1.L_CC"])
    for data in (b"", b"no archive", to_bytes(pictures)[:100]):
        (tmp_path / "torn.npz").write_bytes(data)
        assert read_pictures(tmp_path / "torn.npz") is None
    assert read_pictures(tmp_path / "absent.npz") is None


def test_a_row_without_units_and_a_picture_that_is_gone_are_drawn_all_the_same(evaluated):
    units = example_units(evaluated[0], "concat", EACH)
    figure, data = examples(units[units["kind"] != "false positive"], {}, "patient")
    assert len(data) < len(units) or "false positive" not in set(units["kind"])
    texts = [text.get_text() for text in figure.texts]
    assert "none" in texts and "False\npositives" in texts and "True\nnegatives" in texts
    assert not any(axes.images for axes in figure.axes)


@pytest.fixture
def only_examples(monkeypatch):
    everything = pack.catalogue
    keep = ("examples", "flow")
    monkeypatch.setattr(pack, "catalogue", lambda *a: {k: v for k, v in everything(*a).items() if k in keep})


def test_a_report_shows_them_where_asked_and_verifies(evaluated, tmp_path, only_examples):
    study, evaluation = evaluated
    write_pack(study, evaluation, tmp_path / "finished", Options(examples=True, archive=True))
    folder = tmp_path / "finished"
    assert {path.name for path in (folder / "figures").glob("examples*")} == {
        f"examples.{kind}" for kind in ("csv", "npz", "pdf", "png", "svg")
    }
    assert "figures/examples.png" in (folder / "supplement.md").read_text()
    assert 'data-figure="examples"' in (folder / "report.html").read_text()
    assert FILE in json.loads((folder / "pack.json").read_text())["files"]
    assert verify(folder) == []
    other = read_pictures(folder / FILE)
    (folder / FILE).write_bytes(to_bytes({image: 255 - picture for image, picture in other.items()}))
    assert {one.file for one in verify(folder)} == {FILE}
    write_pack(study, evaluation, folder, Options())
    assert not list((folder / "figures").glob("examples*")), "nobody asked"


@pytest.mark.exhaustive
def test_a_report_without_images_at_hand_is_whole_and_says_so(evaluated, tmp_path, only_examples):
    write_archive(evaluated[0], tmp_path / "kept" / "study")
    words = [str(tmp_path / "kept" / "study"), "--reports", str(tmp_path / "reports"), "--replicates", "100"]
    done = CliRunner().invoke(command.app, [*words, "--example-images"], env={"COLUMNS": "400"})
    assert done.exit_code == 0 and "has no example images" in done.output, done.output
    folder = tmp_path / "reports" / "study"
    assert not (folder / FILE).exists() and "examples" not in (folder / "supplement.md").read_text()
    assert verify(folder, tmp_path / "kept" / "study") == []
    done = CliRunner().invoke(command.app, words, env={"COLUMNS": "400"})
    assert done.exit_code == 0 and "example images" not in done.output


def test_no_image_model_and_nothing_finished_have_none(evaluated, tmp_path):
    study, evaluation = evaluated
    moved = shutil.copytree(study.folder, tmp_path / "elsewhere" / "finished")
    assert pictures_at_hand(load_study(moved), evaluation) is None, "no cache beside it"
    alone = dataclasses.replace(
        study,
        predictions=study.predictions[study.predictions["arm"].isin(["tabular", "logistic"])],
        records={name: record for name, record in study.records.items() if record.arm in ("tabular", "logistic")},
    )
    numbers = evaluate(alone, n_replicates=100)
    assert example_arm(alone, numbers) == "" and pictures_at_hand(alone, numbers) is None
    assert "examples" not in catalogue(dataclasses.replace(alone, pictures={}), numbers)
