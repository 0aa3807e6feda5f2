"""What journals ask for: widths of columns, letters, numbers, and the style of references."""

from typing import NamedTuple

from study.text.number_style import NumberStyle


class Journal(NamedTuple):
    """A journal's conventions.

    Attributes:
        column, page: widths of one and of two columns in mm.
        citations: name of its style in the repository of the Citation Style Language.
        natbib: options of this LaTeX package that give its citations.
        numbers: how it writes them.
        serif: whether figures and Word files are set in Times rather than in Arial.
    """

    column: float
    page: float
    citations: str
    natbib: str
    numbers: NumberStyle = NumberStyle()
    serif: bool = False

    def width(self, *, wide: bool) -> float:
        """Return the width of one column, or of two."""
        return self.page if wide else self.column


JOURNALS = {
    "nature": Journal(89.0, 183.0, "nature", "super,sort&compress"),
    "radiology": Journal(
        86.0,
        178.0,
        "radiology",
        "numbers,round,sort&compress",
        NumberStyle(decimals=2, between=", ", said="95% CI: ", percent="%"),
    ),
    "lancet": Journal(
        75.0,
        154.0,
        "the-lancet",
        "super,sort&compress",
        NumberStyle(decimals=2, between="–", said="95% CI ", percent="%", point="·"),
        serif=True,
    ),
    "elsevier": Journal(
        90.0,
        190.0,
        "elsevier-vancouver",
        "numbers,square,sort&compress",
        NumberStyle(decimals=2, between="–", brackets="[]", percent="%"),
    ),
    "ieee": Journal(
        88.9,
        181.9,
        "ieee",
        "numbers,square,sort&compress",
        NumberStyle(between=", ", brackets="[]", said="95% CI ", percent="%"),
        serif=True,
    ),
}
"""By the name that `--journal` takes; the first is the default and leaves numbers as the program writes them."""
