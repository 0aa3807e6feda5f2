"""Estimates of memory, on the safe side: of one pass of the stream, and of every live fit."""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from mmbc.config import Config
from mmbc.model.backbone import Backbone, Tap, tap_of
from mmbc.model.network import Network

FLOAT = 4
"""Bytes of a float32."""

COPIES = 4
"""Copies of every trainable weight: itself, two moments of AdamW, and that of the best epoch. Gradients exist during a
step alone."""

PROBE = 2
"""Images that are sent through a network to measure sizes."""


def available_bytes(device: str) -> int:
    """Return the free bytes of a device (`cpu`: of main memory)."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def pass_bytes(
    config: Config, backbone: Backbone | None, taps: Sequence[Tap]
) -> tuple[int, dict[Tap, tuple[int, ...]]]:
    """Return the memory of a pass in bytes, and tap -> shape of one image's features.

    The memory is that of the trunk, of a batch in it, and of a chunk of features.
    """
    if backbone is None:
        return 0, {}
    images = torch.zeros(PROBE, 3, config.data.image_size, config.data.image_size, device=_device(backbone))
    with _outputs(backbone) as sizes:
        features = backbone(images, taps)
    shapes = {tap: tuple(found.shape[1:]) for tap, found in features.items()}
    weights = 2 * sum(parameter.numel() for parameter in backbone.stages.parameters())
    chunk = 2 * config.run.chunk_size * sum(math.prod(shape) for shape in shapes.values())
    return FLOAT * (weights + 4 * max(sizes) * config.run.trunk_batch + chunk), shapes


def fit_bytes(
    config: Config, backbone: Backbone | None, n_tabular: int, shapes: dict[Tap, tuple[int, ...]]
) -> tuple[int, int]:
    """Return the bytes that one live fit keeps, and those that its training step takes in addition while it lasts."""
    network = Network(config.model, backbone, n_tabular).eval()
    weights = sum(value.numel() for value in network.state_dict().values())
    kept = COPIES * weights
    if network.tail is None:
        return FLOAT * kept, FLOAT * weights
    shape = shapes[tap_of(config.model)]
    batch = config.train.batch_size
    with torch.no_grad(), _outputs(network.tail) as sizes:
        network.tail(torch.zeros(PROBE, *shape))
    return FLOAT * (kept + 2 * batch * math.prod(shape)), FLOAT * (weights + 2 * batch * sum(sizes))


@contextmanager
def _outputs(module: nn.Module) -> Iterator[list[int]]:
    """Collect the number of values that each layer returns for one image."""
    sizes = [0]

    def note(_: nn.Module, __: object, output: Tensor) -> None:
        sizes.append(output[0].numel())

    layers = [layer for layer in module.modules() if not list(layer.children())]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    try:
        yield sizes
    finally:
        for hook in hooks:
            hook.remove()


def _device(backbone: Backbone) -> torch.device:
    return next(backbone.parameters()).device
