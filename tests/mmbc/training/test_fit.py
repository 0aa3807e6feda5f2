"""A fit between its steps: in the mode that the step needs."""

import numpy as np
import torch

from mmbc.config import Config, apply_changes
from mmbc.model.backbone import Backbone
from mmbc.training.device import resolve
from mmbc.training.fit import Fit, Part
from mmbc.training.stream import Chunk

SETTINGS = {"model.backbone": "tf_efficientnet_lite0", "model.fine_tuned_blocks": 1, "train.batch_size": 4}


def test_every_step_trains_batch_norm_and_no_prediction_does():
    """The tail is copied from a trunk in inference mode, and a prediction leaves it there."""
    config = apply_changes(Config(), SETTINGS | {"run.device": "cpu"}, "test")
    config = config.model_copy(update={"run": resolve(config.run)})
    part = Part(np.arange(4), np.array([0, 1, 0, 1], np.float32), np.zeros((4, 2), np.float32))
    fit = Fit("one", config, Backbone("tf_efficientnet_lite0", "none"), part, part, n_rows=4, seed=0)
    features = torch.randn(4, 192, 2, 2)

    def statistics():
        state = fit.network.state_dict()
        return [state[key].clone() for key in state if key.endswith("running_mean")]

    for _ in range(2):
        before = statistics()
        fit.consume(Chunk(np.arange(4), {fit.tap: features}))
        after = statistics()
        assert not any(torch.equal(*pair) for pair in zip(before, after, strict=True))
        fit.predict(part.rows, part.table, lambda rows: features[rows])
        assert all(torch.equal(*pair) for pair in zip(after, statistics(), strict=True))
