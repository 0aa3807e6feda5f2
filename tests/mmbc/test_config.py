import pytest
from pydantic import ValidationError

from mmbc.config import Config, TrainConfig, apply_changes, assignment, digest, flatten, known_keys, parse, to_toml
from mmbc.errors import ConfigError, nearest


def test_round_trip_through_toml():
    import tomllib

    config = apply_changes(Config(), {"train.lr": 1e-4, "model.inputs": ["image"]}, "test")
    assert parse(Config, tomllib.loads(to_toml(config)), "test") == config


def test_unknown_key_names_source_key_and_nearest():
    with pytest.raises(ConfigError, match=r"study\.toml: unknown key 'train\.learning_rate'.*train\."):
        parse(Config, {"train": {"learning_rate": 1}}, "study.toml")
    with pytest.raises(ConfigError, match=r"did you mean 'train\.lr'"):
        apply_changes(Config(), {"train.lrr": 1}, "arm x")


@pytest.mark.parametrize(
    ("dotted", "text"),
    [
        ({"train.lr": -1}, "train.lr"),
        ({"model.inputs": []}, "inputs"),
        ({"model.inputs": ["image"], "model.fusion": "attention"}, "attention"),
        ({"model.attention_dim": 30}, "multiple"),
        ({"data.outlines": "sharp"}, "data.outlines"),
    ],
)
def test_values_out_of_range_are_refused(dotted, text):
    with pytest.raises(ConfigError, match=text):
        apply_changes(Config(), dotted, "test")


def test_assignment_reads_toml_values_and_strings():
    assert assignment("train.lr=1e-4") == {"train": {"lr": 1e-4}}
    assert assignment("model.weights=file:a.pth") == {"model": {"weights": "file:a.pth"}}
    assert assignment('model.inputs=["image"]') == {"model": {"inputs": ["image"]}}
    with pytest.raises(ConfigError, match="key=value"):
        assignment("train.lr")


def test_digest_follows_the_values_alone():
    assert digest(Config()) == digest(parse(Config, Config().model_dump(), "test"))
    assert digest(Config()) != digest(apply_changes(Config(), {"train.lr": 1e-4}, "test"))


def test_frozen_and_flat():
    with pytest.raises(ValidationError):
        TrainConfig().lr = 1.0
    flat = flatten(Config())
    assert flat["data.phantom.seed"] == 7
    assert set(flat) == set(known_keys(Config))


def test_nearest_cuts_long_lists():
    assert nearest("concta", ["concat", "image"]) == "did you mean 'concat'? known: concat, image"
    assert "of 40 known" in nearest("key1", [f"key{n}" for n in range(40)])
