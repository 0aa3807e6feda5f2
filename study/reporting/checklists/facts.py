"""The type of an answer to a checklist item, and the facts that answers rest on."""

from collections.abc import Callable
from dataclasses import dataclass

from study.evaluation.evaluation import Evaluation
from study.records.progress import models_finished
from study.records.stored_study import StoredStudy
from study.reporting.facts.prose import FILL
from study.reporting.facts.sentences import configs, has_baseline, uses_table

REPORTED, PARTLY, NOT_APPLICABLE = "reported", "partly", "not applicable"


@dataclass(frozen=True)
class Answer:
    """The answer to an item.

    Attributes:
        status: reported, partly, AUTHOR MUST FILL or not applicable.
        where: places in the pack, named as by `study.reporting.checklists.forms.places`; one of them is enough.
        fact: one clause, without capital and full stop; '' for none.
    """

    status: str
    where: tuple[str, ...] = ()
    fact: str = ""


AUTHOR = Answer(FILL)
METHODS = ("methods.md", "supplement.md, Protocol")
COHORT = ("report.md, Cohort", "supplement.md, Cohort")
PROVENANCE = ("supplement.md, Provenance",)
SEARCH = "supplement.md, Hyper-parameter search"


@dataclass(frozen=True)
class ChecklistFacts:
    """Facts that the answers rest on.

    Attributes:
        study, evaluation: themselves.
        imported: models trained elsewhere; nothing is known of them.
        images, clinical: whether images, and clinical columns, are predictors.
        finished: whether there are results.
        n_absent: cells that are planned and not there.
        one_site: whether every image is of the same known site.
        within_sites: whether AUCs within sites are there.
        groups: columns of the subgroups that are shown.
    """

    study: StoredStudy
    evaluation: Evaluation
    imported: bool
    images: bool
    clinical: bool
    finished: bool
    n_absent: int
    one_site: bool
    within_sites: bool
    groups: tuple[str, ...]


def gather_facts(study: StoredStudy, evaluation: Evaluation) -> ChecklistFacts:
    """Collect what the answers rest on."""
    frame, site = evaluation.subgroups, study.cohort.images["site"]
    shown = frame[~frame["suppressed"].astype(bool)] if len(frame) else frame
    groups = tuple(str(name) for name in shown["column"].unique()) if len(shown) else ()
    classes = evaluation.contrasts_by_class
    within = len(classes) > 0 and bool((classes["metric"] == "within sites").any())
    table = bool(configs(study, uses_table)) or has_baseline(study)
    return ChecklistFacts(
        study,
        evaluation,
        study.imported,
        images=bool(configs(study, lambda config: config.uses_images)),
        clinical=table and bool(study.cohort.features),
        finished=len(evaluation.summary) > 0,
        n_absent=sum(name not in study.records for name in study.planned),
        one_site=bool(site.notna().all()) and site.nunique() == 1,
        within_sites=within,
        groups=groups,
    )


def own(answer: Callable[[ChecklistFacts], Answer]) -> Callable[[ChecklistFacts], Answer]:
    """Leave an item to the authors where the models were trained elsewhere."""
    return lambda f: AUTHOR if f.imported else answer(f)


def of_results(answer: Callable[[ChecklistFacts], Answer]) -> Callable[[ChecklistFacts], Answer]:
    """Leave an item to the authors where nothing is finished; an incomplete study answers it in part."""

    def answered(f: ChecklistFacts) -> Answer:
        full = answer(f) if f.finished else AUTHOR
        if full.status != REPORTED or not f.n_absent:
            return full
        missing = models_finished(f.study.planned, f.study.records)
        return Answer(PARTLY, full.where, "; ".join(filter(None, (full.fact, missing))))

    return answered
