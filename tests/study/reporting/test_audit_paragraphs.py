"""What a report says of the audit, of what was done without being asked, and of what remains of outlines."""

from dataclasses import replace

import pandas as pd

from study.checks.findings import with_findings
from study.evaluation.evaluation import evaluate
from study.records.finding import FAILED, NOT_CHECKED, PASSED, WARNING, Finding
from study.reporting.document import report
from study.reporting.manifest import Options
from study.reporting.pack import gather_content
from study.reporting.tables.audit import audit_table, remains
from study.reporting.text.audit_paragraphs import audit_summary, automatic_changes
from study.reporting.text.sections import cohort

LEFT = "What remains of the outlines: AUC 0.57 (0.50 to 0.64)."


def outlined(stored):
    """The study as if its images had had outlines, copies and a patient with two cases."""
    before = stored.cohort
    images = before.images.copy()
    images.loc[images.index[:2], "case_id"] = "another"
    copies = pd.DataFrame([{"step": "duplicate", "status": "Benign", "n_images": 3, "n_patients": 2}])
    flow = pd.concat([before.flow[before.flow["step"] != "duplicate"], copies])
    findings = (*stored.findings, Finding("A12", WARNING, LEFT, "one of each size class"))
    return replace(stored, cohort=replace(before, images=images, flow=flow, n_outlined=7), findings=findings)


def test_one_paragraph_says_what_was_done_without_being_asked(stored):
    text = automatic_changes(outlined(stored))
    assert "removed lesion outlines drawn into 7 images" in text
    assert "copies" not in text, "the paragraph before has them"
    assert "to hide which images had an outline; a trace remains (check A12); it kept" in text
    assert "kept 1 patient with more than one case together as one group" in text
    assert text.endswith("Patients, not images or cases, are divided between training and test.")
    assert "\n" not in text
    assert automatic_changes(stored) == ""


def test_no_trace_is_said_to_remain_that_was_not_found(stored):
    study = outlined(stored)
    for status in (PASSED, NOT_CHECKED):
        findings = (Finding("A12", status, LEFT),)
        assert "to hide which images had an outline; it kept" in automatic_changes(replace(study, findings=findings))


def test_images_left_out_are_counted_with_their_reason(stored):
    text = cohort(outlined(stored), brief=True)
    lost = stored.cohort.flow.groupby("step")["n_images"].sum()
    assert f"Of {lost['listed']} listed images, 3 were left out as identical copies of others." in text


def test_outlines_that_were_kept_were_not_removed(stored):
    study = outlined(stored)
    data = study.settings.data.model_copy(update={"outlines": "keep"})
    assert "removed" not in automatic_changes(replace(study, settings=study.settings.model_copy(update={"data": data})))


def test_what_remains_stands_under_every_headline_number(stored):
    study = outlined(stored)
    content = gather_content(study, evaluate(study, n_replicates=100), Options(figures=False))
    main = next(table for table in content.tables if table.name == "main")
    assert "What remains of drawn outlines: see Audit." in main.caption
    text = report(content)
    assert text.count(LEFT) == 1  # after the answer
    assert "By default, the program removed" in text
    assert remains(stored) == ""


def test_the_report_counts_the_checks_and_names_those_that_did_not_pass(stored):
    findings = (Finding("A01", PASSED, "x"), Finding("A13", FAILED, "y"), Finding("A30", NOT_CHECKED, "z"))
    text = audit_summary(replace(stored, findings=findings))
    assert text.startswith("Of 3 checks, 1 passed, 1 failed (image size) and 1 could not be made.")
    table = audit_table(replace(stored, findings=findings))
    assert table.shown["Status"].tolist() == [PASSED, FAILED, NOT_CHECKED]
    assert audit_summary(replace(stored, findings=())) == ""


def test_a_study_that_was_run_has_what_its_start_and_its_records_say(stored):
    codes = {finding.code for finding in with_findings(stored).findings}
    assert {"A01", "A03", "A22", "A24", "A25", "A28", "A32"} <= codes
