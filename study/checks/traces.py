"""What the treatment of outlines leaves behind: probes of where it worked, what it put there, what lies around.

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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mmbc.config import DataConfig, digest
from mmbc.data.images.decoding import FORMAT as TREATMENT
from mmbc.data.images.preparation import collect_outlines, read_untreated
from mmbc.data.tables.labels import CONTRALATERAL
from mmbc.threads import Progress, map_parallel
from study.checks import probes
from study.checks.probes import Comparison
from study.checks.regions import CONTROL, MODES, N_FEATURES, VIEWS, image_features
from study.stats import auc
from study.stats.estimate import Estimate

FORMAT = 3
"""Raise it when the same images would give other numbers."""
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
METHOD = "patient-grouped 5-fold cross-validation, fold-stratified Obuchowski"


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
        elsewhere = list(_estimates(control[:, columns], images, own, linear=False))
        for number, mode in enumerate(MODES):
            treated = features[:, number, columns]
            places = {
                "treated": _estimates(treated, images, own, linear=False),
                CONTROL: elsewhere,
                "excess": _estimates(treated - control[:, columns], images, own, linear=True),
            }
            for place, estimates in places.items():
                for name, estimate in estimates:
                    yield {"mode": mode, "view": view, "place": place, "comparison": name, **_plain(estimate)}


def _estimates(
    seen: np.ndarray, images: pd.DataFrame, own: np.ndarray, *, linear: bool
) -> Iterator[tuple[str, Estimate]]:
    """Yield every comparison with its estimate: classes by patient, then own outlines by image."""
    for comparison in probes.comparisons(images, probes.positive_classes(images)):
        if (estimate := probes.probe(seen, images, comparison, linear=linear)) is not None:
            yield comparison.name, estimate
    for comparison in own_comparisons(images, own):
        if (estimate := by_image(seen, images, comparison, linear=linear)) is not None:
            yield comparison.name, estimate


def _plain(estimate: Estimate) -> dict[str, object]:
    return {
        "auc": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n_patients": estimate.n_patients,
        "n_images": estimate.n_images,
    }


def own_comparisons(images: pd.DataFrame, own: np.ndarray) -> list[Comparison]:
    """Return the comparison of images with and without an outline of their own, in all and within cases' classes.

    The opposite breasts of cases, where labels belong to breasts, go with the breasts they are opposite of.
    """
    status = images["status"].astype(str)
    opposite = status == CONTRALATERAL
    of_case = status[~opposite].groupby(images["case_id"]).first()
    case = status.mask(opposite, images["case_id"].map(of_case))
    comparisons = [Comparison(OWN, np.ones(len(images), dtype=bool), own.astype(int))]
    for name in sorted(case.dropna().unique()):
        rows = (case == name).to_numpy()
        if 0 < own[rows].sum() < rows.sum():
            comparisons.append(Comparison(f"{OWN} within {name}", rows, own.astype(int)))
    return comparisons


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
        area = auc.cross_validated_delong(labels, scores[None], patients, folds)
        value = float(area.value[0])
        low, high = auc.logit_interval(value, float(area.se[0]))
    return Estimate(value, low, high, "image", METHOD, "E1", len(people), len(rows))
