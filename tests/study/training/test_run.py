"""Begun once, continued, extended, never mixed; killed and continued to the same bytes."""

import json
import os
from pathlib import Path

import pytest

from mmbc.errors import ConfigError, LeakageError, SplitError, StudyError
from mmbc.files import read_json, write_atomically
from mmbc.spin_limit import SpinLimit
from study.design import partition
from study.design.study_file import Protocol, load
from study.records.cell_records import finished
from study.records.stored_study import load_study
from study.training import preparation

ROOT = Path(__file__).resolve().parents[3]


def test_a_study_leaves_what_it_promises(finished_study):
    folder = finished_study.folder
    names = {path.name for path in folder.iterdir()}
    assert {"study.toml", "cohort.parquet", "cohort.json", "folds.json", "environment.json", "cells", "shared"} <= names
    cell = folder / "cells" / "attention.r1.f1.s0"
    assert {path.name for path in cell.iterdir()} == {
        "predictions.parquet",
        "history.csv",
        "model.safetensors",
        "record.json",
    }
    record = read_json(cell / "record.json")
    encoder = record["preprocessing"]
    assert [column["name"] for column in encoder["columns"]] == ["age", "density"] and encoder["rows_digest"]
    for key in ("config_digest", "split_digest", "cohort_digest", "store_digest", "fit_seed", "calibration", "seconds"):
        assert record[key] is not None, key
    environment = read_json(folder / "environment.json")
    assert environment["packages"]["torch"] and environment["command"] == ["test"]
    assert environment["gomp_spincount"]["in_effect"] == (environment["gomp_spincount"]["value"] is not None)
    assert os.uname().nodename not in json.dumps(environment)


def test_every_row_is_predicted_once_a_repeat(finished_study, stored):
    test = stored.predictions[stored.predictions["part"] == "test"]
    counts = test.groupby(["arm", "repeat", "image_id"]).size()
    assert (counts == 1).all()
    assert len(counts) == 5 * 2 * len(finished_study.cohort.images)
    for (_, repeat, fold, _), rows in stored.predictions.groupby(["arm", "repeat", "fold", "seed"]):
        split = stored.folds.splits[repeat, fold]
        assert set(rows.loc[rows["part"] == "test", "patient_id"]) == set(split.test)
        assert set(rows.loc[rows["part"] == "validation", "patient_id"]) == set(split.validation)


@pytest.mark.slow
def test_repeats_seeds_and_arms_extend_a_study(tiny):
    first = tiny.run("grows", arms="image")
    record = first.folder / "cells" / "image.r0.f0.s0" / "record.json"
    before = record.stat().st_mtime_ns
    second = tiny.run("grows", arms="tabular,image", sets=["protocol.repeats=2", "protocol.seeds=2"])
    assert len(second.cells) == 2 * 2 * 2 * 2 and not second.unfinished(second.cells)
    assert record.stat().st_mtime_ns == before, "finished cells are not run again"
    again = tiny.plan("grows", arms="image")
    assert len(again.cells) == len(second.cells), "asking for less takes nothing away"


def test_what_the_report_alone_uses_can_be_set_later(tiny):
    tiny.run("restated", arms="tabular")
    later = tiny.run("restated", arms="tabular", sets=["protocol.prevalence=0.01", 'protocol.subgroups=["view"]'])
    assert not later.unfinished(later.cells)
    again = tiny.run("restated", arms="tabular")
    assert load_study(again.folder).settings.protocol.prevalence == 0.01, (
        "the same command without it takes nothing away"
    )
    assert again.study.protocol.subgroups == ("view",)
    with pytest.raises(StudyError, match=r"protocol\.delta: 0\.02 there, 0\.1 asked for"):
        tiny.plan("restated", arms="tabular", sets=["protocol.delta=0.1"])


@pytest.mark.parametrize(
    ("assignment", "text"),
    [
        ('protocol.contrasts=[["concat","tabluar"]]', "no arm 'tabluar'; did you mean 'tabular'"),
        ('protocol.contrasts=[["concat","concat"]]', "'concat' is contrasted with itself"),
        ('protocol.contrasts=[["concat","image"],["image","concat"]]', "contrasted twice"),
        ("protocol.delta=2", r"protocol\.delta: .*less than or equal to 0\.5"),
        ("protocol.subgroups=density", r'protocol\.subgroups: write a list, for example \["a", "b"\]'),
    ],
)
def test_a_declaration_that_cannot_be_is_refused_before_the_run(assignment, text):
    with pytest.raises(ConfigError, match=text):
        load("tiny", None, [assignment])


def test_any_other_change_is_refused_with_a_diff(tiny):
    tiny.run("fixed", arms="tabular")
    with pytest.raises(StudyError, match=r"train\.lr: 5e-05 there, 0\.0001 asked for"):
        tiny.plan("fixed", arms="tabular", sets=["train.lr=1e-4"])
    with pytest.raises(StudyError, match=r"data\.phantom\.seed: 7 there, 8 asked for"):
        tiny.plan("fixed", arms="tabular", sets=["data.phantom.seed=8"])


def test_a_cohort_that_changed_on_disk_is_refused(tiny):
    planned = tiny.run("changed", arms="tabular")
    file = planned.folder / "cohort.json"
    file.write_text(file.read_text().replace(planned.cohort.digest, "0" * 16))
    with pytest.raises(StudyError, match=r"another cohort \(digest 0000"):
        tiny.plan("changed", arms="tabular")


