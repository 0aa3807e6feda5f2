"""Settings that were searched: whether this cohort's patients had a part in it, and what then has to be said."""

import hashlib
from collections.abc import Sequence

import pandas as pd

from mmbc.data.cohort import Cohort
from study.design.study_file import StudyFile, Tuned

OPTIMISTIC = "optimistic: hyper-parameters were chosen on these patients"
"""What everything of a study says whose test patients had a part in the choice of its settings."""


def patient_digests(cohort: str, images: pd.DataFrame) -> list[str]:
    """Return 8 hex digits for each patient of a cohort: enough to find one again, too little to tell who it is."""
    ids = sorted(images["patient_id"].unique())
    return [hashlib.sha256(f"{cohort}|{patient}".encode()).hexdigest()[:8] for patient in ids]


def stamp(study: str, arms: Sequence[str], cohort: Cohort) -> Tuned:
    """Return what `best.toml` says of the arms that were searched and of the cohort it was done on."""
    return Tuned(
        study=study,
        cohort=cohort.name,
        cohort_digest=cohort.digest,
        arms=tuple(arms),
        patients=tuple(patient_digests(cohort.name, cohort.images)),
    )


def warning(study: StudyFile, cohort: Cohort) -> str:
    """Return the notice of a study whose settings were searched on some or all of its own patients; else ''.

    A nested search needs none, because no test patient has a part in it; nor does a flat one on a single split, whose
    test part is nobody's validation part.
    """
    protocol = study.protocol
    single = (protocol.holdout is not None or protocol.test_where) and protocol.repeats == 1
    if study.search is not None and study.search.mode == "flat" and not single:
        return OPTIMISTIC
    if study.tuned is None:
        return ""
    if study.tuned.cohort_digest == cohort.digest:
        return OPTIMISTIC
    mine = patient_digests(cohort.name, cohort.images)
    both = set(mine) & set(study.tuned.patients)
    if not both:
        return ""
    return OPTIMISTIC.replace("these patients", f"{len(both)} of the {len(mine)} patients, by their ids")


def joined(notices: Sequence[str]) -> str:
    """Return several notices as one."""
    return "; ".join(dict.fromkeys(notice for notice in notices if notice))
