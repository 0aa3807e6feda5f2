r"""Tables as LaTeX with booktabs rules.

A table needs the packages booktabs, longtable and adjustbox, and pdfLaTeX with its usual UTF-8 input. `\ref{tab:NAME}`
refers to it. In a document of two columns, a table over several pages begins a page of one column.
"""

import re
import unicodedata
from collections.abc import Sequence

from study.reporting.tables.base import PaperTable
from study.reporting.tables.layout import Grid, Lines, grids

NARROW, WIDE, WIDEST = 50, 124, 162
"""Characters that fit a journal's column and its page in footnotesize, and the page in scriptsize."""
LONG_WIDE, LONG_WIDEST = 112, 128
"""The same for tables over several pages, which cannot be scaled to fit."""
LONGEST = 45
"""Lines of a table that still fits on one page with its caption."""

ONE_COLUMN = r"""\makeatletter
\if@twocolumn\onecolumn\let\mmbccolumns\twocolumn\else\let\mmbccolumns\relax\fi
\makeatother
"""
"""Before a table over several pages, which a page of two columns cannot have; `mmbccolumns` ends it."""

SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    '"': "''",
    "`": r"\textasciigrave{}",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "@": "{@}",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "≠": r"$\neq$",
    "≈": r"$\approx$",
    "→": r"$\rightarrow$",
    "·": r"$\cdot$",
    "²": "$^{2}$",
    "³": "$^{3}$",
    "°": r"$^{\circ}$",
    "µ": r"$\mu$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "γ": r"$\gamma$",
    "δ": r"$\delta$",
    "Δ": r"$\Delta$",
    "κ": r"$\kappa$",
    "λ": r"$\lambda$",
    "μ": r"$\mu$",
    "ρ": r"$\rho$",
    "σ": r"$\sigma$",
    "τ": r"$\tau$",
    "χ": r"$\chi$",
    "√": r"$\surd$",
    "–": "--",
    "—": "---",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": r"\ldots{}",
    "\u00a0": "~",
    "\u202f": "~",
}
"""A bracket after a line's end would be read as its option, hence the braces."""


def escape(text: str) -> str:
    """Return text for LaTeX; characters that pdfLaTeX cannot set become question marks."""
    plain = " ".join(unicodedata.normalize("NFC", text).split())
    words = "".join(SPECIAL.get(character) or _letter(character) for character in plain)
    words = re.sub(r"-(?=-)", "-{}", words) if "--" in plain else words
    return re.sub(r"(?<=\d) (?=\\%)", r"~", words).replace("$<$ ", "$<$~")


def _letter(character: str) -> str:
    """Return a character that pdfLaTeX knows: ASCII and the Latin alphabets' accents; others without accent, or `?`."""
    if character.isascii() or "\u00c0" <= character <= "\u017f":
        return character
    return "".join(part for part in unicodedata.normalize("NFKD", character) if part.isascii()) or "?"


def latex(table: PaperTable, notice: str) -> str:
    """Return a table with caption, label and a note below; one too long for a page goes over several."""
    panels, is_long = _panels(table)
    wide = LONG_WIDE if is_long else WIDE
    size = r"\footnotesize" if max(panel.width for panel in panels) <= wide else r"\scriptsize"
    compose = _long if is_long else _floating
    return compose(table, panels, size, _note(table, notice))


def _panels(table: PaperTable) -> tuple[list[Grid], bool]:
    """Lay a table out for a page; and say whether it is too long for one."""
    panels = grids(table.shown, table.n_keys, WIDE)
    if len(panels) > 1:
        panels = grids(table.shown, table.n_keys, WIDEST)
    is_long = sum(panel.n_lines + max(map(len, panel.header)) for panel in panels) > LONGEST
    return (grids(table.shown, table.n_keys, LONG_WIDEST) if is_long else panels), is_long


def _note(table: PaperTable, notice: str) -> str:
    warned = rf"\textbf{{{escape(notice)}.}}" if notice else ""
    return " ".join(part for part in (escape(table.caption), warned) if part)


def _floating(table: PaperTable, panels: Sequence[Grid], size: str, note: str) -> str:
    environment = "table" if max(panel.width for panel in panels) <= NARROW else "table*"
    tabulars = "\n\\par\\medskip\n".join(map(_tabular, panels))
    return (
        f"\\begin{{{environment}}}[!htbp]\n\\centering\n\\caption{{{escape(table.title)}}}\n\\label{{tab:{table.name}}}\n"
        f"\\par\\smallskip\n{size}\n\\setlength{{\\tabcolsep}}{{4pt}}\n{tabulars}\n\\par\\smallskip\n"
        f"\\begin{{minipage}}{{\\linewidth}}\n\\footnotesize\n{note}\n\\end{{minipage}}\n\\end{{{environment}}}\n"
    )


