"""Methods: how hyper-parameters were searched, and what that means for the numbers."""

from study.design.study_file import Tuned
from study.records.stored_study import StoredStudy
from study.reporting.facts.prose import paragraphs, render
from study.reporting.facts.search_facts import declared_space, hole_text, is_flat, keys_of
from study.text.format import span

OPTIMISTIC = "hyper-parameters were chosen on"
"""Words of the notice on a study whose patients had a part in the choice of its settings."""


def search(study: StoredStudy) -> list[str]:
    """Return the paragraph on the search of a study that made one; none for fixed settings."""
    s, tuned = study.settings.search, study.settings.tuned
    if s is None:
        return []
    protocol, searched = study.settings.protocol, keys_of(study)
    return paragraphs(
        "methods_search",
        flat=is_flat(study),
        holdout=study.folds.holdout,
        single=study.folds.holdout and protocol.repeats == 1,
        n_trials=s.trials,
        space=[hole_text(hole) for key, hole in declared_space(study).items() if key in searched or not searched],
        several=len(study.settings.arms) > 1,
        n_splits=study.folds.n_folds * protocol.repeats,
        unit=study.settings.unit,
        inner_folds=s.inner_folds,
        seeds=protocol.seeds,
        pruner=s.pruner,
        select=s.select,
        whole=s.whole,
        before=_tuning(study, tuned, "The reference configuration was") if tuned is not None else "",
    )


def earlier_choice(study: StoredStudy) -> str:
    """Say in the paragraph on training whether settings were searched, and where."""
    if study.settings.search is not None:
        chosen = study.searched.chosen if study.searched is not None else ()
        return render(
            "methods_choice",
            about="search",
            chosen=is_flat(study) and {one.arm for one in chosen} >= set(study.settings.arms),
            keys=[f"`{key}`" for key in keys_of(study)],
        )
    if study.settings.tuned is not None:
        return _tuning(study, study.settings.tuned, "Hyper-parameters were")
    return render("methods_choice", about="")


def _tuning(study: StoredStudy, tuned: Tuned, what: str) -> str:
    """Say on which cohort settings were searched, and whether its patients are tested here."""
    known = ""
    if OPTIMISTIC in study.cohort.notice and not is_flat(study):
        of = study.cohort.notice.partition(OPTIMISTIC)[2].partition(";")[0].strip().removesuffix(", by their ids")
        known = of if of not in ("", "these patients") else "patients"
    return render(
        "methods_choice",
        about="tuned",
        what=what,
        cohort=tuned.cohort,
        n_patients=len(tuned.patients),
        study=tuned.study,
        known=known,
        same_cohort=tuned.cohort == study.cohort.name,
    )


def refit_epochs(study: StoredStudy) -> str:
    """Return how many epochs refits were trained for, as far as winners are known: `5 to 12 epochs`."""
    chosen = study.searched.chosen if study.searched is not None else ()
    epochs = [one.epochs for one in chosen if one.epochs is not None and one.fold >= 0]
    if not epochs:
        return ""
    return f"{span(min(epochs), max(epochs))} {'epoch' if max(epochs) == 1 else 'epochs'}"
