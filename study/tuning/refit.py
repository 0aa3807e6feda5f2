"""Refit of the winners of a search: trained again, calibrated on inner predictions, tested once; `best.toml`."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from mmbc.files import write_atomically
from study.design.cells import TrialCell, plan
from study.design.folds import inner_splits
from study.design.search_results import FOLDER, WHOLE, ChosenSettings, SearchResult
from study.design.tuning_provenance import stamp
from study.records.cell_records import PREDICTION_COLUMNS, finished
from study.records.progress import Observer
from study.records.search_archive import write_searched
from study.records.stored_frame import read_frame
from study.training.baseline import run_baseline
from study.training.lockstep import execute
from study.training.preparation import Planned
from study.training.workspace import Workspace
from study.tuning.target_study import TargetStudy
from study.tuning.waves import search_workspace
from study.tuning.winners import best_toml, search_results


def refit_winners(
    planned: Planned, target_studies: Sequence[TargetStudy], workspace: Workspace, *, observer: Observer
) -> SearchResult:
    """Write the winners of a finished search, train them again and test each once; what is there already is kept.

    After a nested search a winner is trained on the whole training part of its fold for the median of its inner best
    epochs, and calibrated on the predictions of its inner fits, as the baseline is. After a flat search it is
    cross-validated as any arm.
    """
    results = search_results(target_studies, finished=True)
    write_searched(planned.folder, results)
    _write_best(planned, results)
    study, splits = planned.study, planned.folds.splits
    nested = study.search is not None and study.search.mode == "nested"
    inner = {fold.place: inner_splits(fold.inner) for fold in planned.folds.folds} if nested else None
    run_baseline(planned.unfinished(planned.baseline), planned.cohort, planned.folder / "cells", inner)
    everything = plan(study, tuple(study.arms), splits, results)
    cells = planned.unfinished(everything)
    observer.expect(cells, len(everything) - len(cells), planned.folder)
    predicted: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    if nested and cells:
        winners = [
            (one, winner)
            for one in target_studies
            if (winner := _winner(one, results)) is not None and one.target.fold != WHOLE
        ]
        by_place = _out_of_fold(winners, workspace, observer)
        predicted = {cell.name: by_place[cell.arm, cell.repeat, cell.fold] for cell in cells}
    execute(cells, replace(workspace, out_of_fold=predicted), observer=observer)
    return results


def _winner(target_study: TargetStudy, results: SearchResult) -> ChosenSettings | None:
    target = target_study.target
    return results.winner(target.arm, target.repeat, target.fold)


def _write_best(planned: Planned, results: SearchResult) -> None:
    """Write `best.toml` with every arm, and one file for each arm."""
    winners = [one for one in results.chosen if one.fold == WHOLE]
    if not winners:
        return
    place = planned.folder / FOLDER
    files = {"best.toml": winners} | {f"best/{one.arm}.toml": [one] for one in winners}
    for name, chosen in files.items():
        mark = stamp(planned.folder.name, [one.arm for one in chosen], planned.cohort)
        write_atomically(place / name, best_toml(planned.study, chosen, mark).encode())


def winner_cells(target_study: TargetStudy, winner: ChosenSettings) -> list[TrialCell]:
    """Return the fits of a winner."""
    target = target_study.target
    return target.cells(winner.number, target.config(winner.set))


def _out_of_fold(
    winners: Sequence[tuple[TargetStudy, ChosenSettings]], workspace: Workspace, observer: Observer
) -> dict[tuple[str, int, int], tuple[np.ndarray, np.ndarray]]:
    """Return (arm, repeat, fold) -> rows (n,) and logits (n,) by the winners' inner fits.

    Fits whose predictions are not here, because another machine without a common disk made them, are trained again.
    """
    place = search_workspace(workspace)
    cells = {(w.arm, w.repeat, w.fold): winner_cells(target_study, w) for target_study, w in winners}
    absent = [c for fits in cells.values() for c in fits if not finished(place.cell_folder(c.name), c.key)]
    execute(absent, place, observer=observer)
    return {key: _rows_and_logits(fits, place) for key, fits in cells.items()}


def _rows_and_logits(cells: Sequence[TrialCell], workspace: Workspace) -> tuple[np.ndarray, np.ndarray]:
    predictions = inner_predictions(cells, workspace)
    images = workspace.cohort.images
    rows = pd.Series(images.index, index=images["image_id"]).loc[predictions["image_id"]].to_numpy(dtype=np.int64)
    order = np.argsort(rows)
    return rows[order], predictions["logit"].to_numpy(dtype=np.float64)[order]


def inner_predictions(cells: Sequence[TrialCell], workspace: Workspace) -> pd.DataFrame:
    """Return the validation predictions of a trial's fits, which saw none of these rows; `part_number` counts fits."""
    frames = []
    for number, cell in enumerate(cells):
        rows = read_frame(workspace.cell_folder(cell.name) / "predictions.parquet", PREDICTION_COLUMNS)
        frames.append(rows.assign(part_number=number))
    return pd.concat(frames, ignore_index=True)
