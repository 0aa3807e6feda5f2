"""Coverage of intervals, and error rates of verdicts, on simulated studies: `python -m study.bench --coverage`.

Each interval is judged for its own estimand (`docs/explanation/estimands.md`): E1 is the mean true AUC of the fitted
fold models of a simulated study, E2 the mean of that over data sets. A PR-AUC depends on how many are tested, so its E1
is what those models are expected to show on folds of the same sizes.
"""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t

from study.benchmarks.coverage_of_metrics import METHODS as METRICS
from study.benchmarks.coverage_of_metrics import metric_intervals
from study.benchmarks.simulation import (
    FOLDS,
    Setting,
    SimulatedStudy,
    expected_average_precision,
    find_setting,
    simulate,
)
from study.stats import auc
from study.stats.bootstrap import logit_t_interval, patient_weights, percentile_interval
from study.stats.comparison import SMALL_GAIN, Pair, compare, fold_areas, judge
from study.stats.corrected_t import CorrectedMean
from study.stats.kernel import mean_areas
from study.stats.metrics import average_precision
from study.stats.procedure import Procedure, floor, fold_mean, on_logit_scale, procedure, wider

DELTA = 0.02
N_DRAWS = 400
SIZES, PREVALENCES, AREAS = (60, 150, 400), (0.37, 0.2), (0.7, 0.8, 0.9)
DIFFERENCES = (0.0, 0.02, 0.05, 0.10)

METHODS = {
    "e1_delong": ("AUC", "E1", "fold-stratified clustered DeLong (primary)", "e1"),
    "e1_bootstrap": ("AUC", "E1", "patient bootstrap, percentile", "e1"),
    "e2_procedure": ("AUC", "E2", "patients, training and repeats, 4 repeats x 3 seeds (primary)", "e2"),
    "e2_corrected": ("AUC", "E2", "corrected t, 4 repeats x 3 seeds", "e2"),
    "e2_corrected_single": ("AUC", "E2", "corrected t, one run", "e2"),
    "naive_folds": ("AUC", "E2", "naive: mean ± 1.96 SD/√K over folds", "e2"),
    "naive_images": ("AUC of images", "E1", "naive: image-level DeLong, pooled", "image"),
    "pr_spread": ("PR-AUC", "E1", "patient bootstrap, standard error, logit t (primary)", "pr"),
    "pr_percentile": ("PR-AUC", "E1", "patient bootstrap, percentile", "pr"),
    "e1_lead_delong": ("difference", "E1", "fold-stratified clustered DeLong, t (primary)", "e1_lead"),
    "e2_lead": ("difference", "E2", "the wider of the two below, 4 repeats x 3 seeds (primary)", "lead"),
    "e2_lead_procedure": ("difference", "E2", "patients, training and repeats, 4 repeats x 3 seeds", "lead"),
    "e2_lead_corrected": ("difference", "E2", "corrected t, 4 repeats x 3 seeds", "lead"),
    "e2_single": ("AUC", "E2", "the wider of the two below, 1 repeat x 3 seeds (primary)", "e2"),
    "e2_single_corrected": ("AUC", "E2", "corrected t, 1 repeat x 3 seeds", "e2"),
    "e2_single_floor": ("AUC", "E2", "patients, training sets and seeds, 1 repeat x 3 seeds", "e2"),
    "e2_lead_single": ("difference", "E2", "the wider of the two below, 1 repeat x 3 seeds (primary)", "lead"),
    "e2_lead_single_corrected": ("difference", "E2", "corrected t, 1 repeat x 3 seeds", "lead"),
    "e2_lead_floor": ("difference", "E2", "patients, training sets and seeds, 1 repeat x 3 seeds", "lead"),
    "e2_lead_patients": ("difference", "E2", "the same without seeds, 1 repeat x 3 seeds", "lead"),
    **METRICS,
}
"""Interval -> (quantity, estimand, method, column of its truth)."""


@dataclass(frozen=True)
class Task:
    """A setting to try."""

    n_patients: int
    prevalence: float
    area: float
    difference: float
    n_replicates: int
    seed: int

    @property
    def words(self) -> str:
        """The setting as text."""
        return (
            f"{self.n_patients} patients, prevalence {self.prevalence:g}, AUC {self.area:g}, difference"
            f" {self.difference:g}"
        )


