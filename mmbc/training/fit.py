"""A fit: one model's optimisation in progress, fed with chunks of trunk features.

A fit knows its training rows, its validation rows and their labels. It is never given the label or the clinical values
of a test row; from a chunk it takes the features of its training rows alone.
"""

import copy
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import rankdata
from torch import Tensor

from mmbc.config import Config
from mmbc.errors import ConfigError, MmbcError
from mmbc.model.backbone import Backbone, tap_of
from mmbc.model.network import PREDICTION_BATCH, Network
from mmbc.training.device import autocast
from mmbc.training.stream import Chunk


@dataclass(frozen=True)
class Part:
    """Some rows of the cohort, with labels and encoded clinical columns.

    Attributes:
        rows: cohort row numbers (n,), ascending.
        labels: (n,) of float32, 0 or 1.
        table: encoded clinical columns (n, n_columns) of float32.
    """

    rows: np.ndarray
    labels: np.ndarray
    table: np.ndarray


@dataclass
class _Leftovers:
    """Training rows that wait for a full mini-batch: features, and positions (n,) among the training rows."""

    features: Tensor | None
    positions: np.ndarray


@dataclass
class EpochTally:
    """Training logits and labels of one epoch, in the order of training, and the seconds it took."""

    logits: list[Tensor] = field(default_factory=list)
    labels: list[np.ndarray] = field(default_factory=list)
    seconds: float = 0.0


class FitDivergedError(MmbcError):
    """A loss that is no number."""


