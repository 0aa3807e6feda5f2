"""A whole audit: the cohort's files, its pixels, its splits and, where one is named, a study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from mmbc.config import DataConfig
from mmbc.errors import ConfigError, StudyError, some
from study.checks import page
from study.checks.certificate import certificate, write_certificate
from study.checks.check import OF_STUDY, Check
from study.checks.contact_sheet import contact_sheet
from study.checks.findings import findings_of, with_findings
from study.checks.probes import positive_classes
from study.checks.registry import CHECKS
from study.checks.subject import Subject, given, read_subject, subject_of_study
from study.checks.user_checks import checks_of
from study.design.request import Request
from study.design.study_file import StudyFile
from study.design.study_name import file_name, variant
from study.records.finding import Finding
from study.records.pages import is_of_another, origin_of, write_page
from study.records.progress import Observer
from study.records.stored_study import StoredStudy
from study.records.study_folder import rename_aside

SHEET, PAGE = "duplicates.png", "audit.md"


@dataclass(frozen=True)
class Audit:
    """Everything an audit brought to light.

    Attributes:
        name: of the study, else of the cohort.
        notice: a warning that everything made of the cohort carries.
        findings: by code.
        subject: what was looked at.
        origin: what tells it from an audit of something else that is called the same.
        read: what was audited and how it was read, by name.
        certificate: of the splits; None where there are none.
        notes: further lines for the terminal.
    """

    name: str
    notice: str
    findings: Sequence[Finding]
    subject: Subject
    origin: str = ""
    read: Mapping[str, str] = field(default_factory=dict)
    certificate: dict[str, Any] | None = None
    notes: Sequence[str] = ()

    def write(self, reports: Path, ignored: Sequence[str] = ()) -> Path:
        """Write the page, the certificate and the contact sheet to `reports/NAME-audit`; return the page's path."""
        self.make_way(reports)
        folder = self._folder(reports)
        about = dict(self.read)
        if self.certificate is not None:
            write_certificate(self.certificate, folder, self.notice)
            about["Splits"] = (
                f"{self.certificate['statement']} [certificate.md](certificate.md),"
                " [certificate.json](certificate.json)"
            )
        (folder / SHEET).unlink(missing_ok=True)
        if len(pairs := self._pairs()):
            contact_sheet(pairs, self.subject.images, folder / SHEET)
            about["Near-duplicates"] = f"[{SHEET}]({SHEET})"
        text = page.to_markdown(self.name, self.findings, notice=self.notice, ignored=ignored, about=about)
        write_page(folder / PAGE, text, self.origin)
        return folder / PAGE

    def make_way(self, reports: Path) -> Path | None:
        """Keep the audit of something else that lies where this one is to be written; return where it went, or None."""
        folder = self._folder(reports)
        return rename_aside(folder) if is_of_another(folder / PAGE, self.origin) else None

    def _folder(self, reports: Path) -> Path:
        return reports / f"{self.name}-audit"

    def _pairs(self) -> pd.DataFrame:
        """Return the pairs of near-duplicates; none where the audit did not search for them."""
        looked = any(finding.code == "A04" for finding in self.findings) and self.subject.pixels is not None
        return given(self.subject.pixels).pairs if looked else pd.DataFrame()

    def facts(self, ignored: Sequence[str] = ()) -> dict[str, Any]:
        """Return everything as plain values, for `--json`."""
        return {
            "name": self.name,
            "notice": self.notice,
            "read": dict(self.read),
            "ignored": list(ignored),
            "failed": [finding.code for finding in page.failed(self.findings, ignored)],
            "findings": [finding.facts() for finding in self.findings],
        }


def checks_for(settings: StudyFile, study: StoredStudy | None = None) -> tuple[tuple[Check, ...], str]:
    """Return the checks of an audit, and a sentence on those of the user's that are left out.

    Raises:
        ConfigError: a file of the user's own checks that cannot be used. Of a stored study it may have been moved
            since; the audit then goes on without.
    """
    try:
        return checks_of(settings), ""
    except ConfigError as error:
        if study is None:
            raise
        return CHECKS, f"The study's own checks were not made: {error}."


def known_codes(settings: StudyFile, study: StoredStudy | None = None) -> list[str]:
    """Return the codes that findings of an audit can have."""
    stored = [finding.code for finding in study.findings] if study is not None else []
    return sorted({*(one.code for one in checks_for(settings, study)[0]), *stored})


def audit(
    request: Request | None,
    observer: Observer,
    *,
    stored: StoredStudy | None = None,
    name: str = "",
    quick: bool = False,
) -> Audit:
    """Audit a cohort, a study, or both.

    Args:
        request: where the cohort lies and how it is read, with the settings of the study where there is one; None for a
            study by itself.
        observer: told about the work.
        stored: the study, as read back.
        name: of the audit; empty for that of the study or the cohort.
        quick: leave the pixels alone.

    Raises:
        CohortError: the cohort cannot be read.
        ConfigError: a file of the user's own checks that cannot be used.
        SplitError: a file of folds that cannot be read.
        StudyError: the study is of another cohort.
        ValueError: neither a cohort nor a study.
    """
    if request is not None:
        return _audit_cohort(request, observer, stored, name, quick)
    if stored is None:
        raise ValueError("an audit is of a cohort, a study, or both")
    return _audit_study(stored, name)


