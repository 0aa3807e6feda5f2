"""Screen before a run: the cohort, its flow, folds and cells."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mmbc.command import Terminal
from mmbc.data.cohort import Cohort, relevant_steps
from study.checks import page
from study.cohort.description import Description
from study.console import forecast
from study.design.folds import Folds
from study.design.request import Request
from study.records.analysis_plan import AnalysisPlan
from study.records.finding import FAILED, WARNING, Finding
from study.text.format import count
from study.text.image_name import worded
from study.training.preparation import Planned

LONG_TEXTS = ("Arms", "Columns that are not used as features")
"""Tables of a description that need the whole width."""


def show(console: Console, planned: Planned, request: Request, findings: Sequence[Finding], audit: str) -> None:
    """Print a planned study: cohort, flow, folds, arms, notes, and what it takes of the memory."""
    cohort = planned.cohort
    if cohort.notice:
        console.print(f"[bold]{escape(cohort.notice)}[/]")
    console.print(f"Study {escape(str(planned.folder))}: {len(cohort.images)} images of {cohort.n_patients} patients")
    if planned.opened is not None and planned.opened.listing.extent:
        console.print(planned.opened.listing.extent, highlight=False, markup=False)
    console.print(flow_table(cohort), fold_table(planned.folds, cohort.images, cohort.notice), arm_table(planned))
    if cohort.features:
        console.print(f"Clinical columns: {', '.join(map(str, cohort.features))}", highlight=False, markup=False)
    for note in (*cohort.notes, *planned.notes):
        console.print(f"- {note}", highlight=False, markup=False)
    show_audit(console, findings, audit)
    if memory := forecast.memory(planned, request):
        console.print(memory, highlight=False)


def show_outline(console: Console, listed: Planned) -> None:
    """Print what is known of a study in seconds, from its settings and what the cohort lists; once begun, nothing."""
    cohort, protocol = listed.cohort, listed.study.protocol
    if (listed.folder / "study.toml").exists():
        return
    console.print(
        f"Study {escape(str(listed.folder))}, as listed, before any image is opened: {len(cohort.images)} images of"
        f" {cohort.n_patients} patients",
        highlight=False,
    )
    weights = [f"weights of {backbone}: {where}" for backbone, where in listed.weights.items()]
    console.print("; ".join([f"Device: {listed.study.run.device}", *weights]), highlight=False, markup=False)
    parts = (
        count(len(listed.study.arms), "arm"),
        count(len(listed.folds.until(protocol.repeats)), "split"),
        count(protocol.seeds, "training seed"),
    )
    cells = f"{count(len(listed.cells), 'cell')}: " if listed.cells else ""  # those of a search follow from its winners
    console.print(f"{cells}{', '.join(parts)}", highlight=False)
    console.print(fold_table(listed.folds, cohort.images, cohort.notice), arm_table(listed))
    opens = any(listed.study.arm_config(arm).uses_images for arm in listed.study.arms)
    files = "Files are opened and checked next" if opens else "No arm uses images, so none is opened"
    console.print(f"{files}; the estimates follow.", highlight=False)


def show_audit(console: Console, findings: Sequence[Finding], audit: str) -> None:
    """Print what the fast checks found wrong or doubtful, how many passed, and the command of the whole audit."""
    doubtful = [finding for finding in findings if finding.status in (WARNING, FAILED)]
    if doubtful:
        console.print(page.screen(doubtful, "Audit: what to know before the run"))
    if findings:
        console.print(f"Audit: {page.counted(findings)}.", highlight=False, soft_wrap=True)
        console.print(f"With a look into the pixels: {audit}", highlight=False, markup=False, soft_wrap=True)


def show_plan(terminal: Terminal, plan: AnalysisPlan, file: Path) -> None:
    """Say where an analysis plan was written, what its authors have to fill in, and what comes next."""
    terminal.say(f"Analysis plan: {file}, locked on {plan.date} (SHA-256 {plan.digest[:16]}). Nothing was trained.")
    if plan.facts.tested:
        studies = ", ".join(plan.facts.tested)
        terminal.say(f"- Models have been tested on this cohort already ({studies}); the plan says so.")
    if plan.n_open:
        terminal.say(
            f"- {count(plan.n_open, 'place')} for the authors to fill in, marked [authors: ...]. Write your text there,"
            " and give the same command again: it keeps your text and locks the plan anew."
        )
    terminal.say(f"Then train with --plan {file} in place of --write-plan {file}.")


def show_forecast(console: Console, planned: Planned, request: Request) -> None:
    """Print how long a planned study takes and what it can show."""
    console.print(forecast.cost(planned, request))
    console.print(forecast.precision(planned), highlight=False, markup=False)


def plan_facts(planned: Planned) -> dict[str, Any]:
    """Return a planned study for `--json`: its flow, its cells, and those that are still to be trained."""
    return {
        "study": planned.folder.name,
        "flow": planned.cohort.flow.to_dict("records"),
        "cells": [cell.name for cell in planned.cells],
        "to_train": [cell.name for cell in planned.unfinished(planned.cells)],
    }


def flow_table(cohort: Cohort) -> Table:
    """Return the cohort's flow: images (patients) by step and status."""
    statuses = list(dict.fromkeys(cohort.flow["status"]))
    title = titled("Cohort flow: images (patients)", cohort.notice)
    table = Table("step", *map(escape, statuses), "all images", title=title)
    for step, rows in relevant_steps(cohort.flow).groupby("step", sort=False):
        cells = rows.set_index("status").reindex(statuses)
        shown = [f"{row.n_images} ({row.n_patients})" for row in cells.itertuples()]
        table.add_row(str(step), *shown, str(int(rows["n_images"].sum())))
    return table


