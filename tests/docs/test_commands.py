"""What README and documentation tell people to type works as they say."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from study import cv
from tests.docs.conftest import PAGES, ROOT, RUN, Reader, blocks, module_of, options_of

READABLE = [page for page in PAGES if any(block.runs for block in blocks(page))]
OTHERS = {"make", "pip", "source", "Rscript"}
"""Programs that a block which is not run may name."""


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return Reader(tmp_path_factory.mktemp("reader"))


@pytest.mark.slow
@pytest.mark.parametrize("page", [pytest.param(page, marks=pytest.mark.exhaustive) for page in READABLE])
def test_a_page_works_as_it_says(reader, page):
    reader.read(page)


def test_a_block_that_is_not_run_has_a_reason_and_known_options():
    targets = set(re.findall(r"(?m)^([\w-]+):", (ROOT / "Makefile").read_text()))
    for page in PAGES:
        for block in blocks(page):
            if block.kind == "not run":
                assert block.language == "bash" and len(block.comment) > 8, f"{page}: {block.comment!r}"
            for words in block.lines if block.language == "bash" else []:
                module, arguments = module_of(words)
                if module is None and words[:2] != ["mmbc", "--help"]:
                    assert words[0] in OTHERS and block.kind == "not run", f"{page}: {words}"
                    assert words[0] != "make" or set(words[1:]) <= targets, f"{page}: {words}"
                elif module:
                    unknown = {word for word in arguments if word.startswith("--")} - options_of(module)
                    assert not unknown, f"{page}: {words}"


def test_no_block_escapes_the_test():
    """Every fence is read as a block, and every language is one that the tests know."""
    for page, path in PAGES.items():
        fences = re.findall(r"(?m)^```", path.read_text(encoding="utf-8"))
        assert len(fences) == 2 * len(blocks(page)), page
        assert {block.language for block in blocks(page)} <= {"bash", "python", "toml", "text"}, page
        assert {block.kind for block in blocks(page)} <= {"", "not run", "continues", "file"}, page


def test_links_of_the_readme_lead_somewhere():
    for page in ("README.md", "CONTRIBUTING.md"):
        for link in re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text(encoding="utf-8")):
            assert link.startswith("https://") or (ROOT / link).exists(), f"{page}: {link}"


def test_the_readme_stays_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.exhaustive
@pytest.mark.slow
def test_your_own_cohort(reader, monkeypatch):
    outputs = reader.read("how-to/own-cohort.md")
    reader.read("how-to/leave-a-site-out.md")
    monkeypatch.chdir(reader.place("how-to/own-cohort.md"))
    first, settled = outputs[1], outputs[2]
    assert "which labels are positive?" in first
    for column, reason in (("ExamDate", "a date"), ("Accession", "id-like"), ("Remarks", "free text")):
        assert f"{column} {reason}" in first
    assert "Nothing stands in the way of a run" in settled and "Density ordinal a " in settled
    assert "FamilyHistory categorical" in settled
    arguments = ["--data", "hospital/synthetic.csv", "--config", "hospital.toml", "--describe"]
    without = RUN.invoke(cv.app, [*arguments, "--set", "data.feature_kinds.Biopsy=categorical"], env={"COLUMNS": "160"})
    assert "'Biopsy' (AUC 1.00 alone)" in " ".join(without.output.split())
    reports = {path.parent.name for path in Path("reports").glob("*/report.md")}
    assert reports == {"synthetic-tiny", "synthetic-tiny-by-site", "synthetic-tiny-test-part"}
    by_site = Path("reports/synthetic-tiny-by-site/report.md").read_text()
    assert "leaving out one value of site at a time (2 folds)" in by_site
    locked = Path("reports/synthetic-tiny-test-part/report.md").read_text()
    assert "on the locked test part where ExamDate >= '2024-01-01'" in locked


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", pytest.param("how-to/own-predictions.md", marks=pytest.mark.exhaustive)])
def test_your_own_predictions(reader, page):
    outputs = reader.read(page)
    assert "every number follows from its predictions" in outputs[-1]
    text = (reader.place(page) / "reports/synthetic/report.md").read_text()
    assert text.lower().count("synthetic predictions, not clinical evidence") >= 1
    assert "fusion had a higher AUC than clinical" in text and "fusion had a higher AUC than cnn" in text


@pytest.mark.exhaustive
@pytest.mark.slow
def test_five_shapes_of_predictions_and_one_beside_a_study(reader):
    """The shapes are made of one table, so the same model has the same AUC in each that has all folds."""
    reader.read("how-to/own-predictions.md")
    reports = reader.place("how-to/own-predictions.md") / "reports"
    names = {"long": "fusion", "wide": "fusion", "single": "model", "percent": "model"}
    values = {
        name: json.loads((reports / name / "numbers.json").read_text())[f"auc.{arm}"]["value"]
        for name, arm in names.items()
    }
    assert values["long"] == values["wide"] == values["single"] == pytest.approx(values["percent"], abs=0.005)
    assert "tested on one test part" in (reports / "test_set" / "report.md").read_text()
    assert "out-of-fold status not verified" in (reports / "trained-and-mine" / "report.md").read_text()


@pytest.mark.slow
def test_your_own_check_is_made(reader):
    reader.read("contributing/add-a-check.md")
    (page,) = (reader.place("contributing/add-a-check.md") / "reports").glob("*/audit.md")
    assert "very young patients" in page.read_text() and "The youngest patient is" in page.read_text()


def test_commands_of_the_repository_itself_are_named_in_full():
    """`python -m study` is the same as `mmbc`; both list the commands."""
    done = subprocess.run([sys.executable, "-m", "study", "--help"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and "cv" in done.stdout
