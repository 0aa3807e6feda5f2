"""The analysis plan as a document, made of the study as it is planned; no result is looked at."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import tomli_w

import mmbc
from study.evaluation.evaluation import METRICS
from study.evaluation.groups import SMALLEST_CELL, threshold_range
from study.evaluation.planned_analysis import changes, planned_facts
from study.records.analysis_plan import UNSEALED, AnalysisPlan, PlanFacts, day, now, parse_plan, sealed
from study.records.stored_study import StoredStudy
from study.reporting.facts.arm_names import contrast_name, display_name
from study.reporting.facts.counts import n_positive
from study.reporting.facts.prose import render
from study.reporting.facts.search_facts import declared_space, hole_text
from study.reporting.facts.sentences import has_baseline
from study.reporting.methods.data import LEFT_OUT
from study.stats.comparison import ALPHA, SEEDS_NEEDED
from study.stats.planner import PlanResult
from study.text.format import NAMES, number, percentage, two_digits
from study.text.image_name import worded

MARK = re.compile(r"\u241f([\w-]+)\u241f")
"""Stands for a place of the authors while lines are joined, which their texts are not."""
MANY = "more than ten million patients"


def make_plan(
    study: StoredStudy,
    *,
    tested: tuple[str, ...],
    expected: PlanResult | str,
    command: str,
    before: AnalysisPlan | None = None,
) -> AnalysisPlan:
    """Return the analysis plan of a study, locked now.

    Args:
        study: as planned, without any record.
        tested: studies of the same cohort that have tested models.
        expected: the precision that the cohort at hand allows, or why it cannot be estimated.
        command: that trains the study and follows the plan.
        before: an earlier version, whose authors' texts are kept.
    """
    former = {} if before is None else {"written": before.facts.written, "sha256": before.digest}
    earlier = () if before is None else (*before.facts.earlier, former)
    facts = PlanFacts(
        written=now(),
        mmbc=mmbc.__version__,
        study=study.name,
        tested=tested,
        **planned_facts(study.settings, study.cohort, study.cohort_digest, study.folds),
        earlier=earlier,
    )
    texts = _document(study, facts, expected, command, before.answers if before is not None else {})
    block = tomli_w.dumps(facts.plain())
    return parse_plan(sealed(f"{texts}\n\n```toml\n{block}```\n"), "the plan")


def _document(
    study: StoredStudy, facts: PlanFacts, expected: PlanResult | str, command: str, answers: Mapping[str, str]
) -> str:
    """Return everything but the block for programs."""
    prompts: dict[str, str] = {}

    def place(key: str, what: str) -> str:
        prompts[key] = what
        return f"\u241f{key}\u241f"

    def filled(mark: re.Match[str]) -> str:
        key = mark[1]
        return f"<!-- authors: {key} -->{answers.get(key) or f'[authors: {prompts[key]}]'}<!-- end -->"

    time = datetime.fromisoformat(facts.written)
    text = render(
        "analysis_plan",
        study=facts.study,
        notice=study.cohort.notice,
        date=day(facts.written),
        time=f"{time:%H:%M}",
        version=facts.mmbc,
        tested=list(facts.tested),
        own=facts.study in facts.tested,
        unsealed=UNSEALED,
        earlier=[f"{day(one['written'])} (SHA-256 {one['sha256'][:16]}…)" for one in facts.earlier],
        authors=place,
        command="\u241fcommand\u241f",
        expected=None if isinstance(expected, str) else _expected(expected),
        not_expected=expected if isinstance(expected, str) else "",
        **_patients(study),
        **_models(study),
        **_splits(study),
        **_analysis(study),
    )
    text = text.replace("```bash \u241fcommand\u241f ```", f"```bash\n{command}\n```")
    return MARK.sub(filled, text)


def _patients(study: StoredStudy) -> dict[str, Any]:
    cohort, images = study.cohort, study.cohort.images
    totals = cohort.flow.groupby("step", sort=False)["n_images"].sum()
    by_label = [images.loc[images["label"] == label, "status"].dropna().unique() for label in (1, 0)]
    positive, negative = (sorted(map(str, names)) for names in by_label)
    return {
        "cohort": cohort.name,
        "n_images": len(images),
        "n_patients": cohort.n_patients,
        "n_positive": n_positive(images),
        "share": n_positive(images) / cohort.n_patients,
        "cohort_digest": study.cohort_digest,
        "n_listed": int(totals.get("listed", 0)),
        "lost": [f"{int(totals[step])} {why}" for step, why in LEFT_OUT.items() if totals.get(step, 0)],
        "positive": positive,
        "negative": negative,
        "named": bool(positive and negative) and not set(positive) & set(negative),
        "unit": study.settings.unit,
    }


def _models(study: StoredStudy) -> dict[str, Any]:
    settings, name = study.settings, study.cohort.name
    models = [
        f"**{display_name(study, arm)}** (`{arm}`; {changes(declared.set)}):"
        f" {worded(declared.question, name, settings.data.image_name)}"
        for arm, declared in settings.arms.items()
    ]
    columns = [str(feature) for feature in study.cohort.features]
    if has_baseline(study):
        models.append(f"**Logistic regression** on the clinical columns ({', '.join(columns)}): the baseline.")
    search = settings.search
    return {
        "models": models,
        "search": search.model_dump() if search is not None else None,
        "space": [hole_text(hole) for hole in declared_space(study).values()],
    }


def _splits(study: StoredStudy) -> dict[str, Any]:
    protocol, folds = study.settings.protocol, study.folds
    return {
        "test_where": protocol.test_where,
        "fold_column": protocol.fold_column,
        "holdout": folds.holdout,
        "n_folds": folds.n_folds,
        "repeats": protocol.repeats,
        "seeds": protocol.seeds,
        "validated": not folds.nested,
        "validation": f"{100 * protocol.validation:g}",
        "folds_digest": folds.digest(protocol.repeats),
    }


def _analysis(study: StoredStudy) -> dict[str, Any]:
    protocol = study.settings.protocol
    ends = threshold_range(protocol.prevalence, protocol.thresholds) if protocol.prevalence is not None else (0.0, 0.0)
    known = {*study.settings.arms, "logistic"} - (set() if has_baseline(study) else {"logistic"})
    pairs = [pair for pair in protocol.contrasts if set(pair) <= known]
    return {
        "measures": [NAMES.get(metric, metric) for metric in METRICS if metric != "roc_auc"],
        "prevalence": percentage(protocol.prevalence) if protocol.prevalence is not None else "",
        "low": percentage(ends[0]),
        "high": percentage(ends[1]),
        "contrasts": [f"{contrast_name(study, first, second)}: `{first}` minus `{second}`" for first, second in pairs],
        "delta": f"{protocol.delta:g}",
        "alpha": f"{ALPHA:g}",
        "seeds_needed": SEEDS_NEEDED,
        "subgroups": list(protocol.subgroups),
        "smallest": SMALLEST_CELL,
    }


def _expected(result: PlanResult) -> dict[str, str]:
    """Return the precision to expect, in words."""
    inputs, needed, chance = result.inputs, result.patients_equivalence.n_patients, result.equivalence_chance
    return {
        "auc": f"{inputs.auc:g}",
        "correlation": f"{inputs.correlation:g}",
        "power": f"{100 * inputs.power:.0f} %",
        "low": number("roc_auc", result.e1_patient.low),
        "high": number("roc_auc", result.e1_patient.high),
        "fitted": number("roc_auc", result.detectable_e1) if inputs.auc + result.detectable_e1 < 1 else "",
        "again": number("roc_auc", result.detectable_e2) if inputs.auc + result.detectable_e2 < 1 else "",
        "chance": "below 1 %" if chance < 0.01 else "above 99 %" if chance > 0.99 else f"{100 * chance:.0f} %",
        "needed": MANY if needed is None else f"about {two_digits(needed)} patients",
    }
