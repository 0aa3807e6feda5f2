"""Example images of hits and misses: the units of which a model was surest, by kind of result."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from study.evaluation.example_units import KINDS
from study.evaluation.units import UNIT_KEYS
from study.reporting.figures.decisions import RIGHT, WRONG
from study.reporting.figures.parts import FigureAndData, fit
from study.reporting.figures.style import LARGE, NORMAL, NOTICE, canvas, journal_style, width
from study.text.format import count, probability, start

EACH = 6
"""Units of a kind that are shown."""
ASIDE, GAP, TEXT, TOP = 21.0, 2.0, 7.2, 1.5
"""Millimetres: names of the rows, between pictures, for the text below one, above the first row."""


@journal_style()
def examples(units: pd.DataFrame, pictures: Mapping[str, np.ndarray], level: str) -> FigureAndData:
    """Pictures of the units of which a model was surest, a row for each kind of result.

    Args:
        units: lines of `study.evaluation.example_units.example_units`.
        pictures: grey values (side, side) of uint8 by image; a frame stays empty where there is none.
        level: of the units.

    Returns:
        Data: the lines of `units`.
    """
    whole = width(wide=True)
    side = (whole - ASIDE - EACH * GAP) / EACH
    height = TOP + len(KINDS) * (side + TEXT) + NOTICE
    figure = canvas(height, wide=True, laid_out=False)
    ids = [key for key in UNIT_KEYS[level] if key != "case_id"]
    for row, kind in enumerate(KINDS.values()):
        of_kind = units[units["kind"] == kind]
        y = height - TOP - row * (side + TEXT) - side
        n = count(int(of_kind["n"].iloc[0]), level) if len(of_kind) else "none"
        place = (0.5 / whole, (y + side - 1) / height)
        figure.text(*place, start(kind).replace(" ", "\n") + "s", fontsize=LARGE, fontweight="bold", va="top")
        figure.text(place[0], (y + side - 9) / height, n, fontsize=NORMAL, va="top")
        for column, line in enumerate(of_kind.to_dict("records")):
            x = ASIDE + column * (side + GAP)
            axes = figure.add_axes((x / whole, y / height, side / whole, side / height))
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(visible=True, color=RIGHT if kind.startswith("true") else WRONG, linewidth=1.2)
            picture = pictures.get(str(line["image_id"]))
            if picture is not None:
                axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="none")
            name = " ".join(str(line[key]) for key in ids)
            said = f"{probability(line['probability'])}, {line['status']}"
            for offset, text in ((2.6, name), (5.2, said)):
                size = fit(text, side, NORMAL)
                axes.text(0, -offset / side, text, fontsize=size, transform=axes.transAxes)
    return figure, units
