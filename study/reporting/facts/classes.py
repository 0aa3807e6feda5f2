"""Patients with images of several classes, whom the flow counts in each and Table 1 once."""

from mmbc.data.splits import patient_table
from study.records.stored_study import StoredStudy
from study.reporting.facts.prose import render


def n_of_several_classes(study: StoredStudy) -> int:
    """Return how many patients that were used have images of several classes."""
    return int((study.cohort.images.groupby("patient_id")["status"].nunique() > 1).sum())


def several_classes(study: StoredStudy) -> str:
    """Say why the classes of the flow add up to more than the patients used, and differ from Table 1; or ''."""
    n, images = n_of_several_classes(study), study.cohort.images
    if not n:
        return ""
    once = patient_table(images).groupby("status")["n_images"].agg(["sum", "size"])
    each = images.groupby("status")["patient_id"].agg(["size", "nunique"])
    apart = [
        {
            "name": str(status),
            "each": {"rows": int(row["size"]), "patients": int(row["nunique"])},
            "once": {"rows": int(once["sum"].get(status, 0)), "patients": int(once["size"].get(status, 0))},
        }
        for status, row in each.iterrows()
    ]
    return render(
        "several_classes",
        n=n,
        row="row" if study.imported else "image",
        positive=bool((images["label"] == 1).any()),
        apart=[line for line in apart if line["each"] != line["once"]],
    )
