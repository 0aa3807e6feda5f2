"""The phantom: a built-in synthetic cohort whose signals are known, because they are planted.

Three signals can be switched on and off (see `PhantomConfig`): lesions in the images, age and density in the table, and
an interaction of both. The direction of the texture, the same in all four images of a patient, tells nothing by itself,
but raises the odds of cancer in women older than the median age and lowers them in younger women. Only a model that
sees image and table can use it.

Cancers have a spiculated mass, a cluster of microcalcifications, or both, in one breast, seen in both views. The other
breast shows no lesion but is labelled cancer too, as in Mini-DDSM. Normal and benign cases differ in name only: no
benign lesion is drawn.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from scipy.fft import irfft2
from scipy.optimize import brentq
from scipy.special import expit

from mmbc.config import PhantomConfig, digest, identity
from mmbc.data.listing import KEYS, Listing
from mmbc.data.tables.columns import Feature
from mmbc.files import build_folder
from mmbc.threads import Progress, map_parallel

NAME = "phantom"
NOTICE = "synthetic phantom cohort, not clinical evidence"
FEATURES = (Feature("age", "numeric"), Feature("density", "ordinal"))
VIEWS = (("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"))

FORMAT = 1
"""Raise it when the same configuration gives another table or other pixels, so that images are rendered anew."""

TABLE, LESION, IMAGE, LESION_VIEW = range(4)
"""Streams of random numbers: the second word of a seed. A seed with a 0 appended gives the same stream as without."""

AGE_MEAN, AGE_SD = 57.0, 12.0
DENSITY_CUTS = (-1.2, 0.0, 1.2)
"""Borders of the density classes 1 to 4 on a standard normal scale."""

AGE_EFFECT, DENSITY_EFFECT, INTERACTION_EFFECT = 0.7, 0.6, 0.9
"""Log odds for one standard deviation at strength 1; age and density alone then reach a patient-level AUC of 0.68."""

MISSING_SHARE = 0.03

CONTRAST = 60.0
"""Median brightness of a lesion in grey levels at strength 1: a linear probe on the frozen Lite0 trunk at 96 pixels, a
sanity check rather than a bound, then reaches a patient-level AUC of about 0.8 (240 patients, height 128)."""

SITES = {"A": (1.0, 0.0), "B": (0.92, 9.0)}
"""Gain and offset of the two sites' digitisers; the site is independent of the label."""


@dataclass(frozen=True)
class Lesion:
    """The lesion of a cancer.

    Attributes:
        depth: distance from the chest wall, as a share of the depth of the breast.
        height: distance from the middle of the breast, as a share of half its height; -1 to 1.
        radius: radius of the mass, as a share of the height of the image.
        contrast: brightness in grey levels, before `image_strength`.
        mass: whether there is a spiculated mass.
        calcifications: whether there is a cluster of microcalcifications.
    """

    depth: float
    height: float
    radius: float
    contrast: float
    mass: bool
    calcifications: bool


def read(phantom: PhantomConfig, folder: Path, *, render: bool, progress: Progress | None = None) -> Listing:
    """Return the listing of the cohort, the same whether its images are rendered or not.

    Args:
        phantom: size, seed and strengths.
        folder: the images lie in `phantom-{digest}` below it.
        render: whether to write the images; those of an earlier call with the same configuration are used again.
        progress: told about each patient rendered.
    """
    patients = draw_patients(phantom)
    target = folder / f"{NAME}-{digest({'format': FORMAT, 'phantom': identity(phantom)})}"
    images = _rows(phantom, patients, target)
    if render and not all(path.is_file() for path in images["path"]):
        _render_all(phantom, patients, target, progress)
    return Listing(
        name=NAME,
        images=images,
        features=FEATURES,
        positive=("Cancer",),
        sides="listed",
        notice=NOTICE,
        by_design=("labels of the opposite breast",),
        notes=tuple(_notes(phantom)),
    )


