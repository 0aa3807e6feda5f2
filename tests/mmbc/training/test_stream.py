"""The stream of trunk features: bits that depend on the image alone."""

import numpy as np
import pytest
import torch

from mmbc.config import AugmentConfig, RunConfig
from mmbc.model.backbone import Backbone, Tap
from mmbc.training.stream import Stream

N_ROWS = 19
TAPS = [Tap(0), Tap(0, pooled=True), Tap(1)]


@pytest.fixture(scope="module")
def lite():
    return Backbone("tf_efficientnet_lite0", "package")


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 255, (N_ROWS, 64, 64), dtype=np.uint8)


@pytest.fixture
def stream(lite, pixels):
    return Stream(N_ROWS, lite, pixels, AugmentConfig(), RunConfig(device="cpu", threads=1), seed=3)


@pytest.mark.parametrize("epoch", [None, 2])
def test_features_depend_neither_on_the_batch_nor_on_the_place_in_it(stream, epoch):
    whole = stream.features(np.arange(16), epoch, TAPS)
    for rows in ([5], [5, 17], [*range(9, 16), 5, 16, 17, 18], [18, 17, 16, *range(12), 5]):
        alone = stream.features(np.array(rows), epoch, TAPS)
        for tap in TAPS:
            assert len(alone[tap]) == len(rows)
            assert torch.equal(alone[tap][rows.index(5)], whole[tap][5]), rows
