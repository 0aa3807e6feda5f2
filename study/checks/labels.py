"""Checks of the labels: two for one patient, keys that repeat, breasts without a lesion, codes for 'not known'."""

import pandas as pd

from mmbc.data import persons
from mmbc.data.tables import identifiers
from mmbc.data.tables.unknown_values import find_unknown_codes, is_real
from mmbc.errors import some
from study.checks.check import Outcome, check, failed, not_checked, passed, warning
from study.checks.subject import Subject, given
from study.records.finding import WARNING
from study.text.format import count

GROUP = "labels"
ONE_GROUP = "one group in every split"


@check(
    "A05",
    "patients with conflicting labels",
    group=GROUP,
    question="Does one patient key carry two classes?",
    meaning="Either one patient has two findings, or two patients share a key. In a split by image, the other"
    " examination reveals the label.",
    remedy="Look the patients up. They are one group in every split. Where labels belong to breasts, `--label-level"
    " breast`; else `--conflicts any`, or `--conflicts exclude` for breasts.",
    needs=("list",),
)
def conflicts(subject: Subject) -> Outcome:
    """Patients listed under two classes, and cases or breasts with both labels."""
    listing, account = given(subject.listing), given(subject.account)
    rows = listing.images.assign(label=account.label, mixed=account.mixed)
    if account.refusal:
        return failed(account.refusal + ".", rows=_mixed_units(rows[account.mixed]))
    patients = rows.groupby("patient_id").agg(
        classes=("status", lambda words: ", ".join(sorted(set(words.astype(str))))),
        labels=("label", "nunique"),
        cases=("case_id", "nunique"),
        mixed=("mixed", "any"),
    )
    if subject.unit == "breast" and listing.sides == "given":
        patients = patients[(patients["cases"] > 1) | patients["mixed"]]  # breasts of one case may differ
    several = patients[patients["classes"].str.contains(", ")]
    if several.empty:
        return passed(f"Each of {rows['patient_id'].nunique()} listed patients has one class.")
    opposed = int((several["labels"] > 1).sum())
    evidence = (
        f"{count(len(several), 'patient is', 'patients are')} listed under two classes, {opposed} of them as positive"
        f" and as negative: {some(several.index, 5)}."
    )
    handled = ONE_GROUP + ("" if subject.unit == "breast" else ", positive if any of the patient's rows is")
    if account.mixed.any():
        settled = {"any": "positive if any of its images is", "exclude": "left out"}[subject.data.conflicts]
        handled = f"{ONE_GROUP}; a {subject.data.label_level} with both labels is {settled}"
    shown = [{"patient": str(name), "classes": words} for name, words in several["classes"].items()]
    return (warning if opposed else passed)(evidence, handled, shown)


def _mixed_units(rows: pd.DataFrame) -> list[dict[str, object]]:
    """Return the cases (breasts) with both labels, their classes and images."""
    units = rows.assign(breast=rows["breast"].fillna("")).groupby(["patient_id", "case_id", "breast"], sort=True)
    return [
        {
            "patient": str(patient),
            "breast": str(breast),
            "classes": ", ".join(sorted(set(unit["status"].astype(str)))),
            "images": ", ".join(unit["image_id"].astype(str)),
        }
        for (patient, _, breast), unit in units
    ]


@check(
    "A06",
    "repeated identifiers",
    group=GROUP,
    question="Do patient keys differ in spelling alone? Does one key name several cases, one case more images than it"
    " has breasts and views, or, by sites and ages, perhaps two persons?",
    meaning="A patient under two keys is on both sides of a split. Splits by case or by file divide a patient with"
    " several cases; counts of patients by file name are wrong.",
    remedy="Look the patients up. `--merge-ids` joins keys that differ in spelling alone, `--distinct-ids` keeps them"
    " apart. Cases of one key are one group in every split.",
    needs=("list",),
)
def repetitions(subject: Subject) -> Outcome:
    """Patient keys in several spellings, that may be two persons, or that name several cases or one view twice."""
    listing = given(subject.listing)
    rows, doubts = listing.images, persons.doubts(listing)
    spelled = identifiers.twins(rows)
    cases = rows.groupby("patient_id")["case_id"].nunique()
    several = cases[cases > 1]
    views = rows.dropna(subset=["breast", "view"])
    twice = views[views.duplicated(["case_id", "breast", "view"], keep=False)]
    n_twice = twice.drop_duplicates(["case_id", "breast", "view"]).shape[0]
    parts, handled = [], []
    if spelled:
        parts.append(f"{count(len(spelled), 'key occurs', 'keys occur')} in several spellings: {some(spelled, 5)}.")
        handled += ["kept apart as asked (--distinct-ids)"] * (subject.data.spellings == "distinct")
    parts += doubts
    if len(several):
        parts.append(
            f"{len(several)} of {len(cases)} listed patient keys name more than one case: {some(several.index, 8)}."
        )
    if n_twice:
        parts.append(f"{n_twice} times one view of one breast is listed more than once in a case.")
    if not parts:
        return passed(f"Each of {len(cases)} listed patient keys names one case, with each view once.")
    if len(several) or n_twice:
        handled.append(f"{ONE_GROUP}; views are pooled over what there is")
    shown: list[dict[str, str]] = [{"spellings": pair} for pair in spelled]
    shown += [
        {"patient": str(patient), "cases": ", ".join(sorted(set(rows.loc[rows["patient_id"] == patient, "case_id"])))}
        for patient in several.index
    ]
    stops = bool(spelled) and subject.data.spellings != "distinct"
    return (failed if stops else warning)(" ".join(parts), "; ".join(handled), shown)


