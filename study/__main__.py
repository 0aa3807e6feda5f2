"""All commands in one: `python -m study COMMAND`, installed as `mmbc COMMAND`. Only the command asked for is loaded."""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from mmbc.errors import nearest

COMMANDS = (
    "cv",
    "search",
    "report",
    "verify",
    "compare",
    "audit",
    "ledger",
    "precision",
    "cache",
    "clean",
    "bench",
    "example",
)
"""Modules of this package, in the order in which `--help` lists them."""


class Commands(TyperGroup):
    """The commands by name."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command."""
        if cmd_name not in COMMANDS:
            ctx.fail(f"there is no command {cmd_name!r}; {nearest(cmd_name, COMMANDS)}")
        command = get_command(import_module(f"study.{cmd_name}").app)
        command.name = cmd_name
        return command


app = typer.Typer(cls=Commands, add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@app.callback()
def main() -> None:
    """Find out what each part of a multi-modal breast-cancer model contributes, and how sure that is."""


if __name__ == "__main__":
    app()
