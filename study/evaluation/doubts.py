"""Doubts about scores that a reader has to know before any number: reversed ones, and classes in place of scores."""

from study.evaluation.evaluation import Evaluation
from study.evaluation.units import hard_arms
from study.records.stored_study import StoredStudy
from study.text.format import interval, listed

CHECK = "Please check: "
"""Beginning of a note on a table of predictions that stands among the limitations of a report, too."""


def doubts(study: StoredStudy, evaluation: Evaluation) -> list[str]:
    """Return sentences on what is odd about the scores of a study, and about a table that they were read from."""
    said = [note for note in study.cohort.notes if note.startswith(CHECK)]
    rows = evaluation.summary
    if rows.empty:
        return said
    areas = rows[(rows["level"] == evaluation.unit) & (rows["metric"] == "roc_auc")]
    below = areas[areas["high"] < 0.5].to_dict("records")
    if below:
        values = listed([f"{row['arm']} {interval('roc_auc', row['value'], row['low'], row['high'])}" for row in below])
        said.append(
            f"{CHECK}labels or scores may be reversed: the whole interval of the AUC lies below 0.5 ({values})."
            " Scores have to be higher for the positive class; the program did not reverse them."
        )
    hard = [arm for arm in areas["arm"] if arm in hard_arms(study.predictions)] if study.imported else []
    if hard:
        scores = evaluation.scores[evaluation.scores["level"] == evaluation.unit]
        two = all(scores.loc[scores["arm"] == arm, "logit"].nunique() <= 2 for arm in hard)
        what = "is" if two else "comes close to"
        said.append(
            f"{CHECK}{listed(hard)} {'gives' if len(hard) == 1 else 'give'} two classes, not scores: the AUC {what}"
            " the balanced accuracy at one threshold, and is not contrasted with that of scores. Give probabilities if"
            " there are any."
        )
    return said
