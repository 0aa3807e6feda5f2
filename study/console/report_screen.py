"""Screen of a finished study: its summary, its contrasts, and where the report lies."""

from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mmbc.command import Terminal
from mmbc.garbage import uncollected
from study.console.json_output import write_facts
from study.evaluation.doubts import doubts
from study.evaluation.evaluation import Evaluation, evaluate
from study.records.added_predictions import UNVERIFIED
from study.records.stored_study import StoredStudy, load_study
from study.reporting.example_images import FILE as PICTURES
from study.reporting.manifest import Options
from study.reporting.pack import letters_lacking, make_way, write_pack
from study.reporting.tables.audit import remains
from study.reporting.text.added import added_lines
from study.reporting.text.answer import answer_lines, missing_for_verdicts, unfinished_cells
from study.reporting.text.quick_try import quick_try
from study.text.format import NAMES, interval

SHOWN = ("roc_auc", "pr_auc", "sensitivity_at_90_specificity", "specificity_achieved", "accuracy", "brier")
NARROW = {"sensitivity_at_90_specificity": "Sens. at 90 % spec.", "specificity_achieved": "Spec. achieved"}
"""Headers that let the table fit 80 columns with no word cut."""


@uncollected()
def write_report(
    console: Console, folder: Path, reports: Path, json_file: Path | None = None, options: Options = Options()
) -> None:
    """Evaluate a study that has just been run, write its report, and print the answer and where the report lies."""
    stored = load_study(folder)
    evaluation = evaluate(stored)
    say_kept(console, stored, reports / stored.name)
    report = write_pack(stored, evaluation, reports / stored.name, options)
    if tried := quick_try(stored):
        console.print(tried, highlight=False, markup=False, soft_wrap=True)
    show_evaluation(console, stored, evaluation)
    for doubt in doubts(stored, evaluation):
        console.print(f"- {doubt}", highlight=False, markup=False)
    for said in (remains(stored), letters_lacking(stored)):
        if said:
            console.print(f"- {said}", highlight=False, markup=False)
    write_facts(json_file, evaluation_facts(stored, evaluation))
    say_examples(console, report.parent, options)
    console.print(f"Report: {report}", markup=False, soft_wrap=True)


def say_examples(console: Console, report: Path, options: Options) -> None:
    """Say why a report has no example images although they were asked for."""
    if options.examples and not (report / PICTURES).exists():
        console.print(
            "- The report has no example images: no model uses images, figures were left out, or the prepared images"
            " are not in .cache beside the study. The command of the study prepares them again; an archive has none.",
            highlight=False,
            markup=False,
        )


def say_kept(console: Console, stored: StoredStudy, folder: Path) -> None:
    """Make way for a report, and say where that of another cohort went."""
    kept = make_way(stored, folder)
    if kept is not None:
        console.print(f"The report of another cohort that lay there was kept: {kept}", markup=False, soft_wrap=True)


def evaluation_facts(stored: StoredStudy, evaluation: Evaluation) -> dict[str, Any]:
    """Return the summary and the contrasts, for `--json`."""
    return {
        "study": stored.name,
        "summary": evaluation.summary.to_dict("records"),
        "comparisons": evaluation.comparisons.to_dict("records"),
        **{
            name: frame.to_dict("records")
            for name, frame in (("added", evaluation.added), ("added_contrasts", evaluation.added_contrasts))
            if stored.added is not None
        },
    }


def show_report(terminal: Terminal, stored: StoredStudy, evaluation: Evaluation) -> None:
    """Print missing cells, notes, the summary, and the settings that verdicts would need."""
    if missing := unfinished_cells(stored):
        terminal.say(f"{missing}.")
    for note in (*(stored.cohort.notes if stored.imported else ()), *filter(None, [letters_lacking(stored)])):
        terminal.say(f"- {note}")
    show_evaluation(terminal.console, stored, evaluation)
    for line in added_lines(stored, evaluation):
        terminal.say(f"- {line}")
    for doubt in doubts(stored, evaluation):
        if not stored.imported or doubt not in stored.cohort.notes:
            terminal.say(f"- {doubt}")
    if hint := missing_for_verdicts(stored, evaluation, on_screen=True).replace("**", "").replace("`", ""):
        terminal.say(hint)


def show_evaluation(console: Console, stored: StoredStudy, evaluation: Evaluation) -> None:
    """Print the summary, and a sentence on each declared contrast unless there are too few patients."""
    console.print(summary_table(stored, evaluation))
    for line in answer_lines(stored, evaluation):
        console.print(f"- {line}", highlight=False, markup=False)


def summary_table(stored: StoredStudy, evaluation: Evaluation) -> Table:
    """Return the summary at the level of the primary unit, with intervals."""
    tested = "on one test part" if stored.folds.holdout else "out of fold"
    title = f"{evaluation.unit.capitalize()} level, {tested}, 95 % CI for these fitted models"
    notice = stored.cohort.notice
    table = Table(
        box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, title=f"{title} ({escape(notice)})" if notice else title
    )
    table.add_column("arm", no_wrap=True)
    for metric in SHOWN:
        table.add_column(NARROW.get(metric, NAMES[metric]))
    units = evaluation.summary[evaluation.summary["level"] == evaluation.unit]
    for rows, mark in ((units, ""), (evaluation.added, "*")):
        for arm, lines in rows.groupby("arm", sort=False):
            values = lines.set_index("metric")[["value", "low", "high"]]
            cells = (interval(metric, *values.loc[metric]) if metric in values.index else "n/a" for metric in SHOWN)
            table.add_row(escape(f"{arm}{mark}"), *cells)
    if len(evaluation.added):
        table.caption = f"* added; {UNVERIFIED}, exploratory"
    return table
