r"""Tables as LaTeX with booktabs rules.

A table needs the packages booktabs, siunitx, longtable and adjustbox, and pdfLaTeX with its usual UTF-8 input.
`\ref{tab:NAME}` refers to it. Numbers are aligned at their decimal points by siunitx. A table that fits on a page
floats, in two columns too; one that does not begins a page of one column there.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence

from study.reporting.facts.bibliography import SUPERSCRIPTS
from study.reporting.tables.base import PaperTable
from study.reporting.tables.layout import NUMBER, Grid, Lines, grids
from study.reporting.tables.references import pieces
from study.text.format import start

NARROW, WIDE, WIDEST = 50, 124, 162
"""Characters that fit a journal's column and its page in footnotesize, and the page in scriptsize."""
LONG_WIDE, LONG_WIDEST = 112, 128
"""The same for tables over several pages, which cannot be scaled to fit."""
LONGEST, NOTE = 54, 130
"""Lines of a table that still fits on one page with its notes, and how many characters of these are a line."""

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


LOWERED = {ord(high): "--" if low == "–" else low for low, high in SUPERSCRIPTS.items()}
RAISED = re.compile("[{0}]+(?:,[{0}]+)*".format("".join(SUPERSCRIPTS.values())))


def escape(text: str) -> str:
    """Return text for LaTeX; letters of other scripts stay, other characters that it cannot set are question marks."""
    plain = " ".join(unicodedata.normalize("NFC", text).split())
    words = "".join(
        rf"\textsuperscript{{{piece.translate(LOWERED)}}}"
        if RAISED.fullmatch(piece)
        else "".join(SPECIAL.get(character) or _letter(character) for character in piece)
        for piece in re.split(f"({RAISED.pattern})", plain)
    )
    words = re.sub(r"-(?=-)", "-{}", words) if "--" in plain else words
    return re.sub(r"(?<=\d) (?=\\%)", r"~", words).replace("$<$ ", "$<$~").replace("$>$ ", "$>$~")


def with_references(text: str, labels: Mapping[tuple[str, str], str]) -> str:
    r"""Return text for LaTeX in which numbers of known tables and figures are references.

    Args:
        text: says `Table 3` and the like.
        labels: kind and number -> what to write in the place of the number, `\ref{tab:main}`.
    """
    said = "".join(labels.get((kind, words)) or escape(words) if kind else _kept(words) for words, kind in pieces(text))
    return " ".join(said.split())


def _kept(words: str) -> str:
    """Return a piece of a text with the blanks at its ends, the one before a number as one that does not break."""
    before, after = " " * words.startswith(" "), "~" * words.endswith(("Table ", "Figure ", "Tables ", "Figures "))
    return f"{before}{escape(words)}{after or ' ' * words.endswith(' ')}"


def _letter(character: str) -> str:
    """Return an ASCII, accented Latin or non-Latin letter as it is, others without their accent, or `?`."""
    if character.isascii() or "\u00c0" <= character <= "\u017f" or _is_of_another_script(character):
        return character
    return "".join(part for part in unicodedata.normalize("NFKD", character) if part.isascii()) or "?"


def _is_of_another_script(character: str) -> bool:
    """Whether a letter (or its mark) is neither Latin nor Greek, which pdfLaTeX cannot set."""
    name = unicodedata.name(character, "")
    return unicodedata.category(character)[0] in "LM" and not name.startswith(("LATIN", "GREEK", "COMBINING", "MICRO"))


def needs_other_engine(text: str) -> bool:
    """Whether a text has letters that pdfLaTeX cannot set."""
    return not text.isascii() and any(map(_is_of_another_script, set(text)))


PACKAGES = {"booktabs": r"\toprule", "siunitx": "S[", "longtable": "{longtable}", "adjustbox": "{adjustbox}"}
"""Package -> what needs it."""


Labels = Mapping[tuple[str, str], str]
"""Kind and printed number of a table or figure -> what a text has in the place of the number."""
OWN_NUMBER = r"\providecommand{\mmbcref}[2]{\ifcsname r@#1\endcsname\ref{#1}\else#2\fi}"
"""A reference to a table that a manuscript may lack: its number here then."""


