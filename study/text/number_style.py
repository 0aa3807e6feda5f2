"""How a journal wants its numbers: decimals, intervals, the space before a per cent sign and the decimal point."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

SAID = re.compile(r"\((95|90) % CI:? ([−+]?[\d.,]+%?) to ([−+]?[\d.,]+%?)\)")
"""An interval in a sentence that says what it is."""
PERCENT = re.compile(r"(?<=\d) %")


@dataclass(frozen=True)
class NumberStyle:
    """Style of numbers; the default is `0.848 (0.794 to 0.902)` and `91.3 %`.

    Attributes:
        decimals: of areas and of all that is not a percentage.
        between: the ends of an interval; ` to ` where one of them is negative, whatever stands here.
        brackets: around an interval.
        said: in front of an interval's ends where no heading or note says what it is.
        percent: the sign with the space before it.
        point: decimal point.
    """

    decimals: int = 3
    between: str = " to "
    brackets: str = "()"
    said: str = ""
    percent: str = " %"
    point: str = "."

    def interval(self, low: str, high: str, *, said: bool = False) -> str:
        """Return the ends of an interval in its brackets."""
        return f"{self.brackets[0]}{self.said if said else ''}{self.ends(low, high)}{self.brackets[1]}"

    def ends(self, low: str, high: str) -> str:
        """Return the ends of an interval without brackets, for a column whose heading says what they are."""
        return f"{low}{' to ' if low.startswith(('−', '+')) and self.between == '–' else self.between}{high}"


HOUSE = NumberStyle()
_style: ContextVar[NumberStyle] = ContextVar("number_style", default=HOUSE)


def style() -> NumberStyle:
    """Return the style in force."""
    return _style.get()


@contextmanager
def number_style(chosen: NumberStyle) -> Iterator[None]:
    """Write numbers in a style; it also decorates functions."""
    before = _style.set(chosen)
    try:
        yield
    finally:
        _style.reset(before)


def restyle(text: str) -> str:
    """Return a text with the intervals and percentages of its sentences in the style in force."""
    if style() == HOUSE:
        return text
    said = SAID.sub(lambda match: style().interval(match[2], match[3], said=True), text)
    return PERCENT.sub(style().percent, said)
