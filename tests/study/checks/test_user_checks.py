"""Checks of the user's own: found in the files a study file names, refused where they cannot be, and harmless."""

import json
from dataclasses import replace

import pandas as pd
import pytest
from typer.testing import CliRunner

from mmbc.config import to_toml
from mmbc.errors import ConfigError
from study import cv
from study.audit import app
from study.checks import page
from study.checks.findings import findings_of
from study.checks.registry import CHECKS, ignored_codes
from study.checks.user_checks import checks_of, read_checks
from study.design.study_file import load
from study.records.finding import FAILED, NOT_CHECKED, PASSED, WARNING, read_findings, write_findings
from study.records.stored_study import load_study, write_archive
from study.records.study_folder import continued
from study.reporting.tables.audit import audit_table
from tests.study.checks.conftest import subject_of

WORDS = 'question="Is anyone too young?", meaning="A typing error.", remedy="Look them up."'
HEAD = "from study.checks.check import Check, check, failed, not_checked, passed, warning\n\n"
YOUNG = f"""
@check("X01", "implausible ages", needs=["clinical columns"], {WORDS})
def ages(subject):
    young = subject.images[subject.images["age"] < 18]
    if young.empty:
        return passed("Nobody is younger than 18.")
    return failed(f"{{len(young)}} images are of children.", rows=[{{"image": name}} for name in young["image_id"]])
"""


def defined(code: str, body: str, **arguments: object) -> str:
    """The source of a check whose function has this body."""
    more = "".join(f", {name}={value!r}" for name, value in arguments.items())
    return f'\n@check("{code}", "a check", {WORDS}{more})\ndef look_{code}(subject):\n    {body}\n'


@pytest.fixture
def files(tmp_path):
    """Writes a file of checks, and a study file beside it that names all of them."""

    def write(**sources):
        for name, source in sources.items():
            (tmp_path / f"{name}.py").write_text(HEAD + source)
        names = [f"{name}.py" for name in sources]
        (tmp_path / "study.toml").write_text(f"[audit]\nchecks = {json.dumps(names if len(names) > 1 else names[0])}\n")
        return load("tiny", tmp_path / "study.toml")

    return write


def findings(study, subject):
    own = [one for one in checks_of(study) if one.file is not None]
    return {finding.code: finding for finding in findings_of(subject, own)}


def test_checks_are_run_with_the_others_and_described_wherever_they_are_shown(files, listing, tmp_path):
    study = files(mine=YOUNG, more=defined("X10", "return warning('Hm.', 'looked into')"))
    images = listing.images.copy()
    images.loc[:2, "age"] = 7.0
    shown = findings(study, subject_of(replace(listing, images=images)))
    assert (shown["X01"].status, shown["X01"].evidence, len(shown["X01"].rows)) == (
        FAILED,
        "3 images are of children.",
        3,
    )
    assert (shown["X10"].status, shown["X10"].handled) == (WARNING, "looked into")
    assert findings(study, subject_of(listing))["X01"].status == PASSED
    text = page.to_markdown("x", list(shown.values()))
    assert "## Own checks\n\n### X01 implausible ages: FAILED" in text and "- what to do: Look them up." in text
    write_findings(tmp_path, list(shown.values()))
    again = read_findings(tmp_path)
    assert again == tuple(shown.values())
    assert again[0].check.title == "implausible ages" and again[0].check.group == "own checks"


def test_what_a_check_needs_decides_whether_it_looks(files, subject):
    needs = {"X02": ["folds"], "X03": ["study"], "X04": ["clinical columns"], "X05": ["files"]}
    study = files(mine="".join(defined(code, "1 / 0", needs=need) for code, need in needs.items()))
    lacking = replace(subject, folds=None, split_error="too few", features=(), facts=None)
    shown = findings(study, lacking)
    assert {code: finding.evidence for code, finding in shown.items()} == {
        "X02": "The cohort cannot be split: too few",
        "X04": "The cohort has no clinical column.",
        "X05": "no image was opened: no arm uses images",
    }
    assert {finding.status for finding in shown.values()} == {NOT_CHECKED}


