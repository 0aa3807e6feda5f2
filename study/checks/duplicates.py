"""Near-duplicates: the same exposure twice, however it was saved, brightened, resized, cropped, mirrored or drawn upon.

Pixel-identical copies are found by digest; these are not identical. Candidates are pairs whose perceptual hashes lie
close; they are confirmed by aligning thumbnails and comparing fine detail, which two exposures of a breast do not
share.
"""

from collections.abc import Iterator
from functools import partial
from itertools import chain

import cv2
import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mmbc.data.images.appearance import THUMBNAIL, Appearance
from mmbc.threads import map_parallel

CLOSE = 60
"""Bits of 256 by which the hashes of candidates differ at most.

Of 1088 different images of Mini-DDSM v1, 4 in 100 000 pairs of two patients are that close (2 in 100 of left and
mirrored right breast in the same view). Their own copies lie within 18 (JPEG quality 50, resized, mirrored, with a
coloured outline), 36 (gamma 0.75, with a white outline) or 50 (up to 2 % cropped from each side); half of those rotated
by 2 degrees, or cropped by up to 5 %."""

ALIKE = 0.75
"""Correlation of fine detail after alignment from which a candidate is a duplicate.

On the same images, no two exposures whose hashes are within 64 bits reach more than 0.67. Their copies reach at least
0.91 where they are brightened and 0.87 with an outline; of those cropped by 2 %, 95 % reach 0.89."""

HOPELESS = 0.3
"""Correlation before alignment below which none is tried."""

BLOCK = 1024
"""Images whose distances to all others are held at a time."""

STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-4)
COLUMNS = {
    "i": "int64",
    "j": "int64",
    "distance": "int64",
    "correlation": "float64",
    "same_patient": "bool",
    "mirrored": "bool",
}


def near_duplicates(appearance: Appearance, images: pd.DataFrame, *, workers: int = 0) -> pd.DataFrame:
    """Return the pairs of images that are the same exposure.

    Args:
        appearance: of the images.
        images: the cohort's rows, in the same order.
        workers: threads; 0 means one per core.

    Returns:
        One row per pair: row numbers `i` < `j`, `distance` in bits of 256, `correlation`, `same_patient`, `mirrored`;
        pairs of two patients first, then by distance.
    """
    thumbnails, patients = appearance.thumbnails, images["patient_id"].to_numpy()
    confirmed: dict[tuple[int, int], dict[str, object]] = {}
    for mirrored, hashes in ((False, appearance.hashes), (True, appearance.mirrored)):
        work = partial(_alike, thumbnails=thumbnails, mirrored=mirrored)
        todo = [pair for pair in candidates(appearance.hashes, hashes) if pair[:2] not in confirmed]
        for (i, j, distance), correlation in map_parallel(work, todo, workers, "comparing images", None):
            if correlation >= ALIKE:
                confirmed[i, j] = {
                    "i": i,
                    "j": j,
                    "distance": distance,
                    "correlation": correlation,
                    "same_patient": patients[i] == patients[j],
                    "mirrored": mirrored,
                }
    pairs = pd.DataFrame(list(confirmed.values()), columns=list(COLUMNS)).astype(COLUMNS)
    return pairs.sort_values(["same_patient", "distance", "i", "j"], ignore_index=True)


def candidates(hashes: np.ndarray, others: np.ndarray) -> list[tuple[int, int, int]]:
    """Return (i, j, distance) with i < j and hash i within `CLOSE` bits of other j; both (n_images, 32) of uint8."""
    return list(chain.from_iterable(_close(hashes, others, start) for start in range(0, len(hashes), BLOCK)))


def _close(hashes: np.ndarray, others: np.ndarray, start: int) -> Iterator[tuple[int, int, int]]:
    """Yield the candidates of a block: the differing bits are counted by a product of -1 and 1, exact in float32."""
    ones = _signs(hashes[start : start + BLOCK])
    for begin in range(start, len(others), BLOCK):
        agreement = ones @ _signs(others[begin : begin + BLOCK]).T
        distance = (ones.shape[1] - agreement) / 2
        for i, j in np.argwhere(distance <= CLOSE):
            if start + i < begin + j:
                yield int(start + i), int(begin + j), int(distance[i, j])


def _signs(hashes: np.ndarray) -> np.ndarray:
    return 2 * np.unpackbits(hashes, axis=1).astype(np.float32) - 1  # (n, 32) -> (n, 256)


def _alike(pair: tuple[int, int, int], *, thumbnails: np.ndarray, mirrored: bool) -> float:
    one, other = (thumbnails[row].astype(np.float32) for row in pair[:2])
    return similarity(one, np.ascontiguousarray(other[:, ::-1]) if mirrored else other)


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    """Return the correlation of fine detail of two thumbnails (64, 64) of float32 after an affine alignment.

    The alignment maximises the correlation of coarse detail (Evangelidis and Psarakis 2008, doi
    10.1109/TPAMI.2008.113). Detail is then divided by its local strength, else the outline of the breast would be all
    that counts.
    """
    coarse, moved = _band(one, 4.0), _band(other, 4.0)
    if _correlation(coarse, moved) < HOPELESS:
        return 0.0
    try:
        _, warp = cv2.findTransformECC(coarse, moved, np.eye(2, 3, dtype=np.float32), cv2.MOTION_AFFINE, STEPS, None, 1)
    except cv2.error:  # does not converge: nothing in common
        return 0.0
    apply = partial(cv2.warpAffine, M=warp, dsize=(THUMBNAIL, THUMBNAIL), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    aligned = apply(other, borderMode=cv2.BORDER_REPLICATE)
    shown = apply(np.ones_like(other)) > 0.99
    seen = shown & (np.maximum(cv2.GaussianBlur(one, (0, 0), 1), cv2.GaussianBlur(aligned, (0, 0), 1)) > 20)
    return _correlation(_even(one)[seen], _even(aligned)[seen]) if seen.sum() > THUMBNAIL else 0.0


def _band(grey: np.ndarray, coarse: float) -> np.ndarray:
    return cv2.GaussianBlur(grey, (0, 0), 0.7) - cv2.GaussianBlur(grey, (0, 0), coarse)


def _even(grey: np.ndarray) -> np.ndarray:
    """Return fine detail of even strength; 2 grey levels keep noise from being blown up."""
    detail = _band(grey, 2.0)
    return detail / np.sqrt(cv2.GaussianBlur(detail**2, (0, 0), 2.0) + 2.0**2)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    if one.std() == 0 or other.std() == 0:
        return 0.0
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def clusters(pairs: pd.DataFrame) -> list[tuple[int, ...]]:
    """Return the rows that hang together through pairs, the largest groups first; a row in no pair is in none."""
    if pairs.empty:
        return []
    i, j = pairs["i"].to_numpy(), pairs["j"].to_numpy()
    n = int(max(i.max(), j.max())) + 1
    _, group = connected_components(coo_array((np.ones(len(i)), (i, j)), shape=(n, n)), directed=False)
    rows = np.unique(np.concatenate([i, j]))
    members = pd.Series(rows).groupby(group[rows]).apply(tuple)
    return sorted((tuple(int(row) for row in rows) for rows in members), key=lambda rows: (-len(rows), rows))
