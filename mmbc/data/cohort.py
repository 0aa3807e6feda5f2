"""The cohort: one validated row per image, and the account of every row that is not in it.

A reader makes a `Listing` (what the files say); `assemble` turns it into a `Cohort` (what a study may use).
"""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pandas as pd

from mmbc.errors import CohortError, ImageError, some

KEYS = ("image_id", "patient_id", "case_id", "breast", "view", "status", "site")
"""The identifying columns of every listing and cohort, before `label`, the clinical features and `path`."""

FLOW_STEPS = ("listed", "missing", "unreadable", "duplicate", "used")


@dataclass(frozen=True)
class Feature:
    """One clinical column and how it is encoded."""

    name: str
    kind: Literal["numeric", "ordinal", "categorical"]


@dataclass(frozen=True)
class Listing:
    """What a reader found at a path.

    Attributes:
        name: cohort name, used for the default name of a study.
        images: one row per listed image with the columns of `KEYS`, the features and `path` (a pathlib.Path).
        features: the clinical columns.
        notice: a warning that every table and figure made of this cohort carries; empty for real data.
        notes: facts about the files that a reader of the report should know, one sentence each.
    """

    name: str
    images: pd.DataFrame
    features: tuple[Feature, ...]
    notice: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cohort:
    """The rows a study may use.

    Attributes:
        name: cohort name.
        images: one row per image with the columns of `KEYS`, `label` (0 or 1), the features, `path`, and, where the files were
            opened, `pixel_digest`; index 0..n-1.
        features: the clinical columns.
        flow: one row per (step, status) with `n_images` and `n_patients`; steps as in `FLOW_STEPS`.
        excluded: one row per listed image that is not used: `image_id`, `patient_id`, `status`, `step`, `reason`.
        images_checked: whether the files were opened; False for a study that uses no image.
        notice: a warning every table and figure carries; empty for real data.
        notes: facts a reader of the report should know, one sentence each.
    """

    name: str
    images: pd.DataFrame
    features: tuple[Feature, ...]
    flow: pd.DataFrame
    excluded: pd.DataFrame
    images_checked: bool
    notice: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def n_patients(self) -> int:
        """Number of patients (groups that are never split)."""
        return int(self.images["patient_id"].nunique())

    @property
    def digest(self) -> str:
        """16 hex digits over rows, labels, features and image contents; where files lie does not matter."""
        rows = self.images.drop(columns="path", errors="ignore")
        text = rows.to_csv(index=False) + repr([(f.name, f.kind) for f in self.features])
        state = hashlib.sha256(f"images_checked={self.images_checked}\n{text}".encode())
        return state.hexdigest()[:16]


def label_rows(listing: Listing, positive: str) -> pd.DataFrame:
    """Return the listing's rows with `label`: 1 where the status is `positive`, else 0.

    Raises:
        CohortError: no row, a key that repeats or is empty, or one class only.
    """
    rows = listing.images.reset_index(drop=True)
    _check_keys(listing.name, rows)
    known = sorted(rows["status"].unique())
    if positive not in known:
        raise CohortError(f"{listing.name}: no image has the status {positive!r} (data.positive); found: {some(known)}")
    if len(known) < 2:
        raise CohortError(f"{listing.name}: every image has the status {positive!r}; two classes are needed")
    columns = [*KEYS, "label", *(feature.name for feature in listing.features), "path"]
    return rows.assign(label=(rows["status"] == positive).astype("int64"))[columns]


def _check_keys(name: str, rows: pd.DataFrame) -> None:
    if rows.empty:
        raise CohortError(f"{name}: lists no image")
    for key in ("image_id", "patient_id", "case_id", "status"):
        empty = rows.index[rows[key].isna() | (rows[key].astype(str).str.strip() == "")]
        if len(empty):
            raise CohortError(f"{name}: column {key!r} is empty in rows {some(empty)}")
    repeated = rows.loc[rows["image_id"].duplicated(keep=False), "image_id"].unique()
    if len(repeated):
        raise CohortError(f"{name}: listed more than once: {some(repeated)}")


def assemble(
    listing: Listing,
    *,
    positive: str,
    facts: pd.DataFrame | None = None,
    allow_missing: bool = False,
    max_unreadable: int = 0,
) -> Cohort:
    """Turn a listing into the cohort a study uses, accounting for every row.

    Args:
        listing: what the reader found.
        positive: the status labelled 1.
        facts: one row per listed image, in order, as `mmbc.data.images.read_images` returns them; None when no file
            was opened, which the cohort's digest then records.
        allow_missing: go on without listed files that do not exist.
        max_unreadable: how many unreadable files are tolerated.

    Raises:
        CohortError: rows that do not hold together.
        ImageError: more missing or unreadable files than permitted; all are named in the text up to ten.
    """
    rows = label_rows(listing, positive)
    notes = list(listing.notes)
    step = pd.Series("used", index=rows.index)
    reason = pd.Series("", index=rows.index)
    if facts is not None:
        facts = facts.set_axis(rows.index)
        rows = rows.assign(pixel_digest=facts["pixel_digest"])
        step, reason = _judge_files(rows, facts, allow_missing=allow_missing, max_unreadable=max_unreadable)
        rows, merged = _merge_patients(rows, step == "used")
        notes += merged
        _mark_duplicates(rows, step, reason)
    accounted = rows[["image_id", "patient_id", "status"]].assign(step=step, reason=reason)
    excluded = accounted[step != "used"]
    used = rows.loc[step == "used"].reset_index(drop=True)
    if used["label"].nunique() < 2:
        raise CohortError(f"{listing.name}: the usable images have one class only; see the flow table")
    return Cohort(
        name=listing.name, images=used, features=listing.features, flow=_flow(rows, step),
        excluded=excluded.reset_index(drop=True), images_checked=facts is not None,
        notice=listing.notice, notes=tuple(notes),
    )  # fmt: skip


