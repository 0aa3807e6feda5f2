"""The audit from Python: `study.audit`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mmbc.errors import ConfigError
from study.api.options import options_of
from study.api.wording import said_in_python
from study.checks import page
from study.checks.audit import Audit, known_codes
from study.checks.audit import audit as audit_of
from study.checks.registry import ignored_codes
from study.console import requests
from study.console.options import AuditOptions
from study.records.progress import Observer
from study.records.stored_study import load_study


class Audited:
    """Everything an audit brought to light; in a notebook it shows the page.

    Attributes:
        audit: the audit as the command has it (`study.checks.audit.Audit`).
        ignored: codes of checks whose failure is known.
    """

    def __init__(self, audit: Audit, ignored: Sequence[str] = ()) -> None:
        self.audit = audit
        self.ignored = tuple(ignored)

    @property
    def findings(self) -> pd.DataFrame:
        """One row per check: code, status, evidence, and what a study does about it (`handled`)."""
        return pd.DataFrame(
            [[one.code, one.status, one.evidence, one.handled] for one in self.audit.findings],
            columns=["code", "status", "evidence", "handled"],
        )

    @property
    def passed(self) -> bool:
        """Whether no check failed that is not ignored."""
        return not page.failed(self.audit.findings, self.ignored)

    @property
    def certificate(self) -> dict[str, Any] | None:
        """The certificate of the splits; None where there are none."""
        return self.audit.certificate

    def write(self, reports: str | Path = "reports") -> Path:
        """Write the page, the certificate and the contact sheet to `reports/NAME-audit`; return the page's path."""
        return self.audit.write(Path(reports), self.ignored)

    def __repr__(self) -> str:
        return f"<audit of {self.audit.name!r}: {page.counted(self.audit.findings, self.ignored)}>"

    def _repr_html_(self) -> str:
        from study.api.markup import html

        text = page.to_markdown(
            self.audit.name, self.audit.findings, notice=self.audit.notice, ignored=self.ignored, about=self.audit.read
        )
        return html(text)


@said_in_python()
def audit(
    data: str | Path | None = None,
    study: Any = None,
    settings: Mapping[str, Any] | str | Path | None = None,
    *,
    quick: bool = False,
    ignore: Sequence[str] = (),
    **options: Any,
) -> Audited:
    """Find what a reviewer would find: leaks, copies, annotations in pixels, shortcuts, unequal arms.

        study.audit("hospital.csv", positive="malignant", quick=True).findings
        study.audit(study="results/phantom-demo").findings

    Args:
        data: the cohort; may be left out where a study is given.
        study: a study's folder, an archive, or a study that was opened: its splits, records and search are audited too.
        settings: a study file, or a mapping of dotted keys and values; a study has its own.
        quick: only the checks that need no look into pixels.
        ignore: codes of checks whose failure is known.
        options: every other option of `python -m study.audit` about the cohort and its splits, with `_` for `-`.

    Raises:
        ConfigError: an unknown argument or code, or settings beside a study's own.
        MmbcError: a cohort or a study that cannot be read.
    """
    if isinstance(ignore, str):
        raise ConfigError(f"ignore: a list of codes, for example [{ignore!r}]")
    asked = {
        "data": data,
        "study": getattr(study, "folder", study),
        "quick": quick,
        "ignore": ",".join(ignore) or None,
        **options,
    }
    return run_audit(options_of(AuditOptions, asked, settings=settings), Observer())


def run_audit(options: AuditOptions, observer: Observer) -> Audited:
    """Make the audit that is asked for, from Python or from a terminal.

    Raises:
        MmbcError: see `audit`.
    """
    requests.check_audit(options)
    stored = load_study(options.study) if options.study is not None else None
    settings = stored.settings if stored is not None else requests.study_file(options)
    ignored = ignored_codes(options.ignore.split(","), known_codes(settings, stored)) if options.ignore else ()
    alone = stored is not None and options.data is None
    request = None if alone else requests.request(options, settings)
    return Audited(audit_of(request, observer, stored=stored, name=options.name, quick=options.quick), ignored)
