"""Audit a cohort and a study: `python -m study.audit --data PATH [--study results/NAME]`."""

import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mmbc.errors import ConfigError, MmbcError, some
from mmbc.files import read_json
from study.checks import page
from study.checks.audit import Audit, audit
from study.checks.catalogue import known
from study.console import options
from study.console.audit_options import check_ledger
from study.console.live_view import View
from study.console.options import Asked
from study.console.terminal import show_error, write_facts
from study.design.request import CACHE_GIB, CHECKPOINT_EVERY
from study.design.study_file import StudyFile
from study.leaks import book
from study.leaks.book import CANDIDATES
from study.leaks.ledger_report import NOTICE, ledger_table
from study.records.cell_records import read_settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

AUDIT, LEDGER = "Audit", "Optimism ledger"
USUAL = ("image", "concat")
"""Arms a ledger is kept for unless others are named."""


@app.command()
def main(
    study: Annotated[
        Path | None,
        typer.Option(
            help="A study's folder (results/NAME) or an archive: its splits, records and search are audited too.",
            rich_help_panel=AUDIT,
        ),
    ] = None,
    ignore: Annotated[
        str | None,
        typer.Option(
            help="Codes of checks whose failure is known, separated by commas: A13,A18.", rich_help_panel=AUDIT
        ),
    ] = None,
    write_clean_list: Annotated[
        Path | None,
        typer.Option(help="Write facts about the cohort's files to this CSV, to publish.", rich_help_panel=AUDIT),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only the checks that need no look into pixels.", rich_help_panel=AUDIT)
    ] = False,
    ledger: Annotated[
        bool,
        typer.Option(
            "--ledger",
            help=(
                "Instead: commit each leak on purpose, alone and all together, and measure what it is worth (trains"
                " models)."
            ),
            rich_help_panel=LEDGER,
        ),
    ] = False,
    candidates: Annotated[
        int,
        typer.Option(
            min=2, help="Configurations that the leak of tuning on test parts compares.", rich_help_panel=LEDGER
        ),
    ] = CANDIDATES,
    ablation: Annotated[
        str, typer.Option(help="Arms the ledger is kept for. Default: image,concat.", rich_help_panel=LEDGER)
    ] = "",
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
    json_file: options.JsonFile = None,
    executor: options.Executor = "lockstep",
    device: options.Device = None,
    max_live_fits: options.MaxLiveFits = None,
    checkpoint_every: options.CheckpointEvery = CHECKPOINT_EVERY,
    cache_gib: options.CacheGib = CACHE_GIB,
    force: options.Force = False,
) -> None:
    """Find what a reviewer would find: leaks, copies, annotations in pixels, shortcuts, unequal arms.

    Writes reports/NAME-audit: a page with every check, the fold certificate, a contact sheet of near-duplicates. The
    exit code is 1 if a check failed that is not ignored, and 2 if the audit itself could not be made. With --ledger it
    trains models instead, and writes what each methodological leak would have been worth.
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
        ablation=ablation if ledger else "all",
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
        figures=True,
        with_predictions=False,
        json_file=json_file,
        executor=executor,
        device=device,
        jobs=1,
        max_live_fits=max_live_fits,
        checkpoint_every=checkpoint_every,
        cache_gib=cache_gib,
        dry_run=False,
        force=force,
    )
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if ledger:
            check_ledger(asked, study, {"quick": quick, "ignore": ignore, "write_clean_list": write_clean_list})
            _ledger(console, asked, study, candidates)
            return
        ignored = known(tuple(ignore.split(","))) if ignore else ()
        with View(console) as view:
            found = audit(asked, view, study=study, quick=quick, clean=write_clean_list)
        written = found.write(reports, ignored, command=["python", "-m", "study.audit", *sys.argv[1:]])
        _show(console, found, ignored)
        write_facts(json_file, found.facts(ignored))
        console.print(f"Audit: {written}", highlight=False, soft_wrap=True)
    except MmbcError as error:
        show_error(console, error)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        console.print("Interrupted; nothing was written.")
        raise typer.Exit(130) from None
    if page.failed(found.findings, ignored):
        raise typer.Exit(1)


def _usual(settings: StudyFile) -> str:
    """Return the arms a ledger is kept for unless others are named, as far as the study has them."""
    if there := [name for name in USUAL if name in settings.arms]:
        return ",".join(there)
    raise ConfigError(f"the study has no arm {some(USUAL)}; name others: --ablation {next(iter(settings.arms))}")


def _ledger(console: Console, asked: Asked, study: Path | None, candidates: int) -> None:
    """Train every protocol, honest and leaky, and write what each leak is worth.

    A study's settings and folds are the honest ones.
    """
    if study is not None:
        more = {name: value for name in ("repeats", "seeds") if (value := getattr(asked, name)) is not None}
        settings = read_settings(study)
        settings = settings.model_copy(update={"protocol": settings.protocol.model_copy(update=more)})
        asked = replace(asked, name=study.name, out=study.parent)
    else:
        settings = options.study_file(asked)
    request = options.request(replace(asked, ablation=asked.ablation or _usual(settings)), settings)
    with View(console) as view:
        found = book.run(request, view, n_candidates=candidates)
    written = book.write(found, asked.reports / f"{found.name}-audit")
    console.print(f"[bold red]{NOTICE}[/]", highlight=False)
    console.print(ledger_table(found.table))
    for note in found.notes:
        console.print(f"- {note}", highlight=False, markup=False)
    write_facts(asked.json_file, read_json(next(path for path in written if path.name == "ledger.json")))
    console.print(f"Ledger: {written[0]}", highlight=False, soft_wrap=True)


def _show(console: Console, found: Audit, ignored: tuple[str, ...]) -> None:
    if found.notice:
        console.print(f"[bold]{found.notice}[/]")
    console.print(page.screen(found.findings, f"Audit of {found.name}", ignored=ignored))
    console.print(page.counted(found.findings, ignored), highlight=False, soft_wrap=True)
    if found.read.get("Not made"):
        console.print(f"Not made: {found.read['Not made']}.", highlight=False, markup=False, soft_wrap=True)
    idle = sorted(set(ignored) - {finding.code for finding in page.failed(found.findings)})
    if idle:
        console.print(f"--ignore {','.join(idle)}: did not fail, or was not made.", highlight=False)
    for line in found.said:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    app()
