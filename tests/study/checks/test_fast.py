"""Every check that needs no pixels passes on a clean cohort and finds its planted fault."""

import re
from dataclasses import replace

import numpy as np
import pytest

from mmbc.data.readers import Source
from study.checks import splits, studies
from study.checks.check import OWN
from study.checks.findings import findings_of
from study.checks.registry import BY_CODE, CHECKS, GROUPS
from study.checks.subject import read_subject
from study.design.folds import Folds
from study.design.request import Request, Tolerance
from study.design.study_file import load
from study.records.finding import FAILED, NOT_CHECKED, PASSED, WARNING, Finding, plain, read_findings, write_findings
from study.records.progress import Observer
from tests.study.checks.conftest import facts_of, subject_of

FAST = [check for check in CHECKS if check.fast]


def by_code(subject) -> dict[str, Finding]:
    return {finding.code: finding for finding in findings_of(subject, FAST)}


def test_a_clean_cohort_passes(subject):
    found = by_code(subject)
    assert {code for code, finding in found.items() if finding.status == PASSED} == set(found) - {"A07"}
    assert found["A07"].status == NOT_CHECKED  # nothing tells which breast is meant
    assert set(found) >= {check.code for check in CHECKS if check.fast and check.group != "study"} - {"A24"}


def changed(listing, where, **columns):
    images = listing.images.copy()
    for name, value in columns.items():
        images.loc[where, name] = value
    return replace(listing, images=images)


def missing_file(listing):
    facts = facts_of(listing.images)
    facts.loc[3, "error"] = "missing"
    return subject_of(listing, facts)


def tolerated_missing_file(listing):
    return replace(missing_file(listing), tolerance=Tolerance(allow_missing_images=True))


def copied(column, source, target):
    def plant(listing):
        facts = facts_of(listing.images)
        facts.loc[target, column] = facts.loc[source, column]
        return subject_of(listing, facts)

    return plant


def two_classes(listing):
    """The women 0 (Cancer) and 1 (Benign) get one key."""
    where = listing.images["patient_id"] == "P001"
    return subject_of(changed(listing, where, patient_id="P000"))


def two_cases(listing):
    where = listing.images["patient_id"] == "P003"
    return subject_of(changed(listing, where, patient_id="P000"))


def spelled_otherwise(listing):
    images = listing.images
    return subject_of(changed(listing, (images["patient_id"] == "P000") & (images["breast"] == "L"), patient_id="p000"))


def spelled_and_distinct(listing):
    subject = spelled_otherwise(listing)
    return replace(subject, data=subject.data.model_copy(update={"spellings": "distinct"}))


def view_twice(listing):
    return subject_of(changed(listing, 1, view="CC"))


def opposite_breast(listing):
    images = listing.images.assign(annotated=(listing.images["status"] != "Normal") & (listing.images["breast"] == "L"))
    return subject_of(replace(listing, images=images, sides="listed"))


def outlined_breast(listing):
    facts = facts_of(listing.images)
    facts["n_outline_pixels"] = np.where(
        (listing.images["status"] == "Cancer") & (listing.images["breast"] == "R"), 90, 0
    )
    return subject_of(replace(listing, sides="pixels"), facts)


def code_for_unknown(listing):
    return subject_of(changed(listing, listing.images["patient_id"].isin(["P005", "P006"]), age=999.0))


def density_zero(listing):
    return subject_of(changed(listing, listing.images["patient_id"] == "P005", density=0.0))


def declared_code(listing):
    return subject_of(replace(listing, unknown_codes=(("density", "0", 4),)))


def telling_column(listing):
    images = listing.images
    noise = np.random.default_rng(0).normal(size=len(images))
    return subject_of(replace(listing, images=images.assign(age=60 + 20.0 * (images["status"] == "Cancer") + noise)))


def missing_by_class(listing):
    some = (listing.images["status"] == "Cancer") & (listing.images["patient_id"] < "P120")
    return subject_of(changed(listing, some, age=np.nan))


def on_two_sides(listing):
    subject = subject_of(listing)
    first, *rest = subject.folds.folds
    first = first.changed(train=[*first.train, first.test[0]])
    return replace(subject, folds=subject.folds.changed(folds=[first, *rest]))


def patient_tested_twice(listing):
    subject = subject_of(listing)
    first, second, *rest = subject.folds.folds
    moved = first.test[0]
    second = second.changed(test=[*second.test, moved], train=[p for p in second.train if p != moved])
    return replace(subject, folds=subject.folds.changed(folds=[first, second, *rest]))


