"""The opening of a report: the answer in a few lines, then on whom, how, and what its intervals are about."""

import shlex
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pandas as pd

from study.checks.registry import description
from study.design.study_file import BASELINE
from study.evaluation.contrasts import declared
from study.evaluation.evaluation import Evaluation
from study.evaluation.verdicts import patients_needed
from study.records.finding import FAILED
from study.records.python_call import is_call, with_argument
from study.records.stored_study import StoredStudy
from study.reporting.facts.arm_names import addition, clinical_model, contrast_name, display_name, fusions, in_sentence
from study.reporting.facts.counts import n_positive, smaller_class
from study.reporting.facts.prose import render
from study.reporting.facts.search_facts import is_flat, is_nested
from study.reporting.facts.sentences import kind_of_model, models_counted
from study.reporting.text.added import added_paragraph
from study.stats.comparison import ALPHA, POWER, SEEDS_NEEDED, SMALL_GAIN
from study.text.format import auc_digits, half_up, interval, start

TINY = 20
"""With fewer patients in the smaller class a report warns and ranks nothing."""
LINES = 5
"""Lines of the answer: what the audit found, and contrasts."""
SCREENED = 0.05
"""Share of positives above which a cohort is not like a screened population."""
OPEN = ("inconclusive", "not shown")
"""Verdicts that leave open whether two models differ."""


def answer(study: StoredStudy, evaluation: Evaluation) -> str:
    """Return each declared contrast with its verdict, what the intervals mean, and who was tested and how."""
    arms = [] if evaluation.summary.empty else [str(arm) for arm in evaluation.summary["arm"].unique()]
    models = [arm for arm in arms if arm != BASELINE]
    if not models:
        return "No model is finished yet: run the same command again to continue, then this report compares them."
    small, rows = too_small(study), evaluation.comparisons
    lines = [] if small else contrast_sentences(study, evaluation)
    faults = failed_checks(study)
    shown = lines[: LINES - bool(faults)]
    said = render(
        "answer",
        faults=faults,
        small=small,
        too_small=_warning(study),
        lines=shown,
        n_more=len(lines) - len(shown),
        afterwards=study.chosen_contrasts is not None and not study.imported,
        n_contrasts=_n_adjusted_for(study, evaluation),
        delta=f"{study.settings.protocol.delta:g}",
        alpha=f"{ALPHA:g}",
        n_open=sum(_shown_verdict(row)[0] in OPEN for row in rows.to_dict("records")),
        verdicts=sorted(set(rows["verdict"])) if len(rows) else [],
        small_gain=SMALL_GAIN,
        missing=[] if small else filter(None, [missing_for_verdicts(study, evaluation)]),
        **setting(study, evaluation, arms),
    )
    return "\n\n".join(filter(None, [said, added_paragraph(study, evaluation, compared=not small)]))


def setting(study: StoredStudy, evaluation: Evaluation, arms: Sequence[str]) -> dict[str, Any]:
    """Return who was tested, how, and the AUC of every model, as facts of a template."""
    protocol, images = study.settings.protocol, study.cohort.images
    fold = study.folds.folds[0]
    search = study.settings.search
    return {
        "n_images": len(images),
        "n_patients": study.cohort.n_patients,
        "n_positive": n_positive(images),
        "positive_share": positive_share(study),
        "often_positive": n_positive(images) > SCREENED * study.cohort.n_patients,
        **_classes(images),
        "unit": evaluation.unit,
        "imported": study.imported,
        "models": [display_name(study, arm) for arm in arms],
        "compared": models_counted(study, arms),
        "test_where": protocol.test_where,
        "fold_column": protocol.fold_column,
        "holdout": study.folds.holdout,
        "n_folds": study.folds.n_folds,
        "repeats": protocol.repeats,
        "seeds": protocol.seeds,
        "n_tested": len(fold.test),
        "n_fitted": len(fold.train) + len(fold.validation),
        "nested": is_nested(study),
        "flat": is_flat(study),
        "n_trials": search.trials if search is not None else 0,
    }


def positive_share(study: StoredStudy) -> str:
    """Return the share of positive patients for a sentence, with two digits: `40 %`."""
    return f"{100 * n_positive(study.cohort.images) / max(study.cohort.n_patients, 1):.2g} %"


def _classes(images: pd.DataFrame) -> dict[str, Any]:
    """Return the statuses that count as positive and as negative, where they are known and tell the two apart."""
    positive, negative = (
        sorted(map(str, images.loc[images["label"] == y, "status"].dropna().unique())) for y in (1, 0)
    )
    named = bool(positive and negative and not set(positive) & set(negative))
    return {"positive": positive, "negative": negative, "named": named}


def _areas(evaluation: Evaluation) -> Any:
    rows = evaluation.summary
    return rows[(rows["level"] == evaluation.unit) & (rows["metric"] == "roc_auc")].set_index("arm")


