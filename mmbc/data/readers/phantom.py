"""The phantom: a synthetic cohort with planted signals of known strength, the test bed of the harness.

Every patient has an age, a breast density, a site letter and a texture trait; four images (two breasts, two views).
Three signals are planted, each with its own strength:

- table: the odds of cancer rise with age and density;
- image: cancers, and they alone, show a spiculated mass or a cluster of microcalcifications in one breast;
- interaction: the trait (the direction of the texture, seen in all four images) raises the odds in women above the
  median age and lowers them below it. Neither the trait nor the age tells by this; a model needs both.

Normal and Benign patients look alike: the phantom's benign women have no visible lesion.
"""

import json
import math
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit

from mmbc.config import PhantomConfig, digest
from mmbc.data.cohort import Feature, Listing

NOTICE = "synthetic phantom cohort, not clinical evidence"
FEATURES = (Feature("age", "numeric"), Feature("density", "ordinal"))
FORMAT = 1
"""Version of the rendering; a change here makes other files."""
MISSING = 0.03
"""Share of patients whose age, and of patients whose density, is not in the table."""

Progress = Callable[[str, int, int], None]


def read(phantom: PhantomConfig, folder: Path, *, render: bool, progress: Progress | None = None) -> Listing:
    """Return the phantom's listing; with `render` its images lie below `folder` afterwards.

    Args:
        phantom: size, seed and strengths.
        folder: where images are kept, one folder per configuration.
        render: whether the image files are made.
        progress: told about rendering.
    """
    place = folder / f"phantom-{digest(phantom.model_dump(mode='json') | {'format': FORMAT})}"
    patients = draw_patients(phantom)
    images = _rows(patients, place)
    if render and not place.exists():
        _render_all(phantom, patients, images, place, progress)
    return Listing(name="phantom", images=images, features=FEATURES, notice=NOTICE)


def _generator(phantom: PhantomConfig, *key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([phantom.seed, *key])))


def draw_patients(phantom: PhantomConfig) -> pd.DataFrame:
    """Draw the patients: `patient_id, status, site, age, density, trait, true_density`; one row each.

    The number of cancers is exactly round(prevalence * n): patients are ranked by their log odds plus logistic noise,
    which is drawing from the odds with the number fixed.
    """
    rng = _generator(phantom, 0)
    n = phantom.n_patients
    age = np.clip(rng.normal(57, 11, n), 30, 90).round()
    density = np.clip(np.round(rng.normal(2.6 - (age - 57) / 40, 0.8)), 1, 4)
    trait = rng.choice([-1.0, 1.0], n)
    odds = phantom.table_strength * (1.1 * (age - 57) / 11 + 0.9 * (density - 2.6))
    odds += phantom.interaction_strength * 1.2 * trait * np.where(age > np.median(age), 1, -1)
    intercept = brentq(lambda shift: expit(odds + shift).mean() - phantom.prevalence, -50, 50)
    score = odds + intercept + rng.logistic(size=n)
    n_cancers = min(max(round(phantom.prevalence * n), 1), n - 1)
    cancer = np.zeros(n, dtype=bool)
    cancer[np.argsort(-score)[:n_cancers]] = True
    status = np.where(cancer, "Cancer", rng.choice(["Normal", "Benign"], n))
    return pd.DataFrame(
        {
            "patient_id": [f"P{number:04d}" for number in range(1, n + 1)],
            "status": status,
            "site": rng.choice(["A", "B"], n),
            "age": np.where(rng.random(n) < MISSING, np.nan, age),
            "density": np.where(rng.random(n) < MISSING, np.nan, density),
            "trait": trait,
            "true_density": density,
        }
    )


def _rows(patients: pd.DataFrame, place: Path) -> pd.DataFrame:
    views = pd.DataFrame([(breast, view) for breast in "LR" for view in ("CC", "MLO")], columns=["breast", "view"])
    rows = patients.drop(columns=["trait", "true_density"]).merge(views, how="cross")
    rows["case_id"] = rows["patient_id"] + "/1"
    rows["image_id"] = rows["patient_id"] + "_" + rows["breast"] + "_" + rows["view"]
    rows["path"] = [place / f"{name}.png" for name in rows["image_id"]]
    return rows


