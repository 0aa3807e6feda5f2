"""What can be asked of a study on the command line: options that several commands share, declared once, and what they mean.

A command takes them as `data: options.Data = None`, puts what was typed into an `Asked`, and gets a `StudyFile` and a
`Request` from it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from mmbc.data.readers import PHANTOM, find_source
from mmbc.errors import ConfigError, nearest
from study.design.request import EXECUTORS, Request, Tolerance
from study.design.study_file import StudyFile, chosen_arms, column_roles, load, named

COHORT, COMPARISON, PLACES, WORK = "Cohort and labels", "Comparison", "Where things lie", "How the work is done"
"""Panels of `--help`."""


Data = Annotated[
    str | None,
    typer.Option(
        help=(
            "Folder of a cohort, a table of your own images, kind:path, or 'phantom'. Default: mini_ddsm/ if it is"
            " here, else phantom."
        ),
        rich_help_panel=COHORT,
    ),
]
Positive = Annotated[
    str | None,
    typer.Option(help="Classes labelled 1, separated by commas. Default: the cohort's own.", rich_help_panel=COHORT),
]
Negative = Annotated[str | None, typer.Option(help="Classes labelled 0. Default: all others.", rich_help_panel=COHORT)]
LabelLevel = Annotated[
    str | None, typer.Option(help="case or breast: what a label belongs to.", rich_help_panel=COHORT)
]
Columns = Annotated[
    str | None, typer.Option(help="Columns of your table: patient_id=PatID,label=Outcome.", rich_help_panel=COHORT)
]
Features = Annotated[
    str | None,
    typer.Option(
        help="Clinical columns to use, separated by commas. Default: all that qualify.", rich_help_panel=COHORT
    ),
]
AllowLeakyColumn = Annotated[
    list[str] | None,
    typer.Option(
        help="A clinical column that may nearly determine the label; may be repeated.", rich_help_panel=COHORT
    ),
]
Outlines = Annotated[str | None, typer.Option(help="keep, inpaint or sham.", rich_help_panel=COHORT)]
LimitPatients = Annotated[
    int | None, typer.Option(min=4, help="Use a sample of the patients, for a quick try.", rich_help_panel=COHORT)
]
AllowMissingImages = Annotated[
    bool,
    typer.Option(
        "--allow-missing-images", help="Go on without listed files that do not exist.", rich_help_panel=COHORT
    ),
]
MaxUnreadable = Annotated[
    int, typer.Option(min=0, help="How many unreadable images are tolerated.", rich_help_panel=COHORT)
]

Ablation = Annotated[
    str, typer.Option(help="'all', or arms of the study file separated by commas.", rich_help_panel=COMPARISON)
]
Folds = Annotated[
    str,
    typer.Option(
        help="Number of folds, column:NAME, 'site' (leave one out), or a folds.json of your own.",
        rich_help_panel=COMPARISON,
    ),
]
Holdout = Annotated[
    float | None, typer.Option(help="Share of patients in one test part, instead of folds.", rich_help_panel=COMPARISON)
]
TestWhere = Annotated[
    str | None,
    typer.Option(help="Rows of one locked test part, for example \"site == 'B'\".", rich_help_panel=COMPARISON),
]
Repeats = Annotated[int | None, typer.Option(help="Repeats of the cross-validation.", rich_help_panel=COMPARISON)]
Seeds = Annotated[int | None, typer.Option(help="Training seeds.", rich_help_panel=COMPARISON)]
Config = Annotated[
    Path | None, typer.Option(help="Study file (TOML) laid over the preset.", rich_help_panel=COMPARISON)
]
Preset = Annotated[
    str | None,
    typer.Option(
        help="default, demo, paper or tiny. Default: demo for the phantom, else default.", rich_help_panel=COMPARISON
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value, for example train.lr=1e-4; may be repeated.", rich_help_panel=COMPARISON),
]

Name = Annotated[str, typer.Option(help="Name of the study. Default: cohort and preset.", rich_help_panel=PLACES)]
Out = Annotated[Path, typer.Option(help="Where studies lie.", rich_help_panel=PLACES)]
Reports = Annotated[Path, typer.Option(help="Where reports lie.", rich_help_panel=PLACES)]
Figures = Annotated[
    bool, typer.Option("--figures/--no-figures", help="Draw the report's figures.", rich_help_panel=PLACES)
]
WithPredictions = Annotated[
    bool,
    typer.Option(
        "--with-predictions",
        help="Put the predictions and the cohort's table into the report, for a submission.",
        rich_help_panel=PLACES,
    ),
]
JsonFile = Annotated[
    Path | None, typer.Option("--json", help="Write what was printed, for machines.", rich_help_panel=PLACES)
]

Executor = Annotated[str, typer.Option(help="lockstep or sequential; the results are the same.", rich_help_panel=WORK)]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.", rich_help_panel=WORK)]
Jobs = Annotated[
    int,
    typer.Option(
        min=1,
        help="Processes the cells are dealt out over (one a GPU); the results are the same.",
        rich_help_panel=WORK,
    ),
]
MaxLiveFits = Annotated[
    int | None,
    typer.Option(
        min=1, help="Cells that train together at most. Default: as many as fit into memory.", rich_help_panel=WORK
    ),
]
CheckpointEvery = Annotated[
    int, typer.Option(min=0, help="Epochs after which unfinished fits are kept; 0 for never.", rich_help_panel=WORK)
]
CacheGib = Annotated[
    float, typer.Option(min=0.001, help="GiB that features kept between runs may take.", rich_help_panel=WORK)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.", rich_help_panel=WORK)]
Force = Annotated[bool, typer.Option("--force", help="Start over; the old study is kept aside.", rich_help_panel=WORK)]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was typed: one field per shared option, named like it; None where an option that is a setting was not given."""

    data: str | None
    positive: str | None
    negative: str | None
    label_level: str | None
    columns: str | None
    features: str | None
    allow_leaky_column: Sequence[str] | None
    outlines: str | None
    limit_patients: int | None
    allow_missing_images: bool
    max_unreadable: int
    ablation: str
    folds: str
    holdout: float | None
    test_where: str | None
    repeats: int | None
    seeds: int | None
    config: Path | None
    preset: str | None
    set_: Sequence[str] | None
    name: str
    out: Path
    reports: Path
    figures: bool
    with_predictions: bool
    json_file: Path | None
    executor: str
    device: str | None
    jobs: int
    max_live_fits: int | None
    checkpoint_every: int
    cache_gib: float
    dry_run: bool
    force: bool