def _notes(phantom: PhantomConfig) -> Iterator[str]:
    yield (
        f"Planted strengths: image {phantom.image_strength:g}, table {phantom.table_strength:g}, "
        f"interaction {phantom.interaction_strength:g}."
    )
    yield "The status is per patient: the healthy opposite breast of a cancer is listed as cancer too."


def draw_patients(phantom: PhantomConfig) -> pd.DataFrame:
    """Return one row per patient: the table's values and, in `true_*` and `trait`, the values behind them.

    Age and density have a weak negative correlation (-0.2), for the fattier breasts of older women. The number of
    cancers is exact: labels are independent draws, conditional on their sum.
    """
    n = phantom.n_patients
    rng = np.random.default_rng([phantom.seed, TABLE])
    z_age, z_density = rng.standard_normal((2, n))
    z_density = -0.2 * z_age + np.sqrt(1 - 0.2**2) * z_density
    trait = rng.uniform(-1, 1, n)
    site, status, gap = rng.random(n), rng.random(n), rng.random((2, n))
    age = np.clip(np.rint(AGE_MEAN + AGE_SD * z_age), 28, 90)
    density = 1.0 + np.digitize(z_density, DENSITY_CUTS)
    older = np.where(age > np.median(age), 1.0, -1.0)
    table = AGE_EFFECT * (age - AGE_MEAN) / AGE_SD + DENSITY_EFFECT * (density - 2.5) / 0.9
    interaction = INTERACTION_EFFECT * np.sqrt(3) * trait * older
    log_odds = phantom.table_strength * table + phantom.interaction_strength * interaction
    cancer = _draw_labels(log_odds, phantom.prevalence, rng)
    digits = max(4, len(str(n)))
    return pd.DataFrame(
        {
            "patient_id": [f"P{number:0{digits}d}" for number in range(1, n + 1)],
            "status": np.where(cancer, "Cancer", np.where(status < 0.5, "Benign", "Normal")),
            "site": np.where(site < 0.5, "A", "B"),
            "age": np.where(gap[0] < MISSING_SHARE, np.nan, age),
            "density": np.where(gap[1] < MISSING_SHARE, np.nan, density),
            "true_age": age,
            "true_density": density,
            "trait": trait,
        }
    )


def _draw_labels(log_odds: np.ndarray, prevalence: float, rng: np.random.Generator) -> np.ndarray:
    """Draw labels (n,) of bool with these log odds (n,) up to a constant, `round(prevalence * n)` of them true.

    The constant makes that number the expected one. Drawing until it is met conditions on it without distorting the
    odds, as drawing one after the other without replacement would.
    """
    n_cancers = min(max(round(prevalence * len(log_odds)), 1), len(log_odds) - 1)
    span = float(np.abs(log_odds).max()) + np.log(len(log_odds)) + 5
    constant = brentq(lambda shift: expit(log_odds + shift).sum() - n_cancers, -span, span)
    chance = expit(log_odds + constant)
    while True:
        labels = rng.random(len(log_odds)) < chance
        if labels.sum() == n_cancers:
            return labels


def _rows(phantom: PhantomConfig, patients: pd.DataFrame, target: Path) -> pd.DataFrame:
    """Return one row per image with the columns of a listing."""
    sides = pd.DataFrame(VIEWS, columns=["breast", "view"])
    rows = patients.assign(number=range(len(patients))).merge(sides, how="cross")
    rows["annotated"] = [
        status == "Cancer" and _lesion(phantom.seed, number, breast) is not None
        for status, number, breast in zip(rows["status"], rows["number"], rows["breast"], strict=True)
    ]
    rows["case_id"] = rows["patient_id"] + "/1"
    rows["image_id"] = rows["patient_id"] + "." + rows["breast"] + "_" + rows["view"]
    rows["path"] = pd.Series([target / f"{image_id}.png" for image_id in rows["image_id"]], dtype=object)
    return rows[[*KEYS, *(feature.name for feature in FEATURES), "path", "annotated"]]


