"""The command as it is typed."""

import importlib
import json
import re
import shlex

import pytest
from typer.testing import CliRunner

from study import cv, report
from study.console import forecast, requests
from study.design.study_file import load
from study.training import preparation

RUN = CliRunner()


def invoke(folder, *arguments, preset="tiny", data="phantom"):
    where = ["--data", data, "--preset", preset, "--out", f"{folder}/results", "--reports", f"{folder}/reports"]
    where.append("--no-figures")
    return RUN.invoke(cv.app, [*where, *arguments])


@pytest.fixture(scope="module")
def dry_run(tmp_path_factory):
    """What a plan of all arms prints, and its facts."""
    folder = tmp_path_factory.mktemp("plan")
    done = invoke(folder, "--dry-run", "--seed", "0", "--json", f"{folder}/plan.json")
    assert done.exit_code == 0, done.output
    return done.output, json.loads((folder / "plan.json").read_text())


@pytest.mark.slow
def test_a_study_end_to_end_then_again(tmp_path):
    first = invoke(tmp_path, "--ablation", "all", "--json", f"{tmp_path}/out.json")
    assert first.exit_code == 0, first.output
    text = " ".join(first.output.split())
    assert "synthetic phantom cohort, not clinical evidence" in text
    assert "Report:" in text and "phantom-tiny" in text and "8 of 8 models finished" in text
    facts = json.loads((tmp_path / "out.json").read_text())
    assert {row["arm"] for row in facts["summary"]} == {"image", "tabular", "concat", "attention", "logistic"}
    again = invoke(tmp_path, "--ablation", "image")
    assert again.exit_code == 0 and "none is left to train. The report is up to date" in again.output
    assert "too small to compare anything" in " ".join(again.output.split())
    written = RUN.invoke(
        report.app,
        [f"{tmp_path}/results/phantom-tiny", "--reports", f"{tmp_path}/again", "--replicates", "200", "--no-figures"],
    )
    assert written.exit_code == 0 and (tmp_path / "again" / "phantom-tiny" / "report.md").exists()
    assert RUN.invoke(report.app, [f"{tmp_path}/results/nothing"]).exit_code == 2


def test_a_dry_run_plans_and_writes_nothing(tmp_path):
    done = invoke(tmp_path, "--dry-run", "--repeats", "2", "--json", f"{tmp_path}/plan.json")
    assert done.exit_code == 0, done.output
    assert "16 cells to train; at most about" in done.output
    assert not (tmp_path / "results" / "phantom-tiny").exists()
    assert len(json.loads((tmp_path / "plan.json").read_text())["cells"]) == 16


@pytest.mark.parametrize(
    ("seeds", "text"),
    [(3, "run over all images 4 times, in place of at most 6"), (1, "saves nothing here: .* at most 2")],
)
def test_a_plan_says_what_a_view_bank_saves(tiny, seeds, text):
    planned = tiny.plan("bank-plan", arms="image", sets=["train.view_bank=4", f"protocol.seeds={seeds}"])
    assert re.search(text, forecast._bank(planned.cells))


def test_weights_are_checked_before_any_image(tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "open_cohort", lambda *_, **__: pytest.fail("a cohort was opened"))
    done = invoke(tmp_path, "--dry-run", "--set", "model.weights=file:absent.pth")
    assert done.exit_code == 2 and "there is no file absent.pth" in " ".join(done.output.split())


def test_a_dry_run_says_first_what_needs_no_image(dry_run):
    text = " ".join(dry_run[0].split())
    first, later = text.index("before any image is opened"), text.index("Cohort flow")
    assert first < text.index("8 cells: 4 arms, 2 splits, 1 training seed") < later < text.index("8 cells to train")
    assert "weights of tf_efficientnet_lite0: installed" in text[first:later]


def test_the_command_of_the_audit_can_be_pasted(tmp_path):
    options = ["--limit-patients", "30", "--set", "train.lr=1e-4", "--set", "data.phantom.seed=8", "--seed", "3"]
    text = invoke(tmp_path, "--dry-run", *options).output
    (line,) = [line for line in text.splitlines() if line.startswith("With a look into the pixels: ")]
    command = shlex.split(line.partition(": ")[2])
    audit = importlib.import_module("study.audit")
    done = RUN.invoke(audit.app, [*command[3:], "--quick", "--out", str(tmp_path), "--reports", str(tmp_path)])
    assert done.exit_code in (0, 1) and "Audit of phantom" in " ".join(done.output.split()), done.output


@pytest.mark.parametrize("width", ["40", "80", "200"])
def test_a_plan_fits_a_terminal_of_any_width(tmp_path, width, dry_run):
    words = ["--data", "phantom", "--preset", "tiny", "--out", str(tmp_path), "--dry-run"]
    text = dry_run[0] if width == "80" else RUN.invoke(cv.app, words, env={"COLUMNS": width}).output
    assert "8 cells to train" in " ".join(text.split())
    tables = [line for line in text.splitlines() if line[:1] in "┏┃┡│└"]
    assert tables and max(map(len, tables)) <= int(width)


