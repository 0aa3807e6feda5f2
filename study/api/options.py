"""From keyword arguments to the options of a command: each option is declared once, in `study.console.options`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from numbers import Integral, Real
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

from mmbc.config import flatten
from mmbc.errors import ConfigError, nearest

Options = TypeVar("Options")
RENAMED = {"ablation": "arms"}
"""Options that are arguments of another name."""

_SETTINGS = 'say settings: a study file, or a mapping such as {"train.lr": 1e-4}'
_WRITTEN = (
    "no report is written here; study.evaluate(...).write(folder, figures=..., with_predictions=...) writes one, and"
    " audit.write(folder) the page of an audit"
)
NOT_IN_PYTHON = {
    "config": _SETTINGS,
    "set": _SETTINGS,
    "set_": _SETTINGS,
    "ablation": "say arms",
    "reports": _WRITTEN,
    "figures": _WRITTEN,
    "with_predictions": _WRITTEN,
    "example_images": _WRITTEN,
    "json": "the frames have what it writes",
    "json_file": "the frames have what it writes",
    "write_plan": "run python -m study.cv (or study.search) --write-plan FILE",
    "dry_run": "it would print the plan and stop; run python -m study.cv (or study.search) --dry-run",
    "describe": "it would show the cohort and stop; run python -m study.cv --describe",
    "write_clean_list": "run python -m study.audit --write-clean-list FILE",
    "dashboard": "run python -m study.search --dashboard",
    "port": "run python -m study.search --dashboard",
}
"""Options of commands that are no arguments, with what to do instead."""

KINDS: dict[Any, tuple[type, str]] = {
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    bool: (bool, "True or False"),
    str: (str, "a text"),
    Path: (str, "a path"),
}
"""Kind of an option -> the values it takes, in words."""


def options_of(group: type[Options], arguments: Mapping[str, Any], *, settings: Any = None) -> Options:
    """Return the options of a command.

    Args:
        group: the dataclass of its options.
        arguments: options by name, `-` written as `_`; lists and tuples stand for words separated by commas.
        settings: a study file, or a mapping of dotted keys and values, for example `{"train.lr": 1e-4}`.

    Raises:
        ConfigError: an argument that there is not, with the nearest one; a value that the command would refuse; or
            settings of another kind.
    """
    hints = get_type_hints(group, include_extras=True)
    names = [option.name for option in fields(group)]  # type: ignore[arg-type]
    known = {RENAMED.get(name, name): name for name in names if name in RENAMED or name not in NOT_IN_PYTHON}
    for name in arguments:
        if name in NOT_IN_PYTHON:
            raise ConfigError(f"{name} is not an argument here: {NOT_IN_PYTHON[name]}")
        if name not in known:
            raise ConfigError(f"there is no argument {name!r}; {nearest(name, known)}")
    given = {name: value for name, value in arguments.items() if value is not None}
    values = {known[name]: checked(name, _typed(name, value), hints[known[name]]) for name, value in given.items()}
    config, assignments = settings_of(settings)
    make: Any = group
    return make(**values, config=config, set_=assignments or None)


def _typed(name: str, value: Any) -> Any:
    """Return a value as the command line would have it."""
    if name == "data" and not isinstance(value, str | Path):
        raise ConfigError(
            f"data: a folder of a cohort or a file with the table of its images, not {type(value).__name__}; write a"
            ' table to a file first, for example with frame.to_csv("images.csv", index=False)'
        )
    if name == "allow_leaky_column":
        return [value] if isinstance(value, str) else list(value)
    if name == "columns":
        return column_roles(value)
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return value


def column_roles(value: Any) -> str:
    """Return `{"label": "Outcome"}` as `--columns` has it.

    Raises:
        ConfigError: neither a mapping nor text.
    """
    if isinstance(value, Mapping):
        return ",".join(f"{role}={column}" for role, column in value.items())
    if isinstance(value, str):
        return value
    raise ConfigError('columns: write the roles as a mapping, for example columns={"label": "Outcome"}')


def checked(name: str, value: Any, hint: Any) -> Any:
    """Return a value as an option has it.

    Args:
        name: of the argument.
        value: as given.
        hint: `Annotated[kind, option]`, as the option is declared.

    Raises:
        ConfigError: another kind of value, or one outside the range that the option declares.
    """
    declared, option = get_args(hint)[:2]
    kind = next(one for one in (get_args(declared) or (declared,)) if one is not NoneType)
    if kind not in KINDS:
        return value
    value = value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value
    if kind in (str, Path) and isinstance(value, Path | int) and not isinstance(value, bool):
        value = str(value)
    accepted, words = KINDS[kind]
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{name}={value!r}: write {words}")
    if (option.min is not None and value < option.min) or (option.max is not None and value > option.max):
        limits = f"at least {option.min}" if option.max is None else f"from {option.min} to {option.max}"
        raise ConfigError(f"{name}={value!r}: write {words}, {limits}")
    return kind(value)


def settings_of(
    settings: Mapping[str, Any] | str | Path | None, more: Mapping[str, Any] | None = None
) -> tuple[Path | None, list[str]]:
    """Return settings as a study file and texts `key=value`, as `--config` and `--set` take them.

    Raises:
        ConfigError: settings of another kind, or a value that no study file has.
    """
    if settings is not None and not isinstance(settings, Mapping | str | Path):
        raise ConfigError(f"settings: a study file or a mapping of dotted keys, not {type(settings).__name__}")
    file = Path(settings) if isinstance(settings, str | Path) else None
    values = {**(flatten(settings) if isinstance(settings, Mapping) else {}), **(more or {})}
    return file, [f"{key}={_toml(key, value)}" for key, value in values.items()]


def _toml(key: str, value: Any) -> str:
    if value is None:
        raise ConfigError(f"settings: {key}: None is not a value; leave the key out for the default")
    try:
        return json.dumps(value, ensure_ascii=False, default=_plain)
    except (TypeError, AttributeError):
        raise ConfigError(f"settings: {key}: write a number, a text or a list, not {type(value).__name__}") from None


def _plain(value: Any) -> Any:
    """Return a number or array of numpy, or a path, as JSON has it."""
    return str(value) if isinstance(value, Path) else value.tolist()


def pairs_of(contrasts: Any) -> list[tuple[str, str]]:
    """Return contrasts as pairs of arms.

    Raises:
        ConfigError: anything but pairs of names.
    """
    several = isinstance(contrasts, Sequence) and not isinstance(contrasts, str) and len(contrasts)
    pairs = [tuple(pair) if isinstance(pair, list | tuple) else pair for pair in contrasts] if several else []
    for pair in pairs or [None]:
        if not (isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(arm, str) for arm in pair)):
            raise ConfigError(
                f'contrasts={contrasts!r}: write a list of pairs of arms, for example [("fusion", "image")], which is'
                " fusion minus image"
            )
    return pairs
