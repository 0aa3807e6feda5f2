"""What the program understands of a cohort, before anything is trained: the first thing to look at."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from mmbc.config import DataConfig
from mmbc.data.account import Account, check_copies, check_files, judge
from mmbc.data.cohort import used_rows
from mmbc.data.listing import Listing, choose_features, labels_need_pixels
from mmbc.data.tables import target_leakage
from mmbc.data.tables.columns import Feature, find_unknown_codes
from mmbc.errors import MmbcError, some
from mmbc.files import write_atomically
from study.cohort.loading import list_images, open_images
from study.design import partition
from study.design.request import Request
from study.records.progress import Observer

SHOWN_VALUES, SHOWN_SIZES, SHOWN_SITES = 6, 3, 12
T = TypeVar("T")


@dataclass
class Description:
    """A cohort as understood.

    Attributes:
        name, kind: of the cohort, and of its layout.
        where: its path.
        notice: a warning that everything made of it carries.
        unit: what a label belongs to.
        classes: one row per status: label, images, patients, and how many of both can be used.
        totals: images, patients, cases and breasts that can be used, and the positive units.
        views: images that can be used by breast and view.
        sites: patients by site and status; empty where there is one site at most.
        features: one row per clinical column: kind, values, share missing (all, positive, negative), AUC alone.
        left_out: columns that are no features, with the reason.
        images: one row per size and mode; None where no file was opened.
        excluded: one row per step and reason: images, patients.
        folds: one row per test part; empty where the cohort cannot be split.
        notes: what a reader of the report should know.
        problems: what would stop the run, and what to do.
    """

    name: str
    kind: str
    where: str
    notice: str
    unit: str
    classes: pd.DataFrame = field(default_factory=pd.DataFrame)
    totals: dict[str, int] = field(default_factory=dict)
    views: pd.DataFrame = field(default_factory=pd.DataFrame)
    sites: pd.DataFrame = field(default_factory=pd.DataFrame)
    features: pd.DataFrame = field(default_factory=pd.DataFrame)
    left_out: tuple[tuple[str, str], ...] = ()
    images: pd.DataFrame | None = None
    excluded: pd.DataFrame = field(default_factory=pd.DataFrame)
    folds: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what there is to show as tables of text, by title."""
        shown = {
            "Classes: images (patients)": self.classes,
            "Clinical columns": self.features,
            "Columns that are no features": pd.DataFrame(self.left_out, columns=["column", "reason"]),
            "Images by view": self.views,
            "Patients by site": self.sites,
            "Image files": self.images if self.images is not None else pd.DataFrame(),
            "Left out": self.excluded,
            "Test parts: patients": self.folds,
        }
        return {title: table.astype(str) for title, table in shown.items() if len(table)}

    def facts(self) -> dict[str, Any]:
        """Return everything as plain values."""
        tables = {title: table.to_dict("records") for title, table in self.tables().items()}
        return {
            "cohort": self.name,
            "kind": self.kind,
            "unit": self.unit,
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
            f"{self.name} ({self.kind}): {t['images']} images of {t['patients']} patients can be used "
            f"({t['cases']} cases, {t['breasts']} breasts); the label belongs to the {self.unit}, "
            f"{t['positive']} of {t['units']} {self.unit}s are positive"
        )


def describe(request: Request, observer: Observer) -> Description:
    """Read a cohort as a study would and collect what would stop it, instead of stopping.

    Raises:
        CohortError: the list itself cannot be read.
    """
    study = request.study
    data = study.data
    needs_images = any(study.arm_config(arm).uses_images for arm in study.arms)
    aside = partition.columns_used(study.protocol)
    listing = list_images(
        request.source,
        data,
        needs_images=needs_images,
        cache=request.cache,
        aside=aside,
        tolerance=request.tolerance,
        observer=observer,
    )
    place = str(request.source.path) if request.source.path is not None else "built in"
    found = Description(listing.name, request.source.kind, place, listing.notice, study.unit, left_out=listing.left_out)
    found.notes = list(listing.notes)
    listing = _attempt(found, lambda: choose_features(listing, data)) or listing
    facts = None
    if needs_images or labels_need_pixels(listing, data):
        facts = _attempt(found, lambda: open_images(listing, data, cache=request.cache, observer=observer))
        if facts is None:
            found.classes = _listed_classes(listing)
            found.features = _listed_features(listing)
            return found
        found.images = _sizes(facts)
    account = _attempt(found, lambda: judge(listing, data, facts))
    if account is None:
        found.classes = _listed_classes(listing)
        found.features = _listed_features(listing)
        return found
    _attempt(found, lambda: check_copies(account))
    _fill(found, listing, account, data)
    _judge_further(found, request, listing, account)
    return found


def _attempt(found: Description, step: Callable[[], T]) -> T | None:
    """Do a step; what would stop a run becomes a problem of the description."""
    try:
        return step()
    except MmbcError as error:
        if str(error) not in found.problems:
            found.problems.append(str(error))
        return None