def test_a_study_without_images_is_never_mixed_with_one_that_checked_them(tiny):
    planned = tiny.run("unchecked", arms="tabular")
    assert not planned.cohort.images_checked and planned.store is None
    with pytest.raises(StudyError, match="never mixed"):
        tiny.plan("unchecked", arms="tabular,image")


def test_force_keeps_the_old_study_aside(tiny):
    tiny.run("forced", arms="tabular")
    planned = tiny.run("forced", arms="tabular", sets=["train.lr=1e-4"], force=True)
    assert (planned.folder.with_name("forced.replaced-1") / "study.toml").exists()
    assert any("replaced-1" in note for note in planned.notes)


def test_changed_predictions_are_found(tiny):
    planned = tiny.run("edited", arms="tabular")
    file = planned.folder / "cells" / "tabular.r0.f0.s0" / "predictions.parquet"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(StudyError, match="predictions.parquet: is missing or was changed"):
        planned.unfinished(planned.cells)
    with pytest.raises(StudyError, match="is missing or was changed"):
        load_study(planned.folder)


def test_a_foreign_record_is_refused(tiny):
    planned = tiny.run("foreign", arms="tabular")
    cell = planned.cells[0]
    with pytest.raises(StudyError, match="fit_seed"):
        finished(planned.folder / "cells" / cell.name, {**cell.key, "fit_seed": 0})


def test_two_processes_do_not_share_a_study(tiny):
    from study.records.study_folder import lock

    planned = tiny.plan("locked", arms="tabular")
    with lock(planned.folder), pytest.raises(StudyError, match="another process"):
        lock(planned.folder)


def test_a_full_disk_is_named_and_leaves_no_torn_file(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StudyError, match="No space left on device"):
        write_atomically(tmp_path / "record.json", b"{}")
    assert list(tmp_path.iterdir()) == []


class TestFolds:
    def test_own_folds_are_used_and_kept(self, tiny, tmp_path):
        given = tiny.plan("x", arms="tabular", sets=["protocol.split_seed=5"]).folds
        content = given.plain()
        own = tmp_path / "mine.json"
        own.write_text(json.dumps({"folds": content["folds"]}))
        planned = tiny.run("own", arms="tabular", folds_file=own)
        assert planned.folds.splits == given.splits
        content["folds"][0]["test"], content["folds"][1]["test"] = (
            content["folds"][1]["test"],
            content["folds"][0]["test"],
        )
        own.write_text(json.dumps({"folds": content["folds"]}))
        with pytest.raises(SplitError, match="differs from"):
            tiny.plan("own", arms="tabular", folds_file=own)

    def faulty(self, tiny, tmp_path, change):
        content = tiny.plan("x", arms="tabular").folds.plain()
        change(content["folds"])
        file = tmp_path / "folds.json"
        file.write_text(json.dumps(content))
        return tiny.plan("faulty", arms="tabular", folds_file=file)

    def test_a_leaking_patient_is_named(self, tiny, tmp_path):
        with pytest.raises(LeakageError, match=r"repeat 0, fold 0: patients both in train and in test: P\d+"):
            self.faulty(tiny, tmp_path, lambda f: f[0]["train"].append(f[0]["test"][0]))

    def test_a_patient_tested_twice_or_never_is_named(self, tiny, tmp_path):
        def twice(content):
            moved = content[0]["test"][0]
            content[1]["train"] = [p for p in content[1]["train"] if p != moved]
            content[1]["validation"] = [p for p in content[1]["validation"] if p != moved]
            content[1]["test"].append(moved)

        with pytest.raises(SplitError, match=r"tested more than once: P\d+"):
            self.faulty(tiny, tmp_path, twice)

        def never(content):
            content[0]["train"].append(content[0]["test"].pop())

        with pytest.raises(SplitError, match=r"never tested: P\d+"):
            self.faulty(tiny, tmp_path, never)

    def test_a_missing_key_is_named(self, tiny, tmp_path):
        with pytest.raises(SplitError, match="lacks validation"):
            self.faulty(tiny, tmp_path, lambda f: f[0].pop("validation"))

    def test_repeat_r_does_not_depend_on_how_many_are_asked_for(self, tiny):
        images = tiny.plan("x", arms="tabular").cohort.images
        few, many = (partition.make(images, Protocol(folds=2, repeats=n)).folds for n in (1, 3))
        assert many[:2] == few and many[2:4] != few

    def test_holdout(self, tiny):
        planned = tiny.run("holdout", arms="tabular", sets=["protocol.holdout=0.25"])
        assert [cell.name for cell in planned.cells] == ["tabular.r0.f0.s0"]
        assert len(planned.cells[0].split.test) == 8


def test_threads_that_spin_without_limit_are_said(tiny, monkeypatch):
    monkeypatch.setattr(preparation, "SPIN_LIMIT", SpinLimit("1000", in_effect=False))
    assert any("torch was loaded before mmbc" in note for note in tiny.plan("late", arms="tabular").notes)
    monkeypatch.undo()
    assert not any("torch was loaded" in note for note in tiny.plan("late", arms="tabular").notes)


@pytest.mark.parametrize("size", [50_000, 65_536])
def test_images_that_no_memory_can_hold_are_refused_before_any_is_read(tiny, size, monkeypatch):
    monkeypatch.setattr(preparation, "open_cohort", lambda *_, **__: pytest.fail("the cohort was read"))
    with pytest.raises(ConfigError, match=rf"data\.image_size={size}: a batch of \d+ images takes at least .*GiB"):
        tiny.plan("giant", sets=[f"data.image_size={size}"])
