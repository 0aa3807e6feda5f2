"""What the treatment of outlines leaves behind: probes of where it worked, of what it put there, and of what lies around.

A probe sees the treated region of each image alone: its shape and place (`mask`), the pixels filled in (`pixels`), or a
ring around it (`surroundings`). That it tells classes apart is no leak in itself: images of the classes differ in
brightness and sharpness wherever one looks. So the same numbers are taken at a control region of the same image, one
that other donors gave and the same treatment filled. A probe of the differences (`excess`) is blind to what an image is
like everywhere: where neither region has anything to do with a lesion the two can be exchanged, their differences lie
around 0 in every class, and a linear probe of them has an AUC of 0.5 however the classes were acquired.

What is filled in depends only on pixels that were never drawn on, so two things can remain: the shape and place of the
region, and that it lies on the rim of a lesion, which `pixels` and `surroundings` see. The second is signal too: the
lesion would be there without the treatment, only not pointed at. The excess of all views together therefore bounds from
above what a model can have from the treatment, as far as such probes see it; that of the mask alone holds nothing of
the lesion but its size and place.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from mmbc.config import DataConfig, digest
from mmbc.data.images import outlines
from mmbc.data.images.decoding import FORMAT as TREATMENT
from mmbc.data.images.outlines import OutlinePool
from mmbc.data.images.preparation import collect_outlines, read_untreated
from mmbc.data.tables.labels import CONTRALATERAL
from mmbc.threads import Progress, map_parallel
from study.checks import probes
from study.checks.probes import Comparison
from study.records.finding import FAILED, NOT_CHECKED, PASSED, WARNING, Finding
from study.stats import auc
from study.stats.estimate import Estimate

CODE = "A12"
FORMAT = 3
"""Raise it when the same images would give other numbers."""

MODES = ("keep", "inpaint", "sham")
CONTROL = "control"
VIEWS = {"mask": slice(0, 8), "pixels": slice(8, 16), "surroundings": slice(16, 24), "all": slice(0, 24)}
N_FEATURES = 24
PLACES = ("treated", CONTROL, "excess")
"""Where a probe looks: at the treated region, at the control region, or at their differences."""

COLUMNS = {
    "mode": "str",
    "view": "str",
    "place": "str",
    "comparison": "str",
    "auc": "float64",
    "low": "float64",
    "high": "float64",
    "n_patients": "int64",
    "n_images": "int64",
}
SETTINGS = ("image_size", "resize", "crop")

OWN = "own outline against none"
RING, FAR = 3, 7
"""Pixels from the region to the end of its surroundings, and of what these are compared with."""
METHOD = "patient-grouped 5-fold cross-validation, fold-stratified Obuchowski"
LITTLE = 0.1
"""Added to spreads before their ratio, in grey levels, so that flat regions have one."""
NEAR, CLEAR = 0.55, 0.60
"""An excess whose whole interval lies above these AUCs is a warning, and a clear trace."""


# ------------------------------------------------------------------------------------------------ features of a region


def region_features(grey: np.ndarray, region: np.ndarray, breast: np.ndarray, chest_right: bool) -> np.ndarray:
    """Return the numbers (`N_FEATURES`,) that probes see of a region; NaN where it is empty.

    Args:
        grey: (height, width) of uint8, treated.
        region: (height, width) of bool.
        breast: (height, width) of bool.
        chest_right: whether columns are counted from the right.
    """
    if not region.any():
        return np.array([0.0, 0.0, *[np.nan] * (N_FEATURES - 2)])
    whole = _enclosed(region)
    return np.array([*_shape(region, whole, breast, chest_right), *_texture(grey, region, whole)])


def _shape(region: np.ndarray, whole: np.ndarray, breast: np.ndarray, chest_right: bool) -> list[float]:
    """Area, parts, bounding box, place relative to the breast, enclosed area, thickness."""
    area, bits = int(region.sum()), region.astype(np.uint8)
    _, _, width, height = cv2.boundingRect(bits)
    left, top, breast_width, breast_height = cv2.boundingRect(breast.astype(np.uint8))
    row, column = np.argwhere(region).mean(axis=0)
    down, right = (row - top) / max(breast_height, 1), (column - left) / max(breast_width, 1)
    thickness = cv2.distanceTransform(np.pad(bits, 1), cv2.DIST_L2, 3)[1:-1, 1:-1][region].mean()
    n_parts = cv2.connectedComponents(bits)[0] - 1
    enclosed = int(whole.sum()) - area
    return [
        np.log1p(area),
        n_parts,
        height,
        width,
        down,
        1 - right if chest_right else right,
        np.log1p(enclosed),
        thickness,
    ]


def _texture(grey: np.ndarray, region: np.ndarray, whole: np.ndarray) -> list[float]:
    """The filled pixels, alone and relative to the ring around them; the ring, alone and relative to farther ones."""
    values = grey.astype(np.float32)
    steps = cv2.magnitude(cv2.Sobel(values, -1, 1, 0), cv2.Sobel(values, -1, 0, 1))
    layers = np.stack([values, steps, np.abs(cv2.Laplacian(values, -1))])
    near = _grown(region, RING)
    around, beyond = near & ~region, _grown(region, FAR) & ~near
    filled, ring, far, inside, outside = (
        _statistics(layers, part) for part in (region, around, beyond, whole & ~region, beyond & ~whole)
    )
    return [
        *filled,
        filled[0] - ring[0],
        *_log_ratio(filled[1:], ring[1:]),
        *ring,
        far[0] - ring[0],
        _log_ratio(far[3], ring[3]),
        inside[0] - outside[0],
        _log_ratio(inside[1], outside[1]),
    ]


def _statistics(layers: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Return mean, standard deviation, mean gradient and mean Laplacian (4,); NaN for a part of no pixels."""
    chosen = layers[:, part]
    if not chosen.size:
        return np.full(4, np.nan)
    mean, steps, laplacian = chosen.mean(axis=1)
    return np.array([mean, chosen[0].std(), steps, laplacian])


