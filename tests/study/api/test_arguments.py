"""Arguments of `study.cross_validate` and its like: the checks of the commands, in the language of Python."""

import re

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import study
from mmbc.errors import CohortError, ConfigError, MmbcError, StudyError
from mmbc.toml import assignment
from study import report
from study.api.options import options_of, settings_of
from study.api.wording import in_python
from study.console.options import AuditOptions, CrossValidationOptions, SearchRunOptions
from study.imports.example_table import predictions


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"dry_run": True}, "dry_run is not an argument here: .*python -m study.cv .*--dry-run"),
        ({"describe": True}, "describe .*python -m study.cv --describe"),
        ({"reports": "r"}, r"reports .*study.evaluate\(...\).write\(folder"),
        ({"figures": False}, r"figures .*write\(folder"),
        ({"with_predictions": True}, r"with_predictions .*write\(folder"),
        ({"ablation": "tabular"}, "ablation .*say arms"),
        ({"set": {"train.lr": 1}}, "set .*say settings"),
        ({"config": "a.toml"}, "config .*say settings"),
        ({"limit_patients": "8"}, "limit_patients='8': write a whole number"),
        ({"limit_patients": 3}, "limit_patients=3: write a whole number, from 4 to"),
        ({"jobs": 0}, "^jobs='0': write auto, or a whole number from 1 to"),
        ({"seeds": "2"}, "seeds='2': write a whole number"),
        ({"seeds": True}, "seeds=True: write a whole number"),
        ({"seeds": 0}, r'settings={"protocol.seeds": 0}'),
        ({"force": "yes"}, "force='yes': write True or False"),
        ({"holdout": "a"}, "holdout='a': write a number"),
        ({"name": "a/b"}, "^name='a/b'"),
        ({"executor": "lockstp"}, "^executor='lockstp'"),
        ({"columns": ["label"]}, re.escape('columns={"label": "Outcome"}')),
    ],
)
def test_what_would_have_no_effect_or_cannot_be_is_refused(arguments, text, tmp_path):
    with pytest.raises(ConfigError, match=text):
        study.cross_validate("phantom", ["tabular"], preset="tiny", **{"out": tmp_path, **arguments})
    assert list(tmp_path.iterdir()) == []


def test_arguments_of_other_commands_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="study.audit --write-clean-list"):
        study.audit("phantom", write_clean_list="a.csv")
    with pytest.raises(ConfigError, match="study.search --dashboard"):
        study.search("phantom", dashboard=True)
    for function in (study.cross_validate, study.search, study.audit):
        with pytest.raises(ConfigError, match="data: .*not DataFrame; write a table to a file first"):
            function(pd.DataFrame({"a": [1]}))


@pytest.mark.parametrize("group", [AuditOptions, CrossValidationOptions, SearchRunOptions])
def test_nothing_given_is_every_default(group):
    assert options_of(group, {}) == group()


def test_values_are_taken_as_the_command_takes_them():
    asked = options_of(CrossValidationOptions, {"seeds": np.int64(2), "folds": 3, "positive": ["a", "b"], "out": "x"})
    assert (asked.seeds, asked.folds, asked.positive, str(asked.out)) == (2, "3", "a,b", "x")
    assert options_of(CrossValidationOptions, {"positive": 1, "holdout": 1 / 4}).positive == "1"


def test_settings_may_be_nested():
    nested = {"train": {"max_epochs": 1}, "data.columns": {"label": "Häufig"}, "train.lr": np.float32(0.5)}
    _, texts = settings_of(nested)
    assert [assignment(text) for text in texts] == [
        {"train": {"max_epochs": 1}},
        {"data": {"columns": {"label": "Häufig"}}},
        {"train": {"lr": 0.5}},
    ]
    for wrong in (None, object()):
        with pytest.raises(ConfigError, match="settings: train.lr: "):
            settings_of({"train.lr": wrong})


@pytest.fixture(scope="module")
def table():
    return predictions(40, {"clinical": 0.5, "fusion": 1.2})


@pytest.mark.parametrize("contrasts", ["fusion:clinical", ("fusion", "clinical"), [], [("fusion",)], [(1, 2)], 5])
def test_contrasts_are_pairs(table, contrasts):
    with pytest.raises(
        ConfigError, match=r"contrasts=.*write a list of pairs of arms, for example \[\(\"fusion"
    ) as error:
        study.evaluate(table, contrasts)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"n_replicates": "x"}, "n_replicates='x': write a whole number"),
        ({"n_replicates": 10}, "n_replicates=10: write a whole number, from 100 to 100000"),
        ({"seed": -1}, "seed=-1: write a whole number, at least 0"),
        ({"posive": "1"}, "no argument 'posive'.*positive"),
    ],
)
def test_an_evaluation_has_the_limits_of_the_command(table, arguments, text):
    with pytest.raises(ConfigError, match=text):
        study.evaluate(table, **arguments)


def test_what_cannot_be_evaluated_says_why(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="not dict"):
        study.evaluate({"a": 1})
    with pytest.raises(ConfigError, match="nope.csv: No such file"):
        study.evaluate(tmp_path / "nope.csv")
    with pytest.raises(StudyError, match="is not a study"):
        study.open(tmp_path)
    mixed = pd.DataFrame({"patient_id": [1, "a"]})
    with pytest.raises(CohortError, match="^the table: "):
        study.evaluate(mixed)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text("a\n1\n")
    done = CliRunner().invoke(report.app, ["mine.csv"])
    assert done.exit_code == 2 and "--predictions mine.csv" in done.output


def test_errors_about_a_frame_name_no_file_and_no_option(table):
    words = table.assign(label=table["label"].map({0: "no", 1: "yes"}), more=0)
    with pytest.raises(MmbcError) as caught:
        study.evaluate(words.drop(columns="prob"))
    assert ".parquet" not in str(caught.value) and "the table" in str(caught.value) and "--" not in str(caught.value)
    with pytest.raises(MmbcError) as caught:
        study.evaluate(words.replace({"label": {"yes": "maybe"}}))
    assert ".parquet" not in str(caught.value) and "--" not in str(caught.value)
    chosen = study.evaluate(words.replace({"label": {"yes": "maybe"}}), n_replicates=100, positive="maybe")
    plain = study.evaluate(table, n_replicates=100)
    pd.testing.assert_frame_equal(chosen.summary, plain.summary)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("Say --positive NAME; or --columns label=NAME.", 'Say positive="NAME"; or columns={"label": "NAME"}.'),
        ("--set train.lr=1e-4: no", 'settings={"train.lr": 0.0001}: no'),
        ("--set data.crop=brest: no", 'settings={"data.crop": "brest"}: no'),
        ("use another --name, or --force (kept)", "use another name, or force=True (kept)"),
        ("--ablation names no arm", "arms names no arm"),
        ("--folds 5, again", "folds=5, again"),
        ("python -m study.cv --dry-run", "python -m study.cv --dry-run"),
        ("--limit-patients 8 is", "limit_patients=8 is"),
    ],
)
def test_options_are_said_as_arguments(typed, said):
    assert in_python(typed) == said
