"""`python -m study.search` as it is typed."""

import importlib
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from study.design.search_space import holes_of, read_space
from study.design.study_file import Search, load
from study.records.stored_study import load_study

command = importlib.import_module("study.search")
HOW_TO = (Path(__file__).resolve().parents[3] / "docs/how-to/search.md").read_text(encoding="utf-8")
RUN = CliRunner(env={"COLUMNS": "200"})
TINY = [
    "--preset",
    "tiny",
    "--data",
    "phantom",
    "--ablation",
    "tabular",
    "--trials",
    "2",
    "--wave",
    "2",
    "--inner-folds",
    "2",
]


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: RUN.invoke(command.app, [*map(str, arguments)])


def test_the_space_of_the_documentation_is_one(tmp_path):
    (text,) = [
        block for block in re.findall(r"```toml\n(.*?)```", HOW_TO, re.DOTALL) if block.startswith("# space.toml")
    ]
    (tmp_path / "space.toml").write_text(text)
    plain, holes = read_space(tmp_path / "space.toml")
    assert plain == {"train.max_epochs": 30}
    assert len(holes_of(load("default").model_copy(update={"search": Search(space=holes)}))) == 5


def test_a_dry_run_says_what_will_happen_and_writes_nothing(run, tmp_path):
    done = run(*TINY, "--dry-run", "--json", tmp_path / "plan.json")
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    assert (
        "3 searches of 2 trials each; a trial is a fit in each of 2 inner folds, so there are at most 12 fits" in text
    )
    assert "A wave has up to 6 trials" in text and "At most about" in text
    facts = json.loads((tmp_path / "plan.json").read_text())
    assert facts["searches"] == ["tabular/fold-0", "tabular/fold-1", "tabular/whole"] and facts["fits"] == 12
    assert not (tmp_path / "results" / "phantom-tiny-nested").exists()


def test_the_space_of_the_documentation_is_planned(run, tmp_path):
    (text,) = [
        block for block in re.findall(r"```toml\n(.*?)```", HOW_TO, re.DOTALL) if block.startswith("# space.toml")
    ]
    (tmp_path / "space.toml").write_text(text)
    done = run(
        "--data",
        "phantom",
        "--ablation",
        "concat",
        "--space",
        "space.toml",
        "--set",
        "data.phantom.n_patients=40",
        "--dry-run",
    )
    assert done.exit_code == 0, done.output
    assert "[64, 64, 32], [32]" in done.output


@pytest.mark.slow
def test_a_search_ends_in_its_report_and_the_same_command_adds_nothing(run, tmp_path):
    (tmp_path / "space.toml").write_text("[model]\ndropout = { choice = [0.3, 0.5] }\n[train]\nmax_epochs = 1\n")
    words = [*TINY, "--no-figures", "--space", "space.toml", "--no-best-toml", "--json", "done.json"]
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert "Winners, by inner validation AUC" in done.output
    folder = tmp_path / "results" / "phantom-tiny-nested"
    stored = load_study(folder)
    assert stored.settings.train.max_epochs == 1, "what is no hole is set for all trials"
    assert not (folder / "search" / "best.toml").exists()
    assert "Hyper-parameter search" in (tmp_path / "reports" / folder.name / "supplement.md").read_text()
    assert {row["arm"] for row in json.loads((tmp_path / "done.json").read_text())["summary"]} == {
        "tabular",
        "logistic",
    }
    before = {path: path.read_bytes() for path in folder.rglob("*.parquet")}
    again = run(*words)
    assert again.exit_code == 0 and "wave 1" not in again.output
    assert before == {path: path.read_bytes() for path in folder.rglob("*.parquet")}
    fewer = run(*words, "--trials", "1")
    assert fewer.exit_code == 0 and "begun with 2 trials each" in fewer.output
    assert "6 trials" not in fewer.output and "4 trials of this search are there already" in fewer.output
    mixed = run(*words, "--mode", "flat", "--name", folder.name)
    assert mixed.exit_code == 2 and "search.mode: 'nested' there, 'flat' asked for" in mixed.output


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--mode", "both"], "search.mode"),
        (["--pruner", "mean"], "search.pruner"),
        (["--space", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["--storage", "postgresql://me:secret@127.0.0.1:1/db"], "cannot be used"),
        (["--dashboard"], "which search below results? it has none"),
    ],
)
def test_what_cannot_be_done_is_said(run, monkeypatch, words, text):
    monkeypatch.setattr("study.tuning.storage.ATTEMPTS", 1)
    done = run(*TINY, *words)
    assert done.exit_code == 2 and text in " ".join(done.output.split())
    assert "secret" not in done.output
