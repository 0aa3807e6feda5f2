"""Checks of shortcuts: how well sizes, origins, borders, grey and noise tell the classes apart, without any lesion."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from mmbc.data.images.appearance import GREYS, NOISES
from mmbc.errors import some
from study.checks.annotations import counted
from study.checks.check import Outcome, check, not_checked, passed
from study.checks.permutation import permuted_labels
from study.checks.subject import Subject, given
from study.checks.verdict import beyond_clinical, probe_verdict
from study.records.finding import PASSED

GROUP = "shortcuts"
FEWEST_OF_SITE = 5
"""Patients below which a site, or a prefix, is taken together with the other small ones."""
FRAME = slice(3, 8)
"""Rows and columns of a thumbnail from each edge that show the background; at the edge itself films are bright."""
NEAR = 0.15
"""Grey levels, as a share of an image's range, up to which a pixel is near black or near white."""
CLEAR = 0.2
"""Difference of the shares of pixels in the frame near black and near white from which the background is one of them.
It is more in 99 % of 1,252 images of Mini-DDSM (0.09 to 0.83), and the opposite in their negatives; pure noise of 10 by
12 pixels reaches 0.14."""
OTHER_SITES = f"any of those with fewer than {FEWEST_OF_SITE} patients"


@check(
    "A13",
    "image size",
    group=GROUP,
    question="How well do width and height alone tell the classes apart?",
    meaning="Classes were acquired or cropped differently; resizing leaves a trace of it.",
    remedy="Compare classes of one source; report within sites and against each negative class.",
    needs=("list", "files", "used images"),
)
def image_sizes(subject: Subject) -> Outcome:
    """Width, height and their ratio."""
    width, height = (subject.used_facts[side].to_numpy(dtype=np.float64) for side in ("width", "height"))
    features = np.column_stack([width, height, width / np.maximum(height, 1)])
    return probe_verdict("Image size (width and height)", features, subject)


@check(
    "A14",
    "file size",
    group=GROUP,
    question="How well does the number of bytes, in all and by pixel, tell the classes apart beyond recorded age and"
    " density?",
    meaning="Compression, noise or content differ by class as a whole.",
    remedy="As A13; write all images with one program and one quality.",
    needs=("list", "files", "used images"),
)
def file_sizes(subject: Subject) -> Outcome:
    """Bytes of the file, and by pixel.

    No network sees them, but what makes them (compression, noise, padding, annotations) it does see. A compressed file
    also grows with the breast's structure.
    """
    facts = subject.used_facts
    n_bytes = facts["n_bytes"].to_numpy(dtype=np.float64)
    n_pixels = np.maximum((facts["width"] * facts["height"]).to_numpy(dtype=np.float64), 1)
    features = beyond_clinical(np.column_stack([n_bytes, n_bytes / n_pixels]), subject.images)
    return probe_verdict("File size", features, subject)


@check(
    "A15",
    "image border",
    group=GROUP,
    question="How well does a thin frame along the edges, without the inside of the breast, tell the classes apart?",
    meaning="No lesion lies there: the scanner, the film edge or a marker reveals the class.",
    remedy="As A13; `--set data.crop=breast`.",
    needs=("pixels",),
)
def borders(subject: Subject) -> Outcome:
    """A thin frame along the edges of the image; the inside of the breast is left out."""
    return probe_verdict("Frame along the edges", given(subject.pixels).appearance.border, subject)


@check(
    "A16",
    "grey levels",
    group=GROUP,
    question="How well do mean, spread and lower quantiles of grey tell the classes apart beyond recorded age and"
    " density?",
    meaning="Exposure and processing differ by class; a little is breast density, which the table knows too.",
    remedy="As A13; brightness and contrast jitter in training (on by default).",
    needs=("pixels",),
)
def grey_levels(subject: Subject) -> Outcome:
    """Mean and spread outside, quantiles inside the breast, beyond what recorded age and density explain.

    Where density is not recorded, or only coarsely, a little above 0.5 may be medicine.
    """
    table = given(subject.pixels).appearance.table
    features = beyond_clinical(table[list(GREYS)].to_numpy(), subject.images)
    return probe_verdict("Grey levels", features, subject)


@check(
    "A17",
    "noise",
    group=GROUP,
    question="How well does the level of noise tell the classes apart beyond recorded age and density?",
    meaning="Scanner or processing differ by class.",
    remedy="As A13.",
    needs=("pixels",),
)
def noise(subject: Subject) -> Outcome:
    """The noise of background and breast, beyond what age and density explain."""
    table = given(subject.pixels).appearance.table
    return probe_verdict("Noise", beyond_clinical(table[list(NOISES)].to_numpy(), subject.images), subject)


