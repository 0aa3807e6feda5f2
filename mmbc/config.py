"""The configuration of one model: typed, frozen, and strict about unknown keys.

It is read from TOML (`mmbc.toml`), changed by dotted keys (`train.lr`) and identified by its digest. The defaults are
the reference configuration; presets and ablations are differences from it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeVar
from unicodedata import normalize

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from mmbc.errors import ConfigError, has_unprintable, nearest
from mmbc.nested import merge, nest, without_none

Modality = Literal["image", "tabular"]
FeatureKind = Literal["numeric", "ordinal", "categorical"]
MANY = 1_000_000
"""More epochs, trials or patients than anybody waits for: a slip of the finger, which would seem to hang."""
LARGEST_SEED = 2**32 - 1
Width = Annotated[int, Field(ge=1, le=65536)]
"""Units of a layer."""


class Section(BaseModel):
    """A frozen group of settings that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _as_declared(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what would pass for a value: true as the number 1, and text that nobody can have typed."""
        kind = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and kind in (int, float, int | None, float | None):
            raise ValueError("write a number")
        if has_unprintable(value):
            raise ValueError("holds a control character, or bytes that are no UTF-8 text")
        return value


@dataclass(frozen=True)
class Later:
    """Mark of a setting that the first studies did not have: `unit: Annotated[str, Later("0.2.0")] = "image"`.

    With its default, which has to mean what was done before there was a choice, it is no part of any digest: studies
    of older versions of the program are continued. A new setting without the mark would orphan all of them.

    Attributes:
        version: of the program that first had it.
        counts: False for a name that reports use and that changes nothing: it is no part of any digest.
    """

    version: str
    counts: bool = True


class PhantomConfig(Section):
    """The synthetic cohort (`--data phantom`): number of patients and strength of each planted signal."""

    n_patients: int = Field(120, ge=4, le=MANY)
    """Number of patients."""
    prevalence: float = Field(0.4, gt=0, lt=1)
    """Share of patients with cancer."""
    seed: int = Field(7, ge=0, le=LARGEST_SEED)
    """Another seed, other patients."""
    height: int = Field(192, ge=32, le=4096)
    """Height of the rendered images in pixels; the width is three quarters of it."""
    image_strength: float = Field(1.0, ge=0, le=1000)
    """Contrast of the lesions in cancers; 0 draws none."""
    table_strength: float = Field(1.0, ge=0, le=1000)
    """How strongly age and density raise the log odds of cancer."""
    interaction_strength: float = Field(1.0, ge=0, le=1000)
    """How strongly a texture seen in the image raises the log odds in older and lowers it in younger women."""


class DataConfig(Section):
    """Which rows are positive, which clinical columns are used, and how images are prepared."""

    positive: tuple[str, ...] = ()
    """The classes labelled 1; empty for the cohort's own (Cancer in Mini-DDSM, 1 or true in a manifest)."""
    negative: tuple[str, ...] = ()
    """The classes labelled 0; empty for every other one. Rows of neither are left out and counted."""
    label_level: Literal["case", "breast"] = "case"
    """The unit a label belongs to. With `breast` the unit of analysis is the breast, and the opposite breast of a
    positive case is negative (see mmbc.data.tables.labels)."""
    conflicts: Annotated[Literal["stop", "any", "exclude"], Later("0.2.0")] = "stop"
    """What happens where labels differ within a case (a breast): `stop` refuses, `any` makes it positive if any of its
    images is, `exclude` leaves such breasts and identical images with both labels out (see
    mmbc.data.tables.contradictions)."""
    columns: dict[str, str] = {}
    """For a manifest: the roles of its columns, for example `patient_id = "PatID"`."""
    spellings: Annotated[Literal["stop", "merge", "distinct"], Later("0.2.0")] = "stop"
    """Patient keys that differ in spelling alone (`P01` and `p01`, `123` and `123.0`) stop the run, are merged into one
    patient, or stay distinct ones."""
    features: tuple[str, ...] = ()
    """The clinical columns to use; empty for all that qualify."""
    feature_kinds: dict[str, FeatureKind | Literal["skip"] | tuple[str, ...]] = {}
    """Kinds of clinical columns in place of the recognised ones; `skip` leaves one out, a list of values in ascending
    order makes an ordinal column of words."""
    feature_names: Annotated[dict[str, str], Later("0.2.0", counts=False)] = {}
    """What tables call clinical columns, with their units: `age = "Age, years"`; others keep the name of the column."""
    missing_values: tuple[str, ...] = ()
    """For a manifest: values that mean 'not known' (`age=999`: in that column), beside empty, NA, null and '-'."""
    real_values: Annotated[tuple[str, ...], Later("0.2.0")] = ()
    """Values that look like 'not known' or like another spelling, but are real (`age=0`: in that column)."""
    units: Annotated[tuple[str, ...], Later("0.2.0")] = ()
    """Units that are taken off the numbers of a column (`age=y`: 65 y is 65); nothing is converted."""
    patient_columns: Annotated[tuple[str, ...], Later("0.2.0")] = ()
    """Clinical columns of the patient as a whole: with labels per breast their blanks are filled from the other breast
    too (see mmbc.data.persons)."""
    image_root: str = ""
    """For a manifest: folder the images are relative to; empty for the manifest's own. With `/**` at its end, or as
    `**`, images are looked for in the folders below it too."""
    encoding: Annotated[str, Later("0.2.0")] = ""
    """Encoding of a text file that is not UTF-8, for example `cp1252`; empty for UTF-8, or what the file's own mark
    says."""
    sheet: str = ""
    """For an Excel manifest: the sheet; empty for the only one that holds a table."""
    decimal_mark: Annotated[Literal["", ".", ","], Later("0.2.0")] = ""
    """For a manifest: the decimal mark of all clinical columns; the other mark, blanks and apostrophes then part
    thousands. Empty: told from each column, and doubtful ones are an error."""
    outlines: Literal["sham", "inpaint", "keep"] = "sham"
    """Treatment of lesion outlines that are burned into the pixels (see mmbc.data.images.outlines)."""
    image_size: int = Field(224, ge=32, le=65536)
    """Side of the square network input in pixels."""
    image_name: Annotated[str, Later("0.2.0", counts=False)] = ""
    """What reports call the images, in the plural, for example `ultrasound images`; empty for `mammograms` in the
    built-in cohorts and `images` in one of your own."""
    resize: Literal["letterbox", "stretch"] = "letterbox"
    """How the image becomes a square: with borders that keep its shape, or stretched."""
    crop: Literal["none", "breast"] = "none"
    """Whether the image is cut to the breast before."""
    missing_indicators: bool = False
    """Add a 0/1 column for every clinical feature that has missing values in the training rows."""
    phantom: PhantomConfig = PhantomConfig()

    @field_validator("sheet", "encoding", mode="before")
    @classmethod
    def _take_numbers(cls, value: Any) -> Any:
        """Read `2023` as the name of a sheet, and `1252` as that of an encoding."""
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, value: str) -> str:
        try:
            "".encode(value or "utf-8")
        except (LookupError, ValueError):
            raise ValueError("is no encoding that is known; usual ones are cp1252, cp1250, cp850, mac_roman") from None
        return value

    @field_validator(
        *("positive", "negative", "features", "missing_values", "real_values", "units", "patient_columns"),
        mode="before",
    )
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        """Read `malignant` and `4,5` as lists, as they come from a command line; letters in their usual form (NFC)."""
        if isinstance(value, bool) or not isinstance(value, str | int | list | tuple):
            return value
        parts = str(value).split(",") if isinstance(value, str | int) else value
        return tuple(normalize("NFC", part.strip()) if isinstance(part, str) else part for part in parts)


