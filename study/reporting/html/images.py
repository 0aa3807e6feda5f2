"""Figures embedded in an HTML report, each as an image of its own, so that ids of different SVGs cannot clash."""

import base64
import math
import re
import struct
from html import escape
from urllib.parse import quote

PNG = b"\x89PNG\r\n\x1a\n"
ENLARGED = 1.4
"""Journal figures have text of 6 to 7 pt; on a screen they are shown this much larger than they are printed."""
NARROW = re.compile(r' data-narrow="([^"]*)"')
"""How a wide figure is shown on a narrow page (`study.reporting.figures.narrow`)."""
ROOT = re.compile(r"<svg\b[^>]*>", re.DOTALL)
PIXELS = {"pt": 96 / 72, "px": 1.0, "": 1.0, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0}
"""CSS pixels by unit."""


def embed(data: bytes | None, name: str, alternative: str) -> str:
    """Return an `<img>` that holds the file, with its size in CSS pixels; a visible note if there is no file.

    Args:
        data: an SVG or PNG file, or None.
        name: of the figure, for the note.
        alternative: what is read out in place of the image.

    Raises:
        ValueError: the bytes are neither SVG nor PNG.
    """
    if data is None:
        return f'<span class="missing">The figure “{escape(name)}” is not in this report.</span>'
    if data.startswith(PNG):
        kind, (width, height) = "png", _png_size(data)
    elif b"<svg" in data[:2000]:
        kind, (width, height) = "svg+xml", _svg_size(data)
    else:
        raise ValueError(f"figure {name!r} is neither SVG nor PNG: it begins with {data[:12]!r}")
    size = ""
    if width and height:
        wide, tall = ENLARGED * width, ENLARGED * height
        look = f"--wide: {wide:.0f}px; --ratio: {width / height:.3f}"
        size = f' width="{wide:.0f}" height="{tall:.0f}" style="{look}"'
    if kind == "png":
        source = f"{kind};base64,{base64.b64encode(data).decode()}"
    else:
        svg, narrow = _both_ways(data.decode())
        source = f"{kind},{_quote(svg)}"
        size = size.replace('style="', f'class="stacked" style="--narrow: {narrow:.3f}; ') if narrow else size
    return f'<img data-figure="{escape(name)}" alt="{escape(alternative or name)}"{size} src="data:image/{source}">'


def _both_ways(svg: str) -> tuple[str, float]:
    """Return an SVG that shows its panels one below the other in a tall frame, with the ratio of that frame, or 0.

    Its parts are shown by reference, so that nothing is there twice. An SVG without such an arrangement stays as it is.
    """
    root, found = ROOT.search(svg), NARROW.search(svg[:20000])
    box = re.search(r'viewBox="[-\d.]+ [-\d.]+ ([\d.]+) ([\d.]+)"', root[0]) if root else None
    if root is None or found is None or box is None:
        return svg, 0.0
    size, *parts = found[1].split(";")
    wide, tall = map(float, size.split())
    between = round(1000 * math.sqrt(wide / tall * float(box[1]) / float(box[2])))
    shown = "".join(_part(*map(float, part.split())) for part in parts)
    spaces = " ".join(re.findall(r'xmlns[:\w]*="[^"]*"', root[0]))
    return (
        f'<svg {spaces} width="100%" height="100%"><style>.narrow{{visibility:hidden}}clipPath{{visibility:visible}}'
        f"@media(max-aspect-ratio:{between}/1000){{.whole{{visibility:hidden}}.narrow{{visibility:visible}}}}</style>"
        f'<svg class="whole" {box[0]}><g id="whole">{svg[root.end() : svg.rindex("</svg>")]}</g></svg>'
        f'<svg class="narrow" viewBox="0 0 {size}">{shown}</svg></svg>'
    ), wide / tall


def _part(x: float, y: float, wide: float, tall: float, left: float, top: float, scale: float) -> str:
    """Return one rectangle of the whole at its place."""
    return (
        f'<svg x="{left:g}" y="{top:g}" width="{scale * wide:.2f}" height="{scale * tall:.2f}"'
        f' viewBox="{x:g} {y:g} {wide:g} {tall:g}"><use href="#whole"/></svg>'
    )


def _quote(svg: str) -> str:
    """Return an SVG as it stands in an address inside double quotes, which is shorter than base64."""
    return quote(re.sub(r'="([^"\']*)"', r"='\1'", svg), safe=" =':;,?+$!*~-._{}|[]^`")


def _png_size(data: bytes) -> tuple[float, float]:
    """Return width and height in CSS pixels: by the resolution in the file, else pixel for pixel."""
    width, height = struct.unpack(">II", data[16:24])
    at = data.find(b"pHYs", 0, 2000)
    if at < 0:
        return width, height
    x, y, unit = struct.unpack(">IIB", data[at + 4 : at + 13])
    if unit != 1 or not x or not y:
        return width, height
    return width / x * 1000 / 25.4 * 96, height / y * 1000 / 25.4 * 96


def _svg_size(data: bytes) -> tuple[float, float]:
    """Return width and height in CSS pixels of the root element, by its view box if need be, (0, 0) if unknown."""
    root = ROOT.search(data[:20000].decode("utf-8", "replace"))
    text = root[0] if root else ""
    sides = [re.search(rf'\s{side}="([\d.]+)\s*(pt|px|mm|cm|in|)"', text) for side in ("width", "height")]
    if sides[0] and sides[1]:
        return float(sides[0][1]) * PIXELS[sides[0][2]], float(sides[1][1]) * PIXELS[sides[1][2]]
    box = re.search(r'viewBox="[-\d.]+[\s,]+[-\d.]+[\s,]+([\d.]+)[\s,]+([\d.]+)"', text)
    return (float(box[1]), float(box[2])) if box else (0.0, 0.0)
