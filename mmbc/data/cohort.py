"""The cohort: one validated row per image, and the account of every row that is not in it.

A reader makes a `Listing` (what the files say); `assemble` turns it into a `Cohort` (what a study may use).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from mmbc.config import DataConfig, FeatureKind
from mmbc.data import leaky
from mmbc.data.tables import labels
from mmbc.data.tables.labels import Sides
from mmbc.errors import CohortError, ImageError, nearest, some

KEYS = ("image_id", "patient_id", "case_id", "breast", "view", "status", "site")
"""The identifying columns of every listing and cohort, before `label`, the clinical features and `path`."""

FLOW_STEPS = ("listed", "other class", "missing", "unreadable", "undecided", "duplicate", "used")


@dataclass(frozen=True)
class Feature:
    """One clinical column and how it is encoded; an ordinal one of words has them in ascending order."""

    name: str
    kind: FeatureKind
    order: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} ({self.kind}{': ' if self.order else ''}{' < '.join(self.order)})"


@dataclass(frozen=True)
class Listing:
    """What a reader found at a path.

    Attributes:
        name: cohort name, used for the default name of a study.
        images: one row per listed image with the columns of `KEYS`, the features, those of `aside` and `path` (a
            pathlib.Path); where the list has them `outcome` (the label's own words, if they are not the status),
            `annotated` and `pathology` (see `mmbc.data.tables.labels`) and `row` (where the list has the image).
        features: the clinical columns.
        positive: the classes labelled 1 unless the user names others; empty where he must.
        sides: how labels per breast are known.
        aside: columns that decide on splits; kept, but no features.
        left_out: columns that are not used, with the reason.
        unknown_codes: values that were taken as 'not known': column, value, in how many rows.
        by_design: faults that a synthetic cohort has on purpose, by the names of the audit's checks.
        notice: a warning that every table and figure made of this cohort carries; empty for real data.
        notes: facts about the files that a reader of the report should know, one sentence each.
    """

    name: str
    images: pd.DataFrame
    features: tuple[Feature, ...]
    positive: tuple[str, ...] = ()
    sides: Sides = "unknown"
    aside: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    unknown_codes: tuple[tuple[str, str, int], ...] = ()
    by_design: tuple[str, ...] = ()
    notice: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cohort:
    """The rows a study may use.

    Attributes:
        name: cohort name.
        images: one row per image with the columns of `KEYS`, `label` (0 or 1), the features, columns that decide on
            splits, `path`, and, where the files were opened, `pixel_digest`; index 0..n-1.
        features: the clinical columns.
        flow: one row per (step, status) with `n_images` and `n_patients`; steps as in `FLOW_STEPS`.
        excluded: one row per listed image that is not used: `image_id`, `patient_id`, `status`, `step`, `reason`.
        images_checked: whether the files were opened; False for a study that uses no image.
        positive: the classes labelled 1.
        n_outlined: used images with lesion outlines in their pixels; 0 where no file was opened.
        notice: a warning every table and figure carries; empty for real data.
        notes: facts a reader of the report should know, one sentence each.
    """

    name: str
    images: pd.DataFrame
    features: tuple[Feature, ...]
    flow: pd.DataFrame
    excluded: pd.DataFrame
    images_checked: bool
    positive: tuple[str, ...] = ("Cancer",)
    n_outlined: int = 0
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
        text = rows.to_csv(index=False) + repr([(f.name, f.kind, f.order) for f in self.features])
        state = hashlib.sha256(f"images_checked={self.images_checked}\n{text}".encode())
        return state.hexdigest()[:16]


@dataclass
class Account:
    """Every listed row, and what becomes of it.

    Attributes:
        rows: the listing's rows; patients who share an image merged, labels per breast worked out.
        label: 1, 0 or NA by row.
        step: of `FLOW_STEPS` by row; `used` until something excludes it.
        reason: why, by row; empty for a used one.
        notes: what a reader should know.
        conflicts: pixel-identical images with different labels, as pairs of row numbers; no study can be made of them.
    """

    rows: pd.DataFrame
    label: pd.Series
    step: pd.Series
    reason: pd.Series
    notes: list[str]
    conflicts: tuple[tuple[int, int], ...] = ()

    @property
    def used(self) -> pd.Series:
        """Which rows are used, (n_rows,) of bool."""
        return self.step == "used"

    def exclude(self, which: pd.Series, step: str, reason: pd.Series | str) -> None:
        """Take used rows out; a row keeps the first reason."""
        chosen = which & self.used
        self.step = self.step.mask(chosen, step)
        self.reason = self.reason.mask(chosen, reason)


def compared(listing: Listing, data: DataConfig) -> pd.Series:
    """Return 1, 0 or NA for every listed row, from the classes that are compared; rows of NA need no file.

    Raises:
        CohortError: no row, a key that repeats or is empty, classes that do not exist, or one class only.
    """
    _check_keys(listing)
    positive = data.positive or listing.positive
    return labels.classes(listing.images, listing.name, positive, data.negative, level=data.label_level)


def needs_pixels(listing: Listing, data: DataConfig) -> bool:
    """Whether the labels cannot be known without opening the images."""
    return data.label_level == "breast" and listing.sides == "pixels"


def with_features(listing: Listing, data: DataConfig) -> Listing:
    """Return the listing with the features the user chose.

    Raises:
        CohortError: a feature the cohort does not have, or an order that lacks a value of it.
    """
    known = {feature.name: feature for feature in listing.features}
    for name in (*data.features, *data.feature_kinds):
        if name not in known and name not in {column for column, _ in listing.left_out}:
            raise CohortError(f"{listing.name}: no clinical column {name!r}; {nearest(name, known)}")
    kept = []
    for feature in listing.features:
        kind = data.feature_kinds.get(feature.name, feature.order or feature.kind)
        if kind == "skip" or (data.features and feature.name not in data.features):
            continue
        if isinstance(kind, tuple):
            outside = set(listing.images[feature.name].dropna().astype(str)) - set(kind)
            if outside:
                raise CohortError(
                    f"{listing.name}: column {feature.name!r} has values outside the order {list(kind)}:"
                    f" {some(sorted(outside))}"
                )
            kept.append(Feature(feature.name, "ordinal", kind))
        else:
            kept.append(Feature(feature.name, kind))
    return replace(listing, features=tuple(kept))


def _check_keys(listing: Listing) -> None:
    rows = listing.images
    if rows.empty:
        raise CohortError(f"{listing.name}: lists no image")
    for key in ("image_id", "patient_id", "case_id", "status"):
        empty = rows[rows[key].isna() | (rows[key].astype(str).str.strip() == "")]
        if len(empty):
            raise CohortError(f"{listing.name}: column {key!r} is empty in {labels.named(empty)}")
    repeated = rows[rows["image_id"].duplicated(keep=False)]
    if len(repeated):
        raise CohortError(
            f"{listing.name}: listed more than once: {labels.named(repeated.sort_values('image_id'))}; an image has"
            " one row"
        )


def assemble(
    listing: Listing,
    data: DataConfig,
    *,
    facts: pd.DataFrame | None = None,
    allow_missing: bool = False,
    max_unreadable: int = 0,
    allow_leaky: Sequence[str] = (),
) -> Cohort:
    """Turn a listing into the cohort a study uses, accounting for every row.

    Args:
        listing: what the reader found.
        data: classes, label level and features.
        facts: what `mmbc.data.images.store.read_images` says of the files, with the listing's row numbers as index (rows that
            are not compared may be absent); None when no file was opened, which the cohort's digest then records.
        allow_missing: go on without listed files that do not exist.
        max_unreadable: how many unreadable files are tolerated.
        allow_leaky: clinical columns that may nearly determine the label.

    Raises:
        CohortError: rows that do not hold together, labels that cannot be known, or a column that gives them away.
        ImageError: more missing or unreadable files than permitted; all are named in the text up to ten.
    """
    listing = with_features(listing, data)
    account = judge(listing, data, facts)
    check_copies(account)
    check_files(account, allow_missing=allow_missing, max_unreadable=max_unreadable)
    used = used_rows(listing, account)
    if used["label"].nunique() < 2:
        raise CohortError(f"{listing.name}: the usable images have one class only; see --describe")
    if listing.left_out:
        reasons = "; ".join(f"{name} ({reason})" for name, reason in listing.left_out)
        account.notes.append(f"Columns that are no features: {reasons}.")
    account.notes += leaky.check(used, listing.features, data.label_level, allow_leaky, listing.name)
    accounted = account.rows[["image_id", "patient_id", "status"]].assign(step=account.step, reason=account.reason)
    return Cohort(
        name=listing.name,
        images=used,
        features=listing.features,
        flow=flow(account),
        excluded=accounted[~account.used].reset_index(drop=True),
        images_checked=facts is not None,
        positive=data.positive or listing.positive,
        n_outlined=_n_outlined(account, facts),
        notice=listing.notice,
        notes=tuple(account.notes),
    )


def used_rows(listing: Listing, account: Account) -> pd.DataFrame:
    """Return the rows that can be used, with the columns of a cohort."""
    names = [feature.name for feature in listing.features]
    extra = [name for name in listing.aside if name not in (*KEYS, *names)]
    digests = [column for column in ("pixel_digest",) if column in account.rows]
    columns = [*KEYS, "label", *names, *extra, "path", *digests]
    used = account.rows.assign(label=account.label)[account.used].reset_index(drop=True)[columns]
    return used.assign(label=used["label"].astype("int64"))


def _n_outlined(account: Account, facts: pd.DataFrame | None) -> int:
    if facts is None or "n_outline_pixels" not in facts:
        return 0
    return int((facts["n_outline_pixels"].reindex(account.used.index[account.used]) > 0).sum())


def judge(listing: Listing, data: DataConfig, facts: pd.DataFrame | None) -> Account:
    """Decide for every row whether it can be used; how many files may be absent, and whether copies conflict, is not judged.

    Raises:
        CohortError: see `assemble`.
    """
    rows = listing.images
    label = compared(listing, data)
    account = Account(rows, label, pd.Series("used", rows.index), pd.Series("", rows.index), list(listing.notes))
    account.exclude(label.isna(), "other class", "of a class that is not compared")
    if facts is not None:
        facts = facts.reindex(rows.index)
        error = facts["error"].fillna("").astype(str)
        account.rows = rows.assign(pixel_digest=facts["pixel_digest"])
        account.exclude(error == "missing", "missing", "missing")
        account.exclude(error != "", "unreadable", error)
        _merge_patients(account)
    _settle_labels(account, listing, data, facts)
    if facts is not None:
        _mark_duplicates(account)
    return account


def _settle_labels(account: Account, listing: Listing, data: DataConfig, facts: pd.DataFrame | None) -> None:
    """Give every row the label of its unit: the case, or the breast."""
    known = account.rows[account.label.notna()]
    given = listing.sides == "given"
    labels.check_units(known, account.label, data.label_level if given else "case", listing.name)
    if given and data.label_level == "breast":
        account.notes += _alike(known, account.label)
    if data.label_level == "case" or given:
        return
    if listing.sides == "unknown":
        raise CohortError(f"{listing.name}: nothing tells which breast is positive; use --label-level case")
    if listing.sides == "pixels":
        if data.outlines != "sham":
            raise CohortError(
                f"{listing.name}: with --label-level breast the outline in the pixels is the label, and --outlines "
                f"{data.outlines} leaves its trace there; use --outlines sham"
            )
        if facts is None:
            raise CohortError(f"{listing.name}: labels per breast come from the pixels; the images must be opened")
        unread = (facts["error"] != "") | facts["error"].isna()
        annotated = (facts["n_outline_pixels"] > 0).astype("boolean").mask(unread)
    else:
        annotated = account.rows["annotated"].astype("boolean")
    compared = account.label.notna()
    label, status, reason = labels.by_breast(known, account.label[compared], annotated.reindex(known.index))
    account.label = account.label.mask(compared, label.reindex(account.label.index))
    account.rows = account.rows.assign(status=account.rows["status"].mask(compared, status.reindex(account.rows.index)))
    if data.negative and labels.CONTRALATERAL not in data.negative:
        opposite = account.rows["status"] == labels.CONTRALATERAL
        account.exclude(opposite, "other class", "of a class that is not compared")
    undecided = reason.reindex(account.rows.index).fillna("")
    account.exclude(undecided != "", "undecided", undecided)
    left_out = account.rows[account.step == "undecided"].assign(reason=account.reason).drop_duplicates("case_id")
    account.notes.append(
        "Labels are per breast: the annotated breast of a positive case is positive, her opposite breast negative "
        f"({labels.CONTRALATERAL}). "
        + (f"Left out as undecided: {_reasons(left_out['reason'])}." if len(left_out) else "No case was undecided.")
    )


def _alike(rows: pd.DataFrame, label: pd.Series) -> list[str]:
    """Return a doubt where labels that are said to belong to breasts never differ between a patient's."""
    cases = rows.assign(label=label).groupby("case_id")
    both = cases["breast"].nunique() > 1
    if not both.any() or (cases["label"].nunique()[both] > 1).any():
        return []
    return [
        "In no case do the two breasts have different labels: do the labels really belong to breasts, not to cases?"
    ]


