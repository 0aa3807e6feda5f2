"""A declared contrast of two arms: all of its numbers, and what may be said of it.

The rules are those of docs/explanation/estimands.md ("Comparing arms" and "Verdicts").

There are two E2 estimates of a difference: Nadeau and Bengio's, whose variance comes from the fold scores, and the
procedure's, whose variance comes from the patients. Either alone can be too small by chance where models are weak and
patients few (`python -m study.bench --coverage`), so the wider of the two is the E2 interval, and the larger p value
the E2 p. With one repeat the procedure's lacks its variance between repeats; patients, training sets and seeds then
are a floor (`study.stats.procedure.floor`) that keeps Nadeau and Bengio's, of a handful of fold scores, from being
narrower than they allow.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from study.stats import auc
from study.stats.auc import t_interval, t_p
from study.stats.bootstrap import percentile_interval
from study.stats.kernel import mean_areas
from study.stats.permutation import exchange_contributions, permutation_p
from study.stats.planner import patients_for_equivalence
from study.stats.procedure import CORRECTED, FLOOR, PROCEDURE, floor, fold_mean, procedure, training_sd, wider

ALPHA = 0.05
SEEDS_NEEDED = 3
"""Fewer training seeds leave the procedure's own chance unmeasured: no verdict."""
SMALL_GAIN = "any gain is below δ"
VERDICTS = ("not assessed", "better", "worse", "equivalent", "non-inferior", SMALL_GAIN, "inconclusive")
POWER = 0.8
"""With which the patients that are said to be needed would show equivalence."""


@dataclass(frozen=True)
class Pair:
    """The scores of two arms on the same rows.

    Attributes:
        labels: (n,).
        scores: (2, n), first and second arm.
        patients: (n,) positions 0 to n_patients - 1.
        folds, repeats, seeds: (n,) of ints.
    """

    labels: np.ndarray
    scores: np.ndarray
    patients: np.ndarray
    folds: np.ndarray
    repeats: np.ndarray
    seeds: np.ndarray

    @property
    def runs(self) -> np.ndarray:
        """The run (repeat and seed) of each row."""
        return self.repeats * (int(self.seeds.max()) + 1) + self.seeds

    @property
    def parts(self) -> np.ndarray:
        """The test part (run and fold) of each row."""
        return self.runs * (int(self.folds.max()) + 1) + self.folds


@dataclass(frozen=True)
class Comparison:
    """First minus second arm, by every method.

    Attributes:
        first, second: names of the arms.
        difference: first minus second, of the mean within-fold AUCs.
        e1_low, e1_high, e1_p: these fitted models on new patients: fold-stratified clustered DeLong, Student's t.
        e2_low, e2_high, e2_p: trained again on another such cohort: the wider of the two intervals below, the larger p.
        e2_low_90, e2_high_90: 90 % E2 interval, for equivalence.
        e2_method: which of the two the E2 interval is: `CORRECTED`, or `PROCEDURE` (several repeats) or `FLOOR` (one).
        training_sd: SD of one training: of the difference's mean over folds, between seeds; NaN with one seed.
        patients_needed, patients_low, patients_high: patients with which equivalence within ±delta would be shown with
            a power of 80 %, if there is no difference and the E2 variance of these data is right; and the range of that
            (80 %) which the uncertainty of this variance leaves. The observed difference is not used.
        corrected_low, corrected_high, corrected_p: Nadeau and Bengio's corrected t.
        procedure_low, procedure_high, procedure_p: variance over patients and between repeats
            (`study.stats.procedure`); NaN with one repeat.
        p_worse, p_equivalent, p_better: Bayesian correlated t with the region ±delta.
        bootstrap_low, bootstrap_high: patient bootstrap, percentile.
        permutation_p: exchange of whole patients, within-fold ranks.
        n_patients, n_scores, n_seeds: patients, fold scores J and training seeds behind it.
        e1_p_holm, e2_p_holm: adjusted over the declared contrasts (Holm 1979).
        verdict: one of `VERDICTS`; '' before `judge`.
    """

    first: str
    second: str
    difference: float
    e1_low: float
    e1_high: float
    e1_p: float
    e2_low: float
    e2_high: float
    e2_p: float
    e2_low_90: float
    e2_high_90: float
    e2_method: str
    training_sd: float
    patients_needed: float
    patients_low: float
    patients_high: float
    corrected_low: float
    corrected_high: float
    corrected_p: float
    procedure_low: float
    procedure_high: float
    procedure_p: float
    p_worse: float
    p_equivalent: float
    p_better: float
    bootstrap_low: float
    bootstrap_high: float
    permutation_p: float
    n_patients: int
    n_scores: int
    n_seeds: int
    e1_p_holm: float = float("nan")
    e2_p_holm: float = float("nan")
    verdict: str = ""


