"""Checks that look into the pixels, or at the files: what was drawn on images, and what tells classes without a lesion.

Each takes the cohort's rows and what was measured in their images, in the same order, and returns a `Finding`.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import norm
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from mmbc.data import marks
from mmbc.data.appearance import GREYS, NOISES, Appearance
from mmbc.data.splits import inner_folds, patient_table
from mmbc.errors import some
from study.audit.duplicates import clusters, near_duplicates
from study.audit.finding import FAILED, NOT_CHECKED, PASSED, WARNING, Finding, Status
from study.audit.probes import (
    COMPONENTS,
    FEWEST,
    N_FOLDS,
    Comparison,
    comparisons,
    measured,
    shown,
)  # fmt: skip
from study.stats import auc
from study.stats.estimate import Estimate

TELLING = 0.60
"""An AUC whose interval lies at or above this is a shortcut: too much to overlook beside a model's own AUC."""

NOTICEABLE = 0.55
"""From here on readers have to know. Below, an interval that excludes 0.5 proves something too small to matter."""

WIDER = 1.2
"""Factor by which the error of a probe's AUC is larger than DeLong's, which leaves out that the training parts overlap.

With labels permuted over 72 and 200 patients of Mini-DDSM v1, logits of AUCs of silhouette and border spread 1.0, 1.2,
1.4 and 1.25 times as much as that."""

VERBS = {FAILED: "tells", WARNING: "seems to tell", PASSED: "does not noticeably tell"}

STRAY_CURVES = 0.02
"""Share of a class's images with a loop that nobody drew: vessels, skin folds, scratches. In Mini-DDSM v1 it is 0.6 %."""

N_PERMUTATIONS = 100
ERRORS = 3.5
"""Monte Carlo standard errors by which permuted labels may miss 0.5: once in 1400 times by chance (t, 99 df)."""

CLINICAL = ("age", "density")
"""Columns that explain some of a breast's grey and structure."""

N_NEIGHBOURS = 10

FEWEST_OF_SITE = 5
"""Patients below which a site, or a prefix, is taken together with the other small ones."""


def judged(found: Sequence[Estimate]) -> Status:
    """Return what out-of-fold AUCs amount to, the worst of them; the one rule of all probes.

    The intervals are widened so that all of them hold at once (Bonferroni), and for FAILED also by `WIDER`. An AUC below
    0.5 is chance: a probe that learned something errs in no direction.
    """
    if any(at_least(one, len(found), WIDER) >= TELLING for one in found):
        return FAILED
    return WARNING if any(at_least(one, len(found)) >= NOTICEABLE for one in found) else PASSED


def at_least(found: Estimate, n_comparisons: int, wider: float = 1.0) -> float:
    """Return the lower end of an AUC's interval, as one of several that hold together at 95 %.

    An AUC of exactly 0 or 1 has no interval and stands for itself.
    """
    if math.isnan(found.low) or found.low == found.high:
        return found.value
    se = wider * (logit(found.high) - logit(found.low)) / (2 * norm.ppf(0.975))
    return float(expit(logit(found.value) - norm.ppf(1 - 0.025 / n_comparisons) * se))


def probed(code: str, what: str, features: np.ndarray, images: pd.DataFrame, positive: tuple[str, ...]) -> Finding:
    """Return what a probe finds.

    Args:
        code: of the check.
        what: the probe sees; begins the sentence.
        features: (n_images, n_features).
        images: the cohort's rows.
        positive: the classes labelled 1.
    """
    found = list(measured(features, images, positive))
    if not found:
        return Finding(code, NOT_CHECKED, f"Fewer than {FEWEST} patients of a class.")
    comparison, worst = max(found, key=lambda pair: at_least(pair[1], len(found)))
    among = f", the most of {len(found)} comparisons" if len(found) > 1 else ""
    status = judged([estimate for _, estimate in found])
    evidence = f"{what} alone {VERBS[status]} the classes apart: AUC {shown(worst)} for {comparison.name}{among}."
    return Finding(code, status, evidence, rows=tuple(_row(*pair) for pair in found))


