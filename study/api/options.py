"""From keyword arguments to the options of a command: each option is declared once, in `study.console.options`."""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from mmbc.errors import ConfigError, nearest

Options = TypeVar("Options")
NOT_IN_PYTHON = ("config", "set_", "json_file")
"""Options that the argument `settings` stands for, or that only a terminal needs."""


def options_of(group: type[Options], arguments: Mapping[str, Any], *, settings: Any = None) -> Options:
    """Return the options of a command.

    Args:
        group: the dataclass of its options.
        arguments: options by name, `-` written as `_`; lists and tuples stand for words separated by commas.
        settings: a study file, or a mapping of dotted keys and values, for example `{"train.lr": 1e-4}`.

    Raises:
        ConfigError: an argument that there is not, with the nearest one, or settings of another kind.
    """
    known = {option.name: option for option in fields(group) if option.name not in NOT_IN_PYTHON}  # type: ignore[arg-type]
    for name in arguments:
        if name not in known:
            raise ConfigError(f"there is no argument {name!r}; {nearest(name, known)}")
    values = {name: _typed(name, value, known[name].default) for name, value in arguments.items() if value is not None}
    config, assignments = settings_of(settings)
    make: Any = group
    return make(**values, config=config, set_=assignments)


def _typed(name: str, value: Any, default: Any) -> Any:
    """Return a value as the command line would have it."""
    if isinstance(default, Path):
        return Path(value)
    if name == "allow_leaky_column":
        return [value] if isinstance(value, str) else list(value)
    if name == "columns" and isinstance(value, Mapping):
        return ",".join(f"{role}={column}" for role, column in value.items())
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value) if name in ("data", "folds") else value


def settings_of(
    settings: Mapping[str, Any] | str | Path | None, more: Mapping[str, Any] | None = None
) -> tuple[Path | None, list[str]]:
    """Return settings as a study file and texts `key=value`, as `--config` and `--set` take them.

    Raises:
        ConfigError: settings of another kind.
    """
    if settings is not None and not isinstance(settings, Mapping | str | Path):
        raise ConfigError(f"settings: a study file or a mapping of dotted keys, not {type(settings).__name__}")
    file = Path(settings) if isinstance(settings, str | Path) else None
    values = {**(settings if isinstance(settings, Mapping) else {}), **(more or {})}
    return file, [f"{key}={json.dumps(value)}" for key, value in values.items()]


def written_call(function: str, data: Any, arguments: Mapping[str, Any]) -> list[str]:
    """Return a call as it may be typed again, for the record of a study."""
    given = {name: value for name, value in arguments.items() if value is not None}
    words = [*([repr(str(data))] if data is not None else []), *(f"{name}={value!r}" for name, value in given.items())]
    return [f"study.{function}({', '.join(words)})"]
