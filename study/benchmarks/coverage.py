"""Are the intervals and verdicts right? `python -m study.benchmarks.coverage` tries them where the truth is known.

Patients have breasts, breasts have images, and every feature is a sum of a class shift, a patient, a breast and an
image part, so images of a patient are correlated. Two arms are linear discriminants trained in patient-grouped
cross-validation: both see four shared features, the first four of its own and the second four others; a seed perturbs
the fitted weights. The true AUC of a fitted discriminant is known in closed form, so each interval is judged for its
own estimand: E1 is the mean true AUC of the fitted fold models, E2 the mean of that over data sets. A PR-AUC depends on
how many are tested, so its E1 is what those models are expected to show on folds of the same sizes.
"""

import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table
from scipy.stats import binom, norm, t

from study.stats import auc
from study.stats.bootstrap import logit_t_interval, patient_weights, percentile_interval
from study.stats.comparison import Pair, compare, fold_areas, judged
from study.stats.kernel import mean_areas
from study.stats.metrics import average_precision
from study.stats.procedure import Procedure, logit_scaled, of_folds, procedure
from study.stats.resampled import Corrected

SHARED, OWN = 4, 4
"""Features both arms see, and features each has to itself."""
PATIENT, BREAST, IMAGE = 0.5, 0.2, 0.3
"""Variance of a feature by source; they sum to 1."""
VIEWS, BREASTS = 2, 2
RIDGE = 0.1
FOLDS = 5
REPEATS, SEEDS = 4, 3
SEED_NOISE = 0.15
"""Length of the perturbation of the weights by a training seed, as a share of theirs."""
DELTA = 0.02
N_DRAWS = 400
SIZES, PREVALENCES, AREAS = (60, 150, 400), (0.37, 0.2), (0.7, 0.8, 0.9)
DIFFERENCES = (0.0, 0.02, 0.05, 0.10)
COLUMNS = ((0, 1, 2, 3, 4, 5, 6, 7), (0, 1, 2, 3, 8, 9, 10, 11))
"""Features of the first and of the second arm."""


@dataclass(frozen=True)
class World:
    """One setting.

    Attributes:
        n_patients: in the cohort.
        prevalence: share of positive patients.
        shift: class shift of shared and of the second arm's own features, in standard deviations.
        extra: further shift of the first arm's own features.
        area: wanted mean true AUC of the second arm, for the record.
        difference: wanted mean true difference, for the record.
    """

    n_patients: int
    prevalence: float
    shift: float
    extra: float
    area: float
    difference: float

    @property
    def shifts(self) -> np.ndarray:
        """Class shift of every feature (12,)."""
        return np.r_[np.full(SHARED, self.shift), np.full(OWN, self.shift + self.extra), np.full(OWN, self.shift)]


@dataclass(frozen=True)
class Draw:
    """A simulated study.

    Attributes:
        pair: patient-level scores of both arms over all runs.
        truth: true patient-level AUC of every fitted model (2, n_repeats, n_folds, n_seeds).
        images: labels (n,), scores of the second arm (n,), patients (n,) and folds (n,) by image, first run.
        image_truth: true image-level AUC of the second arm's first-run models, mean over folds.
    """

    pair: Pair
    truth: np.ndarray
    images: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    image_truth: float


