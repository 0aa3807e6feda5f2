import dataclasses
import json
import math
import re
import shutil
import subprocess

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.evaluation.evaluation import Evaluation, evaluate
from study.reporting.methods.macros import command, escape, macros, names
from study.reporting.numbers import OTHER_LEVELS, key, numbers, numbers_json, pair
from study.text.format import interval


@pytest.fixture(scope="module")
def evaluated(finished_study):
    """The finished study with a declared prevalence."""
    from study.records.stored_study import load_study

    stored = load_study(finished_study.folder)
    protocol = stored.settings.protocol.model_copy(update={"prevalence": 0.05})
    stored = dataclasses.replace(stored, settings=stored.settings.model_copy(update={"protocol": protocol}))
    return stored, evaluate(stored, n_replicates=100)


def test_estimates_are_those_of_the_summary(evaluated):
    found, summary = numbers(*evaluated), evaluated[1].summary
    for row in summary.to_dict("records"):
        if row["level"] != "patient" and row["metric"] not in OTHER_LEVELS:
            continue
        metric = "auc" if row["metric"] == "roc_auc" else row["metric"]
        where = () if row["level"] == "patient" else (row["level"],)
        entry = found[key(metric, row["arm"], *where)]
        for field in ("value", "low", "high", "method", "estimand", "level", "n_patients", "n_images"):
            assert entry[field] == row[field] or math.isnan(row[field])
        assert entry["text"] == interval(row["metric"], row["value"], row["low"], row["high"])


def test_counts_by_hand(evaluated):
    stored, _ = evaluated
    found, images = numbers(*evaluated), stored.cohort.images
    assert found["n.patients"]["value"] == images["patient_id"].nunique()
    assert found["n.positive"]["value"] == images.loc[images["label"] == 1, "patient_id"].nunique()
    assert found["n.positive"]["value"] + found["n.negative"]["value"] == found["n.patients"]["value"]
    tests = [fold.test for fold in stored.folds.folds]
    assert found["n.smallest-test"]["value"] == min(map(len, tests))
    assert (found["n.folds"]["value"], found["n.repeats"]["value"], found["n.seeds"]["value"]) == (2, 2, 1)
    assert found["n.models"]["value"] == 4 * 2 * 2
    assert found["notice"]["text"] == stored.cohort.notice


def test_contrasts_probabilities_and_net_benefit_are_there(evaluated):
    evaluation = evaluated[1]
    found = numbers(*evaluated)
    row = evaluation.comparisons.set_index(["first", "second"]).loc[("concat", "tabular")]
    entry = found["contrast.concat-tabular.difference"]
    assert (entry["value"], entry["low"], entry["high"]) == (row["difference"], row["e1_low"], row["e1_high"])
    assert found["contrast.concat-tabular.e2"]["low"] == row["e2_low"]
    assert found["contrast.concat-tabular.e2_90"]["high"] == row["e2_high_90"]
    assert found["contrast.concat-tabular.verdict"]["text"] == "not assessed"
    three = [found[f"contrast.concat-tabular.p_{side}"]["value"] for side in ("worse", "equivalent", "better")]
    assert sum(three) == pytest.approx(1)
    assert {name for name in found if name.startswith("net_benefit.concat")} == {
        f"net_benefit.concat.{times}" for times in ("half", "equal", "twice", "fivefold")
    }
    assert found["prevalence"]["text"] == "5 %" and found["auc.concat.e2"]["estimand"] == "E2"
    assert found["auc.concat.against.Benign"]["value"] > 0


def test_suppressed_subgroups_are_not_given(evaluated):
    stored, evaluation = evaluated
    rows = evaluation.subgroups
    shown = numbers(stored, evaluation)
    for row in rows.to_dict("records"):
        there = key("subgroup", row["column"], row["group"], "auc", row["arm"]) in shown
        assert there == (not row["suppressed"])
    assert rows["suppressed"].any()


def test_json_has_null_for_nan_and_is_stable(evaluated):
    stored, evaluation = evaluated
    summary = evaluation.summary.assign(low=math.nan, high=math.nan)
    text = numbers_json(numbers(stored, dataclasses.replace(evaluation, summary=summary)))
    read = json.loads(text)
    assert read["auc.concat"]["low"] is None and "NaN" not in text and list(read) == sorted(read)
    assert text == numbers_json(numbers(stored, dataclasses.replace(evaluation, summary=summary)))
    value = evaluation.summary.query("arm == 'concat' and metric == 'roc_auc' and level == 'patient'")["value"].item()
    assert read["auc.concat"]["value"] == value, "full precision"


