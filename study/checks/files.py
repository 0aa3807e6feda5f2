"""Checks of the files: what is absent, and what is there twice."""

import pandas as pd

from mmbc.errors import some
from study.checks.subject import Subject
from study.records.finding import FAILED, NOT_CHECKED, PASSED, WARNING, Finding

UNOPENED = "no image was opened: no arm uses images"


def absent(subject: Subject) -> Finding:
    """A01: listed files that are missing or cannot be read."""
    if subject.facts is None:
        return Finding("A01", NOT_CHECKED, UNOPENED)
    account, tolerance = subject.account, subject.tolerance
    lost = account.rows.assign(step=account.step, reason=account.reason)
    lost = lost[lost["step"].isin(["missing", "unreadable"])]
    n_compared = int(account.label.notna().sum())
    if lost.empty:
        return Finding("A01", PASSED, f"All {n_compared} listed images are there and can be read.")
    n_missing, n_bad = int((lost["step"] == "missing").sum()), int((lost["step"] == "unreadable").sum())
    tolerated = (tolerance.allow_missing_images or not n_missing) and n_bad <= tolerance.max_unreadable
    counts = [
        {
            "class": str(status),
            "listed": len(rows),
            "missing": int((rows["step"] == "missing").sum()),
            "unreadable": int((rows["step"] == "unreadable").sum()),
        }
        for status, rows in account.rows.assign(step=account.step)[account.label.notna()].groupby("status")
    ]
    return Finding(
        "A01",
        WARNING if tolerated else FAILED,
        f"Of {n_compared} listed images {n_missing} are missing and {n_bad} cannot be read:"
        f" {some(lost['image_id'], 3)}.",
        "left out and counted in the flow table, as was asked for" if tolerated else "",
        rows=tuple(counts),
    )


def same_bytes(subject: Subject) -> Finding:
    """A02: files with the same bytes."""
    return _copies(subject, "A02", "content_digest", "the same bytes")


def same_pixels(subject: Subject) -> Finding:
    """A03: images with the same pixels."""
    return _copies(subject, "A03", "pixel_digest", "the same pixels")


def _copies(subject: Subject, code: str, column: str, what: str) -> Finding:
    """Find groups of listed, readable files that agree in a digest; the copies are what the first of each is not."""
    if subject.facts is None:
        return Finding(code, NOT_CHECKED, UNOPENED)
    rows = subject.listing.images.assign(digest=subject.facts[column])
    readable = rows[(subject.facts["error"] == "").reindex(rows.index, fill_value=False)]
    groups = readable[readable.duplicated("digest", keep=False)].groupby("digest", sort=False)
    if groups.ngroups == 0:
        return Finding(code, PASSED, f"No two of {len(readable)} files have {what}.")
    n_patients, n_classes = groups["patient_id"].nunique(), groups["status"].nunique()
    n_copies = int(groups.size().sum()) - groups.ngroups
    across = int((n_patients > 1).sum())
    evidence = (
        f"{n_copies} images are copies: {groups.ngroups} groups have {what}, {across} of them across patients, "
        f"{int((n_classes > 1).sum())} across classes."
    )
    shown = tuple(_listed(groups))
    if subject.account.conflicts and column == "pixel_digest":
        names = subject.listing.images["image_id"]
        pairs = some(f"{names[one]} and {names[other]}" for one, other in subject.account.conflicts)
        return Finding(
            code,
            FAILED,
            f"{evidence} Copies carry different labels, no study can be made of them: {pairs}.",
            rows=shown,
        )
    handled = "copies of one patient are used once; patients who share an image are one patient in every split"
    return Finding(code, WARNING, evidence, handled, rows=shown)


def _listed(groups: "pd.api.typing.DataFrameGroupBy") -> list[dict[str, object]]:
    """Return the groups, those across patients before the others."""
    frames = sorted((rows for _, rows in groups), key=lambda rows: -rows["patient_id"].nunique())
    return [
        {
            "images": ", ".join(rows["image_id"].astype(str)),
            "patients": rows["patient_id"].nunique(),
            "classes": ", ".join(sorted(rows["status"].astype(str).unique())),
        }
        for rows in frames
    ]
