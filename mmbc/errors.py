"""Errors that a user can mend: each says what is wrong, where, and what to do."""

import difflib
import re
from collections.abc import Iterable, Mapping

MANY = 12
"""Longer lists of known names are cut to the closest ones."""
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, which a terminal obeys, and bytes that are no UTF-8 text."""


class MmbcError(Exception):
    """Base of every error that a user can mend; commands print its text without a traceback."""


class ConfigError(MmbcError):
    """An unknown key, a value outside its range, or two settings that contradict each other."""


class CohortError(MmbcError):
    """A cohort that cannot be read or does not hold together; names the rows."""


class ImageError(MmbcError):
    """Image files that are missing, unreadable or truncated; names the files."""


class LeakageError(MmbcError):
    """One patient, or one row, on two sides of a split; names the ids."""


class SplitError(MmbcError):
    """A split that cannot be made or used: too few patients, one class only, a row that is never tested."""


class WeightsError(MmbcError):
    """Pretrained weights that cannot be had or do not fit the backbone."""


class StudyError(MmbcError):
    """A study folder that is incomplete, damaged or belongs to another configuration."""


def has_unprintable(value: object) -> bool:
    """Whether a text in a value, a list or a mapping of them, keys too, has a character that nobody can have typed."""
    if isinstance(value, Mapping):
        return any(map(has_unprintable, (*value.keys(), *value.values())))
    if isinstance(value, list | tuple):
        return any(map(has_unprintable, value))
    return isinstance(value, str) and UNPRINTABLE.search(value) is not None


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the sentence that points from a misspelt name to the known ones."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=5, cutoff=0.4)
    hint = f"did you mean {close[0]!r}? " if close else ""
    if close and len(names) > MANY:
        return f"{hint}close to it: {', '.join(close)} (of {len(names)} known)"
    return f"{hint}known: {', '.join(names)}"


def count(n: int, one: str, several: str | None = None) -> str:
    """Return `1 image` or `3 images`."""
    return f"{n} {one if n == 1 else several or one + 's'}"


def some(items: Iterable[object], most: int = 10) -> str:
    """Join the first `most` items and say how many are left out."""
    everything = [str(item) for item in items]
    rest = len(everything) - most
    return ", ".join(everything[:most]) + (f" and {rest} more" if rest > 0 else "")