class AugmentConfig(Section):
    """Random changes of training images, drawn anew for every (seed, epoch, image)."""

    enabled: bool = True
    """Whether training images are changed at all."""
    min_crop: float = Field(0.85, gt=0, le=1)
    """Smallest side of the random crop, as a share of the image's side."""
    flip: float = Field(0.5, ge=0, le=1)
    """Probability of a horizontal flip."""
    rotation: float = Field(10.0, ge=0, le=180)
    """Largest rotation in degrees, either way."""
    brightness: float = Field(0.15, ge=0, le=10)
    """Largest change of brightness, either way, as a share of the full range."""
    contrast: float = Field(0.15, ge=0, le=10)
    """Largest change of contrast, either way, as a share of it."""
    erase: float = Field(0.25, ge=0, le=1)
    """Probability that a rectangle is erased."""
    erase_area: float = Field(0.1, gt=0, lt=1)
    """Largest share of the image that is erased."""


class ModelConfig(Section):
    """The network: its backbone, its inputs and how they are fused."""

    inputs: tuple[Modality, ...] = ("image", "tabular")
    """The inputs of the model; an arm with one of them alone sets this."""
    fusion: Literal["concat", "attention"] = "concat"
    """How image and clinical columns are joined (see mmbc.model.network)."""
    backbone: str = "efficientnet_b0"
    """Any EfficientNet-family model of timm."""
    weights: str = "hub"
    """`hub`, `package`, `file:PATH` or `none` (see mmbc.model.weights)."""
    allow_random_trunk: bool = False
    """Permit freezing layers that were never trained (`weights = "none"`); for tests of the machinery alone."""
    fine_tuned_blocks: int = Field(2, ge=0, le=1000)
    """Number of the backbone's last stages that are trained; with 0 the head convolution is frozen too."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Share of units that is dropped in each hidden layer of the classifier."""
    tabular_hidden: tuple[Width, ...] = (64, 64, 32)
    """Widths of the layers that encode the clinical columns."""
    classifier_hidden: tuple[Width, ...] = (128, 32)
    """Widths of the hidden layers of the classifier."""
    attention_heads: int = Field(4, ge=1, le=1024)
    """Heads of the attention from the clinical columns to the image."""
    attention_dim: int = Field(128, ge=1, le=65536)
    """Width of that attention, a multiple of the heads."""
    gradient_checkpointing: bool = False
    """Trade time for memory in the fine-tuned blocks, for small GPUs."""

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if not self.inputs or len(set(self.inputs)) != len(self.inputs):
            raise ValueError("inputs names 'image', 'tabular' or both, each once")
        if self.fusion == "attention" and len(self.inputs) < 2:
            raise ValueError("fusion = 'attention' needs inputs = ['image', 'tabular']")
        if self.attention_dim % self.attention_heads:
            raise ValueError("attention_dim must be a multiple of attention_heads")
        return self


