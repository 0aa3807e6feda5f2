"""The stream of trunk features: augmented in chunks, clean once. Nothing else in a study runs a trunk.

Features depend on (trunk, image, seed, epoch) alone. To make that true to the last bit, the trunk runs in eval mode on
batches of one size, and a smaller one is filled up: torch computes batches of other sizes by other kernels.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from mmbc.cache import make_room
from mmbc.config import AugmentConfig, RunConfig, digest
from mmbc.data.images import augmentation
from mmbc.model.backbone import Backbone, Normalisation, Tap
from mmbc.training.device import autocast

FORMAT = 4
"""Version of the stored clean features; raise it when the same key would give other features."""


@dataclass(frozen=True)
class Chunk:
    """Trunk features of some images of the cohort.

    Attributes:
        rows: cohort row numbers (n,) of int64.
        features: tap -> trunk features (n, channels, height, width), pooled (n, channels); empty without a trunk.
    """

    rows: np.ndarray
    features: dict[Tap, Tensor]


@dataclass(frozen=True)
class TrunkTask:
    """A trunk batch that any process can compute: which features, and where they go.

    Attributes:
        rows: cohort row numbers (batch,).
        epoch: whose augmentation the images get; None for none.
        files: tap -> memory-mapped `.npy` file (n, height, width, channels), pooled (n, channels), of float32.
        start: position of the first row in these files.
    """

    rows: np.ndarray
    epoch: int | None
    files: Mapping[Tap, Path]
    start: int


def normalise(pixels: Tensor, normalisation: Normalisation) -> Tensor:
    """Turn grey images (batch, 1, size, size) in [0, 1] into network input (batch, 3, size, size), channels last."""
    mean = torch.tensor(normalisation.mean, device=pixels.device).view(1, 3, 1, 1)
    std = torch.tensor(normalisation.std, device=pixels.device).view(1, 3, 1, 1)
    return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)


def to_tensor(pixels: np.ndarray, device: torch.device) -> Tensor:
    """Turn stored pixels (batch, size, size) of uint8 into (batch, 1, size, size) of float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).to(device).unsqueeze(1).float() / 255


