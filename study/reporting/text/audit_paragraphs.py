"""The audit in a report: what was found, and what was done without being asked."""

from study.checks.page import counted
from study.checks.registry import description
from study.records.finding import FAILED, WARNING
from study.records.stored_study import StoredStudy
from study.reporting.tables.audit import of_report
from study.text.format import count, listed


def audit_summary(study: StoredStudy) -> str:
    """Return how many checks passed and which did not, by name."""
    findings = of_report(study)
    if not findings:
        return ""
    doubtful = [f for f in findings if f.status in (FAILED, WARNING)]
    names = listed([f"{f.code} {description(f).title}" for f in doubtful])
    where = "chapter Audit of the supplement"
    return f"{counted(findings)}." + (f" To know: {names} ({where})." if doubtful else f" All are in the {where}.")


def automatic_changes(study: StoredStudy) -> str:
    """Return what was done about faults of the files without being asked, in one paragraph; '' for nothing."""
    cohort = study.cohort
    if study.imported or not cohort.images_checked:
        return ""
    done = []
    if cohort.n_outlined and study.settings.data.outlines != "keep":
        sham = ", and places of the same kind filled in in every image, so that the removal itself tells little"
        done.append(
            f"lesion outlines drawn into {count(cohort.n_outlined, 'image')} were removed"
            f"{sham if study.settings.data.outlines == 'sham' else ''}"
        )
    n_copies = int(cohort.flow.loc[cohort.flow["step"] == "duplicate", "n_images"].sum())
    if n_copies:
        done.append(f"{count(n_copies, 'pixel-identical copy', 'pixel-identical copies')} of images were left out")
    several = cohort.images.groupby("patient_id")["case_id"].nunique()
    n_several = int((several > 1).sum())
    if n_several:
        done.append(
            f"{count(n_several, 'patient')} with more than one case {'is' if n_several == 1 else 'are'} one group each"
        )
    if not done:
        return ""
    return (
        f"Done without being asked: {'; '.join(done)}. Patients, never images or cases, are divided between training"
        " and test."
    )
