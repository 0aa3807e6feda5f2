"""The ledger: one thing changed at a time, the same chance for all, nothing mixed, every file labelled."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from mmbc.config import flatten
from mmbc.errors import StudyError
from mmbc.files import file_digest, read_json
from study.design import partition
from study.design.request import CACHE
from study.leaks import optimism
from study.leaks.measurement import Measurer
from study.leaks.plan import Entry, distinct_cells, fit_encoders, plan
from study.leaks.protocols import LABEL, PROTOCOLS, REFERENCE, SINGLES, candidates
from study.records.progress import Observer
from study.records.stored_study import load_study
from study.training.lockstep import execute
from study.training.preparation import prepare, with_resolved_run
from study.training.run import carry_out
from study.training.workspace import Workspace

LEAKS = [leak.name for leak in SINGLES]


@pytest.fixture(scope="module")
def content(rows, request_for):
    return partition.make(rows.honest.images, request_for("rows").study.protocol)


@pytest.fixture(scope="module")
def entries(rows, request_for, content):
    return plan(request_for("rows").study, rows, content, 3)


def cells_of(entries, arm, leak, candidate=0):
    (found,) = [e for e in entries if (e.arm, e.leak.name, e.candidate) == (arm, leak, candidate)]
    return {(cell.repeat, cell.fold, cell.seed): cell for cell in found.cells}


def test_the_rows_keep_copies_and_the_true_patients(rows):
    assert (len(rows.table), len(rows.honest.images), rows.n_copies, rows.honest.n_outlined) == (80, 77, 3, 12)
    assert rows.cohort.images["patient_id"].equals(rows.cohort.images["image_id"])
    honest = rows.table.loc[~rows.table["copy"], ["image_id", "patient_id", "label"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(honest, rows.honest.images[["image_id", "patient_id", "label"]])
    assert rows.stores["sham"].digest != rows.stores["keep"].digest


def test_honest_splits_are_the_studys_and_divide_nobody(rows, content, entries):
    owner = rows.table.set_index("image_id")["patient_id"]
    copies = set(rows.table.loc[rows.table["copy"], "image_id"])
    expected = content.splits
    for arm in ("image", "concat"):
        for (repeat, fold, _), cell in cells_of(entries, arm, "honest").items():
            for part, images in cell.split.parts().items():
                assert set(owner[list(images)]) == set(expected[repeat, fold].parts()[part])
                assert not copies & set(images)


def differing(cell, twin, encoded):
    """Return what of a cell is not as in its honest twin: parts of the split, settings, the encoder."""
    parts = {f"split.{part}" for part, ids in cell.split.parts().items() if ids != twin.split.parts()[part]}
    was, now = flatten(twin.config), flatten(cell.config)
    settings = {key for key in was if was[key] != now[key]}
    return parts | settings | ({"encoder"} if cell.name in encoded else set())


PARTS = {"split.train", "split.validation", "split.test"}


@pytest.mark.parametrize(
    ("leak", "expected"),
    [
        ("outlines-kept", {"data.outlines"}),
        ("duplicates-kept", PARTS),
        ("split-by-image", PARTS),
        ("best-epoch-on-test", {"split.validation"}),
        ("scaler-on-all-rows", {"encoder"}),
        (
            "tuned-on-test",
            {"train.head_lr", "train.lr", "train.weight_decay", "train.label_smoothing", "model.dropout"},
        ),
        ("single-split", PARTS),
    ],
)
def test_each_leak_changes_one_thing(entries, rows, leak, expected):
    encoded = fit_encoders(entries, rows)
    honest = cells_of(entries, "concat", "honest")
    mine = cells_of(entries, "concat", leak, candidate=1 if leak == "tuned-on-test" else 0)
    found = set()
    for place, cell in mine.items():
        found |= differing(cell, honest[place], encoded)
        assert (cell.fit_seed, cell.stream_seed) == (honest[place].fit_seed, honest[place].stream_seed)
        assert cell.leak == leak and cell.key["ledger"] == LABEL
    assert found <= expected and found
    if leak != "single-split":
        assert mine.keys() == honest.keys()


def test_what_leaky_splits_are(entries, rows):
    owner, table = rows.table.set_index("image_id")["patient_id"], rows.table
    copies = set(table.loc[table["copy"], "image_id"])
    honest = cells_of(entries, "image", "honest")
    for place, cell in cells_of(entries, "image", "duplicates-kept").items():
        for part, images in cell.split.parts().items():
            assert set(images) - copies == set(honest[place].split.parts()[part])
        assert copies <= set().union(*cell.split.parts().values())
        assert not set(owner[list(cell.split.train)]) & set(owner[list(cell.split.test)])
    by_image = cells_of(entries, "image", "split-by-image").values()
    assert sorted(image for cell in by_image for image in cell.split.test) == sorted(rows.honest.images["image_id"])
    assert all(set(owner[list(cell.split.train)]) & set(owner[list(cell.split.test)]) for cell in by_image)
    (single,) = cells_of(entries, "image", "single-split").values()
    assert set(owner[list(single.split.test)]).isdisjoint(owner[list(single.split.train)])
    assert len(set(owner[list(single.split.test)])) == 4, "20 % of 20 patients"


def test_the_recipe_has_every_leak_at_once(entries, rows):
    (cell,) = cells_of(entries, "concat", "published-recipe").values()
    assert cell.config.data.outlines == "keep" and cell.split.validation == cell.split.test
    assert cell.name in fit_encoders(entries, rows) and cell.candidate == 0
    owner = rows.table.set_index("image_id")["patient_id"]
    assert set(owner[list(cell.split.train)]) & set(owner[list(cell.split.test)])
    assert set(rows.table.loc[rows.table["copy"], "image_id"]) & set(cell.split.train + cell.split.test)


def test_shared_cells_are_trained_once(entries):
    honest = list(cells_of(entries, "image", "honest").values())
    assert list(cells_of(entries, "image", "scaler-on-all-rows").values()) == honest, "no clinical column"
    assert list(cells_of(entries, "image", "tuned-on-test").values()) == honest, "the reference is a candidate"
    names = [cell.name for cell in distinct_cells(entries)]
    assert {"concat.honest.r0.f1.s0", "concat.split-by-image.r0.f0.s0", "concat.tuned-on-test.c2.r0.f1.s0"} <= set(
        names
    )
    assert not any(name.startswith(("image.scaler", "image.tuned-on-test.c0")) for name in names)
    assert len(names) == len(set(names)) == 2 * (2 * (1 + 4) + 2 * 2 + 1 + 3) + 2


def test_candidates_are_drawn_once_and_for_all(request_for):
    config = request_for("rows").study.arm_config("concat")
    few, many = candidates(config, 4, seed=0), candidates(config, 9, seed=0)
    assert few == many[:4] and few[0] == config and len(set(map(str, many))) == 9
    assert candidates(config, 4, seed=1) != few


@pytest.fixture(scope="module")
def ledger(request_for):
    request = request_for("kept", arms="concat")
    return optimism.run(request, Observer(), n_candidates=2, n_replicates=100), request


def test_a_ledger_resumes_without_training_again(ledger, monkeypatch):
    found, request = ledger
    gone = request.out / "kept" / "ledger" / "cells" / "concat.split-by-image.r0.f0.s0"
    before = (gone / "predictions.parquet").read_bytes()
    shutil.rmtree(gone)
    trained = []
    monkeypatch.setattr(
        "study.leaks.optimism.execute", lambda cells, *a, **k: (trained.extend(cells), execute(cells, *a, **k))
    )
    again = optimism.run(request, Observer(), n_candidates=2, n_replicates=100)
    assert [cell.name for cell in trained] == [gone.name]
    assert (gone / "predictions.parquet").read_bytes() == before
    pd.testing.assert_frame_equal(again.table, found.table)


def test_another_study_is_not_taken_for_this_one(ledger):
    request = ledger[1]
    other = replace(
        request,
        study=request.study.model_copy(update={"train": request.study.train.model_copy(update={"patience": 9})}),
    )
    with pytest.raises(
        StudyError, match=r"begun with another cohort or other settings:\n  train\.patience: 2 there, 9"
    ):
        optimism.run(other, Observer(), n_candidates=2)


def test_every_row_of_the_table_is_there_and_labelled(ledger):
    table = ledger[0].table.set_index("leak")
    assert list(table.index) == ["honest", *LEAKS, "together", "published-recipe"]
    assert (table["label"] == "").tolist() == [True] + [False] * 9
    sum_of_all = table.loc[[*LEAKS, "together"], "difference"].sum()
    assert table.loc["honest", "auc"] + sum_of_all == pytest.approx(table.loc["published-recipe", "auc"])
    assert table.loc["tuned-on-test", "difference"] >= 0
    reference = table.loc["tuned-on-test", "candidate"] == 0
    assert (table.loc["tuned-on-test", "chosen"] == "the reference") == reference
    assert table.loc["split-by-image", ["unit_auc"]].isna().all() and table.loc["honest", ["unit_auc"]].notna().all()
    nothing = table["nothing"].fillna("")
    assert nothing["tuned-on-test"] == ("the reference won" if reference else "")
    assert (nothing.drop("tuned-on-test") == "").all(), "this cohort has outlines, copies and a clinical column"


def test_every_file_says_leaky_by_design(ledger, tmp_path):
    paths = optimism.write(ledger[0], tmp_path)
    assert sorted(path.name for path in paths) == sorted(
        [
            "ledger.md",
            "ledger.csv",
            "ledger.json",
            *(f"ledger-waterfall.{suffix}" for suffix in ("png", "pdf", "svg", "csv")),
        ]
    )
    for path in paths:
        if path.suffix in (".md", ".csv", ".json", ".svg"):
            assert "LEAKY BY DESIGN" in path.read_text(), path.name
    rows = json.loads((tmp_path / "ledger.json").read_text())["rows"]
    assert [row["leak"] for row in rows if row["label"] != LABEL] == ["honest"]
    assert (tmp_path / "ledger.md").read_text().count(f"| {LABEL} |") == 9


def test_records_say_what_they_are(ledger):
    place = ledger[1].out / "kept" / "ledger"
    assert (place / "README.txt").read_text().startswith("LEAKY BY DESIGN")
    records = [read_json(path) for path in place.glob("cells/*/record.json")]
    assert {(bool(record["leak"]), record["ledger"]) for record in records} == {(True, LABEL), (False, REFERENCE)}
    assert not list(place.rglob("*.safetensors")), "no leaky model is kept"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("concat.split-by-image.r0.f0.s0", "deliberate leak 'split-by-image'"),
        ("concat.honest.r0.f0.s0", "optimism ledger"),
    ],
)
def test_mixing_is_refused(ledger, request_for, cell, message):
    """Even with every digest of the study it is slipped into."""
    request = request_for(f"honest-{cell.split('.')[1]}", arms="concat")
    planned = prepare(request, Observer())
    carry_out(planned, request, Observer(), command=["test"], findings=[])
    mine = planned.folder / "cells" / "concat.r0.f0.s0"
    foreign = ledger[1].out / "kept" / "ledger" / "cells" / cell
    shutil.copy(foreign / "predictions.parquet", mine)
    own, record = read_json(mine / "record.json"), read_json(foreign / "record.json")
    record |= {key: own[key] for key in ("cohort_digest", "config_digest", "split_digest")}
    record["files"] = {name: file_digest(mine / name) for name in own["files"]}
    (mine / "record.json").write_text(json.dumps(record))
    with pytest.raises(StudyError, match=message):
        load_study(planned.folder)


def test_differences_agree_with_hand_counts(ledger, rows, content):
    """Each protocol's AUC with every row as often as its true patient is drawn, part by part."""
    request = ledger[1]
    measuring = Measurer(request.study, rows, content, request.out / "kept" / "ledger", 5)
    entries = plan(request.study, rows, content, 2)
    place = request.out / "kept" / "ledger" / "cells"
    owner = rows.table.set_index("image_id")["patient_id"]
    for draw in range(1, 6):
        times = pd.Series(measuring.weights[draw], index=measuring.patients)
        values = {}
        for leak in ("honest", "split-by-image"):
            parts = []
            for cell in cells_of(entries, "concat", leak).values():
                test = pd.read_parquet(place / cell.name / "predictions.parquet").query("part == 'test'")
                weight = times[owner[test["image_id"]]].to_numpy()
                parts.append(roc_auc_score(test["label"], test["logit"], sample_weight=weight))
            values[leak] = np.mean(parts)
        first, second = (measuring.measure(_entry(entries, leak)).under["auc"] for leak in ("split-by-image", "honest"))
        assert (first - second)[draw] == pytest.approx(values["split-by-image"] - values["honest"])
    assert (measuring.weights[0] == 1).all()


