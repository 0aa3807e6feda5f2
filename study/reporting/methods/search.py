"""Methods: how hyper-parameters were searched, and what that means for the numbers."""

from study.design.study_file import Search, Tuned
from study.records.stored_study import StoredStudy
from study.reporting.facts.search_facts import declared_space, hole_text, is_flat, keys_of
from study.reporting.facts.sentences import fill, paragraph
from study.text.format import count, listed, span

PRUNED = {
    "median": (
        "A trial was given up once its value fell below the median of the finished trials at the same epoch"
        " [@golovin2017]."
    ),
    "halving": "Trials were given up by asynchronous successive halving over epochs [@li2020].",
    "none": "No trial was given up before its end.",
}
OPTIMISTIC = "hyper-parameters were chosen on"
"""Words of the notice on a study whose patients had a part in the choice of its settings."""


def search(study: StoredStudy) -> str:
    """The search of a study that made one, or that took its settings from an earlier one; '' for fixed settings."""
    if study.settings.search is None:
        return ""
    made = _flat(study, study.settings.search) if is_flat(study) else _nested(study, study.settings.search)
    before = (
        _tuning(study, study.settings.tuned, "The reference configuration was")
        if study.settings.tuned is not None
        else ""
    )
    return paragraph("Hyper-parameter search", *made, before)


def earlier_choice(study: StoredStudy) -> str:
    """Say in the paragraph on training whether settings were searched, and where."""
    if study.settings.search is not None:
        keys = listed([f"`{key}`" for key in keys_of(study)])
        chosen = study.searched.chosen if study.searched is not None else ()
        if is_flat(study) and {one.arm for one in chosen} >= set(study.settings.arms):
            return f"Values of {keys} given here and above are those that the search chose (see below)."
        return (
            f"Searched {'was' if len(keys_of(study)) == 1 else 'were'} {keys} (see below); their values given here and"
            " above are those of the reference configuration, the first trial of every search."
        )
    if study.settings.tuned is not None:
        return _tuning(study, study.settings.tuned, "Hyper-parameters were")
    return "No hyperparameter was searched in this run. " + fill(
        "how settings were chosen; if on these data, performance is optimistic [@varma2006]."
    )


def _nested(study: StoredStudy, s: Search) -> list[str]:
    holdout = study.folds.holdout
    where = "the training part" if holdout else "the training part of every outer fold"
    whole = (
        "The same search on the whole cohort gave settings for new data; no performance given here is about these."
        if s.whole
        else ""
    )
    seeds = " The search used one training seed." if study.settings.protocol.seeds > 1 else ""
    return [
        (
            f"Inside {where}, and for each arm alone, hyper-parameters were searched with Optuna [@akiba2019]."
            f" {_sampler(s)}"
        ),
        _space(study),
        (
            f"A trial was trained in each of {s.inner_folds} inner folds of the training part, divided by patient and"
            " stratified likewise; its value was the mean over them of the validation ROC-AUC at the"
            f" {study.settings.unit} level, at the best epoch of each inner fit.{seeds}"
        ),
        PRUNED[s.pruner],
        _selection(s),
        (
            "It was refitted on the whole training part, for the median of its inner best epochs and without early"
            " stopping."
        ),
        (
            f"The test part{'' if holdout else ' of a fold'} took no part in this and was predicted once, by the refit,"
            " so that performance is that of the whole procedure, search included (nested cross-validation"
            " [@varma2006; @cawley2010])."
        ),
        whole,
        _description(),
    ]


def _flat(study: StoredStudy, s: Search) -> list[str]:
    n = count(study.folds.n_folds * study.settings.protocol.repeats, "split")
    single = study.folds.holdout and study.settings.protocol.repeats == 1
    why = (
        "The test part took no part in this."
        if single
        else (
            "Validation patients of one fold are test patients of others, so that the choice knew patients it was then"
            " tested on: performance is optimistic [@varma2006; @cawley2010], by an amount that only a nested search"
            " would show."
        )
    )
    return [
        f"Once for each arm, hyper-parameters were searched with Optuna [@akiba2019]. {_sampler(s)}",
        _space(study),
        (
            f"A trial was trained in the study's own {n}; its value was the mean over their validation parts of the"
            f" ROC-AUC at the {study.settings.unit} level, at the best epoch of each fit."
        ),
        PRUNED[s.pruner],
        _selection(s),
        "The arm was then trained with it, as described above, and tested in the same splits.",
        why,
        _description(),
    ]


def _sampler(s: Search) -> str:
    return (
        f"Every search had {count(s.trials, 'trial')}, the same for all arms: first the reference configuration, then"
        " draws of a tree-structured Parzen estimator [@bergstra2011] (multivariate, the first ones at random, with a"
        " constant liar for trials that run together)."
    )


def _space(study: StoredStudy) -> str:
    space = declared_space(study)
    searched = keys_of(study)
    texts = [hole_text(hole) for key, hole in space.items() if key in searched or not searched]
    if not texts:
        return fill("what was searched.")
    which = (
        "; of an arm those that it does not set itself and that change what it trains"
        if len(study.settings.arms) > 1
        else ""
    )
    return f"Searched {'was' if len(texts) == 1 else 'were'} {listed(texts)}{which}."


def _selection(s: Search) -> str:
    if s.select == "one-se":
        return (
            "Chosen was the trial with the fewest trainable parameters among those within one standard error of the"
            " greatest mean."
        )
    return "Chosen was the complete trial with the greatest mean, of equal ones that with fewer trainable parameters."


def _description() -> str:
    return (
        "Importances of hyper-parameters are shares of the variance of complete trials (functional ANOVA"
        " [@hutter2014]); the expected best value of fewer trials was computed as by Dodge et al. [@dodge2019]."
    )


def _tuning(study: StoredStudy, tuned: Tuned, what: str) -> str:
    """Say on which cohort settings were searched, and whether its patients are tested here."""
    origin = (
        f"{what} fixed before this run by a search on the cohort {tuned.cohort}"
        f" ({count(len(tuned.patients), 'patient')}; study {tuned.study})."
    )
    if OPTIMISTIC in study.cohort.notice and not is_flat(study):
        of = study.cohort.notice.partition(OPTIMISTIC)[2].partition(";")[0].strip()
        of = of.removesuffix(", by their ids")
        who = (
            "Patients of this study"
            if of == "these patients"
            else f"{of[0].upper()}{of[1:]} of this study"
            if of
            else "Patients of this study"
        )
        return f"{origin} {who} had a part in that search, so that performance is optimistic [@varma2006; @cawley2010]."
    if tuned.cohort == study.cohort.name:
        return f"{origin} No patient of this study had a part in that search."
    return f"{origin} {fill('whether patients of this study are in that cohort too.')}"


def refit_epochs(study: StoredStudy) -> str:
    """Return how many epochs refits were trained for, as far as winners are known: `5 to 12 epochs`."""
    chosen = study.searched.chosen if study.searched is not None else ()
    epochs = [one.epochs for one in chosen if one.epochs is not None and one.fold >= 0]
    if not epochs:
        return ""
    return f"{span(min(epochs), max(epochs))} {'epoch' if max(epochs) == 1 else 'epochs'}"
