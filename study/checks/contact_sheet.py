"""Pairs of near-duplicates side by side in one PNG, for eyes to confirm."""

from collections.abc import Hashable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from mmbc.data.images.decoding import decode_file, to_grey

MOST = 24
"""Pairs shown."""
ACROSS = 3
"""Pairs in a row."""
FRAME = (200, 220)
"""Width and height in pixels that an image is fitted into."""
GAP = 14
LINE = 19
"""Height of a line of text."""
CARD = (2 * FRAME[0] + 3 * GAP, FRAME[1] + 3 * GAP + 3 * LINE + 4)
HEAD = 64
PAPER, CARD_GROUND, INK, QUIET, ALARM = "#eceff1", "#ffffff", "#1b2327", "#5b6b73", "#b3261e"


def contact_sheet(pairs: pd.DataFrame, images: pd.DataFrame, path: Path, *, most: int = MOST) -> None:
    """Draw the first pairs with ids, patients and distances; says how many more there are.

    Args:
        pairs: of `study.checks.duplicates.near_duplicates`, the worst first.
        images: the cohort's rows that the pairs' numbers mean: `image_id`, `patient_id`, `path`.
        path: the PNG to write.
        most: pairs shown.

    Raises:
        ImageError: an image that cannot be read.
    """
    shown = pairs.head(most)
    columns = min(ACROSS, max(1, len(shown)))
    rows = -(-len(shown) // columns)
    size = (max(2, columns) * (CARD[0] + GAP) + GAP, HEAD + rows * (CARD[1] + GAP) + GAP)
    sheet = Image.new("RGB", size, PAPER)
    _write_head(ImageDraw.Draw(sheet), pairs, len(shown))
    for number, pair in enumerate(shown.to_dict("records")):
        left = GAP + number % columns * (CARD[0] + GAP)
        top = HEAD + number // columns * (CARD[1] + GAP)
        sheet.paste(_card(pair, images), (left, top))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def _write_head(draw: ImageDraw.ImageDraw, pairs: pd.DataFrame, n_shown: int) -> None:
    n_across = int((~pairs["same_patient"]).sum())
    title = f"Near-duplicates: {len(pairs)} {'pair' if len(pairs) == 1 else 'pairs'}, {n_across} of two patients"
    draw.text((GAP, 13), title, INK, _font(20))
    rest = len(pairs) - n_shown
    more = f"The first {n_shown} are shown; {rest} more are in the table." if rest else "All are shown."
    draw.text((GAP, 40), more if len(pairs) else "None was found.", QUIET, _font(14))


def _card(pair: Mapping[Hashable, Any], images: pd.DataFrame) -> Image.Image:
    """Return two images above their ids, patients and what relates them."""
    card = Image.new("RGB", CARD, CARD_GROUND)
    draw = ImageDraw.Draw(card)
    middle = GAP + FRAME[0] + GAP
    for left, row in zip((GAP, middle), (pair["i"], pair["j"]), strict=True):
        image = images.iloc[row]
        picture = _thumbnail(Path(image["path"]))
        draw.rectangle((left, GAP, left + FRAME[0] - 1, GAP + FRAME[1] - 1), fill=PAPER)
        card.paste(picture, (left + (FRAME[0] - picture.width) // 2, GAP + (FRAME[1] - picture.height) // 2))
        top = GAP + FRAME[1] + 8
        for text in _two_lines(str(image["image_id"]), _font(13), FRAME[0]):
            draw.text((left, top), text, INK, _font(13))
            top += LINE - 3
        top = GAP + FRAME[1] + 8 + 2 * (LINE - 3)
        draw.text((left, top), _fitted(f"patient {image['patient_id']}", _font(13), FRAME[0]), QUIET, _font(13))
    whose = "same patient" if pair["same_patient"] else "two patients"
    relation = f"{whose}, distance {pair['distance']} of 256, correlation {pair['correlation']:.2f}"
    relation += ", mirrored" if pair["mirrored"] else ""
    at = (GAP, CARD[1] - GAP - LINE + 3)
    draw.text(at, _fitted(relation, _font(14), CARD[0] - 2 * GAP), QUIET if pair["same_patient"] else ALARM, _font(14))
    return card


def _thumbnail(path: Path) -> Image.Image:
    pixels = decode_file(path)
    pixels = pixels if pixels.ndim == 3 else to_grey(pixels)
    scale = min(FRAME[0] / pixels.shape[1], FRAME[1] / pixels.shape[0])
    size = (max(1, int(scale * pixels.shape[1])), max(1, int(scale * pixels.shape[0])))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return Image.fromarray(np.ascontiguousarray(small)).convert("RGB")


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's built-in font, so that the sheet looks alike everywhere."""
    return ImageFont.load_default(size)


def _two_lines(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """Break a long id, where possible behind a separator, and shorten the rest."""
    if font.getlength(text) <= width:
        return [text]
    fitting = max(n for n in range(1, len(text)) if n == 1 or font.getlength(text[:n]) <= width)
    separators = [n for n in range(fitting // 2, fitting + 1) if text[n - 1] in "/\\_-. "]
    at = max(separators, default=fitting)
    return [text[:at], _fitted(text[at:], font, width)]


def _fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Shorten a text in its middle until it fits."""
    shown, kept = text, len(text)
    while font.getlength(shown) > width and kept > 2:
        kept -= 1
        shown = text[: -(-kept // 2)] + "…" + text[len(text) - kept // 2 :]
    return shown
