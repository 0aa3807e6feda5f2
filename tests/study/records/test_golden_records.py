"""Files of a study keep the bytes and the keys they had before they were models (`golden/`: written by format 1)."""

import json
from pathlib import Path

import pandas as pd
import pytest

from mmbc import __version__
from mmbc.errors import ConfigError, StudyError
from mmbc.files import read_json, write_json
from study.design.folds import Folds
from study.imports.imported_study import Import, import_predictions
from study.records.cell_records import CellRecord, read_settings
from study.records.environment import Environment
from study.records.stored_cohort import CohortFacts
from study.records.stored_study import ArchivedCells, load_study, write_archive

GOLDEN = Path(__file__).parent / "golden"
DEMO = Path(__file__).parents[3] / "reports" / "demo" / "study"
MODELS = {
    "cell": CellRecord,
    "baseline": CellRecord,
    "trial": CellRecord,
    "refit": CellRecord,
    "ledger": CellRecord,
    "environment": Environment,
    "environment_imported": Environment,
    "cohort": CohortFacts,
    "archive_imported": ArchivedCells,
}
ADDED = {"gomp_spincount", "tested"}
"""Keys of environment.json and of records that came later."""


def assert_kept(model, file, tmp_path):
    model.read(file).write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == file.read_bytes(), file


@pytest.mark.parametrize("name", MODELS)
def test_what_is_read_is_written_back_byte_for_byte(name, tmp_path):
    assert_kept(MODELS[name], GOLDEN / f"{name}.json", tmp_path)


@pytest.mark.parametrize("name", ["environment", "cohort", "records", "folds"])
def test_the_committed_archive_is_written_back_byte_for_byte(name, tmp_path):
    model = {"environment": Environment, "cohort": CohortFacts, "records": ArchivedCells, "folds": Folds}[name]
    assert_kept(model, DEMO / f"{name}.json", tmp_path)


def test_the_committed_archive_is_archived_again_as_it_was(tmp_path):
    study = load_study(DEMO)
    write_archive(study, tmp_path / "again")
    for file in (file for file in DEMO.iterdir() if file.suffix in (".json", ".toml") and file.name != "archive.json"):
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes(), file.name
    pd.testing.assert_frame_equal(load_study(tmp_path / "again").predictions, study.predictions)


def keys(value):
    """The keys of JSON, nested; of lists those of the first item."""
    if isinstance(value, dict):
        return {key: keys(item) for key, item in value.items()}
    return keys(value[0]) if isinstance(value, list) and value else None


def test_a_study_of_today_has_the_files_of_format_1(finished_study, tmp_path):
    folder = finished_study.folder
    for golden, file in (
        ("cell", "cells/concat.r0.f0.s0/record.json"),
        ("baseline", "cells/logistic.r0.f0.s0/record.json"),
        ("environment", "environment.json"),
        ("cohort", "cohort.json"),
    ):
        assert_kept(MODELS[golden], folder / file, tmp_path)
        ours, theirs = (
            json.dumps(without_added(keys(read_json(f)))) for f in (folder / file, GOLDEN / f"{golden}.json")
        )
        assert ours == theirs, f"{file}: same keys in the same order"


def without_added(value):
    if not isinstance(value, dict):
        return value
    return {k: None if k == "packages" else without_added(item) for k, item in value.items() if k not in ADDED}


def test_imported_predictions_have_the_files_of_format_1(tmp_path):
    rows = [
        {
            "patient_id": f"P{p:02d}",
            "label": p % 2,
            "fold": fold,
            "arm": arm,
            "prob": 0.2 + 0.1 * (p % 5),
            "age": 40 + p,
        }
        for arm in ("a", "b")
        for p in range(40)
        for fold in ["north" if p // 2 % 2 == 0 else "south"]
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "mine.csv", index=False)
    folder = import_predictions(Import(tmp_path / "mine.csv", out=tmp_path)).folder
    for golden, file in (("archive_imported", "records.json"), ("environment_imported", "environment.json")):
        assert_kept(MODELS[golden], folder / file, tmp_path)
        there, expected = read_json(folder / file), read_json(GOLDEN / f"{golden}.json")
        if "records" in there:  # the first has the same keys
            there, expected = ({**one, "records": next(iter(one["records"].values()))} for one in (there, expected))
        assert json.dumps(without_added(keys(there))) == json.dumps(without_added(keys(expected)))


def test_a_record_of_a_later_program_is_refused(finished_study, tmp_path):
    record = read_json(finished_study.folder / "cells" / "concat.r0.f0.s0" / "record.json")
    write_json(tmp_path / "record.json", {"format": 2, "mmbc": "9.1", **record})
    with pytest.raises(StudyError, match=r"record\.json: has format 2 and was written by mmbc 9\.1; this is mmbc"):
        CellRecord.read(tmp_path / "record.json")


def test_runs_are_kept_and_the_same_run_again_adds_none():
    first = Environment(mmbc="0.1.0", command=("a",), python="3.11")
    begun = first.with_runs(None)
    assert begun.runs == (first,)
    again = first.changed(command=["b"]).with_runs(begun)
    assert again.runs == (first,) and again.command == ("b",)
    other = first.changed(python="3.12")
    assert other.with_runs(again).runs == (first, other)


def test_settings_that_only_a_later_program_knows_name_its_version(tmp_path):
    toml = (DEMO / "study.toml").read_text().replace("[model]", '[model]\nunit = "breast"', 1)
    (tmp_path / "study.toml").write_text(toml)
    for version, said in (
        ("9.1", r"model\.unit.*\n.* was written by mmbc 9\.1, this is mmbc"),
        (__version__, r"model\.unit.*$"),
    ):
        Environment.read(DEMO / "environment.json").changed(mmbc=version).write(tmp_path / "environment.json")
        with pytest.raises(ConfigError, match=said) as refusal:
            read_settings(tmp_path)
        assert ("was written by" in str(refusal.value)) == (version == "9.1")