def _audit_cohort(request: Request, observer: Observer, study: StoredStudy | None, name: str, quick: bool) -> Audit:
    """Audit a cohort and, where one is given, a study on it."""
    checks, note = checks_for(request.study, study)
    subject = read_subject(request, observer, study)
    if study is not None:
        _check_same(study, subject)
    findings = findings_of(subject, [one for one in checks if one.fast or not quick])
    name = name or (study.name if study is not None else _name(subject, request)) + "-quick" * quick
    read = _read(subject, request) | {"Not made": _not_made(findings, checks, quick=quick, study=study is not None)}
    origin = _of_study(study) if study is not None else origin_of(request)
    notice = given(subject.listing).notice
    result = Audit(name, notice, findings, subject, origin, read, notes=[note] if note else [])
    if subject.folds is None:
        return result
    near = None if quick else given(subject.pixels).clusters
    return replace(result, certificate=certificate(name, subject, read=read, near=near))


def _audit_study(study: StoredStudy, name: str) -> Audit:
    """Audit a study by itself: the findings of its start, its splits and records."""
    checks, note = checks_for(study.settings, study)
    subject, name, cohort = subject_of_study(study), name or study.name, study.cohort
    read = {
        "Cohort": f"{cohort.name}, {len(cohort.images)} images of {cohort.n_patients} patients, as the study has them",
        **_labels(subject),
        "Notes": " ".join(cohort.notes),
    }
    confirmation = certificate(name, subject, read=read)
    read |= {"Not made": "checks of files and pixels beyond those at the study's start (they need --data)"}
    notes = ["The files were not looked at: name them with --data for copies, annotations and shortcuts."]
    findings = with_findings(study, checks).findings
    all_notes = [*notes, *([note] if note else [])]
    return Audit(name, cohort.notice, findings, subject, _of_study(study), read, confirmation, all_notes)


def _of_study(study: StoredStudy) -> str:
    return f"study of {study.cohort_digest}"


def _not_made(findings: Sequence[Finding], checks: Sequence[Check], *, quick: bool, study: bool) -> str:
    """Return which checks were not made, and what makes them."""
    made = {finding.code for finding in findings}
    absent: dict[str, list[str]] = {}
    for one in (one for one in checks if one.code not in made):
        if quick and not one.fast:
            absent.setdefault("they look into pixels", []).append(one.code)
        elif not study and set(one.needs) & OF_STUDY:
            absent.setdefault("they need --study", []).append(one.code)
    return "; ".join(f"{', '.join(codes)} ({reason})" for reason, codes in absent.items())


def _name(subject: Subject, request: Request) -> str:
    """Return the cohort's name; a cohort that is read otherwise gets another one, so that no audit replaces another."""
    data, parts = subject.data, variant(request.study, request.tolerance)
    if data.outlines != DataConfig().outlines:
        parts.append(data.outlines)
    if request.folds_file is not None:
        parts += ["by", request.folds_file.stem]
    return file_name([given(subject.listing).name, *parts])


def _read(subject: Subject, request: Request) -> dict[str, str]:
    """Return what was audited and how it was read."""
    images, listing = subject.images, given(subject.listing)
    if subject.study is not None:
        origin = f"of the study {subject.study.name}"
    elif request.folds_file is not None:
        origin = request.folds_file.name
    else:
        origin = "made by the protocol" if subject.folds is not None else "none"
    return {
        "Cohort": (
            f"{listing.name}, {len(listing.images)} listed images, {len(images)} used, of "
            f"{images['patient_id'].nunique()} patients"
        ),
        **_labels(subject),
        "Folds": origin,
        "Columns left out": "; ".join(f"{name} ({why})" for name, why in listing.left_out),
        "Notes": " ".join(given(subject.account).notes),
    }


def _labels(subject: Subject) -> dict[str, str]:
    images = subject.images
    others = sorted(images.loc[images["label"] == 0, "status"].astype(str).unique())
    return {
        "Classes": f"{', '.join(positive_classes(images))} against {', '.join(others)}",
        "Labels": f"per {subject.data.label_level}",
        "Outlines": subject.data.outlines,
    }


def _check_same(study: StoredStudy, subject: Subject) -> None:
    of_study, of_cohort = study.cohort.images, subject.images
    differing = set(of_study["image_id"]) ^ set(of_cohort["image_id"])
    if not differing and "pixel_digest" in of_study:
        pixels = of_cohort.set_index("image_id")["pixel_digest"].reindex(of_study["image_id"]).to_numpy()
        differing = set(of_study.loc[of_study["pixel_digest"].to_numpy() != pixels, "image_id"])
    if differing:
        raise StudyError(
            f"{study.folder}: is a study of other images than --data has: {len(differing)} differ"
            f" ({some(sorted(differing), 3)}). Give the folder it was run on, with its --limit-patients and"
            " --allow-missing-images"
        )
