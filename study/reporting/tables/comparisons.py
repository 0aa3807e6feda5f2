"""Arms against each other: declared contrasts, negative statuses, and where the variation comes from."""

from collections.abc import Hashable, Mapping

import pandas as pd

from study.evaluation.evaluation import Evaluation
from study.evaluation.verdicts import as_assessed, in_few_words
from study.records.stored_study import StoredStudy
from study.reporting.facts.arm_names import verdict_sentence
from study.reporting.tables.base import ABSENT, PaperTable, caption, empty_table, sample, unfinished_arms
from study.text.format import difference, difference_interval, interval, number, p_value, probability

COLUMNS = (
    "Contrast",
    "AUC difference",
    "95 % CI, trained again",
    "p, trained again (Holm)",
    "95 % CI, these fitted models",
    "p, these models (Holm)",
    "p (permutation)",
    "Verdict",
)
AGAIN = ("95 % CI, trained again", "p, trained again (Holm)")
"""Columns that are about training again."""


def comparisons_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """The declared contrasts: difference with E1 and E2 intervals, adjusted p, verdict.

    A contrast whose arms are not both finished has a row that says so. Without a contrast whose retraining was assessed
    no column is about it.
    """
    if evaluation.summary.empty:
        return empty_table("comparisons")
    known, delta = as_assessed(evaluation.comparisons), study.settings.protocol.delta
    by_pair = {(row["first"], row["second"]): row for row in known.to_dict("records")}
    missing = unfinished_arms(study, evaluation)
    shown = []
    for first, second in study.contrasts:
        name = f"{first} minus {second}"
        if (first, second) in by_pair:
            shown.append(_shown(name, by_pair[first, second], delta))
        elif first in missing or second in missing:
            shown.append(
                dict.fromkeys(COLUMNS, ABSENT) | {"Contrast": name, "Verdict": _reason(missing, first, second)}
            )
    spoken = [verdict_sentence(study, row) for row in evaluation.comparisons.to_dict("records")]
    data = _with_gaps(evaluation.comparisons.assign(sentence=spoken), study, missing)
    if not shown:
        return empty_table("comparisons")
    said = _caption(study, evaluation, n_lacking=len(shown) - len(by_pair))
    columns = [column for column in COLUMNS if _is_assessed(known) or column not in AGAIN]
    return PaperTable("comparisons", "Differences between models", said, data, pd.DataFrame(shown, columns=columns))


def _is_assessed(comparisons: pd.DataFrame) -> bool:
    """Whether training again was assessed for any contrast."""
    return bool(len(comparisons)) and bool(comparisons["e2_low"].notna().any())


def _shown(name: str, row: Mapping[Hashable, object], delta: float) -> dict[str, str]:
    n = {key: value for key, value in row.items() if isinstance(value, float)}
    cells = (
        name,
        difference(n["difference"]),
        _span(n["e2_low"], n["e2_high"]),
        p_value(n["e2_p_holm"]),
        _span(n["e1_low"], n["e1_high"]),
        p_value(n["e1_p_holm"]),
        p_value(n["permutation_p"]),
        " ".join(in_few_words(row, delta)),
    )
    return dict(zip(COLUMNS, cells, strict=True))


def probabilities_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """The Bayesian probabilities of the declared contrasts, which decide no verdict."""
    known = as_assessed(evaluation.comparisons)
    known = known[known["p_better"].notna()] if len(known) else known
    if known.empty:
        return empty_table("probabilities")
    delta = f"{study.settings.protocol.delta:g}"
    names = {"p_worse": f"P(below −{delta})", "p_equivalent": f"P(within ±{delta})", "p_better": f"P(above +{delta})"}
    shown = pd.DataFrame(
        {"Contrast": known["first"] + " minus " + known["second"]}
        | {name: [probability(p) for p in known[column]] for column, name in names.items()}
    )
    said = caption("probabilities", study, evaluation, delta=delta)
    data = known[["first", "second", "difference", *names]].reset_index(drop=True)
    return PaperTable("probabilities", "Probabilities of the differences between models", said, data, shown)


def _reason(missing: Mapping[str, str], *arms: str) -> str:
    return "; ".join(f"{arm} {missing[arm]}" for arm in arms if arm in missing)