def _reasons(reasons: pd.Series) -> str:
    return "; ".join(f"{n} cases ({reason})" for reason, n in reasons.value_counts().items())


def limited(listing: Listing, n_patients: int, *, seed: int = 0) -> Listing:
    """Return the listing of a sample of patients, every status in its share, for a quick try."""
    first = listing.images.drop_duplicates("patient_id").sample(frac=1, random_state=seed)
    by_status = first.groupby("status")["status"]
    rank = by_status.cumcount() / by_status.transform("size")
    kept = first.assign(rank=rank).sort_values("rank", kind="stable").head(n_patients)["patient_id"]
    images = listing.images[listing.images["patient_id"].isin(kept)].reset_index(drop=True)
    n_listed = listing.images["patient_id"].nunique()
    note = (
        f"A sample of {len(kept)} of the {n_listed} listed patients (--limit-patients): for a quick try, not for a"
        " result."
    )
    return replace(listing, images=images, notes=(*listing.notes, note))


def check_files(account: Account, *, allow_missing: bool, max_unreadable: int) -> None:
    """Refuse more absent files than are tolerated.

    Raises:
        ImageError: counts them and names up to ten.
    """
    missing, unreadable = account.step == "missing", account.step == "unreadable"
    if missing.any() and not allow_missing:
        paths = [Path(path) for path in account.rows.loc[missing, "path"]]
        names = some(path.name for path in paths)
        n_compared = int(account.label.notna().sum())
        raise ImageError(
            f"{int(missing.sum())} of {n_compared} listed images are missing: {names}. The first was looked for at"
            f" {paths[0]}. Complete the download or correct the paths (in a table of your own: relative to it, or to"
            " data.image_root), or go on with the rest: --allow-missing-images"
        )
    if unreadable.sum() > max_unreadable:
        bad = zip(account.rows.loc[unreadable, "path"], account.reason[unreadable], strict=True)
        names = some(f"{Path(path).name} ({error})" for path, error in bad)
        raise ImageError(
            f"{int(unreadable.sum())} images cannot be read: {names}. "
            f"Replace them, or tolerate them: --max-unreadable {int(unreadable.sum())}"
        )


