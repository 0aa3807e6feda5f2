"""Errors in the language of Python: commands and functions share their checks, whose texts name options as typed."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields

from mmbc.command import flag
from mmbc.errors import MmbcError
from study.api.options import NOT_IN_PYTHON, RENAMED
from study.console.options import AuditOptions, CrossValidationOptions, PredictionOptions, SearchRunOptions

NAMES = {
    flag(option.name): option
    for group in (CrossValidationOptions, SearchRunOptions, AuditOptions, PredictionOptions)
    for option in fields(group)
    if option.name not in NOT_IN_PYTHON
}
"""Options as typed, and their fields."""
OTHERS = {
    "--ablation": RENAMED["ablation"],
    "--set": "settings",
    "--config": "settings",
    "--replicates": "n_replicates",
}
OTHERS |= {name: flag(name).strip("-") for name in ("--notice", "--contrasts")}
"""Options that have another name in Python, or that only `study.evaluate` has."""
COLUMN = re.compile(r"--columns ([\w-]+)=([\w-]+)")
SETTING = re.compile(r"""--set ([\w.-]+)=(\[.*?\](?=[:.,;\s)`]|$)|"[^"]*"|[^\s:;,)`]+)""")
OPTION = re.compile(r"""(--[a-z][a-z-]*)(?:[ =]("[^"]*"|'[^']*'|[A-Z]\w*|\d+(?:\.\d+)?(?![\w.-]*[/:])))?""")


@contextmanager
def said_in_python(instead: Mapping[str, str] | None = None) -> Iterator[None]:
    """Let errors that pass through name arguments in place of options; also a decorator.

    Args:
        instead: further texts, and what to say in their place.
    """
    try:
        yield
    except MmbcError as error:
        text = str(error)
        for old, new in (instead or {}).items():
            text = text.replace(old, new)
        error.args = (in_python(text),)
        raise


def in_python(text: str) -> str:
    """Return a text with options as arguments: `--columns label=X` is `columns={"label": "X"}`."""
    text = COLUMN.sub(lambda found: f'columns={{"{found[1]}": "{found[2]}"}}', text)
    text = SETTING.sub(lambda found: f'settings={{"{found[1]}": {_value(found[2])}}}', text)
    return OPTION.sub(_argument, text)


def _argument(found: re.Match[str]) -> str:
    option, value = found[1], found[2]
    if option in OTHERS:
        name = OTHERS[option]
    elif option in NAMES:
        name = NAMES[option].name
        if isinstance(NAMES[option].default, bool):
            return f"{name}=True" + (f" {value}" if value else "")
    else:
        return found[0]
    return f"{name}={_value(value)}" if value else name


def _value(text: str) -> str:
    """Return a value as Python has it; a bare word is a text."""
    if text[0] in "\"'[" or text in ("...", "value"):
        return text
    try:
        return repr(json.loads(text))
    except ValueError:
        return f'"{text}"'
