"""Depthwise convolutions of 5 x 5: the numbers of torch's, by another way."""

import pytest
import torch
from torch import nn

from mmbc.model import depthwise
from mmbc.model.backbone import Backbone


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (4, 4), (7, 7)])
def test_gradients_are_those_of_torch(size, monkeypatch):
    monkeypatch.setattr(depthwise, "is_faster", lambda features: True)
    torch.manual_seed(0)
    ordinary = nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False)
    fast = depthwise.Depthwise(ordinary)
    features = torch.randn(3, 8, *size).contiguous(memory_format=torch.channels_last).requires_grad_()
    outputs = [convolution(features) for convolution in (ordinary, fast)]
    assert torch.equal(*outputs)
    direction = torch.randn_like(outputs[0])
    one, other = (torch.autograd.grad(output, [features, ordinary.weight], direction) for output in outputs)
    for expected, found in zip(one, other, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_tail_has_fast_gradients_under_the_same_names():
    backbone = Backbone("tf_efficientnet_lite0", "none")
    tail = backbone.tail(2)
    plain = {name for name, _ in backbone.stages[backbone.depth(2) :].named_parameters()}
    assert {name.removeprefix("stages.") for name, _ in tail.named_parameters()} == plain
    assert sum(isinstance(module, depthwise.Depthwise) for module in tail.modules()) == 3
    assert not any(isinstance(module, depthwise.Depthwise) for module in backbone.modules()), "the trunk is not trained"
