"""Facts for captions of figures: who was tested, how often, and what the probabilities are."""

from dataclasses import asdict, dataclass
from typing import Any

from study.design.study_file import BASELINE
from study.evaluation.evaluation import Evaluation
from study.evaluation.units import UNIT_KEYS
from study.records.stored_study import StoredStudy
from study.reporting.facts.counts import unit_noun
from study.reporting.facts.prose import render
from study.reporting.facts.search_facts import calibrated_on
from study.reporting.figures.parts import FEW


@dataclass(frozen=True)
class CaptionFacts:
    """Facts that captions are made of.

    Attributes:
        unit: primary unit of analysis, `patient` or `breast`.
        noun: what a unit is called in a count.
        n_units, n_positive, n_patients: how many units, of how many patients, were tested, and how many are positive.
        held_out: whether there is one test part instead of folds.
        n_folds, n_repeats, n_seeds: of the numbers at hand.
        n_parts: how many test parts an arm has.
        n_arms: how many arms have all their cells.
        scaled: whether probabilities were calibrated on rows of the fold that were not tested.
        calibrated_on: whose rows these are, in words.
        imported: whether the models were trained elsewhere.
        declared: whether the contrasts were declared before the run.
        baseline: whether the logistic regression is among the arms.
        n_negatives: how many statuses count as negative.
        few: with more arms than this, curves have no bands.
    """

    unit: str
    noun: str
    n_units: int
    n_positive: int
    n_patients: int
    held_out: bool
    n_folds: int
    n_repeats: int
    n_seeds: int
    n_parts: int
    n_arms: int
    scaled: bool
    calibrated_on: str
    imported: bool
    declared: bool
    baseline: bool
    n_negatives: int
    few: int = FEW


def caption(name: str, shared: CaptionFacts | None = None, **facts: Any) -> str:
    """Return the caption of a figure from its template (`templates/figures/NAME.md.j2`)."""
    return render(f"figures/{name}", **(asdict(shared) if shared is not None else {}), **facts)


def caption_facts(study: StoredStudy, evaluation: Evaluation) -> CaptionFacts:
    """Gather what captions say of a study's scores."""
    unit, scores, summary = evaluation.unit, evaluation.scores, evaluation.summary
    arms = set(summary["arm"])
    units = scores[(scores["level"] == unit) & scores["arm"].isin(arms)]
    tested = units.drop_duplicates(UNIT_KEYS[unit])
    return CaptionFacts(
        unit=unit,
        noun=unit_noun(tested, unit),
        n_units=len(tested),
        n_positive=int(tested["label"].sum()),
        n_patients=tested["patient_id"].nunique(),
        held_out=study.folds.holdout or units["fold"].nunique() == 1,
        n_folds=units["fold"].nunique(),
        n_repeats=units["repeat"].nunique(),
        n_seeds=units["seed"].nunique(),
        n_parts=len(units[["repeat", "fold", "seed"]].drop_duplicates()),
        n_arms=len(arms),
        scaled="sensitivity_at_90_specificity" in set(summary["metric"]) or not study.imported,
        calibrated_on=calibrated_on(study),
        imported=study.imported,
        declared=study.chosen_contrasts is None and not study.imported,
        baseline=BASELINE in arms,
        n_negatives=units.loc[units["label"] == 0, "status"].nunique(),
    )
