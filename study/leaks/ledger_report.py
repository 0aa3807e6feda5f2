"""The optimism ledger as a waterfall and as a table; every file says that it is leaky by design."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from mmbc.files import write_atomically, write_json
from study.reporting.figures.style import journal_style, save
from study.reporting.figures.waterfall import waterfall
from study.reporting.tables.base import ABSENT, PaperTable
from study.reporting.tables.markup import markdown, to_csv
from study.text.format import count, difference_interval, interval, number

NAME, FIGURE = "ledger", "ledger-waterfall"
NOTICE = (
    "LEAKY BY DESIGN: every protocol but the honest one has a deliberate error, to measure its worth; none of it is a"
    " result"
)
RED = '<span style="color:#B00000">**LEAKY BY DESIGN**</span>'
REPORTED = "Published recipe, as reported"
REPORTED_NOTE = (
    f"{REPORTED}: figures quoted for the usual recipe on this data set, for scale alone: neither their splits nor an"
    " interval are known, nor whether they are of images or of patients."
)
TITLE = "Optimism ledger: what each methodological leak is worth"


@dataclass(frozen=True)
class Published:
    """Results of a published recipe for a cohort: AUC, accuracy and F1."""

    auc: float
    accuracy: float
    f1: float


def paper_table(rows: pd.DataFrame, notes: Sequence[str], unit: str, published: Published | None = None) -> PaperTable:
    """Return the ledger as a table of a paper.

    Args:
        rows: columns as in `study.leaks.measurement.table`.
        notes: sentences for its caption.
        unit: the study's unit, `patient` or `breast`.
        published: a line for comparison, or None.
    """
    lines = [_line(row, unit) for row in rows.to_dict("records")]
    if published is not None:
        values = {
            name: number(metric, value)
            for (name, metric), value in zip(_VALUES, asdict(published).values(), strict=True)
        }
        lines.append({"Ablation": ABSENT, "Protocol": REPORTED, "Label": "not computed here"} | values)
    columns = [*_FIRST, f"AUC of {unit}s", "Accuracy", "F1", "Tested"]
    shown = pd.DataFrame(lines, columns=columns).fillna("").astype(str)
    return PaperTable(NAME, TITLE, " ".join(notes), rows, shown, n_keys=2)


_FIRST = ("Ablation", "Protocol", "Label", "AUC of images", "Difference", "On the same images")
_VALUES = (("AUC of images", "roc_auc"), ("Accuracy", "accuracy"), ("F1", "f1"))


def _line(row: Mapping[Any, Any], unit: str) -> dict[str, str]:
    """Return one row as text."""

    def estimate(name: str, metric: str) -> str:
        return interval(metric, *(row[f"{name}{end}"] for end in ("", "_low", "_high")))

    def change(name: str) -> str:
        if isinstance(row["nothing"], str) and row["nothing"]:
            return f"none: {row['nothing']}"
        return difference_interval(*(row[f"{name}{end}"] for end in ("", "_low", "_high")))

    line = {"Ablation": str(row["arm"]), "Protocol": str(row["title"]), "Label": str(row["label"])}
    if row["leak"] == "together":
        return line | {"Difference": change("difference")}
    line |= {"AUC of images": estimate("auc", "roc_auc")}
    if row["label"]:
        line |= {"Difference": change("difference"), "On the same images": change("shared")}
    patients, images = (int(row[name]) for name in ("n_patients", "n_images"))
    divided = pd.isna(row["unit_auc"])
    return line | {
        f"AUC of {unit}s": f"none: {unit}s are divided" if divided else estimate("unit_auc", "roc_auc"),
        "Accuracy": estimate("accuracy", "accuracy"),
        "F1": estimate("f1", "f1"),
        "Tested": f"{count(images, 'image')} of {count(patients, 'patient')}",
    }


@journal_style()
def write(
    lines: pd.DataFrame,
    folder: Path,
    *,
    notes: Sequence[str],
    notice: str,
    unit: str,
    published: Published | None,
    facts: Mapping[str, Any],
) -> list[Path]:
    """Write table and figure and return their paths.

    Args:
        lines: columns as in `study.leaks.measurement.table`.
        folder: made if it is not there.
        notes: what the numbers are.
        notice: the cohort's own warning, or ''.
        unit: the study's unit.
        published: what a published recipe reports for this cohort, or None.
        facts: what else the JSON says of the ledger.
    """
    notes = [*notes, REPORTED_NOTE] if published is not None else list(notes)
    warning = "; ".join(part for part in (NOTICE, notice) if part)
    table = paper_table(lines, notes, unit, published)
    write_atomically(folder / f"{NAME}.md", f"{RED}\n\n{markdown(table, warning)}".encode())
    write_atomically(folder / f"{NAME}.csv", to_csv(table, warning).encode())
    rows = lines.astype(object).where(lines.notna(), None).to_dict("records")
    content = {"label": NOTICE, "notice": notice, **facts, "unit": unit, "notes": notes}
    write_json(folder / f"{NAME}.json", content | {"published": asdict(published) if published else None, "rows": rows})
    figure, data = waterfall(lines, None if published is None else published.auc)
    save(figure, data, folder, FIGURE, warning)
    return [folder / f"{NAME}.{suffix}" for suffix in ("md", "csv", "json")] + [
        folder / f"{FIGURE}.{suffix}" for suffix in ("png", "pdf", "svg", "csv")
    ]


def ledger_table(lines: pd.DataFrame) -> Table:
    """Return the ledger for the terminal: AUC and difference of every protocol."""
    table = Table("ablation", "protocol", "AUC of images", "difference", title=TITLE, title_justify="left")
    for row in lines.to_dict("records"):
        line = _line(row, "patient")
        name = f"[red]{line['Protocol']}[/]" if line["Label"] else line["Protocol"]
        table.add_row(line["Ablation"], name, line.get("AUC of images", ""), line.get("Difference", ""))
    return table
