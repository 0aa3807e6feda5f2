"""The account of a listing: for every row whether it can be used, and if not, why.

Labels are settled here (per case or per breast), patients who share an image become one group, and copies are found.
"""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from mmbc.config import DataConfig
from mmbc.data.listing import Listing, label_rows
from mmbc.data.tables import contradictions, labels
from mmbc.errors import CohortError, count, some

FLOW_STEPS = ("listed", "other class", "missing", "unreadable", "undecided", "duplicate", "used")


@dataclass
class Account:
    """Every listed row and its fate.

    Attributes:
        rows: the listing's rows, with patients who share an image merged and the status per breast where labels are.
        label: 1, 0 or NA by row.
        step: one of `FLOW_STEPS` by row; `used` until something excludes it.
        reason: why a row is excluded; empty for a used one.
        notes: facts for the readers of a report, one sentence each.
        conflicts: pixel-identical images with different labels, as pairs of row numbers; no study can be made of them.
        merged: patients who share an image with another one: patient, and the patient whose key the group has.
        mixed: whether each row is of a case (a breast) that has both labels, (n_rows,) of bool.
        image_base: the folder at which relative paths of images begin; None where the layout has no such paths.
        refusal: why no study can be made of those, with the ways on; '' where there are none, or they are settled.
    """

    rows: pd.DataFrame
    label: pd.Series
    step: pd.Series
    reason: pd.Series
    notes: list[str]
    conflicts: tuple[tuple[int, int], ...] = ()
    merged: tuple[tuple[str, str], ...] = ()
    mixed: pd.Series = field(default_factory=lambda: pd.Series(dtype=bool))
    refusal: str = ""
    image_base: Path | None = None

    @property
    def used(self) -> pd.Series:
        """Whether each row is used, (n_rows,) of bool."""
        return self.step == "used"

    def exclude(self, which: pd.Series, step: str, reason: pd.Series | str) -> None:
        """Exclude rows; one that is excluded already keeps its first reason."""
        chosen = which & self.used
        self.step = self.step.mask(chosen, step)
        self.reason = self.reason.mask(chosen, reason)


def judge(listing: Listing, data: DataConfig, facts: pd.DataFrame | None) -> Account:
    """Decide for every row whether it can be used.

    How many files may be absent, and whether labels may differ within a unit or between copies, is for `check_files`,
    `check_labels` and `check_copies`.

    Args:
        listing: the rows, with the features that are used.
        data: classes and label level.
        facts: see `mmbc.data.cohort.assemble`; None when no file was opened.

    Raises:
        CohortError: rows that do not hold together, or labels that cannot be known.
    """
    rows = listing.images
    label = label_rows(listing, data)
    account = Account(
        rows,
        label,
        pd.Series("used", rows.index),
        pd.Series("", rows.index),
        list(listing.notes),
        image_base=listing.image_base,
    )
    if listing.sides == "given" and not data.negative and "outcome" in rows:
        account.notes += labels.describe_negatives(rows["outcome"], label, data.positive or listing.positive)
    account.exclude(label.isna(), "other class", "of a class that is not compared")
    if facts is not None:
        facts = facts.reindex(rows.index)
        error = facts["error"].fillna("").astype(str)
        account.rows = rows.assign(pixel_digest=facts["pixel_digest"])
        account.exclude(error == "missing", "missing", "missing")
        account.exclude(error != "", "unreadable", error)
        _merge_patients(account)
        _exclude_copies(account, data)
    _settle_labels(account, listing, data, facts)
    if facts is not None:
        _exclude_copies(account, data)
        _mark_duplicates(account)
    return account


def _settle_labels(account: Account, listing: Listing, data: DataConfig, facts: pd.DataFrame | None) -> None:
    """Give every row the label of its unit: the case, or the breast."""
    known = account.rows[account.label.notna()]
    given = listing.sides == "given"
    _settle_contradictions(account, listing, data)
    if given and data.label_level == "breast":
        account.notes += _alike(known, account.label)
    if data.label_level == "breast" and not given:
        _label_breasts(account, known, _annotations(account, listing, data, facts), data)