def _log_ratio(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.log((first + LITTLE) / (second + LITTLE))


def _grown(region: np.ndarray, by: int) -> np.ndarray:
    return cv2.dilate(region.astype(np.uint8), np.ones((2 * by + 1, 2 * by + 1), np.uint8)).astype(bool)


def _enclosed(region: np.ndarray) -> np.ndarray:
    """Return the region with everything its outer contours enclose: (height, width) of bool."""
    contours, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros(region.shape, np.uint8), contours, -1, 1, cv2.FILLED).astype(bool)


def image_features(grey: np.ndarray, mask: np.ndarray, pool: OutlinePool, key: str) -> np.ndarray:
    """Return the numbers of one image: (4, `N_FEATURES`), the treated regions of `MODES` in order, then the control.

    Args:
        grey: (height, width) of uint8, before treatment.
        mask: (height, width) of bool, as `mmbc.data.images.outlines.find` returns it.
        pool: the real outlines.
        key: the image's pixel digest.
    """
    own = outlines.fill_core(mask)
    clean = outlines.inpaint(grey, own)
    breast = outlines.tissue(clean)
    side = outlines.is_chest_wall_right(clean, breast)
    sham = outlines.region(grey, mask, "sham", pool, key)
    control = outlines.place_donors(clean, pool.donors(f"{CONTROL} {key}"))
    pairs = (
        (grey, own),
        (clean, own),
        (outlines.inpaint(grey, sham), sham),
        (outlines.inpaint(grey, own | control), control),
    )
    return np.stack([region_features(pixels, region, breast, side) for pixels, region in pairs])


# -------------------------------------------------------------------------------------------------------- measurements


def measure(
    paths: Sequence[Path],
    facts: pd.DataFrame,
    images: pd.DataFrame,
    data: DataConfig,
    *,
    cache: Path,
    progress: Progress | None = None,
    workers: int = 0,
) -> pd.DataFrame:
    """Probe what each treatment leaves behind.

    Args:
        paths: the files of a cohort.
        facts: their rows of `mmbc.data.images.facts.read_images`, in the same order.
        images: their rows in the cohort, in the same order.
        data: how files are decoded.
        cache: folder in which features and results are kept by the digests of what they depend on.
        progress: told about each image.
        workers: threads; 0 means one per core.

    Returns:
        One row per `mode`, `view`, `place` and `comparison` with `auc`, `low`, `high`, `n_patients`, `n_images`; the
        study's comparison is the first of each; empty without outlines.

    Raises:
        ImageError: a file that cannot be read or has changed; names it.
    """
    own = (facts["n_outline_pixels"] > 0).to_numpy()
    if not own.any():
        return pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)
    settings = data.model_dump(include=set(SETTINGS)) | {"format": FORMAT, "treatment": TREATMENT}
    wanted = {"settings": settings, "images": list(facts["pixel_digest"])}
    rows = images[["patient_id", "status", "label", "image_id"]].astype(str).to_numpy().tolist()
    file = cache / "traces" / f"{digest(wanted | {'rows': rows})}.parquet"
    if (kept := _kept_results(file)) is not None:
        return kept
    features = _features(paths, facts, data, cache / "traces" / f"{digest(wanted)}.npy", workers, progress)
    result = pd.DataFrame(_results(features, images, own), columns=list(COLUMNS)).astype(COLUMNS)
    _write(file, lambda temporary: result.to_parquet(temporary))
    return result