def failed_checks(study: StoredStudy) -> list[str]:
    """Return the titles of the checks that the audit failed: they stand before any number."""
    return [description(finding).title for finding in study.findings if finding.status == FAILED]


def too_small(study: StoredStudy) -> bool:
    """Whether there are too few patients to compare arms at all."""
    return smaller_class(study) < TINY


def _warning(study: StoredStudy) -> str:
    return render("too_small", smallest=smaller_class(study), holdout=study.folds.holdout and not study.imported)


def answer_lines(study: StoredStudy, evaluation: Evaluation) -> list[str]:
    """Return one line for each declared contrast, for a screen, or one that says that there are too few patients."""
    if too_small(study) and not evaluation.summary.empty:
        return [_warning(study).replace("**", "")]
    return contrast_lines(study, evaluation)


def contrast_lines(study: StoredStudy, evaluation: Evaluation) -> list[str]:
    """Return one line for each declared contrast: the sentence on it, and what has to be said with it."""
    return [" ".join(filter(None, sentences)) for sentences in contrast_sentences(study, evaluation)]


def contrast_sentences(study: StoredStudy, evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return one sentence for each declared contrast, and the negative classes that contradict it or what it takes."""
    rows = [contrast_facts(study, evaluation, row) for row in evaluation.comparisons.to_dict("records")]
    return [(render("contrast", **facts), render("contrast_more", **facts)) for facts in rows]


def contrast_facts(study: StoredStudy, evaluation: Evaluation, row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what the sentence on a contrast is made of: the arms in words, its numbers rounded, its verdict."""
    first, second = str(row["first"]), str(row["second"])
    added, joined = addition(study, first, second), fusions(study, first, second)
    which = clinical_model(study, first, second)
    verdict, gain = _shown_verdict(row)
    kind = "e1" if "shown" in verdict else "e2"
    areas = _areas(evaluation)["value"]
    digits = auc_digits(int(row["n_patients"]))
    one, other, difference = (half_up(v, digits) for v in (areas[first], areas[second], row["difference"]))
    if abs(one - other - difference) > 0.1**digits / 2:  # 0.69 and 0.63 with +0.05: a reader checks the sum
        digits += 1
    else:
        digits = _digits(row, row[f"{kind}_low"], row[f"{kind}_high"])

    def text(value: float, sign: str = "+") -> str:
        return _rounded(value, digits, sign)

    def ends(low: str, high: str) -> str:
        return f"{text(row[low])} to {text(row[high])}"

    low, high = (text(abs(row[f"{kind}_{end}"]), "") for end in ("low", "high"))

    return {
        "verdict": verdict,
        "gain": gain,
        "kind": "addition" if added else "fusion" if joined else "other",
        "what": added[0] if added else "",
        "to": added[1] if added else "",
        "model_first": kind_of_model(study) if added and second == BASELINE else "",
        "model_second": (in_sentence(study, second) if second == BASELINE else which) if added else "",
        "first": joined[0] if joined else in_sentence(study, first),
        "first_at_start": start(joined[0]) if joined else display_name(study, first),
        "second": joined[1] if joined else in_sentence(study, second),
        "auc_first": text(areas[first], ""),
        "auc_second": text(areas[second], ""),
        "difference": text(row["difference"]),
        "fitted": ends("e1_low", "e1_high"),
        "excludes_0": row[f"{kind}_low"] > 0 or row[f"{kind}_high"] < 0,
        "reach": f"{low} lower to {high} higher",
        "again": ends("e2_low", "e2_high"),
        "again_90": ends("e2_low_90", "e2_high_90"),
        "delta": f"{study.settings.protocol.delta:g}",
        "significant": row["e2_p_holm"] < ALPHA,
        "n_contrasts": _n_adjusted_for(study, evaluation),
        "small_gain": SMALL_GAIN,
        "imported": study.imported,
        "needed": patients_needed(SimpleNamespace(**row)) if verdict == "inconclusive" else "",  # type: ignore[arg-type]
        "positive_share": positive_share(study),
        "power": f"{100 * POWER:.0f} %",
        "claimed": verdict in CLAIMED,
        "by_class": _by_class(evaluation, row, verdict),
    }


def _n_adjusted_for(study: StoredStudy, evaluation: Evaluation) -> int:
    """Return for how many contrasts p values are adjusted: one that is declared counts before it has numbers."""
    return max(len(evaluation.comparisons), len(declared(study)) if len(evaluation.comparisons) else 0)


CLAIMED = ("better", "worse", "shown")
"""Verdicts that say there is a gain or a loss."""


def _digits(row: Mapping[Any, Any], *ends: float) -> int:
    """Return the decimals of an interval: one more where an end beyond 0 would be printed as 0.00."""
    digits = auc_digits(int(row["n_patients"]))
    return digits + any(0 < abs(end) < 0.5 * 10**-digits for end in ends)


def _rounded(value: float, digits: int, sign: str = "+") -> str:
    shown = f"{half_up(value, digits):{sign}z.{digits}f}".replace("-", "−")
    return shown if shown.strip("+0.") else shown.removeprefix("+")


def _by_class(evaluation: Evaluation, row: Mapping[Any, Any], verdict: str) -> list[tuple[str, str]]:
    """Return the negative classes that have to be named beside a contrast, each with difference and interval.

    Beside a gain or loss: those against which alone it was not shown. Beside any other verdict: those against which
    alone the interval excludes 0. Beside a difference that is not established, as its own interval excludes 0: all.
    """
    lines = evaluation.comparisons_by_class
    if lines.empty:
        return []
    of_pair = lines[(lines["first"] == row["first"]) & (lines["second"] == row["second"])].to_dict("records")
    gain = float(row["difference"]) > 0
    kind = "e1" if verdict == "not shown" else "e2"
    unestablished = verdict in ("not shown", "inconclusive") and (row[f"{kind}_low"] > 0 or row[f"{kind}_high"] < 0)
    said = []
    for line in of_pair:
        low, high = float(line["low"]), float(line["high"])
        contradicts, excludes = (low <= 0 if gain else high >= 0), low > 0 or high < 0
        if contradicts if verdict in CLAIMED else excludes or unestablished:
            value, *ends = (_rounded(end, _digits(row, low, high)) for end in (line["difference"], low, high))
            said.append((str(line["against"]), f"{value} (95 % CI {' to '.join(ends)}"))
    return said


def _shown_verdict(row: Mapping[Any, Any]) -> tuple[str, bool]:
    """Return the verdict, `not assessed` divided by what the fitted models show, and whether the first is better."""
    low, high, p = (float(row[key]) for key in ("e1_low", "e1_high", "e1_p_holm"))
    verdict = str(row["verdict"])
    if verdict == "not assessed":
        verdict = "shown" if p < ALPHA and (low > 0 or high < 0) else "not shown"
    return verdict, float(row["difference"]) > 0


def missing_for_verdicts(study: StoredStudy, evaluation: Evaluation, *, on_screen: bool = False) -> str:
    """Return how a verdict that is `not assessed` becomes one, or ''; with the whole command for a screen alone."""
    rows = evaluation.comparisons
    if rows.empty or not (rows["verdict"] == "not assessed").any():
        return ""
    about, call = study.environment.imported, is_call(study.environment.command)
    return render(
        "missing_for_verdicts",
        holdout=study.folds.holdout,
        imported=study.imported,
        joined=about is not None and bool(about.studies),
        needed=SEEDS_NEEDED,
        command=command(study, "--seeds", str(SEEDS_NEEDED)) if on_screen and not study.imported else "",
        call=call,
        option=f"seeds={SEEDS_NEEDED}" if call else f"--seeds {SEEDS_NEEDED}",
    )


def command(study: StoredStudy, flag: str, value: str) -> str:
    """Return the command that began the study with a flag set."""
    words = list(study.environment.command)
    if is_call(words):
        return with_argument(words[0], flag.removeprefix("--").replace("-", "_"), int(value))
    # what extends a study never starts it over
    words = [word for word in words if not word.startswith(f"{flag}=") and word != "--force"]
    if flag in words:
        at = words.index(flag)
        del words[at : at + 2]
    return shlex.join([*words, flag, value])


def unfinished_cells(study: StoredStudy) -> str:
    """Say at the top that fits are missing, or ''."""
    absent = [name for name in study.planned if name not in study.records]
    baseline = [name for name in absent if name.startswith(f"{BASELINE}.")]
    planned = [name for name in study.planned if not name.startswith(f"{BASELINE}.")]
    counts = {"n_absent": len(absent) - len(baseline), "n_planned": len(planned)}
    return render("unfinished", baseline_absent=bool(baseline), **counts) if absent else ""


def short_answer(study: StoredStudy, evaluation: Evaluation) -> list[str]:
    """Return the answer in lines for a screen: the AUC of every arm, then the contrasts unless there are too few."""
    rows = _areas(evaluation)
    areas = [f"AUC of {arm} {interval('roc_auc', *rows.loc[arm, ['value', 'low', 'high']])}" for arm in rows.index]
    return [*areas, *answer_lines(study, evaluation)]


def disagreements(study: StoredStudy, evaluation: Evaluation) -> str:
    """Return where methods disagree on a contrast, and what no declared contrast says of the baseline."""
    rows, baseline = evaluation.comparisons, evaluation.against_baseline
    return render(
        "differences",
        disagreements=[
            (contrast_name(study, row["first"], row["second"]), row["disagreement"])
            for row in rows.to_dict("records")
            if row["disagreement"]
        ],
        baseline=in_sentence(study, BASELINE),
        values=[
            (display_name(study, row["first"]), (row["difference"], row["low"], row["high"]))
            for row in baseline.to_dict("records")
        ],
    )
