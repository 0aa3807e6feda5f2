import numpy as np
import torch

from mmbc.config import AugmentConfig
from mmbc.data.images.augmentation import COLUMNS, apply, draw

NOTHING = AugmentConfig(min_crop=1, flip=0, rotation=0, brightness=0, contrast=0, erase=0)
IMAGES = torch.rand(6, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def parameters(config, n=6, **key):
    return torch.from_numpy(draw(config, n, **{"seed": 1, "epoch": 2, **key}))


def test_draws_depend_on_seed_epoch_and_image_alone():
    one = draw(AugmentConfig(), 50, seed=1, epoch=2)
    assert one.shape == (50, len(COLUMNS))
    assert np.array_equal(one, draw(AugmentConfig(), 50, seed=1, epoch=2))
    assert not np.array_equal(one, draw(AugmentConfig(), 50, seed=1, epoch=3))
    assert not np.array_equal(one, draw(AugmentConfig(), 50, seed=2, epoch=2))
    assert len(np.unique(one[:, 0])) == 50


def test_nothing_configured_changes_nothing():
    torch.testing.assert_close(apply(IMAGES, parameters(NOTHING)), IMAGES, atol=1e-5, rtol=0)


def test_a_flip_is_a_flip_and_a_half_turn_is_one():
    flipped = apply(IMAGES, parameters(NOTHING.model_copy(update={"flip": 1.0})))
    torch.testing.assert_close(flipped, IMAGES.flip(3), atol=1e-5, rtol=0)
    turned = parameters(NOTHING)
    turned[:, COLUMNS.index("angle")] = np.pi
    torch.testing.assert_close(apply(IMAGES, turned), IMAGES.flip(2).flip(3), atol=1e-4, rtol=0)


def test_an_image_does_not_depend_on_its_batch():
    p = parameters(AugmentConfig())
    whole = apply(IMAGES, p)
    assert all(torch.equal(apply(IMAGES[i : i + 1], p[i : i + 1])[0], whole[i]) for i in range(6))


def test_erasing_blackens_at_most_its_share():
    ones = torch.ones(200, 1, 32, 32)
    erased = apply(ones, parameters(NOTHING.model_copy(update={"erase": 1.0, "erase_area": 0.1}), 200))
    share = (erased == 0).float().mean((1, 2, 3))
    assert (share > 0).all() and float(share.max()) < 0.13
