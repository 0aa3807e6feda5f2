"""The study file: a configuration, the arms that change it, and the protocol they are compared under."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from mmbc.config import LARGEST_SEED, MANY, Config, DataConfig, Later, Section, apply_changes, digest, flatten, parse
from mmbc.errors import ConfigError, nearest, some
from mmbc.nested import merge
from mmbc.toml import assignment, read_toml

PRESETS = Path(__file__).parent / "presets"
SHARED = ("data.", "run.", "protocol.")
"""Settings that all arms of a study have in common: the same images, processed the same way."""
MEANING = ("model.inputs", "model.fusion")
"""Settings that the questions of the built-in arms are about."""
BASELINE = "logistic"
"""The logistic regression on the clinical columns that every study computes beside its arms."""
CONTRASTS_0_1 = (("concat", "tabular"), ("concat", "image"), ("attention", "concat"))
"""The default contrasts of version 0.1; a study that was begun with them keeps them."""


class Arm(Section):
    """One ablation: the question it answers and its difference from the reference configuration."""

    question: str
    """What the arm answers, in a sentence that the report shows."""
    set: dict[str, Any] = {}
    """Dotted configuration keys and their values in this arm; nested tables are read as dotted keys too."""

    @model_validator(mode="before")
    @classmethod
    def _has_question(cls, values: Any) -> Any:
        if isinstance(values, dict) and "question" not in values:
            raise ValueError('write the question that the arm answers: question = "Does a smaller classifier do?"')
        return values

    @field_validator("set", mode="before")
    @classmethod
    def _dotted(cls, value: Any) -> Any:
        return flatten(value) if isinstance(value, dict) else value

    @property
    def differences(self) -> str:
        """The arm's differences from the reference configuration, in words."""
        return ", ".join(f"{key} = {value}" for key, value in self.set.items()) or "none: the reference configuration"


class Protocol(Section):
    """How the arms are compared: splits, repeats, seeds, contrasts."""

    folds: int = Field(5, ge=2, le=1000)
    """Folds of the cross-validation."""
    holdout: float | None = Field(None, gt=0, lt=1)
    """Share of the patients in the test part of a single split; replaces the folds."""
    fold_column: str = ""
    """A column of the cohort whose every value is one test fold (a fold number, a site, a year); replaces the folds."""
    test_where: str = ""
    """Which rows are the locked test part of a single split, for example `site == 'B'`; replaces the folds."""
    repeats: int = Field(1, ge=1, le=1000)
    """Repeats of the cross-validation, each with folds of its own."""
    seeds: int = Field(1, ge=1, le=1000)
    """Number of training seeds, on the same folds; which ones `first_seed` says."""
    validation: float = Field(0.2, gt=0, lt=1)
    """Share of each training part's patients that early stopping, calibration and thresholds use."""
    split_seed: int = Field(0, ge=0, le=LARGEST_SEED)
    """Of the splits of the patients."""
    first_seed: Annotated[int, Later("0.2.0")] = Field(0, ge=0, le=LARGEST_SEED)
    """The first of the training seeds; `--seed` sets it together with the seeds of splits and search."""
    prevalence_tolerance: float = Field(0.1, gt=0, le=1)
    """Largest difference of a part's share of positive patients from the cohort's, beyond rounding."""
    contrasts: tuple[tuple[str, str], ...] = (("concat", BASELINE), *CONTRASTS_0_1)
    """Pairs of arms whose difference (first minus second) is declared before the run; `logistic` is the baseline, the
    better clinical model as a rule, against which it is said what images add."""
    pool_views: Literal["mean", "max"] = "mean"
    """How the logits of a breast's views become the breast's."""
    pool_breasts: Literal["max", "mean", "noisy-or"] = "max"
    """How the logits of a patient's breasts become the patient's; `noisy-or` (1 minus the product of 1 minus the
    probabilities) needs labels per breast."""
    delta: float = Field(0.02, gt=0, le=0.5)
    """Half width of the region of practical equivalence, in AUC."""
    prevalence: float | None = Field(None, gt=0, lt=1)
    """Share of positives among the people the model is meant for; predictive values and net benefit are given there,
    and not at all without it, because a cohort's own share is that of its sampling."""
    thresholds: Annotated[tuple[float, float] | None, Later("0.2.0", counts=False)] = None
    """Lowest and highest probability from which people would reasonably be recalled: the range of the decision curves;
    without it a quarter to 20 times the prevalence, at most 0.5."""
    subgroups: tuple[str, ...] = ()
    """Columns to report subgroups by; empty for age, density, view and site where the cohort has them."""

    @field_validator("contrasts")
    @classmethod
    def _pairs(cls, pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        seen: set[frozenset[str]] = set()
        for first, second in pairs:
            if first == second:
                raise ValueError(f"{first!r} is contrasted with itself")
            if frozenset((first, second)) in seen:
                raise ValueError(f"{first!r} and {second!r} are contrasted twice; Holm would count the pair twice")
            seen.add(frozenset((first, second)))
        return pairs

    @field_validator("thresholds")
    @classmethod
    def _ascending(cls, ends: tuple[float, float] | None) -> tuple[float, float] | None:
        if ends is not None and not 0 < ends[0] < ends[1] < 1:
            raise ValueError("two probabilities, the lower first, for example [0.01, 0.2]")
        return ends

    @model_validator(mode="after")
    def _one_way_to_split(self) -> Self:
        ways = {"holdout": self.holdout is not None, "fold_column": self.fold_column, "test_where": self.test_where}
        chosen = [name for name, is_set in ways.items() if is_set]
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)} are two ways to split; choose one")
        if self.repeats > 1 and (self.fold_column or self.test_where):
            raise ValueError("predefined folds and test parts exist once; use repeats = 1 (--repeats 1)")
        return self