def _settle_contradictions(account: Account, listing: Listing, data: DataConfig) -> None:
    """Find cases (breasts) that have both labels, and do with them what is asked for."""
    level = data.label_level if listing.sides == "given" else "case"
    # images that are left out or refused for themselves are no evidence on their case
    rows = account.rows[account.label.notna() & (account.step != "undecided") & ~_copies_with_both_labels(account)]
    label = account.label.reindex(rows.index)
    if level == "breast":
        contradictions.check_breasts(rows, listing.name)
    mixed = contradictions.with_both_labels(rows, label, level)
    account.mixed = mixed.reindex(account.rows.index, fill_value=False)
    if not mixed.any():
        return
    if data.conflicts == "any":
        account.notes.append(contradictions.pooled_note(rows, level, mixed))
        _exclude_without_positive(account, contradictions.unit_keys(level))
    elif data.conflicts == "exclude" and level == "breast":
        account.exclude(account.mixed, "undecided", "the images of this breast have both labels")
        account.notes.append(contradictions.losses(rows, label, level, mixed))
    else:
        ways = contradictions.ways_on(rows, label, level, data.conflicts, listing.side_option)
        account.refusal = f"{listing.name}: {contradictions.describe(rows, label, level)}. {ways}"


def _exclude_without_positive(account: Account, keys: list[str]) -> None:
    """Take out units with both labels whose positive images cannot be used: the rest would pass for negative."""
    usable = (account.label == 1).fillna(False).astype(bool) & account.used
    has_positive = account.rows[keys].assign(usable=usable).groupby(keys, dropna=False)["usable"].transform("any")
    account.exclude(account.mixed & ~has_positive, "undecided", "the positive images beside this one cannot be used")


def _annotations(account: Account, listing: Listing, data: DataConfig, facts: pd.DataFrame | None) -> pd.Series:
    """Return whether each image carries a lesion annotation, (n_rows,) of boolean; NA where that is not known."""
    if listing.sides == "unknown":
        raise CohortError(f"{listing.name}: nothing tells which breast is positive; use --label-level case")
    if listing.sides == "listed":
        return account.rows["annotated"].astype("boolean")
    if data.outlines != "sham":
        raise CohortError(
            f"{listing.name}: with --label-level breast the outline in the pixels is the label, and --outlines "
            f"{data.outlines} leaves its trace there; use --outlines sham"
        )
    if facts is None:
        raise CohortError(f"{listing.name}: labels per breast come from the pixels; the images must be opened")
    unread = (facts["error"] != "") | facts["error"].isna()
    return (facts["n_outline_pixels"] > 0).astype("boolean").mask(unread)


def _label_breasts(account: Account, known: pd.DataFrame, annotated: pd.Series, data: DataConfig) -> None:
    """Replace the labels of cases by labels of breasts, and exclude the cases that cannot be decided."""
    labelled, index = account.label.notna(), account.rows.index
    label, status, reason = labels.label_breasts(known, account.label[labelled], annotated.reindex(known.index))
    account.label = account.label.mask(labelled, label.reindex(index))
    account.rows = account.rows.assign(status=account.rows["status"].mask(labelled, status.reindex(index)))
    if data.negative and labels.CONTRALATERAL not in data.negative:
        opposite = account.rows["status"] == labels.CONTRALATERAL
        account.exclude(opposite, "other class", "of a class that is not compared")
    undecided = reason.reindex(index).fillna("")
    account.exclude(undecided != "", "undecided", undecided)
    left_out = account.rows[account.step == "undecided"].assign(reason=account.reason).drop_duplicates("case_id")
    account.notes.append(
        "Labels are per breast: the annotated breast of a positive case is positive, the opposite breast negative "
        f"({labels.CONTRALATERAL}). "
        + (f"Left out as undecided: {_reasons(left_out['reason'])}." if len(left_out) else "No case was undecided.")
    )


def _alike(rows: pd.DataFrame, label: pd.Series) -> list[str]:
    """Return a note of doubt where labels said to be of breasts never differ between the two breasts of a case."""
    cases = rows.assign(label=label).groupby("case_id")
    both = cases["breast"].nunique() > 1
    if not both.any() or (cases["label"].nunique()[both] > 1).any():
        return []
    return [
        "In no case do the two breasts have different labels: do the labels really belong to breasts, not to cases?"
    ]


def _reasons(reasons: pd.Series) -> str:
    return "; ".join(f"{count(n, 'case')} ({reason})" for reason, n in reasons.value_counts().items())


