"""A whole audit: the cohort's files, its pixels, its splits and, where one is named, a study."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

import mmbc
from mmbc.config import DataConfig
from mmbc.errors import StudyError, some
from mmbc.files import write_atomically
from study.checks import page, slow
from study.checks.catalogue import CHECKS
from study.checks.certificate import certificate, write_certificate
from study.checks.clean_list import write_clean_list
from study.checks.fast import fast, settled
from study.checks.studies import of_study
from study.checks.study_findings import audited
from study.checks.subject import Subject, positive_classes
from study.checks.subject_loading import read_subject
from study.design.request import Request
from study.design.study_file import StudyFile
from study.design.study_name import file_name, variant
from study.records.finding import Finding, plain
from study.records.progress import Observer
from study.records.stored_study import StoredStudy

PACKAGES = ("numpy", "pandas", "scikit-learn", "ImageHash", "opencv-python-headless")


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes:
        name: of the study, else of the cohort.
        notice: a warning that everything made of the cohort carries.
        findings: by code.
        read: what was audited and how it was read, by name.
        certificate: of the splits; None where there are none.
        pairs: near-duplicates, for the contact sheet.
        subject: the cohort that was read; None where a study alone was audited.
        said: further lines for the terminal.
    """

    name: str
    notice: str
    findings: Sequence[Finding]
    read: Mapping[str, str] = field(default_factory=dict)
    certificate: dict[str, Any] | None = None
    pairs: pd.DataFrame = field(default_factory=pd.DataFrame)
    subject: Subject | None = None
    said: Sequence[str] = ()

    def write(self, reports: Path, ignored: Sequence[str], command: Sequence[str]) -> Path:
        """Write the page, the certificate and the contact sheet to `reports/NAME-audit`; return the page's path."""
        folder = reports / f"{self.name}-audit"
        about = dict(self.read)
        if self.certificate is not None:
            write_certificate(self.certificate, folder, self.notice)
            about["Splits"] = (
                f"{self.certificate['statement']} [certificate.md](certificate.md),"
                " [certificate.json](certificate.json)"
            )
        (folder / slow.SHEET).unlink(missing_ok=True)
        if self.subject is not None and len(self.pairs):
            slow.write_sheet(self.pairs, self.subject, folder)
            about["Near-duplicates"] = f"[{slow.SHEET}]({slow.SHEET})"
        text = page.to_markdown(self.name, self.findings, notice=self.notice, ignored=ignored, about=about)
        write_atomically(folder / "audit.md", text.encode())
        return folder / "audit.md"

    def facts(self, ignored: Sequence[str]) -> dict[str, Any]:
        """Return everything for `--json`."""
        return {
            "name": self.name,
            "notice": self.notice,
            "read": dict(self.read),
            "ignored": list(ignored),
            "failed": [finding.code for finding in page.failed(self.findings, ignored)],
            "findings": [plain(asdict(finding)) for finding in self.findings],
        }


def audit(
    request: Request | None,
    observer: Observer,
    *,
    stored: StoredStudy | None = None,
    name: str = "",
    quick: bool = False,
    clean_list: Path | None = None,
) -> Audit:
    """Audit a cohort, a study, or both.

    Args:
        request: the cohort and how it is read, with the settings of the study where there is one; None for a study
            alone.
        observer: told about the work.
        stored: the study.
        name: of the audit; empty for the study's or the cohort's.
        quick: leave the pixels alone.
        clean_list: where the clean list goes, or None.

    Raises:
        CohortError: the cohort cannot be read.
        StudyError: the study is of another cohort.
    """
    if request is None:
        assert stored is not None, "a cohort, a study, or both"
        return _of_stored(stored, name)
    subject = read_subject(request, observer, stored.folds if stored is not None else None)
    if stored is not None:
        _check_same(stored, subject)
    findings, pairs, near = fast(subject), pd.DataFrame(), []
    if not quick:
        looked = slow.look(subject, request.cache, observer)
        findings, pairs, near = settled([*findings, *looked.findings], subject), looked.pairs, looked.clusters
    if stored is not None:
        by_code = {finding.code: finding for finding in findings} | {
            finding.code: finding for finding in of_study(stored)
        }
        findings = [by_code[code] for code in sorted(by_code)]
    said = [f"Clean list: {clean_list}. {write_clean_list(subject, clean_list)}"] if clean_list is not None else []
    name = name or (stored.name if stored is not None else _name(subject, request)) + "-quick" * quick
    read = _read(subject, request, stored) | _not_made(findings, pixels=quick, study=stored is None)
    found = None
    if subject.folds is not None:
        found = _certificate(name, subject, request.study, read, None if quick else near)
    return Audit(name, subject.listing.notice, findings, read, found, pairs, subject, said)


