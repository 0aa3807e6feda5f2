"""Options that several commands share: a dataclass a group, each option declared once (see `mmbc.command`).

A command inherits the groups it has, and declares an option again where it means something else there.
`study.console.requests` makes settings and a request of them. This module loads nothing heavy, since every `--help`
loads it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from mmbc.command import options_of
from study.design.request import CACHE_GIB, CHECKPOINT_EVERY, TRACKERS, WAVE

cohort_option = options_of("Cohort and labels")
comparison_option = options_of("Comparison")
place_option = options_of("Where things lie")
work_option = options_of("How the work is done")
audit_option = options_of("Audit")
table_option = options_of("A table of predictions")
search_option = options_of("Search")

MANY = 1_000_000
"""More of anything than anybody means: a slip of the finger."""


@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """Columns and labels of a table: of images, or of predictions."""

    positive: Annotated[
        str | None, cohort_option("Classes labelled 1, separated by commas. Default: the cohort's own.")
    ] = None
    negative: Annotated[str | None, cohort_option("Classes labelled 0. Default: all others.")] = None
    label_level: Annotated[str | None, cohort_option("case or breast: what a label belongs to.")] = None
    conflicts: Annotated[
        str | None,
        cohort_option(
            "Labels that differ within a case or breast: any (positive if one image is), or exclude (leave such breasts"
            " and identical images out). Default: stop."
        ),
    ] = None
    columns: Annotated[
        str | None,
        cohort_option("Which columns of your table are meant, as in label=Outcome; several with commas between."),
    ] = None
    merge_ids: Annotated[
        bool, cohort_option("Patient keys that differ in spelling alone (P01 and p01) are one patient.", "--merge-ids")
    ] = False
    distinct_ids: Annotated[
        bool, cohort_option("Patient keys that differ in spelling alone are different patients.", "--distinct-ids")
    ] = False
    features: Annotated[
        str | None, cohort_option("Clinical columns to use, separated by commas. Default: all that qualify.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class CohortSettings(LabelOptions):
    """Settings of a cohort, as the section [data] of a study file has them."""

    outlines: Annotated[str | None, cohort_option("Lesion outlines in the pixels: keep, inpaint or sham.")] = None


@dataclass(frozen=True, kw_only=True)
class LeakyColumnOptions:
    """Clinical columns that may tell the label."""

    allow_leaky_column: Annotated[
        list[str] | None,
        cohort_option("Use this clinical column even if it nearly determines the label; may be repeated."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ToleranceOptions(LeakyColumnOptions):
    """Missing and unreadable files, and a sample of the patients."""

    limit_patients: Annotated[
        int | None, cohort_option("Use a sample of the patients, for a quick try.", min=4, max=MANY)
    ] = None
    allow_missing_images: Annotated[
        bool, cohort_option("Go on without listed files that do not exist.", "--allow-missing-images")
    ] = False
    max_unreadable: Annotated[int, cohort_option("How many unreadable images are tolerated.", min=0, max=MANY)] = 0


@dataclass(frozen=True, kw_only=True)
class CohortOptions(CohortSettings, ToleranceOptions):
    """A cohort: its place, its labels, its tolerated faults."""

    data: Annotated[
        str | None,
        cohort_option(
            "Folder of a cohort, a table of your own images, kind:path, or 'phantom'. Default: mini_ddsm/ if it"
            " is here, else phantom."
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ConfigOptions:
    """A study file, and single settings over it."""

    config: Annotated[Path | None, comparison_option("Study file (TOML) laid over the preset.")] = None
    set_: Annotated[
        list[str] | None, comparison_option("key=value, for example train.lr=1e-4; may be repeated.", "--set")
    ] = None


@dataclass(frozen=True, kw_only=True)
class PredictionOptions(LabelOptions, LeakyColumnOptions, ConfigOptions):
    """How a table of predictions is read."""

    scale: Annotated[
        str, table_option("What the scores are: probability, percent (38.3, 38.3%) or logit (any unbounded score).")
    ] = "probability"
    models: Annotated[
        str | None, table_option("Columns with scores, one for each model, separated by commas. Default: recognised.")
    ] = None


Replicates = Annotated[int, comparison_option("Bootstrap samples.", min=100, max=100_000)]
"""Draws of the bootstrap."""


@dataclass(frozen=True, kw_only=True)
class ProtocolOptions(ConfigOptions):
    """Splits, repeats and seeds, and the settings below them."""

    folds: Annotated[
        str, comparison_option("Number of folds, column:NAME, 'site' (leave one out), or a folds.json of your own.")
    ] = ""
    holdout: Annotated[float | None, comparison_option("Share of patients in one test part, instead of folds.")] = None
    test_where: Annotated[
        str | None, comparison_option("Rows of one locked test part, for example \"site == 'B'\".")
    ] = None
    repeats: Annotated[int | None, comparison_option("Repeats of the cross-validation.")] = None
    seeds: Annotated[int | None, comparison_option("Number of training seeds; --seed says which is the first.")] = None
    preset: Annotated[
        str | None, comparison_option("default, demo, paper or tiny. Default: demo for the phantom, else default.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class ArmOptions(ProtocolOptions):
    """The arms that are trained, before the protocol they are compared under."""

    ablation: Annotated[str, comparison_option("'all', or arms of the study file separated by commas.")] = "all"


@dataclass(frozen=True, kw_only=True)
class PlaceOptions:
    """Where results and reports lie."""

    name: Annotated[str, place_option("Name of the study. Default: cohort and preset.")] = ""
    out: Annotated[Path, place_option("Where studies lie.")] = Path("results")
    reports: Annotated[Path, place_option("Where reports lie.")] = Path("reports")
    json_file: Annotated[Path | None, place_option("Write what was printed as JSON, for other programs.", "--json")] = (
        None
    )


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """Figures and predictions of a report."""

    figures: Annotated[
        bool,
        place_option(
            "Draw the report's figures; without them it is written in half the time.", "--figures/--no-figures"
        ),
    ] = True
    with_predictions: Annotated[
        bool,
        place_option(
            "Put the predictions and the cohort's table into the report, for a submission.", "--with-predictions"
        ),
    ] = False
    example_images: Annotated[
        bool,
        place_option(
            "Show images of patients in the report, with their ids: those of which the model was surest, rightly and"
            " wrongly. Only where they may be shown.",
            "--example-images",
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """The device models are computed on."""

    device: Annotated[str | None, work_option("auto, cpu, cuda or mps.")] = None


@dataclass(frozen=True, kw_only=True)
class WorkOptions(DeviceOptions):
    """Executor, memory and disk; none of it changes a result."""

    executor: Annotated[str, work_option("lockstep or sequential; the results are the same.")] = "lockstep"
    max_live_fits: Annotated[
        int | None,
        work_option(
            "Largest number of cells that train together. Default: as many as fit into memory.", min=1, max=MANY
        ),
    ] = None
    cache_gib: Annotated[
        float, work_option("Disk space in GiB for features that are kept between runs.", min=0.001, max=1_000_000)
    ] = CACHE_GIB
    force: Annotated[bool, work_option("Start over; the old study is kept aside.", "--force")] = False


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """Processes that share the work."""

    jobs: Annotated[
        str,
        work_option(
            "Processes that share the work; auto: as many as pay here, and one on a GPU. The results are the same."
        ),
    ] = "auto"


@dataclass(frozen=True, kw_only=True)
class CheckpointOptions:
    """Checkpoints of unfinished fits."""

    checkpoint_every: Annotated[
        int, work_option("Keep unfinished models every so many epochs; 0 for never.", min=0, max=MANY)
    ] = CHECKPOINT_EVERY


@dataclass(frozen=True, kw_only=True)
class TrackOptions:
    """A tracker beside the program's own view."""

    track: Annotated[
        str | None, work_option(f"Send the curves of training to {', '.join(TRACKERS[:-1])} or {TRACKERS[-1]}.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class DryRunOptions:
    """A look at the plan."""

    dry_run: Annotated[bool, work_option("Print the plan and stop.", "--dry-run")] = False


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """An analysis plan: written before testing, and followed."""

    write_plan: Annotated[
        Path | None,
        comparison_option(
            "Write the analysis plan of the study to this file (Markdown), dated and locked, and stop: nothing is"
            " trained. A plan that is there keeps what its authors filled in."
        ),
    ] = None
    plan: Annotated[
        Path | None, comparison_option("The analysis plan to follow; the report names every deviation from it.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class SettingsOptions(CohortOptions, ProtocolOptions, DeviceOptions):
    """Options that the settings of a study are made of."""


@dataclass(frozen=True, kw_only=True)
class StudyOptions(SettingsOptions, PlaceOptions, WorkOptions):
    """Options of every command that reads a cohort and splits it."""


@dataclass(frozen=True, kw_only=True)
class SeedOptions:
    """The seed of a study."""

    seed: Annotated[
        int | None, comparison_option("Seed of everything random: splits, training, search. Default: 0.", min=0)
    ] = None


@dataclass(frozen=True, kw_only=True)
class CrossValidationOptions(
    StudyOptions,
    ArmOptions,
    SeedOptions,
    PlanOptions,
    ReportOptions,
    JobOptions,
    CheckpointOptions,
    TrackOptions,
    DryRunOptions,
):
    """A study of fixed settings."""

    learning_curve: Annotated[
        str | None,
        comparison_option(
            "Train every arm on these percentages of the training patients too: 25,50,75. Default: on all alone."
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What is searched, by which rules, and where the trials are kept."""

    trials: Annotated[int | None, search_option("Trials of every arm in every fold. Default: 50.", min=1)] = None
    mode: Annotated[
        str | None,
        search_option(
            "nested: inside every fold, tested honestly; flat: once for each arm, quicker and optimistic."
            " Default: nested."
        ),
    ] = None
    space: Annotated[
        Path | None,
        search_option(
            "What is searched (TOML, a configuration with holes). Default: dropout, learning rates, fine-tuned blocks."
        ),
    ] = None
    inner_folds: Annotated[int | None, search_option("Inner folds of a nested search. Default: 3.", min=2)] = None
    pruner: Annotated[str | None, search_option("median, halving or none. Default: median.")] = None
    select: Annotated[
        str | None,
        search_option("best: the best mean; one-se: the cheapest within a standard error of it. Default: best."),
    ] = None
    whole: Annotated[
        bool | None,
        search_option("Search on the whole cohort too, for best.toml. Default: yes.", "--best-toml/--no-best-toml"),
    ] = None
    wave: Annotated[
        int, search_option("Trials of an arm in a fold that are drawn at once and train together.", min=1, max=1000)
    ] = WAVE
    storage: Annotated[
        str | None,
        search_option(
            "Where trials are kept: postgresql://..., mysql://..., or journal:FILE on a network disk. Several"
            " machines that run the same command share the work. Default: a file beside the study.",
            envvar="MMBC_STORAGE",
        ),
    ] = None
    dashboard: Annotated[
        bool,
        search_option("Open Optuna's dashboard on a search (--name or --storage) instead of searching.", "--dashboard"),
    ] = False
    port: Annotated[int, search_option("Port of the dashboard; 0 takes any free one.", min=0, max=65535)] = 8080


@dataclass(frozen=True, kw_only=True)
class SearchRunOptions(
    SearchOptions,
    StudyOptions,
    ArmOptions,
    SeedOptions,
    JobOptions,
    PlanOptions,
    ReportOptions,
    TrackOptions,
    DryRunOptions,
):
    """A study that searches its settings."""

    executor: Annotated[str, work_option("lockstep; or sequential, one fit after the other, which prunes nothing.")] = (
        "lockstep"
    )


@dataclass(frozen=True, kw_only=True)
class LookOptions:
    """What is done with the cohort's files."""

    write_clean_list: Annotated[
        Path | None, audit_option("Write facts about the cohort's files to this CSV, to publish.")
    ] = None
    quick: Annotated[bool, audit_option("Only the checks that do not look into pixels.", "--quick")] = False


@dataclass(frozen=True, kw_only=True)
class AuditOptions(LookOptions, StudyOptions):
    """An audit."""

    study: Annotated[
        Path | None,
        audit_option("A study's folder (results/NAME) or an archive: its splits, records and search are audited too."),
    ] = None
    ignore: Annotated[
        str | None, audit_option("Codes of checks whose failure is known, separated by commas: A13,A18.")
    ] = None
