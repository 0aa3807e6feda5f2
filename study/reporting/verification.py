"""A report checked against its predictions: every number recomputed, every disagreement named."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmbc.errors import StudyError
from study.evaluation.evaluation import evaluate
from study.records.stored_study import StoredStudy, load_study
from study.reporting.differences import Disagreement, differences
from study.reporting.document import Content
from study.reporting.pack import (
    ARCHIVE,
    DRAWN,
    MANIFEST,
    Options,
    draw,
    draw_all,
    gather_content,
    html,
    made_with,
    predictions_digest,
    read_manifest,
    text_files,
)
from study.text.notices import csv


def verify(
    folder: Path, study_folder: Path | None = None, results: Path = Path("results"), *, redraw: bool = False
) -> list[Disagreement]:
    """Recompute a report and return where it disagrees with its predictions; an empty list where it does not.

    Text, tables, macros and the numbers behind figures are made again from the predictions. The drawings themselves are
    compared with the digests in the report's `pack.json`.

    Args:
        folder: of the report.
        study_folder: where its predictions lie; None for the report's own `study/`, else `results` and the study's
            name.
        results: where studies lie.
        redraw: draw the figures again and compare their bytes, which takes the versions the report was made with.

    Raises:
        StudyError: no report, no predictions for it, or predictions that were changed.
    """
    if not (folder / MANIFEST).is_file():
        raise StudyError(f"{folder}: is no report of this program (it has no {MANIFEST}); make it with study.report")
    facts = read_manifest(folder)
    study = load_study(study_folder or _predictions_of(folder, facts, results))
    made = dict(facts["options"])
    study = study.with_contrasts(facts.get("chosen_contrasts"))
    evaluation = evaluate(study, n_replicates=made.pop("n_replicates"), seed=made.pop("seed"))
    options, named = Options(**made), _rename(study, facts)
    content = gather_content(named, evaluation, options)
    disagreements = [*_other_predictions(study, facts), *_compare(folder, facts, content, options)]
    return [*disagreements, *_redraw(folder, facts, content, options)] if redraw else disagreements


def _predictions_of(folder: Path, facts: Mapping[str, Any], results: Path) -> Path:
    for place in (folder / ARCHIVE, results / str(facts["study"])):
        if place.is_dir():
            return place
    raise StudyError(
        f"{folder}: its predictions are not here; looked for {folder / ARCHIVE} and {results / str(facts['study'])}."
        " Say where the study lies with --study FOLDER"
    )


def _rename(study: StoredStudy, facts: Mapping[str, Any]) -> StoredStudy:
    """Return the study under the name the report has for it, wherever its predictions lie now."""
    return replace(study, folder=study.folder.with_name(str(facts["study"])))


def _other_predictions(study: StoredStudy, facts: Mapping[str, Any]) -> Iterator[Disagreement]:
    digests = {"predictions_digest": predictions_digest(study), "cohort_digest": study.cohort_digest}
    for key, now in digests.items():
        if facts.get(key) != now:
            yield Disagreement(
                MANIFEST, key, str(facts.get(key)), f"{now} (the study has changed since the report was made)"
            )


def _compare(folder: Path, facts: Mapping[str, Any], content: Content, options: Options) -> Iterator[Disagreement]:
    expected = text_files(content)
    for name, drawing in content.drawings.items():
        expected[f"figures/{name}.csv"] = csv(draw(drawing, options)[1], content.notice).encode()
    for name, data in expected.items():
        if (folder / name).is_file():
            yield from differences(name, (folder / name).read_bytes(), data)
        else:
            yield Disagreement(name, "the whole file", "missing", "a file")
    drawings = [f"figures/{name}.{suffix}" for name in content.drawings for suffix in DRAWN]
    yield from _drawings(folder, drawings, facts["files"])
    for name in sorted(set(facts["files"]) - set(expected) - set(drawings) - {"report.html"}):
        yield Disagreement(name, "the whole file", "a file", "nothing: the predictions give no such file")
    for name in _extra_files(folder, {*expected, *drawings}):
        yield Disagreement(name, "the whole file", "a file", "nothing: it is not of this report")
    shown = {name: folder / "figures" / f"{name}.svg" for name in content.drawings}
    if all(path.is_file() for path in shown.values()):
        page = html(content, {name: path.read_bytes() for name, path in shown.items()})
        there = folder / "report.html"
        yield from differences("report.html", there.read_bytes() if there.is_file() else b"", page)


def _extra_files(folder: Path, known: set[str]) -> list[str]:
    """Return files in the report's own folders that the report does not have."""
    places = [path for name in ("tables", "figures", "checklists") for path in (folder / name).glob("*")]
    return sorted({str(path.relative_to(folder)) for path in places} - known)


def _drawings(folder: Path, names: list[str], digests: Mapping[str, str]) -> Iterator[Disagreement]:
    for name in names:
        path = folder / name
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"
        if digest != digests.get(name):
            yield Disagreement(name, "the whole file", digest[:16], f"{digests.get(name, 'nothing')[:16]} ({MANIFEST})")


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
        for name in draw_all(content, Path(place), options):
            if (folder / name).is_file() and (folder / name).read_bytes() != (Path(place) / name).read_bytes():
                yield Disagreement(name, "the whole file", "another drawing", "the drawing of these predictions")
