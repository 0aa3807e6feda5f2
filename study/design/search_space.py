"""A search space: a configuration with holes, read from TOML.

[train]
lr = { log = [1e-6, 1e-3] }                    # evenly on the logarithmic scale
[model]
dropout = { range = [0.3, 0.7] }               # evenly
fine_tuned_blocks = { int = [0, 4] }           # whole numbers, both ends included
tabular_hidden = { choice = [[64, 32], [32]] } # any of these values
[train]
max_epochs = 30                                # no hole: the same in every trial
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mmbc.config import Config, apply_changes, flatten, known_keys
from mmbc.errors import ConfigError, nearest, some
from mmbc.toml import read_toml
from study.design.study_file import SHARED, StudyFile

SPACES = Path(__file__).parent / "spaces"
KINDS = ("log", "range", "int", "choice")
KEYS = frozenset(key for key in known_keys(Config) if not key.startswith("data."))
IMAGE_KEYS = ("model.fine_tuned_blocks", "model.backbone", "model.weights", "model.gradient_checkpointing", "train.lr")
"""Settings that mean nothing to an arm without images."""


class Trial(Protocol):
    """What suggests values: an Optuna trial, or one whose values are fixed."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Return a number between two others."""
        ...

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """Return a whole number between two others."""
        ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of some values."""
        ...


@dataclass(frozen=True)
class Hole:
    """One setting that is searched.

    Attributes:
        key: its dotted name, which is the parameter's name in Optuna too.
        kind: one of `KINDS`.
        values: both ends, or the choices.
    """

    key: str
    kind: str
    values: tuple[Any, ...]

    def suggest(self, trial: Trial) -> Any:
        """Return the value a trial gets, as the configuration takes it."""
        if self.kind == "choice":
            return self.decoded(trial.suggest_categorical(self.key, [self.encoded(value) for value in self.values]))
        low, high = self.values
        if self.kind == "int":
            return trial.suggest_int(self.key, low, high)
        return trial.suggest_float(self.key, low, high, log=self.kind == "log")

    @property
    def _is_text(self) -> bool:
        """Whether the choices are lists, which Optuna keeps as JSON text."""
        return any(isinstance(value, list | dict) for value in self.values)

    def encoded(self, value: Any) -> Any:
        """Return a value of the configuration as Optuna keeps it."""
        return json.dumps(value) if self.kind == "choice" and self._is_text else value

    def decoded(self, value: Any) -> Any:
        """Return what Optuna keeps as the configuration takes it."""
        return json.loads(value) if self.kind == "choice" and self._is_text else value

    def contains(self, value: Any) -> bool:
        """Whether a value lies in the hole."""
        if self.kind == "choice":
            return value in self.values
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.values[0] <= value <= self.values[1]

    def between(self) -> tuple[float, ...]:
        """Return a value inside a hole of any number, which whole ends do not stand for."""
        return (self.values[0] + 0.317 * (self.values[1] - self.values[0]),) if self.kind in ("log", "range") else ()

    def described(self) -> str:
        """Return `1e-06 to 0.001 (log)`, or the choices."""
        if self.kind == "choice":
            return ", ".join(json.dumps(value) for value in self.values)
        low, high = self.values
        return f"{low:g} to {high:g}" + {"log": " (log scale)", "int": " (whole numbers)"}.get(self.kind, "")


def read_space(path: Path | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a space file (by default the one that comes along).

    Returns:
        The plain values, and the holes as they stand in the file, both by dotted key.

    Raises:
        ConfigError: the file cannot be read, or has no hole.
    """
    source = path or SPACES / "default.toml"
    plain: dict[str, Any] = {}
    holes: dict[str, Any] = {}
    _walk(read_toml(source), "", plain, holes)
    if not holes:
        raise ConfigError(f'{source}: has no hole; write one like "train.lr = {{ log = [1e-6, 1e-3] }}"')
    return plain, holes


def _walk(values: Mapping[str, Any], prefix: str, plain: dict[str, Any], holes: dict[str, Any]) -> None:
    for key, value in values.items():
        # a setting that takes no table has one only where a hole was meant, perhaps under a misspelt kind
        if isinstance(value, Mapping) and (set(value) & set(KINDS) or prefix + key in KEYS):
            holes[prefix + key] = dict(value)
        elif isinstance(value, Mapping):
            _walk(value, f"{prefix}{key}.", plain, holes)
        else:
            plain[prefix + key] = value


