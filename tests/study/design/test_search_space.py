"""The search space: what is read, what is refused, what each arm is searched by."""

import optuna
import pytest

from mmbc.errors import ConfigError
from study.design.search_space import heaviest, holes_of, holes_of_arm, read_space, reference, suggested
from study.design.study_file import Search, load


def study_with(space, *sets):
    return load("default", None, list(sets)).model_copy(update={"search": Search(space=space)})


def test_the_default_space_is_the_three_of_the_mission():
    plain, holes = read_space(None)
    assert not plain
    assert set(holes) == {"model.dropout", "model.fine_tuned_blocks", "train.lr", "train.head_lr"}
    study = study_with(holes)
    by_arm = {arm: {hole.key for hole in holes_of_arm(study, arm, holes_of(study))} for arm in study.arms}
    assert by_arm["concat"] == set(holes)
    assert by_arm["tabular"] == {"model.dropout", "train.head_lr"}, "what means nothing without images is not searched"


def test_a_file_with_holes_and_plain_values(tmp_path):
    file = tmp_path / "space.toml"
    file.write_text(
        "[model]\ndropout = { range = [0.3, 0.7] }\ntabular_hidden = { choice = [[64, 64, 32], [8]] }\n"
        "[train]\nmax_epochs = 30\n"
    )
    plain, holes = read_space(file)
    assert plain == {"train.max_epochs": 30}
    study = study_with(holes)
    found = holes_of_arm(study, "concat", holes_of(study))
    trial = optuna.trial.FixedTrial({"model.dropout": 0.4, "model.tabular_hidden": "[8]"})
    assert suggested(trial, found) == {"model.dropout": 0.4, "model.tabular_hidden": [8]}
    assert reference(study, "concat", found) == {"model.dropout": 0.5, "model.tabular_hidden": "[64, 64, 32]"}


@pytest.mark.parametrize(
    ("space", "text"),
    [
        ({"model.droput": {"range": [0, 1]}}, "unknown key 'model.droput'.*model.dropout"),
        ({"data.image_size": {"choice": [96, 128]}}, "same for everything"),
        ({"run.threads": {"int": [1, 2]}}, "same for everything"),
        ({"model.dropout": {"range": [0.7, 0.3]}}, "the lower first"),
        ({"model.dropout": {"range": [0.3, 1.5]}}, "model.dropout"),
        ({"train.lr": {"log": [0, 1e-3]}}, "above 0"),
        ({"model.fine_tuned_blocks": {"int": [0.5, 3]}}, "whole numbers"),
        ({"model.fine_tuned_blocks": {"range": [0.5, 3.5]}}, "fine_tuned_blocks"),
        ({"model.fine_tuned_blocks": {"range": [0, 2]}}, "whole numbers are searched with int"),
        ({"model.dropout": {"rnage": [0.3, 0.7]}}, "model.dropout = .*write one of log, range, int, choice"),
        ({"model.dropout": {"choice": [0.5]}}, "two or more"),
        ({"model.dropout": {"choice": [0.5, 0.5]}}, "twice"),
        ({"model.dropout": {"range": [0.1, 0.5], "log": [0.1, 0.5]}}, "write one of"),
        ({"model.fusion": {"choice": ["concat", "sum"]}}, "model.fusion"),
    ],
)
def test_a_hole_that_does_not_fit_is_refused(space, text):
    with pytest.raises(ConfigError, match=text):
        holes_of(study_with(space))


def test_the_reference_must_lie_in_the_space():
    study = study_with({"model.dropout": {"range": [0.6, 0.7]}})
    with pytest.raises(ConfigError, match="model.dropout is 0.5 in the reference"):
        holes_of_arm(study, "concat", holes_of(study))


def test_an_arm_that_nothing_changes_is_refused():
    study = study_with({"train.lr": {"log": [1e-6, 1e-3]}})
    with pytest.raises(ConfigError, match="arm tabular: nothing of the search space"):
        holes_of_arm(study, "tabular", holes_of(study))


def test_what_an_arm_sets_itself_is_not_searched(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text('[arms.frozen]\nquestion = "Frozen?"\nset = { "model.fine_tuned_blocks" = 0 }\n')
    _, holes = read_space(None)
    study = load("default", file).model_copy(update={"search": Search(space=holes)})
    keys = {hole.key for hole in holes_of_arm(study, "frozen", holes_of(study))}
    assert keys == {"model.dropout", "train.head_lr"}, "nor the learning rate of blocks it does not train"


def test_the_heaviest_configuration_bounds_the_memory():
    _, holes = read_space(None)
    study = study_with(holes)
    assert heaviest(study, "concat", holes_of(study)).model.fine_tuned_blocks == 4
