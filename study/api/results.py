"""Studies and their numbers as objects of a notebook: `study.open`, `study.evaluate`."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mmbc.errors import ConfigError, nearest
from study.evaluation.evaluation import N_REPLICATES, Evaluation
from study.evaluation.evaluation import evaluate as numbers_of
from study.records.cell_records import CellRecord
from study.records.stored_study import StoredStudy, load_study

if TYPE_CHECKING:
    from mmbc.deploy import Predictor

Pairs = Sequence[tuple[str, str]]
CALIBRATION = ("calibration_slope", "calibration_intercept", "calibration_in_the_large", "ece", "brier", "log_loss")
"""Metrics of `Result.calibration`, as far as the study has them."""
VERDICT_COLUMNS = ("first", "second", "verdict", "difference", "e2_low", "e2_high", "e2_p_holm", "sentence")


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
    def cells(self) -> list[Cell]:
        """The finished models; an archive of predictions has their records alone."""
        return [Cell(self.folder / "cells" / name, record) for name, record in self.stored.records.items()]

    def evaluate(self, contrasts: Pairs | None = None, *, n_replicates: int = N_REPLICATES, seed: int = 0) -> "Result":
        """Compute every number of the study; see `study.evaluate`."""
        stored = self.stored if contrasts is None else _with_contrasts(self.stored, contrasts)
        return Result(Study(stored), numbers_of(stored, n_replicates=n_replicates, seed=seed))

    def __repr__(self) -> str:
        done, planned = len(self.stored.records), len(self.stored.planned)
        return f"<study {self.name!r}: arms {', '.join(self.arms) or 'none'}; {done} of {planned} cells finished>"


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
        """Verdict on each declared contrast, with the difference, its interval for training again, and a sentence."""
        frame = self.evaluation.comparisons
        return frame[[column for column in VERDICT_COLUMNS if column in frame]]

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
        from study.reporting.pack import Options, gather_content

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
        from study.reporting.pack import Options, draw

        if name not in self._content.drawings:
            raise ConfigError(f"there is no figure {name!r}; {nearest(name, self._content.drawings)}")
        if journal not in JOURNALS:
            raise ConfigError(f"there is no journal {journal!r}; {nearest(journal, JOURNALS)}")
        return draw(self._content.drawings[name], Options(journal=journal))[0]

    def write(self, folder: str | Path, *, figures: bool = True, with_predictions: bool = False) -> Path:
        """Write the report, its tables, figures, numbers and checklists; return the path of `report.md`."""
        from study.reporting.pack import Options, write_pack

        options = Options(figures=figures, archive=with_predictions)
        return write_pack(self.study.stored, self.evaluation, Path(folder), options)

    def __repr__(self) -> str:
        from study.reporting.text.answer import comparisons_lines

        return "\n".join([repr(self.study), *comparisons_lines(self.evaluation)])

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


def open(folder: str | Path) -> Study:
    """Read a study from `results/NAME`, or from an archive of its predictions.

        run = study.open("results/phantom-demo")
        run.predictions.groupby("arm").size()

    Raises:
        StudyError: the folder is no study; a file of a finished cell is missing or was changed.
    """
    return Study(load_study(Path(folder)))


def evaluate(
    source: "pd.DataFrame | str | Path | Study",
    contrasts: Pairs | None = None,
    *,
    settings: Mapping[str, Any] | str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    name: str = "predictions",
    notice: str = "",
    out: str | Path | None = None,
    n_replicates: int = N_REPLICATES,
    seed: int = 0,
) -> Result:
    """Compute every number of a study, or of predictions made anywhere, each with its interval.

        study.evaluate("results/phantom-demo").summary
        study.evaluate(frame, contrasts=[("fusion", "clinical")]).verdicts

    Args:
        source: a study's folder or an archive; a study that was opened; or a table of predictions, as a frame or a
            file: one row per prediction with the columns patient_id, label, fold, arm, prob
            (docs/how-to/own-predictions.md).
        contrasts: pairs of arms, each the first minus the second. Declare them before you look at results; the default
            is the study's own.
        settings: for a table: a study file, or dotted keys and values of its sections data and protocol.
        columns: for a table: role -> column name, where names differ.
        name: for a frame: the study's name.
        notice: for a table: a warning that everything made of it carries.
        out: for a table: where its study is kept, as `study.report --predictions` does; None keeps nothing.
        n_replicates: draws of the bootstrap.
        seed: of the bootstrap and the permutations.

    Raises:
        CohortError: cells of a table that cannot be used; names column and rows.
        ConfigError: settings beside a study, which has its own, or contrasts of unknown arms.
        LeakageError: a patient in two folds, or in two parts of one.
        SplitError: a fold with one class, or a patient who is never tested.
        StudyError: the folder is no study.
    """
    if isinstance(source, Study):
        opened = source
    elif isinstance(source, pd.DataFrame) or Path(source).is_file():
        opened = _imported(source, contrasts, settings, columns, name, notice, out)
        contrasts = None
    else:
        opened = open(source)
    if not opened.stored.imported and (settings or columns or notice):
        raise ConfigError("settings, columns and notice are for tables of predictions; a study has its own")
    return opened.evaluate(contrasts, n_replicates=n_replicates, seed=seed)


def _imported(
    source: pd.DataFrame | str | Path,
    contrasts: Pairs | None,
    settings: Mapping[str, Any] | str | Path | None,
    columns: Mapping[str, str] | None,
    name: str,
    notice: str,
    out: str | Path | None,
) -> Study:
    """Return the study made of a table of predictions."""
    from study.api.options import settings_of
    from study.imports.imported_study import Import, import_predictions

    config, assignments = settings_of(
        settings, {f"data.columns.{role}": column for role, column in (columns or {}).items()}
    )
    with tempfile.TemporaryDirectory() as temporary:
        if isinstance(source, pd.DataFrame):
            path = Path(temporary) / f"{name}.parquet"
            source.to_parquet(path, index=False)
        else:
            path, name = Path(source), ""
        return Study(
            import_predictions(
                Import(
                    path=path,
                    name=name,
                    out=Path(temporary) if out is None else Path(out),
                    config=config,
                    assignments=assignments,
                    contrasts=tuple(contrasts or ()),
                    command=["study.evaluate(...)"],
                    notice=notice,
                )
            )
        )


def _with_contrasts(stored: StoredStudy, contrasts: Pairs) -> StoredStudy:
    """Return a study with other contrasts than it declared.

    Raises:
        ConfigError: an arm that the study does not have.
    """
    for arm in {arm for pair in contrasts for arm in pair}:
        if arm not in stored.arms:
            raise ConfigError(f"contrasts: the study has no finished arm {arm!r}; {nearest(arm, stored.arms)}")
    protocol = stored.settings.protocol.model_copy(update={"contrasts": tuple(map(tuple, contrasts))})
    return replace(stored, settings=stored.settings.model_copy(update={"protocol": protocol}))
