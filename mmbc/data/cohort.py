"""The cohort: one validated row per image, and the account of every row that is not in it.

A reader makes a `Listing` (what the files say); `assemble` turns it into a `Cohort` (what a study may use).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from mmbc.config import DataConfig
from mmbc.data.absent_files import check_files
from mmbc.data.account import Account, check_copies, check_labels, count_flow, judge
from mmbc.data.listing import KEYS, Listing, choose_features
from mmbc.data.tables import identifiers, target_leakage, unknown_values
from mmbc.data.tables.columns import Feature
from mmbc.errors import CohortError


@dataclass(frozen=True)
class Cohort:
    """The rows a study may use.

    Attributes:
        name: cohort name.
        images: one row per image with the columns of `KEYS`, `label` (0 or 1), the features, columns that decide on
            splits, `path`, and, where the files were opened, `pixel_digest`; index 0..n-1.
        features: the clinical columns.
        flow: one row per (step, status) with `n_images` and `n_patients`; steps as in `mmbc.data.account.FLOW_STEPS`.
        excluded: one row per listed image that is not used: `image_id`, `patient_id`, `status`, `step`, `reason`.
        images_checked: whether the files were opened; False for a study that uses no image.
        positive: the classes labelled 1.
        n_outlined: used images with lesion outlines in their pixels; 0 where no file was opened.
        notice: a warning every table and figure carries; empty for real data.
        notes: facts for the readers of a report, one sentence each.
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
        listing: what the reader made of the files.
        data: classes, label level and features.
        facts: rows of `mmbc.data.images.facts.read_images` with the listing's row numbers as index (rows that are not
            compared may be absent); None when no file was opened, which the cohort's digest then records.
        allow_missing: whether to go on without listed files that do not exist.
        max_unreadable: number of unreadable files that are tolerated.
        allow_leaky: clinical columns that may nearly determine the label.

    Raises:
        CohortError: rows that do not hold together, keys in several spellings, labels that cannot be known, values that
            may mean 'not known', or a clinical column that nearly determines the labels.
        ImageError: more missing or unreadable files than permitted; names up to ten.
    """
    listing = choose_features(listing, data)
    identifiers.check(listing.name, listing.images, data)
    account = judge(listing, data, facts)
    check_copies(account, data)
    check_labels(account)
    check_files(account, allow_missing=allow_missing, max_unreadable=max_unreadable)
    used = used_rows(listing, account)
    if used["label"].nunique() < 2:
        raise CohortError(f"{listing.name}: the usable images have one class only; see --describe")
    if listing.left_out:
        reasons = "; ".join(f"{name} ({reason})" for name, reason in listing.left_out)
        account.notes.append(f"Columns that are not used as features: {reasons}.")
    unknown_values.check(listing.name, account.rows[account.used], listing.features, data)
    account.notes += target_leakage.check(used, listing.features, data.label_level, allow_leaky, listing.name)
    accounted = account.rows[["image_id", "patient_id", "status"]].assign(step=account.step, reason=account.reason)
    return Cohort(
        name=listing.name,
        images=used,
        features=listing.features,
        flow=count_flow(account),
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


def relevant_steps(flow: pd.DataFrame) -> pd.DataFrame:
    """Return a flow table without the rarer steps that exclude no row of this cohort."""
    n_images = flow.groupby("step")["n_images"].transform("sum")
    return flow[(n_images > 0) | ~flow["step"].isin(["other class", "undecided"])]
