"""Turn predictions into a paper pack: `python -m study.report results/NAME`, or `--predictions mine.csv`.

Needs no torch, no GPU and no images.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mmbc.errors import ConfigError, MmbcError, nearest
from study.console.report_screen import show_evaluation
from study.design.study_file import column_roles, named
from study.evaluation.evaluation import Evaluation, evaluate
from study.imports.imported_study import Import, import_predictions
from study.records.stored_study import StoredStudy, load_study
from study.reporting.figures.style import JOURNALS
from study.reporting.pack import Options, write_pack
from study.reporting.text.answer import missing_for_verdicts, unfinished

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

WHAT, TABLE, PACK = "What is reported", "A table of predictions", "The pack"


@app.command()
def main(
    study: Annotated[Path | None, typer.Argument(help="Folder of a study, finished or not: results/NAME.")] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="A table of predictions of models trained anywhere, instead of a study.", rich_help_panel=TABLE
        ),
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Columns of the table: patient_id=PatID,prob=Score.", rich_help_panel=TABLE)
    ] = None,
    positive: Annotated[
        str | None,
        typer.Option(help="Labels that are positive, separated by commas; not needed for 0/1.", rich_help_panel=TABLE),
    ] = None,
    negative: Annotated[
        str | None, typer.Option(help="Labels that are negative. Default: all others.", rich_help_panel=TABLE)
    ] = None,
    label_level: Annotated[
        str | None, typer.Option(help="case or breast: what a label belongs to.", rich_help_panel=TABLE)
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="Clinical columns to use, separated by commas. Default: all that qualify.", rich_help_panel=TABLE
        ),
    ] = None,
    allow_leaky_column: Annotated[
        list[str] | None,
        typer.Option(
            help="A clinical column that may nearly determine the label; may be repeated.", rich_help_panel=TABLE
        ),
    ] = None,
    contrasts: Annotated[
        str | None,
        typer.Option(
            help="Declared pairs of arms: fusion:image,fusion:clinical means the first minus the second of each.",
            rich_help_panel=TABLE,
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Study file (TOML) with the sections data and protocol.", rich_help_panel=TABLE)
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="key=value, for example protocol.delta=0.03; may be repeated.", rich_help_panel=TABLE
        ),
    ] = None,
    notice: Annotated[
        str,
        typer.Option(
            help="A warning that every table and figure carries, for predictions that are no evidence.",
            rich_help_panel=TABLE,
        ),
    ] = "",
    name: Annotated[
        str, typer.Option(help="Name of the study made of the table. Default: the file's.", rich_help_panel=TABLE)
    ] = "",
    out: Annotated[Path, typer.Option(help="Where studies lie.", rich_help_panel=TABLE)] = Path("results"),
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Replace another table's study of the same name; it is kept aside.", rich_help_panel=TABLE
        ),
    ] = False,
    reports: Annotated[Path, typer.Option(help="Where reports lie.", rich_help_panel=PACK)] = Path("reports"),
    replicates: Annotated[int, typer.Option(min=100, help="Bootstrap draws.", rich_help_panel=PACK)] = 2000,
    journal: Annotated[
        str, typer.Option(help=f"Whose column widths figures have: {', '.join(JOURNALS)}.", rich_help_panel=PACK)
    ] = "nature",
    figures: Annotated[
        bool,
        typer.Option(
            "--figures/--no-figures", help="Draw figures; without them it takes half the time.", rich_help_panel=PACK
        ),
    ] = True,
    with_predictions: Annotated[
        bool,
        typer.Option(
            "--with-predictions",
            help="Put the predictions and the cohort's table into the pack, for a submission.",
            rich_help_panel=PACK,
        ),
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write what was printed, for machines.", rich_help_panel=PACK)
    ] = None,
) -> None:
    """Turn a study's predictions into text, tables, figures, numbers and checklists."""
    console = Console()
    try:
        if (study is None) == (predictions is None):
            raise ConfigError("name one thing to report: a study (results/NAME), or a table with --predictions FILE")
        if journal not in JOURNALS:
            raise ConfigError(f"--journal {journal!r}; {nearest(journal, JOURNALS)}")
        if predictions is not None:
            options = {
                "data.positive": named(positive),
                "data.negative": named(negative),
                "data.features": named(features),
                "data.label_level": label_level,
            }
            flags = [f"{key}={json.dumps(value)}" for key, value in options.items() if value is not None]
            roles = [f"data.columns.{key}={json.dumps(column)}" for key, column in column_roles(columns)]
            stored = import_predictions(
                Import(
                    path=predictions,
                    name=name,
                    out=out,
                    config=config,
                    assignments=[*(set_ or []), *flags, *roles],
                    contrasts=_pairs(contrasts),
                    allow_leaky=tuple(allow_leaky_column or ()),
                    command=["python", "-m", "study.report", *sys.argv[1:]],
                    notice=notice,
                    force=force,
                )
            )
        else:
            assert study is not None
            stored = load_study(study)
        evaluation = evaluate(stored, n_replicates=replicates)
        options_ = Options(n_replicates=replicates, journal=journal, figures=figures, archive=with_predictions)
        report = write_pack(stored, evaluation, reports / stored.name, options_)
    except MmbcError as error:
        console.print(f"error {type(error).__name__}: {error}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    _show(console, stored, evaluation)
    if json_file is not None:
        json_file.write_text(json.dumps(_facts(stored, evaluation), indent=1) + "\n", encoding="utf-8")
    console.print(f"Report: {report}", soft_wrap=True)


def _pairs(text: str | None) -> list[tuple[str, str]]:
    """Read `fusion:image,fusion:clinical`."""
    pairs = []
    for part in named(text) or []:
        first, colon, second = part.partition(":")
        if not colon or not first.strip() or not second.strip():
            raise ConfigError(f"--contrasts {part}: write it as first:second, for example --contrasts fusion:image")
        pairs.append((first.strip(), second.strip()))
    return pairs


def _show(console: Console, stored: StoredStudy, evaluation: Evaluation) -> None:
    if missing := unfinished(stored):
        console.print(f"{missing}.", highlight=False, markup=False)
    for note in stored.cohort.notes if stored.imported else ():
        console.print(f"- {note}", highlight=False, markup=False)
    show_evaluation(console, evaluation, stored.cohort.notice)
    if hint := missing_for_verdicts(stored, evaluation).replace("**", "").replace("`", ""):
        console.print(hint, highlight=False, markup=False)


def _facts(stored: StoredStudy, evaluation: Evaluation) -> dict[str, object]:
    return {
        "study": stored.name,
        "summary": evaluation.summary.to_dict("records"),
        "comparisons": evaluation.comparisons.to_dict("records"),
        "gaps": list(evaluation.gaps),
    }


if __name__ == "__main__":
    app()
