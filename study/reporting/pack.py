"""A submission folder made of a study's predictions: text, tables, figures, numbers, checklists.

    reports/<name>/
      report.md supplement.md    the answer first, with the paper's tables and figures; the rest; report.html: both
      numbers.json numbers.tex   every number an author may cite, with LaTeX commands
      methods.md methods.tex references.bib
      analysis_plan.md           the plan that the study follows, where it has one
      tables/                    each as .md, .csv (full precision) and .tex; all.tex has all
      tables.xlsx tables.docx    all of them
      paper/                     methods and results of a paper, its tables and figures: paper.docx and paper.tex
      figures/                   each as .png, .pdf, .svg, and the numbers behind it as .csv; examples.npz has the
                                 pictures of patients' images, where asked for
      R/                         a script that makes the main table again in R, and the predictions that it reads
      checklists/                TRIPOD+AI, CLAIM, STARD-AI and PROBAST+AI, each as .docx (a form), .md and .csv;
                                 to_write.md has everything that only the authors know
      study/                     the predictions themselves, where asked for
      pack.json                  what it was made from and with, and the digest of every file, this one included

Everything but figures and pictures is a function of the predictions alone, so `study.reporting.verification` can
recompute it.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from mmbc.errors import StudyError, some
from mmbc.files import file_digest, write_atomically, write_json
from mmbc.forks import share
from mmbc.threads import in_one_thread
from study.checks.findings import with_findings
from study.evaluation.evaluation import Evaluation
from study.records.analysis_plan import FILE as PLAN
from study.records.stored_study import StoredStudy, source_digests, without_constant_baseline, write_archive
from study.records.study_folder import set_aside
from study.reporting import numbers
from study.reporting.checklists.files import checklist_files
from study.reporting.document import (
    REPORT,
    SUPPLEMENT,
    Content,
    paper_title,
    report,
    shown_in_supplement,
    supplement,
    title,
)
from study.reporting.example_images import FILE as PICTURES
from study.reporting.example_images import pictures_at_hand, to_bytes
from study.reporting.facts import bibliography
from study.reporting.facts.arm_names import display_names
from study.reporting.figures.catalogue import Drawing, catalogue
from study.reporting.figures.journals import JOURNALS
from study.reporting.figures.parts import FigureAndData
from study.reporting.figures.style import journal_style, missing_letters, save
from study.reporting.html.page import page
from study.reporting.manifest import MANIFEST, Options, manifest, read_manifest, sealed
from study.reporting.methods import chapter
from study.reporting.methods.macros import macros
from study.reporting.paper.manuscript import LATEX, WORD, paper_latex, paper_word
from study.reporting.paper.numbering import FIGURES, TABLES, numbered, resolve
from study.reporting.r_script import r_files
from study.reporting.tables import all_tables, restyled, table_files
from study.reporting.text.answer import too_small
from study.text.number_style import HOUSE, number_style, restyle, style

OF_COMMANDS = ("cohort.md",)
"""What `--describe` of a cohort of the same name writes beside a report; it is no part of it."""
P = ParamSpec("P")
T = TypeVar("T")
ARCHIVE = "study"
DRAWN = ("png", "pdf", "svg")


@in_one_thread
def write_pack(study: StoredStudy, evaluation: Evaluation, folder: Path, options: Options = Options()) -> Path:
    """Write everything, remove files of an older pack that this one lacks, and return the path of `report.md`.

    The report of another cohort that lies there is kept aside (`make_way`).

    Raises:
        StudyError: a file is there that is not of an older pack and would be lost.
    """
    make_way(study, folder)
    # added predictions are nowhere else, and a report that has its predictions does not lose them
    kept = study.added is not None or (folder / ARCHIVE / "archive.json").is_file()
    options = replace(options, archive=options.archive or kept)
    if options.examples and options.figures:
        study = replace(study, pictures=pictures_at_hand(study, evaluation))
    content = gather_content(study, evaluation, options)
    study = replace(study, findings=content.study.findings)
    old = _previous_files(folder)
    facts = manifest(study, evaluation, options)
    if not (folder / MANIFEST).exists():
        _refuse_other_files(folder, partial(text_files, content, options))
        write_json(folder / MANIFEST, facts | {"files": {}})
    drawn, files = draw_all(content, folder, options, partial(_write_text, content, folder, options))
    around = files_around(content, folder / "figures", options)
    around |= {PICTURES: to_bytes(study.pictures)} if study.pictures is not None else {}
    for name, data in around.items():
        write_atomically(folder / name, data)
    digests = {name: file_digest(folder / name) for name in [*files, *drawn, *around]}
    if options.archive:
        write_archive(study, folder / ARCHIVE)
        digests |= {f"{ARCHIVE}/{name}": digest for name, digest in source_digests(folder / ARCHIVE).items()}
    for name in set(old) - set(digests):
        if (folder / name).resolve().is_relative_to(folder.resolve()):  # the manifest may have been edited
            (folder / name).unlink(missing_ok=True)
    facts |= {"files": dict(sorted(digests.items()))}
    if not options.archive and study.folder.is_dir():
        facts["sources"] = source_digests(study.folder)
    write_atomically(folder / MANIFEST, sealed(facts))
    return folder / REPORT


def _write_text(content: Content, folder: Path, options: Options) -> list[str]:
    files = text_files(content, options)
    for name, data in files.items():
        write_atomically(folder / name, data)
    return list(files)


def make_way(study: StoredStudy, folder: Path) -> Path | None:
    """Keep the report of another cohort that lies where this one is to be written; return where it went, or None."""
    there = read_manifest(folder).get("cohort_digest") if (folder / MANIFEST).exists() else None
    return set_aside(folder, holds=MANIFEST) if there not in (None, study.cohort_digest) else None


def in_style(make: Callable[P, T]) -> Callable[P, T]:
    """Make something with the numbers of the journal that the last argument, `Options`, names."""

    @wraps(make)
    def styled(*args: P.args, **kwargs: P.kwargs) -> T:
        options = kwargs.get("options", args[-1] if args else None)
        assert isinstance(options, Options)
        with number_style(JOURNALS[options.journal].numbers):
            return make(*args, **kwargs)

    return styled


@in_style
def gather_content(study: StoredStudy, evaluation: Evaluation, options: Options) -> Content:
    """Return everything a pack is written from; nothing is drawn yet."""
    study = without_constant_baseline(with_findings(study))
    small = too_small(study)
    tables = {table.name: table for table in all_tables(study, evaluation)}
    drawings = catalogue(study, evaluation) if options.figures else {}
    content = Content(
        study=study,
        evaluation=evaluation,
        tables=list(tables.values()),
        drawings=drawings,
        methods=[restyle(text) for text in chapter.methods(study, evaluation)],
        citations=JOURNALS[options.journal].citations,
    )
    of_tables, of_figures = shown_in_supplement(content)
    tables, drawings = resolve(
        numbered(tables, TABLES, of_tables, too_small=small), numbered(drawings, FIGURES, of_figures, too_small=small)
    )
    tables = {name: restyled(table) for name, table in tables.items()}
    drawings = {name: replace(one, caption=restyle(one.caption)) for name, one in drawings.items()}
    content = replace(
        content, noted=[*(table.caption for table in tables.values()), *(one.caption for one in drawings.values())]
    )
    cite = content.references.cite
    return replace(
        content,
        tables=[replace(table, caption=cite(table.caption)) for table in tables.values()],
        drawings={name: replace(one, caption=cite(one.caption)) for name, one in drawings.items()},
    )


@in_style
def text_files(content: Content, options: Options) -> dict[str, bytes]:
    """Return every file but figures and those around them, by its path below the report's folder."""
    study, notice, tables = content.study, content.notice, content.tables
    entries = numbers.numbers(study, content.evaluation)
    around: dict[str, Any] = {"notice": notice, "title": paper_title(content), "chapters": content.paper}
    keys = sorted({*bibliography.cited_keys([*content.methods, *content.noted]), *bibliography.needed_keys(study)})
    files: dict[str, str | bytes] = {
        REPORT: report(content),
        SUPPLEMENT: supplement(content),
        "numbers.json": numbers.numbers_json(entries),
        "numbers.tex": macros(entries, notice),
        "methods.md": _methods(content),
        "methods.tex": chapter.to_latex(content.methods, JOURNALS[options.journal].natbib),
        "references.bib": bibliography.bibtex(keys),
        **table_files(tables, notice, title(content), serif=JOURNALS[options.journal].serif),
        LATEX: paper_latex(tables, content.drawings, options.journal, **around),
    }
    files |= checklist_files(content.checklists, content.methods, notice)
    files |= r_files(study, content.evaluation, notice)
    files |= {PLAN: study.plan.text} if study.plan is not None else {}
    return {name: text if isinstance(text, bytes) else text.encode() for name, text in files.items()}