def _render_all(
    phantom: PhantomConfig, patients: pd.DataFrame, images: pd.DataFrame, place: Path, progress: Progress | None
) -> None:
    """Render every image into a temporary folder and rename it, so that the folder is whole or absent."""
    partial = place.with_name(f".{place.name}.{os.getpid()}.part")
    partial.mkdir(parents=True, exist_ok=True)
    work = [(number, patient) for number, patient in enumerate(patients.to_dict("records"))]

    def render(item: tuple[int, dict[str, object]]) -> None:
        number, patient = item
        for name, pixels in render_patient(phantom, number, patient).items():
            if not cv2.imwrite(str(partial / f"{name}.png"), pixels):
                raise OSError(f"{partial / name}.png could not be written")

    try:
        with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
            for done, _ in enumerate(pool.map(render, work), start=1):
                if progress is not None:
                    progress("rendering phantom patients", done, len(work))
        (partial / "phantom.json").write_text(json.dumps(phantom.model_dump(mode="json")))
        partial.rename(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def render_patient(phantom: PhantomConfig, number: int, patient: dict[str, object]) -> dict[str, np.ndarray]:
    """Render the four images of a patient: name -> (height, width) of uint8, from draws keyed by her number alone."""
    cancer = patient["status"] == "Cancer"
    rng = _generator(phantom, 1, number)
    side, kind = str(rng.choice(["L", "R"])), str(rng.choice(["mass", "calcifications", "both"]))
    where = (float(rng.uniform(0.25, 0.6)), float(rng.uniform(-0.45, 0.45)))
    shape = (phantom.height, phantom.height * 3 // 4)
    made = {}
    for index, (breast, view) in enumerate((b, v) for b in "LR" for v in ("CC", "MLO")):
        view_rng = _generator(phantom, 2, number, index)
        lesion = kind if cancer and breast == side and phantom.image_strength > 0 else ""
        pixels = _render(shape, view, patient, lesion, where, phantom.image_strength, view_rng)
        made[f"{patient['patient_id']}_{breast}_{view}"] = pixels[:, ::-1].copy() if breast == "R" else pixels
    return made


def _render(
    shape: tuple[int, int], view: str, patient: dict[str, object], lesion: str, where: tuple[float, float],
    strength: float, rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Render one view, chest wall on the left: (height, width) of uint8."""
    height, width = shape
    y, x = np.mgrid[0:height, 0:width] / height
    centre = 0.5 + rng.uniform(-0.03, 0.03)
    depth, half = rng.uniform(0.5, 0.66), rng.uniform(0.36, 0.44)
    radius = np.sqrt((x / depth) ** 2 + ((y - centre) / half) ** 2)
    breast = np.clip((1 - radius) * 6, 0, 1)
    density = float(patient["true_density"])  # type: ignore[arg-type]
    texture = power_law(shape, 2.8, float(patient["trait"]), rng)  # type: ignore[arg-type]
    glandular = np.clip(1.15 - radius, 0, 1) * (0.10 + 0.09 * density)
    image = breast * (0.20 + glandular * (1 + 0.5 * texture) + 0.05 * texture)
    if view == "MLO":
        muscle = np.clip((0.34 - x - 0.75 * y) * 25, 0, 1)
        image = np.maximum(image, muscle * (0.62 + 0.03 * texture))
    spot = (where[0] * depth, centre + where[1] * half)
    if lesion in ("mass", "both"):
        image += strength * 0.45 * breast * spiculated_mass(x, y, spot, rng)
    if lesion in ("calcifications", "both"):
        image += strength * 0.6 * breast * microcalcifications(x, y, spot, rng)
    gain, offset = (1.0, 0.02) if patient["site"] == "A" else (0.94, 0.035)
    noisy = gain * image + offset + rng.normal(0, 0.012, shape)
    return np.rint(np.clip(noisy, 0, 1) * 255).astype(np.uint8)


def power_law(shape: tuple[int, int], beta: float, trait: float, rng: np.random.Generator) -> np.ndarray:
    """Return texture (height, width) of mean 0 and standard deviation 1 with power spectrum 1/f^beta.

    Mammographic texture has beta near 3 (Burgess, Jacobson and Judy 2001). The trait decides its direction: strands run
    to the nipple for +1 and across for -1, which no mirroring changes.
    """
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :]
    stretch = 1.8**trait
    frequency = np.sqrt((stretch * fx) ** 2 + (fy / stretch) ** 2)
    frequency[0, 0] = np.inf
    white = np.fft.rfft2(rng.normal(size=shape))
    texture = np.fft.irfft2(white * frequency ** (-beta / 2), s=shape)
    return (texture - texture.mean()) / texture.std()


def spiculated_mass(x: np.ndarray, y: np.ndarray, spot: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Return a bright core with spikes around `spot` (x, y in image heights), 0 to 1, (height, width)."""
    dx, dy = x - spot[0], y - spot[1]
    distance, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
    size = rng.uniform(0.035, 0.05)
    spikes = np.cos(int(rng.integers(7, 12)) * angle / 2 + rng.uniform(0, 2 * math.pi)) ** 6
    core = np.clip((1.2 * size - distance) / size * 1.5, 0, 1)
    rays = spikes * np.exp(-np.clip(distance - 0.8 * size, 0, None) / (1.3 * size))
    return np.clip(np.maximum(core, 0.9 * rays), 0, 1)


def microcalcifications(x: np.ndarray, y: np.ndarray, spot: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Return a cluster of bright specks around `spot`, 0 to 1, (height, width)."""
    specks = np.zeros(x.shape)
    for _ in range(int(rng.integers(10, 18))):
        dx, dy = rng.normal(0, 0.045, 2)
        distance = np.hypot(x - spot[0] - dx, y - spot[1] - dy)
        specks = np.maximum(specks, np.exp(-((distance / rng.uniform(0.006, 0.012)) ** 2)))
    return specks