class TrainConfig(Section):
    """Optimiser, schedule and stopping."""

    lr: float = Field(5e-5, gt=0, le=1000)
    """Learning rate of the fine-tuned blocks."""
    head_lr: float = Field(1e-3, gt=0, le=1000)
    """Learning rate of the newly initialised layers."""
    weight_decay: float = Field(1e-3, ge=0, le=1000)
    """Weight decay of AdamW."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """How far the training labels 0 and 1 are moved towards a half: 0.1 makes them 0.05 and 0.95."""
    clip_norm: float = Field(1.0, gt=0, le=MANY)
    """Largest norm of the gradient."""
    restart_epochs: int = Field(10, ge=1, le=MANY)
    """Length of the first cosine period in epochs (Loshchilov and Hutter 2017)."""
    restart_factor: int = Field(2, ge=1, le=MANY)
    """Each later cosine period is this many times as long."""
    max_epochs: int = Field(100, ge=1, le=MANY)
    """Epochs at most."""
    patience: int = Field(20, ge=1, le=MANY)
    """Epochs without a better monitored value before a fit stops."""
    keep: Literal["best", "last"] = "best"
    """Whose weights a fit ends with: those of the best epoch, or, with a fixed number of epochs, of the last one."""
    monitor: Literal["log_loss", "auc"] = "log_loss"
    """The validation value that decides on early stopping and on the best epoch."""
    monitor_window: int = Field(3, ge=1, le=MANY)
    """The monitored value is the mean over this many last epochs, because one epoch's is noisy."""
    batch_size: int = Field(32, ge=2, le=MANY)
    """Images of a training batch."""
    class_weighting: Literal["none", "balanced"] = "none"
    """Whether the loss weighs both classes alike; this shifts the probabilities before calibration."""
    view_bank: Annotated[int, Later("0.2.0")] = Field(0, ge=0, le=128)
    """Augmented versions (views) of every image that are made once, kept and drawn from in all epochs, by all seeds; 0
    for new ones in every epoch. With 16 the frozen layers run 16 times instead of once an epoch and seed."""
    fraction: Annotated[float, Later("0.2.0")] = Field(1.0, gt=0, le=1)
    """Share of a fold's training patients that a model learns from; with less than 1 it is a point of a learning curve
    (`--learning-curve`). Validation and test patients stay the same."""


