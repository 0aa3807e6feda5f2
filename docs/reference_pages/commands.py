"""The page of the commands: what `--help` says of each, with all options, from their declarations."""

import importlib
import inspect
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from typer.models import ArgumentInfo, OptionInfo

from reference_pages.markdown import table
from study.__main__ import COMMANDS

INTRODUCTION = """# Commands

Each command is called as `mmbc COMMAND` or, which is the same, as `python -m study.COMMAND`. `--help` shows what this
page shows; `mmbc --help` lists the commands. The exit code is 0 when all went well, 2 after an error that the message
explains, and 130 after Ctrl-C. Where 1 has a meaning, the command says so; elsewhere it is a fault of this program,
with a log of the details.
"""
PLACEHOLDERS = {int: "N", float: "NUMBER", Path: "PATH", str: "TEXT"}


@dataclass(frozen=True)
class Declared:
    """An option or an argument as its command declares it."""

    name: str
    kind: Any
    info: ArgumentInfo | OptionInfo
    default: Any

    @property
    def flag(self) -> bool:
        """Whether it takes no value."""
        return self.kind is bool

    @property
    def flags(self) -> list[str]:
        """Its names: those that are declared, else the one that Typer makes of the field's.

        Typer keeps the first name of an annotation where the default of other options is.
        """
        given = [self.info.default, *(self.info.param_decls or ())]
        declared = [one for one in given if isinstance(one, str) and one.startswith("-")]
        plain = self.name.strip("_").replace("_", "-")
        made = [f"--{plain}/--no-{plain}" if self.flag else f"--{plain}"]
        return [name for one in declared or made for name in one.split("/")]

    @property
    def placeholder(self) -> str:
        """What stands for its value."""
        return self.info.metavar or PLACEHOLDERS.get(self.kind, "TEXT")


def page() -> str:
    """Return the page: a section for each command, and one for the example cohort of the library."""
    parts = [_section(f"study.{name}", f"mmbc {name}") for name in COMMANDS]
    return "\n".join([INTRODUCTION, *parts, _section("mmbc.example", "python -m mmbc.example")])


def declared(app: typer.Typer) -> tuple[str, list[Declared]]:
    """Return what `--help` says of a command, and its options and arguments."""
    (registered,) = app.registered_commands
    assert registered.callback is not None
    return registered.help or inspect.getdoc(registered.callback) or "", list(_declared(registered.callback))


def _declared(callback: Any) -> Iterator[Declared]:
    hints = typing.get_type_hints(callback, include_extras=True)
    for parameter in inspect.signature(callback).parameters.values():
        annotation = hints.get(parameter.name, parameter.annotation)
        for info in getattr(annotation, "__metadata__", ()):
            if isinstance(info, ArgumentInfo | OptionInfo):
                yield Declared(parameter.name, _plain(annotation.__origin__), info, parameter.default)


def _plain(kind: Any) -> Any:
    """Return the type of a single value: `int` for `int | None`, `Path` for `list[Path]`."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) in (typing.Union, list, tuple):
        return _plain(next(one for one in typing.get_args(kind) if one is not types.NoneType))
    return kind


def _section(module: str, title: str) -> str:
    text, every = declared(importlib.import_module(module).app)
    arguments = [one for one in every if isinstance(one.info, ArgumentInfo)]
    words = [f"[{one.name.upper()}]" if one.default is None else one.name.upper() for one in arguments]
    usage = " ".join([f"python -m {module}", *words, "[OPTIONS]"])
    parts = [f"## {title}\n", f"{inspect.cleandoc(text)}\n", f"```text\n{usage}\n```\n"]
    parts += [f"`{one.name.upper()}`: {one.info.help}\n" for one in arguments]
    panels: dict[str, list[Declared]] = {}
    for one in every:
        if one not in arguments and not one.info.hidden:
            panels.setdefault(one.info.rich_help_panel or "Options", []).append(one)
    for panel, options in panels.items():
        rows = [_row(one) for one in options]
        n_columns = 3 if any(default for *_, default in rows) else 2
        head = ("option", "meaning", "default")[:n_columns]
        parts.append(f"**{panel}**\n\n{table(head, [row[:n_columns] for row in rows])}\n")
    return "\n".join(parts)


def _row(option: Declared) -> tuple[str, str, str]:
    value = "" if option.flag else f" {option.placeholder}"
    meaning = option.info.help or ""
    if option.info.envvar:
        meaning += f" Also the environment variable `{option.info.envvar}`."
    return f"`{' / '.join(option.flags)}{value}`", meaning, _default(option)


def _default(option: Declared) -> str:
    if option.default is inspect.Parameter.empty:
        return "required"
    if option.flag and len(option.flags) > 1:
        return "" if option.default is None else f"`{option.flags[0 if option.default else 1]}`"
    return "" if option.default in (None, "", False, ()) else f"`{option.default}`"
