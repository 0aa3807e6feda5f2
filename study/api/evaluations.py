"""Studies and tables of predictions as numbers: `study.evaluate`."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from mmbc.errors import CohortError, ConfigError
from study.api.options import options_of, pairs_of
from study.api.results import Pairs, Result, Study, open
from study.api.wording import said_in_python
from study.console.options import PredictionOptions
from study.design.study_name import check_name
from study.evaluation.evaluation import N_REPLICATES


@said_in_python()
def evaluate(
    source: "pd.DataFrame | str | Path | Study",
    contrasts: Pairs | None = None,
    *,
    add_predictions: "pd.DataFrame | str | Path | None" = None,
    settings: Mapping[str, Any] | str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    name: str = "",
    notice: str = "",
    out: str | Path | None = None,
    force: bool = False,
    n_replicates: int = N_REPLICATES,
    seed: int = 0,
    **options: Any,
) -> Result:
    """Compute every number of a study, or of predictions made anywhere, each with its interval.

        study.evaluate("results/phantom-demo").summary
        study.evaluate(frame, contrasts=[("fusion", "clinical")]).verdicts
        study.evaluate("results/phantom-demo", add_predictions="mine.csv").added_contrasts

    Args:
        source: a study's folder or an archive; a study that was opened; or a table of predictions, as a frame or a
            file: one row per prediction with the columns patient_id, label, prob, and fold, arm where there are
            several; or one column per model (docs/how-to/own-predictions.md).
        contrasts: pairs of arms, each the first minus the second. Declare them before you look at results; the default
            is the study's own. Others than those a study declared are called exploratory in what is written.
        add_predictions: for a study trained here: a table of predictions of its patients, shown beside its arms and
            marked as not verified to be out of fold (`Result.added`, `Result.added_contrasts`); no number of the study
            changes. `settings`, `columns`, `positive`, `scale`, `models`, `merge_ids` say how it is read.
        settings: for a table: a study file, or dotted keys and values of its sections data and protocol.
        columns: for a table: role -> column name, where names differ.
        name: for a table: the study's name; the default is the file's.
        notice: for a table: a warning that everything made of it carries.
        out: for a table: where its study is kept, as `study.report --predictions` does; None keeps nothing.
        force: with `out`: replace another table's study of the same name, which is kept aside.
        n_replicates: draws of the bootstrap, at least 100.
        seed: of the bootstrap and the permutations.
        options: for a table: `positive, negative, label_level, features, allow_leaky_column, scale, models`.

    Raises:
        CohortError: cells of a table that cannot be used; names column and rows.
        ConfigError: no such file or folder, settings beside a study, which has its own, or contrasts of unknown arms.
        LeakageError: a patient in two folds, or in two parts of one.
        SplitError: a fold with one class, or a patient who is never tested.
        StudyError: the folder is no study.
    """
    if not isinstance(source, Study | pd.DataFrame | str | Path):
        raise ConfigError(f"source: a study, its folder, or a table of predictions, not {type(source).__name__}")
    if isinstance(source, str | Path) and not Path(source).exists():
        raise ConfigError(f"{source}: No such file or directory")
    if isinstance(add_predictions, str | Path) and not Path(add_predictions).is_file():
        raise ConfigError(f"add_predictions: {add_predictions}: No such file")
    if add_predictions is not None and (isinstance(source, pd.DataFrame) or Path(str(source)).is_file()):
        raise ConfigError(
            "add_predictions: shows a table beside a study that was trained here; name the study's folder"
        )
    if isinstance(source, pd.DataFrame) or (not isinstance(source, Study) and Path(source).is_file()):
        asked = options_of(PredictionOptions, {"columns": columns, **options}, settings=settings)
        opened = _imported(
            source, pairs_of(contrasts) if contrasts is not None else [], asked, name, notice, out, force
        )
        return opened.evaluate(n_replicates=n_replicates, seed=seed)
    if add_predictions is not None and not (name or notice or out or force):
        asked = options_of(PredictionOptions, {"columns": columns, **options}, settings=settings)
        opened = source if isinstance(source, Study) else open(source)
        with_table = _with_added(opened, add_predictions, asked)
        return with_table.evaluate(contrasts, n_replicates=n_replicates, seed=seed)
    if settings or columns or name or notice or out or force or options:
        given = {"settings": settings, "columns": columns, "name": name, "notice": notice, "out": out, "force": force}
        names = ", ".join([key for key, value in given.items() if value] + list(options))
        raise ConfigError(f"{names}: for a table of predictions alone; a study has its own")
    opened = source if isinstance(source, Study) else open(source)
    return opened.evaluate(contrasts, n_replicates=n_replicates, seed=seed)


def _imported(
    source: pd.DataFrame | str | Path,
    contrasts: Pairs,
    options: PredictionOptions,
    name: str,
    notice: str,
    out: str | Path | None,
    force: bool,
) -> Study:
    """Return the study made of a table of predictions."""
    from study.console.requests import label_settings
    from study.design.study_file import named
    from study.imports.imported_study import Import, import_predictions

    name = check_name(name, "name") or ("predictions" if isinstance(source, pd.DataFrame) else "")
    with _as_file(source, name or "predictions") as path, tempfile.TemporaryDirectory() as temporary:
        return Study(
            import_predictions(
                Import(
                    path=path,
                    name=name,
                    out=Path(temporary) if out is None else Path(out),
                    config=options.config,
                    assignments=[*(options.set_ or []), *label_settings(options)],
                    contrasts=tuple(contrasts),
                    allow_leaky=tuple(options.allow_leaky_column or ()),
                    command=["study.evaluate(...)"],
                    notice=notice,
                    force=force,
                    scale=options.scale,
                    models=named(options.models) or (),
                )
            )
        )


def _with_added(opened: Study, table: pd.DataFrame | str | Path, options: PredictionOptions) -> Study:
    """Return a study with a table of predictions beside its arms."""
    from study.console.requests import label_settings
    from study.design.study_file import named
    from study.imports.added_table import Addition, add_predictions

    with _as_file(table, "predictions") as path:
        assignments = [*(options.set_ or []), *label_settings(options)]
        request = Addition(path, options.config, assignments, options.scale, named(options.models) or ())
        return Study(add_predictions(opened.stored, request))


@contextmanager
def _as_file(source: pd.DataFrame | str | Path, name: str) -> Iterator[Path]:
    """Yield the file of a table; a frame is written to one, which no error names.

    Raises:
        CohortError: a frame that no file holds.
    """
    if not isinstance(source, pd.DataFrame):
        yield Path(source)
        return
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / f"{name}.parquet"
        try:
            source.to_parquet(path, index=False)
        except (ValueError, TypeError) as error:  # those of pyarrow included
            raise CohortError(f"the table: a column has values of several kinds, or no name ({error})") from None
        with said_in_python({str(path): "the table", path.name: "the table"}):
            yield path