def limited(listing: Listing, n_patients: int, *, seed: int = 0) -> Listing:
    """Return the listing of a sample of patients, every status in its share, for a quick try."""
    first = listing.images.drop_duplicates("patient_id").sample(frac=1, random_state=seed)
    by_status = first.groupby("status")["status"]
    rank = by_status.cumcount() / by_status.transform("size")
    kept = first.assign(rank=rank).sort_values("rank", kind="stable").head(n_patients)["patient_id"]
    images = listing.images[listing.images["patient_id"].isin(kept)].reset_index(drop=True)
    n_listed = listing.images["patient_id"].nunique()
    note = f"A sample of {len(kept)} of the {n_listed} listed patients (--limit-patients): for a quick try, not for a result."
    return replace(listing, images=images, notes=(*listing.notes, note))


def _judge_files(
    rows: pd.DataFrame, facts: pd.DataFrame, *, allow_missing: bool, max_unreadable: int
) -> tuple[pd.Series, pd.Series]:
    """Return (step, reason) by row after the files were read."""
    reason = facts["error"].astype(str)
    missing = reason == "missing"
    unreadable = (reason != "") & ~missing
    if missing.any() and not allow_missing:
        names = some(Path(path).name for path in rows.loc[missing, "path"])
        raise ImageError(
            f"{int(missing.sum())} of {len(rows)} listed images are missing: {names}. "
            "Complete the download, or go on with the rest: --allow-missing-images"
        )
    if unreadable.sum() > max_unreadable:
        names = some(f"{Path(p).name} ({e})" for p, e in zip(rows["path"][unreadable], reason[unreadable], strict=True))
        raise ImageError(
            f"{int(unreadable.sum())} images cannot be read: {names}. "
            f"Replace them, or tolerate them: --max-unreadable {int(unreadable.sum())}"
        )
    step = pd.Series("used", index=rows.index).mask(missing, "missing").mask(unreadable, "unreadable")
    return step, reason


def _merge_patients(rows: pd.DataFrame, usable: pd.Series) -> tuple[pd.DataFrame, list[str]]:
    """Give patients who share a pixel-identical image one patient key: the alphabetically first."""
    leader = {patient: patient for patient in rows["patient_id"].unique()}

    def find(patient: str) -> str:
        while leader[patient] != patient:
            patient = leader[patient]
        return patient

    notes = []
    shared = rows[usable].groupby("pixel_digest")["patient_id"].unique()
    for patients in shared[shared.map(len) > 1]:
        roots = sorted({find(patient) for patient in patients})
        for other in roots[1:]:
            leader[other] = roots[0]
            notes.append(f"patients {roots[0]} and {other} share a pixel-identical image and are one group")
    return rows.assign(patient_id=rows["patient_id"].map(find)), notes


def _mark_duplicates(rows: pd.DataFrame, step: pd.Series, reason: pd.Series) -> None:
    """Mark every pixel-identical copy of an image of the same patient but the first; `step` and `reason` in place."""
    usable = rows[step == "used"]
    first = usable.groupby(["patient_id", "pixel_digest"])["image_id"].transform("first")
    copies = usable.index[usable["image_id"] != first]
    conflicting = usable.loc[copies, "label"] != usable.groupby("pixel_digest")["label"].transform("first")[copies]
    if conflicting.any():
        names = some(usable.loc[copies[conflicting], "image_id"])
        raise CohortError(f"pixel-identical images carry different labels: {names}; correct the labels")
    step[copies] = "duplicate"
    reason[copies] = [f"pixel-identical to {original}" for original in first[copies]]


def _flow(rows: pd.DataFrame, step: pd.Series) -> pd.DataFrame:
    """Count images and patients by step and status; `listed` counts all rows."""
    frames = [rows.assign(step="listed"), rows.assign(step=step)]
    counts = (
        pd.concat(frames)
        .groupby(["step", "status"], sort=False)
        .agg(n_images=("image_id", "size"), n_patients=("patient_id", "nunique"))
    )
    complete = pd.MultiIndex.from_product([FLOW_STEPS, sorted(rows["status"].unique())], names=["step", "status"])
    return counts.reindex(complete, fill_value=0).reset_index()
