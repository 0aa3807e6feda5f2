"""The page of the settings: every key of a study file with its values, default and meaning."""

import inspect
import json
import typing
from collections.abc import Iterator
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from mmbc.config import Config, Section
from reference_pages.markdown import key, prose, table
from study.design.study_file import PRESETS, Arm, StudyFile, presets

INTRODUCTION = """# Settings

A study file is TOML. `--config FILE` lays it over a preset; `--set key=value` changes a single key, for example
`--set train.lr=1e-4`. An unknown key is refused, with the nearest known one. `study.toml` in the folder of a study has
all of them as they were used.

The sections `data`, `augment`, `model`, `train` and `run` are the configuration of one model. An arm may change any of
them but `data` and `run`, which all arms of a study have in common. `protocol` says how arms are compared.
"""
WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "any value", dict: "table"}
LIMITS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def page() -> str:
    """Return the page: a table for each section, the arms, and the presets as they are written."""
    parts = [INTRODUCTION]
    for title, kind in sections():
        parts.append(f"## {title}\n\n{prose(kind.__doc__)}\n\n{table(HEAD, list(rows(kind, title)))}\n")
    parts.append(f"## arms.NAME\n\n{prose(Arm.__doc__)}\n\n{table(HEAD, list(rows(Arm, 'arms.NAME')))}\n")
    own = [row for row in rows(StudyFile, "") if row[0] not in (key("preset"), key("arms"))]
    parts.append(f"## Of the whole study\n\n{table(HEAD, own)}\n")
    parts.append("## Presets\n\nWhat a preset does not name has the default above.\n")
    for name in sorted(presets(), key=lambda name: (name != "default", name)):
        text = (PRESETS / f"{name}.toml").read_text(encoding="utf-8").strip()
        parts.append(f"### {name}\n\n```toml\n{text}\n```\n")
    return "\n".join(parts)


HEAD = ("key", "value", "meaning")


def sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the title and the model of every section of a study file that a user writes."""
    ours = [name for name in StudyFile.model_fields if name not in Config.model_fields]
    for name in [*Config.model_fields, *ours]:
        if (kind := _section_of(StudyFile.model_fields[name].annotation)) is not None:
            yield name, kind
            for below, field in kind.model_fields.items():
                if (nested := _section_of(field.annotation)) is not None:
                    yield f"{name}.{below}", nested


def _section_of(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a field holds, also an optional one."""
    for one in (annotation, *typing.get_args(annotation)):
        if inspect.isclass(one) and issubclass(one, Section):
            return None if typing.get_origin(annotation) is dict else one
    return None


def rows(kind: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    """Yield key, value with default, and meaning of every setting of a section itself."""
    for name, field in kind.model_fields.items():
        if _section_of(field.annotation) is None:
            yield (
                key(f"{prefix}.{name}".removeprefix(".")),
                f"{_values(field)}<br>{_default(field)}",
                field.description or "",
            )


def _values(field: FieldInfo) -> str:
    limits = [f"{words} {limit:g}" for word, words in LIMITS.items() for limit in _limits(field, word)]
    return ", ".join([words_of(field.annotation), *limits])


def _limits(field: FieldInfo, word: str) -> list[float]:
    return [getattr(one, word) for one in field.metadata if getattr(one, word, None) is not None]


def words_of(annotation: Any) -> str:
    """Return what a value may be, in words."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin in (typing.Union, UnionType):
        return " or ".join(words_of(one) for one in inner if one is not NoneType)
    if origin in (tuple, list):
        several = [one for one in inner if one is not Ellipsis]
        return f"list of {words_of(several[0])}" if len(set(several)) == 1 else f"({', '.join(map(words_of, several))})"
    if origin is dict:
        return f"table of {words_of(inner[1])}"
    return WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "default: not set"
    return f"default: `{json.dumps(value.value if isinstance(value, Enum) else value)}`"
