"""What the benchmark compares: two loops as others write them, and this project's executors, on the same cells.

(a) naive: per cell a DataLoader that opens every file with PIL, transforms it, and the whole network with frozen
layers. (b) careful: the same with decoded images in memory, channels last, the trunk under `no_grad`, validation and
    test features computed once a cell.
(c) sequential and (d) lockstep: `study.training.lockstep`.
The networks, the optimiser, the schedule and the number of epochs are the same in all of them.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
from mmbc.training.device import autocast, configure
from mmbc.training.features import Stream, grey, normalised
from mmbc.training.fit import Fit, Part
from study.design.cells import Cell

WORKERS = 2
"""Loader processes of the naive loop."""


@dataclass(frozen=True)
class Took:
    """What a contender did.

    Attributes:
        seconds: once for the whole study (decoding), and for each cell measured, by name.
        n_images: images that were trained on or evaluated.
    """

    once: float
    cells: dict[str, float]
    n_images: int


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
        configure_plainly(cell.config)
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
        self.n_images = 0

    @abstractmethod
    def _train_batches(self) -> Iterator[tuple[Tensor | None, Tensor, Tensor]]:
        """Yield (features, table, labels)."""

    @abstractmethod
    def _evaluation_batches(self, part: str) -> Iterator[tuple[Tensor | None, Tensor]]:
        """Yield (features, table) of a part."""

    def run(self) -> int:
        """Train for all epochs with a validation after each, predict the test part; return the number of images seen."""
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
                self.n_images += len(labels)
            self.schedule.step()
            self._evaluate("validation")
        self._evaluate("test")
        return self.n_images

    def _evaluate(self, part: str) -> None:
        self.network.eval()
        with torch.no_grad(), autocast(self.config.run):
            for features, table in self._evaluation_batches(part):
                self.network(features, table).float().cpu()
                self.n_images += len(table)

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
        return grey(self.pixels[rows], self.device)

    @torch.no_grad()
    def _trunk(self, images: Tensor) -> Tensor:
        assert self.backbone is not None
        with autocast(self.config.run):
            features = normalised(images, self.backbone.normalisation)
            for stage in self.stages:
                features = stage(features)
            return features

    def _train_batches(self) -> Iterator[tuple[Tensor | None, Tensor, Tensor]]:
        part = self.parts["train"]
        draws = augmentation.draws(self.config.augment, len(part.rows), seed=int(torch.randint(2**31, (1,))), epoch=0)
        for batch in self._order(len(part.rows)):
            chosen = batch.numpy()
            images = augmentation.apply(self._clean(part.rows[chosen]), torch.from_numpy(draws[chosen]).to(self.device))
            table, labels = torch.from_numpy(part.table[chosen]), torch.from_numpy(part.labels[chosen])
            yield self._trunk(images), table.to(self.device), labels.to(self.device)

    def _evaluation_batches(self, part: str) -> Iterator[tuple[Tensor | None, Tensor]]:
        table = torch.from_numpy(self.parts[part].table).to(self.device)
        size = self.config.train.batch_size
        yield from zip(self.features[part].split(size), table.split(size), strict=True)


def configure_plainly(config: Config) -> None:
    """Set threads as configured and leave the allocator as it is."""
    torch.set_num_threads(config.run.threads)


def naive(cells: list[Cell], cohort: Cohort) -> Took:
    """Train cells with loop (a)."""
    took, n_images = {}, 0
    for cell in cells:
        backbone = Backbone(cell.config.model.backbone, cell.config.model.weights) if cell.config.uses_images else None
        began = time.perf_counter()
        loop = NaiveLoop(cell, cohort, backbone) if backbone is not None else _TableLoop(cell, cohort, None)
        n_images += loop.run() if backbone is not None else 0 * loop.run()
        took[cell.name] = time.perf_counter() - began
    return Took(0.0, took, n_images)


def careful(cells: list[Cell], cohort: Cohort) -> Took:
    """Train cells with loop (b)."""
    began = time.perf_counter()
    pixels = np.stack([_opened(path, cells[0].config.data.image_size) for path in cohort.images["path"]])
    once, took, n_images = time.perf_counter() - began, {}, 0
    for cell in cells:
        backbone = Backbone(cell.config.model.backbone, cell.config.model.weights) if cell.config.uses_images else None
        began = time.perf_counter()
        loop = CarefulLoop(cell, cohort, backbone, pixels) if backbone is not None else _TableLoop(cell, cohort, None)
        n_images += loop.run() if backbone is not None else 0 * loop.run()
        took[cell.name] = time.perf_counter() - began
    return Took(once, took, n_images)


def _opened(path: Path, size: int) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("L").resize((size, size), Image.Resampling.BILINEAR))


def lower_bound(cells: list[Cell], n_rows: int, n_tabular: int, *, repetitions: int = 3) -> dict[str, float]:
    """Return the seconds of pure compute: one trunk pass an epoch and one clean pass, and all tails.

    Trunk batches and training steps are timed on constant data with nothing around them, in this process, and
    multiplied by how many the study needs.
    """
    config = cells[0].config
    configure(config.run)
    seconds = {"trunk": 0.0, "tails": 0.0}
    with_images = [cell for cell in cells if cell.config.uses_images]
    backbone = None
    if with_images:
        model = with_images[0].config.model
        backbone = Backbone(model.backbone, model.weights).to(config.run.device)
        cuts = sorted({cell.config.model.fine_tuned_blocks for cell in with_images})
        size, batch = config.data.image_size, config.run.trunk_batch
        images = normalised(torch.rand(batch, 1, size, size, device=config.run.device), backbone.normalisation)

        def trunk() -> None:
            with torch.inference_mode(), autocast(config.run):
                backbone(images, cuts)

        passes = config.train.max_epochs + 1
        seconds["trunk"] = passes * (n_rows / batch) * _median(trunk, 4 * repetitions, config.run.device)
    for kind in {cell.config_digest: cell for cell in cells}.values():
        n = 2 * kind.config.train.batch_size
        step, predict = _tail_times(
            kind.config, backbone if kind.config.uses_images else None, n_tabular, n, repetitions
        )
        same = [cell for cell in cells if cell.config_digest == kind.config_digest]
        share = n_rows / sum(len(ids) for ids in kind.split.parts().values())  # images a patient
        trained = sum(len(cell.split.train) for cell in same) * share * kind.config.train.max_epochs
        validated = sum(len(cell.split.validation) for cell in same) * share * (kind.config.train.max_epochs + 1)
        tested = sum(len(cell.split.test) for cell in same) * share
        seconds["tails"] += trained * step + (validated + tested) * predict
    return seconds


def _tail_times(
    config: Config, backbone: Backbone | None, n_tabular: int, n: int, repetitions: int
) -> tuple[float, float]:
    """Return seconds an image of training and of predicting behind the trunk."""
    rng = np.random.default_rng(0)
    part = Part(np.arange(n), (np.arange(n) % 2).astype(np.float32), rng.random((n, n_tabular), dtype=np.float32))
    fit = Fit("probe", config, backbone, part, part, n_rows=n, seed=0)
    size = config.data.image_size
    blank = np.zeros((n, size, size), dtype=np.uint8)
    stream = Stream(n, backbone, blank, config.augment, config.run, seed=0)
    chunk = next(iter(stream.chunks(0, np.ones(n, dtype=bool), [fit.cut])))

    def take(rows: np.ndarray) -> Tensor:
        return chunk.features[fit.cut][torch.from_numpy(rows)].contiguous(memory_format=torch.channels_last)

    train = _median(lambda: fit.consume(chunk), repetitions, config.run.device)
    predict = _median(
        lambda: fit.predict(part.rows, part.table, take if backbone is not None else None),
        repetitions,
        config.run.device,
    )
    return train / len(chunk.rows), predict / n


def _median(work: Callable[[], object], repetitions: int, device: str) -> float:
    times = []
    for _ in range(repetitions + 1):
        began = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return float(np.median(times[1:]))
