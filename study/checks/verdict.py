"""What the AUCs of a probe amount to: the one rule of all shortcut checks, and the outcome it leads to."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import norm

from study.checks.check import Outcome, not_checked, passed
from study.checks.probes import FEWEST, Comparison, measured, shown
from study.checks.subject import Subject
from study.records.finding import FAILED, PASSED, WARNING, Status
from study.stats.estimate import Estimate

TELLING = 0.60
"""An AUC whose interval lies at or above this is a shortcut: too much to overlook beside a model's own AUC."""

NOTICEABLE = 0.55
"""From here on readers have to know. Below, an interval that excludes 0.5 proves something too small to matter."""

WIDER = 1.45
"""Factor by which the error of a probe's AUC is larger than DeLong's, which leaves out that the training parts overlap.

With labels permuted 60 times over the patients of a phantom, logits of the AUCs of grey levels (mean 0.50 to 0.52)
spread 1.42 to 1.50 times as much as that; over 72 and 200 patients of Mini-DDSM v1, those of silhouette and border
1.0 to 1.4 times."""

SAYS = {
    FAILED: "it tells the classes apart",
    WARNING: "it seems to tell the classes apart",
    PASSED: "it does not noticeably tell the classes apart",
}
UNDECIDED = "a shortcut can be neither shown nor excluded"
"""In place of the third where so few patients leave a shortcut open as well."""
MATCHED = (
    "it does not tell the classes apart. In cross-validation an AUC below 0.5 is no sign of a difference: it is found"
    " where the classes are balanced in it, as by matching or stratification"
)
POWER = 0.8
"""Probability with which the AUC that is said to be detectable would have been found."""

CLINICAL = ("age", "density")
"""Columns that explain some of a breast's grey and structure."""

IMAGES_PER_TERM = 10
"""With fewer images, all sites share slopes."""


def status_of(estimates: Sequence[Estimate]) -> Status:
    """Return what out-of-fold AUCs amount to, the worst of them; the one rule of all probes.

    The intervals are widened so that all of them hold at once (Bonferroni), and for FAILED also by `WIDER`. An AUC
    below 0.5 is chance: a probe that learned something errs in no direction.
    """
    if any(lower(joint(one, len(estimates), WIDER)) >= TELLING for one in estimates):
        return FAILED
    return WARNING if any(lower(joint(one, len(estimates))) >= NOTICEABLE for one in estimates) else PASSED


def joint(estimate: Estimate, n_comparisons: int, wider: float = 1.0) -> Estimate:
    """Return an AUC with its interval as one of several that hold together at 95 % (Bonferroni), on the logit scale.

    An AUC without an interval, of exactly 0 or 1 or of constant features, stays as it is.

    Args:
        estimate: with its own 95 % interval.
        n_comparisons: how many intervals are to hold together.
        wider: factor of its standard error.
    """
    if math.isnan(estimate.low) or estimate.low == estimate.high:
        return estimate
    middle, half = logit(estimate.value), (logit(estimate.high) - logit(estimate.low)) / 2
    reach = wider * half * norm.ppf(1 - 0.025 / n_comparisons) / norm.ppf(0.975)
    return replace(estimate, low=float(expit(middle - reach)), high=float(expit(middle + reach)))


def lower(estimate: Estimate) -> float:
    """Return the lower end of an interval; an AUC without one stands for itself."""
    return estimate.value if math.isnan(estimate.low) else estimate.low