def _render_all(phantom: PhantomConfig, patients: pd.DataFrame, target: Path, progress: Progress | None) -> None:
    """Write all images; a folder of the final name is complete."""

    def work(number: int) -> None:
        patient = patients.iloc[number]
        for index, (breast, view) in enumerate(VIEWS):
            write(building / f"{patient['patient_id']}.{breast}_{view}.png", render(phantom, patient, number, index))

    with build_folder(target) as building:
        for _ in map_parallel(work, range(len(patients)), 0, "rendering phantom patients", progress):
            pass


def write(file: Path, pixels: np.ndarray) -> None:
    """Write an image (height, width) of uint8 as PNG, the same bytes on every file system."""
    _, png = cv2.imencode(".png", pixels)
    file.write_bytes(png.tobytes())


# --------------------------------------------------------------------------------------------------------- the images


def render(phantom: PhantomConfig, patient: pd.Series, number: int, view_index: int) -> np.ndarray:
    """Draw one image: (height, 3/4 height) of uint8, chest wall on the left for left breasts and right for right ones.

    Args:
        phantom: its seed, height and `image_strength` matter.
        patient: a row of `draw_patients`.
        number: position of the patient there.
        view_index: position in `VIEWS`.
    """
    breast, view = VIEWS[view_index]
    rng = np.random.default_rng([phantom.seed, IMAGE, number, view_index])
    height, width = phantom.height, 3 * phantom.height // 4
    depth, vertical = _coordinates(rng, height, width, mlo=view == "MLO")
    inside = np.clip(1.0 - np.hypot(depth, vertical), 0, None)
    thickness = np.clip(inside / 0.16, 0, 1) ** 0.6
    texture = _texture(rng, height, width, float(patient["trait"]))
    image = thickness * (78 + _gland(depth, vertical, texture, float(patient["true_density"])))
    if view == "MLO":
        image = _with_muscle(rng, image)
    lesion = _lesion(phantom.seed, number, breast) if patient["status"] == "Cancer" else None
    if lesion is not None and phantom.image_strength > 0:
        own = np.random.default_rng([phantom.seed, LESION_VIEW, number, view_index])
        image = image + phantom.image_strength * thickness * _draw_lesion(lesion, depth, vertical, own)
    gain, offset = SITES[patient["site"]]
    noisy = gain * image + offset + rng.normal(0, 2.0, image.shape)
    pixels = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(pixels[:, ::-1]) if breast == "R" else pixels


