"""The rows of a ledger: every usable image, pixel-identical copies among them, each a unit of its own.

A study splits patients and drops copies, which a leaky protocol does not. So that all protocols see the same stream of
augmented images (the order and the draws depend on row numbers alone), they share one cohort: all usable rows, with the
image's id in place of the patient's. Every split of the ledger is a list of images. Who the patient is, and which rows
are copies, is kept beside it, in the table that honest splits and the bootstrap of patients are made from; it is
written to `rows.parquet`.
"""

from dataclasses import dataclass, replace

import pandas as pd

from mmbc.data.account import judge
from mmbc.data.cohort import Cohort, used_rows
from mmbc.data.images.store import ImageStore, open_store
from mmbc.data.listing import choose_features
from study.cohort.loading import assemble_rows, list_images, open_images
from study.design.request import Request
from study.design.study_file import StudyFile
from study.design.tuning_provenance import joined
from study.leaks.protocols import LABEL
from study.records.progress import Observer

TABLE = ("image_id", "patient_id", "case_id", "breast", "view", "status", "site", "label", "copy")


@dataclass(frozen=True)
class LedgerRows:
    """Rows and pixels that all protocols of a ledger are made from.

    Attributes:
        honest: the cohort that a study has.
        cohort: the ledger's: all usable rows, `patient_id` is the image's id.
        table: its rows in the same order with the columns of `TABLE`: the true patient, and whether it is a
            pixel-identical copy of an earlier row.
        stores: outlines (`sham`, `keep`, ...) -> pixels of the rows.
    """

    honest: Cohort
    cohort: Cohort
    table: pd.DataFrame
    stores: dict[str, ImageStore]

    @property
    def n_copies(self) -> int:
        """Number of copies."""
        return int(self.table["copy"].sum())


def open_rows(request: Request, study: StudyFile, observer: Observer) -> LedgerRows:
    """Read the cohort with every image, copies included: as a study prepares them, and with outlines if there are any.

    Raises:
        CohortError: rows that do not hold together.
        ImageError: missing or unreadable files beyond the tolerance.
    """
    data = study.data
    listing = list_images(request, observer, needs_images=True)
    facts = open_images(listing, request, observer)
    honest = assemble_rows(listing, facts, request)
    listing = choose_features(listing, data)
    account = judge(listing, data, facts)
    copy = account.step == "duplicate"
    account.step = account.step.mask(copy, "used")
    images = used_rows(listing, account).assign(copy=copy[account.used].to_numpy())
    keyed = images.drop(columns="copy").assign(patient_id=images["image_id"])
    cohort = replace(honest, images=keyed, notice=joined((LABEL, honest.notice)))
    own = facts.set_axis(listing.images.loc[facts.index, "image_id"]).loc[images["image_id"]].reset_index(drop=True)
    stores: dict[str, ImageStore] = {}
    for outlines in dict.fromkeys((data.outlines, "keep") if honest.n_outlined else (data.outlines,)):
        variant = data.model_copy(update={"outlines": outlines})
        stores[outlines] = open_store(
            list(images["path"]), own, variant, cache=request.cache, progress=observer.preparing
        )
    return LedgerRows(honest, cohort, images[list(TABLE)], stores)