def simulate(world: World, rng: np.random.Generator, *, repeats: int = REPEATS, seeds: int = SEEDS) -> Draw:
    """Draw a cohort, train both arms in every fold of every repeat with every seed, and score the test patients."""
    n = world.n_patients
    labels = (np.arange(n) < round(world.prevalence * n)).astype(int)
    images = _features(world, labels, rng)  # (n, n_images, 12)
    by_patient, n_images = images.mean(axis=1), images.shape[1]
    gram = np.einsum("nif,nig->nfg", images, images)
    folds = np.stack([_folds(labels, rng) for _ in range(repeats)])  # (n_repeats, n)
    weights = np.stack([_trained(by_patient, gram, labels, split, n_images) for split in folds])  # (R, K, 2, 8)
    noise = rng.normal(size=(*weights.shape[:2], seeds, *weights.shape[2:])) / np.sqrt(weights.shape[-1])
    length = np.linalg.norm(weights, axis=-1, keepdims=True)
    weights = weights[:, :, None] + SEED_NOISE * noise * length[:, :, None]  # (R, K, S, 2, 8)
    scores = np.empty((2, repeats, seeds, n))
    truth = np.empty((2, repeats, FOLDS, seeds))
    spread = PATIENT + BREAST / BREASTS + IMAGE / (BREASTS * VIEWS)
    for arm, columns in enumerate(COLUMNS):
        w = weights[:, :, :, arm]
        of_test = np.take_along_axis(w, folds[:, :, None, None], axis=1)  # (R, n, S, 8)
        scores[arm] = np.einsum("rnsf,nf->rsn", of_test, by_patient[:, columns])
        away = (w @ world.shifts[list(columns)]) / np.linalg.norm(w, axis=-1)
        truth[arm] = norm.cdf(away / np.sqrt(2 * spread))
    first = weights[0, :, 0, 1]  # (K, 8)
    by_image = np.einsum("nif,nf->ni", images[:, :, COLUMNS[1]], first[folds[0]])
    image_away = (first @ world.shifts[list(COLUMNS[1])]) / np.linalg.norm(first, axis=-1)
    rows = np.repeat(np.arange(n), n_images)
    shape = (repeats, seeds, n)
    pair = Pair(
        np.broadcast_to(labels, shape).ravel(),
        scores.reshape(2, -1),
        np.broadcast_to(np.arange(n), shape).ravel(),
        np.broadcast_to(folds[:, None], shape).ravel(),
        *(np.broadcast_to(axis, shape).ravel() for axis in np.ogrid[:repeats, :seeds, :1][:2]),
    )
    return Draw(
        pair,
        truth,
        (labels[rows], by_image.ravel(), rows, folds[0][rows]),
        float(norm.cdf(image_away / np.sqrt(2)).mean()),
    )


