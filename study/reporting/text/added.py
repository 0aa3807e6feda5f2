"""Sentences on predictions that a user added: exploratory, about these fitted models, and never a verdict."""

from study.evaluation.evaluation import Evaluation
from study.records.added_predictions import UNVERIFIED
from study.records.stored_study import StoredStudy
from study.reporting.facts.arm_names import display_name
from study.text.format import count, difference_interval, interval, listed


def added_paragraph(study: StoredStudy, evaluation: Evaluation, *, compared: bool) -> str:
    """Return the AUC of every added model and, where that is asked for, its difference to each arm; '' without any."""
    if study.added is None:
        return ""
    rows = evaluation.added[evaluation.added["metric"] == "roc_auc"]
    head = f"Added from `{study.added.facts.file}`, {UNVERIFIED}, exploratory:"
    if rows.empty:
        return f"{head} nothing could be computed; see the limitations."
    texts = []
    for row in rows.to_dict("records"):
        value = interval("roc_auc", row["value"], row["low"], row["high"])
        text = (
            f"at the {row['level']} level the ROC-AUC (95 % CI, these fitted models) of {row['arm']} was {value} on"
            f" {count(int(row['n_patients']), 'patient')}"
        )
        differences = evaluation.added_contrasts[evaluation.added_contrasts["first"] == row["arm"]]
        if compared and len(differences):
            pairs = [
                f"from {display_name(study, second)} by {difference_interval(*values)}"
                for second, *values in differences[["second", "difference", "low", "high"]].to_numpy().tolist()
            ]
            text += f"; it differed {listed(pairs)}"
        texts.append(text)
    return (
        f"{head} {'. Also, '.join(texts)}. These differences are not adjusted, were not declared before, and bear no"
        " verdict; they do not count among the comparisons above."
        if compared
        else f"{head} {'. Also, '.join(texts)}."
    )


def added_limitation(study: StoredStudy) -> list[str]:
    """Return what a reader of the added models' numbers has to know."""
    if study.added is None:
        return []
    arms = listed(list(study.added.arms))
    return [
        f"{arms}: added from `{study.added.facts.file}`, {UNVERIFIED}. Whether a model saw the patients it is tested"
        " on, in training or in the choice of its settings, is not known here; a leak would make it look better than"
        " the models that were trained here."
    ]


def added_provenance(study: StoredStudy) -> str:
    """Return which file the added predictions come from, and how its rows were matched to the study."""
    if study.added is None:
        return ""
    facts = study.added.facts
    rows = count(facts.n_rows, "row")
    head = f"Added predictions ({UNVERIFIED}): {rows} of `{facts.file}` (SHA-256 {facts.sha256[:16]}…)."
    return " ".join([head, *facts.notes])


def added_lines(study: StoredStudy, evaluation: Evaluation) -> list[str]:
    """Return lines for a screen: where added predictions come from, and each difference."""
    if study.added is None:
        return []
    lines = [added_provenance(study), *(added_limitation(study))]
    for r in evaluation.added_contrasts.to_dict("records"):
        value = difference_interval(r["difference"], r["low"], r["high"])
        lines.append(f"{r['first']} minus {r['second']}: AUC difference {value} ({r['note']}; no verdict).")
    return [line.replace("`", "") for line in lines]
