"""Search hyper-parameters without fooling yourself: `python -m study.search --ablation all --trials 50`."""

import dataclasses
import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import optuna
import typer
from rich.console import Console

from mmbc.errors import ConfigError, MmbcError, some
from study.console import options, search_screen
from study.console.options import WORK, Asked
from study.console.report_screen import write_report
from study.console.terminal import show_error, write_facts
from study.design.request import CACHE_GIB, Request
from study.design.search_results import FOLDER
from study.design.search_space import holes_of, read_space
from study.design.study_file import Search, StudyFile
from study.records.search_archive import read_searched
from study.reporting.pack import Options
from study.training.preparation import Planned, prepare
from study.tuning import dashboard, driver
from study.tuning.storage import DATABASE, shown
from study.tuning.targets import Target, targets_of

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

SEARCH = "Search"


@app.command()
def main(
    trials: Annotated[
        int | None, typer.Option(min=1, help="Trials of every arm in every fold. Default: 50.", rich_help_panel=SEARCH)
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            help=(
                "nested: inside every fold, tested honestly; flat: once for each arm, quicker and optimistic. Default:"
                " nested."
            ),
            rich_help_panel=SEARCH,
        ),
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(
            help=(
                "What is searched (TOML, a configuration with holes). Default: dropout, learning rates, fine-tuned"
                " blocks."
            ),
            rich_help_panel=SEARCH,
        ),
    ] = None,
    inner_folds: Annotated[
        int | None, typer.Option(min=2, help="Inner folds of a nested search. Default: 3.", rich_help_panel=SEARCH)
    ] = None,
    pruner: Annotated[
        str | None, typer.Option(help="median, halving or none. Default: median.", rich_help_panel=SEARCH)
    ] = None,
    select: Annotated[
        str | None,
        typer.Option(
            help="best: the best mean; one-se: the cheapest within a standard error of it. Default: best.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    whole: Annotated[
        bool | None,
        typer.Option(
            "--best-toml/--no-best-toml",
            help="Search on the whole cohort too, for best.toml. Default: yes.",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    wave: Annotated[
        int,
        typer.Option(
            min=1,
            help="Trials of an arm in a fold that are asked for at once, and train together.",
            rich_help_panel=SEARCH,
        ),
    ] = driver.WAVE,
    storage: Annotated[
        str | None,
        typer.Option(
            envvar="MMBC_STORAGE",
            help=(
                "Where trials are kept: postgresql://..., mysql://..., or journal:FILE on a network disk. Several"
                " machines that run the same command share the work. Default: a file beside the study."
            ),
            rich_help_panel=SEARCH,
        ),
    ] = None,
    show_dashboard: Annotated[
        bool,
        typer.Option(
            "--dashboard",
            help="Open Optuna's dashboard on a search (--name or --storage) instead of searching.",
            rich_help_panel=SEARCH,
        ),
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the dashboard; 0 for any that is free.", rich_help_panel=SEARCH)
    ] = 8080,
    data: options.Data = None,
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
    executor: Annotated[
        str,
        typer.Option(
            help="lockstep; or sequential, one fit after the other, which prunes nothing.", rich_help_panel=WORK
        ),
    ] = "lockstep",
    device: options.Device = None,
    max_live_fits: options.MaxLiveFits = None,
    cache_gib: options.CacheGib = CACHE_GIB,
    dry_run: options.DryRun = False,
    force: options.Force = False,
) -> None:
    """Search every arm's settings with the same budget, train the winners, and test each once.

    Begin with --dry-run. Running the same command again continues; on several machines or GPUs, with one --storage, it
    shares the work. The report says what was searched, what was chosen in each fold, and what the whole procedure
    achieves.
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
        jobs=1,
        max_live_fits=max_live_fits,
        checkpoint_every=0,
        cache_gib=cache_gib,
        dry_run=dry_run,
        force=force,
    )
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    planned: Planned | None = None
    try:
        if show_dashboard:
            _dashboard(console, out, name, storage, port)
            return
        rules = {
            "trials": trials,
            "mode": mode,
            "inner_folds": inner_folds,
            "pruner": pruner,
            "select": select,
            "whole": whole,
        }
        request = options.request(asked, _study(asked, rules, space))
        way = driver.Way(storage, wave)
        with search_screen.WaveView(console) as view:
            planned = prepare(request, view)
            targets = targets_of(planned)
            together = _show(console, planned, targets, way, request)
            _say_what_is_there(console, planned, request)
            if dry_run:
                seconds = driver.expected(planned, targets, request, together)
                console.print(search_screen.cost_line(seconds), highlight=False)
                write_facts(json_file, _plan_facts(planned, targets))
                return
            found = driver.search(
                planned,
                request,
                way,
                observer=view,
                command=_command(storage),
                said=lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True),
            )
        console.print(search_screen.winners_table(found, list(planned.study.arms), planned.cohort.notice))
        console.print(search_screen.took(found), highlight=False)
        write_report(console, planned.folder, reports, json_file, Options(figures=figures, archive=with_predictions))
        _say_where(console, planned)
    except MmbcError as error:
        show_error(console, error)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        console.print(_interrupted(planned))
        raise typer.Exit(130) from None


def _study(asked: Asked, rules: Mapping[str, Any], space: Path | None) -> StudyFile:
    """Return the settings with the search that is asked for: a section [search] of the study file, under the options."""
    own = {f"search.{key}": value for key, value in rules.items()}
    study = options.study_file(asked, own)
    search = study.search or Search()
    if space is None and search.space:
        return study
    plain, holes = read_space(space)
    fixed = [f"{key}={json.dumps(value)}" for key, value in plain.items()]
    study = options.study_file(dataclasses.replace(asked, set_=[*fixed, *(asked.set_ or [])]), own)
    return study.model_copy(update={"search": search.model_copy(update={"space": holes})})


def _show(console: Console, planned: Planned, targets: list[Target], way: driver.Way, request: Request) -> int:
    """Print the plan and return how many trials a wave has."""
    search_screen.show(console, planned, targets)
    groups = driver.wave_memory(planned, targets, way.wave, request.executor)
    together = driver.trials_together(targets, way, request, groups)
    console.print(search_screen.memory_line(groups, together, way.wave * len(targets)), highlight=False)
    kept = shown(way.storage) or str(planned.folder / FOLDER / DATABASE)
    console.print(f"Trials are kept in {kept}", highlight=False, soft_wrap=True)
    return together


def _say_what_is_there(console: Console, planned: Planned, request: Request) -> None:
    """Say how much of a continued search is done, and if it is larger than asked for."""
    asked, search, found = request.study.search, planned.study.search, read_searched(planned.folder)
    assert asked is not None and search is not None
    if found is not None:
        console.print(f"{len(found.trials)} trials of this search are there already.", highlight=False)
    if asked.trials < search.trials:
        console.print(f"It was begun with {search.trials} trials each and ends with these.", highlight=False)


def _say_where(console: Console, planned: Planned) -> None:
    best = planned.folder / FOLDER / "best.toml"
    if best.exists():
        console.print(f"Settings for new data: {best}", highlight=False, soft_wrap=True)
    console.print(
        f"Dashboard: python -m study.search --dashboard --name {planned.folder.name}", highlight=False, soft_wrap=True
    )


def _command(storage: str | None) -> list[str]:
    """Return the command as typed, without a password."""
    words = [word.replace(storage, shown(storage)) if storage else word for word in sys.argv[1:]]
    return ["python", "-m", "study.search", *words]


def _plan_facts(planned: Planned, targets: list[Target]) -> dict[str, Any]:
    return {
        "study": planned.folder.name,
        "flow": planned.cohort.flow.to_dict("records"),
        "searches": [target.name for target in targets],
        "trials": targets[0].search.trials,
        "space": {hole.key: hole.described() for hole in holes_of(planned.study)},
        "fits": len(targets) * targets[0].search.trials * len(targets[0].splits),
    }


def _dashboard(console: Console, out: Path, name: str, storage: str | None, port: int) -> None:
    folder = out / name if name else _only_search(out, storage)
    dashboard.serve(
        driver.storage_of(folder, storage),
        driver.artifacts(folder),
        port=port,
        announce=lambda address: console.print(
            f"Optuna's dashboard: {address} (Ctrl-C ends it)", highlight=False, soft_wrap=True
        ),
    )


def _only_search(out: Path, storage: str | None) -> Path:
    """Return the one search there is below a folder, or with a storage any."""
    found = sorted(path.parent.parent for path in out.glob(f"*/{FOLDER}/{DATABASE}"))
    if len(found) == 1 or storage is not None:
        return found[0] if found else out / "search"
    known = f"it has {some(path.name for path in found)}; name one with --name" if found else "it has none"
    raise ConfigError(f"--dashboard: which search below {out}? {known}")


def _interrupted(planned: Planned | None) -> str:
    if planned is None:
        return "Interrupted before the search; nothing was begun."
    found = read_searched(planned.folder)
    n = len(found.trials) if found is not None else 0
    return f"Interrupted. {n} trials are finished and kept, those at work were handed back; the same command continues."


if __name__ == "__main__":
    app()
