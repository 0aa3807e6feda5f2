"""The baseline to beat: a logistic regression on the clinical columns, in the same splits, without torch."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from mmbc.calibration import fit_platt
from mmbc.data import tabular
from mmbc.data.cohort import Cohort
from mmbc.data.splits import rows_of
from study.plan import Cell
from study.record import prediction_rows, write_cell


def run_baseline(cells: list[Cell], cohort: Cohort, folder: Path) -> None:
    """Fit and record the baseline's cells (seconds)."""
    for cell in cells:
        _run_cell(cell, cohort, folder / cell.name)


def _run_cell(cell: Cell, cohort: Cohort, folder: Path) -> None:
    images = cohort.images
    rows = rows_of(cell.split, images)
    encoder = tabular.fit(
        images.loc[rows["train"]], cohort.features, missing_indicators=cell.config.data.missing_indicators
    )
    model = LogisticRegression(C=1.0, max_iter=1000)
    model.fit(encoder.transform(images.loc[rows["train"]]), images.loc[rows["train"], "label"])
    logits = {part: _logits(model, encoder.transform(images.loc[rows[part]])) for part in ("validation", "test")}
    platt = fit_platt(logits["validation"], images.loc[rows["validation"], "label"].to_numpy())
    predictions = pd.concat([prediction_rows(images, rows[part], part, logits[part], platt) for part in logits])
    record = {
        **cell.key, "arm": cell.arm, "repeat": cell.repeat, "fold": cell.fold, "cohort_digest": cohort.digest,
        "stopped": "converged", "best_epoch": None, "n_epochs": None, "seconds": None,
        "n_parameters": int(model.coef_.size + 1), "n_trainable": int(model.coef_.size + 1),
        "calibration": {"slope": platt[0], "intercept": platt[1]},
        "preprocessing": encoder.model_dump(mode="json"),
        "coefficients": [*model.coef_[0].tolist(), float(model.intercept_[0])],
    }  # fmt: skip
    write_cell(folder, predictions=predictions.reset_index(drop=True), record=record)


def _logits(model: LogisticRegression, table: np.ndarray) -> np.ndarray:
    return np.asarray(model.decision_function(table), dtype=np.float64)
