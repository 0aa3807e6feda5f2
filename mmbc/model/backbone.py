"""A timm EfficientNet as a frozen trunk and a trainable tail, cut at `fine_tuned_blocks`.

The stages of the backbone are: stem, the blocks (7 in B0), head convolution. With `fine_tuned_blocks` = k the tail is
the last k blocks and the head convolution; with k = 0 everything, the head convolution included, is trunk.
"""

import copy
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.checkpoint import checkpoint

from mmbc.config import ModelConfig
from mmbc.errors import ConfigError
from mmbc.model.depthwise import use_fast_gradients
from mmbc.model.weights import check_weights, empty_backbone, load_backbone, state_digest


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation by channel with which the pretrained weights expect values in [0, 1] normalised."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Tap(NamedTuple):
    """Where trunk features are taken, and in which form.

    Attributes:
        cut: value of `fine_tuned_blocks` whose tail continues from there.
        pooled: the mean over the positions of the map (batch, channels) in place of the map itself.
    """

    cut: int
    pooled: bool = False


def tap_of(model: ModelConfig) -> Tap:
    """Return the features that a network needs: a vector, unless it trains convolutions or attends to positions."""
    return Tap(model.fine_tuned_blocks, pooled=not model.fine_tuned_blocks and model.fusion != "attention")


class Backbone(nn.Module):
    """The frozen stages of a pretrained network, with a tap at every depth.

    The frozen stages run with batch-norm folded into the convolutions, which changes the last bits alone.

    Args:
        name: timm model name.
        weights: see `mmbc.model.weights.load_backbone`.

    Attributes:
        n_blocks: number of blocks, the largest `fine_tuned_blocks`.
        n_channels: channels of the last feature map.
        normalisation: mean and standard deviation of the images it expects.
        timm_state: all weights under timm's names, as `model.weights = "file:PATH"` reads them.
        digest: 16 hex digits over all weights.

    Raises:
        ConfigError: no model of the EfficientNet family.
        WeightsError: weights that cannot be had or do not fit.
    """

    def __init__(self, name: str, weights: str) -> None:
        super().__init__()
        model: Any = load_backbone(name, weights)
        _check_family(name, model)
        self.name = name
        self.pretrained = weights != "none"
        self.stages = nn.ModuleList(
            [nn.Sequential(model.conv_stem, model.bn1), *model.blocks, nn.Sequential(model.conv_head, model.bn2)]
        )
        self.n_blocks = len(model.blocks)
        self.n_channels = int(model.num_features)
        settings = model.pretrained_cfg
        self.normalisation = Normalisation(tuple(settings["mean"]), tuple(settings["std"]))
        self.timm_state = model.state_dict()
        self.digest = state_digest(self.timm_state)
        self.requires_grad_(False).eval()
        self._folded = nn.ModuleList([fold_batch_norms(stage) for stage in self.stages])
        self.to(memory_format=torch.channels_last)

    def depth(self, fine_tuned_blocks: int) -> int:
        """Return the number of frozen stages at this cut.

        Raises:
            ConfigError: more fine-tuned blocks than the backbone has.
        """
        _check_depth(self.name, self.n_blocks, fine_tuned_blocks)
        return len(self.stages) if fine_tuned_blocks == 0 else 1 + self.n_blocks - fine_tuned_blocks

    @torch.inference_mode()
    def forward(self, images: Tensor, taps: Iterable[Tap]) -> dict[Tap, Tensor]:
        """Run the frozen stages once and tap them.

        Args:
            images: normalised images (batch, 3, size, size).
            taps: where the trunk is tapped.

        Returns:
            tap -> features (batch, channels, height, width), or (batch, channels) of float32 where they are pooled.
        """
        depths = {tap: self.depth(tap.cut) for tap in taps}
        found = {}
        for number, stage in enumerate(self._folded[: max(depths.values())], start=1):
            images = stage(images)
            for tap in [tap for tap, depth in depths.items() if depth == number]:
                found[tap] = images.mean(dim=(2, 3), dtype=torch.float32) if tap.pooled else images
        return found

    def tail(self, fine_tuned_blocks: int) -> "Tail":
        """Return a trainable copy of the stages behind the cut."""
        stages = copy.deepcopy(self.stages[self.depth(fine_tuned_blocks) :])
        for module in stages.modules():
            if isinstance(module, nn.SiLU):
                module.inplace = False  # in place it copies its input for the backward pass
        use_fast_gradients(stages)
        return Tail(stages)


