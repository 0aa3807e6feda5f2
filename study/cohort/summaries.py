"""Summary tables of a cohort's rows, clinical columns and image files, as text to be looked at."""

import numpy as np
import pandas as pd

from mmbc.config import DataConfig
from mmbc.data import splits
from mmbc.data.account import Account
from mmbc.data.listing import Listing
from mmbc.data.tables import target_leakage
from mmbc.data.tables.columns import Feature
from mmbc.data.tables.unknown_values import codes_to_settle, find_unknown_codes, is_real
from mmbc.errors import some
from study.design.study_file import StudyFile
from study.text.format import half_up, percent
from study.text.image_name import worded

SHOWN_VALUES, SHOWN_SIZES, SHOWN_SITES = 6, 3, 12
COPY = "pixel-identical to another image of the patient"


def arms(study: StudyFile, cohort: str) -> pd.DataFrame:
    """Return each arm's question, and its differences from the reference configuration."""
    rows = [
        (name, worded(arm.question, cohort, study.data.image_name), arm.differences) for name, arm in study.arms.items()
    ]
    return pd.DataFrame(rows, columns=["arm", "question", "differs in"])


def listed_classes(listing: Listing) -> pd.DataFrame:
    """Count listed images and patients by class."""
    counts = listing.images.groupby("status").agg(images=("image_id", "size"), patients=("patient_id", "nunique"))
    return counts.reset_index()


def listed_features(listing: Listing) -> pd.DataFrame:
    """Sum up the clinical columns of listed patients, where the labels are not known yet."""
    patients = splits.patient_values(listing.images, [feature.name for feature in listing.features])
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


def classes(account: Account) -> pd.DataFrame:
    """Count images (patients) by class: listed, and those that can be used."""
    rows = account.rows.assign(label=account.label, used=account.used)
    return pd.DataFrame(
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


def _label_word(label: pd.Series) -> str:
    words = {1: "positive", 0: "negative"}
    return " and ".join(words.get(value, "not compared") for value in sorted(label.dropna().unique())) or "not compared"


def _counted(rows: pd.DataFrame) -> str:
    return f"{len(rows)} ({rows['patient_id'].nunique()})"


def totals(used: pd.DataFrame, unit: str) -> dict[str, int]:
    """Count images, patients, cases, breasts, units of analysis and positive units that can be used."""
    units = used.groupby(["patient_id", "case_id", "breast"] if unit == "breast" else "patient_id", dropna=False)
    label = units["label"].max()
    return {
        "images": len(used),
        "patients": int(used["patient_id"].nunique()),
        "cases": int(used["case_id"].nunique()),
        "breasts": len(used.drop_duplicates(["patient_id", "case_id", "breast"])),
        "units": len(label),
        "positive": int(label.sum()),
    }


def views(used: pd.DataFrame) -> pd.DataFrame:
    """Count images by breast and view."""
    known = used.assign(breast=used["breast"].fillna("not known"), view=used["view"].fillna("not known"))
    return pd.crosstab(known["breast"], known["view"]).rename_axis(columns=None).reset_index()


def sites(used: pd.DataFrame) -> pd.DataFrame:
    """Count patients by site and status; sites are many in some cohorts, so the largest are shown."""
    if used["site"].nunique() < 2:
        return pd.DataFrame()
    patients = used.drop_duplicates(["patient_id", "site", "status"])
    table = pd.crosstab(patients["site"], patients["status"])
    largest = table.loc[table.sum(axis=1).sort_values(ascending=False).index[:SHOWN_SITES]].sort_index()
    return largest.rename_axis(columns=None).reset_index()


def exclusions(account: Account) -> pd.DataFrame:
    """Count images and patients that cannot be used by step and reason."""
    left_out = account.rows.assign(step=account.step, reason=account.reason)[~account.used]
    reasons = left_out["reason"].where(left_out["step"] != "duplicate", COPY)
    grouped = left_out.assign(reason=reasons).groupby(["step", "reason"], sort=False)
    return grouped.agg(images=("image_id", "size"), patients=("patient_id", "nunique")).reset_index()


def patient_values(used: pd.DataFrame, features: tuple[Feature, ...]) -> pd.DataFrame:
    """Return label and clinical columns by patient: those that stand for the patient in Table 1 too."""
    names = [feature.name for feature in features]
    values = splits.patient_values(used, names)
    values.insert(0, "label", used.groupby("patient_id")["label"].max())
    return values


def feature_table(used: pd.DataFrame, features: tuple[Feature, ...], unit: str) -> pd.DataFrame:
    """Sum up each clinical column over patients: values, share missing, AUC alone."""
    patients = patient_values(used, features)
    areas = target_leakage.separation(used, features, unit)
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
                "AUC alone": f"{half_up(areas[feature.name], 2):.2f}",
            }
        )
    return pd.DataFrame(rows)


def column_questions(used: pd.DataFrame, features: tuple[Feature, ...], data: DataConfig) -> list[str]:
    """Return questions about numbers that the user alone can answer; a run does not stop at them.

    What stops one is in `mmbc.data.tables.unknown_values.check`.
    """
    patients = patient_values(used, features)
    return [
        f"{f.name}: is {code:g} a code for 'not known'? Then say --set 'data.missing_values=[\"{f.name}={code:g}\"]'."
        for f in features
        for code in find_unknown_codes(f.name, patients[f.name], f.kind, f.order)
        if not is_real(f.name, f"{code:g}", data) and code not in codes_to_settle(f.name, patients[f.name], f.kind)
    ]


def _percent(share: float) -> str:
    return "" if np.isnan(share) else percent(share)


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
    texts = [f"{word} {half_up(100 * shares[value], 0):.0f} %" for word, value in zip(shown, order, strict=False)]
    more = len(order) - SHOWN_VALUES
    return ", ".join(texts) + (f" and {more} more" if more > 0 else "")


def file_sizes(facts: pd.DataFrame) -> pd.DataFrame:
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
