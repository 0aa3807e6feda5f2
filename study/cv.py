"""Cross-validate a set of ablations: `python -m study.cv --ablation all`."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mmbc.errors import ConfigError, MmbcError
from study.cohort.description import describe, write_description
from study.console import options
from study.console.live_view import View
from study.console.options import COHORT, Asked
from study.console.plan_screen import interrupted, plan_facts, show, show_description, show_forecast
from study.console.report_screen import write_report
from study.console.terminal import show_error, write_facts
from study.design.request import CACHE_GIB, CHECKPOINT_EVERY, Request
from study.design.study_file import StudyFile
from study.reporting.pack import Options
from study.training.preparation import Planned, prepare
from study.training.run import carry_out

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    data: options.Data = None,
    describe_only: Annotated[
        bool,
        typer.Option("--describe", help="Show what is understood of the cohort, and stop.", rich_help_panel=COHORT),
    ] = False,
    positive: options.Positive = None,
    negative: options.Negative = None,
    label_level: options.LabelLevel = None,
    columns: options.Columns = None,
    features: options.Features = None,
    allow_leaky_column: options.AllowLeakyColumn = None,
    outlines: options.Outlines = None,
    limit_patients: options.LimitPatients = None,
    allow_missing_images: options.AllowMissingImages = False,
    max_unreadable: options.MaxUnreadable = 0,
    ablation: options.Ablation = "all",
    folds: options.Folds = "",
    holdout: options.Holdout = None,
    test_where: options.TestWhere = None,
    repeats: options.Repeats = None,
    seeds: options.Seeds = None,
    config: options.Config = None,
    preset: options.Preset = None,
    set_: options.Set = None,
    name: options.Name = "",
    out: options.Out = Path("results"),
    reports: options.Reports = Path("reports"),
    figures: options.Figures = True,
    with_predictions: options.WithPredictions = False,
    json_file: options.JsonFile = None,
    executor: options.Executor = "lockstep",
    device: options.Device = None,
    jobs: options.Jobs = 1,
    max_live_fits: options.MaxLiveFits = None,
    checkpoint_every: options.CheckpointEvery = CHECKPOINT_EVERY,
    cache_gib: options.CacheGib = CACHE_GIB,
    dry_run: options.DryRun = False,
    force: options.Force = False,
) -> None:
    """Train every arm in every fold and report what each part of the model contributes.

    Begin with --describe, then --dry-run. Running the same command again continues; more --repeats, --seeds or arms
    extend the study.
    """
    asked = Asked(
        data=data,
        positive=positive,
        negative=negative,
        label_level=label_level,
        columns=columns,
        features=features,
        allow_leaky_column=allow_leaky_column,
        outlines=outlines,
        limit_patients=limit_patients,
        allow_missing_images=allow_missing_images,
        max_unreadable=max_unreadable,
        ablation=ablation,
        folds=folds,
        holdout=holdout,
        test_where=test_where,
        repeats=repeats,
        seeds=seeds,
        config=config,
        preset=preset,
        set_=set_,
        name=name,
        out=out,
        reports=reports,
        figures=figures,
        with_predictions=with_predictions,
        json_file=json_file,
        executor=executor,
        device=device,
        jobs=jobs,
        max_live_fits=max_live_fits,
        checkpoint_every=checkpoint_every,
        cache_gib=cache_gib,
        dry_run=dry_run,
        force=force,
    )
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    planned: Planned | None = None
    try:
        request = options.request(asked, _without_search(options.study_file(asked)))
        with View(console) as view:
            if describe_only:
                _describe(console, request, view, asked)
                return
            planned = prepare(request, view)
            show(console, planned, request)
            if dry_run:
                show_forecast(console, planned, request)
                write_facts(json_file, plan_facts(planned))
                return
            left = planned.unfinished(planned.cells)
            view.expect(left, len(planned.cells) - len(left))
            carry_out(planned, request, view, command=["python", "-m", "study.cv", *sys.argv[1:]])
        write_report(console, planned.folder, reports, json_file, Options(figures=figures, archive=with_predictions))
    except MmbcError as error:
        show_error(console, error)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        console.print(interrupted(planned))
        raise typer.Exit(130) from None


def _without_search(study: StudyFile) -> StudyFile:
    """Refuse settings that are to be searched: here they would be trained as they stand."""
    if study.search is not None:
        raise ConfigError(
            "the study has a section [search]: its settings are to be searched, and study.cv trains with fixed ones. "
            "Use python -m study.search with the same options, or leave the section out"
        )
    return study


def _describe(console: Console, request: Request, view: View, asked: Asked) -> None:
    description = describe(request, view)
    show_description(console, description)
    write_facts(asked.json_file, description.facts())
    file = write_description(description, asked.reports)
    console.print(f"The same as Markdown: {file}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    app()