def holes_of(study: StudyFile) -> list[Hole]:
    """Return the holes of a study's space, each checked at its ends (or choices) against the configuration.

    Raises:
        ConfigError: an unknown key, one that all arms share, a malformed hole, or a value the configuration refuses.
    """
    found = parsed(study.search.space if study.search is not None else {})
    for hole in found:
        key = hole.key
        if key not in known_keys(Config):
            raise ConfigError(f"search space: unknown key {key!r}; {nearest(key, known_keys(Config))}")
        if key.startswith(SHARED) and key != "data.missing_indicators":
            raise ConfigError(
                f"search space: {key} is the same for everything in a study (rows, pixels, machine) and cannot be"
                f" searched; set it with --set {key}=..."
            )
        for value in (*hole.values, *hole.between()):
            apply_changes(
                study.config, {key: value}, f"search space: {key} = {value!r} (whole numbers are searched with int)"
            )
    return found


def parsed(space: Mapping[str, Any]) -> list[Hole]:
    """Return the holes of a declared space, whose tables may be nested, without a look at the configuration.

    Raises:
        ConfigError: a malformed hole, or something that is none.
    """
    plain: dict[str, Any] = {}
    holes: dict[str, Any] = {}
    _walk(space, "", plain, holes)
    if plain:
        raise ConfigError(f"search space: no holes: {some(plain)}; a hole is one of {', '.join(KINDS)}")
    return [_hole(key, content) for key, content in holes.items()]


def _hole(key: str, content: Mapping[str, Any]) -> Hole:
    wrong = f"search space: {key} = {dict(content)!r}: "
    if len(content) != 1 or set(content) - set(KINDS):
        raise ConfigError(f"{wrong}write one of {', '.join(KINDS)}, for example {{ range = [0.3, 0.7] }}")
    ((kind, values),) = content.items()
    if not isinstance(values, list | tuple) or len(values) < 2:
        raise ConfigError(f"{wrong}a list of two or more values is needed")
    if kind == "choice":
        if len({json.dumps(value) for value in values}) < len(values):
            raise ConfigError(f"{wrong}a choice is named twice")
        return Hole(key, kind, tuple(values))
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    if len(values) != 2 or not numbers or not values[0] < values[1] or (kind == "log" and values[0] <= 0):
        raise ConfigError(f"{wrong}two numbers are needed, the lower first" + (", above 0" if kind == "log" else ""))
    if kind == "int" and not all(isinstance(value, int) for value in values):
        raise ConfigError(f"{wrong}int takes whole numbers")
    return Hole(key, kind, tuple(values))


def holes_of_arm(study: StudyFile, arm: str, holes: Sequence[Hole]) -> list[Hole]:
    """Return the holes that an arm is searched by: those it neither sets itself nor is indifferent to.

    Raises:
        ConfigError: none is left; or the arm's own configuration lies outside a hole, though it is to be the first
            trial.
    """
    config = study.arm_config(arm)
    free = [hole for hole in holes if hole.key not in study.arms[arm].set]
    kept = [hole for hole in free if matters(hole.key, config, {other.key for other in free})]
    if not kept:
        raise ConfigError(
            f"arm {arm}: nothing of the search space changes it; leave it out, or search one of its settings"
        )
    for hole in kept:
        value = flatten(config)[hole.key]
        if not hole.contains(value):
            raise ConfigError(
                f"arm {arm}: {hole.key} is {value!r} in the reference configuration, which is the first trial, but the"
                f" space has {hole.described()}; widen the hole, or set another reference (--set {hole.key}=...)"
            )
        for value in hole.values:
            apply_changes(config, {hole.key: value}, f"arm {arm}, search space: {hole.key} = {value!r}")
    return kept


def matters(key: str, config: Config, searched: set[str]) -> bool:
    """Whether a setting changes what a configuration trains; `searched` are all keys that vary beside it."""
    if key == "train.lr":
        return config.uses_images and (config.model.fine_tuned_blocks > 0 or "model.fine_tuned_blocks" in searched)
    if key in IMAGE_KEYS or key.startswith("augment."):
        return config.uses_images
    if key == "model.tabular_hidden" or key == "data.missing_indicators":
        return "tabular" in config.model.inputs
    if key.startswith("model.attention"):
        return config.model.fusion == "attention"
    return True


def reference(study: StudyFile, arm: str, holes: Sequence[Hole]) -> dict[str, Any]:
    """Return the arm's own values of the holes, as Optuna keeps them: the first trial."""
    values = flatten(study.arm_config(arm))
    return {hole.key: hole.encoded(values[hole.key]) for hole in holes}


def suggested(trial: Trial, holes: Sequence[Hole]) -> dict[str, Any]:
    """Return dotted keys and the values that a trial gets."""
    return {hole.key: hole.suggest(trial) for hole in holes}


def heaviest(study: StudyFile, arm: str, holes: Sequence[Hole]) -> Config:
    """Return the configuration of the space that takes the most memory: most fine-tuned blocks, largest batch."""
    most = {hole.key: max(hole.values) for hole in holes if hole.key in ("model.fine_tuned_blocks", "train.batch_size")}
    return apply_changes(study.arm_config(arm), most, f"arm {arm}")
