r"""Every number an author may want to cite in the running text, under a stable key.

An entry has `value` at full precision (NaN where it is not defined), `text` as it should be printed and `about`, what
it is; an estimate has `low`, `high`, `method`, `estimand`, `level`, `n_patients` and `n_images` too. Keys are words
joined by dots, `auc.concat`, `auc.concat.image`, `contrast.concat-tabular.difference`; a dot inside a word of the data
is written `\.`.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from study.evaluation.arm_metrics import leading_e2
from study.evaluation.evaluation import Evaluation
from study.evaluation.groups import AROUND
from study.records.added_predictions import UNVERIFIED
from study.records.stored_study import StoredStudy
from study.reporting.facts.arm_names import verdict_sentence
from study.reporting.facts.counts import counts
from study.reporting.facts.search_facts import is_nested, value_name, winners
from study.text.format import (
    NAMES,
    difference,
    difference_interval,
    interval,
    mean_count,
    number,
    p_value,
    patients,
    per_thousand,
    probability,
)

Entry = dict[str, Any]
Entries = Iterator[tuple[str, Entry]]

SHORT = {"roc_auc": "auc"}
"""Metrics whose key is another word; every other one keeps its name."""
TIMES = dict(zip(AROUND, ("half", "equal", "twice", "fivefold"), strict=True))
"""Thresholds of net benefit, as multiples of the declared prevalence, in words."""
P_VALUES = {
    "e1_p": "unadjusted p (these fitted models)",
    "e1_p_holm": "Holm-adjusted p (these fitted models)",
    "e2_p": "unadjusted p (trained again)",
    "e2_p_holm": "Holm-adjusted p (trained again)",
    "permutation_p": "p of the patient permutation, unadjusted",
}
PROBABILITIES = {"p_worse": "below −δ", "p_equivalent": "within ±δ", "p_better": "above +δ"}


OTHER_LEVELS = ("roc_auc", "pr_auc", "accuracy", "sensitivity", "specificity", "f1", "brier")
"""Metrics given for levels that are not the unit of analysis, as the literature does; the tables have all."""


def numbers(study: StoredStudy, evaluation: Evaluation) -> dict[str, Entry]:
    """Return every number of a study by key, in a fixed order; of an unfinished study the counts alone."""
    protocol = study.settings.protocol
    entries = dict(counts(study))
    entries["delta"] = _entry(
        protocol.delta, f"{protocol.delta:g}", "region of practical equivalence, ± this AUC difference"
    )
    if protocol.prevalence is not None:
        entries["prevalence"] = _entry(protocol.prevalence, f"{100 * protocol.prevalence:.4g} %", "declared prevalence")
    for part in (
        _summary,
        _procedure,
        _by_class,
        _contrasts_by_class,
        _contrasts_by_patient,
        _subgroups,
        _calibration,
        _spread,
        _confusion,
        _instability,
        _added,
    ):
        entries |= dict(part(evaluation))
    entries |= dict(_contrasts(study, evaluation))
    entries |= dict(_decision(evaluation, protocol.prevalence)) | dict(_search(study, entries))
    if study.cohort.notice:
        entries["notice"] = _entry(None, study.cohort.notice, "goes with every number of this cohort")
    return entries


def _search(study: StoredStudy, entries: Mapping[str, Entry]) -> Entries:
    """Yield what chose the winners of a search, and how far that lies above what they reached out of fold."""
    if study.searched is None:
        return
    name = value_name(study)
    said = f"{name[0].lower() + name[1:]} of the chosen trials; it chose them and is no estimate of performance"
    for arm in study.settings.arms:
        values = [one.value for one in winners(study.searched, arm)]
        if values:
            inner = sum(values) / len(values)
            yield key("selection", arm), _entry(inner, number("roc_auc", inner), said)
            if is_nested(study) and (auc := entries.get(key("auc", arm))) is not None:
                apart = inner - auc["value"]
                yield (
                    key("selection", arm, "optimism"),
                    _entry(apart, difference(apart), f"{said.partition(';')[0]} minus the out-of-fold AUC"),
                )


def numbers_json(entries: Mapping[str, Entry]) -> str:
    """Return the numbers as JSON, one a line: keys sorted, full precision, null for what is not defined."""

    def text(value: Any) -> str:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)

    plain = {key: {name: _json(value) for name, value in entries[key].items()} for key in sorted(entries)}
    return "{\n" + ",\n".join(f"{text(key)}: {text(entry)}" for key, entry in plain.items()) + "\n}\n"


def _json(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


ESTIMANDS = {"E1": "these fitted models", "E2": "trained again"}
"""What an interval is about, in the words of a report."""


def _entry(value: Any, text: str, about: str) -> Entry:
    return {"value": value, "text": text, "about": about}


def key(*words: object) -> str:
    """Join words to a key; different words never give the same key."""
    return ".".join(str(word).replace("\\", "\\\\").replace(".", "\\.") for word in words)


def pair(first: str, second: str) -> str:
    """Return `concat-tabular`; with `~` where a name has a hyphen of its own, so that pairs cannot be confused."""
    return f"{first}~{second}" if "-" in first + second else f"{first}-{second}"


def _estimate(row: Mapping[str, Any], metric: str, about: str) -> Entry:
    """Return the entry of a line with the fields of `Estimate`."""
    value, low, high = (float(row[name]) for name in ("value", "low", "high"))
    described = {name: str(row[name]) for name in ("method", "estimand", "level")}
    sizes = {name: int(row[name]) for name in ("n_patients", "n_images")}
    about = f"{about}, {row['level']} level, {ESTIMANDS[str(row['estimand'])]}"
    return (
        _entry(value, interval(metric, value, low, high), about)
        | {"metric": metric, "low": low, "high": high}
        | described
        | sizes
    )


def _lines(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _summary(evaluation: Evaluation) -> Entries:
    """Every metric of every arm; the level is part of the key where it is not the unit of analysis."""
    for row in _lines(evaluation.summary):
        metric, arm, level = row["metric"], row["arm"], row["level"]
        if level != evaluation.unit and metric not in OTHER_LEVELS:
            continue
        where = [] if level == evaluation.unit else [level]
        yield (
            key(SHORT.get(metric, metric), arm, *where),
            _estimate(row, metric, f"{NAMES.get(metric, metric)} of {arm}"),
        )
        if not math.isnan(row["pooled"]):
            pooled = float(row["pooled"])
            about = f"{NAMES.get(metric, metric)} of {arm} over the scores of all folds together, {level} level"
            yield key(f"pooled_{SHORT.get(metric, metric)}", arm, *where), _entry(pooled, number(metric, pooled), about)


def _procedure(evaluation: Evaluation) -> Entries:
    """The AUC of every arm with its interval about the procedure."""
    rows = evaluation.intervals
    if rows.empty:
        return
    areas = rows[(rows["metric"] == "roc_auc") & (rows["level"] == evaluation.unit)]
    for row in _lines(leading_e2(areas)):
        about = f"AUC of {row['arm']}, trained again"
        yield key("auc", row["arm"], "e2"), _estimate(row, "roc_auc", about)


def _by_class(evaluation: Evaluation) -> Entries:
    """AUCs against each negative status and within sites."""
    for row in _lines(evaluation.contrasts_by_class):
        what, _, status = row["metric"].partition(" ")
        words = ["against", status] if what == "against" else ["within-sites"]
        yield key("auc", row["arm"], *words), _estimate(row, "roc_auc", f"AUC of {row['arm']} {row['metric']}")


def _contrasts(study: StoredStudy, evaluation: Evaluation) -> Entries:
    """The declared contrasts: difference, intervals, p values, probabilities, verdict."""
    for row in _lines(evaluation.comparisons):
        name, what = pair(row["first"], row["second"]), f"{row['first']} minus {row['second']}"
        sizes = {"level": evaluation.unit, "n_patients": int(row["n_patients"]), "n_seeds": int(row["n_seeds"])}
        for words, ends, about in (
            ("difference", "e1", "95 % CI (these fitted models, fold-stratified clustered DeLong, t)"),
            ("e2", "e2", f"95 % CI (trained again, {row['e2_method']})"),
            ("e2_90", "e2", f"90 % CI (trained again, {row['e2_method']}), for equivalence"),
            ("bootstrap", "bootstrap", "95 % CI (these fitted models, patient bootstrap, percentile)"),
        ):
            last = "_90" if words == "e2_90" else ""
            low, high = float(row[f"{ends}_low{last}"]), float(row[f"{ends}_high{last}"])
            entry = _difference(row["difference"], low, high, f"AUC difference, {what}, {about}")
            yield key("contrast", name, words), entry | {"estimand": "E2" if ends == "e2" else "E1"} | sizes
        for field, about in P_VALUES.items():
            yield key("contrast", name, field), _entry(float(row[field]), p_value(row[field]), f"{what}: {about}")
        for field, about in PROBABILITIES.items():
            about = f"probability that {what} lies {about}, Bayesian correlated t"
            yield key("contrast", name, field), _entry(float(row[field]), probability(row[field]), about)
        needed = float(row["patients_needed"])
        text = (
            "n/a" if math.isnan(needed) else patients(needed, float(row["patients_low"]), float(row["patients_high"]))
        )
        about = f"{what}: patients that would show equivalence within ±δ with 80 % power, if there is no difference"
        yield key("contrast", name, "patients_needed"), _entry(needed, text, about)
        for field, text in (("verdict", row["verdict"]), ("sentence", verdict_sentence(study, row))):
            yield key("contrast", name, field), _entry(None, text, f"{what}: {field}")


def _added(evaluation: Evaluation) -> Entries:
    """Predictions that were added: every metric, and the difference to each arm of the study."""
    for row in _lines(evaluation.added):
        metric, arm = row["metric"], row["arm"]
        about = f"{NAMES.get(metric, metric)} of {arm}, added predictions, {UNVERIFIED}, exploratory"
        yield key("added", SHORT.get(metric, metric), arm), _estimate(row, metric, about)
    for row in _lines(evaluation.added_contrasts):
        about = f"AUC difference, {row['first']} minus {row['second']}, 95 % CI, no verdict; {row['note']}"
        entry = _difference(row["difference"], float(row["low"]), float(row["high"]), about)
        sizes = {"estimand": "E1", "level": evaluation.unit, "n_patients": int(row["n_patients"])}
        yield key("added", "contrast", pair(row["first"], row["second"]), "difference"), entry | sizes


def _difference(value: float, low: float, high: float, about: str) -> Entry:
    entry = _entry(float(value), difference_interval(value, low, high), about)
    return entry | {"metric": "difference", "low": low, "high": high}


def _contrasts_by_class(evaluation: Evaluation) -> Entries:
    for row in _lines(evaluation.comparisons_by_class):
        name, what = pair(row["first"], row["second"]), f"{row['first']} minus {row['second']} against {row['against']}"
        about = f"AUC difference, {what}, 95 % CI (these fitted models), not adjusted"
        entry = _difference(row["difference"], float(row["low"]), float(row["high"]), about)
        yield key("contrast", name, "against", row["against"]), entry | {"estimand": "E1", "level": evaluation.unit}
        yield (
            key("contrast", name, "against", row["against"], "p"),
            _entry(float(row["p"]), p_value(row["p"]), f"{what}: p (these fitted models), not adjusted"),
        )


def _contrasts_by_patient(evaluation: Evaluation) -> Entries:
    for row in _lines(evaluation.comparisons_by_patient):
        name, what = pair(row["first"], row["second"]), f"{row['first']} minus {row['second']} by patient"
        about = f"AUC difference, {what}, 95 % CI (these fitted models), not adjusted"
        entry = _difference(row["difference"], float(row["low"]), float(row["high"]), about)
        yield key("contrast", name, "patient"), entry | {"estimand": "E1", "level": "patient"}
        about = f"{what}: p (these fitted models), not adjusted"
        yield key("contrast", name, "patient", "p"), _entry(float(row["p"]), p_value(row["p"]), about)


def _subgroups(evaluation: Evaluation) -> Entries:
    """AUC, size and interaction test of every subgroup that is large enough to be shown."""
    frame = evaluation.subgroups
    for row in _lines(frame[~frame["suppressed"].astype(bool)]) if len(frame) else []:
        column, group, arm = row["column"], row["group"], row["arm"]
        where = f"{column} {group}"
        for field, about in (("n_patients", "patients"), ("n_positive", "positive patients")):
            n = int(row[field])
            yield key("subgroup", column, group, field), _entry(n, str(n), f"{about}, {where}")
        ends = float(row["low"]), float(row["high"])
        text = interval("roc_auc", row["value"], *ends)
        about = f"AUC of {arm}, {where}, {row['level']} level, 95 % CI (these fitted models, patient bootstrap)"
        entry = _entry(float(row["value"]), text, about) | {"metric": "roc_auc", "low": ends[0], "high": ends[1]}
        yield key("subgroup", column, group, "auc", arm), entry | {"estimand": "E1", "level": row["level"]}
        p = float(row["interaction_p"])
        about = f"p of a difference in the AUC of {arm} between subgroups of {column} (Wald, not adjusted)"
        yield key("interaction", column, "p", arm), _entry(p, p_value(p), about)


def _calibration(evaluation: Evaluation) -> Entries:
    for row in _lines(evaluation.expected_ece):
        about = f"{NAMES[row['metric']]} that perfectly calibrated probabilities of {row['arm']} would show"
        expected = float(row["expected"])
        yield key("expected", row["metric"], row["arm"]), _entry(expected, number(row["metric"], expected), about)


def _decision(evaluation: Evaluation, prevalence: float | None) -> Entries:
    """Net benefit around the declared prevalence; the whole curve is in the table."""
    times = {factor * prevalence: word for factor, word in TIMES.items()} if prevalence is not None else {}
    for row in _lines(evaluation.decision):
        if row["threshold"] in times:
            value, low, high = (float(row[name]) for name in ("value", "low", "high"))
            at = f"at a threshold of {100 * row['threshold']:.3g} %"
            which = f"95 % CI ({ESTIMANDS['E1']}, {row['method']})"
            about = f"net benefit of {row['arm']} {at}, true positives per 1,000 people, {which}"
            entry = _entry(value, per_thousand(value, low, high), about)
            word = times[row["threshold"]]
            yield key("net_benefit", row["arm"], word), entry | {"metric": "net_benefit", "low": low, "high": high}


def _spread(evaluation: Evaluation) -> Entries:
    """Standard deviations by where they come from."""
    for row in _lines(evaluation.variance):
        for field, about in (
            ("seed_sd", "between seeds, one fold"),
            ("training_sd", "between seeds, mean over folds"),
            ("split_sd", "between splits, one repeat"),
            ("patient_sd", "over patients, of the mean"),
        ):
            value = float(row[field])
            entry = _entry(value, number("roc_auc", value), f"SD of the AUC of {row['what']} {about}")
            yield key(field, row["what"]), entry


def _confusion(evaluation: Evaluation) -> Entries:
    """Counts at a calibrated probability of 0.5, mean over repeats and seeds."""
    frame = evaluation.cross_tabulation
    chosen = (frame["level"] == evaluation.unit) & (frame["threshold"] == "called")
    runs = int(frame.loc[chosen, "n_runs"].max()) if chosen.any() else 1
    for row in _lines(frame[chosen]):
        for field, about in (
            ("tp", "true positives"),
            ("fp", "false positives"),
            ("fn", "false negatives"),
            ("tn", "true negatives"),
        ):
            about = f"{about} of {row['arm']} at probability 0.5, mean over repeats and seeds"
            yield key("confusion", row["arm"], field), _entry(row[field], mean_count(row[field], runs), about)


def _instability(evaluation: Evaluation) -> Entries:
    """How far predictions change from run to run."""
    for row in _lines(evaluation.instability):
        unit, runs = evaluation.unit, f"{row['n_runs']} runs"
        for field, metric, about in (
            ("mape", "brier", f"mean absolute difference of a {unit}'s probability from its mean over {runs}"),
            ("called_changed", "sensitivity", f"share of {unit}s not called alike in all {runs} at probability 0.5"),
        ):
            value = float(row[field])
            yield key(field, row["arm"]), _entry(value, number(metric, value), f"{row['arm']}: {about}")
