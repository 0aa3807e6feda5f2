"""Table of a ledger from its predictions: what each protocol would report, and how far that is from the honest one.

The common currency is the image-level AUC: within each test part, then their mean (over folds, repeats, seeds),
because published recipes evaluate images and split images have no patient-level score. Everything is computed under the
same weights of patients at once: row 0 has the data as they are, the others are bootstrap samples of the true patients,
so that differences are paired even where protocols test other rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmbc.config import flatten
from study.design.folds import Folds
from study.design.study_file import StudyFile
from study.evaluation.units import pool
from study.leaks.plan import Entry
from study.leaks.protocols import HONEST, LABEL, RECIPE, SINGLES, TOGETHER, TUNED
from study.leaks.rows import LedgerRows
from study.records.cell_records import PREDICTION_COLUMNS
from study.records.stored_frame import read_frame
from study.stats import metrics
from study.stats.bootstrap import patient_weights, percentile_interval
from study.stats.kernel import mean_areas

RUN = ["repeat", "seed", "fold"]
MEASURES = ("auc", "unit_auc", "accuracy", "f1")
"""Image-level AUC, that of the study's unit, and image-level accuracy and F1 at calibrated probability 0.5."""
N_REPLICATES = 2000


@dataclass(frozen=True)
class Measurement:
    """Results that one protocol of one ablation would report.

    Attributes:
        tested: its test predictions, one row per (cell, image): `RUN`, image_id, patient_id (the true one), patient
            (the patient's column in the weights), label, logit, called.
        under: name of `MEASURES` -> (1 + n_replicates,); NaN where it is not defined.
        areas: the AUC within each test part (n_parts,), as the data are.
    """

    tested: pd.DataFrame
    under: dict[str, np.ndarray]
    areas: np.ndarray


class Measurer:
    """Measures entries under one set of patient weights.

    Args:
        study: with unit and pooling.
        rows: of the ledger.
        folds: those of the study; bootstrap samples are drawn within their test parts and outcomes.
        folder: where the cells' records are.
        n_replicates: bootstrap samples.
    """

    def __init__(
        self, study: StudyFile, rows: LedgerRows, folds: Folds, folder: Path, n_replicates: int = N_REPLICATES
    ) -> None:
        self.study, self.folder = study, folder
        self.table = rows.table.set_index("image_id")
        self.patients = pd.Index(sorted(rows.table["patient_id"].unique()))
        self.weights = draw_weights(rows.table, folds, self.patients, n_replicates, seed=study.protocol.split_seed)

    def measure(self, entry: Entry) -> Measurement:
        """Return what an entry reports."""
        tested = self.tested(entry)
        under = {"auc": self.auc(tested), **self._counted(tested)}
        under["unit_auc"] = self._unit_auc(tested) if not self._divides(entry) else np.full(len(self.weights), np.nan)
        return Measurement(tested, under, part_areas(tested))

    def best(self, entries: Sequence[Entry]) -> Entry:
        """Return the candidate with the best mean AUC on test parts; the first of equals."""
        if len(entries) == 1:
            return entries[0]
        return max(entries, key=lambda entry: float(part_areas(self.tested(entry)).mean()))

    def tested(self, entry: Entry) -> pd.DataFrame:
        """Return the test predictions of an entry's cells, of their true patients (see `Measurement`)."""
        frames = []
        for cell in entry.cells:
            predictions = read_frame(self.folder / "cells" / cell.name / "predictions.parquet", PREDICTION_COLUMNS)
            kept = predictions.loc[predictions["part"] == "test", ["image_id", "logit", "prob_calibrated"]]
            frames.append(kept.assign(repeat=cell.repeat, seed=cell.seed, fold=cell.fold))
        rows = pd.concat(frames, ignore_index=True)
        known = self.table.loc[rows["image_id"]].reset_index(drop=True)
        return pd.concat([rows, known], axis=1).assign(
            patient=self.patients.get_indexer(pd.Index(known["patient_id"])), called=rows["prob_calibrated"] >= 0.5
        )

    def auc(self, tested: pd.DataFrame) -> np.ndarray:
        """Return the mean of within-part AUCs of test rows under all weights (1 + n_replicates,)."""
        parts = tested.groupby(RUN).ngroup().to_numpy()
        columns = (tested[name].to_numpy() for name in ("label", "logit", "patient"))
        labels, scores, patients = columns
        return mean_areas(self.weights, labels, scores, patients, parts)[0]

    def _unit_auc(self, tested: pd.DataFrame) -> np.ndarray:
        """Return the same of the study's unit, pooled as in a study."""
        how = self.study.protocol
        units = pool(tested, self.study.unit, how.pool_views, how.pool_breasts, by=RUN)
        return self.auc(units.assign(patient=self.patients.get_indexer(pd.Index(units["patient_id"]))))

    def _counted(self, tested: pd.DataFrame) -> dict[str, np.ndarray]:
        """Return accuracy and F1 over all test rows."""
        truth, called = tested["label"].to_numpy() == 1, tested["called"].to_numpy()
        cells = (truth & called, ~truth & called, truth & ~called, ~truth & ~called)
        by_patient = np.stack([np.bincount(tested["patient"], cell, len(self.patients)) for cell in cells], axis=1)
        counts = (self.weights @ by_patient).T  # (n_replicates, 4) -> (4, n_replicates)
        return {"accuracy": metrics.accuracy(counts), "f1": metrics.f1(counts)}

    def _divides(self, entry: Entry) -> bool:
        """Whether a patient has images in training and test part of one cell."""
        owner = self.table["patient_id"]
        pairs = {cell.split for cell in entry.cells}
        return any(set(owner.loc[list(split.train)]) & set(owner.loc[list(split.test)]) for split in pairs)


