"""Description of a cohort as the program understands it, before anything is trained: the first thing to look at."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from mmbc.errors import count
from study.design.study_name import fitting
from study.records.pages import is_of_another, write_page
from study.records.study_folder import rename_aside


@dataclass
class Description:
    """A cohort as understood.

    Attributes:
        name, kind: of the cohort, and of its layout.
        where: its path.
        origin: what tells it from another cohort of the same name.
        notice: a warning that everything made of it carries.
        unit: what a label belongs to.
        extent: how many rows were read, and of how many lines or of which sheet; empty where the list is no table.
        classes: one row per status: label, images, patients, and how many of both can be used.
        totals: images, patients, cases and breasts that can be used, and the positive units.
        views: images that can be used by breast and view.
        sites: patients by site and status; empty where there is one site at most.
        features: one row per clinical column: kind, values, share missing (all, positive, negative), AUC alone.
        arms: one row per arm: its question, and its differences from the reference configuration.
        left_out: columns that are not used as features, with the reason.
        images: one row per size and mode; None where no file was opened.
        excluded: one row per step and reason: images, patients.
        folds: one row per test part; empty where the cohort cannot be split.
        merged: patients who share an image with another one: patient, and the patient whose key the group has.
        notes: what a reader of the report should know.
        problems: what would stop the run, and what to do.
    """

    name: str
    kind: str
    where: str
    notice: str
    unit: str
    origin: str = ""
    extent: str = ""
    classes: pd.DataFrame = field(default_factory=pd.DataFrame)
    totals: dict[str, int] = field(default_factory=dict)
    views: pd.DataFrame = field(default_factory=pd.DataFrame)
    sites: pd.DataFrame = field(default_factory=pd.DataFrame)
    features: pd.DataFrame = field(default_factory=pd.DataFrame)
    arms: pd.DataFrame = field(default_factory=pd.DataFrame)
    left_out: tuple[tuple[str, str], ...] = ()
    images: pd.DataFrame | None = None
    excluded: pd.DataFrame = field(default_factory=pd.DataFrame)
    folds: pd.DataFrame = field(default_factory=pd.DataFrame)
    merged: tuple[tuple[str, str], ...] = ()
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what there is to show as tables of text, by title."""
        shown = {
            "Classes: images (patients)": self.classes,
            "Clinical columns": self.features,
            "Columns that are not used as features": pd.DataFrame(self.left_out, columns=["column", "reason"]),
            "Images by view": self.views,
            "Patients by site": self.sites,
            "Image files": self.images if self.images is not None else pd.DataFrame(),
            "Left out": self.excluded,
            "Test parts: patients": self.folds,
            "Arms": self.arms,
        }
        return {title: table.astype(str) for title, table in shown.items() if len(table)}

    def whole_tables(self) -> dict[str, pd.DataFrame]:
        """Return all tables: also those that are too long for a screen."""
        merged = pd.DataFrame(self.merged, columns=["patient", "in one group with"])
        return self.tables() | ({"Patients who share an image": merged} if self.merged else {})

    def facts(self) -> dict[str, Any]:
        """Return everything as plain values."""
        tables = {title: table.to_dict("records") for title, table in self.whole_tables().items()}
        return {
            "cohort": self.name,
            "kind": self.kind,
            "unit": self.unit,
            "read": self.extent,
            "totals": self.totals,
            "tables": tables,
            "notes": self.notes,
            "problems": self.problems,
        }

    def headline(self) -> str:
        """Return one sentence: what and how many."""
        if not self.totals:
            return f"{self.name} ({self.kind})"
        t = self.totals
        return (
            f"{self.name} ({self.kind}): {count(t['images'], 'image')} of {count(t['patients'], 'patient')} can be"
            " used "
            f"({count(t['cases'], 'case')}, {count(t['breasts'], 'breast')}); the label belongs to the {self.unit}, "
            f"{t['positive']} of {t['units']} {self.unit}s are positive"
        )


def to_markdown(description: Description) -> str:
    """Return the description as a Markdown page."""
    parts = [f"# {description.name}: what is understood of this cohort"]
    if description.notice:
        parts.append(f"> **{description.notice[0].upper()}{description.notice[1:]}.**")
    parts.append(f"{description.headline()}. {description.extent}".rstrip())
    if description.problems:
        parts += ["## What would stop the run", "\n".join(f"- {problem}" for problem in description.problems)]
    for title, table in description.whole_tables().items():
        head = list(table.columns)
        lines = [head, ["---"] * len(head), *table.to_numpy().tolist()]
        rows = "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
        parts += [f"## {title}", rows]
    if description.notes:
        parts += ["## Notes", "\n".join(f"- {note}" for note in description.notes)]
    return "\n\n".join(parts) + "\n"


def write_description(description: Description, reports: Path) -> tuple[Path, Path | None]:
    """Write the Markdown page to `reports/<cohort>/cohort.md` and return its path.

    A page on another cohort of the same name is kept aside; its new path is the second value, else None.
    """
    file = reports / fitting(description.name) / "cohort.md"
    kept = rename_aside(file, ".md") if is_of_another(file, description.origin) else None
    write_page(file, to_markdown(description), description.origin)
    return file, kept