def _listed_classes(listing: Listing) -> pd.DataFrame:
    counts = listing.images.groupby("status").agg(images=("image_id", "size"), patients=("patient_id", "nunique"))
    return counts.reset_index()


def _listed_features(listing: Listing) -> pd.DataFrame:
    """Sum up the clinical columns of listed patients, where the labels are not known yet."""
    patients = listing.images.groupby("patient_id")[[feature.name for feature in listing.features]].first()
    rows = [
        {
            "column": feature.name,
            "kind": feature.kind,
            "values": _values(patients[feature.name], feature),
            "missing": _percent(patients[feature.name].isna().mean()),
        }
        for feature in listing.features
    ]
    return pd.DataFrame(rows)


def _fill(found: Description, listing: Listing, account: Account, data: DataConfig) -> None:
    """Count what is there and what can be used."""
    found.notes = list(account.notes)
    used = used_rows(listing, account)
    rows = account.rows.assign(label=account.label, used=account.used)
    found.classes = pd.DataFrame(
        [
            {
                "class": status,
                "label": _label_word(group["label"]),
                "listed": _counted(group),
                "can be used": _counted(group[group["used"]]),
            }
            for status, group in rows.groupby("status", sort=True)
        ]
    )
    breasts = used.drop_duplicates(["patient_id", "case_id", "breast"])
    units = used.groupby(["patient_id", "case_id", "breast"] if found.unit == "breast" else "patient_id", dropna=False)
    label = units["label"].max()
    found.totals = {
        "images": len(used),
        "patients": int(used["patient_id"].nunique()),
        "cases": int(used["case_id"].nunique()),
        "breasts": len(breasts),
        "units": len(label),
        "positive": int(label.sum()),
    }
    views = used.assign(breast=used["breast"].fillna("not known"), view=used["view"].fillna("not known"))
    found.views = pd.crosstab(views["breast"], views["view"]).rename_axis(columns=None).reset_index()
    found.sites = _sites(used)
    found.features = _features(used, listing.features, found)
    left_out = rows.assign(step=account.step, reason=account.reason)[~account.used]
    reasons = left_out["reason"].where(
        left_out["step"] != "duplicate", "pixel-identical to another image of the patient"
    )
    grouped = left_out.assign(reason=reasons).groupby(["step", "reason"], sort=False)
    found.excluded = grouped.agg(images=("image_id", "size"), patients=("patient_id", "nunique")).reset_index()


def _label_word(label: pd.Series) -> str:
    words = {1: "positive", 0: "negative"}
    return " and ".join(words.get(value, "not compared") for value in sorted(label.dropna().unique())) or "not compared"


def _counted(rows: pd.DataFrame) -> str:
    return f"{len(rows)} ({rows['patient_id'].nunique()})"


def _sites(used: pd.DataFrame) -> pd.DataFrame:
    """Count patients by site and status; sites are many in some cohorts, so the largest are shown."""
    if used["site"].nunique() < 2:
        return pd.DataFrame()
    patients = used.drop_duplicates(["patient_id", "site", "status"])
    table = pd.crosstab(patients["site"], patients["status"])
    largest = table.loc[table.sum(axis=1).sort_values(ascending=False).index[:SHOWN_SITES]].sort_index()
    return largest.rename_axis(columns=None).reset_index()


def _features(used: pd.DataFrame, features: tuple[Feature, ...], found: Description) -> pd.DataFrame:
    """Sum up each clinical column over patients (her first known value)."""
    names = [feature.name for feature in features]
    patients = used.groupby("patient_id")[["label", *names]].agg({"label": "max"} | dict.fromkeys(names, "first"))
    areas = target_leakage.separation(used, features, found.unit)
    rows = []
    for feature in features:
        values = patients[feature.name]
        missing = values.isna().groupby(patients["label"]).mean()
        rows.append(
            {
                "column": feature.name,
                "kind": feature.kind,
                "values": _values(values, feature),
                "missing": _percent(values.isna().mean()),
                "in positives": _percent(missing.get(1, np.nan)),
                "in negatives": _percent(missing.get(0, np.nan)),
                "AUC alone": f"{areas[feature.name]:.2f}",
            }
        )
        found.notes += _doubts(values, feature)
    return pd.DataFrame(rows)


def _percent(share: float) -> str:
    return "" if np.isnan(share) else f"{100 * share:.1f} %"


