"""What `import study` offers to notebooks."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import study
from mmbc.errors import ConfigError
from study import report
from study.api.results import Result
from study.imports.example_table import predictions
from tests.docs.conftest import DOCS, ROOT, RUN, blocks


def in_a_new_interpreter(code):
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_loads_nothing_heavy():
    heavy = "{'numpy', 'pandas', 'torch', 'pydantic', 'rich', 'typer', 'matplotlib', 'optuna'}"
    in_a_new_interpreter(f"import sys, study; assert not {heavy} & set(sys.modules), sorted(sys.modules)")


def test_reading_results_loads_no_torch():
    in_a_new_interpreter("import sys, study; study.open, study.evaluate; assert 'torch' not in sys.modules")


@pytest.mark.parametrize("name", ["audit", pytest.param("search", marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("first", ["pass", "import study.{0}", "from study import {0}", "study.{0}"])
def test_a_command_that_was_imported_can_still_be_called(name, first):
    code = f"import study\n{first.format(name)}\nassert callable(study.{name}) and study.{name}.app\n"
    in_a_new_interpreter(code + f"import inspect; assert 'data' in inspect.signature(study.{name}).parameters")


def test_everything_offered_is_there():
    assert {"Any", "CALLABLE_COMMANDS", "HOMES", "import_module"}.isdisjoint(dir(study))
    for name in study.__all__:
        assert callable(getattr(study, name)) and name in dir(study)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        study.nothing  # noqa: B018


@pytest.fixture(scope="module")
def table():
    return predictions(60, {"clinical": 0.5, "fusion": 1.2})


@pytest.fixture(scope="module")
def result(table):
    return study.evaluate(table, contrasts=[("fusion", "clinical")], n_replicates=200, notice="made up")


def test_a_frame_gives_the_numbers_of_the_command(table, result, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table.to_csv("mine.csv", index=False)
    words = ["--predictions", "mine.csv", "--contrasts", "fusion:clinical", "--replicates", "200", "--no-figures"]
    done = RUN.invoke(report.app, [*words, "--json", "facts.json"])
    assert done.exit_code == 0, done.output
    facts = json.loads(Path("facts.json").read_text())
    assert result.summary["value"].tolist() == pytest.approx([line["value"] for line in facts["summary"]], nan_ok=True)
    (line,) = facts["comparisons"]
    assert result.contrasts["difference"].tolist() == pytest.approx([line["difference"]])
    assert result.verdicts["sentence"].tolist() == [line["sentence"]]
    from_file = study.evaluate("mine.csv", contrasts=[("fusion", "clinical")], n_replicates=200)
    pd.testing.assert_frame_equal(from_file.summary, result.summary)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] != [], "the command keeps its study"


def test_a_frame_leaves_nothing_behind(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study.evaluate(table, n_replicates=100)
    assert list(tmp_path.iterdir()) == []
    study.evaluate(table, n_replicates=100, out=tmp_path, name="kept")
    assert study.open(tmp_path / "kept").arms == ["clinical", "fusion", "logistic"]


@pytest.mark.parametrize("name", ["report", "verify", "compare", "precision", "ledger"])
def test_a_command_that_is_no_function_says_how_it_is_run(name):
    code = f"import study\ntry:\n    study.{name}\nexcept AttributeError as error:\n    print(error)"
    assert f"python -m study.{name}" in in_a_new_interpreter(code)
    in_a_new_interpreter(f"import study\nfrom study import {name}\nassert study.{name}.app")


def test_a_result_shows_its_answer(result, tmp_path):
    assert repr(result).count("AUC of ") == 3 and "too small" not in repr(result)
    assert {"e1_low", "e1_high", "e1_p_holm"} <= set(result.verdicts)
    alone = study.evaluate(predictions(48, {"cnn": 1.0}), n_replicates=100)
    assert "AUC of cnn 0." in repr(alone) and "too small to compare anything" in repr(alone)
    html = result._repr_html_()
    assert "<table>" in html and "made up" in html.lower() and "fusion" in html and "<script" not in html
    assert "fusion" in repr(result) and {"calibration_slope", "brier"} <= set(result.calibration["metric"])
    assert (result.calibration["level"] == "patient").all()
    assert result.figure("contrasts").axes
    with pytest.raises(ConfigError, match="contrasts"):
        result.figure("contrast")
    with pytest.raises(ConfigError, match="nature"):
        result.figure(journal="natur")
    written = result.write(tmp_path / "r", figures=False)
    assert written == tmp_path / "r" / "report.md" and "made up" in written.read_text().lower()


def test_a_study_trained_from_python_is_that_of_the_command(tiny, tmp_path):
    planned = tiny.run("by-command", arms="tabular,concat", audited=True)
    run = study.cross_validate(
        "phantom", ["tabular", "concat"], preset="tiny", name="by-call", out=tmp_path, progress=False
    )
    assert run.arms == ["tabular", "concat", "logistic"] and len(run.history)
    for cell in run.cells:
        file = Path("cells") / cell.name / "predictions.parquet"
        assert (run.folder / file).read_bytes() == (planned.folder / file).read_bytes()
    assert run.stored.environment.command[0].startswith("study.cross_validate('phantom', arms=['tabular', 'concat']")
    assert (run.folder / "audit.json").read_bytes() == (planned.folder / "audit.json").read_bytes()
    cell = next(cell for cell in run.cells if cell.arm == "tabular")
    prob = cell.load()(clinical={"age": 60, "density": 2})
    assert 0 < prob < 1 and "record" not in repr(cell)
    again = study.cross_validate(
        "phantom", ["tabular", "concat"], preset="tiny", name="by-call", out=tmp_path, progress=False
    )
    pd.testing.assert_frame_equal(again.predictions, run.predictions)
    assert isinstance(again.evaluate([("concat", "tabular")], n_replicates=100), Result)
    with pytest.raises(ConfigError, match="no finished arm 'image'"):
        again.evaluate([("concat", "image")])
    with pytest.raises(ConfigError, match="^notice: for a table of predictions alone; a study has its own"):
        study.evaluate(again, notice="x")
    audited = study.audit(study=str(run.folder), out=tmp_path)
    assert len(audited.findings) and repr(study.audit(study=run, out=tmp_path)) == repr(audited)
    with pytest.raises(ConfigError, match="^settings: with study the settings are the study's"):
        study.audit(study=run, settings={"train.lr": 1.0})


def test_what_there_is_not_is_refused():
    with pytest.raises(ConfigError, match="no argument 'repeat'.*repeats"):
        study.cross_validate("phantom", repeat=2)
    with pytest.raises(ConfigError, match="train.lr"):
        study.cross_validate("phantom", settings={"train.learning": 1}, preset="tiny")
    with pytest.raises(ConfigError, match="settings: a study file or a mapping"):
        study.cross_validate("phantom", settings=["train.lr=1"])


def test_an_audit(tmp_path):
    audit = study.audit("phantom", preset="tiny", quick=True, out=tmp_path)
    assert list(audit.findings) == ["code", "status", "evidence", "handled"] and "A01" in set(audit.findings["code"])
    assert audit.passed == (not (audit.findings["status"] == "FAILED").any())
    assert "A01" in audit._repr_html_() and "<table>" in audit._repr_html_()
    assert audit.write(tmp_path).read_text().startswith("#")
    with pytest.raises(ConfigError, match="B99"):
        study.audit("phantom", preset="tiny", quick=True, ignore=["B99"], out=tmp_path)


def test_the_notebook_has_the_cells_of_its_page():
    notebook = json.loads((DOCS / "how-to" / "notebook.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert cells == [block.text.rstrip("\n") for block in blocks("how-to/notebook.md") if block.language == "python"]
    assert all(not cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert re.fullmatch(r"4\.\d", f"{notebook['nbformat']}.{notebook['nbformat_minor']}")
