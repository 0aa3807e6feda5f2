r"""The numbers of a study as LaTeX commands, so that none is typed into a manuscript by hand.

`\AucConcat` is the value, `\AucConcatCi` its interval, `\AucConcatWithCi` both. Names have letters alone; digits,
hyphens and the like are spelt out (`\AucLateDashFusionTwo`). Where two keys would give the same name both get letters
of their own.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from study.text.number_style import style

DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
SPELT = {
    **dict(zip("0123456789", DIGITS, strict=True)),
    "-": "Dash",
    "_": " ",
    "~": "Minus",
    "<": "Below",
    ">": "Above",
    "≥": "AtLeast",
    "≤": "AtMost",
    "%": "Percent",
    "+": "Plus",
    "/": "Slash",
    "=": "Is",
    ",": "Comma",
    ":": "Colon",
    "&": "And",
    "\\.": "Point",
}
FIRST = {"contrast": "Diff", "delta": "DeltaAuc", "prevalence": "DeclaredPrevalence", "notice": "CohortNotice"}
"""First words of keys that read differently as a command; `\\Delta` is a letter already."""
WHOLE = {"e2_90": "ETwoNinety"}
"""Words of keys that are not spelt out digit by digit."""
ABOUT = {"Ci": "its interval", "WithCi": "both"}
"""Comments on the commands beside a value."""
DISTINCT = 8
"""Letters that tell names apart which would be the same."""
SYMBOLS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "%": r"\%",
    "&": r"\&",
    "#": r"\#",
    "$": r"\$",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "−": r"\ensuremath{-}",
    "±": r"\ensuremath{\pm}",
    "≥": r"\ensuremath{\geq}",
    "≤": r"\ensuremath{\leq}",
    "·": r"\ensuremath{\cdot}",
    "δ": r"\ensuremath{\delta}",
    "×": r"\ensuremath{\times}",
    "°": r"\ensuremath{^\circ}",
    "–": "--",
    "²": r"\ensuremath{^2}",
}
"""Characters that mean something to TeX, or that its standard fonts lack."""
LATIN = "ßæøÆØœŒłŁ§"
"""Characters outside ASCII that pdflatex sets without further packages, and the accents it can put on letters."""
ACCENTS = "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c"
HEAD = """\
% Numbers of the study, generated from its predictions; do not edit, generate it again.
% \\input{numbers} in the preamble; write \\AucConcat{} in the text, with {} before a space.
"""


def macros(entries: Mapping[str, Mapping[str, Any]], notice: str = "") -> str:
    """Return a LaTeX file with a command for every number.

    Args:
        entries: of `study.reporting.numbers.numbers`.
        notice: of the cohort; written at the top.
    """
    texts = dict(_texts(entries))
    called = names(texts)
    head = HEAD + (f"% {_comment(notice)}\n" if notice else "")
    lines = (
        f"\\newcommand{{\\{called[key, kind]}}}{{{escape(text)}}}% {ABOUT.get(kind) or _comment(entries[key]['about'])}"
        for (key, kind), text in texts.items()
    )
    return head + "\n".join(lines) + "\n"


def _texts(entries: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield what each command of each key is to print."""
    for key, entry in entries.items():
        opening, closing = style().brackets[0], style().brackets[1]
        value, bracket, rest = entry["text"].partition(f" {opening}") if "low" in entry else (entry["text"], "", "")
        yield (key, ""), value
        if "low" in entry:
            ends = rest.removesuffix(closing)
            yield (key, "Ci"), ends if bracket else "n/a"
            yield (key, "WithCi"), f"{value} {opening}{style().said}{rest}" if bracket else value


def names(keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return the command of every (key, kind): letters alone, and no two the same."""
    wanted = {(key, kind): command(key) + kind for key, kind in keys}
    taken = Counter(wanted.values())
    alike = {key for (key, _), name in wanted.items() if taken[name] > 1}
    size = DISTINCT
    while True:
        by_key = {
            (key, kind): command(key) + _letters(key, size) + kind if key in alike else name
            for (key, kind), name in wanted.items()
        }
        if len(set(by_key.values())) == len(by_key):
            return by_key
        size += 1  # distinct keys have distinct digests, so this ends


def _letters(key: str, size: int) -> str:
    digest = hashlib.sha512(key.encode("utf-8", "surrogatepass")).hexdigest()
    return "X" + "".join(chr(ord("a") + int(digit, 16)) for digit in digest[:size])


def command(key: str) -> str:
    """Return `AucConcat` for `auc.concat`: readable, but not yet unique."""
    first, *rest = re.split(r"(?<!\\)\.", key)
    if first == "contrast":
        pair, *rest = rest
        rest = [(pair.replace("~", " minus ") if "~" in pair else pair.replace("-", " minus ")), *rest]
        rest = [word for word in rest if word != "difference"]
    return "".join([FIRST.get(first, _words(first)), *(WHOLE.get(word) or _words(word) for word in rest)])


def _words(text: str) -> str:
    """Return text as capitalised words of ASCII letters."""
    for character, word in SPELT.items():
        text = text.replace(character, f" {word} ")
    plain = unicodedata.normalize("NFKD", text)
    letters = re.sub(r"[^A-Za-z ]", " ", "".join(c for c in plain if not unicodedata.combining(c)))
    return "".join(word[0].upper() + word[1:] for word in letters.split())


def escape(text: str) -> str:
    """Return text that LaTeX prints as it is; characters its fonts lack are named by their number."""
    words = "".join(SYMBOLS.get(character) or _printable(character) for character in text)
    return re.sub(r"(?<=\d) (?=\\%)|(?<=\\ensuremath\{[<>]\}) (?=\d)", "~", words)


def _printable(character: str) -> str:
    base, *accents = list(unicodedata.normalize("NFD", character))
    settable = base.isascii() and len(accents) <= 1 and all(accent in ACCENTS for accent in accents)
    if character in LATIN or (settable and character.isprintable()):
        return character
    return " " if character.isspace() else f"[U+{ord(character):04X}]"


def _comment(text: str) -> str:
    """Return text on one line."""
    return " ".join(text.split())