def compare(
    first: str,
    second: str,
    pair: Pair,
    weights: np.ndarray,
    rng: np.random.Generator,
    *,
    delta: float,
    n_permutations: int = 10_000,
) -> Comparison:
    """Compute every number of one contrast.

    Args:
        first: name of the first arm.
        second: name of the second.
        pair: their scores.
        weights: bootstrap weights (n_replicates, n_patients).
        rng: of the permutations.
        delta: half width of the region of practical equivalence.
        n_permutations: drawn exchanges.
    """
    areas = auc.cross_validated_delong(pair.labels, pair.scores, pair.patients, pair.folds, pair.runs)
    difference, se = areas.difference(0, 1)
    scores = fold_areas(pair)
    change = scores[0] - scores[1]
    folds, repeated = fold_mean(change), procedure(change, se**2, areas.df)
    one_repeat = np.isnan(repeated.se)
    other = floor(change, se**2, areas.df) if one_repeat else repeated
    lead, lead_90 = (wider(folds, other, level) for level in (0.95, 0.9))
    n_patients = len(np.unique(pair.patients))
    drawn = mean_areas(weights, pair.labels, pair.scores, pair.patients, pair.parts)
    contributions = exchange_contributions(pair.labels, pair.scores[0], pair.scores[1], pair.patients, pair.parts)
    e1 = _clip(t_interval(difference, se, areas.df))
    worse, same, better = folds.probabilities(delta)
    boot = percentile_interval(drawn[0] - drawn[1])
    return Comparison(
        first,
        second,
        difference,
        *e1,
        t_p(difference, se, areas.df),
        *_clip(lead.interval()),
        float(np.maximum(folds.p, other.p)),
        *_clip(lead_90.interval(0.9)),
        CORRECTED if lead is folds else FLOOR if one_repeat else PROCEDURE,
        training_sd(change),
        *patients_for_equivalence(lead_90.se, lead_90.df, n_patients, delta=delta, power=POWER),
        *folds.interval(),
        folds.p,
        *repeated.interval(),
        repeated.p,
        worse,
        same,
        better,
        *boot,
        permutation_p(contributions, n_permutations, rng),
        n_patients,
        folds.n_scores,
        len(np.unique(pair.seeds)),
    )


def _clip(interval: tuple[float, float]) -> tuple[float, float]:
    """Return the part of an interval between -1 and 1, where differences of AUCs lie."""
    return max(interval[0], -1.0), min(interval[1], 1.0)


def fold_areas(pair: Pair) -> np.ndarray:
    """Return within-fold AUCs (2, n_repeats, n_folds, n_seeds); NaN where a part is not there."""
    at = [np.unique(axis, return_inverse=True)[1] for axis in (pair.repeats, pair.folds, pair.seeds)]
    areas = np.full((len(pair.scores), *(int(axis.max()) + 1 for axis in at)), np.nan)
    for part in np.unique(pair.parts):
        rows = np.flatnonzero(pair.parts == part)
        where = tuple(axis[rows[0]] for axis in at)
        areas[(slice(None), *where)] = auc.placements(pair.labels[rows], pair.scores[:, rows])[0].mean(axis=1)
    return areas


def judge(comparisons: Sequence[Comparison], *, delta: float, n_declared: int = 0) -> list[Comparison]:
    """Adjust p values over the declared contrasts and reach a verdict on each.

    A declared contrast that has no numbers yet still counts: an unfinished study must not show smaller p values.
    """
    absent = [float("nan")] * (n_declared - len(comparisons))
    e1, e2 = (
        holm([*(getattr(c, name) for c in comparisons), *absent])[: len(comparisons)] for name in ("e1_p", "e2_p")
    )
    adjusted = [replace(c, e1_p_holm=a, e2_p_holm=b) for c, a, b in zip(comparisons, e1, e2, strict=True)]
    return [replace(comparison, verdict=_verdict(comparison, delta)) for comparison in adjusted]


def holm(p: Sequence[float]) -> list[float]:
    """Return Holm's (1979) adjusted p values; NaN stays NaN and still counts as a declared contrast."""
    raw = np.where(np.isnan(p), 1.0, np.asarray(p, dtype=float))
    order = np.argsort(raw)
    stepped = np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1))
    adjusted = np.empty(len(raw))
    adjusted[order] = np.minimum(stepped, 1.0)
    return np.where(np.isnan(p), np.nan, adjusted).tolist()


def _verdict(c: Comparison, delta: float) -> str:
    """Return the first verdict that applies (docs/explanation/estimands.md, "Verdicts")."""
    if c.n_seeds < SEEDS_NEEDED or np.isnan(c.e2_p):
        return "not assessed"
    if c.e2_p_holm < ALPHA and (c.e1_low > 0 or c.e1_high < 0):
        return "better" if c.difference > 0 else "worse"
    if -delta < c.e2_low_90 and c.e2_high_90 < delta:
        return "equivalent"
    if c.e2_low_90 > -delta:
        return "non-inferior"
    if c.e2_high_90 < delta:
        return SMALL_GAIN
    return "inconclusive"
