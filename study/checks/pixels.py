"""Checks that look into the pixels: copies, what was drawn on images, and what tells classes without a lesion.

Each takes the cohort's rows and what was measured in their images, in the same order, and returns a `Finding`.
"""

import math

import numpy as np
import pandas as pd

from mmbc.data.images import marks
from mmbc.data.images.appearance import GREYS, NOISES, Appearance
from mmbc.errors import some
from study.checks.duplicates import clusters, near_duplicates
from study.checks.probes import FEWEST, Comparison, comparisons, shown
from study.checks.verdict import TELLING, beyond_clinical, probed, row_of
from study.records.finding import FAILED, PASSED, WARNING, Finding
from study.stats import auc
from study.stats.estimate import Estimate

STRAY_CURVES = 0.02
"""Share of a class's images with a loop that nobody drew: vessels, skin folds, scratches. In Mini-DDSM v1 it is 0.6 %."""


def duplicated(images: pd.DataFrame, appearance: Appearance, positive: tuple[str, ...]) -> Finding:
    """A04: images that are the same exposure; across patients they can lie in training and test part at once."""
    return of_pairs(near_duplicates(appearance, images), images)


def of_pairs(pairs: pd.DataFrame, images: pd.DataFrame) -> Finding:
    """A04, from the pairs that `near_duplicates` returned."""
    if pairs.empty:
        return Finding("A04", PASSED, f"No two of {len(images)} images are the same exposure.")
    one, other = (images[["image_id", "patient_id"]].iloc[pairs[row]].astype(str) for row in ("i", "j"))
    across = list(zip(one["patient_id"], other["patient_id"], strict=True))
    people = sorted({tuple(sorted(pair)) for pair in across if pair[0] != pair[1]})
    groups = clusters(pairs)
    n_across = int((~pairs["same_patient"]).sum())
    whose = f"{n_across} of them of two patients: {some(f'{a} and {b}' for a, b in people)}"
    evidence = (
        f"{len(pairs)} pairs of images ({sum(map(len, groups))} images) are the same exposure, "
        f"{whose if people else 'all within a patient'}."
    )
    table = pd.DataFrame(
        {
            "image": one["image_id"].to_numpy(),
            "other image": other["image_id"].to_numpy(),
            "patient": one["patient_id"].to_numpy(),
            "other patient": other["patient_id"].to_numpy(),
        }
    ).join(pairs[["distance", "correlation", "mirrored"]])
    rows = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    handled = "" if people else "her images are in one part of every split; each counts as an image of its own"
    return Finding("A04", FAILED if people else WARNING, evidence, handled, tuple(rows))


# ----------------------------------------------------------------------------------------------- what was drawn on them


def coloured_annotations(images: pd.DataFrame, appearance: Appearance, positive: tuple[str, ...]) -> Finding:
    """A09: coloured pixels in grey images."""
    table = appearance.table
    found = _counted("A09", "coloured annotations", table["n_coloured"].to_numpy(), images, positive, 0.0)
    n_colour = int((table["colour_share"] >= marks.COLOURED_THROUGHOUT).sum())
    if not n_colour:
        return found
    which = "1 image is" if n_colour == 1 else f"{n_colour} images are"
    evidence = f"{found.evidence} {which} in colour throughout, where no annotation can be told from the rest."
    return Finding("A09", WARNING if found.status == PASSED else found.status, evidence, rows=found.rows)


def grey_curves(images: pd.DataFrame, appearance: Appearance, positive: tuple[str, ...]) -> Finding:
    """A10: thin closed curves in black or white, as outlines are after a conversion to grey."""
    counts = appearance.table["n_curves"].to_numpy()
    return _counted("A10", "thin closed curves in black or white", counts, images, positive, STRAY_CURVES)


def markers(images: pd.DataFrame, appearance: Appearance, positive: tuple[str, ...]) -> Finding:
    """A11: text and markers beside the breast."""
    counts = appearance.table["n_markers"].to_numpy()
    return _counted("A11", "text or markers beside the breast", counts, images, positive, 0.0)