def _entry(entries, leak) -> Entry:
    return next(entry for entry in entries if entry.leak.name == leak)


@pytest.mark.slow
def test_a_split_by_image_leaks_what_tells_the_patient(request_for, rows, content):
    """Labels are random by patient: an honest model knows nothing, one that saw the other images knows the label."""
    request = request_for(
        "planted", arms="image", sets=["train.max_epochs=25", "train.patience=25", "train.head_lr=0.01"]
    )
    entries = [
        e
        for e in plan(with_resolved_run(request.study), rows, content, 2)
        if e.leak.name in ("honest", "split-by-image")
    ]
    workspace = Workspace(
        rows.cohort, rows.stores["sham"], request.out / "planted", request.out / CACHE, keep_models=False
    )
    execute(distinct_cells(entries), workspace)
    measuring = Measurer(request.study, rows, content, request.out / "planted", 100)
    honest, leaky = (measuring.measure(_entry(entries, leak)).under["auc"][0] for leak in ("honest", "split-by-image"))
    assert abs(honest - 0.5) < 0.2
    assert leaky > 0.85


def test_protocols_have_names_for_folders():
    assert len({leak.name for leak in PROTOCOLS}) == len(PROTOCOLS) == 9
    assert all(leak.changes == {leak.name} for leak in SINGLES)
