"""One finished cell as a function from an image and a clinical row to a calibrated probability."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file

from mmbc.calibration import apply_platt
from mmbc.config import Config, RunConfig, parse
from mmbc.data.images.outlines import OutlinePool
from mmbc.data.images.preparation import prepare
from mmbc.data.tables.encoding import TabularEncoder
from mmbc.errors import MmbcError
from mmbc.model.backbone import Backbone, tap_of
from mmbc.model.network import Network, filled_up
from mmbc.model.weights import check_finite
from mmbc.training.device import autocast, computing_with
from mmbc.training.stream import normalise, to_tensor


class ModelError(MmbcError):
    """A folder without a usable model, or an input that the model cannot take."""


class Predictor:
    """A loaded model; call it with one image and one clinical row.

    It computes with the threads and batch sizes of its study, so that an image alone has the bits that it had there, on
    like processors.

    Attributes:
        config: the configuration it was trained with.
        encoder: its fitted clinical columns; `encoder.columns` names the values that a clinical row needs.
    """

    def __init__(
        self,
        config: Config,
        network: Network,
        backbone: Backbone | None,
        encoder: TabularEncoder,
        pool: OutlinePool | None,
        platt: tuple[float, float],
    ) -> None:
        self.config = config
        self.encoder = encoder
        self._network = network
        self._backbone = backbone
        self._pool = pool
        self._platt = platt

    def __call__(
        self, image: str | Path | np.ndarray | Image.Image | None = None, clinical: Mapping[str, Any] | None = None
    ) -> float:
        """Return the calibrated probability of one image.

        Args:
            image: a file, a PIL image, or pixels (height, width) or (height, width, 3); None for a tabular-only model.
            clinical: one value for every column of `encoder.columns` (None where unknown); None for an image-only one.

        Raises:
            ModelError: an input that the model needs is not given.
            ImageError: the image cannot be read.
            CohortError: a clinical column is missing or holds text for a number.
        """
        with computing_with(self.config.run.threads):
            logit = self._network.predict(self._features(image), self._table(clinical))
        return float(apply_platt(np.array([logit.item()]), *self._platt)[0])

    def _features(self, image: str | Path | np.ndarray | Image.Image | None) -> torch.Tensor | None:
        if self._backbone is None or self._pool is None:
            return None
        if image is None:
            raise ModelError("this model needs an image")
        source = Path(image) if isinstance(image, str) else image
        pixels = to_tensor(prepare(source, self.config.data, self._pool)[None], torch.device("cpu"))
        tap = tap_of(self.config.model)
        batch = filled_up(normalise(pixels, self._backbone.normalisation), self.config.run.trunk_batch)
        run = RunConfig(device="cpu", precision="float32", trunk_precision=self.config.run.trunk_precision)
        with autocast(run, trunk=True):
            return self._backbone(batch, [tap])[tap][:1].float()

    def _table(self, clinical: Mapping[str, Any] | None) -> torch.Tensor | None:
        if self._network.tabular is None:
            return None
        if clinical is None:
            names = ", ".join(column.name for column in self.encoder.columns)
            raise ModelError(f"this model needs the clinical columns {names}")
        return torch.from_numpy(self.encoder.transform(clinical))


def load(folder: str | Path) -> Predictor:
    """Load a finished cell, on the CPU in float32, or with its frozen layers in bfloat16 if they were in its study.

    Args:
        folder: `results/<study>/cells/<cell>`; the study's `shared/` folder must lie where it was.

    Raises:
        ModelError: the folder or a file it refers to is missing or damaged.
    """
    folder = Path(folder)
    try:
        record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        model = record["model"]
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: holds no finished cell ({error})") from error
    except KeyError:
        raise ModelError(f"{folder}: this cell has no network (the logistic baseline is in its record.json)") from None
    config = parse(Config, model["config"], str(folder / "record.json"))
    encoder = TabularEncoder.model_validate(record["preprocessing"])
    backbone = pool = None
    if config.uses_images:
        trunk = folder / model["trunk"]
        backbone = Backbone(config.model.backbone, f"file:{trunk}")
        pool = OutlinePool.load(folder / model["outlines"])
    network = Network(config.model, backbone, encoder.n_outputs)
    try:
        state = load_file(folder / "model.safetensors")
        network.load_state_dict(state)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{folder / 'model.safetensors'}: cannot be loaded ({error})") from error
    check_finite(state, str(folder / "model.safetensors"))
    calibration = record["calibration"]
    return Predictor(config, network, backbone, encoder, pool, (calibration["slope"], calibration["intercept"]))