def labels_of(tables: Sequence[PaperTable], figures: Mapping[str, str] = {}, *, alone: bool = False) -> Labels:
    """Return the references to numbered tables, and figures (name -> number); `alone`, of files that stand alone."""
    named = {("Table", table.number): f"tab:{table.name}" for table in tables if table.number}
    named |= {("Figure", number): f"fig:{name}" for name, number in figures.items() if number}
    return {
        place: rf"\protect\mmbcref{{{name}}}{{{place[1]}}}" if alone else rf"\ref{{{name}}}"
        for place, name in named.items()
    }


def latex(table: PaperTable, notice: str, labels: Mapping[tuple[str, str], str] = {}) -> str:
    """Return a table with caption, label and a note below; one too long for a page goes over several.

    The first line is a comment with the printed number and the packages that are needed.
    """
    text = _set(table, notice, labels)
    text = f"{OWN_NUMBER}\n{text}" if "mmbcref" in text else text
    packages = ",".join(name for name, mark in PACKAGES.items() if mark in text)
    number = f"Table {table.number}. " if table.number else ""
    engine = "% Needs LuaLaTeX or XeLaTeX, and a font that has its letters.\n" * needs_other_engine(text)
    return f"{engine}% {number}Needs \\usepackage{{{packages}}}\n{text}"


def _set(table: PaperTable, notice: str, labels: Labels) -> str:
    panels, is_long = _panels(table)
    wide = LONG_WIDE if is_long else WIDE
    size = r"\footnotesize" if max(panel.width for panel in panels) <= wide else r"\scriptsize"
    note = _note(table, notice, labels)
    if is_long:
        return _long(table, panels, size, note)
    if _lines_of(table, panels) <= LONGEST:
        return _floating(table, panels, size, note)
    floats = (_floating(table, [panel], size, note, again=place > 0) for place, panel in enumerate(panels))
    return "\n".join(floats)


def _panels(table: PaperTable) -> tuple[list[Grid], bool]:
    """Lay a table out for a page; and say whether it is too long for one."""
    narrow = grids(table.shown, table.n_keys, WIDE)
    panels = narrow if len(narrow) == 1 else grids(table.shown, table.n_keys, WIDEST)
    is_long = max(_lines_of(table, [panel]) for panel in panels) > LONGEST
    return (grids(table.shown, table.n_keys, LONG_WIDEST) if is_long else panels), is_long


def _lines_of(table: PaperTable, panels: Sequence[Grid]) -> int:
    """Return about how many lines the panels take on a page together, with the table's notes."""
    return len(table.caption) // NOTE + sum(panel.n_lines + max(map(len, panel.header)) for panel in panels)


def _note(table: PaperTable, notice: str, labels: Labels) -> str:
    warned = rf"\textbf{{{escape(start(notice))}.}}" if notice else ""
    return " ".join(part for part in (with_references(table.caption, labels), warned) if part)


def _floating(table: PaperTable, panels: Sequence[Grid], size: str, note: str, *, again: bool = False) -> str:
    """Panels as one float; `again` shares the number of the float before it."""
    environment = "table" if max(panel.width for panel in panels) <= NARROW else "table*"
    tabulars = _scaled([_tabular(panel) for panel in panels])
    title = f"\\caption{{{escape(table.title)}}}\n\\label{{tab:{table.name}}}"
    if again:
        title = f"\\addtocounter{{table}}{{-1}}\n\\caption{{{escape(table.title)}, continued}}"
    return (
        f"\\begin{{{environment}}}[!htbp]\n\\centering\n{title}\n"
        f"\\par\\smallskip\n{size}\n\\setlength{{\\tabcolsep}}{{4pt}}\n{tabulars}\n\\par\\smallskip\n"
        f"\\begin{{minipage}}{{\\linewidth}}\n\\footnotesize\n{note}\n\\end{{minipage}}\n\\end{{{environment}}}\n"
    )


def _tabular(grid: Grid) -> str:
    columns, head, body = _typeset(grid)
    return (
        f"\\begin{{tabular}}{{@{{}}{columns}@{{}}}}\n\\toprule\n{head}\n\\midrule\n{body}\n"
        "\\bottomrule\n\\end{tabular}"
    )