def study_file(asked: Asked, more: Mapping[str, Any] | None = None) -> StudyFile:
    """Return the settings asked for: preset, under the study file, under `--set`, under the options that are settings.

    Args:
        asked: what was typed.
        more: dotted keys and values from options that a command has for itself; None is 'not given'.

    Raises:
        CohortError: `--data` names nothing that is there.
        ConfigError: an unknown preset, key or value.
    """
    origin = find_source(asked.data)
    preset = asked.preset or ("demo" if origin.kind == PHANTOM else "default")
    options = {
        "protocol.holdout": asked.holdout,
        "protocol.test_where": asked.test_where,
        "protocol.repeats": asked.repeats,
        "protocol.seeds": asked.seeds,
        "run.device": asked.device,
        "data.outlines": asked.outlines,
        "data.label_level": asked.label_level,
        "data.positive": named(asked.positive),
        "data.negative": named(asked.negative),
        "data.features": named(asked.features),
        "protocol.folds": int(asked.folds) if asked.folds.isdigit() else None,
        "protocol.fold_column": _fold_column(asked.folds),
        **(more or {}),
    }
    flags = [f"{key}={json.dumps(value)}" for key, value in options.items() if value is not None]
    roles = [f"data.columns.{key}={json.dumps(column)}" for key, column in column_roles(asked.columns)]
    return load(preset, asked.config, [*(asked.set_ or []), *flags, *roles])


def request(asked: Asked, study: StudyFile) -> Request:
    """Return what is asked for: the settings with the chosen arms alone, and the way the work is done.

    A dry run starts nothing over, whatever `--force` says.

    Raises:
        ConfigError: an unknown arm or executor, with the known ones.
    """
    if asked.executor not in EXECUTORS:
        raise ConfigError(f"--executor {asked.executor!r}; {nearest(asked.executor, EXECUTORS)}")
    check_places(asked)
    tolerance = Tolerance(
        asked.allow_missing_images, asked.max_unreadable, asked.limit_patients, tuple(asked.allow_leaky_column or ())
    )
    return Request(
        source=find_source(asked.data),
        study=_with_arms(study, asked.ablation),
        out=asked.out,
        name=asked.name,
        tolerance=tolerance,
        folds_file=_folds_file(asked.folds),
        executor=asked.executor,
        jobs=asked.jobs,
        max_live_fits=asked.max_live_fits,
        checkpoint_every=asked.checkpoint_every,
        cache_gib=asked.cache_gib,
        force=asked.force and not asked.dry_run,
    )


def check_places(asked: Asked) -> None:
    """Refuse places that nothing can be written to, before any work is done.

    Raises:
        ConfigError: a name that is a path, or a folder in place of a file.
    """
    if asked.name and (Path(asked.name).name != asked.name or asked.name.startswith(".")):
        raise ConfigError(f"--name {asked.name!r}: is the name of a folder, without / and not beginning with a dot")
    if asked.json_file is not None and asked.json_file.is_dir():
        raise ConfigError(f"--json {asked.json_file}: is a folder; name a file")
    if asked.json_file is not None and not asked.json_file.parent.is_dir():
        raise ConfigError(f"--json {asked.json_file}: No such file or directory")


def _fold_column(folds: str) -> str | None:
    """Return the column that `--folds column:NAME` or `--folds site` names."""
    kind, colon, column = folds.partition(":")
    return column if colon and kind == "column" else folds if folds == "site" else None


def _folds_file(folds: str) -> Path | None:
    """Return the file that `--folds` names: what is neither a number nor a column."""
    return None if not folds or folds.isdigit() or _fold_column(folds) else Path(folds)


def _with_arms(study: StudyFile, ablation: str) -> StudyFile:
    chosen = chosen_arms(study, ablation)
    return study.model_copy(update={"arms": {name: study.arms[name] for name in chosen}})
