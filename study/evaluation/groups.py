"""The arms within classes, sites and subgroups, and their calibration and decision curves."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.stats import chi2

from mmbc.data.cohort import Cohort
from mmbc.data.splits import unit_values
from mmbc.errors import CohortError, nearest
from study.evaluation.arm_metrics import BOOTSTRAP, DELONG, N_BINS, NO_INTERVAL, ArmLines
from study.evaluation.units import UNIT_KEYS, Aligned
from study.stats import auc
from study.stats.bootstrap import percentile_interval
from study.stats.calibration import EDGE, expected_ece, in_the_large
from study.stats.decision import at_prevalence, net_benefit, treat_all
from study.stats.kernel import kernel, pair_sums
from study.stats.metrics import ratio
from study.stats.proportions import clustered_ratio, clustered_wilson

SMALLEST_CELL = 10
"""Smaller subgroups (positive or negative patients) are not analysed: noise, and patients could be identified."""
AGE_BANDS = (50.0, 70.0)
MOST_LEVELS = 6
UNKNOWN = "unknown"
NOT_GROUPS = ("label", "status", "image_id", "patient_id", "case_id", "path", "pixel_digest")
"""Columns that name rows or are the outcome."""
N_THRESHOLDS = 40
AROUND = (0.5, 1, 2, 5)
"""Multiples of the declared prevalence that are thresholds whatever the grid."""


def by_class(rows: Aligned, weights: np.ndarray) -> Iterator[dict[str, object]]:
    """Yield the AUC of every arm against each negative status, and over pairs of the same site."""
    negatives = sorted(rows.rows.loc[rows.labels == 0, "status"].unique())
    for status in negatives if len(negatives) > 1 else []:
        compared = rows.where((rows.labels == 1) | (rows.rows["status"] == status).to_numpy()).with_both_classes()
        if not len(compared.rows):
            continue
        areas = auc.cross_validated_delong(
            compared.labels, compared.logit, compared.patients, compared.folds, compared.runs
        )
        for arm, name in enumerate(rows.arms):
            value, se = float(areas.value[arm]), float(areas.se[arm])
            row = ArmLines(compared, name, weights)
            yield row.line(f"against {status}", value, auc.logit_interval(value, se), DELONG)
    if rows.rows["site"].nunique() > 1:
        concordant, pairs = _pairs_within(rows, rows.rows["site"].to_numpy(), weights)
        for arm, name in enumerate(rows.arms):
            yield ArmLines(rows, name, weights).bootstrap("within sites", ratio(concordant[arm], pairs))


def _pairs_within(rows: Aligned, groups: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the concordant (n_arms, n_draws) and all pairs (n_draws,) within test parts and groups, added up."""
    concordant, pairs = np.zeros((len(rows.arms), len(weights))), np.zeros(len(weights))
    parts = rows.parts
    for part in np.unique(parts):
        for group in pd.unique(groups[parts == part]):
            at = np.flatnonzero((parts == part) & (groups == group))
            labels = rows.labels[at]
            if 0 < labels.sum() < len(labels):
                above, below = pair_sums(weights, kernel(labels, rows.logit[:, at], rows.patients[at]))
                concordant, pairs = concordant + above, pairs + below
    return concordant, pairs


def subgroup_columns(cohort: Cohort, asked: Sequence[str]) -> dict[str, pd.Series]:
    """Return the columns to group by, as ordered categories by image: those asked for, or age, density, view and site.

    A numeric column with many values is cut: age at 50 and 70 years, others at their terciles.
    """
    images = cohort.images
    if asked:
        return {
            name: _categories(images[_column_named(images, name)], name)
            for name in asked
            if _column_named(images, name)
        }
    usual = {name: _usual_column(images, name) for name in ("age", "density", "view", "site")}
    columns = {column or name: _categories(images[column], name) for name, column in usual.items() if column}
    return {name: groups for name, groups in columns.items() if groups[groups != UNKNOWN].nunique() > 1}


def check_subgroups(cohort: Cohort, asked: Sequence[str]) -> None:
    """Refuse a column that is not there, that is the outcome, or that is named twice.

    Raises:
        CohortError: names the column and those there are.
    """
    columns = [name for name in cohort.images.columns if name not in NOT_GROUPS]
    for number, name in enumerate(asked):
        if _column_named(cohort.images[columns], name) == "":
            raise CohortError(f"protocol.subgroups: no column {name!r} to group by; {nearest(name, columns)}")
        if name.lower() in (other.lower() for other in asked[:number]):
            raise CohortError(f"protocol.subgroups: {name!r} is named twice")


