"""Cells of a ledger from its rows: the splits of every protocol, its configurations, its encoders."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from mmbc.config import Config, apply_changes
from mmbc.data.splits import PARTS, Split
from mmbc.data.tables import encoding
from mmbc.data.tables.encoding import TabularEncoder
from study.design import partition
from study.design.folds import Folds
from study.design.study_file import Protocol, StudyFile
from study.leaks.protocols import (
    BY_IMAGE,
    DUPLICATES,
    HONEST,
    OUTLINES,
    PEEK,
    PROTOCOLS,
    SCALER,
    SINGLE,
    TEST_SHARE,
    TUNED,
    Leak,
    LedgerCell,
    candidates,
)
from study.leaks.rows import LedgerRows

Splits = Mapping[tuple[int, int], Split]


@dataclass(frozen=True)
class Entry:
    """One protocol of one ablation, with one of its candidates.

    Attributes:
        arm: the ablation.
        leak: the protocol.
        candidate: number among the configurations that are compared on test parts; 0 where there is one.
        cells: its models; those it has in common with an earlier entry are that entry's.
    """

    arm: str
    leak: Leak
    candidate: int
    cells: tuple[LedgerCell, ...]


def plan(study: StudyFile, rows: LedgerRows, folds: Folds, n_candidates: int) -> list[Entry]:
    """Return the entries of every ablation: the honest protocol first, then each leak, then all of them.

    Args:
        study: with the chosen arms.
        rows: of the ledger.
        folds: those of the study, by patient.
        n_candidates: configurations compared where tuning is on test parts.
    """
    splits = {leak.name: splits_of(leak, study.protocol, rows, folds) for leak in PROTOCOLS}
    known: dict[tuple[object, ...], LedgerCell] = {}
    entries = []
    for arm in study.arms:
        for leak in PROTOCOLS:
            reference = config_of(study.arm_config(arm), leak, rows)
            several = candidates(reference, n_candidates, seed=study.protocol.split_seed)
            for number, config in enumerate(several if TUNED in leak.changes else [reference]):
                cells = _cells(study, arm, leak, number, config, splits[leak.name])
                shared = tuple(known.setdefault(cell.training, cell) for cell in cells)
                entries.append(Entry(arm, leak, number, shared))
    return entries


def _cells(study: StudyFile, arm: str, leak: Leak, number: int, config: Config, splits: Splits) -> list[LedgerCell]:
    return [
        LedgerCell(
            arm,
            config,
            split,
            repeat,
            fold,
            seed,
            None if leak.name == HONEST else leak.name,
            candidate=number if TUNED in leak.changes else None,
            encoded_on_all=SCALER in leak.changes,
            first_seed=study.protocol.first_seed,
        )
        for seed in range(study.protocol.seeds)
        for (repeat, fold), split in sorted(splits.items())
    ]


def distinct_cells(entries: list[Entry]) -> list[LedgerCell]:
    """Return every cell once."""
    return list({cell.name: cell for entry in entries for cell in entry.cells}.values())


def config_of(config: Config, leak: Leak, rows: LedgerRows) -> Config:
    """Return an ablation's configuration under a protocol; only keeping outlines changes it, where there are any."""
    if OUTLINES not in leak.changes or not config.uses_images or "keep" not in rows.stores:
        return config
    return apply_changes(config, {"data.outlines": "keep"}, leak.name)


def protocol_rows(leak: Leak, rows: LedgerRows) -> pd.DataFrame:
    """Return the rows a protocol uses: with the copies, or without."""
    return rows.table if DUPLICATES in leak.changes else rows.table[~rows.table["copy"]]


def splits_of(leak: Leak, protocol: Protocol, rows: LedgerRows, folds: Folds) -> Splits:
    """Return (repeat, fold) -> images of each part.

    The honest splits are those of the study. Splits of images are drawn as the study draws its own, with the same seed;
    so is a single split of patients, unless the study has one anyway.
    """
    used = protocol_rows(leak, rows)
    if BY_IMAGE in leak.changes:
        as_images = _image_protocol(protocol, folds, single=SINGLE in leak.changes)
        splits = partition.make(_cohort_rows(rows, used), as_images).splits
    else:
        by_patient = _patient_splits(protocol, rows, folds, single=SINGLE in leak.changes)
        images = {str(patient): list(ids) for patient, ids in used.groupby("patient_id")["image_id"]}
        splits = {place: _image_split(split, images) for place, split in by_patient.items()}
    if PEEK in leak.changes:
        splits = {place: Split(split.train, split.test, split.test) for place, split in splits.items()}
    return {(repeat, fold): split for (repeat, fold), split in splits.items() if repeat < protocol.repeats}


def _cohort_rows(rows: LedgerRows, used: pd.DataFrame) -> pd.DataFrame:
    """Return the cohort's rows of some images."""
    return rows.cohort.images.loc[used.index].reset_index(drop=True)


def _image_protocol(protocol: Protocol, folds: Folds, *, single: bool) -> Protocol:
    """Return how images are split: into as many parts as the study has, or once."""
    once = single or folds.holdout
    share = (protocol.holdout or TEST_SHARE) if once else None
    changes = {"fold_column": "", "test_where": "", "holdout": share, "folds": folds.n_folds}
    return protocol.model_copy(update=changes | ({"repeats": 1} if single else {}))


def _patient_splits(protocol: Protocol, rows: LedgerRows, folds: Folds, *, single: bool) -> Splits:
    honest = folds.splits
    if not single:
        return honest
    if folds.holdout:
        return {(0, 0): honest[0, 0]}
    changes = {"fold_column": "", "test_where": "", "holdout": TEST_SHARE, "repeats": 1}
    return partition.make(rows.honest.images, protocol.model_copy(update=changes)).splits


def _image_split(split: Split, images: Mapping[str, list[str]]) -> Split:
    """Return the images of a split's patients."""
    parts = split.parts()
    return Split(*(tuple(sorted(image for patient in parts[part] for image in images[patient])) for part in PARTS))


def fit_encoders(entries: list[Entry], rows: LedgerRows) -> dict[str, TabularEncoder]:
    """Return cell name -> encoder fitted on all rows of its protocol, for the cells that are to have one."""
    by_cell: dict[str, TabularEncoder] = {}
    for entry in entries:
        encoded = [cell for cell in entry.cells if cell.encoded_on_all]
        if encoded:
            images, indicators = (
                _cohort_rows(rows, protocol_rows(entry.leak, rows)),
                encoded[0].config.data.missing_indicators,
            )
            fitted = encoding.fit(images, rows.cohort.features, missing_indicators=indicators)
            by_cell |= {cell.name: fitted for cell in encoded}
    return by_cell


def why_nothing(leak: Leak, config: Config, rows: LedgerRows, folds: Folds) -> str:
    """Return why a leak changes nothing of an ablation; '' where it does."""
    if leak.name == OUTLINES and not config.uses_images:
        return "no image is used"
    if leak.name == OUTLINES and config.data.outlines == "keep":
        return "the study keeps outlines itself"
    if leak.name == OUTLINES and "keep" not in rows.stores:
        return "no image has an outline"
    if leak.name == DUPLICATES and not rows.n_copies:
        return "no image has a copy"
    if leak.name == SCALER and "tabular" not in config.model.inputs:
        return "no clinical column is used"
    if leak.name == SINGLE and folds.holdout:
        return "the study has a single split itself"
    return ""
