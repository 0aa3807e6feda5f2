"""Augmentation of training images in two steps: `draw` draws the parameters, `apply` changes the images.

`draw(seed, epoch)` returns one row of parameters for every image of the cohort; the row of an image depends on (seed,
epoch, image) alone, so every arm, fold and repeat of a seed sees the same views. `apply` is pure and batched: one
resampling for crop, flip and rotation together, then brightness, contrast and erasing.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmbc.config import AugmentConfig

COLUMNS = ("scale", "shift_x", "shift_y", "flip", "angle", "brightness", "contrast", "top", "left", "height", "width")
"""`scale` and shifts are shares of the image side, `angle` is in radians, the erased box in shares of the side."""


def draw(config: AugmentConfig, n_images: int, *, seed: int, epoch: int) -> np.ndarray:
    """Return the random parameters of every image in one epoch: (n_images, len(COLUMNS)) of float32."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, epoch])))
    uniform = rng.random((n_images, len(COLUMNS) + 1))
    scale = config.min_crop + (1 - config.min_crop) * uniform[:, 0]
    shifts = (2 * uniform[:, 1:3] - 1) * (1 - scale[:, None])
    flip = np.where(uniform[:, 3] < config.flip, -1.0, 1.0)
    angle = math.radians(config.rotation) * (2 * uniform[:, 4] - 1)
    brightness = config.brightness * (2 * uniform[:, 5] - 1)
    contrast = 1 + config.contrast * (2 * uniform[:, 6] - 1)
    erased = (uniform[:, 11] < config.erase)[:, None]
    box = _boxes(uniform[:, 7:11], config.erase_area) * erased
    return np.column_stack([scale, shifts, flip, angle, brightness, contrast, box]).astype(np.float32)


def _boxes(uniform: np.ndarray, largest: float) -> np.ndarray:
    """Return (top, left, height, width) by row from four uniform numbers: area up to `largest`, aspect 1:2 to 2:1."""
    area = largest * (0.2 + 0.8 * uniform[:, 0])
    aspect = np.exp2(2 * uniform[:, 1] - 1)
    height, width = np.minimum(np.sqrt(area * aspect), 1), np.minimum(np.sqrt(area / aspect), 1)
    return np.column_stack([(1 - height) * uniform[:, 2], (1 - width) * uniform[:, 3], height, width])


def apply(images: Tensor, parameters: Tensor) -> Tensor:
    """Augment grey images.

    Args:
        images: (batch, 1, size, size) of float32 in [0, 1].
        parameters: (batch, len(COLUMNS)), rows of `draw`.

    Returns:
        (batch, 1, size, size) of float32 in [0, 1].
    """
    scale, shift_x, shift_y, flip, angle, brightness, contrast, *box = parameters.unbind(1)
    cos, sin, size = torch.cos(angle) * scale, torch.sin(angle) * scale, images.shape[-1]
    grid = torch.empty((len(images), size, size, 2), dtype=images.dtype, device=images.device)
    grid[..., 0] = _sheared(cos * flip, -sin, shift_x, size)
    grid[..., 1] = _sheared(sin * flip, cos, shift_y, size)
    warped = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    jittered = warped.mul_(_column(contrast)).add_(_column(brightness)).clamp_(0, 1)
    return jittered.masked_fill_(_inside(box, size), 0)


def _sheared(by_column: Tensor, by_row: Tensor, shift: Tensor, size: int) -> Tensor:
    """Return one input coordinate (batch, size, size) of every output pixel, in [-1, 1] between the image's borders.

    It is a row of an affine matrix times the coordinates of the output. `torch.nn.functional.affine_grid` does the same
    by a product of matrices, which took a third of the time of an augmentation.
    """
    centres = (2 * torch.arange(size, device=shift.device, dtype=shift.dtype) + 1) / size - 1
    rows = by_row[:, None] * centres + shift[:, None]
    return (by_column[:, None] * centres)[:, None, :] + rows[:, :, None]


def _column(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _inside(box: list[Tensor], size: int) -> Tensor:
    """Return the mask (batch, 1, size, size) of pixels whose centre lies in the box."""
    top, left, height, width = (_column(side) for side in box)
    centres = (torch.arange(size, device=top.device, dtype=top.dtype) + 0.5) / size
    rows, columns = centres[None, None, :, None], centres[None, None, None, :]
    return (rows >= top) & (rows < top + height) & (columns >= left) & (columns < left + width)