def _methods(content: Content) -> str:
    text = chapter.to_markdown(content.methods, content.references).strip()
    return "\n\n".join(["# Methods", text, "## References", content.references.listed]) + "\n"


@in_style
def files_around(content: Content, figures: Path, options: Options) -> dict[str, bytes]:
    """Return the files that hold figures as they were drawn: the page and the Word file of the paper."""
    svg, png = (
        {name: (figures / f"{name}.{kind}").read_bytes() for name in content.drawings} for kind in ("svg", "png")
    )
    paper = paper_word(
        content.tables,
        content.drawings,
        png,
        options.journal,
        notice=content.notice,
        title=paper_title(content),
        chapters=content.paper,
    )
    return {"report.html": html(content, svg), WORD: paper}


def html(content: Content, figures: Mapping[str, bytes]) -> bytes:
    """Return both documents as one HTML page around the given figures."""
    second = supplement(content).split("\n\n", 1)
    body = report(content).replace(f"[{SUPPLEMENT}]({SUPPLEMENT})", "below")
    together = "\n\n".join([body.strip(), "# Supplement", *second[1:]])
    return page(title(content), together, figures, content.notice).encode()


def draw_all(
    content: Content, folder: Path, options: Options, meanwhile: Callable[[], list[str]] = list
) -> tuple[list[str], list[str]]:
    """Draw and save every figure below the folder of a report; return their files, and what `meanwhile` gives.

    On Linux a copy of the process draws too, while this one does `meanwhile` first (`mmbc.forks`).
    """

    def draw_one(name: str) -> None:
        figure, data = draw(content.drawings[name], options)
        with journal_style(options.journal):
            save(figure, data, folder / "figures", name, content.notice)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # `letters_lacking` says so once
        others = share([partial(draw_one, name) for name in content.drawings], meanwhile)
    return [f"figures/{name}.{suffix}" for name in content.drawings for suffix in (*DRAWN, "csv")], others


