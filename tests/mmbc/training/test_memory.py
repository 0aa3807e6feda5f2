import pytest
import torch

from mmbc.config import Config, apply_changes
from mmbc.errors import ConfigError
from mmbc.model.backbone import Backbone, Tap
from mmbc.training.device import configure, keep_freed_memory, resolve
from mmbc.training.memory import available_bytes, fit_bytes, pass_bytes
from study.training.memory import Memory

SETTINGS = {"model.backbone": "tf_efficientnet_lite0", "model.weights": "package", "data.image_size": 64}


@pytest.fixture(scope="module")
def lite():
    return Backbone("tf_efficientnet_lite0", "package")


def config(**more):
    return apply_changes(Config(), SETTINGS | {key.replace("__", "."): value for key, value in more.items()}, "test")


def test_a_fit_keeps_its_weights_four_times(lite):
    _, shapes = pass_bytes(config(), lite, [Tap(0, pooled=True), Tap(2)])
    assert shapes == {Tap(0, pooled=True): (1280,), Tap(2): (112, 4, 4)}
    kept, step = fit_bytes(config(), lite, 2, shapes)
    tail = sum(p.numel() for p in lite.tail(2).parameters())
    assert 4 * 4 * tail < kept < 4 * 4 * tail * 1.5
    assert step > 0
    frozen, _ = fit_bytes(config(model__fine_tuned_blocks=0), lite, 2, shapes)
    assert frozen < kept


def test_larger_images_and_chunks_take_more(lite):
    small, _ = pass_bytes(config(), lite, [Tap(2)])
    assert pass_bytes(config(data__image_size=128), lite, [Tap(2)])[0] > small
    assert pass_bytes(config(run__chunk_size=512), lite, [Tap(2)])[0] > small
    assert pass_bytes(config(), None, []) == (0, {})


def test_cells_that_do_not_fit_train_in_waves():
    assert Memory(shared=10, per_fit=10, free=1000, n_cells=20).n_live == 20
    assert Memory(shared=10, per_fit=10, free=100, n_cells=20).n_live == 7
    assert Memory(shared=10, per_fit=10, free=1, n_cells=20).n_live == 1, "one always trains"


def test_the_machine_is_asked():
    assert available_bytes("cpu") > 2**28
    assert isinstance(keep_freed_memory(), bool)
    configure(resolve(Config().run.model_copy(update={"device": "cpu"})))


def test_bfloat16_is_refused_where_it_would_be_emulated(monkeypatch):
    asked = Config().run.model_copy(update={"device": "cpu", "trunk_precision": "bfloat16"})
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert resolve(asked).trunk_precision == "bfloat16"
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False)
    with pytest.raises(ConfigError, match="emulated it would be slower"):
        resolve(asked)