def probe_verdict(what: str, features: np.ndarray, subject: Subject) -> Outcome:
    """Return what a probe of every comparison amounts to.

    Args:
        what: the probe sees; a noun with a capital letter.
        features: (n_images, n_features).
        subject: whose rows they are of.
    """
    estimates = list(measured(features, subject.images, subject.positive))
    if not estimates:
        return not_checked(f"Fewer than {FEWEST} patients of a class.")
    rows = [row_of(*pair) for pair in estimates]
    if all(one.low == one.high == 0.5 for _, one in estimates):
        return passed(f"{what}: the same in all images that are compared, so it tells nothing.", rows=rows)
    n = len(estimates)
    together = [(comparison, joint(one, n)) for comparison, one in estimates]
    comparison, worst = max(together, key=lambda pair: lower(pair[1]))
    which = "clearest"
    status = status_of([estimate for _, estimate in estimates])
    widest, highest = max(together, key=lambda pair: 0.0 if math.isnan(pair[1].high) else pair[1].high)
    undecided = status == PASSED and highest.high >= TELLING
    if undecided:  # the comparison that leaves a shortcut open is the one to quote
        comparison, worst, which = widest, highest, "most uncertain"
    among = f", the {which} of {n} comparisons (interval adjusted for {n})" if n > 1 else ""
    says = MATCHED if worst.high < 0.5 else UNDECIDED if undecided else SAYS[status]
    evidence = f"{what}: AUC {shown(worst)} for {comparison.name}{among}: {says}."
    if status == PASSED:
        evidence += f" An AUC of {detectable([one for _, one in estimates]):.2f} would probably have been noticed."
    return Outcome(status, evidence, rows=rows)


def detectable(estimates: Sequence[Estimate]) -> float:
    """Return the AUC from which these patients would have shown a noticeable one, with a power of 80 %.

    The one whose interval's lower end, at the width that was found (on the logit scale, for all comparisons together),
    lies at `NOTICEABLE` with this probability; of the comparison with the fewest patients, which can show least.
    """
    known = [one for one in estimates if not math.isnan(one.low) and one.low < one.high and 0 < one.value < 1]
    if not known:
        return 1.0
    se = max((logit(one.high) - logit(one.low)) / 2 / norm.ppf(0.975) for one in known)
    reach = norm.ppf(1 - 0.025 / len(estimates)) + norm.ppf(POWER)
    return float(expit(logit(NOTICEABLE) + reach * se))


def row_of(comparison: Comparison, estimate: Estimate) -> dict[str, Any]:
    """Return the line of a finding for one comparison."""
    return {
        "comparison": comparison.name,
        "AUC": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n_patients": estimate.n_patients,
        "n_images": estimate.n_images,
    }


def beyond_clinical(features: np.ndarray, images: pd.DataFrame) -> np.ndarray:
    """Return features (n_images, n_features) less what a linear model of recorded age and density explains of them.

    Dense breasts are brighter, and cancer is more frequent in them: that is medicine, and no shortcut. Every site has
    slopes of its own, as its digitiser has a gain of its own, but what differs between sites stays in. Where neither
    age nor density is recorded, the features themselves.
    """
    known = [name for name in CLINICAL if name in images]
    if not known:
        return features
    terms = np.hstack([_terms(images[name]) for name in known])
    site = images["site"].fillna("").astype(str)
    slopes = [_within(terms, (site == name).to_numpy()) for name in sorted(site.unique())]
    enough = len(images) >= IMAGES_PER_TERM * terms.shape[1] * len(slopes)
    design = np.hstack(
        [np.ones((len(images), 1)), *(slopes if enough else [_within(terms, np.ones(len(images), dtype=bool))])]
    )
    table = pd.DataFrame(features)
    filled = table.fillna(table.median()).fillna(0.0).to_numpy(dtype=np.float64)
    return filled - design @ np.linalg.lstsq(design, filled, rcond=None)[0]


def _within(terms: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return terms (n_images, n_terms) about their mean over some rows (n_images,) of bool, and 0 in all others."""
    return np.where(rows[:, None], terms - terms[rows].mean(axis=0), 0.0)


def _terms(column: pd.Series) -> np.ndarray:
    """Return a standardised column, its square and whether it is missing, (n_images, 3) of float."""
    values = pd.to_numeric(column, errors="coerce").astype("float64")
    missing = values.isna().to_numpy()
    filled = values.fillna(values.median()).fillna(0.0).to_numpy()
    standard = (filled - filled.mean()) / max(float(filled.std()), 1e-9)
    return np.column_stack([standard, standard**2, missing])
