"""Checks that look at files, not into pixels: sizes, and where images come from."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from mmbc.errors import some
from study.checks.verdict import beyond_clinical, probed
from study.records.finding import PASSED, Finding

FEWEST_OF_SITE = 5
"""Patients below which a site, or a prefix, is taken together with the other small ones."""
OTHER_SITES = f"any of those with fewer than {FEWEST_OF_SITE} patients"


def image_sizes(images: pd.DataFrame, facts: pd.DataFrame, positive: tuple[str, ...]) -> Finding:
    """A13: width and height; `facts` are rows of `mmbc.data.images.facts.read_images`."""
    width, height = (facts[side].to_numpy(dtype=np.float64) for side in ("width", "height"))
    features = np.column_stack([width, height, width / np.maximum(height, 1)])
    return probed("A13", "The size of the images (width, height)", features, images, positive)


def file_sizes(images: pd.DataFrame, facts: pd.DataFrame, positive: tuple[str, ...]) -> Finding:
    """A14: bytes of the file, and by pixel.

    No network sees them, but what makes them (compression, noise, padding, annotations) it does see. A compressed file
    also grows with the breast's structure.
    """
    n_bytes = facts["n_bytes"].to_numpy(dtype=np.float64)
    n_pixels = np.maximum((facts["width"] * facts["height"]).to_numpy(dtype=np.float64), 1)
    features = np.column_stack([n_bytes, n_bytes / n_pixels])
    return probed("A14", "The size of the files in bytes", beyond_clinical(features, images), images, positive)


def origins(images: pd.DataFrame, positive: tuple[str, ...]) -> Finding:
    """A18: the site or, where the cohort knows none, the letters that file names begin with."""
    site = images["site"].fillna("").astype(str)
    by_site = bool((site != "").any())
    origin = site if by_site else pd.Series([prefix(Path(path)) for path in images["path"]], index=images.index)
    people = images["patient_id"].groupby(origin).nunique()
    origin = origin.where(origin.map(people) >= FEWEST_OF_SITE, OTHER_SITES)
    what = "The site (digitiser, hospital)" if by_site else "The beginning of the file name"
    if origin.nunique() == 1:
        return Finding("A18", PASSED, f"{what} is the same for all images.")
    found = probed("A18", what, pd.get_dummies(origin).to_numpy(dtype=np.float64), images, positive)
    empty = _empty(origin, images["status"].astype(str))
    if not empty or found.status == PASSED:
        return found
    return replace(found, evidence=f"{found.evidence} Confounded: {some(empty, 6)}.")


def _empty(origin: pd.Series, status: pd.Series) -> list[str]:
    """Return the classes that a site has no image of."""
    counts = pd.crosstab(origin, status)
    return [f"no {name} image has {site}" for site, row in counts.iterrows() for name in row.index[row == 0]]


def prefix(path: Path) -> str:
    """Return the first letters of a file's name: `12_B_3016.LEFT_CC.png` -> `B`."""
    found = re.search(r"[^\W\d_]+", path.stem)
    return found[0] if found else ""
