"""Two training loops as others write them, to be compared with this project's executors on the same cells.

(a) naive: per cell a DataLoader that opens every file with PIL, transforms it, and the whole network with frozen
layers. (b) careful: the same with decoded images in memory, channels last, the trunk under `no_grad`, validation and
test features computed once a cell. The networks, the optimiser, the schedule and the number of epochs are those of
(c) sequential and (d) lockstep: `study.training.lockstep`.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from mmbc.config import Config
from mmbc.data.cohort import Cohort
from mmbc.data.images import augmentation
from mmbc.data.splits import rows_of
from mmbc.data.tables import encoding
from mmbc.model.backbone import Backbone
from mmbc.model.network import Network
from mmbc.threads import available_cores
from mmbc.training.device import autocast
from mmbc.training.fit import Part
from mmbc.training.stream import normalise, to_tensor
from study.design.cells import Cell

WORKERS = 2
"""Loader processes of the naive loop."""


class Files(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Images opened from their files one by one, as in most code: PIL, then torchvision's transforms."""

    def __init__(
        self, paths: list[Path], table: np.ndarray, labels: np.ndarray, transform: Callable[..., Tensor]
    ) -> None:
        self.paths, self.table, self.labels, self.transform = paths, table, labels, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        with Image.open(self.paths[index]) as image:
            pixels = self.transform(image.convert("RGB"))
        return pixels, torch.from_numpy(self.table[index]), torch.tensor(self.labels[index])


def _transforms(config: Config, backbone: Backbone, *, training: bool) -> Callable[..., Tensor]:
    size, a = config.data.image_size, config.augment
    steps: list[Callable[..., object]] = [transforms.Resize((size, size))]
    if training:
        steps = [
            transforms.RandomResizedCrop(size, scale=(a.min_crop**2, 1), ratio=(1, 1)),
            transforms.RandomHorizontalFlip(a.flip),
            transforms.RandomRotation(a.rotation),
            transforms.ColorJitter(a.brightness, a.contrast),
        ]
    steps += [transforms.ToTensor(), transforms.Normalize(backbone.normalisation.mean, backbone.normalisation.std)]
    if training:
        steps.append(transforms.RandomErasing(a.erase, scale=(0.02, a.erase_area)))
    return transforms.Compose(steps)


class _Loop(ABC):
    """One cell trained the ordinary way; subclasses say where batches come from."""

    def __init__(self, cell: Cell, cohort: Cohort, backbone: Backbone | None) -> None:
        configure_plainly()
        torch.manual_seed(cell.fit_seed)
        self.config, self.backbone = cell.config, backbone
        images = cohort.images
        rows = rows_of(cell.split, images)
        encoder = encoding.fit(images.loc[rows["train"]], cohort.features)
        self.parts = {
            part: Part(chosen, images.loc[chosen, "label"].to_numpy(np.float32), encoder.transform(images.loc[chosen]))
            for part, chosen in rows.items()
        }
        self.device = torch.device(cell.config.run.device)
        self.network = Network(cell.config.model, backbone, encoder.n_outputs).to(self.device)
        t = cell.config.train
        self.optimiser = torch.optim.AdamW(self.network.parameter_groups(t.lr, t.head_lr), weight_decay=t.weight_decay)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(
            self.optimiser, t.restart_epochs, t.restart_factor
        )

    @abstractmethod
    def _train_batches(self) -> Iterator[tuple[Tensor | None, Tensor, Tensor]]:
        """Yield (features, table, labels)."""

    @abstractmethod
    def _evaluation_batches(self, part: str) -> Iterator[tuple[Tensor | None, Tensor]]:
        """Yield (features, table) of a part."""

    def run(self) -> None:
        """Train for all epochs with a validation after each, and predict the test part."""
        t = self.config.train
        for _ in range(t.max_epochs):
            self.network.train()
            for features, table, labels in self._train_batches():
                if len(labels) < 2:
                    continue
                with autocast(self.config.run):
                    logits = self.network(features, table)
                target = labels * (1 - t.label_smoothing) + t.label_smoothing / 2
                loss = F.binary_cross_entropy_with_logits(logits.float(), target)
                self.optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), t.clip_norm)
                self.optimiser.step()
            self.schedule.step()
            self._evaluate("validation")
        self._evaluate("test")

    def _evaluate(self, part: str) -> None:
        self.network.eval()
        with torch.no_grad(), autocast(self.config.run):
            for features, table in self._evaluation_batches(part):
                self.network(features, table).float().cpu()

    def _order(self, n: int) -> list[Tensor]:
        return list(torch.randperm(n).split(self.config.train.batch_size))


class _TableLoop(_Loop):
    """A tabular-only cell: nobody opens images for it."""

    def _train_batches(self) -> Iterator[tuple[Tensor | None, Tensor, Tensor]]:
        part = self.parts["train"]
        table, labels = torch.from_numpy(part.table), torch.from_numpy(part.labels)
        for batch in self._order(len(labels)):
            yield None, table[batch].to(self.device), labels[batch].to(self.device)

    def _evaluation_batches(self, part: str) -> Iterator[tuple[Tensor | None, Tensor]]:
        yield None, torch.from_numpy(self.parts[part].table).to(self.device)


