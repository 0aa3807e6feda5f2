"""Every option of every command with values that cannot be, and every setting: refused in a sentence, exit code 2.

The options are those that the commands' parsers have, so a new one is walked too. Values that are not refused have to
lead to a success on a call that trains nothing; long work is cut short where it would begin (`FarEnough`).
"""

import json
import re
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

from mmbc.config import known_keys
from mmbc.errors import MmbcError
from study import cv
from study.__main__ import COMMANDS
from study.design.study_file import Arm, Search, StudyFile, load

RUN = CliRunner(env={"COLUMNS": "200"})
MODULES = [*(f"study.{name}" for name in COMMANDS), "mmbc.example"]
CLI = {name: get_command(import_module(name).app) for name in MODULES}
HUGE = "1" + "0" * 30
LONG = "x" * 5000
WORDS = ["", LONG, "\U0001f600", "\x07", "a\0b", "=,:", "[{", "-1"]
NUMBERS = [HUGE, "1e300", "nan", "inf", "-inf", "-1", "", "\u0661x"]
"""Values that every number has to refuse."""


class FarEnough(MmbcError):
    """The place where the long work would begin."""


def _stop(*_, **__):
    raise FarEnough("far enough")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to stand in, with a table of predictions beside it; long work ends before it begins."""
    rng = np.random.default_rng(0)
    label = np.arange(60) % 2
    rows = pd.DataFrame({"patient_id": [f"P{n}" for n in range(60)], "label": label, "fold": np.arange(60) // 2 % 3})
    rows.assign(arm="cnn", prob=1 / (1 + np.exp(-label - rng.normal(size=60)))).to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken").symlink_to("nowhere/at/all")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("study.leaks.optimism.run", _stop)
    monkeypatch.setattr("study.benchmarks.material.open_material", _stop)
    monkeypatch.setattr("study.benchmarks.coverage.interval_coverage", _stop)
    monkeypatch.setattr("study.imports.imported_study.cohort_of", _stop)
    monkeypatch.setattr("study.cohort.inspection.describe", _stop)
    monkeypatch.setattr("mmbc.data.synthetic.hospital.write", _stop)
    monkeypatch.setattr("study.training.preparation.prepare", _stop)
    monkeypatch.setattr("study.checks.audit.audit", _stop)
    monkeypatch.setattr("study.tuning.dashboard.serve", _stop, raising=False)
    return tmp_path


def _call(name, place):
    """Return words of a call that is right, and those of its arguments."""
    cohort = ["--data", "phantom", "--preset", "tiny"]
    out, reports = ["--out", f"{place}/results"], ["--reports", f"{place}/reports"]
    return {
        "study.cv": ([*cohort, *out, *reports, "--describe"], []),
        "study.search": ([*cohort, *out, *reports, "--dry-run"], []),
        "study.audit": ([*cohort, *out, *reports, "--quick"], []),
        "study.ledger": ([*cohort, *out, *reports], []),
        "study.report": (["--predictions", f"{place}/t.csv", "--replicates", "100", *out, *reports], []),
        "study.verify": (["--results", f"{place}/results"], [f"{place}/reports/none"]),
        "study.compare": (reports, [f"{place}/results/a", f"{place}/results/b"]),
        "study.precision": (["--patients", "300", "--prevalence", "0.3", "--auc", "0.8"], []),
        "study.cache": (out, []),
        "study.clean": ([*out, *reports], ["none"]),
        "study.bench": ([*cohort, *out], []),
        "study.example": ([], [f"{place}/example.csv"]),
        "mmbc.example": ([], [f"{place}/hospital"]),
    }[name]


def _is_number(option):
    kinds = re.split(r"\W+", str(option.type_descriptor))
    return "int" in kinds or "float" in kinds


def _values(option, place):
    if _is_number(option):
        return NUMBERS
    paths = [f"{place}/{name}" for name in ("folder", "t.csv", "absent/file", "broken")]
    return (
        [*WORDS, *paths, "/proc/none", "x/" * 3000] if "Path" in str(option.type_descriptor) else [*WORDS, *paths[:2]]
    )


def _tried(name, place):
    """Yield (option, value, words) of every call."""
    words, arguments = _call(name, place)
    for option in CLI[name].params:
        if getattr(option, "is_flag", False) or option.name == "help":
            continue
        for value in _values(option, place):
            if option.param_type_name == "argument":
                yield option, value, [*words, "--", value, *arguments[1:]]
            else:
                yield option, value, [*words, f"{option.opts[0]}={value}", *arguments]


@pytest.mark.parametrize(
    "name", [pytest.param(m, marks=pytest.mark.exhaustive) if m == "study.audit" else m for m in MODULES]
)
def test_no_value_of_an_option_ends_in_a_traceback(name, place):
    wrong = []
    for option, value, words in _tried(name, place):
        done = RUN.invoke(import_module(name).app, words)
        told = " ".join(done.output.split())
        fine = done.exit_code in (0, 2) and "Traceback" not in told and "This is a fault of mmbc" not in told
        if _is_number(option):
            fine = fine and done.exit_code == 2 and "far enough" not in told
        if done.exit_code == 2:
            fine = fine and 20 < len(told) < 1500
        named = Path(value).parts[:1]
        left = [path.name for path in (place / "here").iterdir() if path.name not in named or not value]
        for path in (place / "here").iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if not fine or left:
            wrong.append(f"{option.opts[0]}={value[:30]!r}: {done.exit_code} {told[:300]} {left}")
    assert not wrong, "\n".join(wrong)


def _keys():
    optional = {"search": Search, "arms.concat": Arm}
    keys = [key for key in known_keys(StudyFile) if key not in ("search", "tuned", "audit", "arms", "preset")]
    return [*keys, *(f"{name}.{key}" for name, kind in optional.items() for key in known_keys(kind))]


TEXT = ["", LONG, "\U0001f600", "[", "a/../b"]
WRONG = [
    "1e300",
    HUGE,
    "-1e-300",
    "nan",
    "inf",
    "[]",
    "[[1]]",
    "{}",
    "{a = {b = 1}}",
    "true",
    "2020-01-01",
    '{"" = ""}',
]
WRONG += ['"\\u0000"', '["\\u001b[31m"]']


def _accepted(value):
    """Return the settings that take a value (TOML), having seen that the others refuse it by name."""
    taken = []
    for key in _keys():
        try:
            load("tiny", None, [f"{key}={value}"])
        except MmbcError as error:
            assert any(part in str(error) for part in key.split(".")[-2:]) and len(str(error)) < 12000, (key, error)
        else:
            taken.append(key)
    return taken


@pytest.mark.parametrize("value", WRONG)
def test_settings_refuse_what_is_no_value_of_theirs(value):
    taken = set(_accepted(value))
    text = set(_accepted('"a"')) if taken and value in (HUGE, "[]", "{}") else set()
    lists, tables = (
        set(_accepted('["a"]')) if text else set(),
        {"data.columns", "data.feature_kinds", "data.feature_names", "names"},
    )
    empty = {
        "model.tabular_hidden",
        "model.classifier_hidden",
        "protocol.contrasts",
        "protocol.subgroups",
        "audit.checks",
    }
    allowed = {
        HUGE: text & lists | {"data.sheet"},  # the name of a class or sheet may be a number
        "[]": lists | empty,
        "{}": tables | {"search.space", "arms.concat.set"},
        "{a = {b = 1}}": {"search.space"},
        "true": {key for key in taken if value == "true" and "bool" in str(_annotation(key))},
        '{"" = ""}': tables | {"search.space"},
    }
    assert taken <= allowed.get(value, set()), taken - allowed.get(value, set())


def _annotation(key):
    kind = StudyFile
    for part in key.removeprefix("search.").split("."):
        kind = (Search if key.startswith("search.") and kind is StudyFile else kind).model_fields[part].annotation
    return kind


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A table of twelve images of six patients."""
    folder = tmp_path_factory.mktemp("cohort")
    rows = [(f"i{n}.png", f"P{n // 2}", n // 2 % 2, 40 + n % 7) for n in range(24)]
    for name, *_ in rows:
        pixels = np.random.default_rng(len(rows)).integers(0, 255, (40, 40), dtype=np.uint8)
        pixels[0, 0] = int(name[1:-4])
        Image.fromarray(pixels).save(folder / name)
    pd.DataFrame(rows, columns=["image", "patient_id", "label", "age"]).to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


@pytest.mark.parametrize(
    "value", [*TEXT[:2], *(pytest.param(value, marks=pytest.mark.exhaustive) for value in TEXT[2:])]
)
def test_text_in_settings_ends_in_no_traceback(value, cohort, tmp_path):
    """What no check of settings can refuse: it has to be said when the cohort is read or the model is looked at."""
    where = ["--data", str(cohort), "--out", f"{tmp_path}/results", "--reports", f"{tmp_path}/reports"]
    for key in _accepted(json.dumps(value)):
        stop = "--dry-run" if key.startswith(("model.", "run.")) else "--describe"
        words = [*where, "--preset", "tiny", "--set", f"{key}={json.dumps(value)}", stop]
        done = RUN.invoke(cv.app, words)
        told = " ".join(done.output.split())
        assert done.exit_code in (0, 2) and "This is a fault of mmbc" not in told, (key, told[-600:])
        assert LONG not in told, key


TOML = {
    "byte order mark": ("\ufeff[data]\nimage_name = 'films'\n".encode(), ""),
    "two bytes a letter": ("[data]\n".encode("utf-16"), "is not UTF-8 text (byte 0); save it as UTF-8"),
    "Windows": ("# R\u00f6ntgen\n".encode("cp1252"), "is not UTF-8 text (byte 3); save it as UTF-8"),
    "a section that is a number": (b"data = 3\n", "data: "),
    "too deep": (b"a = " + b"[" * 3000 + b"]" * 3000, "is not valid TOML"),
}


@pytest.mark.parametrize("kind", TOML)
def test_study_files_as_editors_save_them(place, kind):
    content, says = TOML[kind]
    (place / "s.toml").write_bytes(content)
    for command in ("study.cv", "study.report"):
        done = RUN.invoke(import_module(command).app, [*_call(command, place)[0], "--config", f"{place}/s.toml"])
        assert done.exit_code == 2 and (says or "far enough") in done.output, done.output
