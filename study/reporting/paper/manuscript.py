"""Methods and results of a paper with its tables and figures: one Word file and one LaTeX file."""

from collections.abc import Mapping, Sequence

from study.reporting.figures.catalogue import Drawing
from study.reporting.figures.journals import JOURNALS
from study.reporting.paper.numbering import of_paper
from study.reporting.tables import PaperTable
from study.reporting.tables.latex import latex_paper
from study.reporting.tables.word import Picture, word

WORD, LATEX = "paper/paper.docx", "paper/paper.tex"


def paper_word(
    tables: Sequence[PaperTable],
    drawings: Mapping[str, Drawing],
    images: Mapping[str, bytes],
    journal: str,
    *,
    notice: str,
    title: str,
    chapters: Mapping[str, Mapping[str, Sequence[str]]],
) -> bytes:
    """Return `paper.docx`.

    Args:
        tables: of the report, numbered; those of the supplement are left out.
        drawings: likewise.
        images: PNG of each drawing by its name.
        journal: whose font and widths of figures it has.
        notice: of the cohort, or ''.
        title: of the paper.
        chapters: title -> heading -> paragraphs, which refer to tables and figures by their numbers.
    """
    pictures = [
        Picture(images[name], JOURNALS[journal].width(wide=drawing.wide), drawing.number, drawing.caption)
        for name, drawing in of_paper(drawings).items()
    ]
    chosen = list(of_paper({table.name: table for table in tables}).values())
    return word(chosen, notice, title, pictures, chapters=chapters, serif=JOURNALS[journal].serif)


def paper_latex(
    tables: Sequence[PaperTable],
    drawings: Mapping[str, Drawing],
    journal: str,
    *,
    notice: str,
    title: str,
    chapters: Mapping[str, Mapping[str, Sequence[str]]],
) -> str:
    """Return `paper.tex`, which finds the figures' PDFs beside itself (a flat upload) or in the report's `figures/`."""
    figures = {
        name: (JOURNALS[journal].width(wide=one.wide), one.wide, one.caption)
        for name, one in of_paper(drawings).items()
    }
    return latex_paper(
        list(of_paper({table.name: table for table in tables}).values()), figures, notice, title, chapters
    )
