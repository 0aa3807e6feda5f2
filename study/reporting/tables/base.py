"""The type of a table, and text that several tables share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from study.design.study_file import BASELINE
from study.evaluation.arm_metrics import leading_e2
from study.evaluation.evaluation import Evaluation
from study.records.stored_study import StoredStudy
from study.reporting.facts.counts import unit_noun
from study.reporting.facts.prose import render
from study.reporting.facts.search_facts import calibrated_on, is_flat, is_nested
from study.reporting.facts.sentences import has_baseline
from study.stats.comparison import SEEDS_NEEDED
from study.text.format import NAMES, count, interval

ABSENT = "n/a"
FIGURE, POINT = "\u2007", "\u2008"
"""Blanks as wide as a digit and as a decimal point."""
BLANKS = (" ", FIGURE, POINT)


@dataclass(frozen=True)
class PaperTable:
    """One table.

    Attributes:
        name: file name, sheet name and LaTeX label.
        title: what a reader sees above it.
        caption: which rows, which level, which n, what the intervals are.
        data: at full precision, for CSV and Excel.
        shown: rounded text, for Markdown, LaTeX and Word; every cell a string.
        n_keys: how many leading columns of `shown` name its rows; they are repeated where a wide table is broken.
        number: in the report and the paper: `2`, or `S3` in the supplement; '' where there is none.
    """

    name: str
    title: str
    caption: str
    data: pd.DataFrame
    shown: pd.DataFrame
    n_keys: int = 1
    number: str = ""

    @property
    def heading(self) -> str:
        """The title behind the number, where there is one: `Table S3. Worst errors`."""
        return f"Table {self.number}. {self.title}" if self.number else self.title


def empty_table(name: str) -> PaperTable:
    """Return a table without rows, which is left out of the pack."""
    return PaperTable(name, "", "", pd.DataFrame(), pd.DataFrame())


def cell(by_metric: pd.DataFrame, metric: str) -> str:
    """Return value and interval of a metric as text, `n/a` where it was not computed.

    Args:
        by_metric: the lines of one arm and level, indexed by metric, with value, low, high.
        metric: its name.
    """
    if metric not in by_metric.index:
        return ABSENT
    return interval(metric, *by_metric.loc[metric, ["value", "low", "high"]].to_numpy(dtype=float))


def printable(text: str) -> str:
    """Return text without the control characters that XML, hence Word and Excel, forbids."""
    return "".join(character for character in text if character.isprintable() or character in BLANKS)


def metric_name(metric: str) -> str:
    """Return the name of a metric in tables; one that is not in the list of names stands for itself."""
    return NAMES.get(metric, metric)


def at_unit(frame: pd.DataFrame, evaluation: Evaluation) -> pd.DataFrame:
    """Return the lines of a frame at the level of the unit of analysis."""
    return frame[frame["level"] == evaluation.unit]


def trained_again(evaluation: Evaluation) -> pd.DataFrame:
    """Return the lines of the AUC of every arm whose intervals are about training again; none where not assessed."""
    data = at_unit(evaluation.intervals, evaluation)
    data = data[data["metric"] == "roc_auc"]
    return leading_e2(data if is_retraining_assessed(evaluation) else data.head(0))


def is_retraining_assessed(evaluation: Evaluation) -> bool:
    """Whether there are the training seeds to say anything of training again; the logistic regression needs one."""
    return evaluation.per_fold["seed"].nunique() >= SEEDS_NEEDED


@dataclass(frozen=True)
class Sample:
    """Sample behind the numbers of a level: what a unit is called; patients, units, positive units and images."""

    noun: str
    n_patients: int
    n_units: int
    n_positive: int
    n_images: int

    def text(self, level: str) -> str:
        """Return `294 patients (101 positive; 1088 images)`, or the same for the breasts or images of patients."""
        patients, images = count(self.n_patients, "patient"), count(self.n_images, "image")
        if level == "patient":
            several = f"; {images}" if self.n_images != self.n_patients else ""
            return f"{patients} ({self.n_positive} positive{several})"
        inner = f"; {images}" if level != "image" else ""
        return f"{count(self.n_units, self.noun)} ({self.n_positive} positive{inner}) of {patients}"


def sample(evaluation: Evaluation, level: str) -> Sample:
    """Count the tested units of one run at one level, in test parts that have both classes."""
    first = evaluation.summary[evaluation.summary["level"] == level].iloc[0]
    scores = evaluation.scores
    of_arm = scores[(scores["level"] == level) & (scores["arm"] == first["arm"])]
    run = of_arm[(of_arm["repeat"] == of_arm["repeat"].min()) & (of_arm["seed"] == of_arm["seed"].min())]
    share = run.groupby("fold")["label"].transform("mean")
    run = run[(share > 0) & (share < 1)]
    return Sample(
        unit_noun(run, level), int(first["n_patients"]), len(run), int(run["label"].sum()), int(first["n_images"])
    )


def one_split(study: StoredStudy) -> bool:
    """Whether there is a single test part, so that nothing is a mean over folds or pooled over them."""
    return study.folds.holdout


def caption(name: str, study: StoredStudy, evaluation: Evaluation | None = None, **facts: Any) -> str:
    """Return the caption of a table (`templates/tables/NAME.md.j2`), which has these facts and shared ones."""
    p = study.settings.protocol
    shared = {
        "unit": study.settings.unit if evaluation is None else evaluation.unit,
        "imported": study.imported,
        "one_split": one_split(study),
        "repeats": p.repeats,
        "seeds": p.seeds,
        "baseline": has_baseline(study),
        "nested": is_nested(study),
        "flat": is_flat(study),
        "calibrated_on": calibrated_on(study),
        "validated": evaluation is not None and has_validation(evaluation),
    }
    return render(f"tables/{name}", **shared | facts)


def has_validation(evaluation: Evaluation) -> bool:
    """Whether thresholds were chosen on validation predictions; predictions made elsewhere may lack them."""
    return bool((evaluation.per_fold["metric"] == "specificity_achieved").any()) if len(evaluation.per_fold) else False


def unfinished_arms(study: StoredStudy, evaluation: Evaluation) -> Mapping[str, str]:
    """Return the arms without a summary, in order, and why: `not finished (3 of 10 cells)`."""
    done = set() if evaluation.summary.empty else set(evaluation.summary["arm"])
    reasons = {}
    for arm in [*study.settings.arms, BASELINE]:
        planned = [name for name in study.planned if name.partition(".")[0] == arm]
        if arm in done or not planned:
            continue
        finished = sum(name in study.records for name in planned)
        state = "not finished" if finished < len(planned) else "not summarised, see the gaps"
        reasons[arm] = f"{state} ({finished} of {count(len(planned), 'fit')})"
    return reasons