class Search(Section):
    """A search of hyper-parameters: where, how long and by which rules; declared before it begins."""

    mode: Literal["nested", "flat"] = "nested"
    """`nested`: inside the training part of every fold, on inner folds of its own, so that the test parts estimate the
    whole procedure. `flat`: once for each arm, on the validation parts of the study's folds, whose patients other folds
    test."""
    trials: int = Field(50, ge=1, le=MANY)
    """Trials of every arm in every fold; the pruned ones count, the ones that were lost with their process do not."""
    inner_folds: int = Field(3, ge=2, le=1000)
    """Parts that a nested search divides each training part into, by patient."""
    space: dict[str, Any] = {}
    """Dotted configuration keys and what is tried of each (see study.design.search_space)."""
    pruner: Literal["median", "halving", "none"] = "median"
    """How a trial is given up: below the median of others at the same epoch, by successive halving, or never."""
    select: Literal["best", "one-se"] = "best"
    """The trial with the best mean, or the cheapest one within a standard error of it."""
    whole: bool = True
    """Whether the same search is made on the whole cohort too, for `best.toml`."""
    seed: int = Field(0, ge=0, le=LARGEST_SEED)
    """Of what the sampler draws."""


class Tuned(Section):
    """On which data a file's hyper-parameters were searched, as `best.toml` says it."""

    study: str
    """Name of the study that searched."""
    cohort: str
    """Name of its cohort."""
    cohort_digest: str
    """Digest of its cohort."""
    arms: tuple[str, ...]
    """The arms that were searched; `--ablation all` means these."""
    patients: tuple[str, ...]
    """A digest of each patient of that cohort (see study.design.tuning_provenance)."""