def fold_table(folds: Folds, images: pd.DataFrame, notice: str) -> Table:
    """Return patients (positive) by split and part."""
    counts = folds.table(images)
    names = [part for part in ("train", "validation", "test") if (counts["part"] == part).any()]
    table = Table("repeat", "fold", *names, title=titled("Patients (positive) by fold", notice))
    for _, rows in counts.groupby(["repeat", "fold"]):
        repeat, fold = (int(rows[name].iloc[0]) + 1 for name in ("repeat", "fold"))
        parts = rows.set_index("part")
        shown = [f"{parts.n_patients[part]} ({parts.n_positive[part]})" for part in names]
        named = " ".join(filter(None, (str(fold), rows["name"].iloc[0])))
        table.add_row(str(repeat), escape(named), *shown)
    return table


def arm_table(planned: Planned) -> Table:
    """Return the arms with their questions, differences and cells."""
    left = {cell.name for cell in planned.unfinished(planned.cells)}
    table = Table("arm", "question", "differs in", "cells", "to train", title="Arms")
    for name, arm in planned.study.arms.items():
        cells = [cell for cell in planned.cells if cell.arm == name]
        to_train = sum(cell.name in left for cell in cells)
        question = worded(arm.question, planned.cohort.name, planned.study.data.image_name)
        table.add_row(*map(escape, (name, question, arm.differences)), str(len(cells)), str(to_train))
    return table


def titled(title: str, notice: str) -> str:
    """Return a title of a table on the screen that carries the cohort's notice."""
    return f"{title} ({escape(notice)})" if notice else title


def show_description(console: Console, description: Description) -> None:
    """Print what is understood of a cohort: tables, then notes, then what would stop the run."""
    for part in _parts(description):
        console.print(part, highlight=False)


def _parts(description: Description) -> Iterator[RenderableType]:
    if description.notice:
        yield f"[bold]{escape(description.notice)}[/]"
    yield f"[bold]{escape(description.headline())}[/]"
    if description.extent:
        yield Text(description.extent)
    narrow: list[Table] = []
    for title, content in description.tables().items():
        table = Table(*map(escape, content.columns), title=title, title_justify="left", box=None, header_style="dim")
        for line in content.to_numpy().tolist():
            table.add_row(*map(escape, line))
        if len(content.columns) < 5 and title not in LONG_TEXTS:
            narrow.append(table)
        else:
            yield table
    yield Columns(narrow, padding=(0, 2))
    for note in description.notes:
        yield Text(f"- {note}")
    if not description.problems:
        yield (
            "[bold green]Nothing stands in the way of a run.[/] Next: the same command with --dry-run instead of"
            " --describe."
        )
    for problem in description.problems:
        yield Text.assemble(("would stop the run: ", "bold red"), problem)