class NaiveLoop(_Loop):
    """(a): files opened every time, whole network on every image."""

    def __init__(self, cell: Cell, cohort: Cohort, backbone: Backbone) -> None:
        super().__init__(cell, cohort, backbone)
        # as everybody builds it: batch-norm in place, default memory layout
        self.frozen = torch.nn.Sequential(*backbone.stages[: backbone.depth(cell.config.model.fine_tuned_blocks)])
        self.frozen = self.frozen.to(memory_format=torch.contiguous_format).eval()
        self.network.to(memory_format=torch.contiguous_format)
        self.loaders = {part: self._loader(cohort, rows, training=part == "train") for part, rows in self.parts.items()}

    def _loader(self, cohort: Cohort, part: Part, *, training: bool) -> DataLoader[tuple[Tensor, Tensor, Tensor]]:
        assert self.backbone is not None
        files = Files(
            cohort.images.loc[part.rows, "path"].tolist(),
            part.table,
            part.labels,
            _transforms(self.config, self.backbone, training=training),
        )
        return DataLoader(
            files,
            batch_size=self.config.train.batch_size,
            shuffle=training,
            num_workers=WORKERS,
            pin_memory=self.device.type == "cuda",
            persistent_workers=True,
            multiprocessing_context="fork",
        )

    def _train_batches(self) -> Iterator[tuple[Tensor | None, Tensor, Tensor]]:
        for pixels, table, labels in self.loaders["train"]:
            yield self.frozen(pixels.to(self.device)), table.to(self.device), labels.to(self.device)

    def _evaluation_batches(self, part: str) -> Iterator[tuple[Tensor | None, Tensor]]:
        for pixels, table, _ in self.loaders[part]:
            yield self.frozen(pixels.to(self.device)), table.to(self.device)


class CarefulLoop(_Loop):
    """(b): pixels in memory, channels last, trunk under no_grad, evaluation features computed once a cell."""

    def __init__(self, cell: Cell, cohort: Cohort, backbone: Backbone, pixels: np.ndarray) -> None:
        super().__init__(cell, cohort, backbone)
        self.pixels = pixels
        self.stages = backbone.stages[: backbone.depth(cell.config.model.fine_tuned_blocks)]
        self.features = {
            part: torch.cat([self._trunk(self._clean(rows)) for rows in self._batches(self.parts[part].rows)])
            for part in ("validation", "test")
        }

    def _batches(self, rows: np.ndarray) -> list[np.ndarray]:
        size = self.config.train.batch_size
        return [rows[start : start + size] for start in range(0, len(rows), size)]

    def _clean(self, rows: np.ndarray) -> Tensor:
        return to_tensor(self.pixels[rows], self.device)

    @torch.no_grad()
    def _trunk(self, images: Tensor) -> Tensor:
        assert self.backbone is not None
        with autocast(self.config.run):
            features = normalise(images, self.backbone.normalisation)
            for stage in self.stages:
                features = stage(features)
            return features

    def _train_batches(self) -> Iterator[tuple[Tensor | None, Tensor, Tensor]]:
        part = self.parts["train"]
        draws = augmentation.draw(self.config.augment, len(part.rows), seed=int(torch.randint(2**31, (1,))), epoch=0)
        for batch in self._order(len(part.rows)):
            chosen = batch.numpy()
            images = augmentation.apply(self._clean(part.rows[chosen]), torch.from_numpy(draws[chosen]).to(self.device))
            table, labels = torch.from_numpy(part.table[chosen]), torch.from_numpy(part.labels[chosen])
            yield self._trunk(images), table.to(self.device), labels.to(self.device)

    def _evaluation_batches(self, part: str) -> Iterator[tuple[Tensor | None, Tensor]]:
        table = torch.from_numpy(self.parts[part].table).to(self.device)
        size = self.config.train.batch_size
        yield from zip(self.features[part].split(size), table.split(size), strict=True)


def configure_plainly() -> None:
    """Use all cores, as torch does by itself, and leave the allocator as it is."""
    torch.set_num_threads(available_cores())


def naive(cells: list[Cell], cohort: Cohort) -> tuple[float, dict[str, float]]:
    """Train cells with loop (a); return the seconds spent once for all of them and those of each, by name."""
    return 0.0, {cell.name: _seconds(cell, cohort, NaiveLoop) for cell in cells}


def careful(cells: list[Cell], cohort: Cohort) -> tuple[float, dict[str, float]]:
    """Train cells with loop (b); return the seconds spent once for all of them and those of each, by name."""
    began = time.perf_counter()
    pixels = np.stack([_read(path, cells[0].config.data.image_size) for path in cohort.images["path"]])
    once = time.perf_counter() - began
    return once, {cell.name: _seconds(cell, cohort, partial(CarefulLoop, pixels=pixels)) for cell in cells}


def _seconds(cell: Cell, cohort: Cohort, image_loop: Callable[[Cell, Cohort, Backbone], _Loop]) -> float:
    """Train one cell and return how long it took; a cell without images has a loop of its own."""
    model = cell.config.model
    backbone = Backbone(model.backbone, model.weights) if cell.config.uses_images else None
    began = time.perf_counter()
    (image_loop(cell, cohort, backbone) if backbone is not None else _TableLoop(cell, cohort, None)).run()
    return time.perf_counter() - began


def _read(path: Path, size: int) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("L").resize((size, size), Image.Resampling.BILINEAR))
