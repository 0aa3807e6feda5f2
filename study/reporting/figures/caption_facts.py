"""Facts for captions: who was tested, how often, and what the probabilities are."""

from dataclasses import dataclass

import pandas as pd

from study.design.study_file import BASELINE
from study.evaluation.evaluation import Evaluation
from study.evaluation.units import UNIT_KEYS
from study.records.stored_study import StoredStudy
from study.reporting.facts.search_facts import calibrated_on
from study.reporting.figures.parts import FEW
from study.text.format import count, listed


@dataclass(frozen=True)
class CaptionFacts:
    """Facts that captions are made of.

    Attributes:
        unit: primary unit of analysis, `patient` or `breast`.
        n: how many units, of how many patients, were tested, and how many are positive.
        parts: the test parts a mean is taken over, in words.
        held_out: whether there is one test part instead of folds.
        n_parts: how many test parts an arm has.
        n_arms: how many arms have all their cells.
        n_repeats, n_seeds: of the numbers at hand.
        scaled: whether probabilities were calibrated on rows of the fold that were not tested.
        calibrated_on: whose rows these are, in words.
        imported: whether the models were trained elsewhere.
        declared: whether the contrasts were declared before the run.
        baseline: whether the logistic regression is among the arms.
        negatives: statuses that count as negative.
        few: with more arms than this, curves have no bands.
    """

    unit: str
    n: str
    parts: str
    held_out: bool
    n_parts: int
    n_arms: int
    n_repeats: int
    n_seeds: int
    scaled: bool
    calibrated_on: str
    imported: bool
    declared: bool
    baseline: bool
    negatives: tuple[str, ...]
    few: int = FEW

    @property
    def mean(self) -> str:
        """The origin of a mean curve, in words."""
        return f": mean over {self.parts}" if self.n_parts > 1 else f" on {self.parts}"

    @property
    def probabilities(self) -> str:
        """The kind of the probabilities, in words."""
        if self.scaled:
            return f"calibrated probabilities (Platt scaling on each fold's {self.calibrated_on})"
        return "probabilities as they were given (no validation rows to calibrate them on)"

    @property
    def tested(self) -> str:
        """The origin of the predictions, in words."""
        return "predictions for the held-out test part" if self.held_out else "out-of-fold predictions"

    @property
    def within(self) -> str:
        """The kind of mean that an AUC is, or ''."""
        return " (mean of the folds' values)" if self.n_parts > 1 else ""

    @property
    def runs(self) -> str:
        """The sentence on repeats and seeds in pooled counts, or ''."""
        if self.n_repeats * self.n_seeds == 1:
            return ""
        of = listed(
            [
                *([count(self.n_repeats, "repeat")] if self.n_repeats > 1 else []),
                *([count(self.n_seeds, "training seed")] if self.n_seeds > 1 else []),
            ]
        )
        return f" Every {self.unit} counts once for each of {of}{self._one_seed}."

    @property
    def _one_seed(self) -> str:
        return " (the logistic regression has one seed)" if self.n_seeds > 1 and self.baseline else ""


def caption_facts(study: StoredStudy, evaluation: Evaluation) -> CaptionFacts:
    """Gather what captions say of a study's scores."""
    unit, scores, summary = evaluation.unit, evaluation.scores, evaluation.summary
    arms = set(summary["arm"])
    units = scores[(scores["level"] == unit) & scores["arm"].isin(arms)]
    tested = units.drop_duplicates(UNIT_KEYS[unit])
    n_repeats, n_seeds = units["repeat"].nunique(), units["seed"].nunique()
    n_folds = units["fold"].nunique()
    held_out = study.folds.holdout or n_folds == 1
    return CaptionFacts(
        unit=unit,
        n=_n(tested, unit),
        parts=_parts(held_out, n_folds, n_repeats, n_seeds),
        held_out=held_out,
        n_parts=len(units[["repeat", "fold", "seed"]].drop_duplicates()),
        n_arms=len(arms),
        n_repeats=n_repeats,
        n_seeds=n_seeds,
        scaled="sensitivity_at_90_specificity" in set(summary["metric"]) or not study.imported,
        calibrated_on=calibrated_on(study),
        imported=study.imported,
        declared=study.chosen_contrasts is None and not study.imported,
        baseline=BASELINE in arms,
        negatives=tuple(sorted(units.loc[units["label"] == 0, "status"].astype(str).unique())),
    )


def _n(tested: pd.DataFrame, unit: str) -> str:
    n_positive = int(tested["label"].sum())
    if unit == "patient":
        return f"n = {count(len(tested), 'patient')}, {n_positive} positive"
    people = count(tested["patient_id"].nunique(), "patient")
    return f"n = {count(len(tested), 'breast')}, {n_positive} positive, of {people}"


def _parts(held_out: bool, n_folds: int, n_repeats: int, n_seeds: int) -> str:
    """Return `the test folds of 2 repeats and 3 training seeds`, or `the test part`."""
    several = [
        *([count(n_repeats, "repeat")] if n_repeats > 1 else []),
        *([count(n_seeds, "training seed")] if n_seeds > 1 else []),
    ]
    of = f" of {listed(several)}" if several else ""
    if held_out:
        return f"the held-out test part{'s' if n_repeats > 1 else ''}{of}"
    return f"the {n_folds} test folds{of}"
