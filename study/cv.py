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
from study.evaluate import evaluate
from study.execute import EXECUTORS, expected_seconds
from study.live import View, duration
from study.paper.pack import write_report
from study.paper.screen import summary_table
from study.record import load_study
from study.run import Planned, Request, carry_out, prepare
from study.screen import arm_table, flow_table, fold_table
from study.settings import StudyFile, chosen_arms, load
from study.workplace import Tolerance

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    data: Annotated[str | None, typer.Option(help="Folder of a cohort, kind:folder, or 'phantom'. Default: mini_ddsm/ if it is here, else phantom.")] = None,
    ablation: Annotated[str, typer.Option(help="'all', or arms of the study file separated by commas.")] = "all",
    folds: Annotated[str, typer.Option(help="Number of folds, or a folds.json of your own.")] = "",
    holdout: Annotated[float | None, typer.Option(help="Share of patients in one test part, instead of folds.")] = None,
    repeats: Annotated[int | None, typer.Option(help="Repeats of the cross-validation.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Training seeds.")] = None,
    config: Annotated[Path | None, typer.Option(help="Study file (TOML) laid over the preset.")] = None,
    preset: Annotated[str | None, typer.Option(help="default, demo, paper or tiny. Default: demo for the phantom, else default.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value, for example train.lr=1e-4; may be repeated.")] = None,
    name: Annotated[str, typer.Option(help="Name of the study. Default: cohort and preset.")] = "",
    out: Annotated[Path, typer.Option(help="Where studies lie.")] = Path("results"),
    reports: Annotated[Path, typer.Option(help="Where reports lie.")] = Path("reports"),
    executor: Annotated[str, typer.Option(help="lockstep or sequential; the results are the same.")] = "lockstep",
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    outlines: Annotated[str | None, typer.Option(help="keep, inpaint or sham.")] = None,
    limit_patients: Annotated[int | None, typer.Option(min=4, help="Use a sample of the patients, for a quick try.")] = None,
    allow_missing_images: Annotated[bool, typer.Option("--allow-missing-images", help="Go on without listed files that do not exist.")] = False,
    max_unreadable: Annotated[int, typer.Option(min=0, help="How many unreadable images are tolerated.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Start over; the old study is kept aside.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write what was printed, for machines.")] = None,
) -> None:  # fmt: skip
    """Train every arm in every fold and report what each part of the model contributes.

    Running the same command again continues; more --repeats, --seeds or arms extend the study.
    """
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    planned: Planned | None = None
    try:
        origin = source(data)
        preset = preset or ("demo" if origin.kind == PHANTOM else "default")
        options = {
            "protocol.holdout": holdout, "protocol.repeats": repeats, "protocol.seeds": seeds, "run.device": device,
            "data.outlines": outlines, "protocol.folds": int(folds) if folds.isdigit() else None,
        }  # fmt: skip
        flags = [f"{key}={json.dumps(value)}" for key, value in options.items() if value is not None]
        study = load(preset, config, [*(set_ or []), *flags])
        if executor not in EXECUTORS:
            raise ConfigError(f"--executor {executor!r}; {nearest(executor, EXECUTORS)}")
        request = Request(
            source=origin, study=_with_arms(study, ablation), out=out, name=name, executor=executor,
            tolerance=Tolerance(allow_missing_images, max_unreadable, limit_patients),
            folds_file=Path(folds) if folds and not folds.isdigit() else None, force=force and not dry_run,
        )  # fmt: skip
        with View(console) as view:
            planned = prepare(request, view)
            _show(console, planned)
            if dry_run:
                _cost(console, planned, request)
                _write_json(json_file, _plan_facts(planned))
                return
            left = planned.unfinished(planned.cells)
            view.expect(left, len(planned.cells) - len(left))
            carry_out(planned, request, view, command=["python", "-m", "study.cv", *sys.argv[1:]])
        _report(console, planned.folder, reports, json_file)
    except MmbcError as error:
        console.print(f"[bold red]error[/] {type(error).__name__}:", highlight=False)
        console.print(str(error), highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        console.print(_interrupted(planned))
        raise typer.Exit(130) from None


def _with_arms(study: StudyFile, ablation: str) -> StudyFile:
    chosen = chosen_arms(study, ablation)
    return study.model_copy(update={"arms": {name: study.arms[name] for name in chosen}})


def _show(console: Console, planned: Planned) -> None:
    cohort = planned.cohort
    if cohort.notice:
        console.print(f"[bold]{cohort.notice}[/]")
    console.print(f"Study {planned.folder}: {len(cohort.images)} images of {cohort.n_patients} patients")
    console.print(flow_table(cohort), fold_table(planned.folds, cohort.images, cohort.notice), arm_table(planned))
    for note in (*cohort.notes, *planned.notes):
        console.print(f"- {note}", highlight=False, markup=False)


def _cost(console: Console, planned: Planned, request: Request) -> None:
    left = planned.unfinished(planned.cells)
    if not left:
        console.print("Every cell is finished; the command would write the report again.")
        return
    seconds = expected_seconds(left, len(planned.cohort.images), request.executor)
    console.print(
        f"{len(left)} cells to train; at most about {duration(seconds)} ({request.executor}, every fit to its last epoch)"
    )


def _report(console: Console, folder: Path, reports: Path, json_file: Path | None) -> None:
    stored = load_study(folder)
    evaluation = evaluate(stored)
    report = write_report(stored, evaluation, reports / stored.name)
    console.print(summary_table(evaluation, stored.cohort.notice))
    _write_json(json_file, {"study": stored.name, "summary": evaluation.summary.to_dict("records")})
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