@check(
    "A07",
    "labels of the opposite breast",
    group=GROUP,
    question="Where a label belongs to the whole case: do annotations show that the other breast of a positive case"
    " has no lesion?",
    meaning="Images without a lesion are labelled positive: image-level metrics are capped, and a model is taught the"
    " person, not the lesion.",
    remedy="Report per patient (the default here), or use `--label-level breast`.",
    needs=("list",),
    severity=WARNING,
)
def opposite_breasts(subject: Subject) -> Outcome:
    """Positive labels on breasts that annotations show to be without a lesion."""
    rows = subject.images
    if subject.unit == "breast":
        return passed("Labels are per breast.")
    annotated = _annotated(subject)
    if annotated is None:
        return not_checked("Nothing tells which breast of a case is meant.")
    positive = rows.assign(annotated=annotated)[rows["label"] == 1]
    breasts = positive.groupby(["case_id", "breast"])["annotated"].any().rename("annotated").reset_index()
    cases = breasts.groupby("case_id")["annotated"].agg(["size", "sum"])
    one_sided = cases[(cases["size"] == 2) & (cases["sum"] == 1)]
    if one_sided.empty:
        return passed(f"No positive case of {len(cases)} has an annotation in one of its two breasts only.")
    n_images = int(
        (
            ~positive.groupby(["case_id", "breast"])["annotated"].transform("any")
            & positive["case_id"].isin(one_sided.index)
        ).sum()
    )
    return warning(
        f"Labels are per case: in {len(one_sided)} of {len(cases)} positive cases only one breast is annotated, and "
        f"{n_images} of {len(positive)} positive images show the other one: a model of "
        "images learns these with a wrong label.",
        "patients are the unit of analysis; the breast with the higher score counts",
    )


def _annotated(subject: Subject) -> pd.Series | None:
    """Return whether an image is annotated, by row of `images`, from pixels or from the list; None if nothing tells."""
    listing = given(subject.listing)
    if listing.sides == "pixels":
        return subject.used_facts["n_outline_pixels"] > 0 if subject.facts is not None else None
    if listing.sides == "listed" and "annotated" in listing.images:
        used = given(subject.account).used
        return listing.images.loc[used.index[used], "annotated"].astype(bool).reset_index(drop=True)
    return None


@check(
    "A08",
    "codes for unknown",
    group=GROUP,
    question="Does a clinical column hold values that stand for 'not known' (0, 99, 999, negative ones)?",
    meaning="A code that is scaled like a number turns missingness into a predictor.",
    remedy="Where it was taken as a number, declare it: `--set 'data.missing_values=[\"999\"]'`.",
    needs=("list", "clinical columns"),
)
def codes(subject: Subject) -> Outcome:
    """Values of clinical columns that stand for 'not known'."""
    rows = subject.images
    doubts = [
        f"{f.name} {code:g} in {count(int((pd.to_numeric(rows[f.name], errors='coerce') == code).sum()), 'row')}"
        for f in subject.features
        for code in find_unknown_codes(f.name, rows[f.name], f.kind, f.order)
        if not is_real(f.name, f"{code:g}", subject.data)
    ]
    if doubts:
        return failed(f"Values that look like codes for 'not known', taken as numbers: {'; '.join(doubts)}.")
    if declared := [
        f"{column} {value} in {count(n, 'row')}" for column, value, n in given(subject.listing).unknown_codes
    ]:
        return warning(f"Codes for 'not known': {'; '.join(declared)}.", "taken as missing, and imputed")
    return passed(f"No value of {some([f.name for f in subject.features])} looks like a code.")
