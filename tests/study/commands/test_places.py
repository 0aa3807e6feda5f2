"""Names and places: nothing is written outside --out and --reports, and what cannot be written is said at once."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import study
from mmbc.errors import ConfigError
from study import audit, bench, clean, compare, cv, ledger, precision, report, search
from study.design.study_name import LONGEST, check_name, file_name

RUN = CliRunner(env={"COLUMNS": "200"})
BAD_NAMES = ["..", ".", "../outside", "a/b", "/tmp", "a\\b", ".hidden", "x" * 300, "ü" * 150, "a\x00b", "a\x0bb", "   "]
NEW = ["--data", "phantom", "--preset", "tiny", "--no-figures"]


@pytest.fixture
def table(tmp_path):
    """Write predictions and return the options of a report of them."""
    rng = np.random.default_rng(0)
    label = np.arange(60) % 2
    rows = pd.DataFrame({"patient_id": [f"P{n}" for n in range(60)], "label": label, "fold": np.arange(60) // 2 % 3})
    rows.assign(arm="cnn", prob=1 / (1 + np.exp(-label - rng.normal(size=60)))).to_csv(tmp_path / "t.csv", index=False)
    return ["--predictions", f"{tmp_path}/t.csv", "--no-figures", "--replicates", "100"]


def places(folder):
    return ["--out", f"{folder}/results", "--reports", f"{folder}/reports"]


def refused(app, words):
    done = RUN.invoke(app, words)
    assert done.exit_code == 2 and done.output.startswith("error ConfigError"), done.output
    assert len(done.output.splitlines()) == 1
    return done.output


@pytest.mark.parametrize("name", BAD_NAMES)
def test_every_command_refuses_a_name_that_is_no_folders(name, table, tmp_path):
    for app in (cv.app, search.app, ledger.app, audit.app):
        words = ["--data", "phantom", "--preset", "tiny", *places(tmp_path), "--name", name]
        assert "--name" in refused(app, words)
    assert "--name" in refused(report.app, [*table, *places(tmp_path), "--name", name, "--force"])
    assert "--name" in refused(compare.app, [f"{tmp_path}/a", f"{tmp_path}/b", "--name", name])
    assert "--name" in refused(search.app, ["--dashboard", *places(tmp_path), "--name", name])
    with pytest.raises(ConfigError, match="name"):
        study.cross_validate("phantom", preset="tiny", name=name, out=tmp_path / "results", progress=False)
    with pytest.raises(ConfigError, match="name"):
        study.evaluate(pd.DataFrame(), name=name, out=tmp_path / "results")
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


@pytest.mark.parametrize("name", ["first", "a b", "Ängström", "-x", "a..b", "v1.0", "研究", "x" * LONGEST])
def test_names_that_are_folders_are_taken(name):
    assert check_name(name) == name


@pytest.mark.parametrize("words", [["..", "x"], [".", ".."], ["ü" * 300], ["a/b"], [""]])
def test_a_name_that_is_made_is_one_that_is_taken(words):
    assert check_name(file_name(words))


def test_force_keeps_the_other_studies(table, tmp_path):
    for name in ("keep", "mine"):
        assert RUN.invoke(report.app, [*table, *places(tmp_path), "--name", name]).exit_code == 0
    refused(report.app, [*table, *places(tmp_path), "--name", ".", "--force"])
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["keep", "mine"]


def test_a_study_named_by_a_dot_has_the_name_of_its_folder(table, tmp_path, monkeypatch):
    assert RUN.invoke(report.app, [*table, *places(tmp_path), "--name", "mine"]).exit_code == 0
    monkeypatch.chdir(tmp_path / "results" / "mine")
    more = ["--reports", f"{tmp_path}/again", "--no-figures", "--replicates", "100"]
    assert RUN.invoke(report.app, [".", *more]).exit_code == 0
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["mine"]


def test_an_edited_manifest_has_no_file_outside_the_report_deleted(table, tmp_path):
    words = [*table, *places(tmp_path), "--name", "mine"]
    assert RUN.invoke(report.app, words).exit_code == 0
    manifest = tmp_path / "reports" / "mine" / "pack.json"
    facts = json.loads(manifest.read_text())
    (tmp_path / "precious.txt").write_text("keep me")
    facts["files"] |= {"../../precious.txt": "0", f"{tmp_path}/t.csv": "0"}
    manifest.write_text(json.dumps(facts))
    assert RUN.invoke(report.app, words).exit_code == 0
    assert (tmp_path / "precious.txt").exists() and (tmp_path / "t.csv").exists()


def test_no_input_is_overwritten_by_what_is_printed(table, tmp_path):
    """Options that name a file to write never take one that is read, or that holds something else."""
    words = [*hospital(tmp_path / "h", 1)[:4], *places(tmp_path)]
    (tmp_path / "s.toml").write_text("[data]\n")
    (tmp_path / "f.json").write_text('{"folds": []}')
    read = [Path(words[1]), tmp_path / "t.csv", tmp_path / "s.toml", tmp_path / "f.json"]
    before = [path.read_bytes() for path in read]
    for path in read:
        options = ["--config", f"{tmp_path}/s.toml", "--folds", f"{tmp_path}/f.json", "--json", f"{path}"]
        assert "would be lost" in refused(cv.app, [*words, "--ablation", "tabular", *options])
        assert "would be lost" in refused(report.app, [*table, *places(tmp_path), *options[:2], "--json", str(read[1])])
        if path.suffix == ".csv":
            assert "would be lost" in refused(audit.app, [*words, "--write-clean-list", f"{path}"])
    assert [path.read_bytes() for path in read] == before
    again = [*words, "--quick", "--write-clean-list", f"{tmp_path}/clean.csv", "--json", f"{tmp_path}/facts.json"]
    assert [RUN.invoke(audit.app, again).exit_code for _ in range(2)] == [1, 1], "its own files are written again"
    assert "would be lost" in refused(audit.app, ["--data", f"{tmp_path}/clean.csv", *again[2:]])


@pytest.fixture
def unwritable(tmp_path):
    """Places nothing can be written to: a file, one below it, no such file system, a long name, a link to itself."""
    (tmp_path / "afile").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("absent/folder")
    names = ["afile", "afile/below", "x" * 300, f"{'x' * 300}/below", "loop", "nowhere"]
    return [*(f"{tmp_path}/{name}" for name in names), "/proc/none"]


def test_folders_that_cannot_be_written_are_refused_before_any_work(unwritable, table, tmp_path):
    for place in unwritable:
        for app in (cv.app, search.app, audit.app, ledger.app):
            for option in ("--out", "--reports"):
                words = ["--data", "phantom", "--preset", "tiny", *places(tmp_path), option, place]
                assert f"{option} " in refused(app, words)
        for option in ("--out", "--reports"):
            assert f"{option} " in refused(report.app, [*table, *places(tmp_path), option, place])
        assert "--reports " in refused(compare.app, ["a", "b", "--reports", place])
        assert "--out " in refused(bench.app, ["--data", "phantom", "--out", place])
    assert not (tmp_path / "results").exists() and not (tmp_path / "reports").exists()


def test_files_that_cannot_be_written_are_refused_before_any_work(unwritable, table, tmp_path):
    plan = ["--patients", "300", "--prevalence", "0.3", "--auc", "0.8"]
    for place in [*unwritable, str(tmp_path), f"{tmp_path}/absent/x.json"]:
        if Path(place).name in ("afile", "nowhere"):
            continue  # a file that is there can be written, and a link's file may be made
        for app, words in ((cv.app, NEW), (report.app, table), (precision.app, plan)):
            where = places(tmp_path) if app is not precision.app else []
            assert "--json" in refused(app, [*words, *where, "--json", place])


def test_a_probe_leaves_nothing_behind(tmp_path):
    plan = ["--patients", "300", "--prevalence", "0.3", "--auc", "1.8", "--json", f"{tmp_path}/x.json"]
    assert RUN.invoke(precision.app, plan).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_report_of_a_finished_study_writes_nothing_to_it(table, tmp_path):
    """So it can be made of a study on a read-only disk; a file in the way of --out does not matter either."""
    assert RUN.invoke(report.app, [*table, *places(tmp_path), "--name", "mine"]).exit_code == 0
    folder = tmp_path / "results" / "mine"
    before = {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}
    more = ["--out", f"{tmp_path}/t.csv", "--reports", f"{tmp_path}/again", "--no-figures", "--replicates", "100"]
    assert RUN.invoke(report.app, [str(folder), *more]).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]} == before


def hospital(folder, seed, name="table.csv", n=24):
    """A table of one hospital, in a folder of its own."""
    folder.mkdir(parents=True)
    label = np.arange(n) // 2 % 2
    rows = pd.DataFrame({"image": [f"{seed}-{i}.png" for i in range(n)], "patient_id": [f"P{i}" for i in range(n)]})
    rows.assign(label=label, age=np.random.default_rng(seed).integers(40, 80, n)).to_csv(folder / name, index=False)
    return ["--data", f"{folder / name}", "--preset", "tiny", "--ablation", "tabular"]


def test_two_tables_of_one_name_share_nothing(tmp_path):
    """Files that say nothing by their names carry that of their folder; pages of others are kept aside."""
    for folder, seed in (("north", 1), ("south", 2)):
        words = [*hospital(tmp_path / folder, seed), *places(tmp_path)]
        assert RUN.invoke(cv.app, [*words, "--describe"]).exit_code == 0
    pages = {path.parent.name: path.read_text() for path in tmp_path.glob("reports/*/cohort.md")}
    assert set(pages) == {"north-table", "south-table"}
    said = {}
    for folder, seed in (("east", 3), ("west", 4)):
        words = [*hospital(tmp_path / folder, seed, "clinic.csv"), *places(tmp_path)]
        for again in range(2):
            said[folder, again] = RUN.invoke(cv.app, [*words, "--describe"]).output
    assert ["was kept" in text for text in said.values()] == [False, False, True, False]
    kept = tmp_path / "reports" / "clinic"
    assert sorted(path.name for path in kept.iterdir()) == ["cohort.md", "cohort.replaced-1.md"]


def test_audits_of_two_tables_of_one_name_are_both_kept(tmp_path):
    for folder, seed in (("east", 3), ("west", 4)):
        words = [
            word for word in hospital(tmp_path / folder, seed, "clinic.csv") if word not in ("--ablation", "tabular")
        ]
        for _ in range(2):
            done = RUN.invoke(audit.app, [*words, *places(tmp_path), "--quick"])
    assert done.exit_code == 1, done.output
    names = sorted(path.name for path in (tmp_path / "reports").iterdir())
    assert names == ["clinic-quick-audit", "clinic-quick-audit.replaced-1"]


def test_the_report_of_another_cohort_is_kept_aside(table, tmp_path):
    assert RUN.invoke(report.app, [*table, *places(tmp_path), "--name", "mine"]).exit_code == 0
    other = pd.read_csv(tmp_path / "t.csv")
    other.assign(patient_id="Q" + other["patient_id"]).to_csv(tmp_path / "t.csv", index=False)
    elsewhere = ["--out", f"{tmp_path}/others", "--reports", f"{tmp_path}/reports", "--name", "mine"]
    for kept in (True, False):
        done = RUN.invoke(report.app, [*table, *elsewhere])
        assert ("The report of another cohort that lay there was kept" in done.output) == kept, done.output
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == ["mine", "mine.replaced-1"]
    assert "set aside" in RUN.invoke(clean.app, ["mine", *places(tmp_path)]).output
