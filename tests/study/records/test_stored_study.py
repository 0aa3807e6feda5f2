"""Studies read back: whole, from an archive, and never mixed."""

import json

import pandas as pd
import pytest

from mmbc.errors import StudyError
from mmbc.files import file_digest
from study.records.cell_records import CELL_COLUMNS
from study.records.environment import Environment, from_here
from study.records.stored_study import OF_MODELS, load_study, write_archive


def test_an_archive_gives_the_same_study(stored, tmp_path):
    write_archive(stored, tmp_path / "kept")
    again = load_study(tmp_path / "kept")
    pd.testing.assert_frame_equal(again.predictions, stored.predictions)
    pd.testing.assert_frame_equal(again.history, stored.history)
    assert (again.planned, again.folds) == (stored.planned, stored.folds)
    kept = {name: record.without(*OF_MODELS) for name, record in stored.records.items()}
    assert again.records == kept
    assert again.cohort_digest == stored.cohort_digest


def test_an_edited_archive_is_refused(stored, tmp_path):
    write_archive(stored, tmp_path)
    (tmp_path / "folds.json").write_text((tmp_path / "folds.json").read_text().replace('"fold": 0', '"fold": 1', 1))
    with pytest.raises(StudyError, match=r"folds\.json: is missing or was changed after the archive was written"):
        load_study(tmp_path)


@pytest.fixture
def copied(stored, tmp_path):
    """A copy of the finished study, and a function that changes one cell with its digests put right."""
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(stored.folder, folder)

    def change(cell, edit_rows=None, **facts):
        place = folder / "cells" / cell
        record = json.loads((place / "record.json").read_text())
        if edit_rows is not None:
            rows = pd.read_parquet(place / "predictions.parquet")
            edit_rows(rows).to_parquet(place / "predictions.parquet", index=False)
            record["files"]["predictions.parquet"] = file_digest(place / "predictions.parquet")
        (place / "record.json").write_text(json.dumps(record | facts))
        return folder

    return change


def flipped(rows):
    return rows.assign(label=rows["label"].where(rows.index != 3, 1 - rows["label"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cohort_digest": "0" * 16}, r"concat\.r0\.f1\.s0: belongs to another study \(other cohort\)"),
        ({"config_digest": "0" * 16}, r"other config"),
        ({"split_digest": "0" * 16}, r"other split"),
        ({"leak": "scaler"}, "deliberate leak 'scaler'"),
        ({"edit_rows": flipped}, "rows are not those of the cohort and the split"),
        ({"edit_rows": lambda rows: rows.iloc[1:]}, "rows are not those of the cohort and the split"),
        ({"edit_rows": lambda rows: pd.concat([rows, rows.iloc[:1]])}, "rows are not those of the cohort"),
    ],
)
def test_cells_of_other_studies_leaks_and_edited_labels_are_refused(copied, change, message):
    folder = copied("concat.r0.f1.s0", **change)
    with pytest.raises(StudyError, match=message):
        load_study(folder)


def test_a_study_and_its_copy_are_read(copied, stored):
    again = load_study(copied("concat.r0.f1.s0"))
    keys = list(CELL_COLUMNS)
    assert again.predictions[keys].equals(stored.predictions[keys])


def test_commands_name_paths_from_where_they_were_typed(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    words = [f"{tmp_path}/my data/list.csv", f"model.weights=file:{tmp_path}/w.pth", "a/b", "--set", "/elsewhere/x"]
    assert [from_here(word) for word in words] == [
        "../my data/list.csv",
        "model.weights=file:../w.pth",
        "a/b",
        "--set",
        "/elsewhere/x",
    ]


def test_commands_name_the_last_part_of_a_path():
    words = ["python", "--data", "/home/someone/Mini_DDSM", "--set", "model.weights=file:/data/w.pth", "a/b", "~/x/y"]
    environment = Environment(command=words, runs=[Environment(python="2")], python="3")
    assert environment.without_paths().plain() == {
        "python": "3",
        "command": ["python", "--data", "Mini_DDSM", "--set", "model.weights=file:w.pth", "a/b", "y"],
    }
