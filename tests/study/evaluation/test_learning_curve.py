"""A learning curve: arms that learn from a share of the training patients, and nothing else differs."""

import dataclasses

import pytest

from mmbc.errors import ConfigError
from study.checks.columns import preprocessing
from study.checks.subject import Subject
from study.console.requests import with_learning_curve
from study.design.study_file import Arm, load
from study.evaluation.evaluation import evaluate
from study.records.finding import PASSED
from study.records.progress import Observer
from study.records.stored_study import load_study
from study.reporting.facts.arm_names import display_name
from study.reporting.figures.catalogue import catalogue
from study.reporting.methods.chapter import methods
from study.reporting.tables import all_tables
from study.reporting.text.sections import learning_curve
from study.training.preparation import prepare
from study.training.run import carry_out

SEEDS = 2


@pytest.fixture(scope="module")
def planned(tiny):
    request = tiny.request(
        "curve", arms="tabular,concat", sets=["data.phantom.n_patients=80", f"protocol.seeds={SEEDS}"]
    )
    request = dataclasses.replace(request, study=with_learning_curve(request.study, "25,50,100"))
    return prepare(request, Observer()), request


@pytest.fixture(scope="module")
def curve(planned):
    carry_out(*planned, Observer(), command=["test"], findings=())
    study = load_study(planned[0].folder)
    return study, evaluate(study, n_replicates=100)


def test_only_the_training_patients_differ(planned):
    cells, images = planned[0].cells, planned[0].cohort.images
    assert {cell.arm for cell in cells} == {
        "tabular",
        "concat",
        *(f"{a}-{p}" for a in ("tabular", "concat") for p in (25, 50)),
    }
    learned = {(cell.arm, cell.fold, cell.seed): cell.learns_from(images) for cell in cells}
    labels = images.groupby("patient_id")["label"].max()
    for (arm, fold, seed), split in learned.items():
        whole = learned["tabular", fold, seed]
        name, _, percent = arm.partition("-")
        assert (split.validation, split.test) == (whole.validation, whole.test)
        if percent:
            larger = learned[f"{name}-50" if percent == "25" else name, fold, seed]
            assert set(split.train) < set(larger.train)
            for label in (0, 1):
                n = sum(labels[patient] == label for patient in whole.train)
                assert sum(labels[patient] == label for patient in split.train) == round(int(percent) / 100 * n)
        assert split == learned[f"tabular{arm.removeprefix(name)}", fold, seed], "the same patients for all arms"
    assert learned["tabular-50", 0, 0].train != learned["tabular-50", 0, 1].train, "another draw for every seed"
    assert len({cell.split_digest for cell in cells if cell.fold == 0}) == 1, "arms are paired by their folds"


@pytest.mark.slow
def test_a_model_learns_from_its_share_alone(curve, planned):
    """Its scaling is that of the share, in the records and fitted again by the audit."""
    study, _ = curve
    outcome = preprocessing(Subject(study.cohort, study.settings.data, study=study))
    assert outcome.status == PASSED and "In all 26 fits" in outcome.evidence, outcome.evidence
    digests = {name: record.preprocessing["rows_digest"] for name, record in study.records.items()}
    assert digests["tabular.r0.f0.s0"] == digests["concat.r0.f0.s1"] != digests["tabular-50.r0.f0.s0"]
    assert digests["tabular-50.r0.f0.s0"] == digests["concat-50.r0.f0.s0"] != digests["tabular-50.r0.f0.s1"]


@pytest.mark.slow
def test_the_curve_is_that_of_the_summary(curve):
    study, evaluation = curve
    frame = evaluation.learning_curve
    assert frame["arm"].tolist() == [f"{a}{p}" for a in ("tabular", "concat") for p in ("-25", "-50", "")]
    summary = evaluation.summary[
        (evaluation.summary["metric"] == "roc_auc") & (evaluation.summary["level"] == "patient")
    ]
    areas = summary.set_index("arm")
    for row in frame.to_dict("records"):
        assert (row["value"], row["low"]) == (areas.loc[row["arm"], "value"], areas.loc[row["arm"], "low"])
        expected = row["value"] - areas.loc[row["of"], "value"]
        assert row["difference"] == pytest.approx(expected) or row["arm"] == row["of"]
        assert row["arm"] == row["of"] or row["difference_low"] < row["difference"] < row["difference_high"]
    assert frame["n_patients"].tolist() == [8, 16, 32] * 2
    drawing = catalogue(study, evaluation)["learning_curve"]
    assert drawing.draw()[1] is frame and "by the number of patients" in drawing.caption
    table = next(table for table in all_tables(study, evaluation) if table.name == "learning_curve")
    assert table.shown["Share"].tolist() == ["25 %", "50 %", "100 %"] * 2
    text = learning_curve(study, evaluation)
    assert "- Clinical data alone, about 32 instead of 16 patients: " in text
    assert display_name(study, "concat-50").endswith(", 50 % of the training patients")
    assert "`train.fraction` of 0.25 and 0.5 learned from" in "\n".join(methods(study, evaluation))


def test_without_shares_there_is_no_curve(evaluated):
    study, evaluation = evaluated
    assert evaluation.learning_curve.empty and learning_curve(study, evaluation) == ""
    assert "learning_curve" not in catalogue(study, evaluation)
    assert "train.fraction" not in "\n".join(methods(study, evaluation))


def test_arms_that_differ_in_more_are_no_curve():
    study = load("tiny")
    arms = study.arms | {
        "half": Arm(question="?", set={"model.inputs": ["image"], "train.fraction": 0.5}),
        "other": Arm(question="?", set={"model.inputs": ["image"], "train.fraction": 0.5, "train.lr": 0.5}),
    }
    assert study.model_copy(update={"arms": arms}).shares == {"half": "image"}
    assert study.shares == {}


@pytest.mark.parametrize("text", ["0", "101", "half", "12.5", "-5", "²"])
def test_what_is_no_percentage_is_refused(text):
    with pytest.raises(ConfigError, match=r"--learning-curve .*for example 25,50,75"):
        with_learning_curve(load("tiny"), f"50,{text}")


def test_an_arm_of_the_same_name_is_not_replaced():
    study = load("tiny")
    study = study.model_copy(update={"arms": study.arms | {"image-50": Arm(question="?")}})
    with pytest.raises(ConfigError, match="there is an arm image-50 already"):
        with_learning_curve(study, "50")
    assert with_learning_curve(load("tiny"), None) == load("tiny")
