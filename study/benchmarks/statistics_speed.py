"""Time of the patient bootstrap on simulated scores: `python -m study.bench --statistics`."""

import time

import numpy as np

from study.benchmarks.fresh_process import in_fresh_process, peak_mib
from study.stats.bootstrap import patient_weights, percentile_interval
from study.stats.kernel import mean_areas


def statistics_speed() -> dict[str, float]:
    """Return what `bootstrap_speed` does, measured in a fresh process."""
    return in_fresh_process("statistics", bootstrap_speed)


def bootstrap_speed(
    n_patients: int = 2421, n_images: int = 4, n_arms: int = 4, n_folds: int = 5, n_replicates: int = 10_000
) -> dict[str, float]:
    """Bootstrap the cross-validated AUCs of simulated arms and all their differences, by image.

    Returns:
        rows, cells, replicates, seconds, and peak memory of this process in MiB.
    """
    rng = np.random.default_rng(0)
    labels = (rng.random(n_patients) < 0.3).astype(int)
    patients = np.repeat(np.arange(n_patients), n_images)
    scores = rng.normal(size=(n_arms, len(patients))) + labels[patients] + rng.normal(size=n_patients)[patients]
    folds = np.arange(n_patients) % n_folds
    began = time.perf_counter()
    weights = patient_weights(2 * folds + labels, n_replicates, rng)
    areas = mean_areas(weights, labels[patients], scores, patients, folds[patients])
    intervals = [percentile_interval(areas[a] - areas[b]) for a in range(n_arms) for b in range(a)]
    seconds = time.perf_counter() - began
    assert len(intervals) == n_arms * (n_arms - 1) // 2
    return {
        "rows": len(patients),
        "cells": n_arms * n_folds,
        "replicates": n_replicates,
        "seconds": seconds,
        "peak_mib": peak_mib(),
    }
