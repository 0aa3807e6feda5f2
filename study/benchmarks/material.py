"""What the benchmarks on a cohort work on: settings that need no pretrained weights, and the cohort as read."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mmbc.data.cohort import Cohort
from mmbc.data.images.facts import read_images
from mmbc.data.images.store import open_store
from mmbc.data.readers import Source
from mmbc.training.device import resolve
from study.cohort.loading import Opened, open_cohort
from study.design.request import Request, Tolerance
from study.design.study_file import StudyFile
from study.records.progress import Observer
from study.training.workspace import Workspace


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
    source: Source, study: StudyFile, tolerance: Tolerance, out: Path, said: Callable[[str], None]
) -> Iterator[Material]:
    """Read a cohort with its images into a folder below `out` that is deleted in the end.

    Raises:
        MmbcError: of the kind that fits: configuration, cohort or images.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=out) as place:
        folder, study = Path(place), _without_download(study)
        said("reading the cohort")
        request = Request(source, study, folder, tolerance=tolerance)
        yield Material(study, open_cohort(request, Observer(), needs_images=True), tolerance, request.cache)


def _without_download(study: StudyFile) -> StudyFile:
    """Return the settings for this machine; random weights stand in for pretrained ones, as the time is the same."""
    study = study.model_copy(update={"run": resolve(study.run)})
    if study.model.weights != "hub":
        return study
    model = study.model.model_copy(update={"weights": "none", "allow_random_trunk": True})
    return study.model_copy(update={"model": model})


def workspace_of(material: Material) -> Workspace:
    """Return where fits of the material train, with its images decoded."""
    facts = read_images(material.paths, cache=material.folder)
    store = open_store(material.paths, facts, material.study.data, cache=material.folder)
    return Workspace(material.cohort, store, material.folder / "study", material.folder, checkpoint_every=0)