def _counted(
    code: str, what: str, counts: np.ndarray, images: pd.DataFrame, positive: tuple[str, ...], stray: float
) -> Finding:
    """Return what a count (n_images,) amounts to: FAILED where it tells classes apart, WARNING where there are some."""
    has = pd.Series(counts > 0, index=images.index).groupby(images["status"].astype(str))
    n_with, n = has.sum(), has.size()
    if not n_with.any():
        return Finding(code, PASSED, f"None of {len(images)} images has {what}.")
    rows, worst = [], (0.5, "")
    for comparison in comparisons(images, positive):
        for found in _areas(counts, images, comparison):
            with_it = [_share(counts[comparison.rows & (comparison.label == label)] > 0) for label in (1, 0)]
            rows.append(row_of(comparison, found) | {"level": found.level, "images with it": " against ".join(with_it)})
            apart = max(found.low, 1 - found.high)  # many in one class, or few
            worst = max(worst, (apart, f"AUC {shown(found)} per {found.level} for {comparison.name}"))
    shares = ", ".join(f"{n_with[name]} of {n[name]} {name}" for name in n.index)
    evidence = (
        f"{int(n_with.sum())} of {len(images)} images have {what} ({shares}; {some(images['image_id'][counts > 0], 3)})"
    )
    if worst[0] >= TELLING:
        return Finding(code, FAILED, f"{evidence}: their number alone has {worst[1]}.", rows=tuple(rows))
    if (n_with <= stray * n).all():
        return Finding(code, PASSED, f"{evidence}; so few are found where none were drawn.", rows=tuple(rows))
    because = "their number does not tell the classes apart" if rows else "too few patients to say more"
    return Finding(code, WARNING, f"{evidence}; {because}.", rows=tuple(rows))


def _share(has: np.ndarray) -> str:
    return f"{int(has.sum())} of {len(has)}"


def _areas(counts: np.ndarray, images: pd.DataFrame, comparison: Comparison) -> list[Estimate]:
    """Return the AUC of a count per image and, of its sum, per patient; nothing is fitted, nothing said of few."""
    rows = comparison.rows
    frame = pd.DataFrame(
        {"patient": images["patient_id"].to_numpy()[rows], "label": comparison.label[rows], "count": counts[rows]}
    )
    people = frame.groupby("patient").agg(label=("label", "max"), count=("count", "sum")).reset_index()
    n_positive = int(people["label"].sum())
    n_negative = len(people) - n_positive
    if min(n_positive, n_negative) < FEWEST:
        return []
    found = []
    for level, part in (("image", frame), ("patient", people)):
        area = auc.clustered_delong(
            part["label"].to_numpy(), part["count"].to_numpy()[None], part["patient"].to_numpy()
        )
        value = float(area.value[0])
        low, high = auc.logit_interval(value, float(area.se[0]))
        if math.isnan(low):
            low, high = auc.newcombe(value, n_positive, n_negative)
        found.append(Estimate(value, low, high, level, "clustered DeLong", "E1", len(people), len(frame)))
    return found


# -------------------------------------------------------------------------------------------------- shortcuts in pixels


def borders(images: pd.DataFrame, appearance: Appearance, positive: tuple[str, ...]) -> Finding:
    """A15: the frame along the edges of the image, without the inside of the breast."""
    return probed("A15", "The frame along the edges", appearance.border, images, positive)


def grey_levels(images: pd.DataFrame, appearance: Appearance, positive: tuple[str, ...]) -> Finding:
    """A16: mean and spread outside, quantiles inside the breast, beyond what recorded age and density explain.

    Where density is not recorded, or only coarsely, a little above 0.5 may be medicine.
    """
    features = beyond_clinical(appearance.table[list(GREYS)].to_numpy(), images)
    return probed("A16", "The distribution of grey", features, images, positive)


def noise(images: pd.DataFrame, appearance: Appearance, positive: tuple[str, ...]) -> Finding:
    """A17: the noise of background and breast, beyond what age and density explain."""
    features = beyond_clinical(appearance.table[list(NOISES)].to_numpy(), images)
    return probed("A17", "The noise", features, images, positive)


def silhouettes(images: pd.DataFrame, appearance: Appearance, positive: tuple[str, ...]) -> Finding:
    """A19: the breast's outline, filled. Age and build show in it."""
    return probed("A19", "The silhouette of the breast", appearance.silhouette, images, positive)


def uncentred(images: pd.DataFrame, appearance: Appearance, positive: tuple[str, ...]) -> Finding:
    """A20: rim and background, without the inside of the breast."""
    return probed("A20", "The image without the inside of the breast", appearance.uncentred, images, positive)