class Stream:
    """The trunk features of the whole cohort for one seed, epoch by epoch, passing by in chunks.

    Args:
        n_rows: images in the cohort.
        backbone: the trunk; None for models without an image branch, whose chunks carry row numbers alone.
        pixels: stored images (n_rows, size, size) of uint8; None without a trunk.
        augmentation: the random changes, the same for all fits with this seed.
        run: device, chunk and batch sizes, precision.
        seed: seed of the order and of the augmentation.

    Attributes:
        seconds: time spent on augmentation and in the trunk so far (on CUDA: until the kernels were launched).
    """

    def __init__(
        self,
        n_rows: int,
        backbone: Backbone | None,
        pixels: np.ndarray | None,
        augmentation: AugmentConfig,
        run: RunConfig,
        *,
        seed: int,
    ) -> None:
        self.n_rows = n_rows
        self.backbone = backbone
        self.pixels = pixels
        self.augmentation = augmentation
        self.run = run
        self.seed = seed
        self.device = torch.device(run.device)
        self.seconds = {"augmentation": 0.0, "trunk": 0.0}
        self._drawn: tuple[int, np.ndarray] | None = None

    def order(self, epoch: int) -> np.ndarray:
        """Return the order of the cohort in this epoch: a permutation (n_rows,)."""
        sequence = np.random.SeedSequence([self.seed, epoch, 1])
        return np.random.Generator(np.random.PCG64(sequence)).permutation(self.n_rows)

    def plan(self, epoch: int, wanted: np.ndarray) -> list[list[np.ndarray]]:
        """Return the trunk batches of every chunk of an epoch, as row numbers (batch,).

        Args:
            epoch: 0, 1, ...
            wanted: (n_rows,) of bool; a trunk batch in which no row is wanted is left out, and so is an empty chunk.
        """
        order, size = self.order(epoch), self.run.chunk_size
        chunks = [order[start : start + size] for start in range(0, self.n_rows, size)]
        if self.backbone is None:
            return [[rows] for rows in chunks]
        step = self.run.trunk_batch
        batches = [[rows[at : at + step] for at in range(0, len(rows), step)] for rows in chunks]
        needed = [[batch for batch in chunk if wanted[batch].any()] for chunk in batches]
        return [chunk for chunk in needed if chunk]

    def chunks(self, epoch: int, wanted: np.ndarray, taps: Sequence[Tap]) -> Iterator[Chunk]:
        """Yield the chunks of an epoch, see `plan`."""
        for batches in self.plan(epoch, wanted):
            if self.backbone is None:
                yield Chunk(batches[0], {})
                continue
            parts = [self.features(batch, epoch, taps) for batch in batches]
            yield Chunk(np.concatenate(batches), {tap: torch.cat([part[tap] for part in parts]) for tap in taps})

    def features(self, rows: np.ndarray, epoch: int | None, taps: Sequence[Tap]) -> dict[Tap, Tensor]:
        """Return tap -> features of a batch of rows, as they are augmented in an epoch; clean with None.

        Args:
            rows: at most `run.trunk_batch` row numbers (n,).
            epoch: 0, 1, ...
            taps: what is wanted.
        """
        assert self.backbone is not None and self.pixels is not None
        n, rows = len(rows), np.pad(rows, (0, self.run.trunk_batch - len(rows)), mode="edge")
        with torch.inference_mode(), autocast(self.run):
            began = time.perf_counter()
            images = to_tensor(self.pixels[rows], self.device)
            if epoch is not None and self.augmentation.enabled:
                parameters = torch.from_numpy(self._parameters(epoch)[rows])
                images = augmentation.apply(images, parameters.to(self.device))
            images = normalise(images, self.backbone.normalisation)
            augmented = time.perf_counter()
            features = self.backbone(images, taps)
            self.seconds["augmentation"] += augmented - began
            self.seconds["trunk"] += time.perf_counter() - augmented
            return {tap: found[:n] for tap, found in features.items()}

    def fill(self, task: TrunkTask) -> None:
        """Compute a batch and write its features where they belong."""
        for tap, features in self.features(task.rows, task.epoch, list(task.files)).items():
            values = _as_stored(features).float().cpu().numpy()
            np.load(task.files[tap], mmap_mode="r+")[task.start : task.start + len(task.rows)] = values

    def shapes(self, taps: Sequence[Tap]) -> dict[Tap, tuple[int, ...]]:
        """Return tap -> shape of one image's features as files have them: (height, width, channels) or (channels,)."""
        assert self.backbone is not None and self.pixels is not None
        features = self.backbone(torch.zeros(2, 3, *self.pixels.shape[1:], device=self.device), taps)
        return {tap: tuple(_as_stored(found).shape[1:]) for tap, found in features.items()}

    def _parameters(self, epoch: int) -> np.ndarray:
        """Return the augmentation's parameters (n_rows, n_parameters) of an epoch; the latest are kept."""
        if self._drawn is None or self._drawn[0] != epoch:
            self._drawn = epoch, augmentation.draw(self.augmentation, self.n_rows, seed=self.seed, epoch=epoch)
        return self._drawn[1]

    def clean(
        self,
        cache: Path,
        taps: Sequence[Tap],
        pixels_digest: str,
        compute: Callable[[Sequence[TrunkTask]], None],
        *,
        limit_gib: float,
    ) -> "dict[Tap, CleanFeatures]":
        """Return the features of all images without augmentation, computed in one pass and kept.

        Args:
            cache: folder in whose subfolder `features` they lie, by the digest of weights, depth, images and settings
                that decide on the last bits.
            taps: which features; those that are kept already are not computed again.
            pixels_digest: digest of the stored images.
            compute: fills the batches that it is given, see `fill`: here, or shared out over processes.
            limit_gib: largest size in GiB of all clean features that are kept; the longest unused are removed first.

        Raises:
            StudyError: they are larger than the limit or the free space of the disk.
        """
        assert self.backbone is not None
        folder = cache / "features"
        folder.mkdir(parents=True, exist_ok=True)
        files = {tap: folder / f"clean-{self._clean_key(tap, pixels_digest)}.npy" for tap in taps}
        # of two processes that need the same features, one computes them and the other waits
        with FileLock(folder / ".lock"):
            missing = {tap: file for tap, file in files.items() if not file.exists()}
            for file in files.values():
                if file.exists():
                    os.utime(file)
            if missing:
                self._write_clean(cache, missing, compute, limit_gib)
        return {tap: CleanFeatures(np.load(file, mmap_mode="r"), self.device) for tap, file in files.items()}

    def _clean_key(self, tap: Tap, pixels_digest: str) -> str:
        assert self.backbone is not None
        kept = self.run.model_dump(include={"device", "threads", "trunk_batch", "precision"})
        return digest(
            {
                "format": FORMAT,
                "backbone": self.backbone.digest,
                "depth": self.backbone.depth(tap.cut),
                "pooled": tap.pooled,
                "pixels": pixels_digest,
                "torch": torch.__version__,
                **kept,
            }
        )

    def _write_clean(
        self, cache: Path, files: dict[Tap, Path], compute: Callable[[Sequence[TrunkTask]], None], limit_gib: float
    ) -> None:
        """Run every image through the trunk once and write its features at every tap, each file whole or not at all."""
        partial = {tap: file.with_suffix(".part") for tap, file in files.items()}
        shapes = {tap: (self.n_rows, *shape) for tap, shape in self.shapes(list(files)).items()}
        make_room(cache, sum(4 * math.prod(shape) for shape in shapes.values()), limit_gib)
        stores = [
            np.lib.format.open_memmap(partial[tap], mode="w+", dtype=np.float32, shape=shape)
            for tap, shape in shapes.items()
        ]
        starts = range(0, self.n_rows, self.run.trunk_batch)
        batches = [np.arange(start, min(start + self.run.trunk_batch, self.n_rows)) for start in starts]
        compute([TrunkTask(rows, None, partial, int(rows[0])) for rows in batches])
        for store, (tap, file) in zip(stores, files.items(), strict=True):
            store.flush()
            partial[tap].replace(file)


class CleanFeatures:
    """Features of unaugmented images, memory-mapped: (n_rows, height, width, channels); pooled (n_rows, channels)."""

    def __init__(self, stored: np.ndarray, device: torch.device) -> None:
        self.stored = stored
        self.device = device

    def take(self, rows: np.ndarray) -> Tensor:
        """Return the features of some rows (n,) on the device: (n, channels, height, width) or (n, channels)."""
        features = torch.from_numpy(self.stored[rows]).to(self.device)
        return features.permute(0, 3, 1, 2) if features.dim() == 4 else features


def _as_stored(features: Tensor) -> Tensor:
    """Turn maps (n, channels, height, width) into (n, height, width, channels); pooled features stay as they are."""
    return features.permute(0, 2, 3, 1) if features.dim() == 4 else features
