"""Reliability: observed shares by bin of predicted probability."""

import numpy as np
import pandas as pd

from study.evaluation.arm_metrics import N_BINS, raw_probs
from study.evaluation.units import Aligned
from study.stats.calibration import bin_numbers
from study.stats.proportions import clustered_ratio, clustered_wilson


def reliability(rows: Aligned) -> pd.DataFrame:
    """Return observed shares by bin of predicted probability, before and after Platt scaling, over an arm's own runs.

    Bins hold equal numbers of units, fewer than `N_BINS` where equal probabilities stay together (`merged_bins`).
    Columns: arm, stage, bin, mean_prob, observed, low, high, n_units (of all runs), n_runs.
    """
    n_patients = int(rows.patients.max()) + 1
    lines = []
    for stage, probs in (("before", raw_probs(rows)), ("after", rows.prob)):
        for arm, name in enumerate(rows.arms):
            own = rows.own_rows(arm)
            prob, labels, patients = probs[arm, own], rows.labels[own], rows.patients[own]
            n_runs, bins = len(np.unique(rows.runs[own])), merged_bins(prob)
            for number in np.unique(bins):
                inside = bins == number
                positive, n = (
                    np.bincount(patients[inside], values, n_patients) / n_runs
                    for values in (labels[inside].astype(float), np.ones(inside.sum()))
                )
                share = clustered_ratio(positive, n)
                low, high = clustered_wilson(share) if share.n_patients > 1 else (float("nan"), float("nan"))
                lines.append(
                    {
                        "arm": name,
                        "stage": stage,
                        "bin": int(number),
                        "mean_prob": float(prob[inside].mean()),
                        "observed": share.value,
                        "low": low,
                        "high": high,
                        "n_units": int(inside.sum()),
                        "n_runs": n_runs,
                    }
                )
    return pd.DataFrame(lines)


def merged_bins(prob: np.ndarray) -> np.ndarray:
    """Return the bin (n,) of each probability, from 0 without gaps: equal numbers, equal probabilities in one bin.

    A bin that ties leave with less than half of a tenth joins the smaller of its neighbours.
    """
    bins = np.unique(bin_numbers(prob, N_BINS, "equal-mass"), return_inverse=True)[1]
    while True:
        sizes = np.bincount(bins)
        least = int(sizes.argmin())
        if len(sizes) == 1 or 2 * N_BINS * sizes[least] >= len(prob):
            return bins
        sides = [side for side in (least - 1, least + 1) if 0 <= side < len(sizes)]
        upper = max(least, min(sides, key=lambda side: sizes[side]))
        bins = np.where(bins >= upper, bins - 1, bins)