def _values(values: pd.Series, feature: Feature) -> str:
    """Return `median 57 (27 to 89)` or `yes 12 %, no 88 %`."""
    known = values.dropna()
    if known.empty:
        return "none known"
    if feature.kind == "numeric":
        return f"median {known.median():g} ({known.min():g} to {known.max():g})"
    shares = known.value_counts(normalize=True)
    order = [value for value in feature.order if value in shares.index] or sorted(shares.index)
    if feature.kind == "categorical":
        order = list(shares.index)
    shown = [f"{value:g}" if isinstance(value, float) else str(value) for value in order[:SHOWN_VALUES]]
    texts = [f"{word} {100 * shares[value]:.0f} %" for word, value in zip(shown, order, strict=False)]
    more = len(order) - SHOWN_VALUES
    return ", ".join(texts) + (f" and {more} more" if more > 0 else "")


def _doubts(values: pd.Series, feature: Feature) -> list[str]:
    """Return questions that the user alone can answer."""
    known = values.dropna()
    if known.empty:
        return []
    if feature.kind == "categorical":
        words = known.astype(str).drop_duplicates()
        folded = words.str.casefold()
        twins = sorted(words[folded.duplicated(keep=False)])
        return (
            [f"{feature.name}: {some(twins)} differ in upper and lower case alone; are they the same?"] if twins else []
        )
    codes = find_unknown_codes(feature.name, values, feature.kind, feature.order)
    return [
        f"{feature.name}: is {code:g} a code for 'not known'? Then say --set 'data.missing_values=[\"{code:g}\"]'."
        for code in codes
    ]


def _sizes(facts: pd.DataFrame) -> pd.DataFrame:
    """Count readable files by size and mode."""
    readable = facts[facts["error"] == ""]
    if readable.empty:
        return pd.DataFrame()
    counts = readable.groupby(["mode", "width", "height"]).size().reset_index(name="n")
    rows = [_size_row(str(mode), sizes) for mode, sizes in counts.groupby("mode")]
    outlined, constant = int((readable["n_outline_pixels"] > 0).sum()), int(readable["constant"].sum())
    rows += [("with outlines in the pixels", "", outlined)] if outlined else []
    rows += [("of one grey value throughout", "", constant)] if constant else []
    return pd.DataFrame(rows, columns=["width x height", "mode", "images"])


def _size_row(mode: str, sizes: pd.DataFrame) -> tuple[str, str, int]:
    """Return the sizes of one mode: each where they are few, else their range."""
    if len(sizes) <= SHOWN_SIZES:
        shown = some(f"{width} x {height}" for width, height in zip(sizes["width"], sizes["height"], strict=True))
    else:
        width, height = (f"{sizes[side].min()} to {sizes[side].max()}" for side in ("width", "height"))
        shown = f"{width} x {height} ({len(sizes)} sizes)"
    return shown, mode, int(sizes["n"].sum())


def _judge_further(found: Description, request: Request, listing: Listing, account: Account) -> None:
    """Try everything else that could stop a run."""
    tolerance, study = request.tolerance, request.study
    _attempt(
        found,
        lambda: check_files(
            account, allow_missing=tolerance.allow_missing_images, max_unreadable=tolerance.max_unreadable
        ),
    )
    used = used_rows(listing, account)
    if used["label"].nunique() < 2:
        found.problems.append("The images that can be used have one class only.")
        return
    noted = _attempt(
        found, lambda: target_leakage.check(used, listing.features, found.unit, tolerance.allow_leaky, listing.name)
    )
    found.notes += noted or []
    if request.folds_file is not None:
        return

    def split() -> pd.DataFrame:
        folds = partition.make(used, study.protocol)
        folds.check(used, study.protocol)
        found.notes += folds.warnings(used)
        return folds.table(used)

    table = _attempt(found, split)
    if table is not None:
        tests = table[(table["part"] == "test") & (table["repeat"] == 0)]
        names = [name or f"fold {fold}" for name, fold in zip(tests["name"], tests["fold"], strict=True)]
        found.folds = pd.DataFrame(
            {
                "test part": names,
                "patients": tests["n_patients"],
                "positive": tests["n_positive"],
                "images": tests["n_images"],
            }
        )


def to_markdown(found: Description) -> str:
    """Return the description as a Markdown page."""
    parts = [f"# {found.name}: what is understood of this cohort"]
    if found.notice:
        parts.append(f"> **{found.notice[0].upper()}{found.notice[1:]}.**")
    parts.append(f"{found.headline()}.")
    if found.problems:
        parts += ["## What would stop the run", "\n".join(f"- {problem}" for problem in found.problems)]
    for title, table in found.tables().items():
        head = list(table.columns)
        lines = [head, ["---"] * len(head), *table.to_numpy().tolist()]
        rows = "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
        parts += [f"## {title}", rows]
    if found.notes:
        parts += ["## Notes", "\n".join(f"- {note}" for note in found.notes)]
    return "\n\n".join(parts) + "\n"


def write_description(found: Description, reports: Path) -> Path:
    """Write the Markdown page to `reports/<cohort>/cohort.md` and return its path."""
    file = reports / found.name / "cohort.md"
    write_atomically(file, to_markdown(found).encode())
    return file
