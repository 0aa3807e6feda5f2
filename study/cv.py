"""Cross-validate a set of ablations: `python -m study.cv --ablation all`."""

import json
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from mmbc.data.readers import PHANTOM, source
from mmbc.errors import ConfigError, MmbcError, nearest
from study.describe import describe, write_description
from study.evaluate import evaluate
from study.execute import CACHE_GIB, CHECKPOINT_EVERY, EXECUTORS, expected_memory, expected_seconds
from study.live import View, duration
from study.paper.pack import Options, write_pack
from study.paper.planning import resolution
from study.paper.screen import comparisons_lines, summary_table
from study.prepare import Planned, Request, prepare
from study.run import carry_out
from study.screen import arm_table, described, flow_table, fold_table
from study.settings import StudyFile, chosen_arms, column_roles, load, named
from study.stats.planner import Plan, plan
from study.stored import load_study
from study.workplace import Tolerance

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

COHORT, COMPARISON, PLACES, WORK = "Cohort and labels", "Comparison", "Where things lie", "How the work is done"


@app.command()
def main(
    data: Annotated[str | None, typer.Option(help="Folder of a cohort, a table of your own images, kind:path, or 'phantom'. Default: mini_ddsm/ if it is here, else phantom.", rich_help_panel=COHORT)] = None,
    describe_only: Annotated[bool, typer.Option("--describe", help="Show what is understood of the cohort, and stop.", rich_help_panel=COHORT)] = False,
    positive: Annotated[str | None, typer.Option(help="Classes labelled 1, separated by commas. Default: the cohort's own.", rich_help_panel=COHORT)] = None,
    negative: Annotated[str | None, typer.Option(help="Classes labelled 0. Default: all others.", rich_help_panel=COHORT)] = None,
    label_level: Annotated[str | None, typer.Option(help="case or breast: what a label belongs to.", rich_help_panel=COHORT)] = None,
    columns: Annotated[str | None, typer.Option(help="Columns of your table: patient_id=PatID,label=Outcome.", rich_help_panel=COHORT)] = None,
    features: Annotated[str | None, typer.Option(help="Clinical columns to use, separated by commas. Default: all that qualify.", rich_help_panel=COHORT)] = None,
    allow_leaky_column: Annotated[list[str] | None, typer.Option(help="A clinical column that may nearly determine the label; may be repeated.", rich_help_panel=COHORT)] = None,
    outlines: Annotated[str | None, typer.Option(help="keep, inpaint or sham.", rich_help_panel=COHORT)] = None,
    limit_patients: Annotated[int | None, typer.Option(min=4, help="Use a sample of the patients, for a quick try.", rich_help_panel=COHORT)] = None,
    allow_missing_images: Annotated[bool, typer.Option("--allow-missing-images", help="Go on without listed files that do not exist.", rich_help_panel=COHORT)] = False,
    max_unreadable: Annotated[int, typer.Option(min=0, help="How many unreadable images are tolerated.", rich_help_panel=COHORT)] = 0,
    ablation: Annotated[str, typer.Option(help="'all', or arms of the study file separated by commas.", rich_help_panel=COMPARISON)] = "all",
    folds: Annotated[str, typer.Option(help="Number of folds, column:NAME, 'site' (leave one out), or a folds.json of your own.", rich_help_panel=COMPARISON)] = "",
    holdout: Annotated[float | None, typer.Option(help="Share of patients in one test part, instead of folds.", rich_help_panel=COMPARISON)] = None,
    test_where: Annotated[str | None, typer.Option(help="Rows of one locked test part, for example \"site == 'B'\".", rich_help_panel=COMPARISON)] = None,
    repeats: Annotated[int | None, typer.Option(help="Repeats of the cross-validation.", rich_help_panel=COMPARISON)] = None,
    seeds: Annotated[int | None, typer.Option(help="Training seeds.", rich_help_panel=COMPARISON)] = None,
    config: Annotated[Path | None, typer.Option(help="Study file (TOML) laid over the preset.", rich_help_panel=COMPARISON)] = None,
    preset: Annotated[str | None, typer.Option(help="default, demo, paper or tiny. Default: demo for the phantom, else default.", rich_help_panel=COMPARISON)] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value, for example train.lr=1e-4; may be repeated.", rich_help_panel=COMPARISON)] = None,
    name: Annotated[str, typer.Option(help="Name of the study. Default: cohort and preset.", rich_help_panel=PLACES)] = "",
    out: Annotated[Path, typer.Option(help="Where studies lie.", rich_help_panel=PLACES)] = Path("results"),
    reports: Annotated[Path, typer.Option(help="Where reports lie.", rich_help_panel=PLACES)] = Path("reports"),
    figures: Annotated[bool, typer.Option("--figures/--no-figures", help="Draw the report's figures.", rich_help_panel=PLACES)] = True,
    with_predictions: Annotated[bool, typer.Option("--with-predictions", help="Put the predictions and the cohort's table into the report, for a submission.", rich_help_panel=PLACES)] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write what was printed, for machines.", rich_help_panel=PLACES)] = None,
    executor: Annotated[str, typer.Option(help="lockstep or sequential; the results are the same.", rich_help_panel=WORK)] = "lockstep",
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.", rich_help_panel=WORK)] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes the cells are dealt out over (one a GPU); the results are the same.", rich_help_panel=WORK)] = 1,
    max_live_fits: Annotated[int | None, typer.Option(min=1, help="Cells that train together at most. Default: as many as fit into memory.", rich_help_panel=WORK)] = None,
    checkpoint_every: Annotated[int, typer.Option(min=0, help="Epochs after which unfinished fits are kept; 0 for never.", rich_help_panel=WORK)] = CHECKPOINT_EVERY,
    cache_gib: Annotated[float, typer.Option(min=0.001, help="GiB that features kept between runs may take.", rich_help_panel=WORK)] = CACHE_GIB,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.", rich_help_panel=WORK)] = False,
    force: Annotated[bool, typer.Option("--force", help="Start over; the old study is kept aside.", rich_help_panel=WORK)] = False,
) -> None:  # fmt: skip
    """Train every arm in every fold and report what each part of the model contributes.

    Begin with --describe, then --dry-run. Running the same command again continues; more --repeats, --seeds or arms
    extend the study.
    """
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    planned: Planned | None = None
    try:
        origin = source(data)
        preset = preset or ("demo" if origin.kind == PHANTOM else "default")
        options = {
            "protocol.holdout": holdout, "protocol.test_where": test_where, "protocol.repeats": repeats,
            "protocol.seeds": seeds, "run.device": device, "data.outlines": outlines, "data.label_level": label_level,
            "data.positive": named(positive), "data.negative": named(negative), "data.features": named(features),
            "protocol.folds": int(folds) if folds.isdigit() else None, "protocol.fold_column": _fold_column(folds),
        }  # fmt: skip
        flags = [f"{key}={json.dumps(value)}" for key, value in options.items() if value is not None]
        roles = [f"data.columns.{key}={json.dumps(column)}" for key, column in column_roles(columns)]
        study = load(preset, config, [*(set_ or []), *flags, *roles])
        if executor not in EXECUTORS:
            raise ConfigError(f"--executor {executor!r}; {nearest(executor, EXECUTORS)}")
        by_file = folds and not folds.isdigit() and not _fold_column(folds)
        request = Request(
            source=origin, study=_with_arms(study, ablation), out=out, name=name, executor=executor,
            tolerance=Tolerance(allow_missing_images, max_unreadable, limit_patients, tuple(allow_leaky_column or ())),
            folds_file=Path(folds) if by_file else None, force=force and not dry_run, jobs=jobs,
            max_live_fits=max_live_fits, checkpoint_every=checkpoint_every, cache_gib=cache_gib,
        )  # fmt: skip
        with View(console) as view:
            if describe_only:
                _describe(console, request, view, reports, json_file)
                return
            planned = prepare(request, view)
            _show(console, planned)
            _memory(console, planned, request)
            if dry_run:
                _cost(console, planned, request)
                _precision(console, planned)
                _write_json(json_file, _plan_facts(planned))
                return
            left = planned.unfinished(planned.cells)
            view.expect(left, len(planned.cells) - len(left))
            carry_out(planned, request, view, command=["python", "-m", "study.cv", *sys.argv[1:]])
        _report(console, planned.folder, reports, json_file, Options(figures=figures, archive=with_predictions))
    except MmbcError as error:
        console.print(f"[bold red]error[/] {type(error).__name__}:", highlight=False)
        console.print(str(error), highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        console.print(_interrupted(planned))
        raise typer.Exit(130) from None


def _fold_column(folds: str) -> str | None:
    """Return the column that `--folds column:NAME` or `--folds site` names."""
    kind, colon, column = folds.partition(":")
    return column if colon and kind == "column" else folds if folds == "site" else None


def _with_arms(study: StudyFile, ablation: str) -> StudyFile:
    chosen = chosen_arms(study, ablation)
    return study.model_copy(update={"arms": {name: study.arms[name] for name in chosen}})


def _describe(console: Console, request: Request, view: View, reports: Path, json_file: Path | None) -> None:
    description = describe(request, view)
    for part in described(description):
        console.print(part, highlight=False)
    _write_json(json_file, description.facts())
    file = write_description(description, reports)
    console.print(f"The same as Markdown: {file}", highlight=False, soft_wrap=True)


def _show(console: Console, planned: Planned) -> None:
    cohort = planned.cohort
    if cohort.notice:
        console.print(f"[bold]{cohort.notice}[/]")
    console.print(f"Study {planned.folder}: {len(cohort.images)} images of {cohort.n_patients} patients")
    console.print(flow_table(cohort), fold_table(planned.folds, cohort.images, cohort.notice), arm_table(planned))
    if cohort.features:
        console.print(f"Clinical columns: {', '.join(map(str, cohort.features))}", highlight=False, markup=False)
    for note in (*cohort.notes, *planned.notes):
        console.print(f"- {note}", highlight=False, markup=False)


def _memory(console: Console, planned: Planned, request: Request) -> None:
    """Say what the run will take of the memory, and whether the cells train in waves."""
    groups = expected_memory(planned.unfinished(planned.cells), planned.cohort, request.executor)
    if not groups or request.executor == "sequential":
        return
    group = max(groups, key=lambda group: group.needed)
    together = min(group.n_live, request.max_live_fits or group.n_live)
    waves = "" if together >= group.n_cells else f", {together} at a time (--max-live-fits)"
    others = (
        "" if len(groups) == 1 else f"; the largest of {len(groups)} groups (seeds, backbones), one after the other"
    )
    console.print(
        f"Memory for {group.n_cells} cells{waves}, beside the program's own: about "
        f"{_bytes(group.shared + together * group.per_fit)} of {_bytes(group.free)} free "
        f"({_bytes(group.shared)} shared, {_bytes(group.per_fit)} a fit){others}",
        highlight=False,
    )


def _bytes(n: int) -> str:
    return f"{n / 2**30:.1f} GiB" if n >= 2**30 else f"{n / 2**20:.{0 if n >= 2**20 else 2}f} MiB"


def _cost(console: Console, planned: Planned, request: Request) -> None:
    left = planned.unfinished(planned.cells)
    if not left:
        console.print("Every cell is finished; the command would write the report again.")
        return
    seconds = expected_seconds(left, len(planned.cohort.images), request.executor)
    console.print(
        f"{len(left)} cells to train; at most about {duration(seconds)} ({request.executor}, every fit to its last epoch)"
    )


EXPECTED_AUC = 0.8
"""What a dry run supposes of results it cannot know."""


def _precision(console: Console, planned: Planned) -> None:
    """Say what the cohort at hand can show, before anything is trained."""
    images, protocol = planned.cohort.images, planned.study.protocol
    n_folds = len({cell.fold for cell in planned.cells})
    positive = images.groupby("patient_id")["label"].max()
    try:
        inputs = Plan(
            len(positive), float(positive.mean()), EXPECTED_AUC, len(images) / len(positive), n_folds, protocol.repeats,
            delta=protocol.delta,
        )  # fmt: skip
    except ValueError as error:
        console.print(f"No plan of what can be shown: {error}.", highlight=False, markup=False)
        return
    result = plan(inputs)
    console.print(
        f"If the AUC is {EXPECTED_AUC:g}: 95 % interval {result.e1_patient.low:.3f} to {result.e1_patient.high:.3f}, smallest "
        f"difference found with power {inputs.power:g} {result.detectable_e1:.3f} (E1), {result.detectable_e2:.3f} (E2). "
        f"{resolution(result)} More: python -m study.precision --help",
        highlight=False, markup=False,
    )  # fmt: skip


def _report(console: Console, folder: Path, reports: Path, json_file: Path | None, options: Options) -> None:
    stored = load_study(folder)
    evaluation = evaluate(stored)
    report = write_pack(stored, evaluation, reports / stored.name, options)
    console.print(summary_table(evaluation, stored.cohort.notice))
    for line in comparisons_lines(evaluation):
        console.print(f"- {line}", highlight=False, markup=False)
    _write_json(json_file, {
        "study": stored.name, "summary": evaluation.summary.to_dict("records"),
        "comparisons": evaluation.comparisons.to_dict("records"),
    })  # fmt: skip
    console.print(f"Report: {report}", soft_wrap=True)


def _plan_facts(planned: Planned) -> dict[str, Any]:
    return {
        "study": planned.folder.name, "flow": planned.cohort.flow.to_dict("records"),
        "cells": [cell.name for cell in planned.cells],
        "to_train": [cell.name for cell in planned.unfinished(planned.cells)],
    }  # fmt: skip


def _write_json(file: Path | None, facts: dict[str, Any]) -> None:
    if file is not None:
        file.write_text(json.dumps(facts, indent=1, default=float) + "\n", encoding="utf-8")


def _interrupted(planned: Planned | None) -> str:
    if planned is None:
        return "Interrupted before training; nothing of the study was begun."
    n = len(planned.cells) - len(planned.unfinished(planned.cells))
    return f"Interrupted. {n} of {len(planned.cells)} cells are finished and kept; the same command continues."


if __name__ == "__main__":
    app()
