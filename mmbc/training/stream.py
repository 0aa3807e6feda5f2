"""The stream of trunk features: augmented in chunks or views, clean once. Nothing else in a study runs a trunk.

Features depend on (trunk, image, seed, epoch) alone. To make that true to the last bit, the trunk runs in eval mode on
batches of one size, and a smaller one is filled up: torch computes batches of other sizes by other kernels.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from mmbc.cache import make_room
from mmbc.config import AugmentConfig, RunConfig, digest, identity
from mmbc.data.images import augmentation
from mmbc.model.backbone import Backbone, Normalisation, Tap
from mmbc.training.device import autocast

FORMAT = 4
"""Version of the stored features; raise it when the same key would give other features."""


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
        epoch: whose augmentation the images get, or the number of a view; None for none.
        files: tap -> memory-mapped `.npy` file (n, height, width, channels), pooled (n, channels); of float32, those of
            views of float16.
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
        n_views: views of the bank that the epochs draw from, once `prepare` has made it; 0 for new ones every epoch.
        bank_seed: seed of these views, the same for several seeds.

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
        n_views: int = 0,
        bank_seed: int = 0,
    ) -> None:
        self.n_rows = n_rows
        self.backbone = backbone
        self.pixels = pixels
        self.augmentation = augmentation
        self.run = run
        self.seed = seed
        # images that are never changed have a single view
        self.n_views = n_views if augmentation.enabled else min(n_views, 1)
        self.bank_seed = bank_seed
        self.device = torch.device(run.device)
        self.seconds = {"augmentation": 0.0, "trunk": 0.0}
        self._drawn: tuple[int, np.ndarray] | None = None
        self._bank: list[dict[Tap, np.ndarray]] = []

    @property
    def computes(self) -> bool:
        """Whether the chunks of an epoch have to be computed."""
        return self.backbone is not None and not self.n_views

    def order(self, epoch: int) -> np.ndarray:
        """Return the order of the cohort in this epoch: a permutation (n_rows,)."""
        sequence = np.random.SeedSequence([self.seed, epoch, 1])
        return np.random.Generator(np.random.PCG64(sequence)).permutation(self.n_rows)

    def plan(self, epoch: int, wanted: np.ndarray) -> list[list[np.ndarray]]:
        """Return the trunk batches of every chunk of an epoch, as row numbers (batch,); one where nothing is computed.

        Args:
            epoch: 0, 1, ...
            wanted: (n_rows,) of bool; a batch in which no row is wanted is left out, and so is an empty chunk.
        """
        order, size = self.order(epoch), self.run.chunk_size
        chunks = [order[start : start + size] for start in range(0, self.n_rows, size)]
        if not self.computes:
            return [[chosen] for rows in chunks if len(chosen := rows[wanted[rows]])]
        step = self.run.trunk_batch
        batches = [[rows[at : at + step] for at in range(0, len(rows), step)] for rows in chunks]
        needed = [[batch for batch in chunk if wanted[batch].any()] for chunk in batches]
        return [chunk for chunk in needed if chunk]

    def chunks(self, epoch: int, wanted: np.ndarray, taps: Sequence[Tap]) -> Iterator[Chunk]:
        """Yield the chunks of an epoch, see `plan`."""
        for batches in self.plan(epoch, wanted):
            if not self.computes:
                yield self.stored_chunk(batches[0], epoch, taps)
                continue
            parts = [self.features(batch, epoch, taps) for batch in batches]
            yield Chunk(np.concatenate(batches), {tap: torch.cat([part[tap] for part in parts]) for tap in taps})

    def features(self, rows: np.ndarray, epoch: int | None, taps: Sequence[Tap]) -> dict[Tap, Tensor]:
        """Return tap -> features of a batch of rows, as they are augmented in an epoch.

        Args:
            rows: at most `run.trunk_batch` row numbers (n,).
            epoch: 0, 1, ...; of a stream with a bank, the number of a view; None for no augmentation.
            taps: what is wanted.
        """
        assert self.backbone is not None and self.pixels is not None
        n, rows = len(rows), np.pad(rows, (0, self.run.trunk_batch - len(rows)), mode="edge")
        with torch.inference_mode():
            began = time.perf_counter()
            images = to_tensor(self.pixels[rows], self.device)
            if epoch is not None and self.augmentation.enabled:
                parameters = torch.from_numpy(self._parameters(epoch)[rows])
                images = augmentation.apply(images, parameters.to(self.device))
            images = normalise(images, self.backbone.normalisation)
            augmented = time.perf_counter()
            # in bfloat16 the grid of the augmentation would be off by pixels
            with autocast(self.run, trunk=True):
                features = self.backbone(images, taps)
            self.seconds["augmentation"] += augmented - began
            self.seconds["trunk"] += time.perf_counter() - augmented
            kept = torch.float32 if self.device.type == "cpu" else None  # as in the files that workers share
            return {tap: found[:n].to(kept) for tap, found in features.items()}

    def fill(self, task: TrunkTask) -> None:
        """Compute a batch and write its features where they belong."""
        for tap, features in self.features(task.rows, task.epoch, list(task.files)).items():
            store = np.load(task.files[tap], mmap_mode="r+")
            largest = float(np.finfo(store.dtype).max)
            values = _as_stored(features).float().clamp(-largest, largest).cpu().numpy()
            store[task.start : task.start + len(task.rows)] = values

    def shapes(self, taps: Sequence[Tap]) -> dict[Tap, tuple[int, ...]]:
        """Return tap -> shape of one image's features as files have them: (height, width, channels) or (channels,)."""
        assert self.backbone is not None and self.pixels is not None
        features = self.backbone(torch.zeros(2, 3, *self.pixels.shape[1:], device=self.device), taps)
        return {tap: tuple(_as_stored(found).shape[1:]) for tap, found in features.items()}

    def _parameters(self, epoch: int) -> np.ndarray:
        """Return the augmentation's parameters (n_rows, n_parameters) of an epoch or view; the latest are kept."""
        if self._drawn is None or self._drawn[0] != epoch:
            seed = self.bank_seed if self.n_views else self.seed
            self._drawn = epoch, augmentation.draw(self.augmentation, self.n_rows, seed=seed, epoch=epoch)
        return self._drawn[1]

    def views(self, epoch: int) -> np.ndarray:
        """Return the view (n_rows,) of every image in an epoch: each once in `n_views` epochs, in random order."""
        cycle, place = divmod(epoch, self.n_views)
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, cycle, 4])))
        return rng.permuted(np.tile(np.arange(self.n_views), (self.n_rows, 1)), axis=1)[:, place]

    def stored_chunk(self, rows: np.ndarray, epoch: int, taps: Sequence[Tap]) -> Chunk:
        """Return the chunk of some rows where nothing is to be computed: of the bank, or without a trunk."""
        if self.backbone is None:
            return Chunk(rows, {})
        views = self.views(epoch)[rows]
        return Chunk(rows, {tap: self._from_bank(rows, views, tap) for tap in taps})

    def _from_bank(self, rows: np.ndarray, views: np.ndarray, tap: Tap) -> Tensor:
        """Return the features of rows (n,), each in a view of its own (n,)."""
        stored = [view[tap] for view in self._bank]
        features = np.empty((len(rows), *stored[0].shape[1:]), dtype=stored[0].dtype)
        for view in np.unique(views):
            features[views == view] = stored[view][rows[views == view]]
        return as_computed(torch.from_numpy(features).to(self.device).float())

    def prepare(
        self,
        cache: Path,
        taps: Sequence[Tap],
        pixels_digest: str,
        compute: Callable[[Sequence[TrunkTask]], None],
        *,
        limit_gib: float,
    ) -> "dict[Tap, CleanFeatures]":
        """Compute what is kept in files: features without augmentation, which are returned, and the views of the bank.

        Args:
            cache: folder in whose subfolder `features` they lie, by the digest of weights, depth, images and settings
                that decide on the last bits.
            taps: which features; those that are kept already are not computed again.
            pixels_digest: digest of the stored images.
            compute: fills the batches of one pass, see `fill`: here, or shared out over processes.
            limit_gib: largest size in GiB of all features that are kept; the longest unused are removed first.

        Raises:
            StudyError: they are larger than the limit or the free space of the disk.
        """
        assert self.backbone is not None
        folder = cache / "features"
        folder.mkdir(parents=True, exist_ok=True)
        passes: dict[int | None, dict[Tap, Path]] = {
            epoch: {tap: folder / f"{self._key(tap, epoch, pixels_digest)}.npy" for tap in taps}
            for epoch in (None, *range(self.n_views))
        }
        # of two processes that need the same features, one computes them and the other waits
        with FileLock(folder / ".lock"):
            missing = {
                epoch: {tap: file for tap, file in files.items() if not file.exists()}
                for epoch, files in passes.items()
            }
            kept = [file for files in passes.values() for file in files.values() if file.exists()]
            for file in kept:
                os.utime(file)
            if any(missing.values()):
                shapes = {tap: (self.n_rows, *shape) for tap, shape in self.shapes(taps).items()}
                sizes = [
                    stored_type(epoch).itemsize * math.prod(shapes[tap])
                    for epoch, files in missing.items()
                    for tap in files
                ]
                make_room(cache, sum(sizes), limit_gib, own=sum(file.stat().st_size for file in kept))
                for epoch, files in missing.items():
                    if files:
                        self._write_pass(epoch, files, shapes, compute)
        self._bank = [
            {tap: np.load(file, mmap_mode="r") for tap, file in passes[view].items()} for view in range(self.n_views)
        ]
        return {tap: CleanFeatures(np.load(file, mmap_mode="r"), self.device) for tap, file in passes[None].items()}

    def _key(self, tap: Tap, epoch: int | None, pixels_digest: str) -> str:
        assert self.backbone is not None
        kept = self.run.model_dump(include={"device", "threads", "trunk_batch", "precision", "trunk_precision"})
        view = {} if epoch is None else {"augment": identity(self.augmentation), "seed": self.bank_seed, "view": epoch}
        key = digest(
            {
                "format": FORMAT,
                "backbone": self.backbone.digest,
                "depth": self.backbone.depth(tap.cut),
                "pooled": tap.pooled,
                "pixels": pixels_digest,
                "torch": torch.__version__,
                **kept,
                **view,
            }
        )
        return f"{'clean' if epoch is None else 'view'}-{key}"

    def _write_pass(
        self,
        epoch: int | None,
        files: Mapping[Tap, Path],
        shapes: Mapping[Tap, tuple[int, ...]],
        compute: Callable[[Sequence[TrunkTask]], None],
    ) -> None:
        """Run every image through the trunk once and write its features at every tap, each file whole or not at all."""
        partial = {tap: file.with_suffix(".part") for tap, file in files.items()}
        stores = [
            np.lib.format.open_memmap(part, mode="w+", dtype=stored_type(epoch), shape=shapes[tap])
            for tap, part in partial.items()
        ]
        starts = range(0, self.n_rows, self.run.trunk_batch)
        batches = [np.arange(start, min(start + self.run.trunk_batch, self.n_rows)) for start in starts]
        compute([TrunkTask(rows, epoch, partial, int(rows[0])) for rows in batches])
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
        return as_computed(torch.from_numpy(self.stored[rows]).to(self.device))


def stored_type(epoch: int | None) -> "np.dtype[np.floating[Any]]":
    """Return the type of kept features: half precision for views, which are many."""
    return np.dtype(np.float32 if epoch is None else np.float16)


def _as_stored(features: Tensor) -> Tensor:
    """Turn maps (n, channels, height, width) into (n, height, width, channels); pooled features stay as they are."""
    return features.permute(0, 2, 3, 1) if features.dim() == 4 else features


def as_computed(features: Tensor) -> Tensor:
    """Turn maps (n, height, width, channels) into (n, channels, height, width); pooled features stay as they are."""
    return features.permute(0, 3, 1, 2) if features.dim() == 4 else features
