"""Commands that messages print: what is filled in is quoted, so that they can be pasted."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MODULES = sorted([*(ROOT / "mmbc").rglob("*.py"), *(ROOT / "study").rglob("*.py")])
MARKS = ("python -m study", "python -m mmbc", "pip install")
SAFE = {"name", "kind", "DRIVERS[kind]"}
"""Names from lists of the program itself."""


def filled_in(path):
    """Yield what is filled into commands of a file's messages: (line, expression)."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.JoinedStr):
            continue
        begun = False
        for part in node.values:
            if isinstance(part, ast.Constant):
                begun = begun or any(mark in part.value for mark in MARKS)
            elif begun:
                yield node.lineno, ast.unparse(part.value)


@pytest.mark.parametrize("path", [path for path in MODULES if any(filled_in(path))], ids=lambda path: path.stem)
def test_what_is_filled_into_a_command_is_quoted(path):
    unquoted = [f"{line}: {text}" for line, text in filled_in(path) if "shlex." not in text and text not in SAFE]
    assert not unquoted or path.parts[-2:] == ("study", "__init__.py")


def test_some_commands_are_found():
    assert sum(bool(list(filled_in(path))) for path in MODULES) >= 2