def _merge_patients(account: Account) -> None:
    """Give patients who share a pixel-identical image one patient key: the alphabetically first."""
    rows = account.rows
    leader = {patient: patient for patient in rows["patient_id"].unique()}

    def find(patient: str) -> str:
        while leader[patient] != patient:
            patient = leader[patient]
        return patient

    shared = rows[account.used].groupby("pixel_digest")["patient_id"].unique()
    for patients in shared[shared.map(len) > 1]:
        roots = sorted({find(patient) for patient in patients})
        for other in roots[1:]:
            leader[other] = roots[0]
            account.notes.append(f"patients {roots[0]} and {other} share a pixel-identical image and are one group")
    account.rows = rows.assign(patient_id=rows["patient_id"].map(find))


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


def check_copies(account: Account) -> None:
    """Refuse copies with different labels.

    Raises:
        CohortError: names both of each pair.
    """
    if not account.conflicts:
        return
    named = account.rows["image_id"].astype(str) + " (" + account.rows["status"].astype(str) + ")"
    pairs = some(f"{named[one]} and {named[other]}" for one, other in account.conflicts)
    raise CohortError(f"pixel-identical images carry different labels: {pairs}; correct the labels or leave one out")


def flow_shown(counts: pd.DataFrame) -> pd.DataFrame:
    """Return a flow table without the steps that concern few cohorts and no row of this one."""
    n_images = counts.groupby("step")["n_images"].transform("sum")
    return counts[(n_images > 0) | ~counts["step"].isin(["other class", "undecided"])]


def flow(account: Account) -> pd.DataFrame:
    """Count images and patients by step and status; `listed` counts all rows."""
    rows = account.rows
    frames = [rows.assign(step="listed"), rows.assign(step=account.step)]
    counts = (
        pd.concat(frames)
        .groupby(["step", "status"], sort=False)
        .agg(n_images=("image_id", "size"), n_patients=("patient_id", "nunique"))
    )
    complete = pd.MultiIndex.from_product([FLOW_STEPS, sorted(rows["status"].unique())], names=["step", "status"])
    return counts.reindex(complete, fill_value=0).reset_index()
