"""A report checked against its predictions: every number recomputed, every disagreement named."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmbc.errors import MmbcError, StudyError
from mmbc.files import file_digest
from study.evaluation.evaluation import evaluate
from study.evaluation.planned_analysis import deviations
from study.records.analysis_plan import FILE as PLAN
from study.records.stored_study import StoredStudy, load_study
from study.reporting.differences import Disagreement, differences
from study.reporting.document import Content
from study.reporting.example_images import FILE as PICTURES
from study.reporting.example_images import read_pictures
from study.reporting.manifest import (
    MANIFEST,
    Options,
    made_with,
    predictions_digest,
    read_manifest,
    rows_digest,
    sealed,
)
from study.reporting.pack import ARCHIVE, DRAWN, OF_COMMANDS, draw, draw_all, files_around, gather_content, text_files
from study.reporting.paper.manuscript import WORD
from study.reporting.r_script import FOLDER
from study.text.notices import csv

WHOLE = "the whole file"
OF_A_REPORT = ("report.md", "report.html", "numbers.json", "supplement.md", f"{ARCHIVE}/archive.json")
"""Files that tell a report that has lost its `pack.json` from any other folder."""
PLACES = ("tables", "figures", "checklists", "paper", FOLDER)
"""Folders that a report has for itself."""
OF_DESKTOPS = (".DS_Store", "Thumbs.db", "desktop.ini")
"""Files that opening a folder on a desktop leaves in it."""


def verify(
    folder: Path,
    study_folder: Path | None = None,
    results: Path = Path("results"),
    *,
    redraw: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> list[Disagreement]:
    """Recompute a report and return where it disagrees with its predictions; an empty list where it does not.

    Text, tables, macros and the numbers behind figures are made again from the predictions. Every file, of the report
    and of the study it was made from, is compared with its digest in the report's `pack.json` too.

    Args:
        folder: of the report.
        study_folder: where its predictions lie; None for the report's own `study/`, else `results` and the study's
            name.
        results: where studies lie.
        redraw: draw the figures again and compare their bytes, which takes the versions the report was made with.
        say: told of each deviation from the analysis plan, which the report lists too: none is a disagreement.

    Raises:
        StudyError: no report, no predictions for one that is as it was written, or other versions than `redraw` needs.
    """
    if not (folder / MANIFEST).is_file():
        if not any((folder / name).exists() for name in OF_A_REPORT):
            raise StudyError(
                f"{folder}: is no report of this program (it has no {MANIFEST}); make it with study.report"
            )
        return [Disagreement(MANIFEST, WHOLE, "missing", "the record of what the report was made from")]
    try:
        facts = read_manifest(folder)
    except StudyError as error:
        return [Disagreement(MANIFEST, WHOLE, f"cannot be read ({error})", "a readable file")]
    elsewhere = study_folder is not None and not (folder / ARCHIVE).is_dir()
    edited = [*_edited_manifest(folder, facts), *_other_bytes(folder, facts, elsewhere=elsewhere)]
    place = study_folder or _predictions_of(folder, facts, results)
    if place is None and edited:
        return edited
    if place is None:
        raise StudyError(
            f"{folder}: its predictions are not here; looked for {folder / ARCHIVE} and"
            f" {results / str(facts['study'])}. Say where the study lies with --study FOLDER"
        )
    edited += _other_sources(place, facts)
    made = dict(facts["options"])
    try:
        study = load_study(place)
        evaluation_of = study.with_contrasts(facts.get("chosen_contrasts"))
        evaluation = evaluate(evaluation_of, n_replicates=made.pop("n_replicates"), seed=made.pop("seed"))
    except MmbcError as error:
        if not place.is_dir():
            raise
        return [*edited, Disagreement(str(place), WHOLE, f"cannot be evaluated ({error})", "the predictions as before")]
    options, named = Options(**made), _rename(evaluation_of, facts)
    if options.examples:
        named = replace(named, pictures=read_pictures(folder / PICTURES))
    for deviation in deviations(named, evaluation):
        say(f"Deviation from the analysis plan. {deviation}.")
    edited += _edited_plan(place, named)
    content = gather_content(named, evaluation, options)
    differing = [*_other_predictions(study, facts), *_compare(folder, content, options)]
    found = {disagreement.file for disagreement in differing}
    disagreements = [*(one for one in edited if one.file not in found), *differing]
    return [*disagreements, *_redraw(folder, facts, content, options)] if redraw else disagreements


def _edited_manifest(folder: Path, facts: Mapping[str, Any]) -> Iterator[Disagreement]:
    if (folder / MANIFEST).read_bytes() != sealed(facts):
        found = "was edited" if "digest" in facts else "has no digest of itself, as packs before mmbc 0.2 have none"
        yield Disagreement(MANIFEST, WHOLE, found, "the file as it was written; make the report again")


def _edited_plan(place: Path, study: StoredStudy) -> Iterator[Disagreement]:
    """Yield the analysis plan of a study that is not as it was locked, or not the one that the study was begun with."""
    if study.plan is None:
        return
    name, recorded = f"{place}/{PLAN}", study.environment.plan
    if not study.plan.intact:
        yield Disagreement(name, WHOLE, "was edited", f"the plan as it was locked on {study.plan.date}")
    elif recorded not in (None, study.plan.digest):
        yield Disagreement(name, WHOLE, study.plan.digest[:16], f"{recorded[:16]} (environment.json)")


def _other_bytes(folder: Path, facts: Mapping[str, Any], *, elsewhere: bool) -> Iterator[Disagreement]:
    """Yield files of the report that are not as they were written, that are missing, or that are not of it.

    The predictions that went along need not be there where the study itself is given (`elsewhere`).
    """
    left_out = f"{ARCHIVE}/" if elsewhere else "\0"
    yield from _digests(folder, {k: v for k, v in facts["files"].items() if not k.startswith(left_out)}, "")
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() or path.is_symlink()}
    for name in sorted(there - {MANIFEST, *OF_COMMANDS, *facts["files"]}):
        if Path(name).name not in OF_DESKTOPS:
            yield Disagreement(name, WHOLE, "a file", "nothing: it is not of this report")


def _other_sources(place: Path, facts: Mapping[str, Any]) -> list[Disagreement]:
    """Return files of the study that are not as they were when the report was made from it.

    An archive in place of the study has other files; its predictions are compared all the same.
    """
    sources = facts.get("sources", {})
    if not place.is_dir() or (place / "archive.json").is_file() != ("archive.json" in sources):
        return []
    return list(_digests(place, sources, f"{place}/"))


def _digests(folder: Path, digests: Mapping[str, str], below: str) -> Iterator[Disagreement]:
    for name, expected in digests.items():
        path = folder / name
        inside = path.resolve().is_relative_to(folder.resolve())  # the manifest may have been edited
        found = file_digest(path) if inside and path.is_file() else "missing"
        if found != expected:
            yield Disagreement(f"{below}{name}", WHOLE, found[:16], f"{expected[:16]} ({MANIFEST})")


def _predictions_of(folder: Path, facts: Mapping[str, Any], results: Path) -> Path | None:
    """Return where the predictions of a report lie; None where they are in neither place."""
    places = (folder / ARCHIVE, results / str(facts["study"]))
    return next((place for place in places if place.is_dir()), None)


def _rename(study: StoredStudy, facts: Mapping[str, Any]) -> StoredStudy:
    """Return the study under the name the report has for it, wherever its predictions lie now."""
    return replace(study, folder=study.folder.with_name(str(facts["study"])))


def _other_predictions(study: StoredStudy, facts: Mapping[str, Any]) -> Iterator[Disagreement]:
    added = None if study.added is None else rows_digest(study.added.rows)
    digests = {
        "predictions_digest": predictions_digest(study),
        "cohort_digest": study.cohort_digest,
        "added_digest": added,
    }
    for key, now in digests.items():
        if facts.get(key) != now:
            yield Disagreement(
                MANIFEST, key, str(facts.get(key)), f"{now} (the study has changed since the report was made)"
            )


def _compare(folder: Path, content: Content, options: Options) -> Iterator[Disagreement]:
    expected = text_files(content, options)
    for name, drawing in content.drawings.items():
        expected[f"figures/{name}.csv"] = csv(draw(drawing, options)[1], content.notice).encode()
    for name, data in expected.items():
        if (folder / name).is_file():
            yield from differences(name, (folder / name).read_bytes(), data)
        else:
            yield Disagreement(name, WHOLE, "missing", "a file")
    drawn = {f"figures/{name}.{suffix}" for name in content.drawings for suffix in DRAWN}
    for name in sorted(name for name in drawn if not (folder / name).is_file()):
        yield Disagreement(name, WHOLE, "missing", "a file")
    around = [WORD, *([PICTURES] if content.study.pictures is not None else [])]
    for name in _files_of_text(folder):
        if name not in {*expected, *drawn, *around}:
            yield Disagreement(name, WHOLE, "a file", "nothing: the predictions give no such file")
    if all((folder / name).is_file() for name in drawn):
        for name, data in files_around(content, folder / "figures", options).items():
            there = folder / name
            yield from differences(name, there.read_bytes() if there.is_file() else b"", data)


def _files_of_text(folder: Path) -> list[str]:
    """Return the files in the folders that a report has for itself."""
    places = [path for name in PLACES for path in (folder / name).rglob("*")]
    return sorted(
        path.relative_to(folder).as_posix() for path in places if not path.is_dir() and path.name not in OF_DESKTOPS
    )


def _redraw(folder: Path, facts: Mapping[str, Any], content: Content, options: Options) -> Iterator[Disagreement]:
    """Yield the figures whose drawing differs from a new one."""
    now = made_with()
    if facts["made_with"] != now:
        apart = [
            f"{name} {was} (now {now.get(name)})" for name, was in facts["made_with"].items() if was != now.get(name)
        ]
        raise StudyError(
            f"{folder}: was made with {', '.join(apart)}; other versions draw other bytes, leave --redraw out"
        )
    with tempfile.TemporaryDirectory() as place:
        for name in draw_all(content, Path(place), options)[0]:
            if (folder / name).is_file() and (folder / name).read_bytes() != (Path(place) / name).read_bytes():
                yield Disagreement(name, WHOLE, "another drawing", "the drawing of these predictions")