class Audit(Section):
    """What the audit of a study is beside the program's own checks."""

    checks: tuple[str, ...] = ()
    """Python files with checks of the user's own, relative to the study file (see study.checks.user_checks)."""

    @field_validator("checks", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class StudyFile(Config):
    """Everything a study is, but its data: configuration, arms, protocol; and, of a search, where it looks."""

    preset: str = "default"
    arms: dict[str, Arm]
    protocol: Protocol = Protocol()
    search: Search | None = None
    """What a study of `study.search` searches; None for a study of fixed settings."""
    tuned: Tuned | None = None
    """Where the settings come from, when they were searched."""
    audit: Audit | None = None
    """Checks of the user's own; they change no number of a study."""
    names: Annotated[dict[str, str], Later("0.2.0", counts=False)] = {}
    """What reports call arms, by their names; of arms that are not named here the built-in names hold."""

    @model_validator(mode="after")
    def _names(self) -> Self:
        for name in self.arms:
            if not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"arm {name!r}: a name has letters, digits, '-' and '_' alone")
            if name == BASELINE:
                raise ValueError(f"arm {name!r}: this name is taken by the baseline")
        if len(set(self.names.values())) < len(self.names):
            raise ValueError("names: two arms have the same name, which a report could not tell apart")
        if self.protocol.pool_breasts == "noisy-or" and self.data.label_level != "breast":
            raise ValueError("protocol.pool_breasts = 'noisy-or' needs data.label_level = 'breast'")
        return self

    def __repr__(self) -> str:
        return f"<settings: preset {self.preset!r}; arms {', '.join(self.arms)}; as TOML: mmbc.config.to_toml>"

    __str__ = __repr__

    @property
    def unit(self) -> Literal["patient", "breast"]:
        """The primary unit of analysis: the one the label belongs to (docs/explanation/estimands.md)."""
        return "breast" if self.data.label_level == "breast" else "patient"

    @property
    def config(self) -> Config:
        """The reference configuration alone."""
        return Config(**{name: getattr(self, name) for name in Config.model_fields})

    @property
    def shares(self) -> dict[str, str]:
        """The arms that are another arm, trained on a share of its patients: name -> that arm."""
        configs = {name: self.arm_config(name) for name in self.arms}
        whole = {digest(config): name for name, config in configs.items() if config.train.fraction == 1}
        alike = {
            name: whole.get(digest(apply_changes(config, {"train.fraction": 1.0}, f"arm {name}")), "")
            for name, config in configs.items()
            if config.train.fraction < 1
        }
        return {name: other for name, other in alike.items() if other}

    def arm_config(self, name: str) -> Config:
        """Return the configuration of one arm.

        Raises:
            ConfigError: no such arm, or the arm sets a key that does not exist or that all arms share.
        """
        if name not in self.arms:
            raise ConfigError(f"unknown ablation {name!r}; {nearest(name, self.arms)}")
        shared = [key for key in self.arms[name].set if key.startswith(SHARED) and key != "data.missing_indicators"]
        if shared:
            raise ConfigError(
                f"arm {name}: sets {some(shared)}, which all arms of a study have in common; make it a study of its own"
                f" (--set {shared[0]}=... --name ...)"
            )
        return apply_changes(self.config, self.arms[name].set, f"arm {name}")


