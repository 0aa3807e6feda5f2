"""From `--data` to the workspace a study runs in: listing, files read, cohort assembled, pixels stored."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mmbc.config import DataConfig
from mmbc.data.cohort import Cohort, assemble
from mmbc.data.images.facts import read_images
from mmbc.data.images.store import ImageStore, open_store
from mmbc.data.listing import Listing, label_rows, labels_need_pixels, sample_patients
from mmbc.data.readers import Source, read
from study.design.request import Tolerance
from study.records.progress import Observer


@dataclass(frozen=True)
class Opened:
    """A cohort as read.

    Attributes:
        listing: what its files say.
        facts: of the files (`mmbc.data.images.facts.read_images`), by row of the listing; None where none was opened.
        cohort: the rows a study uses.
        store: their pixels; None where no arm uses images.
    """

    listing: Listing
    facts: pd.DataFrame | None
    cohort: Cohort
    store: ImageStore | None


def list_images(
    source: Source,
    data: DataConfig,
    *,
    needs_images: bool,
    cache: Path,
    aside: tuple[str, ...],
    tolerance: Tolerance,
    observer: Observer,
) -> Listing:
    """Read what a cohort lists; no file of it is opened."""
    listing = read(source, data, cache=cache, render=needs_images, aside=aside, progress=observer.preparing)
    if tolerance.limit_patients is not None:
        listing = sample_patients(listing, tolerance.limit_patients)
    return listing


def open_images(listing: Listing, data: DataConfig, *, cache: Path, observer: Observer) -> pd.DataFrame:
    """Open every file of the classes that are compared; return its facts (`read_images`) by row of the listing."""
    wanted = listing.images.loc[label_rows(listing, data).notna(), "path"]
    return read_images(list(wanted), cache=cache, progress=observer.preparing).set_axis(wanted.index)


def open_cohort(
    source: Source,
    data: DataConfig,
    *,
    needs_images: bool,
    cache: Path,
    aside: tuple[str, ...] = (),
    tolerance: Tolerance,
    observer: Observer,
) -> Opened:
    """Read a cohort and, where an arm uses images or the labels are in the pixels, every one of its files.

    A study none of whose arms uses images opens no file and keeps every listed row; its cohort says so.

    Args:
        source: where it lies.
        data: how it is read, labelled and prepared.
        needs_images: whether an arm uses them.
        cache: where facts and pixels are kept.
        aside: columns that decide on splits.
        tolerance: what may be absent.
        observer: told about the work.

    Raises:
        CohortError: rows that do not hold together.
        ImageError: missing or unreadable files beyond the tolerance.
    """
    listing = list_images(
        source, data, needs_images=needs_images, cache=cache, aside=aside, tolerance=tolerance, observer=observer
    )
    opened = needs_images or labels_need_pixels(listing, data)
    facts = open_images(listing, data, cache=cache, observer=observer) if opened else None
    cohort = assemble(
        listing,
        data,
        facts=facts,
        allow_missing=tolerance.allow_missing_images,
        max_unreadable=tolerance.max_unreadable,
        allow_leaky=tolerance.allow_leaky,
    )
    if facts is None or not needs_images:
        return Opened(listing, facts, cohort, None)
    used = facts.set_axis(listing.images.loc[facts.index, "image_id"]).loc[cohort.images["image_id"]]
    store = open_store(
        list(cohort.images["path"]), used.reset_index(drop=True), data, cache=cache, progress=observer.preparing
    )
    return Opened(listing, facts, cohort, store)