class RunConfig(Section):
    """Device, threads and batch sizes; part of the configuration because they change the last bits."""

    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `mps`."""
    threads: int = Field(0, ge=0, le=4096)
    """Threads inside one operation; 0 means 1, with which results do not depend on the number of cores."""
    chunk_size: int = Field(256, ge=16, le=MANY)
    """Images in a chunk of the stream; it bounds the memory, whatever the size of the cohort."""
    trunk_batch: int = Field(16, ge=2, le=MANY)
    """Images that go through the trunk together; a smaller rest is filled up, so that an image's features do not depend
    on the others."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """`auto` is bfloat16 autocast on CUDA and float32 elsewhere."""
    trunk_precision: Annotated[Literal["float32", "bfloat16"], Later("0.2.0")] = "float32"
    """Precision of the frozen layers on a processor: `bfloat16` is 1.2 to 1.6 times as fast where the processor has
    arithmetic for it (AVX512-BF16, AMX), and changes features by 1 to 10 %."""


class Config(Section):
    """Everything that defines a model except its data rows and its seed."""

    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    run: RunConfig = RunConfig()

    @property
    def uses_images(self) -> bool:
        """Whether the model has an image branch."""
        return "image" in self.model.inputs


S = TypeVar("S", bound=Section)


def parse(kind: type[S], values: Mapping[str, Any], where: str) -> S:
    """Build a section from plain values.

    Raises:
        ConfigError: names `where` the values came from, the dotted key, and the nearest known key.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(kind, item, where) for item in error.errors())) from None


LISTS = dict.fromkeys(("tuple_type", "list_type"), """write a list, for example ["a", "b"]""")
"""Types of pydantic's errors whose messages mean nothing to a user, with a message to show instead."""


def _explain(kind: type[BaseModel], item: Any, where: str) -> str:
    path = [str(part) for part in item["loc"]]
    key = ".".join(path)
    if item["type"] == "extra_forbidden":
        return f"{where}: unknown key {key!r}; {nearest(key, known_keys(kind))}"
    message = LISTS.get(item["type"], item["msg"].removeprefix("Value error, "))
    return f"{where}: {key or kind.__name__}: {message} (got {item['input']!r})"


def known_keys(kind: type[BaseModel], prefix: str = "") -> list[str]:
    """Return the dotted name of every setting below a section."""
    keys = []
    for name, field in kind.model_fields.items():
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            keys += known_keys(nested, f"{prefix}{name}.")
        else:
            keys.append(prefix + name)
    return keys


def to_toml(section: Section) -> str:
    """Return a section as TOML text that `parse` reads back to an equal section; see `identity` for what it omits."""
    return tomli_w.dumps(without_none(identity(section, named=True)))


def flatten(values: Section | Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn `{"train": {"lr": 1}}` into `{"train.lr": 1}`, and a section likewise, as plain JSON values."""
    flat: dict[str, Any] = {}
    for key, value in (values.model_dump(mode="json") if isinstance(values, Section) else values).items():
        nested = isinstance(value, Mapping) and value
        flat |= flatten(value, f"{prefix}{key}.") if nested else {prefix + key: value}
    return flat


def apply_changes(config: Config, changes: Mapping[str, Any], where: str) -> Config:
    """Return the configuration with other values for some dotted keys, validated again."""
    return parse(Config, merge(config.model_dump(mode="json"), nest(changes)), where)


def identity(section: Section, *, named: bool = False) -> dict[str, Any]:
    """Return the plain values that identify a section: all but those marked `Later` that are at their default.

    Names that reports use alone (`counts=False`) are among them only if `named`.
    """
    values = section.model_dump(mode="json")
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        default = field.get_default(call_default_factory=True)
        if any(isinstance(mark, Later) and (value == default or not (mark.counts or named)) for mark in field.metadata):
            del values[name]
        elif isinstance(value, Section):
            values[name] = identity(value, named=named)
    return values


def digest(value: Section | Mapping[str, Any]) -> str:
    """Return 16 hex digits of SHA-256 over the canonical JSON of a section (see `identity`) or of plain values."""
    plain = identity(value) if isinstance(value, Section) else value
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
