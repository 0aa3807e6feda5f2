"""What the commands have in common at their end: an error that the user can mend, and `--json`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from mmbc.errors import ConfigError, MmbcError


def show_error(console: Console, error: MmbcError) -> None:
    """Print an error: its kind, and what to do about it."""
    console.print(f"[bold red]error[/] {type(error).__name__}:", highlight=False)
    console.print(str(error), highlight=False, markup=False, soft_wrap=True)


def write_facts(file: Path | None, facts: Mapping[str, Any]) -> None:
    """Write `--json FILE`: what was printed, for machines; nothing without a file.

    Raises:
        ConfigError: the file cannot be written.
    """
    if file is None:
        return
    try:
        file.write_text(json.dumps(facts, indent=1, default=float) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--json {file}: {error.strerror}") from None
