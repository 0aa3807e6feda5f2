"""The listing: what a reader makes of the files at a path, one row per image, before anything is left out."""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from mmbc.config import DataConfig
from mmbc.data.tables import labels
from mmbc.data.tables.columns import Feature
from mmbc.data.tables.labels import Sides
from mmbc.errors import CohortError, nearest, some

KEYS = ("image_id", "patient_id", "case_id", "breast", "view", "status", "site")
"""The identifying columns of every listing and cohort; `label`, the clinical features and `path` follow them."""


@dataclass(frozen=True)
class Listing:
    """The images that the files at a path list, with their clinical columns.

    Attributes:
        name: cohort name, used for the default name of a study.
        images: one row per listed image with the columns of `KEYS`, the features, those of `aside` and `path` (a
            pathlib.Path); keys are text, numeric and ordinal features numbers or the words of their order, what is not
            known is NA; where the list has them `outcome` (the label's own words, if they are not the status),
            `annotated` and `pathology` (see `mmbc.data.tables.labels`) and `row` (the number of the row in the list).
        features: the clinical columns.
        positive: the classes labelled 1 unless the user names others; empty where the user has to name them.
        sides: how labels per breast are known.
        aside: columns that decide on splits: kept, but no features.
        left_out: columns that are not used, each with the reason.
        unknown_codes: values that were taken as 'not known': column, value, number of rows.
        side_option: the option that would tell breasts apart, where a column without a role seems to name them.
        by_design: faults that a synthetic cohort has on purpose, by the names of the audit's checks.
        notice: a warning that every table and figure made of this cohort carries; empty for real data.
        notes: facts about the files for the readers of a report, one sentence each.
        image_base: the folder at which relative paths of images begin; None where the layout has no such paths.
        extent: how many rows were read, and of how many lines; empty where the layout is no single table.
    """

    name: str
    images: pd.DataFrame
    features: tuple[Feature, ...]
    positive: tuple[str, ...] = ()
    sides: Sides = "unknown"
    aside: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    unknown_codes: tuple[tuple[str, str, int], ...] = ()
    side_option: str = ""
    by_design: tuple[str, ...] = ()
    notice: str = ""
    notes: tuple[str, ...] = ()
    extent: str = ""
    image_base: Path | None = None


def choose_features(listing: Listing, data: DataConfig) -> Listing:
    """Return the listing with the features that the user chose.

    Raises:
        CohortError: a feature the cohort does not have, or an order that lacks a value of it.
    """
    known = {feature.name: feature for feature in listing.features}
    for name in (*data.features, *data.feature_kinds):
        if name not in known and name not in {column for column, _ in listing.left_out}:
            raise CohortError(f"{listing.name}: no clinical column {name!r}; {nearest(name, known)}")
    chosen = []
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
            chosen.append(Feature(feature.name, "ordinal", kind))
        else:
            if kind == "numeric" and not pd.api.types.is_numeric_dtype(listing.images[feature.name]):
                raise CohortError(f"{listing.name}: column {feature.name!r} is declared numeric but holds text")
            chosen.append(Feature(feature.name, kind))
    return replace(listing, features=tuple(chosen))


def label_rows(listing: Listing, data: DataConfig) -> pd.Series:
    """Return 1, 0 or NA for every listed row: positive, negative, or of a class that is not compared.

    Raises:
        CohortError: no row, a key that repeats or is empty, classes that do not exist, or one class only.
    """
    _check_keys(listing)
    positive = data.positive or listing.positive
    return labels.label_classes(listing.images, listing.name, positive, data.negative, level=data.label_level)


def labels_need_pixels(listing: Listing, data: DataConfig) -> bool:
    """Whether the labels cannot be known without opening the images."""
    return data.label_level == "breast" and listing.sides == "pixels"


def _check_keys(listing: Listing) -> None:
    rows = listing.images
    if rows.empty:
        raise CohortError(f"{listing.name}: lists no image")
    for key in ("image_id", "patient_id", "case_id", "status"):
        other = rows[~rows[key].map(lambda value: isinstance(value, str) or pd.isna(value))]
        if len(other):
            raise CohortError(f"{listing.name}: column {key!r} holds {other[key].iloc[0]!r}; keys are text")
        empty = rows[rows[key].isna() | (rows[key].astype(str).str.strip() == "")]
        if len(empty):
            raise CohortError(f"{listing.name}: column {key!r} is empty in {labels.name_rows(empty)}")
    repeated = rows[rows["image_id"].duplicated(keep=False)]
    if len(repeated):
        raise CohortError(
            f"{listing.name}: listed more than once: {labels.name_rows(repeated.sort_values('image_id'))}; an image has"
            " one row"
        )


def sample_patients(listing: Listing, n_patients: int, *, seed: int = 0) -> Listing:
    """Return the listing of a random sample of patients, each status in its share, for a quick try."""
    first = listing.images.drop_duplicates("patient_id").sample(frac=1, random_state=seed)
    by_status = first.groupby("status")["status"]
    rank = by_status.cumcount() / by_status.transform("size")
    kept = first.assign(rank=rank).sort_values("rank", kind="stable").head(n_patients)["patient_id"]
    images = listing.images[listing.images["patient_id"].isin(kept)].reset_index(drop=True)
    n_listed = listing.images["patient_id"].nunique()
    note = (
        f"A sample of {len(kept)} of the {n_listed} listed patients (--limit-patients): for a quick try, not for a"
        " result. What is said of the list itself is said of all of it."
    )
    return replace(listing, images=images, notes=(note, *listing.notes))