def never_tested(listing):
    subject = subject_of(listing)
    first, *rest = subject.folds.folds
    first = first.changed(train=[*first.train, first.test[0]], test=first.test[1:])
    return replace(subject, folds=subject.folds.changed(folds=[first, *rest]))


def conflicting_copy(listing):
    """An image of a woman with cancer, copied to one with a benign lesion."""
    return copied("pixel_digest", 0, 4)(listing)


def unknown_patient(listing):
    subject = subject_of(listing)
    first, *rest = subject.folds.folds
    first = first.changed(train=[*first.train, "nobody"])
    return replace(subject, folds=subject.folds.changed(folds=[first, *rest]))


def patient_in_no_part(listing):
    subject = subject_of(listing)
    first, *rest = subject.folds.folds
    return replace(subject, folds=subject.folds.changed(folds=[first.changed(train=first.train[1:]), *rest]))


def empty_validation(listing):
    subject = subject_of(listing)
    first, *rest = subject.folds.folds
    first = first.changed(train=[*first.train, *first.validation], validation=[])
    return replace(subject, folds=subject.folds.changed(folds=[first, *rest]))


def refused_prevalence(listing):
    """Test parts by class, as far as each still has both."""
    subject = subject_of(listing)
    labels = subject.images.groupby("patient_id")["label"].max().sort_values(kind="stable")
    order = [*labels.index[5:-5], *(p for pair in zip(labels.index[:5], labels.index[-5:], strict=True) for p in pair)]
    parts = [sorted(order[46 * n : 46 * n + 46] + order[230 + 2 * n : 232 + 2 * n]) for n in range(5)]
    entries = []
    for n, test in enumerate(parts):
        rest = [p for other in parts if other is not test for p in other]
        entries.append({"repeat": 0, "fold": n, "train": rest[::2], "validation": rest[1::2], "test": test})
    return replace(subject, folds=Folds(n_folds=5, repeats=1, folds=entries))


def unlike_folds(listing):
    subject = subject_of(listing)
    tested = set(subject.folds.folds[0].test)
    images = listing.images.assign(age=listing.images["age"] + 30.0 * listing.images["patient_id"].isin(tested))
    return replace(subject_of(replace(listing, images=images)), folds=subject.folds)


def large_by_chance(listing):
    """A part of 12 patients that are half a standard deviation older than the other 48, though nobody arranged it."""
    images = listing.images[listing.images["patient_id"] < "P060"].reset_index(drop=True)
    subject = subject_of(replace(listing, images=images))
    ages = images.drop_duplicates("patient_id").set_index("patient_id")["age"]
    tested = ages.index.isin(subject.folds.folds[0].test)
    alike = ages.groupby(tested).transform(lambda values: (values - values.mean()) / values.std())
    years = subject.images["patient_id"].map(60 + 10 * alike + 5.5 * tested)
    return replace(subject, images=subject.images.assign(age=years))


def few_positives(listing):
    kept = (listing.images["status"] != "Cancer") | (listing.images["patient_id"] < "P040")
    images = listing.images[kept].reset_index(drop=True)
    return subject_of(replace(listing, images=images))


PLANTED = [
    (missing_file, "A01", FAILED, "1 are missing"),
    (tolerated_missing_file, "A01", WARNING, "1 are missing"),
    (copied("content_digest", 0, 1), "A02", WARNING, "0 of them across patients"),
    (copied("pixel_digest", 0, 1), "A03", WARNING, "0 of them across patients"),
    (copied("pixel_digest", 0, 13), "A03", WARNING, "1 of them across patients"),
    (conflicting_copy, "A03", FAILED, "P000_L_CC.png and P001_L_CC.png"),
    (two_classes, "A05", WARNING, "P000"),
    (two_cases, "A06", WARNING, "P000"),
    (spelled_otherwise, "A06", FAILED, "'p000' and 'P000'"),
    (spelled_otherwise, "A25", FAILED, "'P000' and 'p000'"),
    (spelled_and_distinct, "A06", WARNING, "'p000' and 'P000'"),
    (spelled_and_distinct, "A25", PASSED, "no patient"),
    (view_twice, "A06", WARNING, "more than once in a case"),
    (opposite_breast, "A07", WARNING, "in 80 of 80 positive cases"),
    (outlined_breast, "A07", WARNING, "160 of 320 positive images"),
    (code_for_unknown, "A08", FAILED, "age 999"),
    (density_zero, "A08", FAILED, "density 0"),
    (declared_code, "A08", WARNING, "density 0 in 4 rows"),
    (telling_column, "A22", FAILED, "age"),
    (missing_by_class, "A23", FAILED, "age (50 %"),
    (on_two_sides, "A25", FAILED, "1 of 5 splits"),
    (patient_tested_twice, "A27", FAILED, "1 more than once"),
    (never_tested, "A27", FAILED, "1 patient is never tested"),
    (unknown_patient, "A27", FAILED, "not in the cohort (nobody)"),
    (patient_in_no_part, "A27", FAILED, "1 patient in no part"),
    (empty_validation, "A31", FAILED, "without a patient of the cohort: validation of repeat 1, fold 1"),
    (refused_prevalence, "A26", FAILED, "A study refuses these splits"),
    (unlike_folds, "A26", WARNING, "age in fold 1"),
    (large_by_chance, "A26", WARNING, "chance may explain it"),
    (few_positives, "A31", WARNING, "fewer than 10"),
]


