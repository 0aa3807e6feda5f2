"""All checks of the program, found in the modules of their families; and codes read from `--ignore`."""

from collections.abc import Sequence

from mmbc.errors import ConfigError, nearest
from study.checks import annotations, columns, files, labels, shortcuts, splits, studies
from study.checks.check import Check, checks_in
from study.records.finding import Description, Finding

FAMILIES = (files, labels, annotations, shortcuts, columns, splits, studies)
"""Modules of checks, in the order of the page's chapters; a function that one of them declares a check is one."""

CHECKS: tuple[Check, ...] = tuple(one for family in FAMILIES for one in checks_in(vars(family)))
BY_CODE = {one.code: one for one in CHECKS}
GROUPS = tuple(dict.fromkeys(one.group for one in CHECKS))
"""Chapters of the page and of the reference, in order; users' checks may add others."""


def description(finding: Finding) -> Description:
    """Return the check of a finding in words."""
    return finding.check or BY_CODE[finding.code]


def ignored_codes(codes: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return codes in upper case.

    Raises:
        ConfigError: one that no check has.
    """
    upper = tuple(code.strip().upper() for code in codes)
    for code in upper:
        if code not in known:
            raise ConfigError(f"--ignore {code}: there is no such check; {nearest(code, known)}")
    return upper
