"""Calls such as `study.cross_validate("phantom", repeats=2)`, which a study records in place of a command."""

import ast
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


def written_call(function: str, data: Any, arguments: Mapping[str, Any]) -> list[str]:
    """Return a call as it may be typed again, for the record of a study; arguments that are None are left out."""
    given = {name: value for name, value in arguments.items() if value is not None}
    words = [
        *([repr(str(data))] if data is not None else []),
        *(f"{name}={_text(value)}" for name, value in given.items()),
    ]
    return [f"study.{function}({', '.join(words)})"]


def _text(value: Any) -> str:
    return repr(str(value) if isinstance(value, Path) else value)


def is_call(words: Sequence[str]) -> bool:
    """Whether a recorded command is a call, and not words of a command line."""
    return len(words) == 1 and words[0].startswith("study.") and words[0].endswith(")")


def typed(words: Sequence[str]) -> str:
    """Return a recorded command as it is typed."""
    return words[0] if is_call(words) else shlex.join(words)


def with_argument(call: str, name: str, value: Any) -> str:
    """Return a call with one argument set."""
    tree = _parsed(call)
    kept = [argument for argument in tree.keywords if argument.arg != name]
    tree.keywords = [*kept, ast.keyword(name, ast.Constant(value))]
    return ast.unparse(tree)


def with_texts(call: str, change: Callable[[str], str]) -> str:
    """Return a call with every text in it changed."""
    tree = _parsed(call)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = change(node.value)
    return ast.unparse(tree)


def _parsed(call: str) -> ast.Call:
    tree = ast.parse(call, mode="eval").body
    assert isinstance(tree, ast.Call)
    return tree