@pytest.mark.parametrize(
    ("plant", "code", "status", "said"), PLANTED, ids=lambda value: getattr(value, "__name__", None)
)
def test_a_planted_fault_is_found(listing, plant, code, status, said):
    (found,) = findings_of(plant(listing), [BY_CODE[code]])
    assert (found.status, said in found.evidence) == (status, True), found


def test_balance_says_what_could_have_been_seen(subject):
    found = by_code(subject)["A26"]
    assert found.status == PASSED and re.search(r"Differences below 0\.\d\d were not told from chance", found.evidence)


def test_a_copy_under_another_key_is_on_two_sides(subject):
    """Folds that were made before the copy was known divide it."""
    first = subject.folds.folds[0]
    twin, other = first.test[0], first.train[0]
    images = subject.images.copy()
    pixels = images.loc[images["patient_id"] == twin, "pixel_digest"].iloc[0]
    images.loc[images.index[images["patient_id"] == other][0], "pixel_digest"] = pixels
    found = splits.two_sides(replace(subject, images=images))
    assert found.status == FAILED
    assert twin in str(found.rows)


def test_standardised_differences_by_hand(subject):
    table = splits.balance_table(subject.folds, subject.images, subject.features)
    row = table[(table["variable"] == "age") & (table["fold"] == 2)].iloc[0]
    ages = subject.images.groupby("patient_id")["age"].first()
    tested = ages.index.isin(subject.folds.folds[2].test)
    inside, rest = ages[tested], ages[~tested]
    expected = (inside.mean() - rest.mean()) / np.sqrt((inside.var() + rest.var()) / 2)
    assert row["difference"] == pytest.approx(expected)
    assert row["se"] == pytest.approx(np.sqrt(1 / len(inside) + 1 / len(rest)))


def test_a_fault_that_a_synthetic_cohort_has_by_design_is_a_warning(listing):
    subject = opposite_breast(replace(listing, by_design=("labels of the opposite breast",)))
    found = by_code(subject)["A07"]
    assert found.status == WARNING and found.evidence.startswith("By design of this synthetic cohort: Labels are per")


OF_SPLITS = ["A25", "A26", "A27", "A31"]


def test_no_splits_are_not_checked(subject):
    found = by_code(replace(subject, folds=None, split_error="too few patients"))
    assert [code for code, finding in found.items() if "too few patients" in finding.evidence] == OF_SPLITS
    assert {found[code].status for code in OF_SPLITS} == {NOT_CHECKED}


def test_few_counts_the_rarer_class(subject):
    found = studies.few_positives(subject)
    assert found.status == (WARNING if min(row["positive"] for row in found.rows) < 10 else PASSED)


def test_findings_survive_the_disk(tmp_path):
    findings = [Finding("A26", WARNING, "x", rows=({"fold": np.int64(1), "difference": np.float64("nan")},))]
    write_findings(tmp_path, findings)
    assert read_findings(tmp_path) == (replace(findings[0], rows=({"fold": 1, "difference": None},)),)
    assert plain({"a": (np.float32(0.5), "b")}) == {"a": [0.5, "b"]}


def test_the_phantom_passes(tmp_path):
    study = load("demo", None, ["data.phantom.n_patients=150", "data.phantom.height=48"])
    subject = read_subject(Request(Source("phantom", None), study, tmp_path), Observer())
    wrong = [
        finding
        for finding in findings_of(subject, FAST)
        if finding.status in (FAILED, WARNING) and finding.code != "A31"
    ]
    assert [finding.code for finding in wrong] == ["A07"], "which is by design"


def test_codes_are_complete_and_unique():
    codes = [check.code for check in CHECKS]
    assert sorted(codes) == [f"A{n:02d}" for n in range(1, len(codes) + 1)]
    assert OWN not in GROUPS, "a check of the program names the chapter of its family"
    assert len({check.title for check in CHECKS}) == len(codes) == len(BY_CODE)
