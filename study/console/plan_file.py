"""The analysis plan of a planned study, written to a file before anything is trained."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mmbc.files import write_atomically
from study.console.forecast import expected_precision
from study.records.analysis_plan import AnalysisPlan, read_plan
from study.records.cell_records import CELL_COLUMNS, HISTORY_COLUMNS, PREDICTION_COLUMNS
from study.records.environment import Environment, from_here
from study.records.stored_cohort import read_facts
from study.records.stored_study import StoredStudy, planned_cells
from study.reporting.analysis_plan import make_plan
from study.training.preparation import Planned


def write_plan_file(planned: Planned, file: Path, words: Sequence[str]) -> AnalysisPlan:
    """Write the plan of a study and return it; of a plan that is there, the authors' texts are kept.

    Args:
        planned: the study.
        file: the plan; an empty one counts for none.
        words: the command as typed, `python -m study.cv` included.
    """
    before = read_plan(file, "--write-plan") if file.exists() and file.stat().st_size else None
    plan = make_plan(
        as_stored(planned),
        tested=tested_studies(planned),
        expected=expected_precision(planned),
        command=following(words, file),
        before=before,
    )
    write_atomically(file, plan.text.encode())
    return plan


def as_stored(planned: Planned) -> StoredStudy:
    """Return a planned study as one that was read back before its first cell."""
    return StoredStudy(
        folder=planned.folder,
        settings=planned.study,
        cohort=planned.cohort,
        cohort_digest=planned.cohort.digest,
        folds=planned.folds,
        environment=Environment(),
        planned=planned_cells(planned.study, planned.folds),
        records={},
        predictions=pd.DataFrame(columns=[*CELL_COLUMNS, *PREDICTION_COLUMNS]),
        history=pd.DataFrame(columns=[*CELL_COLUMNS, *HISTORY_COLUMNS]),
    )


def tested_studies(planned: Planned) -> tuple[str, ...]:
    """Return the studies beside a planned one, and itself, that have tested models on the same cohort."""
    places = sorted(path.parent for path in planned.folder.parent.glob("*/cohort.json"))
    tested = [place for place in places if next(place.glob("cells/*/record.json"), None) is not None]
    return tuple(place.name for place in tested if read_facts(place).digest == planned.cohort.digest)


def following(words: Sequence[str], file: Path) -> str:
    """Return the command that follows a plan, from the one that writes it."""
    kept: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        if "--write-plan" not in (before, word) and not word.startswith("--write-plan="):
            kept.append(word)
    return shlex.join(map(from_here, [*kept, "--plan", str(file)]))
