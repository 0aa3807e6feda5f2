"""The audit in a report: what was found, and what was done without being asked."""

from study.checks.registry import description
from study.records.finding import FAILED, NOT_CHECKED, PASSED, WARNING
from study.records.stored_study import StoredStudy
from study.reporting.facts.prose import render
from study.reporting.facts.sentences import leaves_trace
from study.reporting.tables.audit import of_report


def audit_summary(study: StoredStudy) -> str:
    """Return how many checks passed and which did not, by name."""
    findings = of_report(study)
    if not findings:
        return ""
    by_status = {
        status: [description(finding).title for finding in findings if finding.status == status]
        for status in (PASSED, WARNING, FAILED, NOT_CHECKED)
    }
    return render(
        "audit",
        n=len(findings),
        passed=by_status[PASSED],
        warned=by_status[WARNING],
        failed=by_status[FAILED],
        not_made=by_status[NOT_CHECKED],
    )


def automatic_changes(study: StoredStudy) -> str:
    """Return what was done about faults of the files without being asked, in one paragraph; '' for nothing."""
    cohort, outlines = study.cohort, study.settings.data.outlines
    if study.imported or not cohort.images_checked:
        return ""
    several = cohort.images.groupby("patient_id")["case_id"].nunique()
    return render(
        "automatic_changes",
        n_outlined=cohort.n_outlined if outlines != "keep" else 0,
        sham=outlines == "sham",
        trace=leaves_trace(study),
        n_several=int((several > 1).sum()),
    )
