"""An R script that makes the main table, the differences and the decision curves again, and the predictions it reads.

It is an independent check: it shares no code with `study.stats`, and needs nothing but R.
"""

import gzip
from pathlib import Path

import pandas as pd

from study.evaluation.contrasts import declared
from study.evaluation.evaluation import Evaluation
from study.evaluation.units import UNIT_KEYS, pool
from study.records.cell_records import CELL_COLUMNS
from study.records.stored_study import StoredStudy
from study.text.notices import csv

FOLDER = "R"
BODY = Path(__file__).parent / "templates" / "main_table.R"
LARGEST = 5_000_000
"""Bytes up to which the predictions are plain text; larger files are compressed, and R reads them all the same."""


def r_files(study: StoredStudy, evaluation: Evaluation, notice: str) -> dict[str, bytes]:
    """Return the script and the predictions by their paths below the report's folder; none without a finished arm."""
    if evaluation.summary.empty:
        return {}
    data, suffix = csv(unit_predictions(study, evaluation), notice).encode(), ".csv"
    if len(data) > LARGEST:
        data, suffix = gzip.compress(data, mtime=0), ".csv.gz"
    return {f"{FOLDER}/main_table.R": _script(study, notice), f"{FOLDER}/predictions{suffix}": data}


def unit_predictions(study: StoredStudy, evaluation: Evaluation) -> pd.DataFrame:
    """Return the test units of all finished arms, and the validation units that calibration and thresholds come from.

    Patients and units are numbered, so that the file can be given away without their keys. Columns: arm, repeat, seed,
    fold, part, patient, unit, status, site, label, logit (pooled), prob_calibrated (of test units).
    """
    arms, level, protocol = evaluation.summary["arm"].unique(), evaluation.unit, study.settings.protocol
    scores = evaluation.scores
    tested = scores[(scores["level"] == level) & scores["arm"].isin(arms)].assign(part="test")
    rows = study.predictions[(study.predictions["part"] == "validation") & study.predictions["arm"].isin(arms)]
    how = protocol.pool_views, protocol.pool_breasts
    validation = [pool(rows, level, *how, by=CELL_COLUMNS).assign(part="validation")] if len(rows) else []
    units = pd.concat([tested, *validation], ignore_index=True)
    keys = UNIT_KEYS[level]
    numbered = units.assign(
        patient=units.groupby("patient_id", sort=True).ngroup() + 1,
        unit=units.groupby(keys, sort=True, dropna=False).ngroup() + 1,
    )
    columns = ["arm", "repeat", "seed", "fold", "part", "patient", "unit", "status", "site", "label", "logit"]
    return numbered[[*columns, "prob_calibrated"]]


def _script(study: StoredStudy, notice: str) -> bytes:
    """Return the script behind what it has to know of the study."""
    protocol = study.settings.protocol
    head = [
        "# The main table made again: Rscript main_table.R",
        *([f"# {notice}"] if notice else []),
        "",
        f'study <- "{study.name}"',
        f'unit <- "{study.settings.unit}"  # of analysis; patients are the independent ones',
        f"delta <- {protocol.delta!r}  # largest difference of the AUC without practical meaning",
        f"contrasts_declared <- {len(declared(study))}  # differences that the p values are adjusted for",
        f"prevalence <- {'NA' if protocol.prevalence is None else repr(protocol.prevalence)}  # for the net benefit",
        "",
    ]
    return ("\n".join(head) + "\n" + BODY.read_text(encoding="utf-8")).encode()
