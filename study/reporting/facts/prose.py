"""Prose of a report: templates that a writer can mend (`study/reporting/templates/`), filled with computed facts.

The lines of a paragraph are joined by one space, a blank line separates paragraphs, and a line that begins with `- ` is
an item of a list. A line that holds nothing but a Jinja statement leaves no trace. A fact that a template names and is
not given is an error (`StrictUndefined`).
"""

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.ext import Extension

from study.text import format as shown

TEMPLATES = Path(__file__).parents[1] / "templates"
STATEMENTS = re.compile(r"\s*(\{%((?!%\}).)*%\}\s*)+")
BULLET = "- "
BREAK = "\f"
"""Stands for a blank line of a template, as a line whose facts are empty is no end of a paragraph."""
FILL = "AUTHOR MUST FILL"
"""Marks what no record can know."""
FILTERS = (
    shown.count,
    shown.listed,
    shown.percent,
    shown.percentage,
    shown.difference,
    shown.signed,
    shown.p_value,
    shown.p_equals,
    shown.plain,
    shown.whole,
    shown.tenths,
    shown.start,
)
"""Functions of `study.text.format` that templates use as filters, by their own names; their first argument is piped."""


def fill(what: str) -> str:
    """Return the mark for what the author has to write."""
    return f"**{FILL}: {what}**"


class _LinesWithText(Extension):
    """Keeps the end of a line of text that ends with a statement, which `trim_blocks` would take away; marks breaks."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Return the source with a blank behind such a line, and a mark in the place of each blank line."""
        return "\n".join(map(self._line, source.split("\n")))

    @staticmethod
    def _line(line: str) -> str:
        if not line.strip():
            return BREAK
        return f"{line} " if line.endswith("%}") and not STATEMENTS.fullmatch(line) else line


def _one_line(value: Any) -> Any:
    """Return a fact without line breaks, which would begin a paragraph or a list."""
    return " ".join(value.split()) if isinstance(value, str) and {"\n", BREAK} & set(value) else value


ENVIRONMENT = Environment(
    loader=FileSystemLoader(TEMPLATES),
    extensions=[_LinesWithText],
    undefined=StrictUndefined,
    finalize=_one_line,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters |= {function.__name__: function for function in FILTERS}
ENVIRONMENT.globals["fill"] = fill
ENVIRONMENT.filters["difference_interval"] = lambda triple: shown.difference_interval(*triple)


def render(template: str, **facts: Any) -> str:
    """Return the paragraphs of a template; '' where it has nothing to say.

    Args:
        template: its name, `cohort` for `cohort.md.j2`.
        facts: everything that the template names.

    Raises:
        jinja2.UndefinedError: a fact is missing.
    """
    text = ENVIRONMENT.get_template(f"{template}.md.j2").render(facts)
    return "\n\n".join(filter(None, map(_paragraph, text.split(BREAK))))


def paragraphs(template: str, **facts: Any) -> list[str]:
    """Return the paragraphs of a template one by one."""
    return [text for text in render(template, **facts).split("\n\n") if text]


def render_items(template: str, **facts: Any) -> list[str]:
    """Return the items of a template that is a list, without their bullets."""
    lines = render(template, **facts).splitlines()
    return [line.removeprefix(BULLET) for line in lines if line.startswith(BULLET)]


def _paragraph(text: str) -> str:
    lines: list[str] = []
    for line in filter(None, (" ".join(line.split()) for line in text.splitlines())):
        if lines and not line.startswith(BULLET):
            lines[-1] += f" {line}"
        else:
            lines.append(line)
    return "\n".join(lines)
