"""What the audit finds in Mini-DDSM, unaided; skipped where the images are not here."""

import pytest

from mmbc.data.readers import find_source
from study.checks.annotations import colours
from study.checks.findings import findings_of
from study.checks.registry import CHECKS
from study.checks.subject import read_subject
from study.design.request import Request, Tolerance
from study.design.study_file import load
from study.records.finding import FAILED, NOT_CHECKED, PASSED, WARNING
from study.records.progress import Observer

FAST = [check for check in CHECKS if check.fast]


def subject_of(data, place, sets=(), **tolerance):
    study = load("default", None, list(sets))
    return read_subject(Request(find_source(str(data)), study, place, tolerance=Tolerance(**tolerance)), Observer())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("real")


@pytest.mark.slow
def test_version_1_has_its_known_faults(real_v1, place):
    found = {finding.code: finding for finding in findings_of(subject_of(real_v1, place), FAST)}
    assert found["A01"].status == PASSED
    assert "116 groups have the same pixels" in found["A03"].evidence
    assert "A_1500_1, A_1511_1, A_1632_1" in found["A05"].evidence
    assert all(f"{number}_1" in found["A06"].evidence for number in ("A_1512", "B_3470", "C_0412", "C_0478"))
    assert "94 of 101 positive cases" in found["A07"].evidence
    assert "density 0 in 4 rows" in found["A08"].evidence
    assert found["A18"].status in (WARNING, FAILED) and "no Normal image has C" in found["A18"].evidence
    assert {found[code].status for code in ("A25", "A27")} == {PASSED}


@pytest.mark.slow
@pytest.mark.parametrize(("outlines", "status"), [("sham", WARNING), ("keep", FAILED)])
def test_the_outlines_of_version_1_are_found_without_knowing_their_colours(real_v1, place, outlines, status):
    subject = subject_of(real_v1, place, [f"data.outlines={outlines}"], limit_patients=75)
    found = colours(subject)
    assert found.status == status
    against_rest = [row for row in found.rows if row.get("comparison", "").startswith("Cancer against the rest")]
    assert max(row["AUC"] for row in against_rest) > 0.7
    assert "0 of" in found.evidence and "Normal" in found.evidence


@pytest.mark.slow
def test_version_2_is_a_partial_download_without_outlines(real_data, place):
    subject = subject_of(real_data / "MINI-DDSM-Complete-JPEG-8", place)
    found = {finding.code: finding for finding in findings_of(subject)}
    assert found["A01"].status == FAILED and "7760 are missing" in found["A01"].evidence
    assert found["A25"].status == NOT_CHECKED  # 4 positive patients cannot be divided into 5 parts
    assert {found[code].status for code in ("A04", "A09", "A10", "A12")} == {PASSED}
