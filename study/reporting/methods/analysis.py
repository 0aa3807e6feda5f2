"""Methods: what was done with the predictions, whoever made them."""

from typing import Any

from study.evaluation.arm_metrics import LEDELL, N_BINS
from study.evaluation.contrasts import declared as possible_contrasts
from study.evaluation.evaluation import Evaluation
from study.evaluation.groups import SMALLEST_CELL
from study.records.added_predictions import UNVERIFIED
from study.records.stored_study import StoredStudy
from study.reporting.facts.arm_names import contrast_name
from study.reporting.facts.prose import paragraphs
from study.reporting.facts.search_facts import is_nested
from study.stats.comparison import ALPHA, POWER, SEEDS_NEEDED

N_PERMUTATIONS = 10_000
"""Exchanges of the permutation test; a test compares it with the default of `study.stats.comparison.compare`."""


def has_validation(study: StoredStudy) -> bool:
    """Whether there are validation rows to calibrate and choose thresholds on."""
    return not study.imported or bool((study.predictions["part"] == "validation").any())


def analysis(study: StoredStudy, evaluation: Evaluation) -> list[str]:
    """Return the paragraphs on scores, measures, contrasts, subgroups, utility and the description of the cohort."""
    p, intervals = study.settings.protocol, evaluation.intervals
    return paragraphs(
        "methods_analysis",
        imported=study.imported,
        unit=study.settings.unit,
        nested=is_nested(study),
        validated=has_validation(study),
        n_folds=study.folds.n_folds,
        repeats=p.repeats,
        seeds=p.seeds,
        runs=p.repeats * p.seeds,
        ledell=len(intervals) > 0 and bool((intervals["method"] == LEDELL).any()),
        n_bins=N_BINS,
        n_replicates=evaluation.n_replicates,
        prevalence=None if p.prevalence is None else f"{100 * p.prevalence:.4g}",
        added=list(study.added.arms) if study.added is not None else [],
        unverified=UNVERIFIED,
        **_pooling(study),
        **_contrasts(study),
        **_groups(evaluation),
    )


def _pooling(study: StoredStudy) -> dict[str, Any]:
    """Return how images are pooled to units, as far as the rows have breasts and images."""
    p, images = study.settings.protocol, study.cohort.images
    return {
        "one_image": images["patient_id"].is_unique,
        "pool_views": p.pool_views,
        "pool_parts": p.pool_breasts,
        "part": "case" if images["breast"].isna().all() else "breast",  # rows without a breast are pooled by case
    }


def _contrasts(study: StoredStudy) -> dict[str, Any]:
    """Return the comparison of the models, and the numbers in the rules of the verdicts."""
    return {
        "contrasts": [_contrast(study, *pair) for pair in possible_contrasts(study)],
        "afterwards": study.chosen_contrasts is not None,
        "delta": f"{study.settings.protocol.delta:g}",
        "alpha": f"{ALPHA:g}",
        "power": f"{100 * POWER:.0f} %",
        "seeds_needed": SEEDS_NEEDED,
        "n_permutations": N_PERMUTATIONS,
    }


def _contrast(study: StoredStudy, first: str, second: str) -> str:
    """Return a contrast in words and in the short names of its arms, which files of numbers have."""
    name, pair = contrast_name(study, first, second), f"`{first}` minus `{second}`"
    return pair if " minus " in name else f"{name[0].lower()}{name[1:]} ({pair})"


def _groups(evaluation: Evaluation) -> dict[str, Any]:
    """Return the subgroups, negative classes and sites that were analysed."""
    groups, classes = evaluation.subgroups, evaluation.contrasts_by_class
    metrics = [] if classes.empty else [str(metric) for metric in classes["metric"].unique()]
    analysed = len(groups) > 0 and not groups["suppressed"].all()
    return {
        "groups": [str(name) for name in groups["column"].unique()] if analysed else [],
        "smallest_cell": SMALLEST_CELL,
        "against": [metric.removeprefix("against ") for metric in metrics if metric.startswith("against ")],
        "within_sites": "within sites" in metrics,
    }
