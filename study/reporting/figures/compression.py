"""Smaller files: PNG with a palette, SVG with short coordinates and paths; nothing visible is lost."""

import io
import re
from collections import Counter

import numpy as np
import pandas as pd
from PIL import Image
from scipy.spatial import cKDTree

EXACT, COLOURS = 64, (128, 256)
"""Colours that keep their value exactly, the commonest (areas, bands), and all colours of the palettes to try (edges of
lines share the others)."""
VISIBLE, FEW = 20.0, 1e-3
"""A palette is used where less than this share of the pixels moves by more than this distance in RGB (of 442)."""


WHITE = np.uint32(0xFFFFFF)
LEVEL = 8
"""Level of zlib: the figures of the demo are 4 % larger than at level 9 and take less than half its time."""


def small_png(drawn: np.ndarray, dpi: float) -> bytes:
    """Return a picture as PNG with a palette, a third of the size, or without one where that would be visible.

    Args:
        drawn: (height, width, 3) of uint8, red, green and blue.
        dpi: its resolution.
    """
    red, green, blue = (drawn[..., channel].astype(np.uint32) for channel in range(3))
    codes = red << 16 | green << 8 | blue
    inked = codes != WHITE  # most of a figure is paper, which need not be looked up
    place, colours = pd.factorize(codes[inked], sort=True)  # few colours: a hash is quicker than sorting pixels
    colours = np.append(colours, WHITE)
    n = np.append(np.bincount(place), inked.size - len(place))
    channels = np.stack([colours >> 16 & 255, colours >> 8 & 255, colours & 255], axis=1).astype(np.uint8)
    image = None
    for size in COLOURS:
        palette = _palette(channels, n, size)
        away, nearest = cKDTree(palette.astype(float)).query(channels.astype(float))
        if n[away > VISIBLE].sum() <= FEW * n.sum():
            numbers = nearest.astype(np.uint8)
            indexed = np.full(codes.shape, numbers[-1])
            indexed[inked] = numbers[place]
            image = Image.fromarray(indexed, mode="P")
            image.putpalette(palette.tobytes())
            break
    if image is None:
        image = Image.fromarray(np.ascontiguousarray(drawn))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=LEVEL, dpi=(dpi, dpi))
    return buffer.getvalue()


def _palette(channels: np.ndarray, n: np.ndarray, size: int) -> np.ndarray:
    """Return at most `size` colours for colours (n_colours, 3) that occur n times."""
    order = np.argsort(-n, kind="stable")
    exact, others = channels[order[:EXACT]], order[EXACT:]
    if len(channels) <= size:
        return channels
    pixels = np.repeat(channels[others], np.minimum(n[others], 50), axis=0)[None]  # (1, n_pixels, 3)
    shared = Image.fromarray(pixels).quantize(size - EXACT, method=Image.Quantize.MEDIANCUT, kmeans=2)
    shared_colours = np.array(shared.getpalette(), dtype=np.uint8).reshape(-1, 3)[: size - EXACT]
    return np.vstack([exact, shared_colours])


NUMBER = re.compile(r"-?\d+\.\d{3,}")
COORDINATES = re.compile(r'(?<= )(d|x|y|transform|points)="[^"]*"')
LINES = re.compile(r'(?<= d=")M [-\d. \nL]*(?="|z)')


def small_svg(svg: str) -> str:
    """Return an SVG with coordinates of 2 decimals (hundredths of a point) and paths in their short form."""

    def short(number: re.Match[str]) -> str:
        return f"{float(number[0]):z.2f}".rstrip("0").rstrip(".")

    rounded = COORDINATES.sub(lambda attribute: NUMBER.sub(short, attribute[0]), svg)
    return _numbered(_classes(_unwrap(LINES.sub(lambda path: _shorten(path[0]), rounded))))


def _unwrap(svg: str) -> str:
    """Return an SVG without indentation, metadata, names that nothing refers to, and groups that say nothing."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' transform="rotate\(-?0 [^)]*\)"', "", svg)
    svg = re.sub(r'\s*\n"', '"', re.sub(r">\s+<", "><", svg))
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    svg = re.sub(r'(<g[^>]*?) id="([^"]+)"', lambda group: group[0] if group[2] in used else group[1], svg)
    while (less := re.sub(r"<g>((?:(?!</?g[ >]).)*)</g>", r"\1", svg, flags=re.DOTALL)) != svg:
        svg = less
    return svg.replace("<defs></defs>", "")


def _numbered(svg: str) -> str:
    """Return an SVG whose ids are numbers: matplotlib's follow from the last bits of a layout, which vary."""
    ids = dict.fromkeys(re.findall(r' id="([a-z]+[0-9a-f]{10})"', svg))
    names = {old: f"i{number}" for number, old in enumerate(ids)}
    return re.sub(r'( id="|href="#|url\(#)([a-z]+[0-9a-f]{10})', lambda at: at[1] + names.get(at[2], at[2]), svg)


def _classes(svg: str) -> str:
    """Return an SVG whose repeated styles are classes."""
    styles = Counter(re.findall(r' style="([^"]*)"', svg))
    names = {style: f"s{number}" for number, (style, n) in enumerate(styles.most_common()) if n > 2}
    svg = re.sub(r' style="([^"]*)"', lambda at: f' class="{names[at[1]]}"' if at[1] in names else at[0], svg)
    rules = "".join(f".{name}{{{style}}}" for style, name in names.items())
    return svg.replace("</style>", f"{rules}</style>", 1)


def _shorten(path: str) -> str:
    """Return a path of straight lines with H and V for those along an axis, and without those that lead nowhere."""
    written, last = [], ("", "")
    for step in path.split("\n"):
        if not step.strip():
            continue
        command, x, y = step.split()
        if command == "M" or (x != last[0] and y != last[1]):
            written.append(f"{command}{x} {y}")
        elif (x, y) != last:
            written.append(f"V{y}" if x == last[0] else f"H{x}")
        last = x, y
    return "".join(written) if len(written) > 1 else path