def letters_lacking(study: StoredStudy) -> str:
    """Say which letters of names the figures cannot write; '' where there are none."""
    models = missing_letters(display_names(study).values())
    names = [*study.cohort.images["status"].astype(str).unique(), *(one.name for one in study.cohort.features)]
    others = missing_letters(names)
    said = []
    if models:
        said.append(
            f"The font of the figures lacks {models}: there these models are called Model 1 and so on, and captions say"
            " which is which. [names] in the study file gives them names in Latin letters."
        )
    if others:
        said.append(
            f"The font of the figures lacks {others} in names of classes or columns: these letters are boxes there."
            " Name them in Latin letters for print."
        )
    return " ".join(said)


@in_style
def draw(drawing: Drawing, options: Options) -> FigureAndData:
    """Draw one figure at the widths of a journal, with its numbers."""
    with journal_style(options.journal):
        figure, data = drawing.draw()
    if style() == HOUSE:
        return figure, data
    for text in figure.findobj(lambda artist: hasattr(artist, "set_text")):
        if (words := restyle(text.get_text())) != text.get_text():  # type: ignore[attr-defined]
            text.set_text(words)  # type: ignore[attr-defined]
    return figure, data


def _refuse_other_files(folder: Path, files: Callable[[], Iterable[str]]) -> None:
    """Refuse a folder with files that the report would replace and that are not of this program."""
    if not any(path.name not in OF_COMMANDS for path in folder.glob("*")):
        return
    there = [name for name in (*files(), "report.html", WORD) if (folder / name).exists()]
    if there:
        raise StudyError(
            f"{folder}: has {some(there, 3)} and is no report of this program (it has no {MANIFEST}); name another"
            " folder, or move these files away"
        )


def _previous_files(folder: Path) -> dict[str, str]:
    """Return the files of a pack that lies there already."""
    return read_manifest(folder)["files"] if (folder / MANIFEST).exists() else {}