class Fit:
    """One cell's optimisation, advanced by `consume` and `end_epoch` until `stopped` says why it ended.

    Every random draw (initialisation, batch order, dropout) comes from generators of its own, so that fits can take
    turns in any order without changing each other.

    Args:
        name: cell name, for messages.
        config: the resolved configuration.
        backbone: where the tail is copied from; None without an image branch.
        train: the training rows.
        validation: the rows that decide on early stopping; none for a fit of fixed epochs (`train.keep = "last"`).
        n_rows: images in the cohort.
        seed: seed of initialisation, batch order and dropout.

    Raises:
        ConfigError: no validation rows, and yet the best epoch is to be kept.
    """

    def __init__(
        self,
        name: str,
        config: Config,
        backbone: Backbone | None,
        train: Part,
        validation: Part,
        *,
        n_rows: int,
        seed: int,
    ) -> None:
        if not len(validation.rows) and config.train.keep != "last":
            raise ConfigError(f"{name}: has no validation rows to choose an epoch by; it needs train.keep = 'last'")
        self.name = name
        self.config = config
        self.train = train
        self.validation = validation
        self.tap = tap_of(config.model)
        self.device = torch.device(config.run.device)
        self.stopped = ""
        self.seconds = {"tails": 0.0, "evaluation": 0.0}
        self.history: list[dict[str, float]] = []
        self.best_epoch = 0
        self._position = np.full(n_rows, -1, dtype=np.int64)
        self._position[train.rows] = np.arange(len(train.rows))
        self._batches = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 2])))
        self._rng = _seeded_state(self.device, int(np.random.SeedSequence([seed, 3]).generate_state(1)[0]))
        with self._turn():
            # the copied tail is in inference mode, whatever the flag of the network that holds it
            self.network = Network(config.model, backbone, train.table.shape[1]).to(self.device).train()
        self._trained = list(self.network.parameters())
        t = config.train
        self.optimiser = torch.optim.AdamW(
            self.network.parameter_groups(t.lr, t.head_lr),
            weight_decay=t.weight_decay,
            fused=self.device.type in ("cpu", "cuda"),
        )
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(
            self.optimiser, t.restart_epochs, t.restart_factor
        )
        self._labels = torch.from_numpy(train.labels).to(self.device)
        self._table = torch.from_numpy(train.table).to(self.device)
        self._positive_weight = self._class_weight()
        self._leftovers = _Leftovers(None, np.zeros(0, dtype=np.int64))
        self._tally = EpochTally()
        self._best_state = copy.deepcopy(self.network.state_dict())
        self.validation_logits = np.zeros(0)
        """Logits (n,) of the validation rows by the weights of the best epoch."""

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.history)

    def consume(self, chunk: Chunk) -> None:
        """Train on this fit's training rows of a chunk; a remainder waits for the next chunk."""
        began = time.perf_counter()
        position = self._position[chunk.rows]
        chosen = np.flatnonzero(position >= 0)
        chosen = chosen[self._batches.permutation(len(chosen))]
        done, size = 0, self.config.train.batch_size
        with self._turn():
            while len(self._leftovers.positions) + len(chosen) - done >= size:
                upto = done + size - len(self._leftovers.positions)
                self._wait(chunk, chosen[done:upto], position)
                self._step()
                done = upto
        self._wait(chunk, chosen[done:], position)
        self._took("tails", began)

    def _wait(self, chunk: Chunk, chosen: np.ndarray, position: np.ndarray) -> None:
        """Add rows of a chunk to the leftovers; no more than a mini-batch is ever copied."""
        if not len(chosen):
            return
        features = self._leftovers.features
        if self.network.tail is not None:
            taken = chunk.features[self.tap][torch.from_numpy(chosen).to(self.device)]
            features = taken if features is None else torch.cat([features, taken])
        self._leftovers = _Leftovers(features, np.append(self._leftovers.positions, position[chosen]))

    def _step(self) -> None:
        """Train on the leftovers."""
        positions, features = self._leftovers.positions, self._leftovers.features
        self._leftovers = _Leftovers(None, np.zeros(0, dtype=np.int64))
        if features is not None and features.dim() == 4:
            features = features.contiguous(memory_format=torch.channels_last)
        index = torch.from_numpy(positions).to(self.device)
        if not self.network.training:  # it walks over all layers, which is felt in a frozen fit's step
            self.network.train()
        with autocast(self.config.run):
            logits = self.network(features, self._table[index] if self.network.tabular is not None else None)
        logits, labels = logits.float(), self._labels[index]
        smoothing = self.config.train.label_smoothing
        loss = F.binary_cross_entropy_with_logits(
            logits, labels * (1 - smoothing) + smoothing / 2, pos_weight=self._positive_weight
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._trained, self.config.train.clip_norm)
        self.optimiser.step()
        # at once, so that hundreds of fits that take turns keep one set of gradients in memory between them
        self.optimiser.zero_grad(set_to_none=True)
        self._tally.logits.append(logits.detach())
        self._tally.labels.append(self.train.labels[positions])

    def end_epoch(self, validation_features: Callable[[np.ndarray], Tensor] | None) -> dict[str, float]:
        """Finish the epoch: last short batch, validation, schedule, best weights, stopping.

        Args:
            validation_features: rows (n,) -> clean features at the fit's tap; None without a trunk.

        Returns:
            The new row of the history (see `study.records.cell_records.HISTORY_COLUMNS`); without validation rows their
            values are NaN.

        Raises:
            FitDivergedError: a loss that is no number.
        """
        began = time.perf_counter()
        with self._turn():
            # batch-norm needs two rows: a single one is left out
            if len(self._leftovers.positions) >= 2:
                self._step()
        self._leftovers = _Leftovers(None, np.zeros(0, dtype=np.int64))
        self._took("tails", began)
        began = time.perf_counter()
        head, *tail = (group["lr"] for group in self.optimiser.param_groups)
        logits = self.predict(self.validation.rows, self.validation.table, validation_features)
        row = {"epoch": float(self.epoch + 1)}
        row |= _scores("train", torch.cat(self._tally.logits).cpu().numpy(), np.concatenate(self._tally.labels))
        row |= _scores("val", logits, self.validation.labels)
        if not np.isfinite([row["train_loss"], *([row["val_loss"]] if len(logits) else [])]).all():
            raise FitDivergedError(
                f"{self.name}: the loss is not a number (NaN) in epoch {self.epoch + 1};"
                " lower train.lr and train.head_lr"
            )
        self.schedule.step()
        self._took("evaluation", began)
        seconds = self._tally.seconds
        self.history.append(row | {"lr": tail[0] if tail else 0.0, "head_lr": head, "seconds": seconds})
        self._tally = EpochTally()
        self._judge(logits)
        return self.history[-1]

    def _took(self, what: str, began: float) -> None:
        """Book the time since `began`."""
        seconds = time.perf_counter() - began
        self.seconds[what] += seconds
        self._tally.seconds += seconds

    def _judge(self, logits: np.ndarray) -> None:
        """Keep the weights of the best epoch and decide whether to go on."""
        t = self.config.train
        key, sign = ("val_loss", 1.0) if t.monitor == "log_loss" else ("val_auc", -1.0)
        window = [row[key] for row in self.history[-t.monitor_window :]]
        self.history[-1]["monitored"] = float(np.mean(window))
        best = self.history[self.best_epoch - 1]["monitored"] if self.best_epoch else np.inf * sign
        better = sign * self.history[-1]["monitored"] < sign * best
        if better or t.keep == "last":
            self.best_epoch = self.epoch
            self.validation_logits = logits
            self._best_state = copy.deepcopy(self.network.state_dict())
        if self.epoch - self.best_epoch >= t.patience:
            self.stop("patience")
        if self.epoch >= t.max_epochs:
            self.stop("max_epochs")

    def stop(self, reason: str) -> None:
        """End the fit for this reason, unless it has ended already; the model gets the weights of the best epoch."""
        if not self.stopped:
            self.stopped = reason
            self.network.load_state_dict(self._best_state)

    def state(self) -> dict[str, Any]:
        """Return everything that the rest of the fit depends on, between two epochs; `restore` takes it back.

        It is made of tensors, numbers, text, lists and dicts, so that it can be read without unpickling code.
        """
        return {
            "network": self.network.state_dict(),
            "best": self._best_state,
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "rng": list(self._rng),
            "batches": json.dumps(self._batches.bit_generator.state),
            "history": self.history,
            "best_epoch": self.best_epoch,
            "validation_logits": torch.from_numpy(self.validation_logits),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state of the same fit: later epochs give the same bits as without the interruption."""
        self.network.load_state_dict(state["network"])
        self._best_state = {key: value.to(self.device) for key, value in state["best"].items()}
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self._rng = tuple(state["rng"])
        self._batches.bit_generator.state = json.loads(state["batches"])
        self.history = [dict(row) for row in state["history"]]
        self.best_epoch = state["best_epoch"]
        self.validation_logits = state["validation_logits"].numpy()

    def predict(
        self, rows: np.ndarray, table: np.ndarray, features: Callable[[np.ndarray], Tensor] | None
    ) -> np.ndarray:
        """Return logits (n,) of float64 for rows (n,) with clean features and encoded clinical columns (n, d)."""
        parts = [np.zeros(0, dtype=np.float32)]
        with autocast(self.config.run):
            for start in range(0, len(rows), PREDICTION_BATCH):
                batch = slice(start, start + PREDICTION_BATCH)
                taken = features(rows[batch]) if features is not None and self.network.tail is not None else None
                encoded = torch.from_numpy(table[batch]).to(self.device) if self.network.tabular is not None else None
                parts.append(self.network.predict(taken, encoded).float().cpu().numpy())
        return np.concatenate(parts).astype(np.float64)

    def _class_weight(self) -> Tensor | None:
        if self.config.train.class_weighting == "none":
            return None
        n_positive = float(self.train.labels.sum())
        return torch.tensor((len(self.train.labels) - n_positive) / n_positive, device=self.device)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Run with this fit's own state of the global generators, and restore the state of the others."""
        outside = _state(self.device)
        _set_state(self.device, self._rng)
        try:
            yield
        finally:
            self._rng = _state(self.device)
            _set_state(self.device, outside)


def _scores(part: str, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return loss (log loss against unsmoothed labels), accuracy, F1 at 0.5 and AUC of logits (n,).

    They are written out because every fit needs them twice an epoch: scikit-learn's checks took longer than the step of
    a frozen tail.
    """
    names = (f"{part}_loss", f"{part}_accuracy", f"{part}_f1", f"{part}_auc")
    if not len(logits) or np.isnan(logits).any():
        return dict.fromkeys(names, float("nan"))
    logits, positive = logits.astype(np.float64), labels > 0.5
    called = logits >= 0
    loss = np.logaddexp(0.0, np.where(positive, -logits, logits)).mean()
    n_errors, n_hits = int((called != positive).sum()), int((called & positive).sum())
    f1 = 2 * n_hits / (2 * n_hits + n_errors) if n_hits else 0.0
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    auc = float("nan")
    if n_positive and n_negative:  # Mann and Whitney's statistic, ties by half
        ranks = rankdata(logits)[positive].sum()
        auc = (ranks - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)
    return dict(zip(names, (float(loss), 1 - n_errors / len(labels), f1, float(auc)), strict=True))


def _state(device: torch.device) -> tuple[Tensor, ...]:
    if device.type == "cuda":
        return torch.get_rng_state(), torch.cuda.get_rng_state(device)
    if device.type == "mps":
        return torch.get_rng_state(), torch.mps.get_rng_state()
    return (torch.get_rng_state(),)


def _set_state(device: torch.device, state: tuple[Tensor, ...]) -> None:
    torch.set_rng_state(state[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[1], device)
    if device.type == "mps":
        torch.mps.set_rng_state(state[1])


def _seeded_state(device: torch.device, seed: int) -> tuple[Tensor, ...]:
    outside = _state(device)
    torch.manual_seed(seed)
    state = _state(device)
    _set_state(device, outside)
    return state