def _usual_column(images: pd.DataFrame, name: str) -> str:
    """Return the column of this name, or one that begins with it as a word (`Age (years)`), or ''."""
    words = {str(column): re.split(r"[\W_]+", str(column).lower())[0] for column in images.columns}
    return _column_named(images, name) or next((column for column, word in words.items() if word == name), "")


def _column_named(images: pd.DataFrame, name: str) -> str:
    """Return the column of this name, whatever its case, or ''."""
    return next((str(column) for column in images.columns if str(column).lower() == name.lower()), "")


def _categories(column: pd.Series, name: str) -> pd.Series:
    """Return the column as ordered text categories, the unknown last."""
    if not pd.api.types.is_numeric_dtype(column):
        text = column.astype("string")
        order = sorted(text.dropna().unique())
    elif column.nunique() <= MOST_LEVELS:
        text = column.map(lambda value: None if pd.isna(value) else f"{value:.10g}")
        order = [f"{value:.10g}" for value in sorted(column.dropna().unique())]
    else:
        edges = AGE_BANDS if "age" in name.lower() else np.unique(column.quantile([1 / 3, 2 / 3]))
        between = [f"{low:.10g} to < {high:.10g}" for low, high in pairwise(edges)]
        order = [f"< {edges[0]:.10g}", *between, f"≥ {edges[-1]:.10g}"]
        text = pd.cut(column, [-np.inf, *edges, np.inf], right=False, labels=order).astype("string")
    categories = [*(group for group in order if group != UNKNOWN), UNKNOWN]
    return text.fillna(UNKNOWN).astype(pd.CategoricalDtype(categories, ordered=True))


def subgroups(
    levels: dict[str, Aligned],
    unit: str,
    columns: dict[str, pd.Series],
    cohort: Cohort,
    weights: np.ndarray,
    contrasts: Sequence[tuple[str, str]] = (),
) -> dict[str, pd.DataFrame]:
    """Return what is known of each subgroup: `subgroups`, `subgroup_contrasts`, `subgroup_performance`.

    A column that varies within a case (the view, the side) is analysed by image, and an arm that scores all images of a
    case alike is not tested. Otherwise a unit with several values (a patient's age at two cases) has that of most of
    its images. AUCs and their differences over pairs of the same test part and subgroup; intervals and the
    interaction's Wald test from the patient bootstrap. Sensitivity, specificity and calibration in the large at the
    threshold and with the calibration that all subgroups have in common.

    Args:
        levels: units by level.
        unit: of analysis.
        columns: `subgroup_columns`.
        cohort: whose images they are of.
        weights: (1 + n_replicates, n_patients), ones in the first row.
        contrasts: declared ones, whose differences are given too.

    Returns:
        Frames by their name in `Evaluation`.
    """
    frames: dict[str, list[dict[str, object]]] = {
        name: [] for name in ("subgroups", "subgroup_contrasts", "subgroup_performance")
    }
    for name, values in columns.items():
        named = _column_named(cohort.images, name)
        column = cohort.images[named] if named else values
        level, group_of = group_by_unit(cohort.images, column, values, unit)
        rows = levels[level]
        alike = _alike(rows) if level == "image" else [False] * len(rows.arms)
        groups = rows.rows[UNIT_KEYS[level]].merge(group_of, on=UNIT_KEYS[level], how="left")["group"]
        parts = _parts(rows, name, groups.fillna(UNKNOWN))
        draws = {group: _drawn_areas(inside, weights) for group, (inside, line) in parts.items() if inside is not None}
        lines = {group: line for group, (_, line) in parts.items()}
        frames["subgroups"] += _areas(rows.arms, lines, draws, alike)
        frames["subgroup_contrasts"] += _differences(rows.arms, lines, draws, contrasts, alike)
        for inside, line in parts.values():
            where = {key: line[key] for key in ("column", "group", "level")}
            frames["subgroup_performance"] += [where | found for found in _performance(inside)] if inside else []
    return {name: pd.DataFrame(lines) for name, lines in frames.items()}


def group_by_unit(images: pd.DataFrame, column: pd.Series, groups: pd.Series, unit: str) -> tuple[str, pd.DataFrame]:
    """Return the level to analyse a column of images at, and each of its units' group: `UNIT_KEYS[level]`, group.

    Args:
        images: of the cohort.
        column: values by image, of which a unit has that of `unit_values`.
        groups: the group of each image's value.
        unit: of analysis.
    """
    varies = groups.groupby([images["patient_id"], images["case_id"]], observed=True).nunique().max() > 1
    level = "image" if varies else unit
    group_of = pd.DataFrame({"value": column, "group": groups}).drop_duplicates("value")
    return level, unit_values(images, column, UNIT_KEYS[level]).merge(group_of, on="value", how="left")


SAME = 1e-4
"""Logits that differ by less count as the same: the last bits of a logit depend on the batch it was computed in."""


