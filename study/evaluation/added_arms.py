"""Added predictions beside the arms of a study: exploratory, about the fitted models alone (E1), and without a verdict.

They are evaluated by themselves, at the unit of analysis, and compared with each arm on the units that both have. So no
number of the study's own arms depends on them.
"""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from study.evaluation.arm_metrics import summarise
from study.evaluation.contrasts import paired_differences
from study.evaluation.draws import draws
from study.evaluation.units import UNIT_KEYS, Aligned, align, all_units, hard_arms
from study.records.added_predictions import UNVERIFIED
from study.records.stored_study import StoredStudy

EXPLORATORY = f"{UNVERIFIED}; exploratory, E1, not adjusted"
"""What goes with every difference to an added arm."""


def added_frames(
    study: StoredStudy, units: pd.DataFrame, arms: Sequence[str], *, n_replicates: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Return the metrics of added arms, their differences to each arm of the study, and gaps; empty without any.

    Args:
        study: with what was added to it.
        units: test units of its own arms.
        arms: its arms that have all their cells.
        n_replicates: bootstrap draws.
        seed: of the bootstrap.
    """
    if study.added is None:
        return pd.DataFrame(), pd.DataFrame(), []
    unit, prevalence = study.settings.unit, study.settings.protocol.prevalence
    theirs, gaps = all_units(replace(study, predictions=study.added.rows))
    theirs, ours = (frame[frame["level"] == unit] for frame in (theirs, units))
    hard = hard_arms(study.added.rows)
    lines: list[dict[str, object]] = []
    differences: list[dict[str, object]] = []
    for arm in study.added.arms:
        of_arm = theirs[theirs["arm"] == arm]
        patients, weights = draws(study, n_replicates, seed, set(of_arm["patient_id"]))
        rows = align(of_arm, [arm], unit, patients)
        if rows.with_both_classes().rows.empty:
            continue  # the gaps say so, part by part
        lines += [line for line in summarise(rows, weights, prevalence) if line["primary"]]
        for other in arms if arm not in hard else ():
            pair = _paired(ours[ours["arm"] == other], of_arm, unit, patients).with_both_classes()
            sizes = {"n_patients": pair.rows["patient_id"].nunique()}
            for line in paired_differences(pair, [(arm, other)]) if len(pair.rows) else ():
                differences.append({**line, **sizes, "note": EXPLORATORY})
    summary = pd.DataFrame(lines).drop(columns="primary", errors="ignore")
    if len(summary):
        summary["note"] = [f"{UNVERIFIED}{'; ' if note else ''}{note}" for note in summary["note"]]
    contrasts = pd.DataFrame(differences).drop(columns="p", errors="ignore")
    return summary, contrasts, [gap for gap in gaps if f", {unit} level: " in gap]


def _paired(ours: pd.DataFrame, theirs: pd.DataFrame, unit: str, patients: pd.Index) -> Aligned:
    """Return the units that an arm of the study and an added one share; one seed of either stands for all."""
    keys = ["repeat", "fold", *UNIT_KEYS[unit]]
    if min(ours["seed"].nunique(), theirs["seed"].nunique()) > 1:
        keys.append("seed")
    index = [pd.MultiIndex.from_frame(frame[keys].astype(str)) for frame in (ours, theirs)]
    both = [ours[index[0].isin(index[1])], theirs[index[1].isin(index[0])]]
    arms = [theirs["arm"].iloc[0], ours["arm"].iloc[0]]
    return align(pd.concat(both, ignore_index=True), arms, unit, patients)
