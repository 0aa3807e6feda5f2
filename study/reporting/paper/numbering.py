"""Numbers of tables and figures: those of the paper from 1, those of the supplement from S1 in the order it shows them.

Captions refer to others by name, `{table:main}` or `{figure:flow}`, until the numbers are known.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from study.reporting.figures.catalogue import Drawing
from study.reporting.tables import PaperTable

TABLES = ("table_1", "main", "comparisons", "operating_points")
FIGURES = ("flow", "main", "contrasts", "decision")
"""What a paper shows, at most four of each, in its order.

F1, accuracy, training curves and confusion matrices belong to the supplement (Van Calster et al. 2025).
"""
RANKING = ("comparisons", "contrasts")
"""What would be read as a ranking where there are too few patients to compare anything."""

Float = TypeVar("Float", PaperTable, Drawing)
REFERENCE = re.compile(r"\{(table|figure):(\w+)\}")
"""A reference in a caption."""


def numbered(
    floats: Mapping[str, Float], chosen: Sequence[str], shown: Sequence[str], *, too_small: bool = False
) -> dict[str, Float]:
    """Return tables or figures by name with their numbers: the chosen ones first, then the others as they are shown.

    Args:
        floats: by name.
        chosen: names of those that a paper shows, as far as they are there.
        shown: names in the order of the supplement; what it lacks comes last.
        too_small: whether there are too few patients to compare models.
    """
    first = [name for name in chosen if name in floats and not (too_small and name in RANKING)]
    others = [name for name in dict.fromkeys([*shown, *floats]) if name in floats and name not in first]
    numbers = {name: str(n) for n, name in enumerate(first, start=1)}
    numbers |= {name: f"S{n}" for n, name in enumerate(others, start=1)}
    return {name: replace(floats[name], number=number) for name, number in numbers.items()}


def resolve(
    tables: Mapping[str, PaperTable], drawings: Mapping[str, Drawing]
) -> tuple[dict[str, PaperTable], dict[str, Drawing]]:
    """Return tables and figures whose captions say `Table 3` or `Figure S1`: the title of one without a number."""

    def named(match: re.Match[str]) -> str:
        kind, name = match[1], match[2]
        one = tables.get(name) if kind == "table" else drawings.get(name)
        if one is not None and one.number:
            return f"{kind.capitalize()} {one.number}"
        return f"the {kind} “{one.title if one is not None else name.replace('_', ' ')}”"

    return (
        {name: replace(one, caption=REFERENCE.sub(named, one.caption)) for name, one in tables.items()},
        {name: replace(one, caption=REFERENCE.sub(named, one.caption)) for name, one in drawings.items()},
    )


OF_SUPPLEMENT = re.compile(r"\b(Table|Figure) S\d+\b")


def elsewhere(text: str) -> str:
    """Return a text of a paper, which names tables and figures of the supplement as such."""
    return OF_SUPPLEMENT.sub(r"\g<0> of the supplement", text)


def of_paper(floats: Mapping[str, Float]) -> dict[str, Float]:
    """Return those tables or figures that a paper shows, by name; their captions say what is in the supplement."""
    return {
        name: replace(one, caption=elsewhere(one.caption))
        for name, one in floats.items()
        if not one.number.startswith("S")
    }
