"""Answers to checklist items: prose in TOML files, one a subject, filled with the facts of a study.

    subject          its title, as the list of what the authors still have to write has it
    [answer]
    where            places in the pack; those that are there are named, and with places given one has to be
    says             what the record knows, in whole sentences; nothing where it knows nothing
    write            what the authors have to write beside it; nothing where nothing is left
    absent           why the item does not apply; nothing where it does
    own              true: says nothing of models that were trained elsewhere
    results          true: says nothing before there are results
    judgement        a drafted judgement of a question on bias: yes, probably yes, probably no, no
    like             another answer, whose `write` is this one's too
    methods          beginnings of what Methods ask for at that point, which is asked once then

`where` and `methods` are lists; all other texts are Jinja templates over `study.reporting.checklists.facts`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Template

from study.reporting.facts.prose import ENVIRONMENT, FILL

HERE = Path(__file__).parent
PLAIN = ENVIRONMENT.overlay(autoescape=False)
"""Texts of strings, which Jinja would take for HTML."""
REPORTED, DRAFTED, PARTLY, NOT_APPLICABLE = "reported", "drafted", "partly", "not applicable"
UNFINISHED = "Finish the run and make the report again: {models_finished}."
NO_RESULTS = "Finish the run and make the report again: there is no result yet."


@dataclass(frozen=True)
class Answer:
    """The answer to an item.

    Attributes:
        status: reported (it stands in the pack), drafted (it stands here), partly, not applicable, or AUTHOR MUST FILL.
        where: places in the pack.
        says: sentences; '' for none.
        write: what the authors have to write; '' for nothing.
        judgement: drafted, of a question on bias; '' for none.
    """

    status: str
    where: tuple[str, ...] = ()
    says: str = ""
    write: str = ""
    judgement: str = ""


@cache
def subjects() -> dict[str, dict[str, Any]]:
    """Return title of a subject -> its answers by name, in the order of the files' numbers."""
    files = sorted(HERE.glob("*.toml"), key=lambda path: int(path.name.partition("_")[0]))
    tables = [tomllib.loads(path.read_text(encoding="utf-8")) for path in files]
    return {table.pop("subject"): table for table in tables}


@cache
def entries() -> dict[str, dict[str, Any]]:
    """Return every answer by its name."""
    return {name: entry for answers in subjects().values() for name, entry in answers.items()}


def subject_of(name: str) -> str:
    """Return the title of the subject that what an answer asks the authors for belongs to."""
    owner = owner_of(name)
    return next(title for title, answers in subjects().items() if owner in answers)


def owner_of(name: str) -> str:
    """Return the answer whose `write` an answer has: its own, or another one's."""
    return str(entries()[name].get("like", name))


def asked_by_methods(what: str) -> str:
    """Return the answer that asks the authors for the same as a mark in Methods, or ''."""
    return next((name for name, entry in entries().items() if what.startswith(tuple(entry.get("methods", ())))), "")


def answer(name: str, facts: Mapping[str, Any], there: set[str], asks_for: str) -> Answer:
    """Return one answer.

    Args:
        name: of the answer.
        facts: of the study.
        there: the places that the pack has.
        asks_for: what the item asks for, which is what the authors have to write where nothing else is said.
    """
    entry = entries()[name]
    if absent := _fill(entry.get("absent", ""), facts):
        return Answer(NOT_APPLICABLE, says=absent)
    write = _fill(entries()[owner_of(name)].get("write", ""), facts)
    silent = (entry.get("own") and facts["imported"]) or (entry.get("results") and not facts["finished"])
    says = "" if silent else _fill(entry.get("says", ""), facts)
    where = tuple(place for place in entry.get("where", ()) if place in there) if says else ()
    if not says or (entry.get("where") and not where):
        waits = entry.get("results") and not facts["finished"]
        return Answer(FILL, write=NO_RESULTS if waits else write or _ask(asks_for))
    judgement = _fill(entry.get("judgement", ""), facts)
    if judgement:
        write = ""  # the same prompt stands at the item that asks for the text
    if entry.get("results") and facts["n_absent"]:
        write = " ".join(filter(None, (write, UNFINISHED.format(**facts))))
    return Answer(PARTLY if write else REPORTED if where else DRAFTED, where, says, write, judgement)


def _ask(asks_for: str) -> str:
    return f"Answer: {asks_for}" if asks_for.endswith("?") else f"Write: {asks_for}."


@cache
def _template(text: str) -> Template:
    return PLAIN.from_string(text)


def _fill(text: str, facts: Mapping[str, Any]) -> str:
    """Return a template filled, on one line."""
    return " ".join(_template(text).render(facts).split())