def presets() -> list[str]:
    """Return the names of the built-in studies."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def load(
    preset: str = "default",
    file: Path | None = None,
    assignments: Sequence[str] = (),
    base: dict[str, Any] | None = None,
) -> StudyFile:
    """Build a study file: the default under a preset (or another base), under the user's file, under `--set` values.

    Every arm's configuration is validated here, so that a misspelt key stops the command before any work.

    Raises:
        ConfigError: names the source, the key and the nearest known one; a contrast of an arm that does not exist.
    """
    if preset not in presets():
        raise ConfigError(f"unknown preset {preset!r}; {nearest(preset, presets())}")
    values = merge(read_toml(PRESETS / "default.toml") if base is None else base, {"preset": preset})
    sources = [(f"preset {preset}", read_toml(PRESETS / f"{preset}.toml"))] if base is None else []
    if file is not None:
        sources.append((str(file), _with_places(read_toml(file), file.parent)))
    sources += [(f"--set {text}", assignment(text)) for text in assignments]
    steps = [("preset default", values)]
    for where, change in sources:
        steps.append((where, merge(steps[-1][1], change)))
    try:
        study = parse(StudyFile, steps[-1][1], "study")
    except ConfigError:
        for where, values in steps:  # the source that brought the fault in is the one to name
            parse(StudyFile, values, where)
        raise
    _check_questions(study, steps[0][1].get("arms", {}), sources[base is None :])  # the first is the preset
    for name in study.arms:
        study.arm_config(name)
    known = [*study.arms, BASELINE]
    for arm in (arm for pair in study.protocol.contrasts for arm in pair if arm not in known):
        raise ConfigError(f"protocol.contrasts: there is no arm {arm!r}; {nearest(arm, known)}")
    return study


def _check_questions(study: StudyFile, built_in: dict[str, Any], sources: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Refuse a built-in arm that was given other inputs or another fusion under its old question.

    Raises:
        ConfigError: names the source and the arm.
    """
    changes = [(where, name, arm) for where, change in sources for name, arm in change.get("arms", {}).items()]
    asked = {name for _, name, arm in changes if "question" in arm}
    for where, name, _ in changes:
        if name not in built_in or name in asked:
            continue
        was, now = flatten(built_in[name].get("set", {})), study.arms[name].set
        if other := [key for key in MEANING if was.get(key) != now.get(key)]:
            raise ConfigError(
                f"{where}: arm {name!r} has another {some(other)} than the built-in arm, but its question"
                f" ({study.arms[name].question!r}); write its own question, or give the arm another name"
            )


def _with_places(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the content of a study file in whose folder the files lie that it names, with their whole paths."""
    audit = values.get("audit")
    names = audit.get("checks", []) if isinstance(audit, dict) else []
    names = [names] if isinstance(names, str) else names
    if not names or not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return values  # what cannot be is refused with everything else
    return merge(values, {"audit": {"checks": [str((folder / name).resolve()) for name in names]}})


def named(text: str | None) -> list[str] | None:
    """Read `Benign,Normal`."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def column_roles(text: str | None) -> Iterable[tuple[str, str]]:
    """Read `patient_id=PatID,label=Outcome`.

    Raises:
        ConfigError: a pair without `=`.
    """
    for pair in named(text) or []:
        key, equals, column = pair.partition("=")
        if not equals or not key.strip() or not column.strip():
            raise ConfigError(f"--columns {pair}: write it as role=column, for example --columns patient_id=PatID")
        yield key.strip(), column.strip()


def data_settings(file: Path | None, assignments: Sequence[str]) -> DataConfig:
    """Return how a table is read, from a study file and `--set` values, before its arms are known."""
    values: dict[str, Any] = {}
    for where, change in [
        *([(str(file), read_toml(file))] if file is not None else []),
        *((f"--set {text}", assignment(text)) for text in assignments),
    ]:
        section = change.get("data", {})
        if not isinstance(section, Mapping):
            raise ConfigError(f"{where}: data: is a section with keys, as in data.positive (got {section!r})")
        values = merge(values, section)
        parse(DataConfig, values, f"{where}: data")
    return parse(DataConfig, values, "data")


def chosen_arms(study: StudyFile, names: str) -> tuple[str, ...]:
    """Read `--ablation`: `all`, or names separated by commas, in the order of the study file.

    Of a file with searched settings `all` are the arms that were searched: one that was not would be compared unfairly.

    Raises:
        ConfigError: an unknown name, with the known ones.
    """
    known = list(study.arms) if study.tuned is None else [arm for arm in study.arms if arm in study.tuned.arms]
    asked = known if names == "all" else [name.strip() for name in names.split(",") if name.strip()]
    for name in asked:
        study.arm_config(name)
    if not asked:
        raise ConfigError(f"--ablation names no arm; known: all, {', '.join(study.arms)}")
    return tuple(name for name in study.arms if name in asked)
