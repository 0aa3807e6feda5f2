"""From `--data` to the workspace a study runs in: listing, files read, cohort assembled, pixels stored."""

from dataclasses import dataclass

import pandas as pd

from mmbc.data.cohort import Cohort, assemble
from mmbc.data.images.facts import read_images
from mmbc.data.images.store import ImageStore, open_store
from mmbc.data.listing import Listing, label_rows, labels_need_pixels, sample_patients
from mmbc.data.readers import read
from mmbc.data.tables import identifiers
from mmbc.errors import CohortError, some
from study.design import partition
from study.design.request import Request
from study.design.study_file import StudyFile
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


def read_listing(request: Request, observer: Observer, *, needs_images: bool) -> Listing:
    """Read all that the cohort lists; no file of it is opened."""
    return read(
        request.source,
        request.study.data,
        cache=request.cache,
        render=needs_images,
        aside=partition.columns_used(request.study.protocol),
        progress=observer.preparing,
    )


def sampled(listing: Listing, request: Request) -> Listing:
    """Return the patients that are used: all, or the sample asked for."""
    limit = request.tolerance.limit_patients
    return listing if limit is None else sample_patients(listing, limit)


def list_images(request: Request, observer: Observer, *, needs_images: bool) -> Listing:
    """Read what the cohort lists of the patients that are used.

    Raises:
        CohortError: of the whole cohort, keys in several spellings: a sample may have one of them alone.
    """
    listing = read_listing(request, observer, needs_images=needs_images)
    if request.tolerance.limit_patients is not None:
        identifiers.check(listing.name, listing.images, request.study.data)
    return sampled(listing, request)


def open_images(listing: Listing, request: Request, observer: Observer) -> pd.DataFrame:
    """Open every file of the classes that are compared; return its facts (`read_images`) by row of the listing."""
    wanted = listing.images.loc[label_rows(listing, request.study.data).notna(), "path"]
    return read_images(list(wanted), cache=request.cache, progress=observer.preparing).set_axis(wanted.index)


def assemble_rows(listing: Listing, facts: pd.DataFrame | None, request: Request) -> Cohort:
    """Return the rows a study uses.

    Raises:
        CohortError: rows that do not hold together.
        ImageError: missing or unreadable files beyond the tolerance.
    """
    tolerance = request.tolerance
    return assemble(
        listing,
        request.study.data,
        facts=facts,
        allow_missing=tolerance.allow_missing_images,
        max_unreadable=tolerance.max_unreadable,
        allow_leaky=tolerance.allow_leaky,
    )


def open_cohort(request: Request, observer: Observer, *, needs_images: bool) -> Opened:
    """Read the cohort and, where an arm uses images or the labels are in the pixels, every one of its files.

    A study none of whose arms uses images opens no file and keeps every listed row; its cohort says so.

    Args:
        request: where it lies, and how it is read, labelled and prepared.
        observer: told about the work.
        needs_images: whether an arm uses them.

    Raises:
        CohortError: rows that do not hold together.
        ImageError: missing or unreadable files beyond the tolerance.
    """
    data = request.study.data
    listing = list_images(request, observer, needs_images=needs_images)
    opened = needs_images or labels_need_pixels(listing, data)
    facts = open_images(listing, request, observer) if opened else None
    cohort = assemble_rows(listing, facts, request)
    if facts is None or not needs_images:
        return Opened(listing, facts, cohort, None)
    used = facts.set_axis(listing.images.loc[facts.index, "image_id"]).loc[cohort.images["image_id"]]
    paths = list(cohort.images["path"])
    store = open_store(paths, used.reset_index(drop=True), data, cache=request.cache, progress=observer.preparing)
    return Opened(listing, facts, cohort, store)


def check_features(study: StudyFile, cohort: Listing | Cohort) -> None:
    """Refuse arms with a tabular branch for a cohort without a clinical column."""
    tabular = [arm for arm in study.arms if "tabular" in study.arm_config(arm).model.inputs]
    if tabular and not cohort.features:
        images = [arm for arm in study.arms if arm not in tabular]
        raise CohortError(
            f"{cohort.name}: has no clinical column, which the arms {some(tabular)} need; "
            f"use --ablation {','.join(images) or 'image'}, or see --describe for the columns that were left out"
        )
