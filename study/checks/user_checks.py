"""Checks of the user's own: read from Python files that a study file names; no fault of theirs spreads.

    [audit]
    checks = "mychecks.py"     # relative to the study file; a list for several

Such a file decorates functions with `study.checks.check.check`, as the modules of this room do.
"""

import traceback
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from mmbc.errors import ConfigError
from study.checks.check import Check, checks_in, not_checked
from study.checks.registry import CHECKS
from study.checks.subject import Subject
from study.design.study_file import StudyFile
from study.records.finding import Finding

RESERVED = "A"
"""First letter of the program's own codes."""


def checks_of(study: StudyFile) -> tuple[Check, ...]:
    """Return the program's checks and those of the files that the study file names.

    Raises:
        ConfigError: a file that cannot be read or defines no check, a check that cannot be, or a code that is taken.
    """
    checks = list(CHECKS)
    for name in study.audit.checks if study.audit is not None else ():
        for one in read_checks(Path(name)):
            if one.code.startswith(RESERVED) and one.code[1:].isdigit():
                raise ConfigError(
                    f"{name}, check {one.code} {one.title}: codes {RESERVED}.. are the program's; use X01"
                )
            if other := next((other for other in checks if other.code == one.code), None):
                raise ConfigError(f"{name}, check {one.code} {one.title}: {other.file} has a check of this code too")
            checks.append(one)
    return tuple(checks)


def read_checks(path: Path) -> list[Check]:
    """Return the checks that a Python file defines, by code; the file is executed.

    Raises:
        ConfigError: the file cannot be read or executed, defines no check, or one that cannot be.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file of checks; `audit.checks` is relative to the study file")
    spec = spec_from_file_location(f"user_checks_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path}: is not a Python file; give it the ending .py")
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        checks = checks_in(vars(module))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except Exception as error:
        raise ConfigError(f"{path}: cannot be executed ({_told(error, path)})") from error
    if not checks:
        raise ConfigError(f"{path}: defines no check; decorate a function with @check(...)")
    return [replace(one, file=path) for one in checks]


def run_user_check(check: Check, subject: Subject) -> Finding:
    """Return the finding of a user's check, which gets a copy; one that fails is NOT CHECKED, with its error."""
    try:
        return check(subject.copy())
    except (Exception, SystemExit) as error:
        told = _told(error, check.file or Path())
        way_on = "Correct the check, or take the file out of `audit.checks`"
        return check.finding(not_checked(f"{check.file}, {check.code}: {told}. {way_on}."))


def _told(error: BaseException, path: Path) -> str:
    """Return an error with the last line of a file that it passed through."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    where = f", line {lines[-1]}" if lines else ""
    return f"{type(error).__name__}: {error}{where}".replace("\n", " ")
