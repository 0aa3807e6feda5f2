"""Options of the audit that have no effect together: refused before any work, so that nobody believes they counted."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mmbc.errors import ConfigError, some
from study.console.options import Asked

SETTINGS = (
    "positive",
    "negative",
    "label_level",
    "columns",
    "features",
    "outlines",
    "folds",
    "holdout",
    "test_where",
    "repeats",
    "seeds",
    "config",
    "preset",
    "set_",
)
"""Options that a study's own settings decide on."""

OF_COHORT = ("limit_patients", "allow_missing_images", "max_unreadable", "allow_leaky_column")
"""Options that only matter where a cohort is read."""


def check_audit(asked: Asked, study: Path | None, *, quick: bool, clean: Path | None) -> None:
    """Refuse what means nothing to an audit.

    Args:
        asked: what was typed.
        study: its folder, or an archive.
        quick: whether pixels are left alone.
        clean: where the clean list goes.

    Raises:
        ConfigError: settings beside a study's own, options of a cohort where none is read, or a list that is no CSV
            file.
    """
    if clean is not None and clean.suffix != ".csv":
        raise ConfigError(f"--write-clean-list {clean}: is a CSV file; give it that ending")
    if study is None:
        return
    _refuse(_settings(asked), "with --study the settings are the study's; leave out one or the other")
    if asked.data is None:
        mine = {"quick": quick, "write_clean_list": clean} | {name: getattr(asked, name) for name in OF_COHORT}
        _refuse(mine, "without --data no file is looked at; add --data")


def check_ledger(asked: Asked, study: Path | None, of_audit: Mapping[str, object]) -> None:
    """Refuse what means nothing to the optimism ledger.

    Args:
        asked: what was typed.
        study: a study whose protocol is the honest one.
        of_audit: options of the audit alone, by name.

    Raises:
        ConfigError: one of these, or settings beside a study's own; repeats and seeds may extend it.
    """
    _refuse(of_audit, "belongs to the audit, not to --ledger")
    if study is not None:
        _refuse(
            _settings(asked, but=("repeats", "seeds")),
            "with --study the settings are the study's; leave out one or the other",
        )
        _refuse({"name": asked.name}, "the ledger of a study lies in the study's folder; leave it out")


def _settings(asked: Asked, but: Sequence[str] = ()) -> dict[str, object]:
    return {name: getattr(asked, name) for name in SETTINGS if name not in but}


def _refuse(options: Mapping[str, object], why: str) -> None:
    if given := [f"--{name.strip('_').replace('_', '-')}" for name, value in options.items() if value]:
        raise ConfigError(f"{some(given, len(given))}: {why}")