def _coordinates(rng: np.random.Generator, height: int, width: int, *, mlo: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return depth and vertical position (height, width) in units of the breast, whose edge is the unit half-circle.

    The MLO breast sags: it is deeper below its middle, which lies lower than in the CC view.
    """
    size, reach = rng.uniform(0.36, 0.45), rng.uniform(0.72, 0.92)
    middle = 0.5 + 0.03 * rng.standard_normal() + (0.1 if mlo else 0.0)
    rows = (np.arange(height) + 0.5)[:, None] / height
    columns = (np.arange(width) + 0.5)[None, :] / width
    vertical = (rows - middle) / size
    if mlo:
        vertical = np.where(vertical < 0, 0.72 * vertical, 1.05 * vertical)
    sag = 1 + (0.12 * np.clip(vertical, -1, 1) if mlo else 0.0)
    return columns / (reach * sag) + 0 * vertical, vertical + 0 * columns


def _texture(rng: np.random.Generator, height: int, width: int, trait: float) -> np.ndarray:
    """Return power-law noise (height, width), zero mean and unit variance, running along one direction.

    Mammograms fall off with a power of about 3 (Burgess 1999, "Mammographic structure"); the trait, -1 to 1, stretches
    the strands from across (-1) to along (1) the chest wall.
    """
    stretch = 2.0 ** (1.1 * trait)
    down = np.fft.fftfreq(height)[:, None] * stretch
    across = np.fft.rfftfreq(width)[None, :] / stretch
    frequency = np.hypot(down, across)
    frequency[0, 0] = np.inf
    real, imaginary = rng.standard_normal((2, *frequency.shape))
    spectrum = (real + 1j * imaginary) * np.maximum(frequency, 1.0 / height) ** -1.45
    noise = irfft2(spectrum, s=(height, width))
    return (noise - noise.mean()) / noise.std()


def _gland(depth: np.ndarray, vertical: np.ndarray, texture: np.ndarray, density: float) -> np.ndarray:
    """Return the brightness that glandular tissue adds to fat; the denser the breast, the more and the brighter."""
    cone = np.exp(-(((depth - 0.45) / 0.42) ** 2 + (vertical / 0.62) ** 2))
    amount = expit(1.6 * (texture + 0.9 * (density - 3.2) + 1.6 * cone - 0.6))
    return (18 + 13 * density) * cone * amount + 11 * texture


def _with_muscle(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Return the image with the pectoral muscle, a bright triangle, over the upper corner at the chest wall."""
    height, width = image.shape
    along, down = rng.uniform(0.3, 0.42) * width, rng.uniform(0.5, 0.68) * height
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    edge = (1 - columns / along - rows / down) * along
    cover = expit(edge / (0.012 * height))
    return image * (1 - cover) + cover * (150 + 0.25 * (image - 80) + 0.15 * edge)


def _lesion(seed: int, number: int, breast: str) -> Lesion | None:
    """Return the lesion of a cancer patient's breast, the same in both views; None in the healthy breast."""
    rng = np.random.default_rng([seed, LESION, number])
    side = "L" if rng.random() < 0.5 else "R"
    depth, height = rng.uniform(0.3, 0.62), rng.uniform(-0.35, 0.45)
    radius, contrast, kind = rng.uniform(0.04, 0.07), CONTRAST * rng.lognormal(0, 0.4), rng.random()
    lesion = Lesion(depth, height, radius, contrast, mass=kind < 0.75, calcifications=kind > 0.5)
    return lesion if side == breast else None


def _draw_lesion(lesion: Lesion, depth: np.ndarray, vertical: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the brightness (height, width) that a lesion adds; the generator draws the differences between views."""
    place = np.hypot(depth - lesion.depth, vertical - lesion.height - rng.uniform(-0.12, 0.12))
    row, column = np.unravel_index(int(np.argmin(place)), place.shape)
    drawn = np.zeros(depth.shape)
    if lesion.mass:
        drawn += _mass(depth.shape, int(row), int(column), lesion.radius * len(depth), rng)
    if lesion.calcifications:
        drawn = np.maximum(drawn, 1.3 * _cluster(depth.shape, int(row), int(column), lesion.radius * len(depth), rng))
    return lesion.contrast * drawn


def _mass(shape: tuple[int, ...], row: int, column: int, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Return a spiculated mass of height 1: a soft disc with rays from its edge."""
    rows, columns = np.arange(shape[0])[:, None] - row, np.arange(shape[1])[None, :] - column
    distance, angle = np.hypot(rows, columns) / radius, np.arctan2(rows, columns)
    disc = expit((1 - distance) / 0.25)
    rays = np.zeros(shape)
    for direction, length in zip(rng.uniform(-np.pi, np.pi, 11), rng.uniform(1.6, 3.0, 11), strict=True):
        off = np.abs(np.angle(np.exp(1j * (angle - direction)))) * np.maximum(distance, 0.5) * radius
        rays = np.maximum(rays, 0.5 * np.exp(-((off / (0.006 * shape[0])) ** 2)) * expit((length - distance) / 0.2))
    return np.maximum(disc, rays)


def _cluster(shape: tuple[int, ...], row: int, column: int, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Return a cluster of 12 to 22 microcalcifications of height up to 1, each about a pixel wide at 128 pixels."""
    spots = np.zeros(shape)
    width = max(0.7, shape[0] / 180)
    rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    for _ in range(int(rng.integers(12, 23))):
        y, x = np.array([row, column]) + 1.1 * radius * rng.standard_normal(2)
        spot = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width**2))
        spots = np.maximum(spots, rng.uniform(0.6, 1) * spot)
    return spots
