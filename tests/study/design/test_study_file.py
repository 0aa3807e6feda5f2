"""Arms of a study file: their questions, and their differences in words."""

import pytest

from mmbc.errors import ConfigError
from study.design.study_file import load


def test_an_arm_needs_a_question(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text('[arms.narrow]\nset = { "model.classifier_hidden" = [16] }\n')
    with pytest.raises(ConfigError, match=r"study\.toml: arms\.narrow: write the question that the arm answers"):
        load(file=file)


@pytest.mark.parametrize(
    ("arm", "key"),
    [('image.set."model.inputs"=["image", "tabular"]', "inputs"), ('concat.set."model.fusion"="attention"', "fusion")],
)
def test_a_built_in_arm_that_means_something_else_needs_a_question_of_its_own(tmp_path, arm, key):
    file = tmp_path / "study.toml"
    file.write_text(f"arms.{arm}\n")
    name = arm.partition(".")[0]
    with pytest.raises(ConfigError, match=rf"study\.toml: arm '{name}' has another model\.{key} than the built-in arm"):
        load(file=file)
    file.write_text(f'arms.{arm}\narms.{name}.question = "Does another make-up do as well?"\n')
    assert load(file=file).arms[name].question == "Does another make-up do as well?"


def test_a_built_in_arm_may_change_in_other_settings(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text('[arms.image]\nset = { "model.dropout" = 0.3 }\n')
    image = load(file=file).arms["image"]
    assert image.question.startswith("How well do the mammograms alone tell")
    assert image.differences == "model.inputs = ['image'], model.dropout = 0.3"


def test_the_reference_configuration_itself_can_be_an_arm(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text('[arms.plain]\nquestion = "How well does the reference do?"\n')
    assert load(file=file).arms["plain"].differences == "none: the reference configuration"
