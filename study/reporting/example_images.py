"""Small pictures for the figure of example images: from the prepared images of a study, kept in the report itself."""

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from mmbc.data.images.store import find_store
from study.design.request import CACHE
from study.evaluation.evaluation import Evaluation
from study.evaluation.example_units import example_units
from study.records.stored_study import StoredStudy
from study.reporting.figures.catalogue import example_arm
from study.reporting.figures.examples import EACH

FILE = "figures/examples.npz"
"""Where a report keeps them: the one thing in it that does not follow from predictions."""
SIDE = 128
"""Pixels of a picture's side, at most."""

Pictures = dict[str, np.ndarray]
"""Image -> grey values (side, side) of uint8."""


def pictures_at_hand(study: StoredStudy, evaluation: Evaluation) -> Pictures | None:
    """Return pictures of the units that the figure shows; None where no model uses images, or they are not at hand.

    They are at hand as long as the images that were prepared for the network lie in the cache beside the study.
    """
    arm, images = example_arm(study, evaluation), study.cohort.images
    if not arm or "pixel_digest" not in images:
        return None
    store = find_store(list(images["pixel_digest"]), study.settings.data, study.folder.parent / CACHE)
    if store is None:
        return None
    rows = {str(image): row for row, image in enumerate(images["image_id"])}
    wanted = map(str, example_units(study, arm, EACH)["image_id"].dropna())
    return {image: _small(store.pixels[rows[image]]) for image in wanted}


def _small(pixels: np.ndarray) -> np.ndarray:
    side = min(SIDE, len(pixels))
    return np.asarray(Image.fromarray(np.asarray(pixels)).resize((side, side), Image.Resampling.BOX))


def to_bytes(pictures: Mapping[str, np.ndarray]) -> bytes:
    """Return pictures as a file; the same pictures give the same bytes."""
    buffer = io.BytesIO()
    stack = np.stack(list(pictures.values())) if pictures else np.zeros((0, 1, 1), dtype=np.uint8)
    np.savez_compressed(buffer, images=np.array(list(pictures), dtype=np.str_), pixels=stack)
    return buffer.getvalue()


def read_pictures(file: Path) -> Pictures | None:
    """Return the pictures of a report; None where it has none that can be read."""
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as found:
            return dict(zip(map(str, found["images"]), found["pixels"], strict=True))
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
        return None
