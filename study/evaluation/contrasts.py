"""The declared contrasts of a study: paired numbers, verdicts, and where the variance comes from."""

from collections.abc import Collection, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from study.design.study_file import BASELINE
from study.evaluation.units import Aligned
from study.evaluation.verdicts import disagreement, sentence
from study.records.stored_study import StoredStudy
from study.stats import auc
from study.stats.auc import t_interval, t_p
from study.stats.comparison import Comparison, Pair, compare, fold_areas, judge
from study.stats.corrected_t import spread
from study.stats.procedure import training_sd


def pair_of(rows: Aligned, first: str, second: str) -> Pair:
    """Return the scores of two arms side by side."""
    chosen = [rows.arms.index(first), rows.arms.index(second)]
    frame = rows.rows
    return Pair(
        rows.labels,
        rows.logit[chosen],
        rows.patients,
        *(np.unique(frame[key], return_inverse=True)[1] for key in ("fold", "repeat", "seed")),
    )


def declared(study: StoredStudy) -> list[tuple[str, str]]:
    """Return the contrasts whose arms are both planned; the baseline is not where predictions come without columns."""
    baseline = any(name.startswith(f"{BASELINE}.r") for name in study.planned)
    known = {*study.settings.arms, *([BASELINE] if baseline else [])}
    return [pair for pair in study.contrasts if known.issuperset(pair)]


def compare_arms(
    rows: Aligned, contrasts: Sequence[tuple[str, str]], weights: np.ndarray, *, delta: float, seed: int
) -> pd.DataFrame:
    """Return one line per declared contrast whose arms are both there.

    Columns are the fields of `Comparison` and, in words, `sentence` and `disagreement`.

    Args:
        rows: units at the primary level.
        contrasts: pairs of arms, first minus second.
        weights: bootstrap weights (n_replicates, n_patients).
        delta: half width of the region of practical equivalence.
        seed: of the permutations.
    """
    rows = rows.with_both_classes()
    comparisons: list[Comparison] = []
    for number, (first, second) in enumerate(contrasts):
        if first in rows.arms and second in rows.arms:
            rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 1, number])))
            comparisons.append(compare(first, second, pair_of(rows, first, second), weights, rng, delta=delta))
    return pd.DataFrame(
        [
            asdict(comparison) | {"sentence": sentence(comparison, delta), "disagreement": disagreement(comparison)}
            for comparison in judge(comparisons, delta=delta, n_declared=len(contrasts))
        ]
    )


def by_class(rows: Aligned, contrasts: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Return each contrast against every negative status: first, second, against, difference, low, high, p (E1)."""
    lines: list[dict[str, object]] = []
    negatives = sorted(rows.rows.loc[rows.labels == 0, "status"].unique())
    for status in negatives if len(negatives) > 1 else []:
        compared = rows.where((rows.labels == 1) | (rows.rows["status"] == status).to_numpy()).with_both_classes()
        if not len(compared.rows):
            continue
        for line in paired_differences(compared, contrasts):
            lines.append({"first": line["first"], "second": line["second"], "against": status} | line)
    return pd.DataFrame(lines)


def by_patient(rows: Aligned, contrasts: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Return each contrast at patient level, beside that of breasts: first, second, difference, low, high, p (E1).

    Clinical columns cannot tell a patient's breasts apart, so the breast level caps what they reach; this level does
    not.
    """
    rows = rows.with_both_classes()
    return pd.DataFrame(paired_differences(rows, contrasts) if len(rows.rows) else [])


def paired_differences(rows: Aligned, contrasts: Sequence[tuple[str, str]]) -> list[dict[str, object]]:
    """Return the difference of each pair of arms that are there, with its E1 interval and p, not adjusted.

    Args:
        rows: units of test parts with both classes.
        contrasts: pairs of arms, first minus second.
    """
    lines: list[dict[str, object]] = []
    for first, second in contrasts:
        if first in rows.arms and second in rows.arms:
            pair = pair_of(rows, first, second)
            areas = auc.cross_validated_delong(pair.labels, pair.scores, pair.patients, pair.folds, pair.runs)
            difference, se = areas.difference(0, 1)
            low, high = t_interval(difference, se, areas.df)
            p = t_p(difference, se, areas.df)
            lines.append({"first": first, "second": second, "difference": difference, "low": low, "high": high, "p": p})
    return lines


def against_baseline(rows: Aligned, declared: Sequence[tuple[str, str]], but: Collection[str] = ()) -> pd.DataFrame:
    """Return each arm minus the baseline (E1), where no declared contrast tests that.

    Not declared, hence exploratory, and not adjusted for their number. Arms in `but` are left out.
    """
    rows = rows.with_both_classes()
    tested = {frozenset(pair) for pair in declared}
    lines = []
    for arm in rows.arms:
        if arm in but or BASELINE not in rows.arms:
            continue
        if arm != BASELINE and frozenset((arm, BASELINE)) not in tested:
            pair = pair_of(rows, arm, BASELINE)
            areas = auc.cross_validated_delong(pair.labels, pair.scores, pair.patients, pair.folds, pair.runs)
            difference, se = areas.difference(0, 1)
            low, high = t_interval(difference, se, areas.df)
            lines.append({"first": arm, "second": BASELINE, "difference": difference, "low": low, "high": high})
    return pd.DataFrame(lines)


def variance_parts(rows: Aligned, contrasts: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Return where the variance of each arm's AUC and of each contrast comes from: seeds, splits, patients.

    Columns: what; the standard deviations seed_sd (of one fold, between seeds), training_sd (of the mean over folds,
    between seeds), split_sd (of one repeat) and patient_sd (of the mean); and the variances of the reported mean that
    come from each: seed_part, split_part, patient_part; NaN where there is one seed or one repeat alone.
    """
    rows = rows.with_both_classes()
    pairs = [(first, second) for first, second in contrasts if first in rows.arms and second in rows.arms]
    lines = []
    for first, second in [(arm, None) for arm in rows.arms] + pairs:
        pair = pair_of(rows, first, second or first)
        areas = auc.cross_validated_delong(pair.labels, pair.scores, pair.patients, pair.folds, pair.runs)
        by_arm = fold_areas(pair)
        if second is None:
            # rounding can leave the variance of a constant score just below 0
            scores, variance = by_arm[0], max(float(areas.covariance[0, 0]), 0.0)
        else:
            scores, variance = by_arm[0] - by_arm[1], areas.difference(0, 1)[1] ** 2
        if np.isnan(scores).any():
            continue
        parts = spread(scores, variance)
        lines.append(
            {
                "what": first if second is None else f"{first} minus {second}",
                "seed_sd": parts.seed**0.5,
                "training_sd": training_sd(scores),
                "split_sd": parts.split**0.5,
                "patient_sd": parts.patients**0.5,
                **dict(zip(("seed_part", "split_part", "patient_part"), parts.of_mean, strict=True)),
            }
        )
    return pd.DataFrame(lines)