def _features(
    paths: Sequence[Path], facts: pd.DataFrame, data: DataConfig, file: Path, workers: int, progress: Progress | None
) -> np.ndarray:
    """Return the numbers of all images (n_images, 4, `N_FEATURES`), kept in a file."""
    shape = (len(paths), len(MODES) + 1, N_FEATURES)
    try:
        kept = np.load(file, allow_pickle=False)
        if kept.shape == shape:
            return kept
    except (OSError, ValueError, EOFError):
        pass
    pool = collect_outlines(paths, facts, data, workers=workers, progress=progress)
    files = list(zip(paths, facts["content_digest"], facts["pixel_digest"], strict=True))
    features = np.empty(shape)

    def work(row: int) -> None:
        path, content_digest, pixel_digest = files[row]
        features[row] = image_features(*read_untreated(path, data, content_digest), pool, pixel_digest)

    for _ in map_parallel(work, range(len(paths)), workers, "looking for traces", progress):
        pass
    _write(file, lambda temporary: _save(temporary, features))
    return features


def _save(file: Path, features: np.ndarray) -> None:
    with file.open("wb") as stream:
        np.save(stream, features)


def _write(file: Path, write: Callable[[Path], None]) -> None:
    """Write by rename."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    write(temporary)
    temporary.replace(file)


def _kept_results(file: Path) -> pd.DataFrame | None:
    try:
        return pd.read_parquet(file)[list(COLUMNS)].astype(COLUMNS)
    except (OSError, ValueError, KeyError):
        return None


def _results(features: np.ndarray, images: pd.DataFrame, own: np.ndarray) -> Iterator[dict[str, object]]:
    """Yield the rows of `measure`; the control region is the same for every mode and probed once."""
    control = features[:, -1]
    for view, columns in VIEWS.items():
        elsewhere = list(_probed(control[:, columns], images, own, linear=False))
        for number, mode in enumerate(MODES):
            treated = features[:, number, columns]
            places = {
                "treated": _probed(treated, images, own, linear=False),
                CONTROL: elsewhere,
                "excess": _probed(treated - control[:, columns], images, own, linear=True),
            }
            for place, found in places.items():
                for name, estimate in found:
                    yield {"mode": mode, "view": view, "place": place, "comparison": name, **_plain(estimate)}


def _probed(seen: np.ndarray, images: pd.DataFrame, own: np.ndarray, *, linear: bool) -> Iterator[tuple[str, Estimate]]:
    """Yield every comparison with its estimate: classes by patient, then own outlines by image."""
    positive = tuple(sorted(images.loc[images["label"] == 1, "status"].astype(str).unique()))
    for comparison in probes.comparisons(images, positive):
        if (found := probes.probe(seen, images, comparison, linear=linear)) is not None:
            yield comparison.name, found
    for comparison in own_comparisons(images, own):
        if (found := by_image(seen, images, comparison, linear=linear)) is not None:
            yield comparison.name, found


def _plain(estimate: Estimate) -> dict[str, object]:
    return {
        "auc": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n_patients": estimate.n_patients,
        "n_images": estimate.n_images,
    }


def own_comparisons(images: pd.DataFrame, own: np.ndarray) -> list[Comparison]:
    """Return the comparison of images with an outline of their own with those without, in all and within cases' classes.

    The opposite breasts of cases, where labels belong to breasts, go with the breasts they are opposite of.
    """
    status = images["status"].astype(str)
    opposite = status == CONTRALATERAL
    of_case = status[~opposite].groupby(images["case_id"]).first()
    case = status.mask(opposite, images["case_id"].map(of_case))
    found = [Comparison(OWN, np.ones(len(images), dtype=bool), own.astype(int))]
    for name in sorted(case.dropna().unique()):
        rows = (case == name).to_numpy()
        if 0 < own[rows].sum() < rows.sum():
            found.append(Comparison(f"{OWN} within {name}", rows, own.astype(int)))
    return found


def by_image(
    features: np.ndarray, images: pd.DataFrame, comparison: Comparison, *, linear: bool = False
) -> Estimate | None:
    """Return the out-of-fold AUC of images, patients kept together; None with too few.

    Most patients with an outline have it in some of their images only, so their mean scores would tell nothing.
    """
    rows = np.flatnonzero(comparison.rows)
    labels, patients = comparison.label[rows], images["patient_id"].to_numpy()[rows]
    people = np.unique(patients)
    order = np.random.default_rng(0).permutation(len(people)) % probes.N_FOLDS
    folds = order[np.searchsorted(people, patients)]
    counts = pd.crosstab(folds, labels).reindex(columns=[0, 1], fill_value=0)
    if len(people) < 2 * probes.FEWEST or counts.to_numpy().min() < 2:
        return None
    scores = probes.out_of_fold(features[rows], labels, folds, linear=linear)
    if np.ptp(scores) == 0:
        value, low, high = 0.5, 0.5, 0.5
    else:
        found = auc.cross_validated_delong(labels, scores[None], patients, folds)
        value = float(found.value[0])
        low, high = auc.logit_interval(value, float(found.se[0]))
    return Estimate(value, low, high, "image", METHOD, "E1", len(people), len(rows))


# ------------------------------------------------------------------------------------------------------ what is said


def finding(result: pd.DataFrame, mode: str, n_outlined: int) -> Finding:
    """Judge what a treatment leaves, by the excess of the mask and of all views together.

    Args:
        result: of `measure`.
        mode: the study's `data.outlines`.
        n_outlined: how many images have outlines.
    """
    if not n_outlined:
        return Finding(
            CODE,
            PASSED,
            "No image has an outline in the colours of Mini-DDSM's own; drawn curves of other kinds: A09 and A10.",
        )
    if result.empty or result["comparison"].iloc[0].startswith(OWN):
        evidence = (
            f"{n_outlined} images have outlines in their pixels; too few patients of a class to say what remains."
        )
        return Finding(CODE, FAILED if mode == "keep" else NOT_CHECKED, evidence, HANDLED.get(mode, ""))
    if mode == "keep":
        told = f"AUC {_said(result, mode, 'mask', 'treated')} for {_asked(result)} from their shape and place alone"
        evidence = f"Outlines stay in the pixels: {told}."
        return Finding(CODE, FAILED, evidence, rows=_rows(result, mode))
    judged = result[(result["mode"] == mode) & (result["place"] == "excess") & result["view"].isin(["mask", "all"])]
    if not _by_breast(result):  # else an outline of one's own is the label
        judged = judged[~judged["comparison"].str.startswith(OWN)]
    surely = judged["low"].fillna(judged["auc"])
    status = FAILED if (surely > CLEAR).any() else WARNING if (surely > NEAR).any() else PASSED
    worst = judged.iloc[int(surely.to_numpy().argmax())]
    evidence = (
        f"{remains(result, mode)} The farthest from chance of all comparisons: {worst['comparison']}, {_shown(worst)} "
        f"({worst['view']})."
    )
    return Finding(CODE, status, evidence, HANDLED[mode], _rows(result, mode))


def remains(result: pd.DataFrame, mode: str = "sham") -> str:
    """Say in one sentence what is left of the outlines, where there were some and patients enough.

    It belongs under every number of a study whose images had outlines.
    """
    return (
        f"What remains of the outlines: AUC {_said(result, mode, 'all', 'excess')} for {_asked(result)} from the"
        " treated regions, beyond control regions of the same images, an upper bound that includes the rims of"
        f" lesions; {_said(result, mode, 'mask', 'excess')} from their shape and place alone."
    )


HANDLED = {
    "inpaint": "outlines that are there were taken out, and no others, so that the treatment itself tells who had one",
    "sham": "one outline of each size class was taken out of every image, its own or a donor's",
}


def _asked(result: pd.DataFrame) -> str:
    """Return the study's comparison; where labels belong to breasts that is whose outline it is, within positive cases."""
    names = result["comparison"]
    if not _by_breast(result):
        return str(names.iloc[0])
    positive = str(names.iloc[0]).partition(" against ")[0]
    return next((name for name in names if name == f"{OWN} within {positive}"), OWN)


def _by_breast(result: pd.DataFrame) -> bool:
    return bool(result["comparison"].str.contains(CONTRALATERAL).any())


def _said(result: pd.DataFrame, mode: str, view: str, place: str) -> str:
    of_view = (result["mode"] == mode) & (result["view"] == view) & (result["place"] == place)
    return _shown(result[of_view & (result["comparison"] == _asked(result))].iloc[0])


def _shown(row: pd.Series) -> str:
    interval = "" if np.isnan(row["low"]) else f" ({row['low']:.2f} to {row['high']:.2f})"
    return f"{row['auc']:.2f}{interval}"


def _rows(result: pd.DataFrame, mode: str) -> tuple[Mapping[str, str], ...]:
    """Return a mapping for each comparison and view, with the AUC at each place."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for _, row in result[result["mode"] == mode].iterrows():
        key = (row["comparison"], row["view"])
        found.setdefault(key, {"comparison": key[0], "seen": key[1]})[row["place"]] = _shown(row)
    return tuple(found.values())
