"""How long a paper pack takes: the measurement behind `python -m study.bench --pack`."""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from study.evaluate import evaluate
from study.imported import Import, import_predictions
from study.paper.pack import Options, gather, texts, write_pack

ARMS = ("image", "tabular", "concat", "attention")


def simulated(n_patients: int = 2421, n_images: int = 4, n_folds: int = 5, seed: int = 0) -> pd.DataFrame:
    """Return a table of predictions the size of Mini-DDSM, with clinical columns, sites and two negative classes."""
    rng = np.random.default_rng(seed)
    label = (rng.random(n_patients) < 0.37).astype(int)
    negative = np.where(rng.random(n_patients) < 0.55, "Benign", "Normal")
    patients = pd.DataFrame({
        "patient_id": [f"P{number:05d}" for number in range(n_patients)], "label": label,
        "status": np.where(label == 1, "Cancer", negative), "site": rng.choice(list("ABCD"), n_patients),
        "age": np.round(rng.normal(55 + 5 * label, 11)), "density": rng.integers(1, 5, n_patients),
        "test_fold": rng.permutation(np.arange(n_patients) % n_folds),
    })  # fmt: skip
    images = patients.loc[np.repeat(patients.index, n_images)].reset_index(drop=True)
    place = np.tile(np.arange(n_images), n_patients)
    images = images.assign(
        breast=np.where(place % 4 < 2, "L", "R"),
        view=np.where(place % 2 == 0, "CC", "MLO"),
        image_id=np.arange(len(images)),
    )
    frames = []
    for arm in ARMS:
        of_patient = rng.normal(0, 0.8, n_patients)[np.repeat(np.arange(n_patients), n_images)]
        score = 0.8 * images["label"] - 0.6 + of_patient + rng.normal(0, 0.5, len(images))
        for fold in range(n_folds):
            parts = {"test": images["test_fold"] == fold, "validation": images["test_fold"] == (fold + 1) % n_folds}
            frames += [
                images[mask].assign(arm=arm, fold=fold, part=part, prob=1 / (1 + np.exp(-score[mask])))
                for part, mask in parts.items()
            ]
    return pd.concat(frames, ignore_index=True).drop(columns="test_fold")


def pack_speed() -> dict[str, float]:
    """Make the pack of simulated predictions and return seconds by step and the peak memory of this process in MiB."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        simulated().to_csv(folder / "simulated.csv", index=False)
        marks = [time.perf_counter()]
        stored = import_predictions(
            Import(folder / "simulated.csv", out=folder, assignments=["protocol.prevalence=0.006"])
        )
        marks.append(time.perf_counter())
        evaluation = evaluate(stored)
        marks.append(time.perf_counter())
        options = Options()
        texts(gather(stored, evaluation, options))
        marks.append(time.perf_counter())
        write_pack(stored, evaluation, folder / "report", options)
        marks.append(time.perf_counter())
        size = sum(path.stat().st_size for path in (folder / "report").rglob("*") if path.is_file())
    read, numbers, written, everything = np.diff(marks)
    return {
        "images": len(stored.cohort.images), "read_s": read, "numbers_s": numbers, "tables_and_text_s": written,
        "whole_pack_s": read + numbers + everything, "without_figures_s": read + numbers + written,
        "pack_mib": size / 2**20, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


if __name__ == "__main__":
    sys.stdout.write(json.dumps(pack_speed()))
