"""What the README tells people to type works as it says."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmbc import example
from study import cv, report, verify
from study import example as predictions

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
COMMANDS = {
    "mmbc.example": example.app,
    "study.cv": cv.app,
    "study.report": report.app,
    "study.verify": verify.app,
    "study.example": predictions.app,
}
RUN = CliRunner()


def chapter(title):
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def lines(block):
    """Return the commands of a block as arguments, continued lines joined and comments dropped."""
    joined = re.sub(r"\\\n\s*", " ", block)
    return [shlex.split(line, comments=True) for line in joined.splitlines() if line.strip()]


@pytest.mark.slow
def test_your_own_cohort(tmp_path, monkeypatch):
    text = chapter("Your own cohort")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    (study_file,) = blocks(text, "toml")
    name = re.match(r"# (\S+)", study_file)[1]
    Path(name).write_text(study_file)
    outputs = []
    for python, flag, module, *arguments in (line for block in blocks(text, "bash") for line in lines(block)):
        assert (python, flag) == ("python", "-m")
        draws = module in ("study.cv", "study.report")  # figures have tests of their own, and take most of the time
        done = RUN.invoke(COMMANDS[module], [*arguments, *(["--no-figures"] if draws else [])])
        assert done.exit_code == 0, done.output
        outputs.append(" ".join(done.output.split()))
    first, settled = outputs[1], outputs[2]
    assert "which labels are positive?" in first
    for column, reason in (("ExamDate", "a date"), ("Accession", "id-like"), ("Remarks", "free text")):
        assert f"{column} {reason}" in first
    assert "Nothing stands in the way of a run" in settled and "Density ordinal a " in settled
    assert "FamilyHistory categorical" in settled
    without = RUN.invoke(
        cv.app, [*lines(blocks(text, "bash")[1])[0][3:], "--set", "data.feature_kinds.Biopsy=categorical"]
    )
    assert "'Biopsy' (AUC 1.00 alone)" in " ".join(without.output.split())
    reports = {path.parent.name for path in Path("reports").glob("*/report.md")}
    assert reports == {"synthetic-tiny", "synthetic-tiny-by-site", "synthetic-tiny-test-part"}
    assert (
        "leaving out one value of site at a time (2 folds)"
        in Path("reports/synthetic-tiny-by-site/report.md").read_text()
    )
    assert (
        "on the locked test part where ExamDate >= '2024-01-01'"
        in Path("reports/synthetic-tiny-test-part/report.md").read_text()
    )


@pytest.mark.slow
def test_your_own_predictions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    (block,) = blocks(chapter("Your own predictions"), "bash")
    outputs = []
    for python, flag, module, *arguments in lines(block):
        assert (python, flag) == ("python", "-m")
        draws = module in ("study.cv", "study.report")  # figures have tests of their own, and take most of the time
        done = RUN.invoke(COMMANDS[module], [*arguments, *(["--no-figures"] if draws else [])])
        assert done.exit_code == 0, done.output
        outputs.append(" ".join(done.output.split()))
    assert "every number follows from its predictions" in outputs[2]
    text = Path("reports/synthetic/report.md").read_text()
    assert text.count("synthetic predictions, not clinical evidence") >= 2
    assert "fusion is better than" in text and "cnn" in text


def test_every_flag_is_documented():
    flags = {name for param in cv.app.registered_commands and cv_options() for name in param}
    missing = [flag for flag in sorted(flags) if flag not in README]
    assert not missing


def cv_options():
    from typer.main import get_command

    for param in get_command(cv.app).params:
        yield [option for option in param.opts if option.startswith("--") and option != "--help"]