def interval_coverage(n_replicates: int, *, jobs: int, seed: int, said: Callable[[str], None]) -> dict[str, Any]:
    """Judge every interval and verdict in 36 settings.

    Args:
        n_replicates: simulated studies in each setting.
        jobs: processes.
        seed: of all random numbers.
        said: told after each setting.

    Returns:
        `coverage`, a line per interval and setting, and `verdicts`, a line per setting.
    """
    covered: list[pd.DataFrame] = []
    verdicts: list[dict[str, Any]] = []
    todo = list(tasks(n_replicates, seed))
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for number, (task, lines) in enumerate(zip(todo, pool.map(simulate_studies, todo), strict=True), start=1):
            covered.append(coverage(lines).assign(**asdict(task)))
            verdicts.append(asdict(task) | verdict_rates(lines))
            said(f"{number}/{len(todo)}: {task.words}")
    return {"coverage": pd.concat(covered).to_dict("records"), "verdicts": verdicts}


def tasks(n_replicates: int, seed: int) -> Iterator[Task]:
    """Yield every setting: sizes by prevalences by AUCs without a difference, and differences at AUC 0.8."""
    for n in SIZES:
        for prevalence in PREVALENCES:
            for area in AREAS:
                yield Task(n, prevalence, area, 0.0, n_replicates, seed)
            for difference in DIFFERENCES[1:]:
                yield Task(n, prevalence, 0.8, difference, n_replicates, seed)


def simulate_studies(task: Task) -> pd.DataFrame:
    """Return `judge_intervals` for the task's setting (in a process of its own)."""
    setting = find_setting(task.n_patients, task.prevalence, task.area, task.difference)
    return judge_intervals(setting, task.n_replicates, task.seed)


def judge_intervals(setting: Setting, n_replicates: int, seed: int) -> pd.DataFrame:
    """Return one line per replicate: interval ends by method, truths, and the verdict.

    Every setting draws its own random numbers: with common ones a chance surplus would look like a law.
    """
    target = [round(1000 * value) for value in (setting.prevalence, setting.area, setting.difference)]
    lines = []
    for number in range(n_replicates):
        key = [seed, setting.n_patients, *target, number]
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))
        lines.append(_line(simulate(setting, rng), rng))
    return pd.DataFrame(lines)


def _line(study: SimulatedStudy, rng: np.random.Generator) -> dict[str, object]:
    pair, single = study.pair, _first_run(study.pair)
    areas = auc.cross_validated_delong(single.labels, single.scores, single.patients, single.folds)
    scores = fold_areas(pair)  # (2, R, K, S)
    weights = patient_weights(2 * single.folds + single.labels, N_DRAWS, rng)
    expected, precision_intervals = _average_precision(single, study.truth[1, 0, :, 0], weights, areas.df)
    measured = metric_intervals(study, single, weights, areas.df)
    comparison = compare("first", "second", pair, weights[:50], rng, delta=DELTA, n_permutations=100)
    intervals = {
        **_area_intervals(study, single, scores[1], areas, weights),
        **precision_intervals,
        **_one_repeat(pair),
        **{name: ends for name, (ends, _) in measured.items()},
        "e1_lead_delong": (comparison.e1_low, comparison.e1_high),
        "e2_lead": (comparison.e2_low, comparison.e2_high),
        "e2_lead_procedure": (comparison.procedure_low, comparison.procedure_high),
        "e2_lead_corrected": (comparison.corrected_low, comparison.corrected_high),
    }
    lead = (study.truth[0] - study.truth[1]).mean()
    return {
        **{f"{name}_truth": truth for name, (_, truth) in measured.items()},
        "e1": study.truth[1, 0, :, 0].mean(),
        "e2": study.truth[1].mean(),
        "lead": lead,
        "e1_lead": lead,
        "image": study.image_truth,
        "pr": expected,
        **{f"{name}_low": low for name, (low, _) in intervals.items()},
        **{f"{name}_high": high for name, (_, high) in intervals.items()},
        "naive_t": _naive_t(scores[0, 0, :, 0] - scores[1, 0, :, 0]),
        "verdict": judge([comparison], delta=DELTA)[0].verdict,
    }


def _area_intervals(
    study: SimulatedStudy, single: Pair, scores: np.ndarray, areas: auc.Areas, weights: np.ndarray
) -> dict[str, tuple[float, float]]:
    """Return intervals of the second arm's AUC, whose AUCs by run are scores (n_repeats, n_folds, n_seeds)."""
    pair, value = study.pair, float(areas.value[1])
    many = auc.cross_validated_delong(pair.labels, pair.scores, pair.patients, pair.folds, pair.runs)
    replicates = mean_areas(weights, single.labels, single.scores, single.patients, single.parts)
    pooled = auc.delong(*study.images[:2])
    return {
        "e1_delong": auc.logit_interval(value, float(areas.se[1]))
        if value < 1
        else auc.newcombe(1.0, *np.bincount(single.labels)[::-1]),
        "e1_bootstrap": percentile_interval(replicates[1]),
        "e2_corrected_single": _logit(fold_mean(scores[:1, :, :1])),
        "e2_corrected": _logit(fold_mean(scores)),
        "e2_procedure": _logit(procedure(scores, float(many.covariance[1, 1]), many.df)),
        "naive_folds": _normal(scores[0, :, 0]),
        "naive_images": auc.normal_interval(float(pooled.value[0]), float(pooled.se[0])),
    }