def _row(comparison: Comparison, found: Estimate) -> dict[str, Any]:
    return {
        "comparison": comparison.name, "AUC": found.value, "low": found.low, "high": found.high,
        "n_patients": found.n_patients, "n_images": found.n_images,
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------------- duplicates


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
            "image": one["image_id"].to_numpy(), "other image": other["image_id"].to_numpy(),
            "patient": one["patient_id"].to_numpy(), "other patient": other["patient_id"].to_numpy(),
        }
    ).join(pairs[["distance", "correlation", "mirrored"]])  # fmt: skip
    rows = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    return Finding("A04", FAILED if people else WARNING, evidence, rows=tuple(rows))


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
            rows.append(_row(comparison, found) | {"level": found.level, "images with it": " against ".join(with_it)})
            apart = max(found.low, 1 - found.high)  # many in one class, or few
            worst = max(worst, (apart, f"AUC {shown(found)} per {found.level} for {comparison.name}"))
    shares = ", ".join(f"{n_with[name]} of {n[name]} {name}" for name in n.index)
    evidence = f"{int(n_with.sum())} of {len(images)} images have {what} ({shares})"
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
        area = auc.clustered(part["label"].to_numpy(), part["count"].to_numpy()[None], part["patient"].to_numpy())
        value = float(area.value[0])
        low, high = auc.logit_interval(value, float(area.se[0]))
        if math.isnan(low):
            low, high = auc.newcombe(value, n_positive, n_negative)
        found.append(Estimate(value, low, high, level, "clustered DeLong", "E1", len(people), len(frame)))
    return found


def beyond_clinical(features: np.ndarray, images: pd.DataFrame) -> np.ndarray:
    """Return features (n_images, n_features) less what a linear model of recorded age and density explains of them.

    Dense breasts are brighter, and cancer is more frequent in them: that is medicine, and no shortcut. Where neither is
    recorded, the features themselves.
    """
    known = [name for name in CLINICAL if name in images]
    if not known:
        return features
    design = np.column_stack([np.ones(len(images)), *(_terms(images[name]) for name in known)])
    table = pd.DataFrame(features)
    filled = table.fillna(table.median()).fillna(0.0).to_numpy(dtype=np.float64)
    return filled - design @ np.linalg.lstsq(design, filled, rcond=None)[0]


def _terms(column: pd.Series) -> np.ndarray:
    """Return a standardised column, its square and whether it is missing, (n_images, 3) of float."""
    values = pd.to_numeric(column, errors="coerce").astype("float64")
    missing = values.isna().to_numpy()
    filled = values.fillna(values.median()).fillna(0.0).to_numpy()
    standard = (filled - filled.mean()) / max(float(filled.std()), 1e-9)
    return np.column_stack([standard, standard**2, missing])


# ----------------------------------------------------------------------------------------------------------- the files


def image_sizes(images: pd.DataFrame, facts: pd.DataFrame, positive: tuple[str, ...]) -> Finding:
    """A13: width and height; `facts` are rows of `mmbc.data.images.read_images`."""
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
    origin = origin.where(origin.map(people) >= FEWEST_OF_SITE, "others")
    what = "The site (digitiser, hospital)" if by_site else "The beginning of the file name"
    if origin.nunique() == 1:
        return Finding("A18", PASSED, f"{what} is the same for all images.")
    return probed("A18", what, pd.get_dummies(origin).to_numpy(dtype=np.float64), images, positive)


def prefix(path: Path) -> str:
    """Return the first letters of a file's name: `12_B_3016.LEFT_CC.png` -> `B`."""
    found = re.search(r"[^\W\d_]+", path.stem)
    return found[0] if found else ""


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


# ------------------------------------------------------------------------------------------------------ permuted labels


