"""A study that has nothing left to do: found without torch, and told in a second or two."""

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from mmbc.command import Terminal
from mmbc.errors import MmbcError, count
from study.cohort.loading import assemble_rows, list_images, open_images
from study.design.folds import Folds
from study.design.request import Request
from study.design.study_file import StudyFile
from study.design.study_name import default_name
from study.evaluation.draws import N_REPLICATES
from study.records import study_folder
from study.records.cell_records import read_settings
from study.records.progress import Observer
from study.records.stored_cohort import read_facts
from study.records.stored_study import planned_cells, source_digests
from study.reporting.manifest import Options, is_current


def is_finished(terminal: Terminal, request: Request, reports: Path, options: Options, observer: Observer) -> bool:
    """Whether a run would train nothing and write the report again as it is; if so, say so and print its answer.

    Settings, the cohort as it is read now, the study's files, the report's files, the program and its libraries are
    compared. Whatever cannot be read, or needs more than that (a plan, own folds or checks, a tracker, pictures of
    patients), is left to the run.
    """
    asked = request.study
    if request.force or request.plan or request.folds_file or request.track or asked.audit or options.examples:
        return False
    try:
        found = [folder for folder in _candidates(request) if _is_complete(folder, asked, reports, options)]
        folder = _of_this_cohort(found, request, observer) if found else None
    except (MmbcError, OSError):
        return False  # the run says it
    if folder is None:
        return False
    report, facts = reports / folder.name / "report.md", read_facts(folder)
    if facts.notice:
        terminal.console.print(facts.notice, style="bold", markup=False)
    trained = count(len(_planned(folder, read_settings(folder))), "model")
    terminal.say(f"Study {folder}: {trained} finished, none is left to train. The report is up to date:")
    for line in _answer(report.read_text(encoding="utf-8")):
        terminal.console.print(line, highlight=False, markup=False)
    terminal.say(f"To make the report again: mmbc report {folder}")
    terminal.console.print(f"Report: {report}", markup=False, soft_wrap=True)
    return True


def _candidates(request: Request) -> Iterator[Path]:
    """Yield the folder that the request names, or all studies, one of which may have the cohort's name."""
    folders = [request.out / request.name] if request.name else sorted(request.out.glob("*"))
    return (folder for folder in folders if (folder / "study.toml").is_file() and (folder / "folds.json").is_file())


def _planned(folder: Path, settings: StudyFile) -> tuple[str, ...]:
    return planned_cells(settings, Folds.read(folder / "folds.json"))


def _is_complete(folder: Path, asked: StudyFile, reports: Path, options: Options) -> bool:
    """Whether a study has the settings asked for, all its cells, and a report that is up to date."""
    stored = read_settings(folder)
    run = stored.run.model_dump()
    same = all(value in ("auto", 0, run[key]) for key, value in asked.run.model_dump().items())
    if stored.search is not None or not same or not (reports / folder.name).is_dir():
        return False
    try:
        if study_folder.continued(folder, asked.model_copy(update={"run": stored.run})) != stored:
            return False
    except MmbcError:  # begun with other settings
        return False
    sources = source_digests(folder)
    return all(f"cells/{name}/record.json" in sources for name in _planned(folder, stored)) and is_current(
        reports / folder.name, sources, options, n_replicates=N_REPLICATES
    )


def _of_this_cohort(folders: list[Path], request: Request, observer: Observer) -> Path | None:
    """Return the study of the cohort as it is now."""
    needs_images = any(request.study.arm_config(arm).uses_images for arm in request.study.arms)
    listing = list_images(request, observer, needs_images=needs_images)
    facts = open_images(listing, request, observer) if needs_images else None
    cohort = assemble_rows(listing, facts, request)
    name = request.name or default_name(cohort.name, request.study, request.tolerance)
    return next((one for one in folders if one.name == name and read_facts(one).digest == cohort.digest), None)


def _answer(report: str) -> list[str]:
    """Return the sentences that a report opens with."""
    lines = report.partition("## Answer")[2].lstrip().splitlines()
    return [line.replace("**", "") for line in takewhile(bool, lines)]