def _with_gaps(data: pd.DataFrame, study: StoredStudy, missing: Mapping[str, str]) -> pd.DataFrame:
    """Add a line for each declared contrast that lacks an arm, so that the files show the gap too."""
    lacking = [
        {"first": first, "second": second, "verdict": _reason(missing, first, second)}
        for first, second in study.contrasts
        if first in missing or second in missing
    ]
    if not lacking:
        return data
    return pd.concat([data, pd.DataFrame(lacking)], ignore_index=True) if len(data) else pd.DataFrame(lacking)


def _caption(study: StoredStudy, evaluation: Evaluation, n_lacking: int) -> str:
    """Return who was compared and what the columns are."""
    data = as_assessed(evaluation.comparisons)
    return caption(
        "comparisons",
        study,
        evaluation,
        people=sample(evaluation, evaluation.unit).text(evaluation.unit),
        delta=f"{study.settings.protocol.delta:g}",
        afterwards=study.chosen_contrasts is not None,
        n_scores=int(data["n_scores"].iloc[0]) if len(data) else 0,
        n_seeds=int(data["n_seeds"].iloc[0]) if len(data) else 0,
        again=_is_assessed(data),
        n_lacking=n_lacking,
        n_there=len(data),
    )


def _span(low: float, high: float) -> str:
    return ABSENT if pd.isna(low) else f"{difference(low)} to {difference(high)}"


def comparisons_by_class_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """The contrasts against each negative status."""
    data = evaluation.comparisons_by_class
    if data.empty:
        return empty_table("comparisons_by_class")
    text = data.assign(
        Contrast=data["first"] + " minus " + data["second"],
        text=[difference_interval(*v) for v in data[["difference", "low", "high"]].to_numpy()],
        against="Against " + data["against"],
    )
    shown = text.pivot(index="Contrast", columns="against", values="text").reindex(text["Contrast"].unique())
    said = caption("comparisons_by_class", study, evaluation)
    title = "Differences between models by negative class"
    return PaperTable("comparisons_by_class", title, said, data, shown.reset_index().fillna(ABSENT))


def comparisons_by_patient_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """The contrasts at patient level, where the breast is the unit of analysis."""
    data = evaluation.comparisons_by_patient
    if data.empty:
        return empty_table("comparisons_by_patient")
    shown = pd.DataFrame(
        {
            "Contrast": data["first"] + " minus " + data["second"],
            "AUC difference (95 % CI, these fitted models)": [
                difference_interval(*v) for v in data[["difference", "low", "high"]].to_numpy()
            ],
            "p": [p_value(p) for p in data["p"]],
        }
    )
    people = sample(evaluation, "patient").text("patient")
    said = caption("comparisons_by_patient", study, evaluation, people=people)
    return PaperTable("comparisons_by_patient", "Differences between models by patient", said, data, shown)


def by_class_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """AUC against each negative status and within sites."""
    data = evaluation.contrasts_by_class
    if data.empty:
        return empty_table("auc_by_class")
    text = data.assign(text=[interval("roc_auc", *v) for v in data[["value", "low", "high"]].to_numpy()])
    shown = text.pivot(index="arm", columns="metric", values="text")
    shown = shown.reindex(index=data["arm"].unique(), columns=data["metric"].unique()).reset_index().fillna(ABSENT)
    names = {column: "Arm" if column == "arm" else f"{column[0].upper()}{column[1:]}" for column in shown.columns}
    title = "AUC by negative class and within sites"
    said = caption("auc_by_class", study, evaluation)
    return PaperTable("auc_by_class", title, said, data, shown.rename(columns=names))


def variance_table(study: StoredStudy, evaluation: Evaluation) -> PaperTable:
    """Standard deviations by source."""
    data = evaluation.variance
    if data.empty:
        return empty_table("variance")
    columns = {
        "training_sd": "One training (between seeds)",
        "seed_sd": "Between seeds, one fold",
        "split_sd": "Between splits, one repeat",
        "patient_sd": "Patients, of the mean",
    }
    texts = {name: [number("roc_auc", value) for value in data[column]] for column, name in columns.items()}
    shown = data[["what"]].rename(columns={"what": "AUC of"}).assign(**texts)
    return PaperTable("variance", "Where the variation comes from", caption("variance", study, evaluation), data, shown)