class Tail(nn.Module):
    """The fine-tuned stages: features at the cut -> the last feature map (batch, channels, height, width)."""

    def __init__(self, stages: nn.ModuleList) -> None:
        super().__init__()
        self.stages = stages
        self.checkpointing = False
        self.requires_grad_(True)

    def use_checkpointing(self) -> None:
        """Recompute activations in the backward pass instead of keeping them.

        The recomputation updates running statistics a second time from the same batch; with momentum 1 - sqrt(1 - m)
        the two updates together are the one of momentum m.
        """
        self.checkpointing = True
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d) and module.momentum is not None:
                module.momentum = 1 - (1 - module.momentum) ** 0.5

    def forward(self, features: Tensor) -> Tensor:
        """Map trunk features (batch, c, h, w) to the last feature map (batch, n_channels, h', w')."""
        for stage in self.stages:
            if self.checkpointing and self.training:
                features = checkpoint(stage, features, use_reentrant=False)
            else:
                features = stage(features)
        return features


def fold_batch_norms(stage: nn.Module) -> nn.Module:
    """Return a copy of a frozen stage with every batch-norm folded into the convolution in front of it.

    The folding is done in float64, so that only the final rounding to float32 is added.
    """
    copied = copy.deepcopy(stage)
    for module in copied.modules():
        names = list(module._modules)
        for name, following in itertools.pairwise(names):
            convolution, norm = getattr(module, name), getattr(module, following)
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(convolution.double(), norm.double()).float())
                # timm's batch-norm brings its activation along; its dropout is none in a frozen stage
                setattr(module, following, getattr(norm, "act", nn.Identity()))
    return copied.requires_grad_(False).eval()


def check_cut(backbone: Backbone, model: ModelConfig) -> None:
    """Check that the configuration's cut lies in the backbone and that no random trunk is frozen unasked.

    Raises:
        ConfigError: otherwise.
    """
    backbone.depth(model.fine_tuned_blocks)
    _check_trunk(model)


def check_model(model: ModelConfig) -> str:
    """Check that the backbone exists, that the cut lies in it, and that its weights are there and fit.

    Nothing is computed: what can be known of a backbone is known in a second, before any image is opened.

    Returns:
        Where the weights are, in words.

    Raises:
        ConfigError: no such backbone or source, or a cut outside it.
        WeightsError: weights that cannot be had or do not fit.
    """
    outline: Any = empty_backbone(model.backbone)
    _check_family(model.backbone, outline)
    _check_depth(model.backbone, len(outline.blocks), model.fine_tuned_blocks)
    _check_trunk(model)
    return check_weights(outline, model.backbone, model.weights)


def _check_family(name: str, model: object) -> None:
    if not all(hasattr(model, part) for part in ("conv_stem", "bn1", "blocks", "conv_head", "bn2")):
        raise ConfigError(f"model.backbone: {name!r} is not of the EfficientNet family (stem, blocks, head)")


def _check_depth(name: str, n_blocks: int, fine_tuned_blocks: int) -> None:
    if fine_tuned_blocks > n_blocks:
        raise ConfigError(f"model.fine_tuned_blocks is {fine_tuned_blocks}, but {name} has {n_blocks} blocks")


def _check_trunk(model: ModelConfig) -> None:
    if model.weights == "none" and not model.allow_random_trunk:
        raise ConfigError(
            f"model.weights is 'none', so the trunk in front of the {model.fine_tuned_blocks} fine-tuned blocks would"
            " be frozen at random values and learn nothing. Use pretrained weights (hub, package, file:PATH), or, to"
            " test the machinery alone, --set model.allow_random_trunk=true"
        )
