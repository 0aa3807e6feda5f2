"""Lower bound of a study's training time: pure compute, with nothing around it."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mmbc.config import Config
from mmbc.model.backbone import Backbone
from mmbc.training.device import autocast, configure
from mmbc.training.fit import Fit, Part
from mmbc.training.stream import Stream, normalise
from study.design.cells import Cell
from study.training.stream_groups import image_taps, n_passes


def lower_bound(cells: list[Cell], n_rows: int, n_tabular: int, *, repetitions: int = 3) -> dict[str, float]:
    """Return the seconds of pure compute: one trunk pass an epoch (or view of a bank), one clean pass, and all tails.

    Trunk batches and training steps are timed on constant data with nothing around them, in this process, and
    multiplied by how many the study needs.
    """
    run = cells[0].config.run
    configure(run)
    with_images = [cell for cell in cells if cell.config.uses_images]
    seconds = {"trunk": 0.0, "tails": 0.0}
    backbone = None
    if with_images:
        model = with_images[0].config.model
        backbone = Backbone(model.backbone, model.weights).to(run.device)
        seconds["trunk"] = n_rows * _trunk_time(with_images, backbone, 4 * repetitions)
    for digest, kind in {cell.config_digest: cell for cell in cells}.items():
        tail = backbone if kind.config.uses_images else None
        training, prediction = _tail_times(kind.config, tail, n_tabular, repetitions)
        same = [cell for cell in cells if cell.config_digest == digest]
        epochs = kind.config.train.max_epochs
        share = n_rows / sum(len(ids) for ids in kind.split.parts().values())  # images a patient
        n_trained = sum(len(cell.split.train) for cell in same) * share * epochs
        n_validated = sum(len(cell.split.validation) for cell in same) * share * (epochs + 1)
        n_tested = sum(len(cell.split.test) for cell in same) * share
        seconds["tails"] += n_trained * training + (n_validated + n_tested) * prediction
    return seconds


def _trunk_time(cells: list[Cell], backbone: Backbone, repetitions: int) -> float:
    """Return seconds an image of all passes: one an epoch or view of a bank, and the clean one."""
    config = cells[0].config
    taps = image_taps(cells)
    size, batch = config.data.image_size, config.run.trunk_batch
    images = normalise(torch.rand(batch, 1, size, size, device=config.run.device), backbone.normalisation)

    def trunk() -> None:
        with torch.inference_mode(), autocast(config.run, trunk=True):
            backbone(images, taps)

    return (n_passes(cells, "lockstep") + 1) / batch * _median(trunk, repetitions, config.run.device)


def _tail_times(config: Config, backbone: Backbone | None, n_tabular: int, repetitions: int) -> tuple[float, float]:
    """Return seconds an image of training and of predicting behind the trunk."""
    n = 2 * config.train.batch_size
    rng = np.random.default_rng(0)
    part = Part(np.arange(n), (np.arange(n) % 2).astype(np.float32), rng.random((n, n_tabular), dtype=np.float32))
    fit = Fit("probe", config, backbone, part, part, n_rows=n, seed=0)
    size = config.data.image_size
    blank = np.zeros((n, size, size), dtype=np.uint8)
    stream = Stream(n, backbone, blank, config.augment, config.run, seed=0)
    chunk = next(iter(stream.chunks(0, np.ones(n, dtype=bool), [fit.tap])))

    def take(rows: np.ndarray) -> Tensor:
        return chunk.features[fit.tap][torch.from_numpy(rows)]

    def predict() -> None:
        fit.predict(part.rows, part.table, take if backbone is not None else None)

    training = _median(lambda: fit.consume(chunk), repetitions, config.run.device)
    return training / len(chunk.rows), _median(predict, repetitions, config.run.device) / n


def _median(work: Callable[[], object], repetitions: int, device: str) -> float:
    times = []
    for _ in range(repetitions + 1):
        began = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return float(np.median(times[1:]))
