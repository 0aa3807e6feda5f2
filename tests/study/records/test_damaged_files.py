"""Files of another shape: whatever stands in a file of a study, a command ends with a sentence, never a traceback."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from study import audit, compare, cv, report, search, verify

RUN = CliRunner(env={"COLUMNS": "200"})
TRAIN = ["--data", "phantom", "--preset", "tiny", "--ablation", "tabular", "--no-figures", "--set", "run.threads=1"]
SEARCH = [*TRAIN, "--set", "train.max_epochs=2", "--trials", "2", "--wave", "2", "--inner-folds", "2", "--no-best-toml"]
SHAPES = ["[]", "{}", "3", '"x"', "NaN", "", '[{"a": 1}]', "[" * 100_000]
VALUES = [[], {}, None, -1, 1e300, "x", [[]], True]
SAMPLE = 10
OTHER_TABLE = pd.DataFrame({"a": [1, 2]})


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Folders of a finished study, of another one, of a search and of imported predictions, each with its report."""
    root = tmp_path_factory.mktemp("damaged")
    where = ["--out", f"{root}/results", "--reports", f"{root}/reports"]
    label = np.arange(60) % 2
    rows = pd.DataFrame({"patient_id": [f"P{n}" for n in range(60)], "label": label, "fold": np.arange(60) // 2 % 3})
    rows["prob"] = 1 / (1 + np.exp(-label - np.random.default_rng(0).normal(size=60)))
    rows = pd.concat([rows.assign(arm="cnn"), rows.assign(arm="fusion", prob=rows["prob"] ** 2)])
    rows.to_csv(root / "t.csv", index=False)
    for app, words in (
        (cv.app, [*TRAIN, "--name", "one"]),
        (search.app, [*SEARCH, "--name", "searched"]),
        (report.app, ["--predictions", f"{root}/t.csv", "--no-figures", "--replicates", "100", "--name", "imported"]),
    ):
        done = RUN.invoke(app, [*words, *where])
        assert done.exit_code == 0, done.output
    shutil.copytree(root / "results" / "one", root / "results" / "two")
    return root


def commands(root: Path, name: str):
    """Return what reads a study, or goes on with it."""
    where = ["--reports", f"{root}/again"]
    study = f"{root}/results/{name}"
    yield report.app, [study, *where, "--no-figures", "--replicates", "100"]
    yield verify.app, [f"{root}/reports/{name}", "--results", f"{root}/results"]
    yield audit.app, ["--study", study, *where]
    if name == "one":
        yield compare.app, [f"{root}/results/two", study, *where, "--replicates", "100"]
        yield cv.app, [*TRAIN, "--name", name, "--out", f"{root}/results", *where, "--dry-run"]
    if name == "searched":
        yield search.app, [*SEARCH, "--name", name, "--out", f"{root}/results", *where, "--dry-run"]


def said(root, name, file, content, *, only=None):
    """Write other bytes to a file, run every command or the first that read it, and return what each says, checked."""
    first = 1 if file.name == "pack.json" else 0  # which verify reads, and report does not
    kept, texts = file.read_bytes(), []
    file.write_bytes(content)
    try:
        for app, words in list(commands(root, name))[first:][:only]:
            done = RUN.invoke(app, words)
            assert done.exit_code in (0, 1, 2), (file, content[:200], words, done.output)
            assert "fault of mmbc" not in done.output, (file, content[:300], words[:2], done.output)
            assert done.exception is None or isinstance(done.exception, SystemExit)
            texts.append((done.exit_code, done.output))
    finally:
        file.write_bytes(kept)
    return texts


def files(root, name):
    """Return the files of a study that somebody may damage."""
    folder = root / "results" / name
    kinds = (".json", ".toml", ".parquet", ".csv")
    found = [path for path in sorted(folder.rglob("*")) if path.suffix in kinds and "cells" not in path.parts]
    return [*found, *sorted(folder.glob("cells/*/record.json"))[:2], root / "reports" / name / "pack.json"]


def changed(value, key, new):
    """Return plain JSON with another value at a place."""
    if not key:
        return new
    copy = list(value) if isinstance(value, list) else dict(value)
    copy[key[0]] = changed(value[key[0]], key[1:], new)
    return copy


def keys_of(value, depth=4):
    """Yield places in plain JSON, of lists the first entry alone."""
    if depth and isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else list(enumerate(value))[:1]
        for key, below in items:
            yield (key,)
            for rest in keys_of(below, depth - 1):
                yield (key, *rest)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("name", ["one", "searched", "imported"])
def test_a_file_of_another_shape_is_called_damaged(places, name):
    for file in files(places, name):
        for shape in SHAPES if file.suffix == ".json" else SHAPES[:4]:
            texts = said(places, name, file, shape.encode(), only=None if shape == "[]" else 1)
            if file.name not in ("pack.json", "importances.csv"):
                code, text = texts[0]
                named = file.name in text or (file.name, shape) == ("chosen.json", "[]")  # no winner so far
                assert code == 2 and named and len(text.splitlines()) <= 3, (file, shape, text)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("name", ["one", "searched", "imported"])
def test_a_table_of_other_columns_is_called_damaged(places, name, tmp_path):
    for file in files(places, name):
        if file.suffix not in (".parquet", ".csv"):
            continue
        frame = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
        tables = [
            OTHER_TABLE,
            frame.iloc[:0],
            frame.iloc[:1],
            frame.astype(str),
            *(frame.drop(columns=c) for c in frame),
        ]
        for table in tables:
            other = tmp_path / file.name
            table.to_parquet(other) if file.suffix == ".parquet" else table.to_csv(other, index=False)
            said(places, name, file, other.read_bytes(), only=1)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("name", ["one", "searched", "imported"])
def test_a_wrong_value_anywhere_ends_in_a_sentence(places, name):
    """A random place and value of each file in turn, the same every time."""
    rng = np.random.default_rng(0)
    damaged = [file for file in files(places, name) if file.suffix == ".json"]
    for number in range(SAMPLE):
        file = damaged[number % len(damaged)]
        whole = json.loads(file.read_text())
        keys = list(keys_of(whole))
        key, value = keys[rng.integers(len(keys))], VALUES[rng.integers(len(VALUES))]
        said(places, name, file, json.dumps(changed(whole, key, value)).encode(), only=1)
