"""The file of `--json`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmbc.errors import ConfigError


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
