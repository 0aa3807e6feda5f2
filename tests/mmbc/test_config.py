from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from mmbc.config import (
    Config,
    Later,
    ModelConfig,
    Section,
    TrainConfig,
    apply_changes,
    digest,
    flatten,
    known_keys,
    parse,
    to_toml,
)
from mmbc.errors import ConfigError, nearest
from mmbc.toml import assignment


def test_round_trip_through_toml():
    import tomllib

    config = apply_changes(Config(), {"train.lr": 1e-4, "model.inputs": ["image"]}, "test")
    assert parse(Config, tomllib.loads(to_toml(config)), "test") == config


def test_names_of_reports_are_kept_and_count_for_nothing():
    import tomllib

    named = apply_changes(
        Config(), {"data.image_name": "ultrasound images", "data.feature_names.age": "Age, years"}, "test"
    )
    assert parse(Config, tomllib.loads(to_toml(named)), "test") == named
    assert digest(named) == digest(Config())


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


class Views(Section):
    pool: str = "mean"


class NewModel(ModelConfig):
    unit: Annotated[str, Later("0.2.0")] = "image"
    drop: Annotated[float, Field(ge=0), Later("0.2.0")] = 0.0


class NewConfig(Config):
    model: NewModel = NewModel()
    views: Annotated[Views, Later("0.2.0")] = Views()


class Careless(ModelConfig):
    unit: str = "image"


def test_the_digest_of_the_reference_is_that_of_the_first_studies():
    """A new setting without the mark `Later`, or another default, orphans every finished study."""
    assert digest(Config()) == "9cb2c077d352901a"


def test_later_settings_at_their_defaults_are_no_part_of_a_digest():
    assert digest(NewConfig()) == digest(Config())
    assert digest(NewModel()) == digest(ModelConfig()) != digest(Careless())
    others = [{"model": {"unit": "breast"}}, {"model": {"drop": 0.1}}, {"views": {"pool": "max"}}]
    digests = {digest(parse(NewConfig, other, "test")) for other in [{}, *others]}
    assert len(digests) == 4
    old = apply_changes(Config(), {"train.lr": 1e-4}, "test")
    assert digest(parse(NewConfig, old.model_dump(), "an older study")) == digest(old)
