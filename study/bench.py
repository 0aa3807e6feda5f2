"""How fast the project is on this machine, and how right its intervals are: `python -m study.bench --data PATH`."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from mmbc.command import show_error
from mmbc.errors import ConfigError, MmbcError
from study.console.terminal import write_facts
from study.design.request import Tolerance

if TYPE_CHECKING:  # they load torch
    from study.benchmarks.contest import Rules
    from study.benchmarks.material import Material

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
KIND, COHORT, CONTEST, COVERAGE = "What is measured", "Cohort and settings", "Training contest", "Coverage simulation"
"""Panels of `--help`."""


@app.command()
def main(
    search: Annotated[
        bool,
        typer.Option(
            "--search",
            help="One wave of a nested search, against the same trials one after another.",
            rich_help_panel=KIND,
        ),
    ] = False,
    audit: Annotated[
        bool,
        typer.Option(
            "--audit", help="The looks of an audit and the treatments of outlines, per image.", rich_help_panel=KIND
        ),
    ] = False,
    statistics: Annotated[
        bool, typer.Option("--statistics", help="The patient bootstrap, on simulated scores.", rich_help_panel=KIND)
    ] = False,
    pack: Annotated[
        bool,
        typer.Option("--pack", help="The paper pack, on simulated predictions of 9684 images.", rich_help_panel=KIND),
    ] = False,
    coverage: Annotated[
        bool,
        typer.Option(
            "--coverage", help="Intervals and verdicts against known truths, not the time.", rich_help_panel=KIND
        ),
    ] = False,
    data: Annotated[
        str | None, typer.Option(help="The cohort; default as in study.cv.", rich_help_panel=COHORT)
    ] = None,
    ablation: Annotated[str, typer.Option(help="'all', or arms separated by commas.", rich_help_panel=COHORT)] = "all",
    preset: Annotated[str | None, typer.Option(help="default, demo, paper or tiny.", rich_help_panel=COHORT)] = None,
    config: Annotated[
        Path | None, typer.Option(help="Study file (TOML) laid over the preset.", rich_help_panel=COHORT)
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value; may be repeated.", rich_help_panel=COHORT)
    ] = None,
    limit_patients: Annotated[
        int, typer.Option(min=0, help="Patients of the cohort that are used; 0 for all.", rich_help_panel=COHORT)
    ] = 40,
    allow_missing_images: Annotated[
        bool,
        typer.Option(
            "--allow-missing-images", help="Go on without listed files that do not exist.", rich_help_panel=COHORT
        ),
    ] = False,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of every fit.", rich_help_panel=COHORT)] = 2,
    out: Annotated[Path, typer.Option(help="Where it may write while it runs.", rich_help_panel=COHORT)] = Path(
        "results"
    ),
    contenders: Annotated[
        str,
        typer.Option(
            help="Of naive, careful, sequential, lockstep, repeat, tenfold, separated by commas.",
            show_default="the first four",
            rich_help_panel=CONTEST,
        ),
    ] = "naive,careful,sequential,lockstep",
    replicate: Annotated[
        int, typer.Option(min=1, help="Repeat a small cohort so often under new patient ids.", rich_help_panel=CONTEST)
    ] = 1,
    cells_per_arm: Annotated[
        int,
        typer.Option(
            min=1, help="Cells of an arm that the slow contenders train; the rest is scaled.", rich_help_panel=CONTEST
        ),
    ] = 1,
    replicates: Annotated[
        int, typer.Option(min=20, help="Simulated studies in each of the 36 settings.", rich_help_panel=COVERAGE)
    ] = 500,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.", rich_help_panel=COVERAGE)] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of all random numbers.", rich_help_panel=COVERAGE)] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers, for machines.")] = None,
) -> None:
    """Time this project's executors against the loops everybody writes, on your cohort and this machine.

    Pretrained weights are not needed: the time does not depend on them.
    """
    console = Console()
    said = partial(console.print, highlight=False)
    try:
        kind = _kind(search=search, audit=audit, statistics=statistics, pack=pack, coverage=coverage)
        if kind == "coverage":
            from study.benchmarks.coverage import interval_coverage

            facts = interval_coverage(replicates, jobs=jobs, seed=seed, said=said)
        elif kind in ("statistics", "pack"):
            facts = _simulation_speed(kind)
        else:
            from study.benchmarks.contest import Rules
            from study.benchmarks.material import open_material

            rules = Rules.parse(contenders, epochs=epochs, replicate=replicate, cells_per_arm=cells_per_arm)
            tolerance = Tolerance(allow_missing_images, 0, limit_patients or None)
            with open_material(data, preset, config, set_ or [], ablation, tolerance, out, said) as material:
                facts = _speed_on(kind, material, rules, said)
        show(console, kind, facts)
        write_facts(json_file, facts)
    except MmbcError as error:
        show_error(console, error)
        raise typer.Exit(2) from None


def _kind(**chosen: bool) -> str:
    """Return what is to be measured; the training contest where nothing is named."""
    kinds = [kind for kind, is_chosen in chosen.items() if is_chosen]
    if len(kinds) > 1:
        raise ConfigError(f"one thing at a time: --{kinds[0]} or --{kinds[1]}")
    return kinds[0] if kinds else "contest"


def show(console: Console, kind: str, facts: dict[str, Any]) -> None:
    """Print what was measured."""
    from study.console.bench_screen import SCREENS

    SCREENS[kind](console, facts)


def _simulation_speed(kind: str) -> dict[str, float]:
    from study.benchmarks.pack_speed import pack_speed
    from study.benchmarks.statistics_speed import statistics_speed

    return statistics_speed() if kind == "statistics" else pack_speed()


def _speed_on(kind: str, material: "Material", rules: "Rules", said: Callable[[str], None]) -> dict[str, Any]:
    if kind == "audit":
        from study.benchmarks.audit_speed import audit_speed

        return dict(audit_speed(material))
    if kind == "search":
        from study.benchmarks.search_speed import search_speed

        return search_speed(material, rules.epochs, said)
    from study.benchmarks.contest import training_contest

    return training_contest(material, rules, said) | {"command": ["python", "-m", "study.bench", *sys.argv[1:]]}


if __name__ == "__main__":
    app()
