"""The opening of a report: the result in words that stay true when the numbers are bad."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from study.design.study_file import BASELINE
from study.evaluation.evaluation import Evaluation
from study.records.python_call import is_call, with_argument
from study.records.stored_study import StoredStudy
from study.reporting.facts.counts import n_positive
from study.reporting.facts.search_facts import is_nested
from study.reporting.text.added import added_paragraph
from study.reporting.text.search_results import search_clause
from study.stats.comparison import ALPHA, SEEDS_NEEDED, SMALL_GAIN
from study.text.format import count, difference_interval, interval, listed
from study.text.image_name import image_name

TINY = 20
"""With fewer patients in the smaller class a report warns and ranks nothing."""
ESTIMANDS = (
    "E1 intervals are about these fitted models on new patients of this kind, E2 intervals about training again on"
    " another such cohort. A difference is judged by its paired contrast, never by whether two arms' intervals overlap."
)
FUSIONS = {"concat": "concatenation", "attention": "attention"}


def answer(study: StoredStudy, evaluation: Evaluation) -> str:
    """Return what was compared, on whom, and what came out: each declared contrast with its verdict."""
    arms = [] if evaluation.summary.empty else [a for a in evaluation.summary["arm"].unique() if a != BASELINE]
    if not arms:
        return "No arm is finished yet: run the same command again to continue, then this report compares them."
    parts = [setting(study, evaluation, arms), ESTIMANDS]
    if too_small(study):
        parts.insert(0, _too_few(_smaller_class(study)))
    else:
        if study.chosen_contrasts is not None and not study.imported:
            parts.append("The contrasts below were chosen after the run and are exploratory.")
        parts += ["\n".join(_findings(study, evaluation)), missing_for_verdicts(study, evaluation)]
    parts.append(added_paragraph(study, evaluation, compared=not too_small(study)))
    return "\n\n".join(part for part in parts if part)


def setting(study: StoredStudy, evaluation: Evaluation, arms: Sequence[str]) -> str:
    """Return who was tested, how, and the AUC of every arm."""
    images = study.cohort.images
    rows = (
        f"{count(len(images), 'image')} of {count(study.cohort.n_patients, 'patient')}"
        if len(images) > study.cohort.n_patients
        else count(study.cohort.n_patients, "patient")
    )
    text = (
        f"{count(len(arms), 'arm')} {'was evaluated' if len(arms) == 1 else 'were compared'}{_description(study, arms)}"
        f" on a cohort of {rows} ({n_positive(study.cohort.images)} positive), tested {test_design(study)}. At the"
        f" {evaluation.unit} level the ROC-AUC (E1 95 % interval) was {listed(_aucs(evaluation, arms))}."
    )
    text += search_clause(study)
    baseline = _aucs(evaluation, [BASELINE])
    if baseline:
        what = " on the clinical columns alone" if study.cohort.features else ""
        text += f" A logistic regression{what}, the baseline to beat, reached {baseline[0].partition(' ')[2]}"
        text += f".{_over_baseline(evaluation)}"
    return text


def _over_baseline(evaluation: Evaluation) -> str:
    """Return how far arms lie above or below the baseline where no declared contrast says so, marked as exploratory."""
    rows = evaluation.against_baseline
    if rows.empty:
        return ""
    values = [
        f"{r['first']} {difference_interval(r['difference'], r['low'], r['high'])}" for r in rows.to_dict("records")
    ]
    return (
        f" The difference to it was in no declared contrast; exploratory, E1 and not adjusted, it was {listed(values)}."
    )


def _description(study: StoredStudy, arms: Sequence[str]) -> str:
    """Return the arms by name, with what they are made of where it was trained here."""
    if study.imported:
        return f" ({listed(list(arms))})"
    models = {arm: study.settings.arm_config(arm).model for arm in arms}
    texts = [
        f"{arm} ({' and '.join(_inputs(study)[name].removeprefix('the ') for name in model.inputs)}"
        f"{f', fused by {FUSIONS.get(model.fusion, model.fusion)}' if len(model.inputs) > 1 else ' alone'})"
        for arm, model in models.items()
    ]
    return f": {listed(texts)}," if len(texts) > 1 else f": {texts[0]},"


def _inputs(study: StoredStudy) -> dict[str, str]:
    images = image_name(study.cohort.name, study.settings.data.image_name)
    return {"image": f"the {images}", "tabular": "the clinical columns"}


def _aucs(evaluation: Evaluation, arms: Sequence[str]) -> list[str]:
    rows = evaluation.summary
    chosen = rows[(rows["level"] == evaluation.unit) & (rows["metric"] == "roc_auc")].set_index("arm")
    return [
        f"{arm} {interval('roc_auc', *chosen.loc[arm, ['value', 'low', 'high']])}"
        for arm in arms
        if arm in chosen.index
    ]


def too_small(study: StoredStudy) -> bool:
    """Whether there are too few patients to compare arms at all."""
    return _smaller_class(study) < TINY


def _smaller_class(study: StoredStudy) -> int:
    positive = n_positive(study.cohort.images)
    return min(positive, study.cohort.n_patients - positive)


def _too_few(smallest: int) -> str:
    return (
        f"**This cohort is too small to compare anything**: {count(smallest, 'patient')} in the smaller class. The"
        " numbers below describe these patients and support no ranking; the contrasts are in the supplement for"
        " completeness."
    )


def test_design(study: StoredStudy) -> str:
    """Return how the test parts came about, as in `tested out of fold in 5-fold ...`."""
    protocol = study.settings.protocol
    if protocol.test_where:
        return f"on the locked test part where {protocol.test_where} ({_n_tested(study)})"
    if protocol.fold_column:
        return f"out of fold, leaving out one value of {protocol.fold_column} at a time ({study.folds.n_folds} folds)"
    if study.folds.holdout:
        return "on one test part" if study.imported else f"on one held-out part ({_n_tested(study)})"
    repeats = "" if protocol.repeats == 1 else f", on {protocol.repeats} random divisions into folds"
    repeats += f" with {protocol.seeds} training seeds each" if protocol.seeds > 1 else ""
    return f"out of fold in {study.folds.n_folds}-fold patient-grouped cross-validation{repeats}"


def _n_tested(study: StoredStudy) -> str:
    """Return how many patients a single split trains on and tests."""
    fold = study.folds.folds[0]
    n_fitted = len(fold.train) + len(fold.validation)
    use = "the search and training" if is_nested(study) else "training and validation"
    return f"{count(len(fold.test), 'patient')}; {n_fitted} others for {use}"


def _findings(study: StoredStudy, evaluation: Evaluation) -> list[str]:
    """Return one bullet per declared contrast: the verdict in plain words, the numbers, and those by negative class."""
    bullets = []
    for row in evaluation.comparisons.to_dict("records"):
        text, doubt = _against(evaluation, row)
        first = lead(study, row)
        if doubt:
            first = f"{first.removesuffix('.')} overall; {doubt}."
        bullets.append(f"- **{first}** {row['sentence']} {row['disagreement']} {text}".replace("  ", " ").rstrip())
    return bullets


def _against(evaluation: Evaluation, row: Mapping[Any, Any]) -> tuple[str, str]:
    """Return a contrast against each negative class alone, and a doubt where one of them contradicts the whole."""
    lines = evaluation.comparisons_by_class
    if lines.empty:
        return "", ""
    by_class = lines[(lines["first"] == row["first"]) & (lines["second"] == row["second"])].to_dict("records")
    if not by_class:
        return "", ""
    values = [f"against {r['against']} {difference_interval(r['difference'], r['low'], r['high'])}" for r in by_class]
    verdict, better = _shown_verdict(row)
    opposed = [str(r["against"]) for r in by_class if (r["low"] <= 0 if better else r["high"] >= 0)]
    claims = verdict in ("better", "worse", "shown here") and opposed
    which = "no gain" if better else "no loss"
    doubt = f"against {listed(opposed)} alone {which} was shown" if claims else ""
    return f"By negative class alone (E1, not adjusted): {listed(values)}.", doubt


def lead(study: StoredStudy, row: Mapping[Any, Any]) -> str:
    """Return what a contrast shows in one plain sentence: what is added to what, or which is compared with which."""
    delta = f"±{study.settings.protocol.delta:g}"
    verdict, better = _shown_verdict(row)
    added = addition(study, str(row["first"]), str(row["second"]))
    if added is not None:
        what, to = added
        return {
            "better": f"{_start(what)} add to {to}.",
            "worse": f"Adding {what} to {to} made predictions worse.",
            "equivalent": f"Adding {what} to {to} makes no difference beyond {delta}.",
            "non-inferior": f"Adding {what} to {to} does no harm beyond {delta}; a gain was not shown.",
            SMALL_GAIN: f"Any gain from adding {what} to {to} is below {delta[1:]}.",
            "inconclusive": f"Whether {what} add to {to} is not settled.",
            "shown here": f"In these fitted models {what} {'add' if better else 'do harm'} to {to}.",
            "not shown here": f"No difference from adding {what} to {to} could be shown, even in these fitted models.",
        }[verdict]
    one, other = fusions(study, str(row["first"]), str(row["second"]))
    against = f"{_start(one)} against {other}"
    return {
        "better": f"{against}: better.",
        "worse": f"{against}: worse.",
        "equivalent": f"{against}: no difference beyond {delta}.",
        "non-inferior": f"{against}: not worse beyond {delta}; that it is better was not shown.",
        SMALL_GAIN: f"{against}: any gain is below {delta[1:]}.",
        "inconclusive": f"{against}: not settled.",
        "shown here": f"{against}, in these fitted models: {'better' if better else 'worse'}.",
        "not shown here": f"{against}: no difference could be shown, even in these fitted models.",
    }[verdict]


def _shown_verdict(row: Mapping[Any, Any]) -> tuple[str, bool]:
    """Return the verdict, `not assessed` divided by what the fitted models show, and whether the first is better."""
    low, high, p = (float(row[key]) for key in ("e1_low", "e1_high", "e1_p_holm"))
    verdict = str(row["verdict"])
    if verdict == "not assessed":
        verdict = "shown here" if p < ALPHA and (low > 0 or high < 0) else "not shown here"
    return verdict, float(row["difference"]) > 0


def _start(text: str) -> str:
    return text[0].upper() + text[1:] if text.startswith(("the ", "fusion ")) else text


def addition(study: StoredStudy, first: str, second: str) -> tuple[str, str] | None:
    """Return (what the first arm has more, what the second has), or None where they do not differ by an input alone."""
    if study.imported or BASELINE in (first, second):
        return None
    one, other = (study.settings.arm_config(arm).model for arm in (first, second))
    extra = [name for name in one.inputs if name not in other.inputs]
    if len(extra) != 1 or not set(other.inputs) < set(one.inputs):
        return None
    same = one.model_copy(update={"inputs": other.inputs, "fusion": other.fusion}) == other
    names = _inputs(study)
    return (names[extra[0]], " and ".join(names[name] for name in other.inputs)) if same else None


def fusions(study: StoredStudy, first: str, second: str) -> tuple[str, str]:
    """Return the names of two arms, in words where they differ by the fusion alone."""
    if study.imported or BASELINE in (first, second):
        return first, second
    one, other = (study.settings.arm_config(arm).model for arm in (first, second))
    if one.fusion != other.fusion and one.model_copy(update={"fusion": other.fusion}) == other:
        first, second = (f"fusion by {FUSIONS.get(model.fusion, model.fusion)}" for model in (one, other))
    return first, second


def missing_for_verdicts(study: StoredStudy, evaluation: Evaluation, *, whole_paths: bool = False) -> str:
    """Return how a verdict that is `not assessed` becomes one, or ''; with whole paths for a screen alone."""
    rows = evaluation.comparisons
    if rows.empty or not (rows["verdict"] == "not assessed").any():
        return ""
    if study.folds.holdout:
        again = (
            "predictions of several folds"
            if study.imported
            else "the study again with `--folds 5`, under another `--name`"
        )
        return f"One test part cannot tell how much training again would change: that takes {again}."
    if study.environment.imported is not None and study.environment.imported.studies:
        return f"Verdicts take at least {SEEDS_NEEDED} training seeds in every study."
    if study.imported:
        return (
            f"**Verdicts are not assessed** for the procedure: they take predictions of at least {SEEDS_NEEDED}"
            " training seeds (column `seed`)."
        )
    again = command(study, "--seeds", str(SEEDS_NEEDED), whole_paths=whole_paths)
    return (
        f"**Verdicts are not assessed** for the procedure: that takes at least {SEEDS_NEEDED} training seeds. "
        f"`{again}` extends this study and writes this report again."
    )


def command(study: StoredStudy, flag: str, value: str, *, whole_paths: bool = False) -> str:
    """Return the command that began the study with a flag set; absolute paths by their last part, unless whole."""
    environment = study.environment if whole_paths else study.environment.without_paths()
    words = list(environment.command)
    if is_call(words):
        return with_argument(words[0], flag.removeprefix("--").replace("-", "_"), int(value))
    # what extends a study never starts it over
    words = [word for word in words if not word.startswith(f"{flag}=") and word != "--force"]
    if flag in words:
        at = words.index(flag)
        del words[at : at + 2]
    return shlex.join([*words, flag, value])


def unfinished_cells(study: StoredStudy) -> str:
    """Say at the top that cells are missing, or ''."""
    absent = [name for name in study.planned if name not in study.records]
    if not absent:
        return ""
    return (
        f"Unfinished: {len(absent)} of {count(len(study.planned), 'cell')} are not there yet, and arms that lack any"
        " are left out. The command that began the study continues it"
    )


def short_answer(study: StoredStudy, evaluation: Evaluation) -> list[str]:
    """Return the answer in lines for a screen: the AUC of every arm, then the contrasts unless there are too few."""
    arms = [] if evaluation.summary.empty else list(evaluation.summary["arm"].unique())
    areas = [f"ROC-AUC of {area}" for area in _aucs(evaluation, arms)]
    if arms and too_small(study):
        return [*areas, _too_few(_smaller_class(study)).partition(" The numbers")[0].replace("**", "")]
    return [*areas, *comparisons_lines(evaluation)]


def comparisons_lines(evaluation: Evaluation) -> list[str]:
    """Return the verdict on each declared contrast, and where methods disagree."""
    rows = evaluation.comparisons
    if rows.empty:
        return []
    return [
        f"{sentence} {disagreement}".strip() for sentence, disagreement in rows[["sentence", "disagreement"]].to_numpy()
    ]
