"""Cells that may share a stream of trunk features, and the trunk behind it."""

from collections.abc import Sequence

from mmbc.config import digest
from mmbc.model.backbone import Backbone, Tap, check_cut, tap_of
from study.design.cells import Cell
from study.design.request import Executor


def stream_groups(cells: Sequence[Cell], executor: Executor) -> list[list[Cell]]:
    """Return the cells that may share a stream, in order; groups of one for the sequential executor."""
    groups: dict[str, list[Cell]] = {}
    for number, cell in enumerate(cells):
        groups.setdefault(_stream_key(cell) if executor == "lockstep" else str(number), []).append(cell)
    return list(groups.values())


def _stream_key(cell: Cell) -> str:
    """Return what the stream depends on; the cut is no part of it, one pass is tapped at several depths."""
    views = images_key(cell) if cell.config.uses_images else "rows"
    return f"{views} {cell.stream_seed}"


def images_key(cell: Cell) -> str:
    """Return what the augmented images depend on, beside the seed; equal for cells that may share a view bank."""
    config = cell.config
    model = config.model
    data, augment = config.data.model_dump(mode="json"), config.augment.model_dump(mode="json")
    return digest({"parts": [model.backbone, model.weights, data, augment, config.train.view_bank]})


def n_passes(group: Sequence[Cell], executor: Executor) -> int:
    """Return how often a stream's images go through the trunk while its cells train: at most once an epoch.

    With a view bank it is as often as there are views, for all groups with one `images_key` together.
    """
    config = group[0].config
    if config.train.view_bank:
        return config.train.view_bank if config.augment.enabled else 1
    epochs = [cell.config.train.max_epochs for cell in group]
    return max(epochs) if executor == "lockstep" else sum(epochs)


def name_of_pass(epoch: int | None) -> str:
    """Return what a pass of the trunk over the cohort makes that is kept."""
    return "features without augmentation" if epoch is None else f"view {epoch + 1} of the bank"


def image_taps(cells: Sequence[Cell]) -> list[Tap]:
    """Return the trunk features that cells need together; none for cells without images."""
    return sorted({tap_of(cell.config.model) for cell in cells if cell.config.uses_images})


class Backbones:
    """The trunks of a run; each is built once, when a group of cells first needs it."""

    def __init__(self) -> None:
        self._built: dict[tuple[str, str], Backbone] = {}

    def of(self, group: Sequence[Cell]) -> Backbone | None:
        """Return the trunk of cells that share a stream; None where they use no images.

        Raises:
            ConfigError: a cell that fine-tunes more blocks than the trunk has, or a trunk that cannot be built.
        """
        config = group[0].config
        if not config.uses_images:
            return None
        key = (config.model.backbone, config.model.weights)
        if key not in self._built:
            self._built[key] = Backbone(*key).to(config.run.device)
        for cell in group:
            check_cut(self._built[key], cell.config.model)
        return self._built[key]
