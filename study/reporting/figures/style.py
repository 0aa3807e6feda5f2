"""One look for every figure: journal widths, 6-7 pt text, Okabe-Ito colours with a second channel, editable fonts.

Widths are those the publishers ask for: Nature 89 and 183 mm, Elsevier 90 and 190 mm, IEEE 3.5 and 7.16 in. Text is
drawn at its printed size, never below 5 pt, in Arial or in a font of the same metrics; letters that it lacks come from
DejaVu Sans, which matplotlib brings along.
"""

import io
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, findSystemFonts, fontManager, get_font

from mmbc.errors import ConfigError, nearest
from mmbc.files import write_atomically
from study.design.study_file import BASELINE
from study.reporting.figures.compression import small_png, small_svg
from study.reporting.figures.journals import JOURNALS
from study.reporting.figures.narrow import ATTRIBUTE, arrangement
from study.text.notices import csv

MM = 1 / 25.4
"""Inches in a millimetre."""
DPI = 300
NOTICE, NOTICE_LINE = 3.2, 2.3
"""Millimetres that a notice takes at the foot of a figure, and those of every further line."""
LETTER = 1.0
"""Millimetres that a letter of a notice takes, on the safe side."""
SMALL, NORMAL, LARGE = 5.5, 6.0, 7.0
"""Text sizes in points."""
GUIDE, FAINT, DARK = "#B3B3B3", "#D9D9D9", "#333333"
"""Greys of reference lines, of what stands behind, and of marks that belong to no arm."""

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (2, 1)), (0, (5, 1, 1, 1)), (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*", "d")
FIXED = {"image": 0, "tabular": 1, "concat": 2, "attention": 3}
"""The four arms of the default study keep their looks in every figure of every study."""

FONTS = ("Arial", "Liberation Sans", "Arimo")
"""Of the same metrics, which journals ask for."""
SERIF = ("Times New Roman", "Liberation Serif", "Tinos")
"""The same for journals that set figures in Times."""
FONT_FILES = ("Arial.", "Arial-", "LiberationSans-", "Arimo-", "Arimo[", "Times", "LiberationSerif-", "Tinos-")
"""How their files begin."""
FALLBACK = "DejaVu Sans"
SETTINGS: Any = {
    "font.size": 6.5,
    "axes.titlesize": LARGE,
    "axes.labelsize": 6.5,
    "xtick.labelsize": NORMAL,
    "ytick.labelsize": NORMAL,
    "legend.fontsize": NORMAL,
    "legend.title_fontsize": NORMAL,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.1,
    "patch.linewidth": 0.6,
    "hatch.linewidth": 0.4,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 3,
    "axes.labelpad": 2,
    "pdf.fonttype": 42,
    "pdf.compression": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "mmbc",
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,
    "figure.constrained_layout.w_pad": 0.02,
    "figure.constrained_layout.h_pad": 0.025,
    "axes.unicode_minus": True,
}

_journal: ContextVar[str] = ContextVar("journal", default="nature")


class Look(NamedTuple):
    """Look of an arm: colour, dash of its lines, marker of its points, and what figures call it."""

    colour: str
    dash: Any
    marker: str
    name: str


BASELINE_STYLE = ("#5E3C99", (0, (1, 1.4)), "x")


@contextmanager
def journal_style(journal: str | None = None) -> Iterator[None]:
    """Draw with the project's settings and a journal's widths; the caller's settings are untouched afterwards.

    It also decorates functions that draw.

    Args:
        journal: one of `JOURNALS`; None keeps the one in force, at first nature.

    Raises:
        ConfigError: no such journal.
    """
    if journal is not None and journal not in JOURNALS:
        raise ConfigError(f"unknown journal {journal!r}; {nearest(journal, JOURNALS)}")
    before = _journal.set(journal or _journal.get())
    try:
        with mpl.rc_context(SETTINGS | {"font.family": list(fonts(serif=JOURNALS[_journal.get()].serif))}):
            yield
    finally:
        _journal.reset(before)


@cache
def fonts(*, serif: bool = False) -> tuple[str, ...]:
    """Return the fonts of figures: the first of `FONTS` or `SERIF` that the system has, and where its letters lack.

    A font that was installed after matplotlib made its list of them is found too.
    """
    wanted = SERIF if serif else FONTS
    if {font.name for font in fontManager.ttflist}.isdisjoint(wanted):
        for path in findSystemFonts():
            if Path(path).name.startswith(FONT_FILES):
                fontManager.addfont(path)
    known = {font.name for font in fontManager.ttflist}
    return (*[name for name in wanted if name in known][:1], FALLBACK)


def width(wide: bool) -> float:
    """Return the width of one column, or of two, of the journal in force, in mm."""
    return JOURNALS[_journal.get()].width(wide=wide)


def canvas(height: float, *, wide: bool, laid_out: bool = True) -> Figure:
    """Return an empty figure of one or two columns' width and a height in mm; axes find their places if `laid_out`."""
    return Figure(figsize=(width(wide) * MM, height * MM), layout="constrained" if laid_out else None)


def look(arm: str, arms: Sequence[str], name: str = "") -> Look:
    """Return how an arm is drawn among all arms of its study, the same in every figure, and what it is called.

    Colours recur after seven arms, with another dash and another marker.
    """
    if arm == BASELINE:
        return Look(*BASELINE_STYLE, name or arm)
    others = [name for name in arms if name not in FIXED and name != BASELINE]
    taken = {FIXED[name] for name in arms if name in FIXED}
    free = [place for place in range(len(FIXED) + len(others)) if place not in taken]
    place = FIXED[arm] if arm in FIXED else free[others.index(arm)] if arm in others else len(FIXED)
    colour, dash, marker = (kinds[place % len(kinds)] for kinds in (OKABE_ITO, DASHES, MARKERS))
    return Look(colour, dash, marker, name or arm)


def looks(arms: Sequence[str], names: Mapping[str, str] = MappingProxyType({})) -> dict[str, Look]:
    """Return the looks of all arms of a study, in their order: what the drawing functions take.

    Args:
        arms: of the study.
        names: arm -> what figures call it; those that are absent are called by their own names.
    """
    return {arm: look(arm, arms, names.get(arm, "")) for arm in arms}


def save(figure: Figure, data: pd.DataFrame, folder: Path, name: str, notice: str) -> None:
    """Write a figure as PNG (300 dpi), PDF and SVG, and the numbers behind it as CSV at full precision.

    The same figure gives the same bytes: no dates, fixed identifiers.

    Args:
        figure: as a drawing function returned it.
        data: the numbers behind it.
        folder: made if it is not there.
        name: of the files, without suffix.
        notice: a warning that the figure and its data carry, or ''.
    """
    with journal_style():
        write_atomically(folder / f"{name}.png", png(figure, notice))
        parts = arrangement(figure)  # before other formats leave their own places of letters behind
        write_atomically(
            folder / f"{name}.pdf", _render(figure, "pdf", {"CreationDate": None, "Subject": notice or None})
        )
        svg = _render(figure, "svg", {"Date": None, "Creator": None}).decode()
        serif = JOURNALS[_journal.get()].serif
        families = ", ".join(f"'{family}'" for family in fonts(serif=serif))
        anywhere = ", ".join(f"'{family}'" for family in (*(SERIF if serif else (*FONTS, "Helvetica")), FALLBACK))
        svg = small_svg(
            svg.replace(families, f"{anywhere}, {'serif' if serif else 'sans-serif'}")
        )  # other machines have other fonts
        if parts:
            svg = svg.replace("<svg ", f'<svg {ATTRIBUTE}="{parts}" ', 1)
        write_atomically(folder / f"{name}.svg", svg.encode())
    table = csv(data, notice)
    write_atomically(folder / f"{name}.csv", table.encode())


@journal_style()
def missing_letters(texts: Iterable[str]) -> str:
    """Return the letters of some texts that the fonts of the figures do not have, each once."""
    known = {letter for name in fonts() for letter in get_font(findfont(FontProperties(family=[name]))).get_charmap()}
    return "".join(dict.fromkeys(letter for text in texts for letter in text if ord(letter) not in known))


@journal_style()
def png(figure: Figure, notice: str) -> bytes:
    """Return a figure as PNG (300 dpi); the figure then has the notice, if there is one, and a fixed layout."""
    if notice:
        _warn(figure, notice)
    if engine := figure.get_layout_engine():  # lays out once; each format would do it again
        engine.execute(figure)
    figure.set_layout_engine(None)  # "none" would draw twice
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return small_png(np.asarray(canvas.buffer_rgba())[..., :3], DPI)


def _warn(figure: Figure, notice: str) -> None:
    """Write a notice below everything, in as many lines as it needs.

    A figure that places its own axes keeps the room of one line free, and grows by that of the others; any other grows
    by all.
    """
    wide, tall = figure.get_size_inches()
    lines = textwrap.wrap(notice, int(wide / MM / LETTER))
    engine, room = figure.get_layout_engine(), (NOTICE + (len(lines) - 1) * NOTICE_LINE) * MM
    grown = room if engine is not None else room - NOTICE * MM
    tall += grown
    if engine is not None:
        engine.set(rect=(0, room / tall, 1, 1 - room / tall))  # type: ignore[call-arg]
    elif grown:
        _raise(figure, grown)
    figure.set_size_inches(wide, tall)
    style: Any = {"fontsize": 5, "color": "#B00000", "ha": "right", "va": "bottom"}
    figure.text(1 - 0.02 / wide, 0.15 * NOTICE * MM / tall, "\n".join(lines), **style)


def _raise(figure: Figure, by: float) -> None:
    """Move everything up by some inches that the figure is about to grow by, in the size it has."""
    tall = figure.get_size_inches()[1]
    share = tall / (tall + by)
    for axes in figure.axes:
        x, y, width, height = axes.get_position().bounds
        axes.set_position((x, 1 - share + share * y, width, share * height))
    for text in figure.texts:
        x, y = text.get_position()
        text.set_position((x, 1 - share + share * y))


def _render(figure: Figure, suffix: str, metadata: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix, metadata=metadata)
    return buffer.getvalue()
