"""What the benchmarks on a cohort work on: settings that need no pretrained weights, and the cohort as read."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mmbc.data.cohort import Cohort
from mmbc.data.images.facts import read_images
from mmbc.data.images.store import open_store
from mmbc.data.readers import PHANTOM, find_source
from mmbc.training.device import resolve
from study.cohort.loading import Opened, open_cohort
from study.design.request import Tolerance
from study.design.study_file import StudyFile, chosen_arms, load
from study.records.progress import Observer
from study.training.lockstep import Workspace


@dataclass(frozen=True)
class Material:
    """A cohort to measure on.

    Attributes:
        study: settings with the chosen arms alone.
        opened: the cohort as read.
        tolerance: what may be absent from it.
        folder: where a benchmark may write.
    """

    study: StudyFile
    opened: Opened
    tolerance: Tolerance
    folder: Path

    @property
    def cohort(self) -> Cohort:
        """The rows a study uses."""
        return self.opened.cohort

    @property
    def paths(self) -> list[Path]:
        """The image files of the rows."""
        return list(self.cohort.images["path"])


@contextmanager
def open_material(
    data: str | None,
    preset: str | None,
    config: Path | None,
    assignments: Sequence[str],
    ablation: str,
    tolerance: Tolerance,
    out: Path,
    said: Callable[[str], None],
) -> Iterator[Material]:
    """Read a cohort with its images into a folder below `out` that is deleted in the end.

    Raises:
        MmbcError: of the kind that fits: configuration, cohort or images.
    """
    origin = find_source(data)
    study = _settings(preset or ("demo" if origin.kind == PHANTOM else "default"), config, assignments, ablation)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=out) as place:
        folder = Path(place)
        said("reading the cohort")
        opened = open_cohort(
            origin, study.data, needs_images=True, cache=folder, tolerance=tolerance, observer=Observer()
        )
        yield Material(study, opened, tolerance, folder)


def _settings(preset: str, config: Path | None, assignments: Sequence[str], ablation: str) -> StudyFile:
    """Return settings with the chosen arms; random weights stand in for pretrained ones, as the time is the same."""
    study = load(preset, config, assignments)
    arms = {name: study.arms[name] for name in chosen_arms(study, ablation)}
    study = study.model_copy(update={"arms": arms, "run": resolve(study.run)})
    if study.model.weights == "hub":
        model = study.model.model_copy(update={"weights": "none", "allow_random_trunk": True})
        study = study.model_copy(update={"model": model})
    return study


def workspace_of(material: Material) -> Workspace:
    """Return where fits of the material train, with its images decoded."""
    facts = read_images(material.paths, cache=material.folder)
    store = open_store(material.paths, facts, material.study.data, cache=material.folder)
    return Workspace(material.cohort, store, material.folder / "study", material.folder, checkpoint_every=0)
