"""A check of the audit as one object: its words, what it needs, how bad a fault can be, and the function that looks."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from mmbc.errors import ConfigError, nearest, some
from study.checks.subject import Subject
from study.records.finding import FAILED, NOT_CHECKED, PASSED, WARNING, Description, Finding, Status

Need = Literal["list", "files", "used images", "pixels", "clinical columns", "folds", "study", "training"]
"""What a check looks at; see `NEEDS`."""

NEEDS: dict[Need, str] = {
    "list": "what the cohort lists, and what becomes of every row (`--data`)",
    "files": "facts about opened image files",
    "used images": "at least one image that can be used",
    "pixels": "measurements in the pixels",
    "clinical columns": "at least one clinical column",
    "folds": "splits of the patients",
    "study": "a stored study (`--study`)",
    "training": "a stored study whose models were trained here",
}
OF_COHORT = {"list", "files", "pixels"}
OF_STUDY = {"study", "training"}

UNOPENED = "no image was opened: no arm uses images"
NOTHING_LEFT = "No image can be used."
ELSEWHERE = "the models were trained elsewhere"
OWN = "own checks"
"""Group of users' checks that name none."""
WORDS = tuple(Description.__dataclass_fields__)
CODE = re.compile(r"[A-Z]{1,3}[0-9]{2,3}")


@dataclass(frozen=True)
class Outcome:
    """What a check saw; the attributes are those of `study.records.finding.Finding`."""

    status: Status
    evidence: str
    handled: str = ""
    rows: Sequence[Mapping[str, Any]] = ()


def passed(evidence: str, handled: str = "", rows: Sequence[Mapping[str, Any]] = ()) -> Outcome:
    """Return the outcome of a check that saw no fault."""
    return Outcome(PASSED, evidence, handled, rows)


def warning(evidence: str, handled: str = "", rows: Sequence[Mapping[str, Any]] = ()) -> Outcome:
    """Return the outcome where a fault is there, and either the program deals with it or readers have to know."""
    return Outcome(WARNING, evidence, handled, rows)


def failed(evidence: str, handled: str = "", rows: Sequence[Mapping[str, Any]] = ()) -> Outcome:
    """Return the outcome where results would be wrong, or could be explained by the fault."""
    return Outcome(FAILED, evidence, handled, rows)


def not_checked(evidence: str) -> Outcome:
    """Return the outcome where what is needed is not at hand; the evidence says what."""
    return Outcome(NOT_CHECKED, evidence)


@dataclass(frozen=True, kw_only=True)
class Check(Description):
    """One check of the audit; a subject handed to it gives a finding.

    Attributes:
        code: such as `A03`; a code is never given to another check.
        look: the function of a subject that returns the outcome; it is called only where every need is at hand.
        needs: what it looks at (`NEEDS`).
        severity: the worst status it gives, WARNING or FAILED.
        fast: whether it is made at the start of every study; none that looks into pixels is.
        file: where a user's own check is defined; None for those of the program.

    Raises:
        ConfigError: a code, need, severity or function that cannot be, or words that are missing.
    """

    code: str
    look: Callable[[Subject], Outcome]
    needs: tuple[Need, ...] = ()
    severity: Status = FAILED
    fast: bool = True
    file: Path | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.code, str) and CODE.fullmatch(self.code)):
            raise ConfigError(
                f"check {self.code!r}: a code is one to three capital letters and two or three digits: X01"
            )
        for name in WORDS:
            if not (isinstance(text := getattr(self, name), str) and text.strip()):
                raise ConfigError(f"check {self.code}: {name} is {text!r}; say it in words")
        for need in self.needs:
            if need not in NEEDS:
                raise ConfigError(f"check {self.code}: needs {need!r}; {nearest(str(need), get_args(Need))}")
        if self.severity not in (WARNING, FAILED):
            raise ConfigError(f"check {self.code}: severity is {self.severity!r}; WARNING or FAILED")
        if not callable(self.look):
            raise ConfigError(f"check {self.code}: {self.look!r} is not a function of a subject")
        if "pixels" in self.needs:
            object.__setattr__(self, "fast", False)

    def __call__(self, subject: Subject) -> Finding:
        """Look, or say why that is not possible."""
        return self.finding(not_checked(reason) if (reason := self.obstacle(subject)) else self.look(subject))

    def concerns(self, subject: Subject) -> bool:
        """Whether the audit was given the kind of thing this check looks at: a cohort's files, or a study."""
        needs = set(self.needs)
        return (subject.listing is not None or not needs & OF_COHORT) and (
            subject.study is not None or not needs & OF_STUDY
        )

    def obstacle(self, subject: Subject) -> str:
        """Return what the subject lacks of `needs`, as evidence; '' where all is at hand."""
        return next((text for need in self.needs if (text := _obstacle(need, subject))), "")

    def finding(self, outcome: Outcome) -> Finding:
        """Return an outcome as the finding of this check.

        Raises:
            TypeError: the function of the check returned something else, or rows that are no mappings.
            ValueError: it returned a status beyond the check's severity.
        """
        if not isinstance(outcome, Outcome) or not isinstance(outcome.evidence, str):
            raise TypeError(
                f"returned {outcome!r}; return passed('...'), warning('...'), failed('...') or not_checked('...')"
            )
        if outcome.status == FAILED and self.severity == WARNING:
            raise ValueError("returned failed('...'), but its severity is WARNING")
        rows = tuple(dict(row) for row in outcome.rows)
        words = {name: getattr(self, name) for name in WORDS}
        own = Description(**words) if self.file is not None else None
        return Finding(self.code, outcome.status, outcome.evidence, outcome.handled, rows, own)


def _obstacle(need: Need, subject: Subject) -> str:
    if (need == "files" and subject.facts is None) or (need == "pixels" and subject.pixels is None):
        return UNOPENED
    if need in ("used images", "pixels", "clinical columns") and subject.images.empty:
        return NOTHING_LEFT
    if need == "clinical columns" and not subject.features:
        return "The cohort has no clinical column."
    if need == "folds" and subject.folds is None:
        return f"The cohort cannot be split: {subject.split_error}"
    if need == "training" and subject.study is not None and subject.study.imported:
        return ELSEWHERE
    return ""


def check(
    code: str,
    title: str,
    *,
    question: str,
    meaning: str,
    remedy: str,
    group: str = OWN,
    needs: Sequence[Need] = (),
    severity: Status = FAILED,
    fast: bool = True,
) -> Callable[[Callable[[Subject], Outcome]], Check]:
    """Return the decorator that turns a function of a subject into a check; see `Check` for what the arguments say."""
    return lambda look: Check(
        code=code,
        title=title,
        group=group,
        question=question,
        meaning=meaning,
        remedy=remedy,
        look=look,
        needs=tuple(needs),
        severity=severity,
        fast=fast,
    )


def checks_in(module: Mapping[str, Any]) -> list[Check]:
    """Return the checks that a module defines, by code; those it imported are another's.

    Raises:
        ConfigError: two of one code.
    """
    defined = [
        value for value in module.values() if isinstance(value, Check) and value.look.__module__ == module["__name__"]
    ]
    codes = [one.code for one in defined]
    if twice := sorted({code for code in codes if codes.count(code) > 1}):
        raise ConfigError(f"check {some(twice)}: is defined twice")
    return sorted(defined, key=lambda one: one.code)