def _alike(rows: Aligned) -> list[bool]:
    """Return of each arm whether it scores all images of a case alike, as one without images does."""
    cases = [rows.rows[key] for key in ("repeat", "seed", "fold", "patient_id", "case_id")]
    scores = (pd.Series(logit).groupby(cases) for logit in rows.logit)
    return [bool((of_case.max() - of_case.min()).max() < SAME) for of_case in scores]


def _parts(rows: Aligned, column: str, groups: pd.Series) -> dict[str, tuple[Aligned | None, dict[str, object]]]:
    """Return group -> (its rows, or None where they are too few to analyse; its line without numbers)."""
    parts: dict[str, tuple[Aligned | None, dict[str, object]]] = {}
    for group in groups.cat.remove_unused_categories().cat.categories:
        inside = rows.where((groups == group).to_numpy())
        people = inside.rows.groupby("patient_id")["label"].agg(["max", "min"])
        n_positive, n_negative = int((people["max"] == 1).sum()), int((people["min"] == 0).sum())
        small = min(n_positive, n_negative) < SMALLEST_CELL
        line = {
            "column": column,
            "group": group,
            "level": rows.level,
            "n_patients": len(people) if len(people) >= SMALLEST_CELL else np.nan,
            "n_positive": np.nan if small else n_positive,
            "suppressed": small,
        }
        parts[group] = (None if small else inside, line)
    return parts


def _drawn_areas(inside: Aligned, weights: np.ndarray) -> np.ndarray:
    """Return the AUC of every arm in every draw (n_arms, n_draws), over pairs of the same test part."""
    concordant, pairs = _pairs_within(inside, np.zeros(len(inside.rows)), weights)
    return np.stack([ratio(row, pairs) for row in concordant])


def _areas(
    arms: Sequence[str], lines: dict[str, dict[str, object]], draws: dict[str, np.ndarray], alike: Sequence[bool]
) -> Iterator[dict[str, object]]:
    for arm, name in enumerate(arms):
        p = NOTHING[0] if alike[arm] else _interaction([drawn[arm] for drawn in draws.values()])
        for group, line in lines.items():
            value, low, high = _of_draws(draws[group][arm]) if group in draws else NOTHING
            yield {"arm": name, **line, "value": value, "low": low, "high": high, "interaction_p": p}


def _differences(
    arms: Sequence[str],
    lines: dict[str, dict[str, object]],
    draws: dict[str, np.ndarray],
    contrasts: Sequence[tuple[str, str]],
    alike: Sequence[bool],
) -> Iterator[dict[str, object]]:
    for pair in contrasts:
        if not set(pair) <= set(arms):
            continue
        first, second = (arms.index(arm) for arm in pair)
        apart = {group: drawn[first] - drawn[second] for group, drawn in draws.items()}
        p = NOTHING[0] if alike[first] and alike[second] else _interaction(list(apart.values()))
        for group, line in lines.items():
            value, low, high = _of_draws(apart[group]) if group in apart else NOTHING
            named = {"first": pair[0], "second": pair[1], **line}
            yield named | {"difference": value, "low": low, "high": high, "interaction_p": p}


NOTHING = (float("nan"),) * 3


def _of_draws(draws: np.ndarray) -> tuple[float, float, float]:
    """Return the value, which is the first draw, and the percentile interval of the others."""
    return (float(draws[0]), *percentile_interval(draws[1:]))


def _performance(inside: Aligned) -> Iterator[dict[str, object]]:
    """Yield sensitivity, specificity and calibration in the large of every arm: arm, metric, value, low, high.

    At the threshold for 90 % specificity, or at a probability of 0.5 where there is none.
    """
    at, names = ("flagged", ("sensitivity_at_90_specificity", "specificity_achieved"))
    if at not in inside.calls:
        at, names = "called", ("sensitivity", "specificity")
    n_patients, positive = int(inside.patients.max()) + 1, inside.labels == 1
    for arm, name in enumerate(inside.arms):
        called = inside.calls[at][arm]
        for metric, side, right in zip(names, (positive, ~positive), (called, ~called), strict=True):
            above, below = (
                np.bincount(inside.patients, rows, n_patients) / inside.n_runs for rows in (side & right, side)
            )
            share = clustered_ratio(above, below)
            low, high = clustered_wilson(share)
            yield {"arm": name, "metric": metric, "value": share.value, "low": low, "high": high}
        fits = [
            in_the_large(inside.labels[run], inside.prob[arm, run], inside.patients[run])
            for run in (inside.runs == number for number in range(inside.n_runs))
        ]
        value, se = np.mean(fits, axis=0)
        low, high = auc.normal_interval(float(value), float(se))
        yield {"arm": name, "metric": "calibration_in_the_large", "value": float(value), "low": low, "high": high}