def _average_precision(
    single: Pair, truth: np.ndarray, weights: np.ndarray, df: float
) -> tuple[float, dict[str, tuple[float, float]]]:
    """Return the PR-AUC to expect of the second arm's fold models with true AUCs (n_folds,), and its intervals."""
    expected, observed = [], []
    for fold, area in enumerate(truth):
        inside = single.folds == fold
        labels, drawn = single.labels[inside], np.vstack([np.ones(inside.sum()), weights[:, single.patients[inside]]])
        observed.append(average_precision(drawn, labels, single.scores[1, inside]))
        expected.append(expected_average_precision(area, labels.sum(), (1 - labels).sum()))
    value, *replicates = np.mean(observed, axis=0)
    return float(np.mean(expected)), {
        "pr_spread": logit_t_interval(value, np.array(replicates), df, len(truth)),
        "pr_percentile": percentile_interval(np.array(replicates)),
    }


def _naive_t(differences: np.ndarray) -> bool:
    """Return whether a paired t test over folds (n_folds,) finds a difference."""
    spread = differences.std(ddof=1)
    return bool(spread > 0 and 2 * t.sf(abs(differences.mean()) / (spread / FOLDS**0.5), FOLDS - 1) < 0.05)


def _logit(estimate: CorrectedMean | Procedure) -> tuple[float, float]:
    low, high = estimate.interval()
    return on_logit_scale(estimate.value, (high - low) / 2)


def _one_repeat(pair: Pair) -> dict[str, tuple[float, float]]:
    """Return E2 intervals of the second arm's AUC and of the difference from the first repeat and all of its seeds."""
    once = _first_repeat(pair)
    scores = fold_areas(once)
    areas = auc.cross_validated_delong(once.labels, once.scores, once.patients, once.folds, once.runs)
    found: dict[str, tuple[float, float]] = {}
    for name, values, variance, scaled in (
        ("e2_single", scores[1], float(areas.covariance[1, 1]), _logit),
        ("e2_lead_single", scores[0] - scores[1], areas.difference(0, 1)[1] ** 2, _plain),
    ):
        folds, bound = fold_mean(values), floor(values, variance, areas.df)
        short = name.replace("_single", "") if "lead" in name else name
        found |= {
            name: scaled(wider(folds, bound)),
            f"{name}_corrected": scaled(folds),
            f"{short}_floor": scaled(bound),
        }
    found["e2_lead_patients"] = _plain(floor(values.mean(axis=2, keepdims=True), variance, areas.df))
    return found


def _plain(estimate: CorrectedMean | Procedure) -> tuple[float, float]:
    return estimate.interval()


def _first_repeat(pair: Pair) -> Pair:
    return _chosen(pair, pair.repeats == 0)


def _first_run(pair: Pair) -> Pair:
    return _chosen(pair, pair.runs == 0)


def _chosen(pair: Pair, chosen: np.ndarray) -> Pair:
    scores = pair.scores[:, chosen]
    others = (getattr(pair, name)[chosen] for name in ("patients", "folds", "repeats", "seeds"))
    return Pair(pair.labels[chosen], scores, *others)


def _normal(scores: np.ndarray) -> tuple[float, float]:
    half = 1.96 * scores.std(ddof=1) / np.sqrt(len(scores))
    return scores.mean() - half, scores.mean() + half


def coverage(lines: pd.DataFrame) -> pd.DataFrame:
    """Return how often each interval holds its truth, and its mean width: quantity, estimand, method, coverage, width.

    The truth of an E2 interval is the mean over the replicates.
    """
    lines = lines.assign(e2=lines["e2"].mean(), lead=lines["lead"].mean())
    rows = []
    for name, (quantity, estimand, method, truth) in METHODS.items():
        low, high = lines[f"{name}_low"], lines[f"{name}_high"]
        covered = float(((low <= lines[truth]) & (lines[truth] <= high)).mean())
        rows.append((quantity, estimand, method, covered, float((high - low).mean())))
    return pd.DataFrame(rows, columns=["quantity", "estimand", "method", "coverage", "width"])


def verdict_rates(lines: pd.DataFrame) -> dict[str, float]:
    """Return how often each verdict was reached, and how often the naive paired t over folds found a difference."""
    shares = lines["verdict"].value_counts(normalize=True)
    names = ("better", "worse", "equivalent", "non-inferior", SMALL_GAIN, "inconclusive")
    return {name: float(shares.get(name, 0.0)) for name in names} | {"naive paired t": float(lines["naive_t"].mean())}
