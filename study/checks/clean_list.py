"""The clean list: facts about a cohort's files that a group can publish, and others can use without this program.

One row per listed image: who and which case, whether it can be used and what it is a copy of, whether it is annotated,
which breasts are undecided, and the canonical folds. It holds no pixel, no age and no path.
"""

from pathlib import Path

import pandas as pd

from mmbc.data.account import judge
from mmbc.data.tables.labels import CONTRALATERAL
from mmbc.errors import MmbcError, count
from mmbc.files import write_atomically
from study.checks.subject import Subject, given

COLUMNS = {
    "image": "file, relative to the cohort's folder",
    "patient_key": "persons; patients who share an identical image have one key",
    "case_key": "examinations",
    "breast": "L or R",
    "view": "CC or MLO",
    "status": "class as listed",
    "site": "letter or site",
    "use": "used, or why not: missing, unreadable, undecided, duplicate, other class",
    "duplicate_of": "the image that is used instead of a pixel-identical copy",
    "outlined": "1 with a coloured outline in the pixels, 0 without, empty where the file was not read",
    "breast_status": "class of the breast: that of the case, Contralateral, or empty where undecided or not known",
    "breast_undecided": "why it is not known which breast of a positive case is meant",
    "sha256": "digest of the file",
    "pixels_sha256": "digest of the decoded pixels",
    "fold": "canonical test fold (repeat 0) of the patient, empty for rows that are not used",
}
"""Columns of the list, and what they hold."""


def clean_list(subject: Subject) -> pd.DataFrame:
    """Return the list, in the order of the cohort's own."""
    account, listing = given(subject.account), given(subject.listing)
    rows, used = account.rows, account.used
    facts = subject.facts.reindex(rows.index) if subject.facts is not None else pd.DataFrame(index=rows.index)
    copied = account.step == "duplicate"
    prefix = "pixel-identical to "
    status, undecided = _breasts(subject)
    return pd.DataFrame(
        {
            "image": rows["image_id"],
            "patient_key": rows["patient_id"],
            "case_key": rows["case_id"],
            "breast": rows["breast"],
            "view": rows["view"],
            "status": listing.images["status"],
            "site": rows["site"],
            "use": account.step,
            "duplicate_of": account.reason.str.removeprefix(prefix).where(copied, ""),
            "outlined": _outlined(facts),
            "breast_status": status,
            "breast_undecided": undecided,
            "sha256": _known(facts, "content_digest"),
            "pixels_sha256": _known(facts, "pixel_digest"),
            "fold": rows["patient_id"].map(_canonical(subject)).where(used).astype("Int64"),
        }
    )[list(COLUMNS)]


def _outlined(facts: pd.DataFrame) -> pd.Series:
    if "n_outline_pixels" not in facts:
        return pd.Series(pd.NA, index=facts.index, dtype="Int64")
    return (facts["n_outline_pixels"] > 0).astype("Int64").mask(facts["error"].fillna("unread") != "")


def _known(facts: pd.DataFrame, column: str) -> pd.Series:
    return facts[column].fillna("") if column in facts else pd.Series("", index=facts.index)


def _canonical(subject: Subject) -> dict[str, int]:
    return subject.folds.test_fold_of() if subject.folds is not None else {}


def _breasts(subject: Subject) -> tuple[pd.Series, pd.Series]:
    """Return the class of each row's breast, and why it is undecided, as labels per breast would have it."""
    listing = given(subject.listing)
    nothing = pd.Series("", index=listing.images.index)
    if listing.sides in ("unknown", "given"):
        return nothing, nothing
    data = subject.data.model_copy(update={"label_level": "breast", "outlines": "sham", "negative": ()})
    try:
        account = judge(listing, data, subject.facts)
    except MmbcError:
        return nothing, nothing
    undecided = account.reason.where(account.step == "undecided", "")
    return account.rows["status"].where(undecided == "", ""), undecided


def write_clean_list(subject: Subject, path: Path) -> str:
    """Write the list, and beside it what its columns mean; return one sentence about it."""
    rows = clean_list(subject)
    meaning = "\n".join(f"- `{name}`: {text}" for name, text in COLUMNS.items())
    write_atomically(path, rows.to_csv(index=False).encode())
    write_atomically(path.with_name(f"{path.stem}-columns.md"), f"# Columns of {path.name}\n\n{meaning}\n".encode())
    contralateral = int((rows["breast_status"] == CONTRALATERAL).sum())
    return (
        f"{count(len(rows), 'image')}: {int((rows['use'] == 'used').sum())} can be used,"
        f" {int((rows['use'] == 'duplicate').sum())} are copies, {int(rows['outlined'].fillna(0).sum())} are"
        f" outlined, {contralateral} show the opposite breast of a positive case,"
        f" {int((rows['breast_undecided'] != '').sum())} a breast that is undecided."
    )
