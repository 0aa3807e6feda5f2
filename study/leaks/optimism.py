"""The optimism ledger, from the data to its files: what each methodological leak is worth.

    results/<name>/ledger/
      README.txt         what these records are, and that they are leaky by design
      settings.toml      resolved settings of the study whose protocol is the honest one
      ledger.json        cohort digest, patients and images, number of candidates
      rows.parquet       every row: the true patient, and whether it is a copy
      cells/<cell>/      predictions and records as in a study; no model is kept, none is to be used

A study is read from `results/<name>/cells`; nothing here is ever part of it, and `study.records.stored_study` refuses
these records.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

from mmbc.config import parse, to_toml
from mmbc.errors import ConfigError, StudyError
from mmbc.files import read_json, reading, write_atomically, write_json
from mmbc.toml import read_toml
from study.cohort.loading import check_features
from study.design import partition
from study.design.folds import Folds
from study.design.request import CANDIDATES, Request
from study.design.study_file import StudyFile
from study.design.study_name import default_name
from study.design.tuning_provenance import joined, warning
from study.leaks import ledger_report as paper
from study.leaks.ledger_report import Published
from study.leaks.measurement import N_REPLICATES, Measurer, table
from study.leaks.plan import distinct_cells, fit_encoders, plan, why_nothing
from study.leaks.protocols import HONEST, LABEL, RECIPE, SINGLE, SPACE, TUNED, LedgerCell
from study.leaks.rows import LedgerRows, open_rows
from study.records import study_folder
from study.records.cell_records import finished
from study.records.progress import Observer
from study.reporting.facts.prose import render_items
from study.stats.comparison import SEEDS_NEEDED
from study.text.format import number
from study.training.lockstep import execute
from study.training.preparation import with_resolved_run
from study.training.tracking import tracked
from study.training.worker_pool import WorkerPool
from study.training.workspace import Workspace

FOLDER = "ledger"
REPORTED = Published(auc=0.872, accuracy=0.808, f1=0.713)
"""Results reported for the usual recipe on Mini-DDSM."""
REPORTED_FOR = "mini-ddsm"
README = (
    f"{LABEL.upper()}\n\n"
    "The models of this folder are trained on purpose with methodological errors (see the second part of each cell's"
    " name, and\n`leak` in its record), to measure how much each error is worth. None of their numbers is a result."
    f' Cells called "{HONEST}" are\nthe reference within this ledger; their rows are those of the ledger, not of a'
    " study. Nothing here is read by study.report.\n"
)


@dataclass(frozen=True)
class Ledger:
    """Worth of each leak.

    Attributes:
        name: of the study it belongs to.
        cohort: its name.
        table: see `study.leaks.measurement.table`.
        notes: what the numbers are, and what a reader should know, one sentence or two each.
        notice: the cohort's own warning, or ''.
        unit: `patient` or `breast`.
        n_patients, n_images, n_copies: of all rows; copies are among the images.
        published: what a published recipe reports for this cohort, or None.
    """

    name: str
    cohort: str
    table: pd.DataFrame
    notes: tuple[str, ...]
    notice: str
    unit: str
    n_patients: int
    n_images: int
    n_copies: int
    published: Published | None = None


def run(
    request: Request, observer: Observer, *, n_candidates: int = CANDIDATES, n_replicates: int = N_REPLICATES
) -> Ledger:
    """Train what every protocol lacks, and measure them all; in one process, whatever the request says.

    Args:
        request: the study whose protocol is the honest one, with the chosen ablations.
        observer: told about the work.
        n_candidates: configurations compared where tuning is on test parts, the reference among them.
        n_replicates: bootstrap samples.

    Raises:
        MmbcError: of the kind that fits; a folder of another cohort or other settings, or one that another process
            works on.
    """
    if n_candidates < 2:
        raise ConfigError(f"--candidates {n_candidates}: tuning compares at least two configurations")
    study = request.study.model_copy(update={"search": None})
    rows = open_rows(request, with_resolved_run(study), observer)
    whole = request.out / (request.name or default_name(rows.honest.name, request.study, request.tolerance))
    place = whole / FOLDER
    study = with_resolved_run(study, begun=place / "settings.toml")
    check_features(study, rows.honest)
    _check_study(whole, request.study, rows)
    folds = _folds(whole, request, study, rows)
    entries = plan(study, rows, folds, n_candidates)
    if request.force:
        study_folder.set_aside(place, holds="ledger.json")
    with study_folder.lock(place):
        _begin(place, study, rows)
        with tracked(observer, request, place, f"{whole.name} ({FOLDER})") as told:
            _train(distinct_cells(entries), rows, fit_encoders(entries, rows), place, request, told)
    configs = {arm: study.arm_config(arm) for arm in study.arms}
    measuring = Measurer(study, rows, folds, place, n_replicates)
    lines = table(entries, measuring, lambda entry: why_nothing(entry.leak, configs[entry.arm], rows, folds))
    notice = joined((rows.honest.notice, warning(study, rows.honest)))
    return Ledger(
        whole.name,
        rows.honest.name,
        lines,
        tuple(_notes(lines, study, rows, n_replicates)),
        notice,
        study.unit,
        int(rows.table["patient_id"].nunique()),
        len(rows.table),
        rows.n_copies,
        REPORTED if rows.honest.name.startswith(REPORTED_FOR) else None,
    )


def _check_study(place: Path, study: StudyFile, rows: LedgerRows) -> None:
    """Refuse a folder whose study has other settings or another cohort: its protocol is not the honest one."""
    study_folder.continued(place, with_resolved_run(study, begun=place / "study.toml"))
    study_folder.check_cohort(place, rows.honest)


def _folds(place: Path, request: Request, study: StudyFile, rows: LedgerRows) -> Folds:
    """Return the study's folds with validation parts: those of its folder, the user's own, or new ones."""
    images, protocol = rows.honest.images, study.protocol
    folds = partition.for_study(place / "folds.json", request.folds_file, images, protocol, study.data)
    return partition.unnested(folds, images, protocol) if folds.nested else folds


def _begin(place: Path, study: StudyFile, rows: LedgerRows) -> None:
    """Write the ledger's own files, or check that the folder's ledger is this one.

    Raises:
        StudyError: another cohort, or other settings.
    """
    facts = {
        "label": LABEL,
        "cohort": rows.honest.name,
        "cohort_digest": rows.cohort.digest,
        "n_images": len(rows.table),
        "n_copies": rows.n_copies,
        "n_patients": int(rows.table["patient_id"].nunique()),
    }
    if (place / "ledger.json").exists():
        stored = parse(StudyFile, read_toml(place / "settings.toml"), str(place / "settings.toml"))
        changes = dict(study_folder.differences(stored, study))
        with reading(place / "ledger.json"):
            was = read_json(place / "ledger.json")["cohort_digest"]
        if was != rows.cohort.digest:
            changes["cohort"] = (was, rows.cohort.digest)
        if changes:
            lines = "\n".join(f"  {key}: {was!r} there, {now!r} asked for" for key, (was, now) in changes.items())
            raise StudyError(
                f"{place} was begun with another cohort or other settings:\n{lines}\nUse another --name, or --force"
            )
        study = study.model_copy(update={"arms": {**stored.arms, **study.arms}})
    buffer = BytesIO()
    rows.table.to_parquet(buffer, index=False)
    write_atomically(place / "README.txt", README.encode())
    write_atomically(place / "rows.parquet", buffer.getvalue())
    write_atomically(place / "settings.toml", to_toml(study).encode())
    write_json(place / "ledger.json", facts)


def _train(
    cells: Sequence[LedgerCell],
    rows: LedgerRows,
    fitted: dict[str, Any],
    place: Path,
    request: Request,
    observer: Observer,
) -> None:
    """Train the unfinished cells: all of one image variant in one call, so that they share its trunk."""
    waiting = [cell for cell in cells if not finished(place / "cells" / cell.name, cell.key)]
    observer.expect(waiting, len(cells) - len(waiting), place)
    with WorkerPool(request.jobs) as pool:
        for outlines, store in rows.stores.items():
            of_variant = [cell for cell in waiting if cell.config.data.outlines == outlines]
            workspace = Workspace.of(request, rows.cohort, store, place, pool)
            execute(of_variant, replace(workspace, keep_models=False, encoders=fitted), observer=observer)


def _notes(lines: pd.DataFrame, study: StudyFile, rows: LedgerRows, n_replicates: int) -> list[str]:
    """Say what the numbers are."""
    honest = lines[lines["leak"] == HONEST].iloc[0]
    chosen = lines[lines["leak"].isin([TUNED, RECIPE])].to_dict("records")
    return render_items(
        "ledger",
        n_images=int(honest["n_images"]),
        n_patients=int(honest["n_patients"]),
        n_parts=int(honest["n_parts"]),
        n_copies=rows.n_copies,
        n_replicates=n_replicates,
        n_candidates=int(lines.loc[lines["leak"] == TUNED, "n_candidates"].max()),
        space=list(SPACE),
        n_seeds=study.protocol.seeds,
        needed=SEEDS_NEEDED,
        choices=[(row["arm"], row["title"].lower(), row["chosen"]) for row in chosen],
        luck=[luck for arm in study.arms if (luck := _luck(lines, arm))],
    )


def _luck(ledger: pd.DataFrame, arm: str) -> dict[str, str]:
    """Return how far the honest folds lie apart, as a single split is such a draw; nothing where the study has one."""
    lines = {str(row["leak"]): row for row in ledger[ledger["arm"] == arm].to_dict("records")}
    if lines[SINGLE]["nothing"]:
        return {}
    values = {"low": lines[HONEST]["part_low"], "high": lines[HONEST]["part_high"], "single": lines[SINGLE]["auc"]}
    return {"arm": arm} | {name: number("roc_auc", value) for name, value in values.items()}


def write(ledger: Ledger, folder: Path) -> list[Path]:
    """Write the table (Markdown, CSV, JSON) and the waterfall (PNG, PDF, SVG, numbers as CSV); return the files.

    Every one of them says that it is leaky by design.
    """
    return paper.write(
        ledger.table,
        folder,
        notes=ledger.notes,
        notice=ledger.notice,
        unit=ledger.unit,
        published=ledger.published,
        facts={
            "name": ledger.name,
            "cohort": ledger.cohort,
            "n_patients": ledger.n_patients,
            "n_images": ledger.n_images,
            "n_copies": ledger.n_copies,
        },
    )
