"""Markdown that several generated pages share."""

import inspect
import re
import textwrap
from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a pipe table; line breaks inside a cell become spaces, and a bar is escaped."""
    lines = [head, ["---"] * len(head), *([_cell(text) for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def key(name: str) -> str:
    """Return a dotted name as code that may be broken after its dots and underscores, and nowhere else."""
    broken = re.sub(r"([._])", r"\1<wbr>", name)
    return f"<code>{broken}</code>"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def prose(docstring: str | None) -> str:
    """Return a docstring as Markdown: indented blocks become code, the parts `Attributes` and `Raises` are left out."""
    text = re.split(r"\n\n(?:Attributes|Args|Returns|Raises):\n", inspect.cleandoc(docstring or ""))[0]
    return re.sub(r"(?m)(?:^ {4}.*\n?(?:^\n(?= {4}))?)+\n*", _fenced, text).strip()


def _fenced(block: re.Match[str]) -> str:
    return f"```text\n{textwrap.dedent(block[0]).strip()}\n```\n\n"


def attributes(kind: type) -> dict[str, str]:
    """Return the meaning of each attribute from the section `Attributes` of a class's docstring."""
    section = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2].split("\n\n")[0]
    entries = re.findall(r"(?ms)^ {4}(\w[\w, ]*): (.*?)(?=^ {4}\w|\Z)", section + "\n")
    return {name: " ".join(text.split()) for names, text in entries for name in names.split(", ")}