@check(
    "A18",
    "site",
    group=GROUP,
    question="How well does the site (or the beginning of the file name) alone tell the classes apart?",
    meaning="A model that recognises the site has learned the site's share of positives.",
    remedy="Report within sites (the report does), test on held-out sites: `--folds site`.",
    needs=("list", "used images"),
)
def origins(subject: Subject) -> Outcome:
    """The site or, where the cohort knows none, the letters that file names begin with."""
    images = subject.images
    site = images["site"].fillna("").astype(str)
    by_site = bool((site != "").any())
    origin = site if by_site else pd.Series([prefix(Path(path)) for path in images["path"]], index=images.index)
    if not by_site and bool((origin.str.lower() == images["status"].astype(str).str.lower()).all()):
        return not_checked("File names begin with the class, so they say nothing about where an image was made.")
    people = images["patient_id"].groupby(origin).nunique()
    origin = origin.where(origin.map(people) >= FEWEST_OF_SITE, OTHER_SITES)
    what = "Site (digitiser, hospital)" if by_site else "Beginning of the file name"
    if origin.nunique() == 1:
        return passed(f"{what}: the same for all images.")
    outcome = probe_verdict(what, pd.get_dummies(origin).to_numpy(dtype=np.float64), subject)
    empty = _empty(origin, images["status"].astype(str))
    if not empty or outcome.status == PASSED:
        return outcome
    return replace(outcome, evidence=f"{outcome.evidence} Confounded: {some(empty, 6)}.")


def _empty(origin: pd.Series, status: pd.Series) -> list[str]:
    """Return the classes that a site has no image of."""
    counts = pd.crosstab(origin, status)
    return [f"no {name} image has {site}" for site, row in counts.iterrows() for name in row.index[row == 0]]


def prefix(path: Path) -> str:
    """Return the first letters of a file's name: `12_B_3016.LEFT_CC.png` -> `B`."""
    letters = re.search(r"[^\W\d_]+", path.stem)
    return letters[0] if letters else ""


@check(
    "A19",
    "silhouette",
    group=GROUP,
    question="How well does the outline of the breast alone, without any grey, tell the classes apart?",
    meaning="Positioning, size and age differ by class. Some of it is real, none of it is a lesion.",
    remedy="Compare with age and density alone (the logistic baseline).",
    needs=("pixels",),
)
def silhouettes(subject: Subject) -> Outcome:
    """The breast's outline, filled. Age and build show in it."""
    return probe_verdict("Silhouette of the breast", given(subject.pixels).appearance.silhouette, subject)


@check(
    "A20",
    "image without its centre",
    group=GROUP,
    question="How well does the image tell the classes apart when the inside of the breast is taken out?",
    meaning="What a model reaches beyond this is what the tissue adds.",
    remedy="As A13.",
    needs=("pixels",),
)
def rims(subject: Subject) -> Outcome:
    """Rim and background, without the inside of the breast."""
    return probe_verdict("Image without the inside of the breast", given(subject.pixels).appearance.uncentred, subject)


@check(
    "A21",
    "permuted labels",
    group=GROUP,
    question="With labels permuted over patients, does a nearest-neighbour probe have an AUC of 0.5?",
    meaning="Any other value says that patients are on two sides of a fold, or that the evaluation itself leaks.",
    remedy="Look at A25 and A04 first.",
    needs=("pixels",),
)
def permutations(subject: Subject) -> Outcome:
    """Prediction of labels that were permuted over patients: possible only if a patient is on both sides of a fold."""
    return permuted_labels(subject.images, given(subject.pixels).appearance, _folds_of_images(subject))


def _folds_of_images(subject: Subject) -> np.ndarray | None:
    """Return which fold of the first repeat tests each image, or None where not every image is tested."""
    if subject.folds is None:
        return None
    folds = subject.images["patient_id"].map(subject.folds.test_fold_of())
    return None if folds.isna().any() else folds.to_numpy(dtype=int)


@check(
    "A33",
    "polarity",
    group=GROUP,
    question="Do some images have a bright background and others a dark one?",
    meaning="Some are negatives (MONOCHROME1, white is zero): tissue is dark in one and bright in the other. Where that"
    " goes with the class, a network reads the class from it.",
    remedy="Invert the images of the rarer kind, or get all of them from one export.",
    needs=("pixels",),
)
def polarity(subject: Subject) -> Outcome:
    """Images whose background is bright, beside images whose background is dark."""
    kinds = backgrounds(given(subject.pixels).appearance.thumbnails)
    n_bright, n_dark = int((kinds > 0).sum()), int((kinds < 0).sum())
    if not n_bright or not n_dark:
        seen = f"{n_bright} bright" if n_bright else f"{n_dark} dark"
        return passed(f"All backgrounds that can be recognised are of one kind: {seen}, of {len(kinds)} images.")
    rarer = 1 if n_bright <= n_dark else -1
    words = ("bright", "dark") if rarer > 0 else ("dark", "bright")
    return counted(f"a {words[0]} background beside {words[1]} ones", (kinds == rarer).astype(int), subject, 0.0)


def backgrounds(thumbnails: np.ndarray) -> np.ndarray:
    """Return 1 where an image's background is bright, -1 where dark, 0 where that cannot be told.

    Args:
        thumbnails: (n_images, side, side) of uint8.

    Returns:
        (n_images,) of int.
    """
    grey = thumbnails.astype(np.float32)
    low, high = np.quantile(grey, [0.02, 0.98], axis=(1, 2), keepdims=True)
    share = np.where(high > low, (grey - low) / np.maximum(high - low, 1), 0.5)
    edges = (share, share[:, ::-1], share.swapaxes(1, 2), share.swapaxes(1, 2)[:, ::-1])
    frame = np.concatenate(
        [edge[:, FRAME, FRAME.start : -FRAME.start].reshape(len(share), -1) for edge in edges], axis=1
    )
    brighter = (frame > 1 - NEAR).mean(axis=1) - (frame < NEAR).mean(axis=1)
    return np.where(brighter > CLEAR, 1, np.where(brighter < -CLEAR, -1, 0))
