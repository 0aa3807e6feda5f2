"""Turn predictions into a paper pack: `python -m study.report results/NAME`, or `--predictions mine.csv`.

Needs no torch, no GPU and no images.
"""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbc import command
from mmbc.command import Command, Terminal
from mmbc.errors import ConfigError, nearest
from mmbc.garbage import uncollected
from study.console.options import (
    PlaceOptions,
    PredictionOptions,
    Replicates,
    ReportOptions,
    comparison_option,
    place_option,
    table_option,
)
from study.reporting.figures.journals import JOURNALS

if TYPE_CHECKING:
    from study.records.stored_study import StoredStudy


OF_ADDITIONS = (
    *("study", "add_predictions", "config", "set_", "columns", "positive", "merge_ids", "distinct_ids"),
    *("scale", "models", "name", "reports", "json_file", "figures", "with_predictions", "replicates", "journal"),
    "example_images",
)
"""Options that have an effect with `--add-predictions`."""


@dataclass(frozen=True, kw_only=True)
class Report(PredictionOptions, PlaceOptions, ReportOptions, Command):
    """Turn a study's predictions into text, tables, figures, numbers and checklists."""

    study: Annotated[Path | None, typer.Argument(help="Folder of a study, finished or not: results/NAME.")] = None
    predictions: Annotated[
        Path | None, table_option("A table of predictions of models trained anywhere, instead of a study.")
    ] = None
    add_predictions: Annotated[
        Path | None,
        table_option(
            "A table of predictions to show beside a study's arms, marked as not verified to be out of fold; no number"
            " of the study changes."
        ),
    ] = None
    notice: Annotated[
        str, table_option("A warning that every table and figure carries, for predictions that are no evidence.")
    ] = ""
    force: Annotated[
        bool, table_option("Replace another table's study of the same name; it is kept aside.", "--force")
    ] = False
    contrasts: Annotated[
        str | None,
        comparison_option(
            "Declared pairs of arms: fusion:image,fusion:clinical means the first minus the second of each."
        ),
    ] = None
    replicates: Replicates = 2000
    config: Annotated[Path | None, comparison_option("Study file (TOML) with the sections data and protocol.")] = None
    name: Annotated[
        str,
        place_option(
            "Name of the study made of a table, or of the report with an added one. Default: the file's, the study's."
        ),
    ] = ""
    journal: Annotated[str, place_option(f"Whose widths, fonts, numbers and references: {', '.join(JOURNALS)}.")] = (
        "nature"
    )

    @uncollected()
    def run(self, terminal: Terminal) -> None:
        """Read or import the predictions, evaluate them, and write the pack."""
        from study.console import report_screen, requests
        from study.console.json_output import write_facts
        from study.evaluation.evaluation import evaluate
        from study.records.stored_study import load_study
        from study.reporting.manifest import Options
        from study.reporting.pack import write_pack

        requests.check_places(self, results=self.predictions is not None)
        if (self.study is None) == (self.predictions is None):
            raise ConfigError("name one thing to report: a study (results/NAME), or a table with --predictions FILE")
        if self.study is not None and self.study.is_file():
            raise ConfigError(
                f"{self.study}: is a file, not the folder of a study; a table of predictions is given with"
                f" --predictions {shlex.quote(str(self.study))}"
            )
        if self.journal not in JOURNALS:
            raise ConfigError(f"--journal {self.journal!r}; {nearest(self.journal, JOURNALS)}")
        if self.add_predictions is not None:
            self.check_addition()
        stored = load_study(self.study) if self.study is not None else self.imported(terminal)
        if self.add_predictions is not None:
            stored = self.added(stored, self.add_predictions)
        evaluation = evaluate(stored, n_replicates=self.replicates)
        pack = Options(self.journal, self.figures, archive=self.with_predictions, examples=self.example_images)
        report_screen.say_kept(terminal.console, stored, self.reports / stored.name)
        folder = write_pack(stored, evaluation, self.reports / stored.name, pack)
        report_screen.show_report(terminal, stored, evaluation)
        facts = report_screen.evaluation_facts(stored, evaluation)
        write_facts(self.json_file, {**facts, "gaps": list(evaluation.gaps)})
        report_screen.say_examples(terminal.console, folder.parent, pack)
        terminal.console.print(f"Report: {folder}", markup=False, soft_wrap=True)

    def check_addition(self) -> None:
        """Refuse options that mean nothing for a table that is added."""
        from study.console import requests

        if self.study is None:
            raise ConfigError("--add-predictions shows a table beside a study: name the study, results/NAME")
        requests.refuse(self, [type(self)], "means nothing with --add-predictions", but=OF_ADDITIONS)

    def added(self, stored: "StoredStudy", table: Path) -> "StoredStudy":
        """Return the study with a table of predictions beside its arms, under `--name` where one is given."""
        from study.console import requests
        from study.design.study_file import named
        from study.imports.added_table import Addition, add_predictions

        assignments = [*(self.set_ or []), *requests.label_settings(self)]
        request = Addition(table, self.config, assignments, self.scale, named(self.models) or ())
        with_table = add_predictions(stored, request)
        return replace(with_table, folder=stored.folder.with_name(self.name)) if self.name else with_table

    def imported(self, terminal: Terminal) -> "StoredStudy":
        """Return the study made of the table of predictions."""
        from study.console import requests
        from study.design.study_file import named
        from study.imports.imported_study import Import, import_predictions

        assert self.predictions is not None
        return import_predictions(
            Import(
                path=self.predictions,
                name=self.name,
                out=self.out,
                config=self.config,
                assignments=[*(self.set_ or []), *requests.label_settings(self)],
                contrasts=_pairs(named(self.contrasts) or []),
                allow_leaky=tuple(self.allow_leaky_column or ()),
                command=["python", "-m", "study.report", *terminal.words],
                notice=self.notice,
                force=self.force,
                scale=self.scale,
                models=named(self.models) or (),
            )
        )


def _pairs(parts: list[str]) -> list[tuple[str, str]]:
    """Read `fusion:image` and its like."""
    pairs = []
    for part in parts:
        first, colon, second = part.partition(":")
        if not colon or not first.strip() or not second.strip():
            raise ConfigError(f"--contrasts {part}: write it as first:second, for example --contrasts fusion:image")
        pairs.append((first.strip(), second.strip()))
    return pairs


app = command.app(Report)

if __name__ == "__main__":
    app()
