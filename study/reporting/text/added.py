"""Sentences on predictions that a user added: exploratory, about these fitted models, and never a verdict."""

from study.evaluation.evaluation import Evaluation
from study.records.added_predictions import UNVERIFIED
from study.records.stored_study import StoredStudy
from study.reporting.facts.arm_names import display_name
from study.reporting.facts.prose import render
from study.text.format import difference_interval, interval


def added_paragraph(study: StoredStudy, evaluation: Evaluation, *, compared: bool) -> str:
    """Return the AUC of every added model and, where that is asked for, its difference to each arm; '' without any."""
    if study.added is None:
        return ""
    rows = evaluation.added[evaluation.added["metric"] == "roc_auc"]
    apart = evaluation.added_contrasts[["first", "second", "difference", "low", "high"]].to_numpy().tolist()
    models = [
        {
            "name": row["arm"],
            "level": row["level"],
            "auc": interval("roc_auc", row["value"], row["low"], row["high"]),
            "n_patients": int(row["n_patients"]),
            "differences": [
                f"from {display_name(study, second)} by {difference_interval(*values)}"
                for first, second, *values in apart
                if compared and first == row["arm"]
            ],
        }
        for row in rows.to_dict("records")
    ]
    return render("added", file=study.added.facts.file, unverified=UNVERIFIED, models=models, compared=compared)


def added_limitation(study: StoredStudy) -> list[str]:
    """Return what a reader of the added models' numbers has to know."""
    if study.added is None:
        return []
    models, file = list(study.added.arms), study.added.facts.file
    return [render("added_limitation", models=models, file=file, unverified=UNVERIFIED)]


def added_provenance(study: StoredStudy) -> str:
    """Return which file the added predictions come from, and how its rows were matched to the study."""
    if study.added is None:
        return ""
    f = study.added.facts
    facts = {"n_rows": f.n_rows, "file": f.file, "sha256": f.sha256, "notes": f.notes}
    return render("added_provenance", unverified=UNVERIFIED, **facts)


def added_lines(study: StoredStudy, evaluation: Evaluation) -> list[str]:
    """Return lines for a screen: where added predictions come from, and each difference."""
    if study.added is None:
        return []
    lines = [added_provenance(study), *(added_limitation(study))]
    for r in evaluation.added_contrasts.to_dict("records"):
        value = difference_interval(r["difference"], r["low"], r["high"])
        lines.append(f"{r['first']} minus {r['second']}: AUC difference {value} ({r['note']}; no verdict).")
    return [line.replace("`", "") for line in lines]
