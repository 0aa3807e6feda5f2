"""Inspection of a cohort: read as a study would read it, and what would stop a run is collected."""

from collections.abc import Callable
from typing import TypeVar

import pandas as pd

from mmbc.data.absent_files import check_files
from mmbc.data.account import Account, check_copies, check_labels, judge
from mmbc.data.cohort import used_rows
from mmbc.data.listing import Listing, choose_features, labels_need_pixels
from mmbc.data.tables import identifiers, target_leakage, unknown_values
from mmbc.errors import MmbcError
from study.cohort import summaries
from study.cohort.description import Description
from study.cohort.loading import check_features, open_images, read_listing, sampled
from study.design import partition
from study.design.request import Request
from study.records.pages import origin_of
from study.records.progress import Observer

T = TypeVar("T")


def describe(request: Request, observer: Observer) -> Description:
    """Read a cohort as a study would and collect what would stop it, instead of stopping.

    Raises:
        CohortError: the list itself cannot be read.
    """
    study, source = request.study, request.source
    needs_images = any(study.arm_config(arm).uses_images for arm in study.arms)
    whole = read_listing(request, observer, needs_images=needs_images)
    listing = sampled(whole, request)
    place = str(source.path) if source.path is not None else "built in"
    description = Description(
        listing.name,
        source.kind,
        place,
        listing.notice,
        study.unit,
        origin_of(request),
        listing.extent,
        arms=summaries.arms(study, listing.name),
        left_out=listing.left_out,
        notes=[*listing.notes],
    )
    listing = _attempt(description, lambda: choose_features(listing, study.data)) or listing
    _attempt(description, lambda: check_features(study, listing))
    _attempt(description, lambda: identifiers.check(whole.name, whole.images, study.data))
    account = _account(description, request, listing, needs_images, observer)
    if account is None:
        description.classes = summaries.listed_classes(listing)
        description.features = summaries.listed_features(listing)
        return description
    _attempt(description, lambda: check_copies(account, study.data))
    _attempt(description, lambda: check_labels(account))
    _summarise(description, request, listing, account)
    _judge_further(description, request, listing, account)
    return description


def _attempt(description: Description, step: Callable[[], T]) -> T | None:
    """Do a step; what would stop a run becomes a problem of the description."""
    try:
        return step()
    except MmbcError as error:
        if str(error) not in description.problems:
            description.problems.append(str(error))
        return None


def _account(
    description: Description, request: Request, listing: Listing, needs_images: bool, observer: Observer
) -> Account | None:
    """Open the files if they are needed and judge every row; None where labels or files forbid it."""
    data, facts = request.study.data, None
    if needs_images or labels_need_pixels(listing, data):
        facts = _attempt(description, lambda: open_images(listing, request, observer))
        if facts is None:
            return None
        description.images = summaries.file_sizes(facts)
    return _attempt(description, lambda: judge(listing, data, facts))


def _summarise(description: Description, request: Request, listing: Listing, account: Account) -> None:
    """Count what is there and what can be used."""
    used = used_rows(listing, account)
    description.merged = account.merged
    description.notes = [*account.notes, *summaries.column_questions(used, listing.features, request.study.data)]
    description.classes = summaries.classes(account)
    description.totals = summaries.totals(used, description.unit)
    description.views = summaries.views(used)
    description.sites = summaries.sites(used)
    description.features = summaries.feature_table(used, listing.features, description.unit)
    description.excluded = summaries.exclusions(account)


def _judge_further(description: Description, request: Request, listing: Listing, account: Account) -> None:
    """Try everything else that could stop a run."""
    tolerance, study = request.tolerance, request.study
    missing, unreadable = tolerance.allow_missing_images, tolerance.max_unreadable
    _attempt(description, lambda: check_files(account, allow_missing=missing, max_unreadable=unreadable))
    used = used_rows(listing, account)
    if used["label"].nunique() < 2:
        description.problems.append("The images that can be used have one class only.")
        return
    features, unit, allowed = listing.features, description.unit, tolerance.allow_leaky
    rows = account.rows[account.used]
    _attempt(description, lambda: unknown_values.check(listing.name, rows, features, study.data))
    notes = _attempt(description, lambda: target_leakage.check(used, features, unit, allowed, listing.name))
    description.notes += notes or []

    def split() -> pd.DataFrame:
        folds = partition.for_study(None, request.folds_file, used, study.protocol, study.data)
        description.notes += folds.warnings(used)
        return folds.table(used)

    table = _attempt(description, split)
    if table is not None:
        tests = table[(table["part"] == "test") & (table["repeat"] == 0)]
        names = [name or f"fold {fold + 1}" for name, fold in zip(tests["name"], tests["fold"], strict=True)]
        description.folds = pd.DataFrame(
            {
                "test part": names,
                "patients": tests["n_patients"],
                "positive": tests["n_positive"],
                "images": tests["n_images"],
            }
        )
