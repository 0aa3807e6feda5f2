"""Answers to checklist items about data, participants and their division."""

from study.reporting.checklists.facts import (
    AUTHOR,
    COHORT,
    METHODS,
    PARTLY,
    PROVENANCE,
    REPORTED,
    Answer,
    ChecklistFacts,
)
from study.reporting.facts.bibliography import dataset
from study.reporting.facts.counts import n_positive
from study.reporting.methods import data
from study.reporting.methods.data import PHANTOM
from study.text.format import count, listed


def source(f: ChecklistFacts) -> Answer:
    """Source of the data."""
    if f.imported:
        return AUTHOR
    if f.study.cohort.name == PHANTOM:
        return Answer(REPORTED, (*COHORT, *METHODS), "synthetic phantom")
    if not dataset(f.study.cohort.name):
        return AUTHOR
    return Answer(
        PARTLY, (*METHODS, *COHORT), "public data set, cited; rationale and representativeness are the authors' to add"
    )


def excluded(f: ChecklistFacts) -> Answer:
    """Listed rows that are not used; eligibility before that is not known."""
    where = ("table flow", "figure flow", *COHORT)
    return Answer(
        PARTLY,
        where,
        "exclusions from the listed images with counts; who was eligible to be listed is the authors' to add",
    )


def flow(f: ChecklistFacts) -> Answer:
    """The flow of participants."""
    where = ("figure flow", "table flow", *COHORT)
    if f.imported:
        return Answer(PARTLY, where, "from the predictions on; the flow before is the authors' to add")
    return Answer(REPORTED, where, size(f))


def size(f: ChecklistFacts) -> str:
    """Patients and positive ones."""
    return f"{count(f.study.cohort.n_patients, 'patient')}, {n_positive(f.study.cohort.images)} positive"


def preparation(f: ChecklistFacts) -> Answer:
    """Processing of images and columns."""
    if not (f.images or f.clinical):
        return AUTHOR
    return Answer(
        PARTLY,
        METHODS,
        "the same processing for every patient; what was done before the data were read is the authors' to add",
    )


def outcome(f: ChecklistFacts) -> Answer:
    """Labels that are positive."""
    labels = listed([str(label) for label in f.study.cohort.positive])
    return Answer(PARTLY, COHORT, f"positive is {labels}; how and when it was assessed is the authors' to add")


def predictors(f: ChecklistFacts) -> Answer:
    """Inputs of the predictions."""
    used = ["images"] * f.images + [str(feature) for feature in f.study.cohort.features] * f.clinical
    if not used:
        return AUTHOR
    return Answer(
        PARTLY,
        (*METHODS, "table table_1"),
        f"{listed(used)}; why these and how they were measured is the authors' to add",
    )


def sample_size(f: ChecklistFacts) -> Answer:
    """Size of the study."""
    return Answer(PARTLY, (*COHORT, "table folds", "table flow"), f"{size(f)}; why this size is the authors' to add")


def missing(f: ChecklistFacts) -> Answer:
    """Missing values and how they were handled."""
    if not f.clinical:
        return Answer(
            PARTLY, ("table flow", *METHODS), "no clinical column is a predictor; images that are not used are counted"
        )
    n = int(f.study.cohort.images[[feature.name for feature in f.study.cohort.features]].isna().any(axis=1).sum())
    how = (
        f"{count(n, 'image')} with a missing clinical value, handled as the methods say"
        if n
        else "no clinical value is missing"
    )
    return Answer(REPORTED, (*METHODS, "table table_1"), how)


def partition(f: ChecklistFacts) -> Answer:
    """Division of the patients."""
    where = ("table folds", *METHODS)
    if f.imported or f.study.folds.own:
        return Answer(PARTLY, where, "parts as given; how patients were assigned to them is the authors' to add")
    p = f.study.settings.protocol
    by = p.fold_column or p.test_where
    return Answer(REPORTED, where, f"test parts by {by}" if by else "random, stratified, by patient")


def disjoint(f: ChecklistFacts) -> Answer:
    """At which level parts are disjoint; of given predictions only what their test parts show."""
    where = (*METHODS, "table folds")
    if not f.imported:
        return Answer(REPORTED, where, "patients")
    fact = "no patient is in two test parts of a repeat; what the models were trained on is the authors' to add"
    return Answer(PARTLY, where, fact) if data.disjoint(f.study) else AUTHOR


def differences(f: ChecklistFacts) -> Answer:
    """Differences between the data for evaluation and those for development."""
    p = f.study.settings.protocol
    by = p.fold_column or p.test_where
    if by:
        return Answer(
            PARTLY, ("table folds", *METHODS), f"test parts by {by}; in what else they differ is the authors' to add"
        )
    if f.study.folds.own:
        return AUTHOR
    return Answer(REPORTED, METHODS, "the same cohort, divided at random")


def characteristics(f: ChecklistFacts) -> Answer:
    """Table 1."""
    return Answer(
        PARTLY,
        ("table table_1", *COHORT),
        "by class, with missing counts; dates and treatments are the authors' to add",
    )


def demographics(f: ChecklistFacts) -> Answer:
    """Demographics of each partition."""
    return Answer(PARTLY, ("table table_1", "table folds"), "characteristics by class, counts by partition")


def compared_parts(f: ChecklistFacts) -> Answer:
    """Development against evaluation data."""
    if f.imported:
        return Answer(PARTLY, ("table folds",), "test parts alone are known")
    crossed = not f.study.folds.holdout
    fact = (
        "each patient is tested once a repeat and used for development otherwise"
        if crossed
        else "sizes and positives of the parts"
    )
    return Answer(PARTLY, ("table folds",), f"{fact}; predictors by part are the authors' to add")


def parts(f: ChecklistFacts) -> Answer:
    """Participants and events in each analysis."""
    if f.imported:
        return Answer(PARTLY, ("table folds",), "test parts alone are known")
    counts = f.study.folds.table(f.study.cohort.images)
    tests = counts[counts["part"] == "test"]
    fact = f"test parts of at least {tests['n_patients'].min()} patients and {tests['n_positive'].min()} positive ones"
    return Answer(REPORTED, ("table folds",), fact)


def data_sharing(f: ChecklistFacts) -> Answer:
    """Availability of the data."""
    if f.imported:
        return AUTHOR
    if f.study.cohort.name == PHANTOM:
        return Answer(REPORTED, (*PROVENANCE, *METHODS), "synthetic; the program makes it again")
    return Answer(PARTLY, METHODS, "public data set, cited") if dataset(f.study.cohort.name) else AUTHOR
