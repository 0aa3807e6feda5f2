"""Sentence on a study that was a quick try: it stands before any number."""

from study.records.stored_study import StoredStudy
from study.reporting.facts.prose import render
from study.text.format import count

FEW_EPOCHS = 5
"""With no more epochs than these a fit has hardly begun to learn."""
SAMPLED = "(--limit-patients)"
"""In the note of a cohort that is a sample (`mmbc.data.listing.sample_patients`)."""


def quick_try(study: StoredStudy) -> str:
    """Return that a study was a quick try, why, and how much was listed and used; '' for a study in earnest."""
    if study.imported:
        return ""
    settings = study.settings
    reasons = [note.partition(":")[0] for note in study.cohort.notes if SAMPLED in note]
    epochs = max((settings.arm_config(arm).train.max_epochs for arm in settings.arms), default=FEW_EPOCHS + 1)
    if settings.preset == "tiny":
        reasons.append("The preset tiny, which is for tests")
    if epochs <= FEW_EPOCHS:
        reasons.append(f"{count(epochs, 'epoch')} of training at most")
    if not reasons:
        return ""
    totals = study.cohort.flow.groupby("step", sort=False)["n_images"].sum()
    return render(
        "quick_try",
        reasons=reasons,
        n_listed=int(totals["listed"]),
        n_images=len(study.cohort.images),
        n_patients=study.cohort.n_patients,
    )
