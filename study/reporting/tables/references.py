"""References to tables and figures by their numbers: `Table 3`, `Tables S5 to S7 and S9`."""

import re
from collections.abc import Iterator

REFERENCE = re.compile(r"\b(Table|Figure)(?: (S?\d+)\b|s (S?\d+(?:(?:, | and | to )S?\d+)*)\b)")
NUMBER = re.compile(r"S?\d+")


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """Yield a text in pieces: (words, '') and, of each reference, (number, `Table` or `Figure`)."""
    done = 0
    for found in REFERENCE.finditer(text):
        for number in NUMBER.finditer(text, found.start(), found.end()):
            yield text[done : number.start()], ""
            yield number[0], found[1]
            done = number.end()
    yield text[done:], ""
