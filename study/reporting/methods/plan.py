"""Methods: the analysis plan, when it was written, and where the analysis departs from it."""

from typing import Any

from study.evaluation.evaluation import Evaluation
from study.evaluation.planned_analysis import deviations, first_tested, written
from study.records.analysis_plan import FILE, day
from study.records.stored_study import StoredStudy
from study.reporting.facts.prose import paragraphs


def plan(study: StoredStudy, evaluation: Evaluation) -> list[str]:
    """Return the paragraph on the analysis plan; none for a study without one."""
    facts = plan_facts(study, evaluation)
    return paragraphs("methods_plan", plan=facts) if facts is not None else []


def plan_facts(study: StoredStudy, evaluation: Evaluation) -> dict[str, Any] | None:
    """Return what templates say of the analysis plan; None without one."""
    if study.plan is None:
        return None
    first, recorded = first_tested(study), study.environment.plan
    return {
        "date": study.plan.date,
        "file": FILE,
        "digest": study.plan.digest[:16],
        "edited": not study.plan.intact or recorded not in (None, study.plan.digest),
        "written": written(study),
        "tested": day(first) if first else "",
        "others": list(study.plan.facts.tested),
        "earlier": len(study.plan.facts.earlier),
        "n_open": study.plan.n_open,
        "deviations": [str(deviation) for deviation in deviations(study, evaluation)],
    }