def _not_made(findings: Sequence[Finding], *, pixels: bool, study: bool) -> dict[str, str]:
    """Return which checks were not made, and what makes them."""
    made = {finding.code for finding in findings}
    absent = [check for check in CHECKS if check.code not in made]
    said = [
        f"{', '.join(check.code for check in absent if check.fast == fast_ones)} ({how})"
        for fast_ones, asked, how in ((False, pixels, "they look into pixels"), (True, study, "they need --study"))
        if asked and any(check.fast == fast_ones for check in absent)
    ]
    return {"Not made": "; ".join(said)}


def _name(subject: Subject, request: Request) -> str:
    """Return the cohort's name; a cohort that is read otherwise gets another one, so that no audit replaces another."""
    data, parts = subject.data, variant(request.study, request.tolerance)
    if data.outlines != DataConfig().outlines:
        parts.append(data.outlines)
    if request.folds_file is not None:
        parts += ["by", request.folds_file.stem]
    return file_name([subject.listing.name, *parts])


def _read(subject: Subject, request: Request, stored: StoredStudy | None) -> dict[str, str]:
    """Return what was audited and how it was read."""
    images, data = subject.images, subject.data
    if stored is not None:
        origin = f"of the study {stored.name}"
    elif request.folds_file is not None:
        origin = request.folds_file.name
    else:
        origin = "made by the protocol" if subject.folds is not None else "none"
    return {
        "Cohort": (
            f"{subject.listing.name}, {len(subject.listing.images)} listed images, {len(images)} used, of "
            f"{images['patient_id'].nunique()} patients"
        ),
        **_labels(data, images),
        "Folds": origin,
        "Columns left out": "; ".join(f"{name} ({why})" for name, why in subject.listing.left_out),
        "Notes": " ".join(subject.account.notes),
    }


def _labels(data: DataConfig, images: pd.DataFrame) -> dict[str, str]:
    positive = positive_classes(images)
    others = sorted(images.loc[images["label"] == 0, "status"].astype(str).unique())
    return {
        "Classes": f"{', '.join(positive)} against {', '.join(others)}",
        "Labels": f"per {data.label_level}",
        "Outlines": data.outlines,
    }


def _of_stored(stored: StoredStudy, name: str) -> Audit:
    """Audit a study by itself: what was found at its start, its splits and records."""
    found = audited(stored)
    images = stored.cohort.images
    listed = images[["image_id"]].assign(listed_patient=images["patient_id"])
    read = {
        "Cohort": (
            f"{stored.cohort.name}, {len(images)} images of {stored.cohort.n_patients} patients, as the study has them"
        ),
        **_labels(stored.settings.data, images),
        "Notes": " ".join(stored.cohort.notes),
    }
    paper = certificate(
        name or stored.name,
        images,
        listed,
        stored.folds,
        stored.cohort.features,
        read=read,
        seeds=_seeds(stored.settings),
        versions=_versions(),
    )
    read |= {"Not made": "checks of files and pixels beyond those at the study's start (they need --data)"}
    said = ["The files were not looked at: name them with --data for copies, annotations and shortcuts."]
    return Audit(name or stored.name, stored.cohort.notice, found.findings, read, paper, said=said)


def _check_same(stored: StoredStudy, subject: Subject) -> None:
    theirs, mine = stored.cohort.images, subject.images
    differing = set(theirs["image_id"]) ^ set(mine["image_id"])
    if not differing and "pixel_digest" in theirs:
        pixels = mine.set_index("image_id")["pixel_digest"].reindex(theirs["image_id"]).to_numpy()
        differing = set(theirs.loc[theirs["pixel_digest"].to_numpy() != pixels, "image_id"])
    if differing:
        raise StudyError(
            f"{stored.folder}: is a study of other images than --data has: {len(differing)} differ"
            f" ({some(sorted(differing), 3)}). Give the folder it was run on, with its --limit-patients and"
            " --allow-missing-images"
        )


def _certificate(
    name: str, subject: Subject, settings: StudyFile, read: Mapping[str, str], near: Sequence[dict[str, Any]] | None
) -> dict[str, Any]:
    assert subject.folds is not None
    listed = subject.account.rows[["image_id"]].assign(listed_patient=subject.listing.images["patient_id"])
    if subject.facts is not None:
        listed = listed.join(subject.facts[["content_digest", "pixel_digest"]])
    return certificate(
        name,
        subject.images,
        listed,
        subject.folds,
        subject.features,
        read=read,
        seeds=_seeds(settings),
        versions=_versions(),
        near=near,
    )


def _seeds(settings: StudyFile) -> dict[str, int]:
    protocol = settings.protocol
    return {
        "split seed": protocol.split_seed,
        "repeats": protocol.repeats,
        "training seeds (0, 1, ...)": protocol.seeds,
    }


def _versions() -> dict[str, str]:
    return {"mmbc": mmbc.__version__, **{name: metadata.version(name) for name in PACKAGES}}
