"""Reports written from Python: they say how they were made, and `study.verify` agrees."""

import json
import shutil

import pytest

import study
from mmbc.errors import ConfigError, StudyError
from study.imports.example_table import predictions
from study.records.environment import Environment
from study.reporting.verification import verify

CHOSEN = "chosen after the run"


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    """A small study with two arms and the baseline."""
    place = tmp_path_factory.mktemp("reports")
    return study.cross_validate(
        "phantom", ["tabular", "concat"], preset="tiny", name="first", out=place, progress=False
    )


@pytest.fixture(scope="module")
def declared(run, tmp_path_factory):
    """The folder of its report."""
    folder = tmp_path_factory.mktemp("declared") / "first"
    run.evaluate(n_replicates=100).write(folder, figures=False)
    return folder


def options(folder):
    return json.loads((folder / "pack.json").read_text())["options"]


def test_a_report_says_with_how_many_replicates_and_which_seed_it_was_made(tmp_path):
    table = predictions(60, {"clinical": 0.5, "fusion": 1.2})
    result = study.evaluate(table, n_replicates=200, seed=3)
    result.write(tmp_path / "own", with_predictions=True, figures=False)
    assert options(tmp_path / "own")["n_replicates"] == 200 and options(tmp_path / "own")["seed"] == 3
    assert "200 bootstrap samples" in (tmp_path / "own" / "methods.md").read_text()
    assert verify(tmp_path / "own") == []


def test_contrasts_chosen_after_the_run_are_called_so(run, declared, tmp_path):
    assert "declared before the run" in (declared / "methods.md").read_text()
    chosen = run.evaluate([("tabular", "logistic")], n_replicates=100)
    chosen.write(tmp_path / "chosen", figures=False, with_predictions=True)
    for name in ("methods.md", "supplement.md"):
        text = (tmp_path / "chosen" / name).read_text()
        assert CHOSEN in text and "declared before the run" not in text, name
    assert json.loads((tmp_path / "chosen" / "pack.json").read_text())["chosen_contrasts"] == [["tabular", "logistic"]]
    assert verify(tmp_path / "chosen") == verify(declared, run.folder) == []
    assert study.open(tmp_path / "chosen" / "study").settings.protocol.contrasts == run.settings.protocol.contrasts


def test_the_declared_contrasts_given_again_are_still_declared(run):
    stored = run.stored
    only = stored.with_contrasts([["concat", "tabular"]])
    assert only.chosen_contrasts == (("concat", "tabular"),) == only.contrasts
    assert (
        only.with_contrasts(None).contrasts == only.contrasts and stored.contrasts == stored.settings.protocol.contrasts
    )
    settings = stored.settings.model_copy(
        update={"protocol": stored.settings.protocol.model_copy(update={"contrasts": (("concat", "tabular"),)})}
    )
    from dataclasses import replace

    assert replace(stored, settings=settings).with_contrasts([("concat", "tabular")]).chosen_contrasts is None
    with pytest.raises(ConfigError, match="contrasted with itself"):
        run.evaluate([("concat", "concat")])


def test_a_finished_study_keeps_its_command_when_nothing_is_trained(run, tmp_path):
    folder = shutil.copytree(run.folder, tmp_path / "first")
    before = (folder / "environment.json").read_bytes()
    call = {"preset": "tiny", "name": "first", "out": tmp_path, "progress": False}
    study.cross_validate("phantom", "concat", **call)
    assert (folder / "environment.json").read_bytes() == before
    study.cross_validate("phantom", "image", **call)
    (command,) = Environment.read(folder / "environment.json").command
    assert "arms='image'" in command and f"out='{tmp_path}'" in command


def test_the_call_that_extends_a_study_can_be_typed(run):
    from study.reporting.text.answer import command
    from study.reporting.text.sections import provenance

    shown = command(run.stored, "--seeds", "3")
    assert shown.startswith("study.cross_validate('phantom', arms=") and shown.endswith(", seeds=3)")
    compile(shown, "call", "eval")
    place = str(run.folder.parent.parent)
    said = provenance(run.stored)
    assert place in shown and place not in said, "a screen has the whole call, a report no path of this machine"
    assert "`study.cross_validate('phantom', arms=" in said


def test_a_foreign_report_is_not_overwritten(run, declared, tmp_path):
    (tmp_path / "report.md").write_text("mine")
    result = run.evaluate(n_replicates=100)
    with pytest.raises(StudyError, match=r"has report.md and is no report of this program.*another folder"):
        result.write(tmp_path, figures=False)
    assert (tmp_path / "report.md").read_text() == "mine"
    (tmp_path / "report.md").rename(tmp_path / "notes.txt")
    shutil.copytree(declared, tmp_path, dirs_exist_ok=True)
    result.write(tmp_path, figures=False)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    with pytest.raises(StudyError, match="is a report, not a study"):
        study.open(tmp_path)


def test_a_report_that_was_interrupted_is_written_again(run, tmp_path, monkeypatch):
    result = study.open(run.folder).evaluate(n_replicates=100)

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("study.reporting.pack.html", stop)
        with pytest.raises(KeyboardInterrupt):
            result.write(tmp_path, figures=False)
    assert result.write(tmp_path, figures=False).exists() and verify(tmp_path, run.folder) == []


def test_a_search_shows_what_was_chosen_and_everything_that_was_tried(tmp_path, run):
    options = {"preset": "tiny", "holdout": 0.3, "inner_folds": 2, "whole": False, "name": "searched", "out": tmp_path}
    found = study.search("phantom", ["tabular"], trials=2, progress=False, **options)
    assert found.arms == ["tabular", "logistic"] and len(found.trials) == 2
    (winner,) = found.chosen.to_dict("records")
    assert (winner["arm"], winner["repeat"], winner["fold"]) == ("tabular", 0, 0) and 0 <= winner["value"] <= 1
    assert {"model.dropout", "train.head_lr"} & set(found.chosen) and winner["number"] in set(found.trials["number"])
    recorded = (found.folder / "environment.json").read_bytes()
    study.search("phantom", "tabular", {}, trials=2, progress=False, **options)
    assert (found.folder / "environment.json").read_bytes() == recorded
    assert run.trials.empty and run.chosen.empty and "value" in run.chosen
    assert len(repr(found.stored)) < 120 and len(str(found.settings)) < 120
