"""What the audit found, in a report: what was found, and what was done without being asked."""

from study.audit.catalogue import BY_CODE
from study.audit.finding import FAILED, WARNING, Finding
from study.audit.page import counted
from study.paper.format import count, listed
from study.paper.tables.audit import evidence, of_report
from study.stored import StoredStudy


def brief(study: StoredStudy) -> str:
    """Return how many checks passed and which did not, by name."""
    findings = of_report(study)
    if not findings:
        return ""
    doubtful = [f for f in findings if f.status in (FAILED, WARNING)]
    names = listed([f"{f.code} {BY_CODE[f.code].name}" for f in doubtful])
    return f"{counted(findings)}." + (f" To know: {names} (chapter Audit of the supplement)." if doubtful else "")


def summary(study: StoredStudy) -> str:
    """Return how many checks passed, and what those that did not found."""
    findings = of_report(study)
    if not findings:
        return ""
    parts = [f"{counted(findings)}."]
    for status, word in ((FAILED, "Failed"), (WARNING, "Warnings")):
        mine = [finding for finding in findings if finding.status == status]
        if mine:
            parts.append(f"{word}:\n" + "\n".join(f"- {_line(finding)}" for finding in mine))
    return "\n\n".join(parts)


def _line(finding: Finding) -> str:
    return f"{finding.code} {BY_CODE[finding.code].name}: {evidence(finding)}"


def unasked(study: StoredStudy) -> str:
    """Return what was done about the faults of the files without being asked, in one paragraph; '' where there was nothing."""
    cohort = study.cohort
    if study.imported or not cohort.images_checked:
        return ""
    done = []
    if cohort.n_outlined and study.settings.data.outlines != "keep":
        same = "; every image without one had the outline of another image removed in the same way" * (
            study.settings.data.outlines == "sham"
        )
        done.append(f"lesion outlines drawn into {count(cohort.n_outlined, 'image')} were removed{same}")
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
    return f"Done without being asked: {listed(done)}. Patients, never images or cases, are divided between training and test."
