"""Units of which a model was surest, rightly and wrongly, at its operating point."""

import dataclasses

import pandas as pd

from study.evaluation.units import UNIT_KEYS, all_units
from study.records.stored_study import StoredStudy

KINDS = {(1, True): "true positive", (1, False): "false negative", (0, True): "false positive"}
KINDS |= {(0, False): "true negative"}
"""Label, and whether the unit was called positive in most runs -> kind of result."""


def example_units(study: StoredStudy, arm: str, each: int) -> pd.DataFrame:
    """Return the units of each kind of which a model was surest.

    A unit is called positive above the threshold for 90 % specificity, or at a probability of 0.5 where there is none.
    One that half of the runs call positive is of no kind.

    Args:
        study: finished as far as the arm goes.
        arm: the model.
        each: units of a kind, at most.

    Returns:
        kind, n (units of that kind), the keys of the unit, status, label, probability (calibrated, mean over runs), and
        image_id: of its images the one with the highest mean logit.
    """
    unit = study.settings.unit
    keys, predictions = UNIT_KEYS[unit], study.predictions[study.predictions["arm"] == arm]
    units, _ = all_units(dataclasses.replace(study, predictions=predictions), (unit,))
    call = "called" if units["flagged"].isna().any() else "flagged"
    by_unit = units.groupby(keys, sort=True, dropna=False, observed=True).agg(
        status=("status", "first"),
        label=("label", "first"),
        probability=("prob_calibrated", "mean"),
        share=(call, lambda calls: calls.astype(float).mean()),
    )
    told = by_unit[by_unit["share"] != 0.5].reset_index()
    kinds = [KINDS[int(label), share > 0.5] for label, share in told[["label", "share"]].to_numpy()]
    told = told.assign(kind=kinds, sure=(told["probability"] - 0.5) * (2 * (told["share"] > 0.5) - 1))
    tested = predictions[predictions["part"] == "test"]
    logits = tested.groupby(UNIT_KEYS["image"], sort=True, dropna=False, observed=True)["logit"].mean()
    strongest = logits.sort_values(ascending=False, kind="stable").reset_index().drop_duplicates(keys)
    chosen = []
    for kind in KINDS.values():
        of_kind = told[told["kind"] == kind].sort_values("sure", ascending=False, kind="stable")
        chosen.append(of_kind.head(each).assign(n=len(of_kind)))
    frame = pd.concat(chosen).merge(strongest[[*keys, "image_id"]], on=keys, how="left")
    return frame[["kind", "n", *keys, "status", "label", "probability", "image_id"]].reset_index(drop=True)
