"""One list of everything that only the authors know: each AUTHOR MUST FILL of a pack, with where it stands."""

import re
from collections.abc import Mapping, Sequence

import pandas as pd

from study.reporting.checklists.answers import asked_by_methods, owner_of, subject_of, subjects
from study.reporting.checklists.forms import items
from study.reporting.facts.bibliography import CITATION
from study.reporting.facts.prose import FILL, render
from study.text.format import start

MARK = re.compile(rf"\**{FILL}: (?P<what>.*?)\*\*")
TITLE = re.compile(r"\A\*\*(?P<title>[^*]+?)\.\*\*")
METHODS = "Methods"


def prompts(frames: Mapping[str, pd.DataFrame], methods: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Return subject -> what to write -> places where it stands; what is asked in several places is there once.

    Args:
        frames: filled checklists by title (`study.reporting.checklists.forms.fill_all`).
        methods: paragraphs with their marks.
    """
    found: dict[str, dict[str, list[str]]] = {title: {} for title in (METHODS, *subjects())}
    asked: dict[str, list[str]] = {}
    for title, frame in frames.items():
        short = title.partition(" (")[0]
        for item, name, write in zip(items(title)["item"], items(title)["answer"], frame["to_write"], strict=True):
            if name and write:
                places = found[subject_of(name)].setdefault(write, [])
                places.append(f"{short} {item}")
                asked[owner_of(name)] = places
    for text in methods:
        titled = TITLE.match(text)
        about = titled["title"] if titled else METHODS
        for mark in MARK.finditer(text):
            what = CITATION.sub("", mark["what"]).strip().rstrip(". ")
            places = asked.get(asked_by_methods(what)) or found[METHODS].setdefault(f"{about}: {what}.", [])
            places.append(f"{METHODS}, {about}")
    return {title: points for title, points in found.items() if points}


def to_markdown(found: Mapping[str, Mapping[str, Sequence[str]]], notice: str = "") -> str:
    """Return the list as Markdown, with a box to tick before each point."""
    n = sum(len(points) for points in found.values())
    parts = ["# What the authors still have to write", notice and f"> **{start(notice)}.**", render("to_write", n=n)]
    for title, points in found.items():
        lines = [f"- [ ] {what} ({'; '.join(dict.fromkeys(places))})" for what, places in points.items()]
        parts += [f"## {title}", "\n".join(lines)]
    return "\n\n".join(filter(None, parts)) + "\n"
