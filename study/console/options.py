"""Options that several commands share: a dataclass a group, each option declared once (see `mmbc.command`).

A command inherits the groups it has, and declares an option again where it means something else there.
`study.console.requests` makes settings and a request of them. This module loads nothing heavy, since every `--help`
loads it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from study.design.request import CACHE_GIB, CHECKPOINT_EVERY

COHORT, COMPARISON, PLACES, WORK = "Cohort and labels", "Comparison", "Where things lie", "How the work is done"
"""Panels of `--help`."""


@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """Columns and labels of a table: of images, or of predictions."""

    positive: Annotated[
        str | None,
        typer.Option(
            help="Classes labelled 1, separated by commas. Default: the cohort's own.", rich_help_panel=COHORT
        ),
    ] = None
    negative: Annotated[
        str | None, typer.Option(help="Classes labelled 0. Default: all others.", rich_help_panel=COHORT)
    ] = None
    label_level: Annotated[
        str | None, typer.Option(help="case or breast: what a label belongs to.", rich_help_panel=COHORT)
    ] = None
    columns: Annotated[
        str | None, typer.Option(help="Columns of your table: image=File,label=Outcome.", rich_help_panel=COHORT)
    ] = None
    features: Annotated[
        str | None,
        typer.Option(
            help="Clinical columns to use, separated by commas. Default: all that qualify.", rich_help_panel=COHORT
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class CohortSettings(LabelOptions):
    """Settings of a cohort, as the section [data] of a study file has them."""

    outlines: Annotated[str | None, typer.Option(help="keep, inpaint or sham.", rich_help_panel=COHORT)] = None


@dataclass(frozen=True, kw_only=True)
class LeakyColumnOptions:
    """Clinical columns that may tell the label."""

    allow_leaky_column: Annotated[
        list[str] | None,
        typer.Option(
            help="A clinical column that may nearly determine the label; may be repeated.", rich_help_panel=COHORT
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ToleranceOptions(LeakyColumnOptions):
    """Missing and unreadable files, and a sample of the patients."""

    limit_patients: Annotated[
        int | None, typer.Option(min=4, help="Use a sample of the patients, for a quick try.", rich_help_panel=COHORT)
    ] = None
    allow_missing_images: Annotated[
        bool,
        typer.Option(
            "--allow-missing-images", help="Go on without listed files that do not exist.", rich_help_panel=COHORT
        ),
    ] = False
    max_unreadable: Annotated[
        int, typer.Option(min=0, help="How many unreadable images are tolerated.", rich_help_panel=COHORT)
    ] = 0


@dataclass(frozen=True, kw_only=True)
class CohortOptions(CohortSettings, ToleranceOptions):
    """A cohort: its place, its labels, its tolerated faults."""

    data: Annotated[
        str | None,
        typer.Option(
            help=(
                "Folder of a cohort, a table of your own images, kind:path, or 'phantom'. Default: mini_ddsm/ if it is"
                " here, else phantom."
            ),
            rich_help_panel=COHORT,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ConfigOptions:
    """A study file, and single settings over it."""

    config: Annotated[
        Path | None, typer.Option(help="Study file (TOML) laid over the preset.", rich_help_panel=COMPARISON)
    ] = None
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="key=value, for example train.lr=1e-4; may be repeated.", rich_help_panel=COMPARISON
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ProtocolOptions(ConfigOptions):
    """Splits, repeats and seeds, and the settings below them."""

    folds: Annotated[
        str,
        typer.Option(
            help="Number of folds, column:NAME, 'site' (leave one out), or a folds.json of your own.",
            rich_help_panel=COMPARISON,
        ),
    ] = ""
    holdout: Annotated[
        float | None,
        typer.Option(help="Share of patients in one test part, instead of folds.", rich_help_panel=COMPARISON),
    ] = None
    test_where: Annotated[
        str | None,
        typer.Option(help="Rows of one locked test part, for example \"site == 'B'\".", rich_help_panel=COMPARISON),
    ] = None
    repeats: Annotated[
        int | None, typer.Option(help="Repeats of the cross-validation.", rich_help_panel=COMPARISON)
    ] = None
    seeds: Annotated[int | None, typer.Option(help="Training seeds.", rich_help_panel=COMPARISON)] = None
    preset: Annotated[
        str | None,
        typer.Option(
            help="default, demo, paper or tiny. Default: demo for the phantom, else default.",
            rich_help_panel=COMPARISON,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ArmOptions(ProtocolOptions):
    """The arms that are trained, before the protocol they are compared under."""

    ablation: Annotated[
        str, typer.Option(help="'all', or arms of the study file separated by commas.", rich_help_panel=COMPARISON)
    ] = "all"


@dataclass(frozen=True, kw_only=True)
class PlaceOptions:
    """Where results and reports lie."""

    name: Annotated[
        str, typer.Option(help="Name of the study. Default: cohort and preset.", rich_help_panel=PLACES)
    ] = ""
    out: Annotated[Path, typer.Option(help="Where studies lie.", rich_help_panel=PLACES)] = Path("results")
    reports: Annotated[Path, typer.Option(help="Where reports lie.", rich_help_panel=PLACES)] = Path("reports")
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write what was printed, for machines.", rich_help_panel=PLACES)
    ] = None


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Figures and predictions of a report."""

    figures: Annotated[
        bool,
        typer.Option(
            "--figures/--no-figures",
            help="Draw the report's figures; without them it is written in half the time.",
            rich_help_panel=PLACES,
        ),
    ] = True
    with_predictions: Annotated[
        bool,
        typer.Option(
            "--with-predictions",
            help="Put the predictions and the cohort's table into the report, for a submission.",
            rich_help_panel=PLACES,
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """The device models are computed on."""

    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.", rich_help_panel=WORK)] = None


@dataclass(frozen=True, kw_only=True)
class WorkOptions(DeviceOptions):
    """Executor, memory and disk; none of it changes a result."""

    executor: Annotated[
        str, typer.Option(help="lockstep or sequential; the results are the same.", rich_help_panel=WORK)
    ] = "lockstep"
    max_live_fits: Annotated[
        int | None,
        typer.Option(
            min=1, help="Cells that train together at most. Default: as many as fit into memory.", rich_help_panel=WORK
        ),
    ] = None
    cache_gib: Annotated[
        float, typer.Option(min=0.001, help="GiB that features kept between runs may take.", rich_help_panel=WORK)
    ] = CACHE_GIB
    force: Annotated[
        bool, typer.Option("--force", help="Start over; the old study is kept aside.", rich_help_panel=WORK)
    ] = False


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """Processes that share the work."""

    jobs: Annotated[
        int,
        typer.Option(
            min=1,
            help="Processes the cells are dealt out over (one a GPU); the results are the same.",
            rich_help_panel=WORK,
        ),
    ] = 1


@dataclass(frozen=True, kw_only=True)
class CheckpointOptions:
    """Checkpoints of unfinished fits."""

    checkpoint_every: Annotated[
        int, typer.Option(min=0, help="Epochs after which unfinished fits are kept; 0 for never.", rich_help_panel=WORK)
    ] = CHECKPOINT_EVERY


@dataclass(frozen=True, kw_only=True)
class DryRunOptions:
    """A look at the plan."""

    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.", rich_help_panel=WORK)] = False


@dataclass(frozen=True, kw_only=True)
class SettingsOptions(CohortOptions, ProtocolOptions, DeviceOptions):
    """Options that the settings of a study are made of."""


@dataclass(frozen=True, kw_only=True)
class StudyOptions(SettingsOptions, PlaceOptions, WorkOptions):
    """Options of every command that reads a cohort and splits it."""