def _merge_patients(account: Account) -> None:
    """Give patients who share a pixel-identical image one patient key, the alphabetically first."""
    rows = account.rows
    leader = {patient: patient for patient in rows["patient_id"].unique()}

    def group_of(patient: str) -> str:
        while leader[patient] != patient:
            patient = leader[patient]
        return patient

    shared = rows[account.used].groupby("pixel_digest")["patient_id"].unique()
    for patients in shared[shared.map(len) > 1]:
        roots = sorted({group_of(patient) for patient in patients})
        for other in roots[1:]:
            leader[other] = roots[0]
    account.rows = rows.assign(patient_id=rows["patient_id"].map(group_of))
    account.merged = tuple((patient, group_of(patient)) for patient in leader if group_of(patient) != patient)
    if account.merged:
        pairs = some((f"{patient} with {first}" for patient, first in account.merged), 5)
        account.notes.append(
            f"{count(len(account.merged), 'patient shares', 'patients share')} a pixel-identical image with another"
            f" patient; they are one group in every split: {pairs}."
        )


def _copies_with_both_labels(account: Account) -> pd.Series:
    """Whether each row is one of several pixel-identical, usable images that have both labels, (n_rows,) of bool."""
    rows = account.rows
    if "pixel_digest" not in rows:
        return pd.Series(False, rows.index)
    usable = rows[account.used].assign(label=account.label)
    both = usable.groupby("pixel_digest")["label"].transform("nunique") > 1
    return both.reindex(rows.index, fill_value=False).astype(bool)


def _exclude_copies(account: Account, data: DataConfig) -> None:
    """Take out pixel-identical images that have both labels, all of them, where that is asked for."""
    copies = _copies_with_both_labels(account)
    if data.conflicts == "exclude" and copies.any():
        account.notes.append(contradictions.lost_copies(account.rows[copies], account.label))
        account.exclude(copies, "undecided", "pixel-identical to an image with the other label")


def _mark_duplicates(account: Account) -> None:
    """Take out every pixel-identical copy of an image of the same patient but the first."""
    usable = account.rows[account.used]
    label = account.label[usable.index]
    first = usable.groupby(["patient_id", "pixel_digest"])["image_id"].transform("first")
    copies = usable.index[usable["image_id"] != first]
    original = pd.Series(usable.index, usable.index).groupby(usable["pixel_digest"]).transform("first")[copies]
    conflicting = label[copies].to_numpy() != label[original].to_numpy()
    account.conflicts = tuple(zip(original[conflicting].tolist(), copies[conflicting].tolist(), strict=True))
    copied = pd.Series(account.rows.index.isin(copies), index=account.rows.index)
    account.exclude(copied, "duplicate", "pixel-identical to " + first.reindex(account.rows.index).fillna(""))


def check_labels(account: Account) -> None:
    """Refuse cases (breasts) that have both labels, unless it was said what happens to them.

    Raises:
        CohortError: there are some; names one, and the ways on.
    """
    if account.refusal:
        raise CohortError(account.refusal)


def check_copies(account: Account, data: DataConfig) -> None:
    """Refuse copies with different labels.

    Raises:
        CohortError: there are some; names both of each pair.
    """
    if not account.conflicts:
        return
    named = account.rows["image_id"].astype(str) + " (" + account.rows["status"].astype(str) + ")"
    pairs = [f"{named[one]} and {named[other]}" for one, other in account.conflicts]
    excludable = data.label_level == "breast" or not account.mixed.any()
    raise CohortError(contradictions.copies_refusal(pairs, data.conflicts, excludable=excludable))


def count_flow(account: Account) -> pd.DataFrame:
    """Return the numbers of images and patients by step and status; `listed` counts all rows."""
    rows = account.rows
    frames = [rows.assign(step="listed"), rows.assign(step=account.step)]
    counts = (
        pd.concat(frames)
        .groupby(["step", "status"], sort=False)
        .agg(n_images=("image_id", "size"), n_patients=("patient_id", "nunique"))
    )
    complete = pd.MultiIndex.from_product([FLOW_STEPS, sorted(rows["status"].unique())], names=["step", "status"])
    return counts.reindex(complete, fill_value=0).reset_index()
