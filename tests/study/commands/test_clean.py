"""`python -m study.clean NAME`: what a study left is shown and deleted, and nothing else."""

import json
import shlex

import pytest
from typer.testing import CliRunner

from study import clean
from study.console.leftovers import leftovers
from study.records.study_folder import lock

RUN = CliRunner(env={"COLUMNS": "200"})


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Two studies with their reports, one set aside, notes of the user's, and a cache."""
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "mine.replaced-1", "mine-too"):
        folder = tmp_path / "my results" / name
        (folder / "cells" / "a").mkdir(parents=True)
        (folder / "study.toml").write_text("x")
        (folder / "cells" / "a" / "checkpoint.bin").write_bytes(bytes(1000))
        (folder / ".lock").touch()
    (tmp_path / "my results" / "mine" / "notes.txt").write_text("of the user")
    report = tmp_path / "reports" / "mine"
    (report / "figures").mkdir(parents=True)
    for name in ("report.md", "figures/roc.png", "manuscript.docx"):
        (report / name).write_text(name)
    options = {"n_replicates": 200, "seed": 0, "journal": "nature", "figures": True, "archive": False}
    files = dict.fromkeys(("report.md", "figures/roc.png", "../../outside.txt", "..", "/etc/hostname"), "")
    manifest = {"study": "mine", "options": options, "made_with": {}, "files": files}
    (report / "pack.json").write_text(json.dumps(manifest))
    (tmp_path / "reports" / "mine-audit").mkdir()
    (tmp_path / "reports" / "mine-audit" / "audit.md").write_text("audit")
    (tmp_path / "outside.txt").write_text("outside")
    cached = tmp_path / "my results" / ".cache" / "features" / "clean-1.npy"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(bytes(2**20))
    return tmp_path


def run(*words):
    return RUN.invoke(clean.app, [*words, "--out", "my results"])


def files(place):
    return {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}


def test_all_is_shown_and_the_command_that_deletes_it_can_be_pasted(place):
    before = files(place)
    done = run("mine")
    assert done.exit_code == 0 and files(place) == before, done.output
    for text in ("results/mine: results", "mine.replaced-1: an older study", "checkpoints", "reports/mine: report"):
        assert text in done.output
    assert "mine-too" not in done.output and "not of the study, stays: notes.txt" in done.output
    assert "mine-audit: audit" in done.output and "all studies there share, 1 MiB" in done.output
    words = shlex.split(done.output.splitlines()[-1].partition(": ")[2])
    assert words == ["python", "-m", "study.clean", "mine", "--out", "my results", "--yes"]


def test_only_what_the_study_left_is_deleted(place):
    done = run("mine", "--yes")
    assert done.exit_code == 0 and "Deleted: " in done.output, done.output
    assert files(place) == {
        "my results/mine/notes.txt",
        "my results/mine-too/study.toml",
        "my results/mine-too/cells/a/checkpoint.bin",
        "my results/mine-too/.lock",
        "my results/.cache/features/clean-1.npy",
        "reports/mine/manuscript.docx",
        "outside.txt",
    }
    assert not (place / "my results" / "mine.replaced-1").exists() and not (place / "reports" / "mine-audit").exists()


@pytest.mark.parametrize("folder", ["mine", "mine/ledger"])
def test_a_study_at_work_is_left_alone(place, folder):
    before = files(place)
    with lock(place / "my results" / folder):
        done = run("mine", "--yes")
    assert done.exit_code == 2 and "another process is at work" in done.output
    assert files(place) - {f"my results/{folder}/.lock"} == before - {f"my results/{folder}/.lock"}


def test_a_search_at_work_is_left_alone(place):
    (place / "my results" / "mine" / "search").mkdir()
    (place / "my results" / "mine" / "search" / "trials.db-wal").write_text("beats")
    before = files(place)
    assert run("mine", "--yes").exit_code == 2 and files(place) == before


@pytest.mark.parametrize("name", ["", "..", "../mine", ".cache", "a/b", "nothing", "mine*", "documents", "linked"])
def test_names_and_folders_that_are_no_study_are_refused(place, name):
    (place / "my results" / "documents").mkdir()
    (place / "my results" / "documents" / "thesis.tex").write_text("years")
    (place / "my results" / "linked").symlink_to(place / "my results" / "mine")
    before = files(place)
    done = run(name, "--yes")
    assert done.exit_code == 2 and done.output.startswith("error ") and files(place) == before, done.output


def test_a_misspelt_name_is_answered_with_the_nearest(place):
    assert "did you mean 'mine'" in run("mien").output


def test_a_real_study_leaves_nothing(tiny):
    planned = tiny.run("cleaned", arms="tabular")
    (found,) = leftovers("cleaned", tiny.folder, tiny.folder / "reports")
    assert found.others == (), "every file of a study is known"
    done = RUN.invoke(clean.app, ["cleaned", "--out", str(tiny.folder), "--yes"])
    assert done.exit_code == 0 and not planned.folder.exists()
