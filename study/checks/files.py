"""Checks of the files: what is absent, and what is there twice."""

import pandas as pd

from mmbc.errors import some
from study.checks.check import Outcome, check, failed, passed, warning
from study.checks.duplicates import clusters
from study.checks.subject import Subject, given
from study.records.finding import WARNING
from study.text.format import count

GROUP = "files and copies"


@check(
    "A01",
    "missing or unreadable files",
    group=GROUP,
    question="Is every listed file there, and can it be decoded to its end?",
    meaning="Images are rarely missing at random; the results describe those that are left.",
    remedy="Complete the download. To go on with the rest: `--allow-missing-images`, `--max-unreadable`; the flow"
    " table counts what is left out.",
    needs=("list", "files"),
)
def absent(subject: Subject) -> Outcome:
    """Listed files that are missing or cannot be read."""
    account, tolerance = given(subject.account), subject.tolerance
    steps = account.rows.assign(step=account.step, reason=account.reason)
    lost = steps[steps["step"].isin(["missing", "unreadable"])]
    n_compared = int(account.label.notna().sum())
    if lost.empty:
        return passed(f"All {n_compared} listed images are there and can be read.")
    n_missing, n_bad = int((lost["step"] == "missing").sum()), int((lost["step"] == "unreadable").sum())
    evidence = (
        f"Of {n_compared} listed images {n_missing} are missing and {n_bad} cannot be read:"
        f" {some(lost['image_id'], 3)}."
    )
    counts = [
        {
            "class": str(status),
            "listed": len(rows),
            "missing": int((rows["step"] == "missing").sum()),
            "unreadable": int((rows["step"] == "unreadable").sum()),
        }
        for status, rows in steps[account.label.notna()].groupby("status")
    ]
    if (tolerance.allow_missing_images or not n_missing) and n_bad <= tolerance.max_unreadable:
        return warning(evidence, "left out and counted in the flow table, as was asked for", counts)
    return failed(evidence, rows=counts)


@check(
    "A02",
    "identical files",
    group=GROUP,
    question="Do two files have the same bytes (SHA-256)?",
    meaning="A copy on both sides of a split is a test image that was trained on.",
    remedy="Keep one of them. The program uses copies of one patient once, and merges patients who share one.",
    needs=("list", "files", "used images"),
    severity=WARNING,
)
def same_bytes(subject: Subject) -> Outcome:
    """Files with the same bytes."""
    return _copies(subject, "content_digest", "the same bytes")


@check(
    "A03",
    "identical pixels",
    group=GROUP,
    question="Do two images have the same pixels, however their files were written?",
    meaning="As A02; copies also count twice in training and in every metric.",
    remedy="Keep one of them. The program uses copies of one patient once, and merges patients who share one.",
    needs=("list", "files", "used images"),
)
def same_pixels(subject: Subject) -> Outcome:
    """Images with the same pixels; no study can be made of copies with different labels."""
    outcome, conflicts = _copies(subject, "pixel_digest", "the same pixels"), given(subject.account).conflicts
    if outcome.status != WARNING or not conflicts:
        return outcome
    names = given(subject.listing).images["image_id"]
    pairs = some(f"{names[one]} and {names[other]}" for one, other in conflicts)
    evidence = f"{outcome.evidence} These copies carry different labels and stop every study: {pairs}."
    return failed(evidence, rows=outcome.rows)


def _copies(subject: Subject, column: str, what: str) -> Outcome:
    """Find groups of listed, readable files that agree in a digest; the copies are what the first of each is not."""
    listing, facts = given(subject.listing), given(subject.facts)
    rows = listing.images.assign(digest=facts[column])
    readable = rows[(facts["error"] == "").reindex(rows.index, fill_value=False)]
    groups = readable[readable.duplicated("digest", keep=False)].groupby("digest", sort=False)
    if groups.ngroups == 0:
        return passed(f"No two of {len(readable)} files have {what}.")
    n_patients, n_classes = groups["patient_id"].nunique(), groups["status"].nunique()
    n_copies = int(groups.size().sum()) - groups.ngroups
    across = int((n_patients > 1).sum())
    evidence = (
        f"{count(n_copies, 'image is a copy', 'images are copies')}:"
        f" {count(groups.ngroups, 'group has', 'groups have')} {what}, {across} of them across patients, "
        f"{int((n_classes > 1).sum())} across classes."
    )
    handled = "copies of one patient are used once; patients who share an image are one patient in every split"
    return warning(evidence, handled, _listed(groups))


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


@check(
    "A04",
    "near-duplicates",
    group=GROUP,
    question="Do two images look the same: perceptual hashes of 256 bits (ImageHash) close together, mirrored ones"
    " included, and thumbnails that correlate?",
    meaning="Resaved, brightened, mirrored or annotated copies leak like identical ones.",
    remedy="Look at the contact sheet. Give the same person one `patient_id`, or remove one of the pair.",
    needs=("pixels",),
)
def near_duplicates(subject: Subject) -> Outcome:
    """Images that are the same exposure; across patients they can lie in training and test part at once."""
    images, pairs = subject.images, given(subject.pixels).pairs
    if pairs.empty:
        return passed(f"No two of {len(images)} images are the same exposure.")
    one, other = (images[["image_id", "patient_id"]].iloc[pairs[row]].astype(str) for row in ("i", "j"))
    across = list(zip(one["patient_id"], other["patient_id"], strict=True))
    people = sorted({tuple(sorted(pair)) for pair in across if pair[0] != pair[1]})
    n_images, n_across = sum(map(len, clusters(pairs))), int((~pairs["same_patient"]).sum())
    whose = f"{n_across} of them of two patients: {some(f'{a} and {b}' for a, b in people)}"
    evidence = (
        f"{count(len(pairs), 'pair of images is', 'pairs of images are')} the same exposure ({n_images} images), "
        f"{whose if people else 'all within a patient'}."
    )
    table = pd.DataFrame(
        {
            "image": one["image_id"].to_numpy(),
            "other image": other["image_id"].to_numpy(),
            "patient": one["patient_id"].to_numpy(),
            "other patient": other["patient_id"].to_numpy(),
        }
    ).join(pairs[["distance", "correlation", "mirrored"]])
    rows = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    if people:
        return failed(evidence, rows=rows)
    handled = "the patient's images are in one part of every split; each counts as an image of its own"
    return warning(evidence, handled, rows)