def _scaled(tabulars: Sequence[str]) -> str:
    """Tabulars below each other, never wider than the text and all in one size of type."""
    together = tabulars[0]
    if len(tabulars) > 1:
        rows = " \\\\\n\\addlinespace[6pt]\n".join(tabulars)
        together = f"\\begin{{tabular}}{{@{{}}l@{{}}}}\n{rows}\n\\end{{tabular}}"
    return f"\\begin{{adjustbox}}{{max width=\\linewidth}}\n{together}\n\\end{{adjustbox}}"


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
    columns, head, body = _typeset(grid)
    continued = (
        f"\\multicolumn{{{len(grid.widths)}}}{{@{{}}l@{{}}}}{{\\emph{{{escape(table.title)}, continued}}}}\\\\\n"
    )
    return (
        f"{again}\\begin{{longtable}}{{@{{}}{columns}@{{}}}}\n{caption}\\toprule\n{head}\n\\midrule\n\\endfirsthead\n"
        f"{continued}\\toprule\n{head}\n\\midrule\n\\endhead\n\\bottomrule\n\\endfoot\n{body}\n\\end{{longtable}}"
    )


def _typeset(grid: Grid) -> tuple[str, str, str]:
    """Return the specification of the columns, the head and all rows; some air between rows of several lines."""
    columns = [_column(side, cells) for side, cells in zip(grid.alignments, zip(*grid.rows, strict=True), strict=True)]
    sides = ("l" if side == "l" else side for side in grid.alignments)
    heads = (_cell(lines, side, "b") for lines, side in zip(grid.header, sides, strict=True))
    head = [f"{{{text}}}" if spec.startswith("S") else text for text, (spec, _) in zip(heads, columns, strict=True)]
    air = "\n\\addlinespace[3pt]\n" if grid.n_lines > len(grid.rows) else "\n"
    rows = zip(*(cells for _, cells in columns), strict=True)
    body = air.join(" & ".join(row) + r" \\" for row in rows)
    return "".join(spec for spec, _ in columns), " & ".join(head) + r" \\", body


def _column(side: str, cells: Sequence[Lines]) -> tuple[str, list[str]]:
    """Return a column's specification and its cells: numbers of one line by siunitx, others as the layout says."""
    found = [NUMBER.fullmatch(lines[0]) if len(lines) == 1 and side != "l" else None for lines in cells]
    numbers = [match for match in found if match]
    compared = any("<" in match[5] or ">" in match[5] for match in numbers)  # siunitx would space one of them alone
    if not numbers or compared or any(len(lines) > 1 for lines in cells):
        return side, [_cell(lines, "l" if _is_words(lines) else "c", "t") for lines in cells]
    before = "".join(sorted({match[1].replace("−", "+").replace(">", "<") for match in numbers}, reverse=True))
    whole, decimals = (max(len((match[at] or "").replace(",", "")) for match in numbers) for at in (2, 4))
    after = max((match[5] for match in numbers), key=len)
    options = [f"table-format={before}{whole}.{decimals}" if decimals else f"table-format={before}{whole}"]
    options += [f"table-space-text-post={{{_after(after)}}}"] * bool(after)
    options += ["retain-explicit-plus"] * any(match[1] == "+" for match in numbers)
    if any("," in match[2] for match in numbers):
        options += ["group-separator={,}", "group-minimum-digits=4"]
    options += [r"output-decimal-marker={\cdot}"] * any(match[3] == "·" for match in numbers)
    texts = [
        f"{match[1].replace('−', '-')}{match[2].replace(',', '')}{'.' + match[4] if match[4] else ''}"
        + (f" {{{_after(match[5])}}}" if match[5] else "")
        if match
        else f"{{{escape(lines[0])}}}"
        for match, lines in zip(found, cells, strict=True)
    ]
    return f"S[{','.join(options)}]", texts


