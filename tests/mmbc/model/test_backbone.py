import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from mmbc.config import ModelConfig
from mmbc.errors import ConfigError, WeightsError
from mmbc.model import weights
from mmbc.model.backbone import Backbone, Tap, check_cut, check_model, tap_of
from mmbc.model.network import CrossAttention, Network

LITE = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def lite():
    return Backbone(LITE, "package")


@pytest.fixture(scope="module")
def whole(lite):
    model = timm.create_model(LITE, num_classes=0)
    model.load_state_dict(lite.timm_state)
    return model.eval()


@pytest.mark.parametrize("cut", [0, 1, 2, 7])
def test_trunk_and_tail_are_the_whole_network(lite, whole, cut):
    images = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    tail = lite.tail(cut).eval()
    with torch.no_grad():
        torch.testing.assert_close(
            tail(lite(images, [Tap(cut)])[Tap(cut)]), whole.forward_features(images), atol=1e-4, rtol=1e-4
        )


def test_one_pass_is_tapped_at_several_depths(lite):
    images = torch.randn(2, 3, 64, 64)
    taps = [Tap(0), Tap(0, pooled=True), Tap(1), Tap(3)]
    features = lite(images, taps)
    for tap in taps:
        torch.testing.assert_close(features[tap], lite(images, [tap])[tap], atol=0, rtol=0)
    torch.testing.assert_close(features[taps[1]], features[taps[0]].mean((2, 3)))


def test_package_weights_are_imagenet_weights(lite):
    """Renamed exactly: the head of the whole network still names ImageNet classes with confidence."""
    state = {k: v for k, v in weights._package_state(LITE).items() if k.startswith("classifier")}
    assert state["classifier.weight"].shape == (1000, 1280)
    assert lite.normalisation.mean == (0.5, 0.5, 0.5)
    images = torch.rand(8, 3, 96, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    features = lite(images, [Tap(0, pooled=True)])[Tap(0, pooled=True)]
    assert 0.05 < float(features.std()) < 5, "a wrongly renamed network explodes or dies"


def test_a_file_gives_the_same_weights(lite, tmp_path):
    save_file({k: v.contiguous() for k, v in lite.timm_state.items()}, tmp_path / "w.safetensors")
    torch.save({"state_dict": lite.timm_state}, tmp_path / "w.pth")
    for name in ("w.safetensors", "w.pth"):
        assert Backbone(LITE, f"file:{tmp_path / name}").digest == lite.digest


def test_weights_that_do_not_fit_name_the_keys(lite, tmp_path):
    state = {k: v.contiguous() for k, v in lite.timm_state.items()}
    state["stem.weight"] = state.pop("conv_stem.weight")
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"missing: conv_stem.weight; unexpected: stem.weight"):
        Backbone(LITE, f"file:{tmp_path / 'w.safetensors'}")
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    with pytest.raises(WeightsError, match="torn.safetensors"):
        Backbone(LITE, f"file:{tmp_path / 'torn.safetensors'}")
    with pytest.raises(WeightsError, match="there is no file"):
        Backbone(LITE, f"file:{tmp_path / 'absent.pth'}")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_weights_that_are_no_numbers_are_not_blamed_on_the_learning_rate(lite, tmp_path, value, name):
    state = {key: tensor.clone().contiguous() for key, tensor in lite.timm_state.items()}
    state["bn1.weight"][3] = value
    (save_file if name.endswith("safetensors") else torch.save)(state, tmp_path / name)
    with pytest.raises(WeightsError, match=rf"{name}: holds NaN or infinite weights in 1 of \d+ .*bn1.weight"):
        check_model(ModelConfig(backbone=LITE, weights=f"file:{tmp_path / name}"))
    with pytest.raises(WeightsError, match=name):
        Backbone(LITE, f"file:{tmp_path / name}")


def test_an_unreachable_hub_names_the_alternatives(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no connection")

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(WeightsError, match=r"model.weights=file:PATH.*model.weights=package"):
        weights.load_backbone("efficientnet_b0", "hub")


def test_weights_are_checked_before_they_are_used(lite, tmp_path, monkeypatch):
    state = {k: v.contiguous() for k, v in lite.timm_state.items()}
    save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pth")
    for file in ("w.safetensors", "w.pth"):
        where = f"file:{tmp_path / file}"
        assert check_model(ModelConfig(backbone=LITE, weights=where)) == where
    assert check_model(ModelConfig(backbone=LITE, weights="package")) == "installed"
    del state["conv_stem.weight"]
    state["bn1.bias"] = state["bn1.bias"][:2].clone()
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"missing: conv_stem.weight; of another shape: bn1.bias"):
        check_model(ModelConfig(backbone=LITE, weights=f"file:{tmp_path / 'w.safetensors'}"))
    with pytest.raises(ConfigError, match="has 7 blocks"):
        check_model(ModelConfig(backbone=LITE, weights="package", fine_tuned_blocks=9))
    with pytest.raises(ConfigError, match="allow_random_trunk"):
        check_model(ModelConfig(backbone=LITE, weights="none"))


def test_a_hub_that_does_not_answer_is_asked_once(monkeypatch):
    asked = []

    def refuse(*arguments, **options):
        asked.append(options["timeout"])
        raise RuntimeError("no connection")

    monkeypatch.setattr(weights, "_is_cached", lambda name: False)
    monkeypatch.setattr(weights.HfApi, "model_info", refuse)
    with pytest.raises(WeightsError, match="Without a connection"):
        check_model(ModelConfig(backbone="efficientnet_b0", weights="hub"))
    assert asked == [10]
    monkeypatch.setattr(weights, "_is_cached", lambda name: True)
    assert "cache" in check_model(ModelConfig(backbone="efficientnet_b0", weights="hub"))


