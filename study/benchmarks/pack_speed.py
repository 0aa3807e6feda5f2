"""Time of a paper pack of simulated predictions: `python -m study.bench --pack`."""

import tempfile
import time
from pathlib import Path

import numpy as np

from study.benchmarks.fresh_process import in_fresh_process, peak_mib
from study.evaluation.evaluation import evaluate
from study.imports.example_table import predictions
from study.imports.imported_study import Import, import_predictions
from study.reporting.manifest import Options
from study.reporting.pack import gather_content, text_files, write_pack

GAINS = {"image": 0.9, "tabular": 0.5, "concat": 1.1, "attention": 1.1}
N_PATIENTS = 2421
"""As many as Mini-DDSM has, four images each."""


def pack_speed(n_patients: int = N_PATIENTS) -> dict[str, float]:
    """Make a pack in a fresh process; return the seconds of each step, its size and the peak memory, both in MiB."""
    return in_fresh_process("pack", _measure, n_patients)


def _measure(n_patients: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        predictions(n_patients, GAINS).to_csv(folder / "simulated.csv", index=False)
        marks = [time.perf_counter()]
        stored = import_predictions(
            Import(folder / "simulated.csv", out=folder, assignments=["protocol.prevalence=0.006"])
        )
        marks.append(time.perf_counter())
        evaluation = evaluate(stored)
        marks.append(time.perf_counter())
        options = Options()
        text_files(gather_content(stored, evaluation, options), options)
        marks.append(time.perf_counter())
        write_pack(stored, evaluation, folder / "report", options)
        marks.append(time.perf_counter())
        size = sum(path.stat().st_size for path in (folder / "report").rglob("*") if path.is_file())
    read, numbers, written, everything = np.diff(marks)
    return {
        "images": len(stored.cohort.images),
        "read_s": read,
        "numbers_s": numbers,
        "tables_and_text_s": written,
        "whole_pack_s": read + numbers + everything,
        "without_figures_s": read + numbers + written,
        "pack_mib": size / 2**20,
        "peak_mib": peak_mib(),
    }
