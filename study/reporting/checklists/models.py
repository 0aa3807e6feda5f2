"""Answers to checklist items about models, their evaluation and its results."""

from study.reporting.checklists.facts import (
    AUTHOR,
    METHODS,
    NOT_APPLICABLE,
    PARTLY,
    PROVENANCE,
    REPORTED,
    SEARCH,
    Answer,
    ChecklistFacts,
)
from study.reporting.facts.search_facts import is_flat, is_nested
from study.reporting.facts.sentences import configs
from study.reporting.methods.analysis import has_validation
from study.reporting.text.search_results import chosen_on
from study.text.format import count, listed


def handled(f: ChecklistFacts) -> Answer:
    """Transformation of the predictors."""
    return Answer(REPORTED, (*METHODS, "table settings")) if f.images or f.clinical else AUTHOR


def building(f: ChecklistFacts) -> Answer:
    """Model, building steps, tuning."""
    if f.study.settings.search is not None:
        how = (
            "by a search inside every training part"
            if is_nested(f.study)
            else "by a search on the validation parts of the same folds"
        )
        where = (*METHODS, "table settings", "table search_chosen", SEARCH)
        return Answer(PARTLY, where, f"hyper-parameters {how}; why this space is the authors' to add")
    if f.study.settings.tuned is not None:
        cohort = f.study.settings.tuned.cohort
        return Answer(
            PARTLY,
            (*METHODS, "table settings"),
            f"hyper-parameters fixed by an earlier search on {cohort}; the rest is the authors' to add",
        )
    fact = "no hyperparameter was searched in this run; why these settings is the authors' to add"
    return Answer(PARTLY, (*METHODS, "table settings"), fact)


def clusters(f: ChecklistFacts) -> Answer:
    """Heterogeneity across sites."""
    if f.one_site:
        return Answer(NOT_APPLICABLE, fact="the cohort has one site")
    where: tuple[str, ...] = ("table main", "table auc_by_class") if f.within_sites else ()
    if "site" in f.groups:
        where += ("table subgroups", "figure subgroups", "supplement.md, Subgroups")
    n_sites = f.study.cohort.images["site"].nunique()
    return Answer(REPORTED, where, count(n_sites, "site")) if where and n_sites > 1 else AUTHOR


def measures(f: ChecklistFacts) -> Answer:
    """Performance measures, plots and comparison."""
    if f.study.settings.protocol.prevalence is None:
        return Answer(PARTLY, METHODS, "clinical utility is not assessed, as no prevalence was declared")
    return Answer(REPORTED, METHODS)


def metrics(f: ChecklistFacts) -> Answer:
    """The performance measures alone."""
    return Answer(REPORTED, METHODS)


def updating(f: ChecklistFacts) -> Answer:
    """Model updating."""
    return Answer(NOT_APPLICABLE, fact="no model was changed after its evaluation")


def predictions(f: ChecklistFacts) -> Answer:
    """Calculation of the predictions."""
    if f.imported:
        return Answer(
            PARTLY, METHODS, "pooling of the given predictions; how these were calculated is the authors' to add"
        )
    return Answer(REPORTED, METHODS)


def imbalance(f: ChecklistFacts) -> Answer:
    """Class weighting."""
    weighted = [arm for arm, config in configs(f.study).items() if config.train.class_weighting == "balanced"]
    fact = (
        f"balanced class weights in {listed(weighted)}, then Platt scaling"
        if weighted
        else "no class weighting or resampling"
    )
    return Answer(REPORTED, (*METHODS, "table settings"), fact)


def fairness(f: ChecklistFacts) -> Answer:
    """Approaches to fairness: what is shown."""
    if not f.groups:
        return AUTHOR
    where = ("table subgroups", "figure subgroups", "supplement.md, Subgroups", "report.md, Subgroups")
    if f.imported:
        return Answer(PARTLY, where, f"AUC by {listed(list(f.groups))}; approaches in training are the authors' to add")
    return Answer(PARTLY, where, f"no fairness method was applied; AUC by {listed(list(f.groups))}")


def output(f: ChecklistFacts) -> Answer:
    """Output of a model, and the classes made of it."""
    if not has_validation(f.study):
        return Answer(PARTLY, METHODS, "probabilities as given, classes at 0.5; the rationale is the authors' to add")
    fact = (
        "calibrated probability; thresholds for 90 % specificity and 90 % sensitivity; their rationale is the authors'"
        " to add"
    )
    return Answer(PARTLY, (*METHODS, "table operating_points"), fact)


def code_sharing(f: ChecklistFacts) -> Answer:
    """Availability of the code."""
    version = f"mmbc {f.study.environment.mmbc}".strip()
    if f.imported:
        return Answer(PARTLY, PROVENANCE, f"{version} for the evaluation; code of the models is the authors' to add")
    return Answer(PARTLY, PROVENANCE, f"{version}; where the code is to be had is the authors' to add")


def specification(f: ChecklistFacts) -> Answer:
    """The full model."""
    fact = "every fitted model is in the study's folder with its record; access is the authors' to add"
    return Answer(PARTLY, (*PROVENANCE, "table settings"), fact)


