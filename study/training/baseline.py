"""The baseline to beat: a logistic regression on the clinical columns, in the same splits, without torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from mmbc.calibration import apply_platt, fit_platt
from mmbc.data.cohort import Cohort
from mmbc.data.splits import Split, rows_of
from mmbc.data.tables import encoding
from mmbc.threads import in_one_thread
from study.design.cells import Cell
from study.records.cell_records import CellRecord, prediction_rows, write_cell


@in_one_thread
def run_baseline(
    cells: list[Cell], cohort: Cohort, folder: Path, inner: Mapping[tuple[int, int], Sequence[Split]] | None = None
) -> None:
    """Fit and record the baseline's cells (seconds).

    With the inner folds of each (repeat, fold) it is fitted on whole training parts and calibrated on predictions out
    of the inner folds, as the arms of a nested search are.
    """
    for cell in cells:
        _run_cell(cell, cohort, folder / cell.name, inner[cell.repeat, cell.fold] if inner is not None else ())


def _run_cell(cell: Cell, cohort: Cohort, folder: Path, inner: Sequence[Split]) -> None:
    indicators = cell.config.data.missing_indicators
    predictions, facts = fit_baseline(cell.learns_from(cohort.images), cohort, missing_indicators=indicators)
    if inner:
        parts = [fit_baseline(split, cohort, missing_indicators=indicators)[0] for split in inner]
        validation = pd.concat(parts, ignore_index=True)
        slope, intercept = fit_platt(validation["logit"].to_numpy(), validation["label"].to_numpy())
        predictions = pd.concat([validation, predictions], ignore_index=True)
        predictions["prob_calibrated"] = apply_platt(predictions["logit"].to_numpy(), slope, intercept)
        facts = {**facts, "calibration": {"slope": slope, "intercept": intercept}}
    record = {
        **cell.key,
        "arm": cell.arm,
        "repeat": cell.repeat,
        "fold": cell.fold,
        "cohort_digest": cohort.digest,
        **facts,
    }
    write_cell(folder, predictions=predictions, record=CellRecord.model_validate(record))


def fit_baseline(split: Split, cohort: Cohort, *, missing_indicators: bool) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Fit the baseline in one split; return its predictions (`PREDICTION_COLUMNS`) and what a record says of the fit.

    Without validation patients there is nothing to calibrate on, and the fit's own probabilities stand.
    """
    images = cohort.images
    rows = rows_of(split, images)
    encoder = encoding.fit(images.loc[rows["train"]], cohort.features, missing_indicators=missing_indicators)
    table, labels = encoder.transform(images.loc[rows["train"]]), images.loc[rows["train"], "label"]
    coefficients, intercept = _fit(table, labels.to_numpy())
    logits = {
        part: encoder.transform(images.loc[rows[part]]).astype(np.float64) @ coefficients + intercept
        for part in ("validation", "test")
        if len(rows[part])
    }
    known = "validation" in logits
    platt = fit_platt(logits["validation"], images.loc[rows["validation"], "label"].to_numpy()) if known else (1.0, 0.0)
    predictions = pd.concat([prediction_rows(images, rows[part], part, logits[part], platt) for part in logits])
    facts = {
        "stopped": "converged",
        "best_epoch": None,
        "n_epochs": None,
        "seconds": None,
        "n_parameters": len(coefficients) + 1,
        "n_trainable": len(coefficients) + 1,
        "calibration": {"slope": platt[0], "intercept": platt[1]},
        "preprocessing": encoder.model_dump(mode="json"),
        "coefficients": [*coefficients.tolist(), intercept],
    }
    return predictions.reset_index(drop=True), facts


def _fit(table: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Return coefficients (n_columns,) and intercept; without a column the intercept is the prevalence's."""
    if table.shape[1] == 0:
        share = float(labels.mean())
        return np.zeros(0), float(np.log(share / (1 - share)))
    model = LogisticRegression(C=1.0, max_iter=1000)
    model.fit(table, labels)
    return model.coef_[0].astype(np.float64), float(model.intercept_[0])