def test_an_unfinished_study_has_its_counts(evaluated):
    stored = dataclasses.replace(evaluated[0], records={}, predictions=evaluated[0].predictions.iloc[:0])
    found = numbers(stored, Evaluation())
    assert found["n.models"]["value"] == 0 and not any(name.startswith("auc.") for name in found)
    assert "\\NPatients" in macros(found)


def test_metrics_that_are_absent_are_simply_not_there(evaluated):
    stored, evaluation = evaluated
    frame = evaluation.summary
    fewer = dataclasses.replace(evaluation, summary=frame[~frame["metric"].str.contains("90|achieved")])
    found = numbers(stored, fewer)
    assert "sensitivity_at_90_specificity.concat" not in found and "auc.concat" in found


def test_commands_read_well():
    assert command("auc.concat") == "AucConcat"
    assert command("contrast.concat-tabular.difference") == "DiffConcatMinusTabular"
    assert command("contrast.late-fusion~concat.e2") == "DiffLateDashFusionMinusConcatETwo"
    assert command("auc.net2.image") == "AucNetTwoImage" and command("delta") != "Delta"
    assert command("subgroup.age.≥ 70.auc.concat") == "SubgroupAgeAtLeastSevenZeroAucConcat"


def test_pairs_of_arms_with_hyphens_differ():
    assert pair("a-b", "c") != pair("a", "b-c") and pair("concat", "image") == "concat-image"


KEYS = st.lists(st.tuples(st.text(min_size=1), st.sampled_from(["", "Ci", "WithCi"])), unique=True, max_size=12)


@given(KEYS)
def test_commands_are_letters_and_never_the_same(keys):
    found = names([(f"auc.{text}", kind) for text, kind in keys])
    assert len(set(found.values())) == len(keys)
    assert all(re.fullmatch("[A-Za-z]+", name) for name in found.values())


@given(st.lists(st.lists(st.text(), min_size=1, max_size=4), unique_by=tuple, max_size=8))
def test_different_words_have_different_keys(words):
    assert len({key(*each) for each in words}) == len(words)


def test_arms_that_read_alike_get_commands_of_their_own():
    found = names([("auc.a2", ""), ("auc.aTwo", ""), ("auc.b", "")])
    assert found["auc.b", ""] == "AucB"
    assert found["auc.a2", ""] != found["auc.aTwo", ""]
    both = names([(key, kind) for key in ("auc.a2", "auc.aTwo") for kind in ("", "Ci")])
    assert both["auc.a2", "Ci"] == both["auc.a2", ""] + "Ci" and both["auc.a2", ""] == found["auc.a2", ""]


def test_text_is_safe_for_latex(evaluated):
    assert escape("−0.1 %") == r"\ensuremath{-}0.1~\%" and escape("< 0.001") == r"\ensuremath{<}~0.001"
    assert escape("a_b & c") == r"a\_b \& c" and escape("中é") == "[U+4E2D]é"
    text = macros(numbers(*evaluated), "a warning")
    assert "% a warning" in text
    for line in text.splitlines():
        if line.startswith("\\"):
            assert re.fullmatch(r"\\newcommand\{\\[A-Za-z]+\}\{.*\}% .+", line)
            assert "−" not in line.split("}% ")[0]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_macros_compile(evaluated, tmp_path):
    found = numbers(*evaluated)
    odd = {"value": 1.0, "text": '\\{}%&#$_~^<>|"−±≥≤δ×–²éšőßþ中', "about": "every\nkind of character"}
    text = macros(found | {"auc.odd": odd})
    (tmp_path / "numbers.tex").write_text(text)
    body = "\n\n".join(f"\\{name}{{}}" for name in re.findall(r"\\newcommand\{\\(\w+)\}", text))
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage{amsmath,hyperref}\\input{numbers}\\begin{document}"
        + body
        + "\\end{document}"
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"], cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]


def test_frames_of_one_arm_without_baseline(evaluated):
    stored, evaluation = evaluated
    alone = {
        name: frame[frame["arm"] == "image"]
        for name in (
            "summary",
            "intervals",
            "contrasts_by_class",
            "subgroups",
            "expected_ece",
            "decision",
            "cross_tabulation",
            "instability",
        )
        if len(frame := getattr(evaluation, name))
    }
    empty = pd.DataFrame()
    one = dataclasses.replace(evaluation, **alone, comparisons=empty, comparisons_by_class=empty, variance=empty)
    found = numbers(stored, one)
    assert "auc.image" in found and not any("concat" in name or name.startswith("contrast") for name in found)
