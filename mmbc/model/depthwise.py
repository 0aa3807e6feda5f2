"""Depthwise convolutions of 5 x 5 in a tail, with a faster gradient of their weights.

oneDNN has a fast kernel for the weight gradient of depthwise convolutions of 3 x 3 with AVX-512. Those of 5 x 5 go
through the kernel of grouped convolutions, which computes 16 times as much: a sixth of a training step at 128 pixels.
But a square of 5 x 5 is covered by four of 3 x 3, and the gradient of each is that of a convolution of 3 x 3 over the
shifted input.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

SIDE, PART, PADDING = 5, 3, 2
LARGEST_MAP = 8
"""Height of the map up to which four small gradients are faster: 8 to 10 times at 3 and 4, 2 to 3 times at 6 to 8, with
one thread and 32 images; at 14 there is no difference."""


class Depthwise(nn.Module):
    """A depthwise convolution of 5 x 5 in place of torch's, with its weights: the same numbers but for rounding."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.weight = convolution.weight

    def forward(self, features: Tensor) -> Tensor:
        """Convolve: (batch, channels, h, w) -> (batch, channels, h, w)."""
        if not is_faster(features):
            return _convolved(features, self.weight)
        convolved: Tensor = _Convolution.apply(features, self.weight)
        return convolved


def is_faster(features: Tensor) -> bool:
    """Whether four gradients of 3 x 3 take less time than one of 5 x 5."""
    return (
        features.shape[2] <= LARGEST_MAP
        and features.device.type == "cpu"
        and features.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
    )


def use_fast_gradients(stages: nn.Module) -> None:
    """Replace every depthwise convolution of 5 x 5 with stride 1."""
    for parent in list(stages.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d) and _fits(child):
                setattr(parent, name, Depthwise(child))


def _fits(convolution: nn.Conv2d) -> bool:
    return (
        convolution.groups == convolution.in_channels == convolution.out_channels
        and convolution.kernel_size == (SIDE, SIDE)
        and convolution.padding == (PADDING, PADDING)
        and convolution.stride == convolution.dilation == (1, 1)
        and convolution.bias is None
    )


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(features, weight)
        return _convolved(features, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        features, weight = ctx.saved_tensors
        of_features = _gradients(gradient, features, weight, PADDING, (True, False, False))[0]
        return of_features, weight_gradient(gradient, features)


def weight_gradient(gradient: Tensor, features: Tensor) -> Tensor:
    """Return the gradient (channels, 1, 5, 5) of the weights from that of the output and the input (batch, c, h, w)."""
    n, channels, height, width = features.shape
    whole, part = torch.empty(channels, 1, SIDE, SIDE), torch.empty(channels, 1, PART, PART)
    shifted = torch.empty((n, channels, height + PART - 1, width + PART - 1), memory_format=torch.channels_last)
    for top in (0, SIDE - PART):
        for left in (0, SIDE - PART):
            _shift(features, shifted, PADDING - top, PADDING - left)
            square = _gradients(gradient, shifted, part, 0, (False, True, False))[1]
            whole[:, :, top : top + PART, left : left + PART] = square
    return whole


def _convolved(features: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(features, weight, padding=PADDING, groups=len(weight))


def _gradients(
    gradient: Tensor, features: Tensor, weight: Tensor, padding: int, wanted: tuple[bool, bool, bool]
) -> tuple[Tensor, ...]:
    """Return the gradients of input, weight and bias as torch computes them."""
    pads, ones, groups = [padding, padding], [1, 1], features.shape[1]
    found: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        gradient, features, weight, None, ones, pads, ones, False, [0, 0], groups, wanted
    )
    return found


def _shift(features: Tensor, into: Tensor, down: int, right: int) -> None:
    """Write the features into the larger `into`, so far down and to the right; zeros around, what is beyond is cut."""
    height, width = features.shape[2:]
    into.zero_()
    into[:, :, down : down + height, right : right + width] = features[
        :, :, : into.shape[2] - down, : into.shape[3] - right
    ]