def permuted_labels(
    images: pd.DataFrame, appearance: Appearance, positive: tuple[str, ...], folds: np.ndarray | None = None, *,
    seed: int = 0, n_permutations: int = N_PERMUTATIONS,
) -> Finding:  # fmt: skip
    """A21: labels permuted over patients, which nothing can predict unless a patient is on both sides of a fold.

    Given the training labels, those of the other patients are in random order: the expected AUC within a fold is 0.5
    exactly.

    Args:
        images: the cohort's rows.
        appearance: of their images; the probe sees border, silhouette, rim, grey and noise.
        positive: does not matter, all labels are permuted.
        folds: (n_images,) of int, the fold whose test part an image is in; None for patient-grouped ones made here.
        seed: of the permutations.
        n_permutations: how many.
    """
    folds = _grouped(images, seed) if folds is None else np.asarray(folds)
    people, person = np.unique(images["patient_id"].to_numpy(dtype=str), return_inverse=True)
    label = np.zeros(len(people), dtype=int)
    np.maximum.at(label, person, images["label"].to_numpy(dtype=int))
    if min(label.sum(), len(label) - label.sum()) < FEWEST:
        return Finding("A21", NOT_CHECKED, f"Fewer than {FEWEST} patients of a class.")
    near, rng = neighbours(richest(appearance), folds), np.random.default_rng([seed, 21])
    areas = np.array([_permuted(near, rng.permutation(label)[person], person, folds) for _ in range(n_permutations)])
    mean, error = float(areas.mean()), float(areas.std(ddof=1) / math.sqrt(len(areas)))
    passed = abs(mean - 0.5) <= ERRORS * error
    n_divided = int((pd.Series(folds).groupby(person).nunique() > 1).sum())
    divided = f" {n_divided} patients are in more than one fold." if n_divided else ""
    evidence = f"Labels permuted over patients {n_permutations} times: AUC {mean:.3f}, Monte Carlo error {error:.3f}"
    evidence += f"; 0.5 is expected.{divided}" if passed else f", not 0.5: the folds leak.{divided}"
    row = {
        "comparison": "permuted labels", "AUC": mean, "low": mean - ERRORS * error, "high": mean + ERRORS * error,
        "n_patients": len(people), "n_images": len(images),
    }  # fmt: skip
    return Finding("A21", PASSED if passed and not n_divided else FAILED, evidence, rows=(row,))


def _grouped(images: pd.DataFrame, seed: int) -> np.ndarray:
    patients = patient_table(images)
    n_folds = int(min(N_FOLDS, patients["label"].value_counts().min()))
    parts: Sequence[tuple[str, ...]] = inner_folds(patients, n_folds=max(2, n_folds), rng=np.random.default_rng(seed))
    fold_of = {patient: number for number, part in enumerate(parts) for patient in part}
    return images["patient_id"].map(fold_of).to_numpy()


def richest(appearance: Appearance) -> np.ndarray:
    """Return principal components (n_images, at most 40) of everything measured; no label is looked at."""
    table = appearance.table[[*GREYS, *NOISES]]
    parts = (table.fillna(table.median()).fillna(0.0), appearance.border, appearance.silhouette, appearance.uncentred)
    blocks = [StandardScaler().fit_transform(np.asarray(part, dtype=np.float64)) for part in parts]
    features = np.hstack([block / math.sqrt(block.shape[1]) for block in blocks])
    return PCA(min(COMPONENTS, *features.shape), random_state=0).fit_transform(features)


def neighbours(features: np.ndarray, folds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for every image the nearest images of the other folds and their weights, both (n_images, 10).

    Who is near is not learned from labels, so that it serves all permutations; and nothing knows another image of the
    same patient as well as her nearest neighbours do.
    """
    n_near = min(N_NEIGHBOURS, min(int((folds != fold).sum()) for fold in np.unique(folds)))
    index, weight = np.zeros((len(folds), n_near), dtype=int), np.zeros((len(folds), n_near))
    for fold in np.unique(folds):
        others, own = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        distance, near = NearestNeighbors(n_neighbors=n_near).fit(features[others]).kneighbors(features[own])
        index[own] = others[near]
        weight[own] = np.exp(-2 * (distance / np.maximum(distance[:, :1], 1e-9)) ** 2)
    return index, weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)


def _permuted(near: tuple[np.ndarray, np.ndarray], labels: np.ndarray, person: np.ndarray, folds: np.ndarray) -> float:
    """Return the mean of within-fold AUCs over the parts of patients that lie in a fold."""
    index, weight = near
    scored = pd.DataFrame(
        {"score": (labels[index] * weight).sum(axis=1), "label": labels, "fold": folds, "who": person}
    )
    units = scored.groupby(["fold", "who"], as_index=False).agg(score=("score", "mean"), label=("label", "first"))
    parts = [part for _, part in units.groupby("fold") if part["label"].nunique() == 2]
    areas = [auc.delong(part["label"].to_numpy(), part["score"].to_numpy()[None]).value[0] for part in parts]
    return float(np.mean(areas))