def _features(world: World, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    n, width = world.n_patients, SHARED + 2 * OWN
    patient = rng.normal(size=(n, 1, 1, width)) * np.sqrt(PATIENT)
    breast = rng.normal(size=(n, BREASTS, 1, width)) * np.sqrt(BREAST)
    image = rng.normal(size=(n, BREASTS, VIEWS, width)) * np.sqrt(IMAGE)
    shifted = patient + breast + image + labels[:, None, None, None] * world.shifts
    return shifted.reshape(n, BREASTS * VIEWS, width)


def expected_average_precision(areas: np.ndarray, n_positive: int, n_negative: int) -> np.ndarray:
    """Return the average precision to expect of normal scores with true AUCs (n,), in a test set of this size: (n,).

    A positive at x that A of the other positives and B negatives exceed has precision (1 + A) / (1 + A + B), with A and
    B binomial; averaged over x by Gauss-Hermite quadrature.
    """
    grid, expected = _average_precisions(n_positive, n_negative)
    return np.interp(np.sqrt(2) * norm.ppf(areas), grid, expected)


@lru_cache
def _average_precisions(n_positive: int, n_negative: int) -> tuple[np.ndarray, np.ndarray]:
    """Return separations in standard deviations (g,) and the average precisions to expect there (g,)."""
    grid = np.linspace(-2, 6, 161)
    x, share = np.polynomial.hermite_e.hermegauss(64)
    above, below = np.arange(n_positive), np.arange(n_negative + 1)
    positives = binom.pmf(above, n_positive - 1, norm.sf(x)[:, None])  # (x, n_positive)
    negatives = binom.pmf(below, n_negative, norm.sf(x + grid[:, None])[..., None])  # (g, x, n_negative + 1)
    precision = (1 + above[:, None]) / (1 + above[:, None] + below)
    at_x = np.einsum("xb,gxb->gx", positives @ precision, negatives)
    return grid, at_x @ share / share.sum()


def _folds(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Deal the patients of each class over the folds (n,)."""
    folds = np.empty(len(labels), dtype=int)
    for value in (0, 1):
        members = rng.permutation(np.flatnonzero(labels == value))
        folds[members] = np.arange(len(members)) % FOLDS
    return folds


def _trained(
    by_patient: np.ndarray, gram: np.ndarray, labels: np.ndarray, folds: np.ndarray, n_images: int
) -> np.ndarray:
    """Return the ridge discriminants of every fold and arm (n_folds, 2, 8), from sums over training patients."""
    found = np.empty((FOLDS, 2, SHARED + OWN))
    for fold in range(FOLDS):
        train = folds != fold
        means = [by_patient[train & (labels == value)].mean(axis=0) for value in (0, 1)]
        counts = [(train & (labels == value)).sum() for value in (0, 1)]
        within = gram[train].sum(axis=0) / (n_images * train.sum())
        for mean, count in zip(means, counts, strict=True):
            within = within - count / train.sum() * np.outer(mean, mean)
        for arm, columns in enumerate(COLUMNS):
            chosen = np.ix_(columns, columns)
            away = (means[1] - means[0])[list(columns)]
            found[fold, arm] = np.linalg.solve(within[chosen] + RIDGE * np.eye(len(columns)), away)
    return found


def world(n_patients: int, prevalence: float, area: float, difference: float) -> World:
    """Return the setting in which the second arm's mean true AUC, and the first arm's lead, are as wanted.

    Shifts are found by bisection on 60 pilot data sets of common random numbers.
    """
    made = World(n_patients, prevalence, 0.0, 0.0, area, difference)

    def reached(candidate: World) -> np.ndarray:
        draws = [simulate(candidate, np.random.default_rng(k), repeats=1, seeds=1).truth for k in range(60)]
        return np.mean(draws, axis=(0, 2, 3, 4))

    low, high = 0.0, 2.0
    for _ in range(18):
        middle = (low + high) / 2
        low, high = (middle, high) if reached(replace(made, shift=middle))[1] < area else (low, middle)
    made = replace(made, shift=(low + high) / 2)
    if difference:
        low, high = 0.0, 3.0
        for _ in range(18):
            middle = (low + high) / 2
            lead = np.subtract(*reached(replace(made, extra=middle)))
            low, high = (middle, high) if lead < difference else (low, middle)
        made = replace(made, extra=(low + high) / 2)
    return made


def tried(setting: World, n_replicates: int, seed: int) -> pd.DataFrame:
    """Return one line per replicate: interval ends by method, truths, and the verdict.

    Every setting draws its own random numbers: with common ones a chance surplus would look like a law.
    """
    asked = [round(1000 * value) for value in (setting.prevalence, setting.area, setting.difference)]
    lines = []
    for number in range(n_replicates):
        key = [seed, setting.n_patients, *asked, number]
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))
        lines.append(_one(simulate(setting, rng), rng))
    return pd.DataFrame(lines)


def _one(draw: Draw, rng: np.random.Generator) -> dict[str, object]:
    pair, single = draw.pair, _first_run(draw.pair)
    line: dict[str, object] = {
        "e1": draw.truth[1, 0, :, 0].mean(),
        "e2": draw.truth[1].mean(),
        "lead": (draw.truth[0] - draw.truth[1]).mean(),
        "e1_lead": (draw.truth[0] - draw.truth[1]).mean(),
        "image": draw.image_truth,
    }
    areas = auc.cross_validated(single.labels, single.scores, single.patients, single.folds)
    many = auc.cross_validated(pair.labels, pair.scores, pair.patients, pair.folds, pair.runs)
    scores = fold_areas(pair)  # (2, R, K, S)
    value = float(areas.value[1])
    interval = auc.logit_interval(value, float(areas.se[1]))
    line |= _named("e1_delong", interval if value < 1 else auc.newcombe(1.0, *np.bincount(single.labels)[::-1]))
    strata = 2 * single.folds + single.labels
    weights = patient_weights(strata, N_DRAWS, rng)
    drawn = mean_areas(weights, single.labels, single.scores, single.patients, single.parts)
    line |= _named("e1_bootstrap", percentile_interval(drawn[1]))
    line |= _of_precision(single, draw.truth[1, 0, :, 0], weights, areas.df)
    line |= _named("e2_corrected_single", _logit(of_folds(scores[1][:1, :, :1])))
    line |= _named("e2_corrected", _logit(of_folds(scores[1])))
    line |= _named("e2_procedure", _logit(procedure(scores[1], float(many.covariance[1, 1]), many.df)))
    line |= _named("naive_folds", _normal(scores[1, 0, :, 0]))
    labels, image_scores, _, _ = draw.images
    pooled = auc.delong(labels, image_scores)
    line |= _named("naive_images", auc.normal_interval(float(pooled.value[0]), float(pooled.se[0])))
    change = scores[0] - scores[1]
    first = change[0, :, 0]
    spread = first.std(ddof=1)
    line["naive_t"] = bool(spread > 0 and 2 * t.sf(abs(first.mean()) / (spread / FOLDS**0.5), FOLDS - 1) < 0.05)
    compared = compare("first", "second", pair, weights[:50], rng, delta=DELTA, n_permutations=100)
    line |= _named("e1_lead_delong", (compared.e1_low, compared.e1_high))
    line |= _named("e2_lead", (compared.e2_low, compared.e2_high))
    line |= _named("e2_lead_procedure", (compared.procedure_low, compared.procedure_high))
    line |= _named("e2_lead_corrected", (compared.corrected_low, compared.corrected_high))
    return line | {"verdict": judged([compared], delta=DELTA)[0].verdict}


def _of_precision(single: Pair, truth: np.ndarray, weights: np.ndarray, df: float) -> dict[str, object]:
    """Return the expected PR-AUC of the second arm's fold models, true AUCs (n_folds,), and its intervals."""
    expected, found = [], []
    for fold, area in enumerate(truth):
        inside = single.folds == fold
        labels, drawn = single.labels[inside], np.vstack([np.ones(inside.sum()), weights[:, single.patients[inside]]])
        found.append(average_precision(drawn, labels, single.scores[1, inside]))
        expected.append(expected_average_precision(area, labels.sum(), (1 - labels).sum()))
    value, *replicates = np.mean(found, axis=0)
    return {
        "pr": np.mean(expected),
        **_named("pr_spread", logit_t_interval(value, np.array(replicates), df, len(truth))),
        **_named("pr_percentile", percentile_interval(np.array(replicates))),
    }


def _logit(about: Corrected | Procedure) -> tuple[float, float]:
    low, high = about.interval()
    return logit_scaled(about.value, (high - low) / 2)


def _first_run(pair: Pair) -> Pair:
    chosen = pair.runs == 0
    return Pair(
        pair.labels[chosen],
        pair.scores[:, chosen],
        pair.patients[chosen],
        pair.folds[chosen],
        pair.repeats[chosen],
        pair.seeds[chosen],
    )


def _named(name: str, interval: tuple[float, float]) -> dict[str, object]:
    return {f"{name}_low": interval[0], f"{name}_high": interval[1]}


def _normal(scores: np.ndarray) -> tuple[float, float]:
    half = 1.96 * scores.std(ddof=1) / np.sqrt(len(scores))
    return scores.mean() - half, scores.mean() + half


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
}
"""Interval -> (quantity, estimand, method, column of its truth)."""


def coverage(lines: pd.DataFrame) -> pd.DataFrame:
    """Return how often each interval holds its truth, and its mean width: quantity, estimand, method, coverage, width.

    The truth of an E2 interval is the mean over the replicates.
    """
    lines = lines.assign(e2=lines["e2"].mean(), lead=lines["lead"].mean())
    found = []
    for name, (quantity, estimand, method, truth) in METHODS.items():
        low, high = lines[f"{name}_low"], lines[f"{name}_high"]
        inside = (low <= lines[truth]) & (lines[truth] <= high)
        found.append(
            {
                "quantity": quantity,
                "estimand": estimand,
                "method": method,
                "coverage": float(inside.mean()),
                "width": float((high - low).mean()),
            }
        )
    return pd.DataFrame(found)


def verdict_rates(lines: pd.DataFrame) -> dict[str, float]:
    """Return how often each verdict was reached, and how often the naive paired t over folds found a difference."""
    shares = lines["verdict"].value_counts(normalize=True)
    names = ("better", "worse", "equivalent", "non-inferior", "inconclusive")
    return {name: float(shares.get(name, 0.0)) for name in names} | {"naive paired t": float(lines["naive_t"].mean())}


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


def carried_out(task: Task) -> tuple[Task, pd.DataFrame, dict[str, float]]:
    """Try one setting (in a process of its own)."""
    setting = world(task.n_patients, task.prevalence, task.area, task.difference)
    lines = tried(setting, task.n_replicates, task.seed)
    return task, coverage(lines), verdict_rates(lines)


def tasks(n_replicates: int, seed: int) -> Iterator[Task]:
    """Yield every setting: sizes by prevalences by AUCs without a difference, and differences at AUC 0.8."""
    for n in SIZES:
        for prevalence in PREVALENCES:
            for area in AREAS:
                yield Task(n, prevalence, area, 0.0, n_replicates, seed)
            for difference in DIFFERENCES[1:]:
                yield Task(n, prevalence, 0.8, difference, n_replicates, seed)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    replicates: Annotated[int, typer.Option(min=20, help="Simulated studies in each of the 36 settings.")] = 500,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of all random numbers.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every rate, for machines.")] = None,
) -> None:
    """Judge every interval and verdict against known truths (36 settings; some minutes)."""
    console = Console()
    results = []
    context = multiprocessing.get_context("spawn")
    todo = list(tasks(replicates, seed))
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        for number, result in enumerate(pool.map(carried_out, todo), start=1):
            results.append(result)
            task = result[0]
            console.print(f"{number}/{len(todo)}: {task.words}", highlight=False)
    covered = pd.concat([frame.assign(**asdict(task)) for task, frame, _ in results], ignore_index=True)
    verdicts = pd.DataFrame([asdict(task) | rates for task, _, rates in results])
    console.print(coverage_table(covered), verdict_table(verdicts))
    if json_file is not None:
        facts = {"coverage": covered.to_dict("records"), "verdicts": verdicts.to_dict("records")}
        json_file.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def coverage_table(covered: pd.DataFrame) -> Table:
    """Return coverage by method and size: the range over prevalences and AUCs without a true difference."""
    null = covered[covered["difference"] == 0]
    title = "Coverage of 95 % intervals, % (least to greatest over prevalence and AUC)"
    table = Table("quantity", "estimand", "method", *(f"n = {n}" for n in SIZES), "width at 150", title=title)
    for (quantity, estimand, method), rows in null.groupby(["quantity", "estimand", "method"], sort=False):
        cells = [_range(rows.loc[rows["n_patients"] == n, "coverage"]) for n in SIZES]
        width = rows.loc[rows["n_patients"] == 150, "width"].mean()
        table.add_row(str(quantity), str(estimand), str(method), *cells, f"{width:.3f}")
    return table


def verdict_table(verdicts: pd.DataFrame) -> Table:
    """Return how often each verdict fires, by size and true difference at AUC 0.8."""
    names = ("better", "worse", "equivalent", "non-inferior", "inconclusive", "naive paired t")
    table = Table("n", "prevalence", "true difference", *names, title="Verdicts at AUC 0.8, % of studies (δ = 0.02)")
    for row in (
        verdicts[verdicts["area"] == 0.8].sort_values(["n_patients", "prevalence", "difference"]).to_dict("records")
    ):
        shares = (f"{100 * row[name]:.1f}" for name in names)
        table.add_row(str(row["n_patients"]), f"{row['prevalence']:g}", f"{row['difference']:g}", *shares)
    return table


def _range(values: pd.Series) -> str:
    low, high = f"{100 * values.min():.1f}", f"{100 * values.max():.1f}"
    return low if low == high else f"{low} to {high}"


if __name__ == "__main__":
    app()