def performance(f: ChecklistFacts) -> Answer:
    """Performance with intervals."""
    where = (
        "report.md, Performance",
        "table main",
        "figure main",
        "figure roc_pr",
        "table comparisons",
        "table subgroups",
    )
    if not f.groups:
        return Answer(PARTLY, where, "no subgroup is large enough or known")
    return Answer(REPORTED, where, f"subgroups by {listed(list(f.groups))}")


def overall(f: ChecklistFacts) -> Answer:
    """Performance with intervals, whatever the subgroups."""
    return Answer(REPORTED, ("report.md, Performance", "table main", "figure main", "table comparisons"))


def diagnostic(f: ChecklistFacts) -> Answer:
    """Sensitivity, specificity and their like."""
    return Answer(REPORTED, ("table operating_points", "supplement.md, Operating points", "table main"))


def errors(f: ChecklistFacts) -> Answer:
    """Cases that are predicted wrongly."""
    return Answer(PARTLY, ("supplement.md, Errors",), "where predictions are wrong; why is the authors' to add")


def limitations(f: ChecklistFacts) -> Answer:
    """A draft of the limitations."""
    return Answer(PARTLY, ("report.md, Limitations", "supplement.md, Limitations"), "a draft from the record")


def network(f: ChecklistFacts) -> Answer:
    """The model in detail."""
    return Answer(REPORTED, (*METHODS, "table settings"))


def software(f: ChecklistFacts) -> Answer:
    """Software and versions."""
    if f.imported:
        return Answer(PARTLY, (*METHODS, *PROVENANCE), "of the evaluation; that of the models is the authors' to add")
    return Answer(REPORTED, (*PROVENANCE, *METHODS))


def initialisation(f: ChecklistFacts) -> Answer:
    """Initial weights."""
    image_arms = configs(f.study, lambda config: config.uses_images)
    if any(config.model.weights.startswith("file:") for config in image_arms.values()):
        return Answer(PARTLY, METHODS, "weights from a file; what they were trained on is the authors' to add")
    return Answer(REPORTED, METHODS, "" if image_arms else "random initialisation")


def selection(f: ChecklistFacts) -> Answer:
    """Epoch whose weights are kept."""
    if is_nested(f.study):
        fact = (
            "the configuration with the best validation rows of inner folds, refitted for the median of its inner best"
            " epochs, never by test rows"
        )
        return Answer(REPORTED, (*METHODS, "table search_chosen", SEARCH), fact)
    kept = {config.train.keep for config in configs(f.study).values()}
    how = {"best": "the epoch that is best on validation rows", "last": "the last epoch"}
    epoch = " or ".join(how[keep] for keep in sorted(kept))
    if is_flat(f.study):
        single = f.study.folds.holdout and f.study.settings.protocol.repeats == 1
        whose = "" if single else " of the same folds, whose patients other folds test (optimistic)"
        fact = f"a search on the validation part{'' if single else 's'}{whose}; in each fold {epoch}"
        return Answer(REPORTED, (*METHODS, "table search_chosen", SEARCH), fact)
    return Answer(REPORTED, METHODS, epoch + ", never by test rows")


def ensembling(f: ChecklistFacts) -> Answer:
    """Whether models are averaged."""
    return Answer(NOT_APPLICABLE, fact="every fold's model is evaluated by itself")


def uncertainty(f: ChecklistFacts) -> Answer:
    """Intervals and what they are about."""
    return Answer(REPORTED, METHODS, "over patients and, with more than one fold, over training again")


def robustness(f: ChecklistFacts) -> Answer:
    """Repeats, seeds, subgroups."""
    p = f.study.settings.protocol
    varied = [count(n, what) for n, what in ((p.repeats, "repeat"), (p.seeds, "training seed")) if n > 1]
    varied += [f"subgroups by {listed(list(f.groups))}"] if f.groups else []
    where = (
        "supplement.md, Differences between models",
        "supplement.md, Subgroups",
        "table subgroups",
        "figure contrasts",
    )
    return Answer(PARTLY, where, listed(varied)) if varied else AUTHOR


def internal(f: ChecklistFacts) -> Answer:
    """Internal testing."""
    where = ("report.md, Performance", "table main", *METHODS)
    if f.imported:
        return Answer(
            PARTLY, where, "test parts as given; that training never saw their patients is the authors' to confirm"
        )
    if is_nested(f.study):
        return Answer(REPORTED, (*where, "table search_nested"), "on patients that neither the search nor training saw")
    chosen = "; hyper-parameters were chosen on patients of this cohort (optimistic)" if chosen_on(f.study) else ""
    return Answer(REPORTED, where, f"on patients that training never saw{chosen}")


def external(f: ChecklistFacts) -> Answer:
    """External testing: known where a part of the cohort was set aside by a property."""
    p = f.study.settings.protocol
    by = p.fold_column or p.test_where
    if not by:
        return AUTHOR
    return Answer(
        PARTLY, ("table folds", "table main"), f"test parts by {by}; whether that is external is the authors' to say"
    )
