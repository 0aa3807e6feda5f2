"""From `--data` to the workspace a study runs in: listing, files read, cohort assembled, pixels stored."""

from dataclasses import dataclass
from pathlib import Path

from mmbc.config import DataConfig
from mmbc.data.cohort import Cohort, assemble, limited
from mmbc.data.images import ImageStore, open_store, read_images
from mmbc.data.readers import Source, read
from study.execute import Observer


@dataclass(frozen=True)
class Tolerance:
    """How much of a cohort may be absent: missing files, unreadable files, and patients left out on purpose."""

    allow_missing_images: bool = False
    max_unreadable: int = 0
    limit_patients: int | None = None


def open_cohort(
    source: Source, data: DataConfig, *, needs_images: bool, cache: Path, tolerance: Tolerance, observer: Observer
) -> tuple[Cohort, ImageStore | None]:
    """Read a cohort and, where an arm uses images, every one of its files.

    A study none of whose arms uses images opens no file and keeps every listed row; its cohort says so.

    Raises:
        CohortError: rows that do not hold together.
        ImageError: missing or unreadable files beyond the tolerance.
    """
    listing = read(source, data, cache=cache, render=needs_images, progress=observer.preparing)
    if tolerance.limit_patients is not None:
        listing = limited(listing, tolerance.limit_patients)
    if not needs_images:
        return assemble(listing, positive=data.positive), None
    facts = read_images(list(listing.images["path"]), cache=cache, progress=observer.preparing)
    cohort = assemble(
        listing, positive=data.positive, facts=facts,
        allow_missing=tolerance.allow_missing_images, max_unreadable=tolerance.max_unreadable,
    )  # fmt: skip
    used = facts.set_axis(listing.images["image_id"]).loc[cohort.images["image_id"]].reset_index(drop=True)
    store = open_store(list(cohort.images["path"]), used, data, cache=cache, progress=observer.preparing)
    return cohort, store