def _tabular(grid: Grid) -> str:
    """A grid as a tabular, never wider than the text."""
    body = _body(grid)
    return (
        "\\begin{adjustbox}{max width=\\linewidth}\n"
        f"\\begin{{tabular}}{{@{{}}{''.join(grid.alignments)}@{{}}}}\n\\toprule\n{_head(grid)}\n\\midrule\n{body}\n"
        "\\bottomrule\n\\end{tabular}\n\\end{adjustbox}"
    )


def _long(table: PaperTable, panels: Sequence[Grid], size: str, note: str) -> str:
    blocks = [_longtable(grid, table, first=number == 0) for number, grid in enumerate(panels)]
    return (
        f"{ONE_COLUMN}\\begingroup\n{size}\n\\setlength{{\\tabcolsep}}{{4pt}}\n"
        + "\n".join(blocks)
        + f"\n\\noindent\\begin{{minipage}}{{\\linewidth}}\n\\footnotesize\n{note}\n\\end{{minipage}}\n"
        + "\\par\\endgroup\n\\mmbccolumns\n"
    )


def _longtable(grid: Grid, table: PaperTable, *, first: bool) -> str:
    """A grid over several pages; panels after the first share its number and caption."""
    caption = f"\\caption{{{escape(table.title)}}}\\label{{tab:{table.name}}}\\\\\n" if first else ""
    again = "" if first else "\\addtocounter{table}{-1}\n"
    head = _head(grid)
    body = _body(grid)
    continued = (
        f"\\multicolumn{{{len(grid.widths)}}}{{@{{}}l@{{}}}}{{\\emph{{{escape(table.title)}, continued}}}}\\\\\n"
    )
    return (
        f"{again}\\begin{{longtable}}{{@{{}}{''.join(grid.alignments)}@{{}}}}\n{caption}\\toprule\n{head}\n\\midrule\n\\endfirsthead\n"
        f"{continued}\\toprule\n{head}\n\\midrule\n\\endhead\n\\bottomrule\n\\endfoot\n{body}\n\\end{{longtable}}"
    )


def _head(grid: Grid) -> str:
    sides = ("l" if side == "l" else side for side in grid.alignments)
    return " & ".join(_cell(lines, side, "b") for lines, side in zip(grid.header, sides, strict=True)) + r" \\"


def _body(grid: Grid) -> str:
    """All rows; some air between those of several lines."""
    air = "\n\\addlinespace[3pt]\n" if grid.n_lines > len(grid.rows) else "\n"
    return air.join(map(_row, grid.rows))


def _row(row: Sequence[Lines]) -> str:
    return " & ".join(_cell(lines, "l" if _is_words(lines) else "c", "t") for lines in row) + r" \\"


def _is_words(lines: Lines) -> bool:
    return not any(character.isdigit() for character in lines[0][:2])


def _cell(lines: Lines, side: str, place: str) -> str:
    """A cell; one of several lines is a small tabular of its own, aligned at its top or bottom."""
    if len(lines) == 1:
        return escape(lines[0])
    stacked = r"\\".join(map(escape, lines))
    return f"\\begin{{tabular}}[{place}]{{@{{}}{side}@{{}}}}{stacked}\\end{{tabular}}"


DOCUMENT = r"""\documentclass[10pt,a4paper]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{lmodern}
\usepackage{booktabs,longtable,adjustbox}
\usepackage[margin=2cm]{geometry}
\usepackage{hyperref}
\title{TITLE}
\author{}
\date{}
\begin{document}
\maketitle
BODY
\end{document}
"""


def latex_document(tables: Sequence[PaperTable], notice: str, title: str) -> str:
    r"""Return an article that inputs `NAME.tex` of every table from its own folder."""
    warned = f"\\begin{{center}}\\textbf{{{escape(notice)}.}}\\end{{center}}\n" if notice else ""
    inputs = "\n".join(
        ("\\clearpage\n" if _panels(table)[1] else "") + f"\\input{{{table.name}.tex}}" for table in tables
    )
    return DOCUMENT.replace("TITLE", escape(title)).replace("BODY", f"{warned}{inputs}".rstrip())