def draw_weights(table: pd.DataFrame, folds: Folds, patients: pd.Index, n_replicates: int, *, seed: int) -> np.ndarray:
    """Return the weights of patients (1 + n_replicates, n_patients): row 0 is the data as they are.

    Samples are drawn within the honest test parts of repeat 0 and outcomes; patients of no test part are drawn among
    themselves.
    """
    fold_of = folds.test_fold_of()
    labels = table.groupby("patient_id")["label"].max()
    strata = np.array([2 * fold_of.get(patient, -1) + int(labels[patient]) for patient in patients])
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0])))
    return np.vstack([np.ones(len(patients)), patient_weights(strata, n_replicates, rng)])


def part_areas(tested: pd.DataFrame) -> np.ndarray:
    """Return the AUC of every test part that has both classes (n_parts,)."""
    areas = []
    for _, part in tested.groupby(RUN):
        labels = part["label"].to_numpy()
        if 0 < labels.sum() < len(labels):
            areas.append(metrics.roc_auc(np.ones((1, len(labels))), labels, part["logit"].to_numpy())[0])
    return np.array(areas)


def difference_on_shared_rows(measuring: Measurer, honest: Measurement, other: Measurement) -> tuple[np.ndarray, int]:
    """Return the difference in AUC (other minus honest) on the images that both test, and their number.

    The difference is (1 + n_replicates,).
    """
    both = set(honest.tested["image_id"]) & set(other.tested["image_id"])
    first, second = (one.tested[one.tested["image_id"].isin(both)] for one in (other, honest))
    try:
        return measuring.auc(first) - measuring.auc(second), len(both)
    except ValueError:  # no test part has both classes among the shared rows
        return np.full(len(measuring.weights), np.nan), len(both)


def table(entries: Sequence[Entry], measuring: Measurer, nothing: Callable[[Entry], str]) -> pd.DataFrame:
    """Return one row per ablation and protocol, and one for what all leaks together are worth beyond their sum.

    Columns: arm, leak, title, label (`LABEL` or ''), nothing (why the leak changes nothing, or ''); n_cells, n_parts,
    n_patients, n_images; value, low and high of `MEASURES` (auc, auc_low, auc_high, ...); part_low, part_high (the
    range of the AUCs within test parts); difference, difference_low, difference_high (reported AUC minus the honest
    one); shared, shared_low, shared_high, n_shared (the same on the test images that both have); n_candidates,
    candidate (number of the one reported), chosen (its settings that differ from the reference).

    Args:
        entries: of `study.leaks.plan.plan`, all of them trained.
        measuring: under which weights.
        nothing: tells why an entry's leak changes nothing.
    """
    lines = []
    for arm in dict.fromkeys(entry.arm for entry in entries):
        honest: Measurement | None = None
        steps: dict[str, np.ndarray] = {}
        for entries_of in _by_protocol([entry for entry in entries if entry.arm == arm]):
            entry = measuring.best(entries_of)
            reported = measuring.measure(entry)
            honest = honest or reported
            steps[entry.leak.name] = reported.under["auc"] - honest.under["auc"]
            if entry.leak.name == RECIPE:
                lines.append(_together(arm, steps))
            compared = _choice(entry, entries_of) if TUNED in entry.leak.changes else {}
            same = "the reference won" if entry.leak.name == TUNED and entry.candidate == 0 else ""
            lines.append(_line(entry, reported, measuring, honest) | compared | {"nothing": nothing(entry) or same})
    return pd.DataFrame(lines)


def _choice(chosen: Entry, among: Sequence[Entry]) -> dict[str, Any]:
    """Say what was chosen on test parts, and among how many."""
    reference, own = (flatten(entry.cells[0].config) for entry in (among[0], chosen))
    changes = [f"{key} = {value}" for key, value in own.items() if value != reference[key]]
    return {"n_candidates": len(among), "candidate": chosen.candidate, "chosen": ", ".join(changes) or "the reference"}


def _by_protocol(entries: Sequence[Entry]) -> list[list[Entry]]:
    names = dict.fromkeys(entry.leak.name for entry in entries)
    return [[entry for entry in entries if entry.leak.name == name] for name in names]


def _line(entry: Entry, reported: Measurement, measuring: Measurer, honest: Measurement) -> dict[str, Any]:
    leak = entry.leak
    line: dict[str, Any] = {
        "arm": entry.arm,
        "leak": leak.name,
        "title": leak.title,
        "label": LABEL if leak.name != HONEST else "",
        "n_cells": len(entry.cells),
        "n_parts": len(reported.areas),
        "n_patients": reported.tested["patient_id"].nunique(),
        "n_images": reported.tested["image_id"].nunique(),
    }
    for name in MEASURES:
        line |= _with_ends(name, reported.under[name])
    line |= {"part_low": reported.areas.min(initial=np.inf), "part_high": reported.areas.max(initial=-np.inf)}
    if leak.name == HONEST:
        return line
    shared, n_shared = difference_on_shared_rows(measuring, honest, reported)
    line |= _with_ends("difference", reported.under["auc"] - honest.under["auc"])
    return line | _with_ends("shared", shared) | {"n_shared": n_shared}


def _together(arm: str, steps: Mapping[str, np.ndarray]) -> dict[str, Any]:
    beyond = steps[RECIPE] - sum(steps[leak.name] for leak in SINGLES)
    title = "Together, beyond the sum"
    return {"arm": arm, "leak": TOGETHER, "title": title, "label": LABEL} | _with_ends("difference", beyond)


def _with_ends(name: str, values: np.ndarray) -> dict[str, float]:
    low, high = percentile_interval(values[1:])
    return {name: float(values[0]), f"{name}_low": low, f"{name}_high": high}