def test_the_seed_is_not_the_number_of_seeds(tmp_path, dry_run):
    done = invoke(tmp_path, "--dry-run", "--seed", "3", "--json", f"{tmp_path}/plan.json")
    assert done.exit_code == 0, done.output
    first, third = dry_run[1], json.loads((tmp_path / "plan.json").read_text())
    assert len(first["cells"]) == len(third["cells"]) == 8
    assert first["study"] == "phantom-tiny" and third["study"] == "phantom-tiny-seed-3"
    study = requests.cross_validation(cv.CrossValidate(data="phantom", seed=3)).study
    assert (study.protocol.first_seed, study.protocol.split_seed, study.protocol.seeds) == (
        3,
        3,
        load("demo").protocol.seeds,
    )


def test_the_help_explains_the_words(tmp_path):
    text = " ".join(RUN.invoke(cv.app, ["--help"]).output.split())
    for word in ("arm is", "fold is", "repeat divides", "seed is", "cell is"):
        assert text.count(word) == 1, word


def test_the_users_own_arm(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text('[arms.deep]\nquestion = "Do more blocks help?"\nset = { "model.fine_tuned_blocks" = 2 }\n')
    done = invoke(tmp_path, "--config", str(file), "--ablation", "concat,deep", "--dry-run")
    assert done.exit_code == 0 and "deep" in done.output and "4 cells to train" in done.output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--ablation", "concta"], "did you mean 'concat'"),
        (["--set", "train.lrr=1"], "did you mean 'train.lr'"),
        (["--set", "train.lr"], "key=value"),
        (["--preset", "tinny"], "did you mean 'tiny'"),
        (["--executor", "parallel"], "known: lockstep, sequential"),
        (["--outlines", "blur"], "data.outlines"),
        (["--config", "absent.toml"], "absent.toml: cannot be read"),
        (["--device", "cuda:7"], "not available here"),
        (["--folds", "40"], "use fewer folds"),
        (["--folds", "absent.json"], "absent.json: cannot be read"),
        (["--set", "arms.logistic.question=x"], "taken by the baseline"),
        (["--data", "nowhere"], "no such file or folder"),
        (["--set", 'arms.image.set={data.outlines = "keep"}'], "which all arms of a study have in common"),
        (["--set", "model.weights=file:absent.pth"], "there is no file"),
        (["--set", "search.trials=3"], "python -m study.search"),
        (
            ["--dry-run", "--json", "absent/plan.json"],
            "--json absent/plan.json: cannot be written (No such file or directory)",
        ),
    ],
)
def test_every_error_is_one_the_user_can_mend(tmp_path, arguments, text):
    done = invoke(tmp_path, *arguments)
    assert done.exit_code == 2, done.output
    assert text in " ".join(done.output.split()), done.output
    assert "Traceback" not in done.output


def test_unknown_flags_are_refused(tmp_path):
    done = invoke(tmp_path, "--ablations", "all")
    assert done.exit_code == 2 and "--ablation" in done.output


def test_an_interrupt_says_how_to_continue(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("study.training.run.execute", interrupted)
    done = invoke(tmp_path)
    assert done.exit_code == 130
    text = " ".join(done.output.split())
    assert "0 of 8 models are finished and kept; they begin with epoch 1. To continue: python -m study.cv" in text


def test_real_lists_run_without_images(real_data, tmp_path):
    done = invoke(
        tmp_path,
        "--ablation",
        "tabular",
        "--limit-patients",
        "120",
        "--set",
        "train.max_epochs=1",
        data=str(real_data / "mini_ddsm_v1_full_lists"),
    )
    assert done.exit_code == 0, done.output
    text = (tmp_path / "reports" / "mini-ddsm-v1-tiny-120-patients" / "supplement.md").read_text()
    assert "No image file was opened" in text and "synthetic" not in text


def test_real_images_run(real_v1, tmp_path):
    done = invoke(tmp_path, "--limit-patients", "24", "--set", "train.max_epochs=1", data=str(real_v1))
    assert done.exit_code == 0, done.output
    text = (tmp_path / "reports" / "mini-ddsm-v1-tiny-24-patients" / "supplement.md").read_text()
    assert "outlines of donor images" in text


def test_missing_images_are_counted_and_named(real_data, tmp_path):
    lists = real_data / "mini_ddsm_v1_full_lists"
    done = invoke(tmp_path, "--ablation", "image", "--limit-patients", "20", data=str(lists))
    assert done.exit_code == 2 and "listed images are missing" in " ".join(done.output.split())
