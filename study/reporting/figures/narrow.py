"""Panels of a wide figure one below the other, for narrow screens: which parts of it are shown where.

A figure is drawn once. Its SVG says in an attribute which of its rectangles a narrow page shows, and at which places;
`study.reporting.html.images` shows them so, without a second drawing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import BboxBase

from study.text.format import half_up

ATTRIBUTE = "data-narrow"
"""Of the root of an SVG: width and height, then x, y, width and height of each part with its place and its scale."""
FITS, LEAST, MOST, SPLIT, SLICE = 262.0, 160.0, 250.0, 300.0, 190.0
"""Points: widths of a figure that stays as it is, of the narrow page, of a panel that is split, and of its slices."""
APART, EDGE, TICKS, SPARE = 7.0, 1.0, 3.0, 6.0
"""Points between parts, around letters, of marks below an axis, and by which a line may be longer in another font."""
ASIDE = 6.0
"""Points beyond a panel from which something stands beside it."""
SLICED = "may be cut between its ticks"
"""Label of axes whose places along the abscissa are things of their own."""


@dataclass(frozen=True)
class Box:
    """A rectangle in points, with the ordinate upwards."""

    left: float
    right: float
    low: float
    high: float

    @property
    def wide(self) -> float:
        """Its width."""
        return self.right - self.left

    @property
    def tall(self) -> float:
        """Its height."""
        return self.high - self.low


Piece = list[Box]
"""Boxes of one height that are shown side by side: the labels of a row of panels, and one of the panels; none: a new
line."""


@dataclass(frozen=True)
class Panel:
    """Axes, the box between their spines, and the box around everything that belongs to them."""

    axes: Axes
    inner: Box
    outer: Box


def arrangement(figure: Figure) -> str:
    """Return how a drawn figure is shown on a narrow page, as `ATTRIBUTE` has it, or '' where it is narrow already."""
    width, height = (float(side) * 72 for side in figure.get_size_inches())
    pieces = list(_pieces(figure)) if width > FITS else []
    if len(pieces) < 2:
        return ""
    page = max(min(max(map(_width, pieces)), MOST), LEAST)
    parts, x, top, tall = [], 0.0, 0.0, 0.0
    for piece in pieces:
        scale = min(1.0, page / max(_width(piece), 1.0))
        if x and (not piece or x + scale * _width(piece) > page):
            x, top, tall = 0.0, top + tall + APART, 0.0
        for box in piece:
            place = (box.left, height - box.high, box.wide, box.tall, x, top, scale)
            parts.append(" ".join(f"{half_up(number, 2):g}" for number in place))
            x += scale * box.wide
        x, tall = (x + APART, max(tall, scale * piece[0].tall)) if piece else (x, tall)
    return ";".join([f"{page:.0f} {top + tall:.0f}", *parts])


def _width(piece: Piece) -> float:
    return sum(box.wide for box in piece)


def _pieces(figure: Figure) -> Iterator[Piece]:
    """Yield the parts of a figure in the order in which they are read: legend, then text and panels from the top."""
    panels = [panel for axes in figure.axes if (panel := _panel(figure, axes)) is not None]
    panels = [_in_line(panel, panels) for panel in panels]
    texts = [_line(figure, text) for text in figure.texts if text.get_text().strip()]
    for legend in figure.legends:
        for text in legend.get_texts():
            beside = (legend.handlelength + legend.handletextpad) * float(text.get_fontsize())
            line = _line(figure, text)
            yield [replace(line, left=max(line.left - beside - EDGE, 0))]
    yield []
    for panel in panels:
        here = [text for text in texts if text.high > panel.outer.low]
        if here:
            yield from ([], *([text] for text in here), [])
        texts = [text for text in texts if text not in here]
        yield from _of_panel(panel, [other for other in panels if _in_one_row(panel, other)], figure)
    yield from ([], *([text] for text in texts))


def _panel(figure: Figure, axes: Axes) -> Panel | None:
    around = axes.get_tightbbox(_renderer(figure), bbox_extra_artists=axes.texts)  # what is drawn is inside
    if around is None:
        return None
    inner, outer = _points(figure, axes.get_window_extent()), _points(figure, around)
    wide, tall = (float(side) * 72 for side in figure.get_size_inches())
    left, low = max(outer.left, 0), max(min(outer.low, inner.low - TICKS), 0)
    return Panel(axes, inner, Box(left, min(outer.right + EDGE, wide), low, min(outer.high + EDGE, tall)))


def _in_line(panel: Panel, panels: Sequence[Panel]) -> Panel:
    """Return a panel that begins as far left of its spine as any above or below it."""
    left = min(p.outer.left for p in panels if abs(p.inner.left - panel.inner.left) < 1)
    return replace(panel, outer=replace(panel.outer, left=left))


def _line(figure: Figure, text: Text) -> Box:
    box = _points(figure, text.get_window_extent(_renderer(figure)))
    return Box(box.left - EDGE, box.right + (EDGE if text.get_rotation() else SPARE), box.low - EDGE, box.high + EDGE)


def _points(figure: Figure, box: BboxBase) -> Box:
    return Box(*(72 / figure.dpi * float(end) for end in (box.x0, box.x1, box.y0, box.y1)))


def _renderer(figure: Figure) -> RendererAgg:
    assert isinstance(figure.canvas, FigureCanvasAgg), "a figure that was drawn"
    return figure.canvas.get_renderer()


def _in_one_row(one: Panel, other: Panel) -> bool:
    return abs(one.inner.low - other.inner.low) < 1 and abs(one.inner.high - other.inner.high) < 1


def _of_panel(panel: Panel, row: Sequence[Panel], figure: Figure) -> list[Piece]:
    """Return a panel with the labels that it shares with its row; one that is too wide in several pieces."""
    inner, outer = panel.inner, panel.outer
    if len(row) == 1 and outer.wide > SPLIT:
        return _split(panel, figure)
    first, last = min(row, key=lambda p: p.inner.left), max(row, key=lambda p: p.inner.right)
    outer = replace(outer, low=min(p.outer.low for p in row))  # room for the labels of all
    before, after = inner.left - outer.left, outer.right - inner.right
    labels = Box(first.outer.left, first.inner.left - before, outer.low, outer.high)
    beside = Box(last.inner.right + after, last.outer.right, outer.low, outer.high)
    has_none = before < ASIDE < first.inner.left - first.outer.left
    is_shared = any(p.inner.left - p.outer.left < ASIDE for p in row)
    return [
        [
            *([labels] if has_none and labels.wide > 0 else []),
            outer,
            *([beside] if is_shared and panel is not last and beside.wide > ASIDE else []),
        ]
    ]


def _split(panel: Panel, figure: Figure) -> list[Piece]:
    """Return a wide panel as the plot and the columns of text right of it, or as slices between its ticks."""
    inner, outer = panel.inner, panel.outer
    labels = replace(outer, right=inner.left)
    texts = [_points(figure, text.get_window_extent(_renderer(figure))) for text in panel.axes.texts]
    starts = sorted({round(text.left, 1) for text in texts if text.left > inner.right})
    if starts:
        ends = [max(text.right for text in texts if round(text.left, 1) == start) for start in starts]
        columns = [
            Box(start - APART / 2, end + APART / 2, inner.low, outer.high)
            for start, end in zip(starts, ends, strict=True)
        ]
        plot = replace(outer, right=min(inner.right + APART, starts[0] - EDGE), high=inner.high + APART)
        return [[plot], *_side_by_side(replace(labels, low=inner.low), columns, MOST)]
    if panel.axes.get_label() != SLICED:
        return [[outer]]
    places = [panel.axes.transData.transform((tick, 0))[0] * 72 / figure.dpi for tick in panel.axes.get_xticks()]
    cuts = [inner.left, *((one + other) / 2 for one, other in pairwise(places)), outer.right]
    return _side_by_side(labels, [Box(*ends, outer.low, outer.high) for ends in pairwise(cuts)], SLICE)


def _side_by_side(labels: Box, boxes: Sequence[Box], most: float) -> list[Piece]:
    """Return as many boxes as fit behind their labels, the others below, behind the same labels."""
    pieces = [[labels]]
    for box in boxes:
        if len(pieces[-1]) > 1 and _width(pieces[-1]) + box.wide > most:
            pieces.append([labels])
        pieces[-1].append(box)
    return pieces
