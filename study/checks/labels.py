"""Checks of the labels: two for one patient, keys that repeat, breasts without a lesion, codes for 'not known'."""

import pandas as pd

from mmbc.data.tables.columns import find_unknown_codes
from mmbc.errors import some
from study.checks.subject import Subject
from study.records.finding import FAILED, NOT_CHECKED, PASSED, WARNING, Finding

AS_ONE = "one group in every split"


def conflicting(subject: Subject) -> Finding:
    """A05: patients listed under two classes."""
    rows = subject.listing.images.assign(label=subject.account.label)
    patients = rows.groupby("patient_id").agg(
        classes=("status", lambda words: ", ".join(sorted(set(words.astype(str))))),
        labels=("label", "nunique"),
        cases=("case_id", "nunique"),
    )
    if subject.unit == "breast" and subject.listing.sides == "given":
        patients = patients[patients["cases"] > 1]  # breasts of one case may differ
    several = patients[patients["classes"].str.contains(", ")]
    if several.empty:
        return Finding("A05", PASSED, f"Each of {rows['patient_id'].nunique()} listed patients has one class.")
    opposed = int((several["labels"] > 1).sum())
    shown = [{"patient": str(name), "classes": words} for name, words in several["classes"].items()]
    return Finding(
        "A05",
        WARNING if opposed else PASSED,
        f"{len(several)} patients are listed under two classes, {opposed} of them as positive and as negative: "
        f"{some(several.index, 5)}.",
        AS_ONE + ("" if subject.unit == "breast" else ", positive if any of her rows is"),
        rows=tuple(shown),
    )


def repeated(subject: Subject) -> Finding:
    """A06: patient keys that name several cases, or a view of a breast more than once."""
    rows = subject.listing.images
    cases = rows.groupby("patient_id")["case_id"].nunique()
    several = cases[cases > 1]
    views = rows.dropna(subset=["breast", "view"])
    twice = views[views.duplicated(["case_id", "breast", "view"], keep=False)]
    if several.empty and twice.empty:
        return Finding("A06", PASSED, f"Each of {len(cases)} listed patient keys names one case, with each view once.")
    n_twice = twice.drop_duplicates(["case_id", "breast", "view"]).shape[0]
    parts = []
    if len(several):
        parts.append(
            f"{len(several)} of {len(cases)} listed patient keys name more than one case: {some(several.index, 8)}."
        )
    if n_twice:
        parts.append(f"{n_twice} times one view of one breast is listed more than once in a case.")
    shown = [
        {"patient": str(patient), "cases": ", ".join(sorted(set(rows.loc[rows["patient_id"] == patient, "case_id"])))}
        for patient in several.index
    ]
    return Finding("A06", WARNING, " ".join(parts), f"{AS_ONE}; views are pooled over what there is", rows=tuple(shown))


def contralateral(subject: Subject) -> Finding:
    """A07: positive labels on breasts that annotations show to be without a lesion."""
    rows = subject.images
    if subject.unit == "breast":
        return Finding("A07", PASSED, "Labels are per breast.")
    annotated = _annotated(subject)
    if annotated is None:
        return Finding("A07", NOT_CHECKED, "Nothing tells which breast of a case is meant.")
    positive = rows.assign(annotated=annotated)[rows["label"] == 1]
    breasts = positive.groupby(["case_id", "breast"])["annotated"].any().rename("annotated").reset_index()
    cases = breasts.groupby("case_id")["annotated"].agg(["size", "sum"])
    one_sided = cases[(cases["size"] == 2) & (cases["sum"] == 1)]
    if one_sided.empty:
        return Finding("A07", PASSED, f"Annotations of {len(cases)} positive cases leave no breast out.")
    n_images = int(
        (
            ~positive.groupby(["case_id", "breast"])["annotated"].transform("any")
            & positive["case_id"].isin(one_sided.index)
        ).sum()
    )
    return Finding(
        "A07",
        WARNING,
        f"Labels are per case: in {len(one_sided)} of {len(cases)} positive cases one breast alone is annotated, and "
        f"{n_images} of {len(positive)} positive images show the other one.",
        "patients are the unit of analysis: her higher breast counts",
    )


def _annotated(subject: Subject) -> pd.Series | None:
    """Return whether an image is annotated, by row of `images`, from its pixels or from the list; None if nothing tells."""
    if subject.listing.sides == "pixels":
        facts = subject.used_facts
        return facts["n_outline_pixels"] > 0 if facts is not None else None
    if subject.listing.sides == "listed" and "annotated" in subject.listing.images:
        used = subject.account.used
        return subject.listing.images.loc[used.index[used], "annotated"].astype(bool).reset_index(drop=True)
    return None


def codes(subject: Subject) -> Finding:
    """A08: values of clinical columns that stand for 'not known'."""
    if not subject.features:
        return Finding("A08", NOT_CHECKED, "The cohort has no clinical column.")
    declared = [f"{column} {value} in {n} rows" for column, value, n in subject.listing.unknown_codes]
    rows = subject.images
    doubts = [
        f"{f.name} {code:g} in {int((pd.to_numeric(rows[f.name], errors='coerce') == code).sum())} rows"
        for f in subject.features
        for code in find_unknown_codes(f.name, rows[f.name], f.kind, f.order)
    ]
    if doubts:
        return Finding(
            "A08", FAILED, f"Values that look like codes for 'not known', taken as numbers: {'; '.join(doubts)}."
        )
    if declared:
        return Finding(
            "A08", WARNING, f"Codes for 'not known': {'; '.join(declared)}.", "taken as missing, and imputed"
        )
    return Finding("A08", PASSED, f"No value of {some([f.name for f in subject.features])} looks like a code.")