def _interaction(draws: list[np.ndarray]) -> float:
    """Return the p value of equal AUCs in all groups: Wald's chi-square with the bootstrap covariance."""
    if len(draws) < 2:
        return float("nan")
    together = np.stack(draws)  # (n_groups, n_draws)
    apart = together[1:] - together[0]
    known = apart[:, 1:][:, ~np.isnan(apart[:, 1:]).any(axis=0)]
    if known.shape[1] < 2:
        return float("nan")
    covariance = np.atleast_2d(np.cov(known))
    rank = int(np.linalg.matrix_rank(covariance))
    if rank == 0:
        return 1.0 if not apart[:, 0].any() else float("nan")
    distance = apart[:, 0] @ np.linalg.pinv(covariance) @ apart[:, 0]
    return float(chi2.sf(distance, rank))


def expected_errors(rows: Aligned, rng: np.random.Generator) -> pd.DataFrame:
    """Return the ECE that each arm's calibrated probabilities would show by chance: arm, metric, expected."""
    first = rows.where(rows.runs == 0)
    return pd.DataFrame(
        [
            {"arm": name, "metric": metric, "expected": expected_ece(first.prob[arm], N_BINS, kind, rng)}  # type: ignore[arg-type]
            for arm, name in enumerate(rows.arms)
            for metric, kind in (("ece", "equal-width"), ("ece_equal_mass", "equal-mass"))
        ]
    )


def threshold_range(prevalence: float, declared: tuple[float, float] | None) -> tuple[float, float]:
    """Return the ends of the decision curves: those declared, or a quarter to 20 times the prevalence, at most 0.5."""
    return declared or (prevalence / 4, max(min(0.5, 20 * prevalence), prevalence))


def shown_thresholds(prevalence: float, declared: tuple[float, float] | None) -> list[float]:
    """Return the thresholds of tables: around the prevalence, within the range, and the ends of a declared one."""
    low, high = threshold_range(prevalence, declared)
    return sorted(
        {*(factor * prevalence for factor in AROUND if low <= factor * prevalence <= high), *(declared or ())}
    )


def decision_curves(
    rows: Aligned, weights: np.ndarray, prevalence: float, declared: tuple[float, float] | None = None
) -> pd.DataFrame:
    """Return net benefit by threshold at a declared prevalence: arm, threshold, value, low, high, treat_all.

    Thresholds are those of a declared range, or of one around the prevalence (`threshold_range`). Calibrated
    probabilities are restated from the cohort's prevalence to the declared one before thresholds apply.
    """
    from_prevalence = float(rows.rows.loc[rows.runs == 0, "label"].mean())
    grid = np.geomspace(*threshold_range(prevalence, declared), N_THRESHOLDS)
    thresholds = np.union1d(grid[1:-1] if declared else grid, shown_thresholds(prevalence, declared))
    n_patients, positive = weights.shape[1], rows.labels == 1
    n_positive, n_negative = (weights @ np.bincount(rows.patients, side, n_patients) for side in (positive, ~positive))
    lines = []
    for arm, name in enumerate(rows.arms):
        prob = at_prevalence(np.clip(rows.prob[arm], EDGE, 1 - EDGE), from_prevalence, prevalence)
        hits, alarms = (
            _count_calls(prob, side, rows.patients, thresholds, n_patients) for side in (positive, ~positive)
        )
        sensitivity = ratio(weights @ hits, n_positive[:, None])  # (n_draws, n_thresholds)
        specificity = 1 - ratio(weights @ alarms, n_negative[:, None])
        for place, threshold in enumerate(thresholds):
            draws = net_benefit(sensitivity[:, place], specificity[:, place], prevalence, threshold)
            varied = len(draws) > 1 and np.ptp(draws[1:]) > 0  # nobody recalled in any replicate is no certainty
            low, high = percentile_interval(draws[1:]) if varied else (np.nan, np.nan)
            lines.append(
                {
                    "arm": name,
                    "threshold": float(threshold),
                    "value": float(draws[0]),
                    "low": low,
                    "high": high,
                    "treat_all": float(treat_all(prevalence, threshold)),
                    "method": BOOTSTRAP if varied else NO_INTERVAL,
                }
            )
    return pd.DataFrame(lines)


def _count_calls(
    prob: np.ndarray, side: np.ndarray, patients: np.ndarray, thresholds: np.ndarray, n_patients: int
) -> np.ndarray:
    """Return how many of a patient's rows of one class are called at each threshold: (n_patients, n_thresholds)."""
    return np.stack([np.bincount(patients, side & (prob >= t), n_patients) for t in thresholds], axis=1)