def test_names_outside_the_family_are_refused():
    with pytest.raises(ConfigError, match="did you mean 'efficientnet_b0'"):
        Backbone("efficientnet_b00", "none")
    with pytest.raises(ConfigError, match="not of the EfficientNet family"):
        Backbone("resnet18", "none")
    with pytest.raises(ConfigError, match="hub, package"):
        Backbone("efficientnet_b0", "internet")
    with pytest.raises(WeightsError, match="holds tf_efficientnet_lite0"):
        Backbone("efficientnet_b0", "package")


def test_a_random_trunk_is_never_frozen_silently():
    model, backbone = ModelConfig(backbone=LITE, weights="none"), Backbone(LITE, "none")
    with pytest.raises(ConfigError, match="allow_random_trunk"):
        check_cut(backbone, model)
    check_cut(backbone, model.model_copy(update={"allow_random_trunk": True}))
    assert backbone.n_blocks == 7


def test_checkpointing_changes_neither_gradients_nor_running_statistics(lite):
    features = torch.randn(4, 192, 3, 3, generator=torch.Generator().manual_seed(1))
    plain, saving = lite.tail(1).train(), lite.tail(1).train()
    saving.use_checkpointing()
    for tail in (plain, saving):
        tail(features).square().mean().backward()
    for one, other in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
    for (name, one), (_, other) in zip(plain.named_buffers(), saving.named_buffers(), strict=True):
        if "running" in name:
            torch.testing.assert_close(one, other, msg=name)


@pytest.mark.parametrize(
    ("inputs", "fusion"),
    [
        (["image"], "concat"),
        (["tabular"], "concat"),
        (["image", "tabular"], "concat"),
        (["image", "tabular"], "attention"),
    ],
)
def test_networks_of_all_arms(lite, inputs, fusion):
    model = ModelConfig(backbone=LITE, inputs=inputs, fusion=fusion, fine_tuned_blocks=0)
    network = Network(model, lite if "image" in inputs else None, 3)
    tap = tap_of(model)
    features = lite(torch.randn(4, 3, 64, 64), [tap])[tap].clone() if "image" in inputs else None
    table = torch.randn(4, 3) if "tabular" in inputs else None
    assert network(features, table).shape == (4,)
    groups = network.parameter_groups(1e-4, 1e-3)
    assert sum(p.numel() for g in groups for p in g["params"]) == sum(p.numel() for p in network.parameters())
    assert [g["lr"] for g in groups] == [1e-3], "with a frozen backbone there is nothing to fine-tune"


def test_attention_is_the_concatenation_plus_what_it_adds(lite):
    sizes = {}
    for fusion in ("concat", "attention"):
        network = Network(ModelConfig(backbone=LITE, fusion=fusion), lite, 3)
        sizes[fusion] = network.classifier[0][0].in_features
    assert sizes["attention"] == sizes["concat"] + ModelConfig().attention_dim


def test_attention_looks_where_the_clinical_columns_say(lite):
    """Different clinical values give different weights to the same positions; a constant map makes them irrelevant."""
    torch.manual_seed(0)
    attention = CrossAttention(8, 4, 16, 4).eval()
    varied, constant = torch.randn(1, 8, 7, 7), torch.ones(1, 8, 7, 7)
    one, other = torch.tensor([[3.0, 0, 0, 0]]), torch.tensor([[0, 0, 0, 3.0]])
    assert not torch.allclose(attention(varied, one), attention(varied, other))
    torch.testing.assert_close(attention(constant, one), attention(constant, other))
    assert np.isfinite(attention(varied, one).detach().numpy()).all()


def test_attention_with_one_query_is_that_of_torch(lite):
    torch.manual_seed(0)
    model = CrossAttention(6, 3, 16, 4)
    nn.init.normal_(model.attention.in_proj_bias)
    feature_map, table = torch.randn(5, 6, 3, 4), torch.randn(5, 3)
    found = model(feature_map, table)
    gradients = torch.autograd.grad(found.square().sum(), list(model.parameters()))
    tokens = model.image_tokens(feature_map.flatten(2).transpose(1, 2))
    expected, _ = model.attention(model.tabular_token(table).unsqueeze(1), tokens, tokens, need_weights=False)
    torch.testing.assert_close(found, expected.squeeze(1))
    for one, other in zip(
        gradients, torch.autograd.grad(expected.square().sum(), list(model.parameters())), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("cut", [0, 1, 3])
def test_folding_batch_norm_changes_the_last_bits_alone(lite, cut):
    images = torch.randn(3, 3, 64, 64)
    expected = images
    with torch.no_grad():
        for stage in lite.stages[: lite.depth(cut)]:
            expected = stage(expected)
    found = lite(images, [Tap(cut)])[Tap(cut)]
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    norms = [m for stage in lite._folded for m in stage.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert not norms, "every batch-norm of the frozen stages is folded"
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in lite.tail(2).modules()), "those of the tail are trained"


@pytest.mark.parametrize(("cut", "fusion"), [(0, "concat"), (0, "attention"), (2, "attention")])
def test_a_prediction_depends_neither_on_the_batch_nor_on_the_place_in_it(lite, cut, fusion):
    draw = torch.Generator().manual_seed(4)
    model = ModelConfig(backbone=LITE, fusion=fusion, fine_tuned_blocks=cut)
    network, tap = Network(model, lite, 3), tap_of(model)
    features = lite(torch.randn(20, 3, 64, 64, generator=draw), [tap])[tap].clone()
    table = torch.randn(20, 3, generator=draw)
    whole = network.predict(features, table)
    assert torch.equal(network.predict(features.flip(0), table.flip(0)), whole.flip(0))
    assert torch.equal(network.predict(features[7:8], table[7:8]), whole[7:8])
