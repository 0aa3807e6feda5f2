"""Studies and their numbers as objects of a notebook: `study.open`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd

from mmbc.errors import ConfigError, nearest
from study.api.options import checked, pairs_of
from study.api.wording import said_in_python
from study.console.options import Replicates, comparison_option
from study.evaluation.evaluation import N_REPLICATES, Evaluation
from study.evaluation.evaluation import evaluate as numbers_of
from study.records.cell_records import CellRecord
from study.records.progress import models_finished
from study.records.stored_study import StoredStudy, load_study

if TYPE_CHECKING:
    from mmbc.deploy import Predictor

Pairs = Sequence[tuple[str, str]]
CALIBRATION = ("calibration_slope", "calibration_intercept", "calibration_in_the_large", "ece", "brier", "log_loss")
"""Metrics of `Result.calibration`, as far as the study has them."""
VERDICT_COLUMNS = (
    "first",
    "second",
    "verdict",
    "difference",
    "e1_low",
    "e1_high",
    "e1_p_holm",
    "e2_low",
    "e2_high",
    "e2_p_holm",
    "sentence",
)
SEED = Annotated[int, comparison_option("Seed of the bootstrap and the permutations.", min=0)]


@dataclass(frozen=True)
class Cell:
    """A finished model of a study, one of `Study.cells`.

    Attributes:
        folder: where its files lie.
        record: what was recorded of it: repeat, fold, seed, best epoch, calibration …
    """

    folder: Path
    record: CellRecord = field(repr=False)

    @property
    def arm(self) -> str:
        """Its arm."""
        return self.record.arm

    @property
    def name(self) -> str:
        """Its name: `concat.r0.f3.s0` is arm concat, repeat 0, fold 3, seed 0."""
        return self.folder.name

    def load(self) -> "Predictor":
        """Return the model as a function from an image and clinical values to a calibrated probability.

        Raises:
            ModelError: the cell has no network, or a file of it is missing or damaged.
        """
        from mmbc.deploy import load

        return load(self.folder)


class Study:
    """A study that was read back, finished or not.

    Attributes:
        stored: everything that was read, for code that needs more than is offered here.
    """

    def __init__(self, stored: StoredStudy) -> None:
        self.stored = stored

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.stored.name

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.stored.folder

    @property
    def settings(self) -> Any:
        """The resolved study file: configuration, arms, protocol."""
        return self.stored.settings

    @property
    def arms(self) -> list[str]:
        """Arms with at least one finished cell, the logistic baseline last."""
        return self.stored.arms

    @property
    def cohort(self) -> pd.DataFrame:
        """One row per image: patient, case, breast, view, status, label and clinical columns."""
        return self.stored.cohort.images

    @property
    def predictions(self) -> pd.DataFrame:
        """One row per cell and image: arm, repeat, fold, seed, part (validation, test), label, logit, probabilities."""
        return self.stored.predictions

    @property
    def history(self) -> pd.DataFrame:
        """One row per cell and epoch: losses, accuracies, learning rates, seconds."""
        return self.stored.history

    @property
    def trials(self) -> pd.DataFrame:
        """Of a search: one row per trial, with the values tried (`param.`), the score and its state; else empty."""
        return self.stored.searched.trials if self.stored.searched is not None else pd.DataFrame()

    @property
    def chosen(self) -> pd.DataFrame:
        """Of a search: one row per winner: arm, repeat, fold (-1: none is held out), its score and settings."""
        found = self.stored.searched.chosen if self.stored.searched is not None else ()
        columns = ["arm", "repeat", "fold", "number", "value", "epochs", "n_trainable", "default"]
        return pd.DataFrame(
            [{name: getattr(one, name) for name in columns} | one.set for one in found],
            columns=None if found else columns,
        )

    @property
    def cells(self) -> list[Cell]:
        """The finished models; an archive of predictions has their records alone."""
        return [Cell(self.folder / "cells" / name, record) for name, record in self.stored.records.items()]

    @said_in_python()
    def evaluate(self, contrasts: Pairs | None = None, *, n_replicates: int = N_REPLICATES, seed: int = 0) -> "Result":
        """Compute every number of the study; see `study.evaluate`.

        Contrasts that the study did not declare are chosen after the run, and a report calls them exploratory.
        """
        n_replicates = checked("n_replicates", n_replicates, Replicates)
        stored = self.stored.with_contrasts(None if contrasts is None else pairs_of(contrasts))
        return Result(Study(stored), numbers_of(stored, n_replicates=n_replicates, seed=checked("seed", seed, SEED)))

    def __repr__(self) -> str:
        done = models_finished(self.stored.planned, self.stored.records)
        return f"<study {self.name!r}: arms {', '.join(self.arms) or 'none'}; {done}>"


class Result:
    """Every number of a study, each with its interval, as frames, figures and a report.

    In a notebook it shows the answer in words and the main table.

    Attributes:
        study: what was evaluated.
        evaluation: all frames (`study.evaluation.evaluation.Evaluation` says what each has).
    """

    def __init__(self, study: Study, evaluation: Evaluation) -> None:
        self.study = study
        self.evaluation = evaluation

    @property
    def summary(self) -> pd.DataFrame:
        """One row per arm, level and metric: value, interval, method, estimand, numbers of patients and images."""
        return self.evaluation.summary

    @property
    def per_fold(self) -> pd.DataFrame:
        """One row per cell, level and metric."""
        return self.evaluation.per_fold

    @property
    def contrasts(self) -> pd.DataFrame:
        """One row per declared contrast: first minus second arm, by every method."""
        return self.evaluation.comparisons

    @property
    def verdicts(self) -> pd.DataFrame:
        """Verdict on each contrast: the difference, intervals and adjusted p values (E1, E2), and a sentence."""
        frame = self.evaluation.comparisons
        return frame[[column for column in VERDICT_COLUMNS if column in frame]]

    @property
    def added(self) -> pd.DataFrame:
        """Metrics of predictions that were added to the study (`note`: not verified to be out of fold), E1."""
        return self.evaluation.added

    @property
    def added_contrasts(self) -> pd.DataFrame:
        """Each added arm minus each arm of the study: exploratory, E1, not adjusted, without a verdict."""
        return self.evaluation.added_contrasts

    @property
    def calibration(self) -> pd.DataFrame:
        """The lines of `summary` that are about calibration, at the level of the primary unit."""
        frame = self.summary
        if frame.empty:
            return frame
        return frame[frame["metric"].isin(CALIBRATION) & (frame["level"] == self.evaluation.unit)].reset_index(
            drop=True
        )

    @property
    def subgroups(self) -> pd.DataFrame:
        """AUC by subgroup, with tests of interaction."""
        return self.evaluation.subgroups

    @cached_property
    def _content(self) -> Any:
        from study.reporting.manifest import Options
        from study.reporting.pack import gather_content

        return gather_content(self.study.stored, self.evaluation, Options())

    @property
    def figures(self) -> list[str]:
        """Names of the figures that the study has the numbers for."""
        return list(self._content.drawings)

    def figure(self, name: str = "main", *, journal: str = "nature") -> Any:
        """Return a matplotlib figure as it stands in the report, at the widths of a journal.

        Raises:
            ConfigError: no such figure or journal, with the known ones.
        """
        from study.reporting.figures.journals import JOURNALS
        from study.reporting.manifest import Options
        from study.reporting.pack import draw

        if name not in self._content.drawings:
            raise ConfigError(f"there is no figure {name!r}; {nearest(name, self._content.drawings)}")
        if journal not in JOURNALS:
            raise ConfigError(f"there is no journal {journal!r}; {nearest(journal, JOURNALS)}")
        return draw(self._content.drawings[name], Options(journal=journal))[0]

    def write(
        self, folder: str | Path, *, figures: bool = True, with_predictions: bool = False, example_images: bool = False
    ) -> Path:
        """Write the report, its tables, figures, numbers and checklists; return the path of `report.md`.

        With `example_images` it shows images of patients, as `python -m study.report --example-images` does.

        Raises:
            StudyError: the folder holds files that are not of an earlier report.
        """
        from study.reporting.manifest import Options
        from study.reporting.pack import write_pack

        options = Options(figures=figures, archive=with_predictions, examples=example_images)
        return write_pack(self.study.stored, self.evaluation, Path(folder), options)

    def __repr__(self) -> str:
        from study.reporting.text.answer import short_answer

        return "\n".join([repr(self.study), *short_answer(self.study.stored, self.evaluation)])

    def _repr_html_(self) -> str:
        """Return the answer in words and the main table."""
        from study.api.markup import html
        from study.reporting.tables.main import main_table
        from study.reporting.tables.markup import markdown
        from study.reporting.text.answer import answer

        stored = self.study.stored
        parts = [answer(stored, self.evaluation)]
        if not self.summary.empty:
            parts.append(markdown(main_table(stored, self.evaluation), stored.cohort.notice))
        return html("\n\n".join(parts))


@said_in_python()
def open(folder: str | Path) -> Study:
    """Read a study from `results/NAME`, or from an archive of its predictions.

        run = study.open("results/phantom-demo")
        run.predictions.groupby("arm").size()

    Raises:
        StudyError: the folder is no study; a file of a finished cell is missing or was changed.
    """
    return Study(load_study(Path(folder)))