def _after(text: str) -> str:
    return ("~" if text.startswith(" ") else "") + escape(text)


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
\usepackage{booktabs,siunitx,longtable,adjustbox}
\sisetup{group-digits=none}
PREAMBLE\usepackage[margin=2cm]{geometry}
\usepackage{hyperref}
\title{TITLE}
\author{}
\date{}
\begin{document}
\maketitle
BODY
\end{document}
"""


FONTS = r"""\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{lmodern}
"""
OTHER_FONTS = ("Noto Serif CJK SC", "Noto Sans CJK SC", "Arial Unicode MS", "SimSun", "DejaVu Sans", "Arial")
"""Fonts with Latin letters and many others; the first that a system has is taken."""


def _other_fonts() -> str:
    chain = r"\PackageWarning{mmbc}{Set a font that has the letters of the names}"
    for font in reversed(OTHER_FONTS):
        chain = rf"\IfFontExistsTF{{{font}}}{{\setmainfont{{{font}}}}}{{{chain}}}"
    return f"\\usepackage{{fontspec}}\n{chain}\n"


def latex_document(tables: Sequence[PaperTable], notice: str, title: str) -> str:
    r"""Return an article that inputs `NAME.tex` of every table from its own folder, each with its own number."""
    inputs = [
        ("\\clearpage\n" if _panels(table)[1] else "")
        + (f"\\renewcommand{{\\thetable}}{{{table.number}}}" if table.number else "")
        + f"\\input{{{table.name}.tex}}"
        for table in tables
    ]
    said = " ".join(str(cell) for one in tables for cell in (*one.shown, *one.shown.to_numpy().ravel(), one.caption))
    return article(title, notice, "\n".join(inputs), said=said)


def latex_paper(
    tables: Sequence[PaperTable],
    figures: Mapping[str, tuple[float, bool, str]],
    notice: str,
    title: str,
    chapters: Mapping[str, Mapping[str, Sequence[str]]] = {},
) -> str:
    r"""Return an article with chapters of text, the tables, and figures that lie beside it or in `../figures`.

    Args:
        tables: numbered by LaTeX in this order.
        figures: name of a figure's PDF -> its width in mm, whether that is two columns, and its caption; likewise.
        notice: of the cohort, or ''.
        title: of the article.
        chapters: title -> heading, '' for none -> paragraphs, with tables and figures by their numbers.
    """
    labels = labels_of(tables, {name: str(number) for number, name in enumerate(figures, start=1)})
    text: list[str] = []
    for chapter, parts in chapters.items():
        text.append(rf"\section*{{{chapter}}}")
        for heading, paragraphs in parts.items():
            said = "\n\n".join(with_references(paragraph, labels) for paragraph in paragraphs)
            text.append(rf"\paragraph{{{escape(heading)}.}} {said}" if heading else f"{{\\sloppy {said}\\par}}")
    floats = [
        f"\\begin{{figure{'*' * wide}}}[!htbp]\n\\centering\n"
        "\\begin{adjustbox}{max width=\\linewidth}\n"
        f"\\includegraphics[width={width:g}mm]{{{name}.pdf}}\n\\end{{adjustbox}}\n"
        f"\\caption{{{with_references(caption, labels)}}}\n\\label{{fig:{name}}}\n\\end{{figure{'*' * wide}}}\n"
        for name, (width, wide, caption) in figures.items()
    ]
    body = "\n\n".join([*text, *(latex(table, notice, labels) for table in tables), *floats])
    places = "\\usepackage{graphicx}\n\\graphicspath{{./}{../figures/}}\n"
    return article(title, notice, body, places)


def article(title: str, notice: str, body: str, preamble: str = "", *, said: str = "") -> str:
    """Return a document of its own with some body, for an engine that has the letters of it and of what it inputs."""
    warned = f"\\begin{{center}}\\textbf{{{escape(start(notice))}.}}\\end{{center}}\n" if notice else ""
    head = DOCUMENT.replace("TITLE", escape(title))
    if needs_other_engine(title + body + said):
        why = "% !TeX program = lualatex\n% Names have letters that pdfLaTeX cannot set.\n"
        head = why + head.replace(FONTS, _other_fonts())
    return head.replace("PREAMBLE", preamble).replace("BODY", f"{warned}{body}".rstrip())