FAULTS = {
    "raise KeyError('bmi')": "KeyError: 'bmi', line ",
    "import sys; sys.exit('enough')": "SystemExit: enough, line ",
    "return None": "TypeError: returned None; return passed('...')",
    "return passed(3)": "TypeError: returned Outcome(status='PASSED', evidence=3",
    "return passed('x', rows=[1])": "TypeError",
    "return failed('x')": "ValueError: returned failed('...'), but its severity is WARNING",
}


@pytest.mark.parametrize("body", FAULTS)
def test_a_fault_of_a_check_stops_nothing(files, subject, tmp_path, body):
    study = files(mine=YOUNG + defined("X02", body, severity="WARNING"))
    shown = findings(study, subject)
    assert shown["X01"].status == PASSED
    assert shown["X02"].status == NOT_CHECKED
    assert f"{tmp_path / 'mine.py'}, X02: {FAULTS[body]}" in shown["X02"].evidence
    assert shown["X02"].evidence.endswith("Correct the check, or take the file out of `audit.checks`.")


def test_a_check_cannot_change_what_others_see(files, subject):
    body = "subject.images['age'] = 1.0; subject.facts['error'] = 'x'; return passed('Done.')"
    study = files(mine=defined("X01", body) + YOUNG.replace("X01", "X02"))
    before = subject.images.copy(), subject.facts.copy()
    shown = findings(study, subject)
    assert {shown["X01"].status, shown["X02"].status} == {PASSED}
    pd.testing.assert_frame_equal(subject.images, before[0])
    pd.testing.assert_frame_equal(subject.facts, before[1])


REFUSED = {
    defined("A33", "return passed('')"): "mine.py, check A33 a check: codes A.. are the program's; use X01",
    defined("A01", "return passed('')"): "codes A.. are the program's",
    defined("x1", "return passed('')"): "mine.py: check 'x1': a code is one to three capital letters",
    defined("X01", "return passed('')", needs=["pixel"]): "check X01: needs 'pixel'; did you mean 'pixels'?",
    defined("X01", "return passed('')", severity="BAD"): "check X01: severity is 'BAD'; WARNING or FAILED",
    defined("X01", "return passed('')", group=""): "check X01: group is ''; say it in words",
    defined("X01", "") + "def": "cannot be executed (",
    "import nothing_of_this_name": "cannot be executed (ModuleNotFoundError: No module named",
    "def ages(subject):\n    return passed('x')": "mine.py: defines no check; decorate a function with @check(...)",
    "from study.checks.files import absent": "defines no check",
    YOUNG + YOUNG.replace("def ages", "def again"): "mine.py: check X01: is defined twice",
}


@pytest.mark.parametrize(("source", "told"), REFUSED.items())
def test_a_file_of_checks_that_cannot_be_is_refused_with_the_reason(files, source, told):
    with pytest.raises(ConfigError) as error:
        checks_of(files(mine=source))
    assert told in str(error.value) and "mine.py" in str(error.value)


def test_two_files_may_not_share_a_code_and_a_file_must_be_there(files, tmp_path):
    with pytest.raises(
        ConfigError, match=r"more.py, check X01 implausible ages: .*mine.py has a check of this code too"
    ):
        checks_of(files(mine=YOUNG, more=YOUNG))
    with pytest.raises(ConfigError, match=r"gone.py: there is no such file of checks; `audit.checks` is relative to"):
        checks_of(load("tiny", None, [f"audit.checks={tmp_path / 'gone.py'}"]))


def test_without_the_setting_settings_are_the_same_bytes(files):
    assert "audit" not in to_toml(load("tiny"))
    assert checks_of(load("tiny")) == CHECKS
    study = files(mine=YOUNG)
    assert to_toml(study).replace(to_toml(load("tiny")).rstrip(), "").strip().startswith("[audit]")


def test_checks_are_no_other_study(files, finished_study, tmp_path):
    """A study is continued with other checks, or without; its archive names no file."""
    settings = finished_study.study
    asked = settings.model_copy(update={"audit": files(mine=YOUNG).audit})
    assert continued(finished_study.folder, asked).audit == asked.audit
    stored = replace(load_study(finished_study.folder), settings=asked)
    write_archive(stored, tmp_path / "archive")
    assert "mine.py" not in (tmp_path / "archive" / "study.toml").read_text()


