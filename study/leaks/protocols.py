"""The leaks of the ledger by name, the cells that carry them, and the candidates of the one that tunes."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from mmbc.config import Config, apply_changes, flatten
from study.design.cells import Cell

LABEL = "leaky by design"
"""Label that every number of a leaky protocol carries, in every file."""
REFERENCE = "honest reference of an optimism ledger"
"""Label in the record of an honest cell of the ledger: its rows are those of the ledger, not of a study."""

HONEST = "honest"
OUTLINES, DUPLICATES, BY_IMAGE, PEEK = "outlines-kept", "duplicates-kept", "split-by-image", "best-epoch-on-test"
SCALER, TUNED, SINGLE, RECIPE = "scaler-on-all-rows", "tuned-on-test", "single-split", "published-recipe"
TOGETHER = "together"
"""The line of what all leaks together are worth beyond the sum of each."""


@dataclass(frozen=True)
class Leak:
    """A protocol that differs from the honest one.

    Attributes:
        name: as in cell names.
        title: in tables and figures.
        changes: the leaks it is made of: itself, or all of them.
        meaning: what is done otherwise, in one sentence.
    """

    name: str
    title: str
    changes: frozenset[str]
    meaning: str


def _single_leak(name: str, title: str, meaning: str) -> Leak:
    return Leak(name, title, frozenset({name}), meaning)


SINGLES = (
    _single_leak(OUTLINES, "Outlines kept", "Lesion outlines stay in the pixels of all parts."),
    _single_leak(
        DUPLICATES,
        "Copies kept",
        "Pixel-identical copies of images stay in the cohort; patients are still not divided.",
    ),
    _single_leak(
        BY_IMAGE, "Split by image", "Images are split instead of patients, into parts of the same number and shares."
    ),
    _single_leak(
        PEEK,
        "Best epoch on test part",
        "The best epoch, the calibration and the threshold are chosen on the test part; the "
        "training part stays as it is.",
    ),
    _single_leak(
        SCALER,
        "Scaler on all rows",
        "Imputation, scaling and categories of the clinical columns are learned from all rows.",
    ),
    _single_leak(
        TUNED, "Tuned on test parts", "Of several configurations the one with the best mean test AUC is reported."
    ),
    _single_leak(
        SINGLE, "Single split", "One split into 80 % and 20 % instead of the cross-validation: luck rather than bias."
    ),
)
PUBLISHED_RECIPE = Leak(
    RECIPE,
    "All: published recipe",
    frozenset(leak.name for leak in SINGLES),
    "All of these at once, as in a published recipe.",
)
HONEST_PROTOCOL = Leak(HONEST, "Honest protocol", frozenset(), "Patients are split; nothing is learned from test rows.")
PROTOCOLS = (HONEST_PROTOCOL, *SINGLES, PUBLISHED_RECIPE)

TEST_SHARE = 0.2
"""Share of the test part of a single split."""

SPACE: dict[str, tuple[float, ...]] = {
    "train.head_lr": (3e-4, 1e-3, 3e-3),
    "train.lr": (2e-5, 5e-5, 2e-4),
    "train.weight_decay": (1e-4, 1e-3, 1e-2),
    "train.label_smoothing": (0.0, 0.1),
    "model.dropout": (0.3, 0.5, 0.6),
}
"""Values that tuning on the test parts tries, as somebody would by hand."""


@dataclass(frozen=True)
class LedgerCell(Cell):
    """A model of the ledger; its split names images (see `study.leaks.rows`).

    Attributes:
        candidate: number among the configurations that are compared on test parts; None where nothing is compared.
        encoded_on_all: whether its clinical columns are encoded by what all rows say.
    """

    candidate: int | None = None
    encoded_on_all: bool = False

    @property
    def name(self) -> str:
        """`concat.split-by-image.r0.f3.s0`, `concat.honest.r0.f3.s0` or `concat.tuned-on-test.c2.r0.f1.s0`."""
        candidate = "" if self.candidate is None else f".c{self.candidate}"
        return f"{self.arm}.{self.leak or HONEST}{candidate}.r{self.repeat}.f{self.fold}.s{self.seed}"

    @property
    def key(self) -> dict[str, object]:
        """Values a finished cell must agree with; so its record says that it is part of a ledger, and whether leaky."""
        own = {"ledger": LABEL if self.leak else REFERENCE, "encoded_on_all": self.encoded_on_all}
        return super().key | own

    @property
    def training(self) -> tuple[object, ...]:
        """All that decides on the trained model and its rows: two cells that agree in it are one."""
        encoded = self.encoded_on_all and "tabular" in self.config.model.inputs
        return self.arm, self.config_digest, self.split_digest, encoded, self.repeat, self.fold, self.seed


def candidates(config: Config, n: int, *, seed: int) -> list[Config]:
    """Return the configurations compared on test parts: the reference, then others of `SPACE` in random order.

    With a larger n the first ones stay the same.

    Args:
        config: the reference.
        n: how many, the reference among them; fewer where the space has no more.
        seed: of the order.
    """
    fine_tuned = config.uses_images and config.model.fine_tuned_blocks > 0
    keys = [key for key in SPACE if key != "train.lr" or fine_tuned]
    values = flatten(config)
    own = tuple(values[key] for key in keys)
    others = [point for point in product(*(SPACE[key] for key in keys)) if point != own]
    order = np.random.default_rng([seed, len(SPACE)]).permutation(len(others))
    chosen = [others[place] for place in order[: n - 1]]
    return [config, *(apply_changes(config, dict(zip(keys, point, strict=True)), "candidate") for point in chosen)]