def test_built_in_checks_say_what_they_need_and_how_bad_they_are():
    for one in CHECKS:
        assert one.fast != ("pixels" in one.needs)
        assert one.needs and one.file is None
    assert {one.severity for one in CHECKS} == {WARNING, FAILED}


SMALL = ["--data", "phantom", "--set", "data.phantom.n_patients=60", "--set", "data.phantom.height=48", "--quick"]


def audit(tmp_path, *arguments):
    places = ["--out", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]
    return CliRunner().invoke(app, [*SMALL, "--config", str(tmp_path / "study.toml"), *arguments, *places])


def test_the_command_makes_them_ignores_them_and_writes_them(files, tmp_path):
    files(mine=YOUNG.replace("< 18", "< 200") + defined("X02", "1 / 0") + defined("X03", "1 / 0", needs=["pixels"]))
    done = audit(tmp_path, "--json", str(tmp_path / "facts.json"), "--name", "a")
    assert done.exit_code == 1, done.output
    facts = json.loads((tmp_path / "facts.json").read_text())
    own = {finding["code"]: finding for finding in facts["findings"] if finding["code"].startswith("X")}
    assert set(own) == {"X01", "X02"} and facts["failed"] == ["X01"]
    assert own["X01"]["check"]["title"] == "implausible ages" and own["X02"]["status"] == NOT_CHECKED
    assert "X03 (they look into pixels)" in facts["read"]["Not made"]
    written = (tmp_path / "reports" / "a-audit" / "audit.md").read_text()
    assert "### X01 implausible ages: FAILED" in written
    assert "implausible ages" in done.output
    done = audit(tmp_path, "--ignore", "x01", "--name", "a")
    assert done.exit_code == 0 and "1 failed but ignored (X01)" in " ".join(done.output.split())
    done = audit(tmp_path, "--ignore", "X09")
    assert done.exit_code == 2 and "there is no such check" in done.output


@pytest.mark.parametrize("command", [app, cv.app], ids=["audit", "cv"])
def test_commands_refuse_a_bad_file_before_any_work(files, tmp_path, command):
    files(mine=defined("A01", "return passed('')"))
    options = ["--data", "phantom", "--config", str(tmp_path / "study.toml"), "--out", str(tmp_path / "results")]
    done = CliRunner().invoke(command, options)
    assert done.exit_code == 2 and "codes A.. are the program's" in " ".join(done.output.split())
    assert not (tmp_path / "results").exists()


def test_a_study_makes_them_at_its_start_and_reports_show_them(files, tiny, tmp_path):
    study = files(mine=YOUNG + defined("X02", "raise ValueError('no')") + defined("X03", "1 / 0", fast=False))
    checks = f"audit.checks={json.dumps(list(study.audit.checks))}"
    planned = tiny.run("checked", arms="tabular", sets=[checks], audited=True)
    stored = load_study(planned.folder)
    shown = {finding.code: finding for finding in stored.findings}
    assert shown["X01"].status == PASSED and shown["X02"].status == NOT_CHECKED and "X03" not in shown
    table = audit_table(stored)
    assert "X01 implausible ages" in table.shown["Check"].tolist()
    (tmp_path / "mine.py").unlink()
    done = CliRunner().invoke(app, ["--study", str(planned.folder), "--reports", str(tmp_path), "--ignore", "X01"])
    output = " ".join(done.output.split())
    assert "The study's own checks were not made" in output and "no such file of checks" in output
    assert "X01" in output and done.exit_code == 0, output


def test_codes_to_ignore_are_those_of_checks():
    assert ignored_codes([" a13", "X01"], ["A13", "X01"]) == ("A13", "X01")
    with pytest.raises(ConfigError, match="--ignore A99"):
        ignored_codes(["A99"], ["A13"])


def test_the_files_own_checks_alone_are_its(tmp_path):
    (tmp_path / "mine.py").write_text(HEAD + "from study.checks.files import absent\n" + YOUNG)
    assert [one.code for one in read_checks(tmp_path / "mine.py")] == ["X01"]
