"""Everything that a study left on disk, with sizes, and its deletion; nothing else is ever touched."""

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from mmbc.errors import ConfigError, StudyError, nearest
from study.design.search_results import FOLDER as SEARCH
from study.design.study_name import check_name
from study.leaks.optimism import FOLDER as LEDGER
from study.records.study_folder import lock
from study.reporting.manifest import MANIFEST, read_manifest
from study.reporting.pack import ARCHIVE
from study.training.tracking import FOLDER as TRACKING

LOCK = ".lock"
SILENT = 90.0
"""Seconds without a sign of life after which a search is taken for dead."""
MARKS = ("study.toml", "cohort.json", "cells", SEARCH, LEDGER)
"""What a folder of results has one of."""
OF_RESULTS = (
    *("study.toml", "cohort.json", "cohort.parquet", "folds.json", "environment.json", "audit.json"),
    *("archive.json", "records.json", "predictions.parquet", "history.parquet", "added.parquet", "added.json"),
    *("cells", "shared", SEARCH, TRACKING, LEDGER, f"{LEDGER}.replaced-*", LOCK),
)
OF_AUDITS = ("audit.md", "certificate.md", "certificate.json", "duplicates.png", "ledger.*", "ledger-waterfall.*")


@dataclass(frozen=True)
class Leftover:
    """A folder that a study left.

    Attributes:
        what: it is, in words.
        folder: where it lies.
        paths: files and folders in it that are the study's.
        others: names of those that are not, which stay.
    """

    what: str
    folder: Path
    paths: tuple[Path, ...]
    others: tuple[str, ...]

    @property
    def n_bytes(self) -> int:
        """Size of what is the study's."""
        return sum(n_bytes(path) for path in self.paths)


def n_bytes(path: Path) -> int:
    """Return the size of a file or of all files below a folder; links count for nothing."""
    files = [path] if not path.is_dir() or path.is_symlink() else path.rglob("*")
    return sum(file.lstat().st_size for file in files if file.is_file() and not file.is_symlink())


def leftovers(name: str, out: Path, reports: Path) -> list[Leftover]:
    """Return what a study left below the folders of results and reports.

    Raises:
        ConfigError: a name that is none, or that no study has; or a folder that is a link.
        StudyError: a folder of this name that holds no study.
    """
    if not check_name(name, "NAME"):
        raise ConfigError("NAME: name a study, the folder it has in results")
    found = list(_results(name, out))
    found += [report for report in _reports(name, reports) if report.paths]
    if not found:
        known = [path.name for path in out.glob("*") if any((path / mark).exists() for mark in MARKS)]
        raise ConfigError(f"{name}: there is no such study below {out}; {nearest(name, known)}")
    return found


def _results(name: str, out: Path) -> Iterator[Leftover]:
    for folder in (out / name, *sorted(out.glob(f"{_literal(name)}.replaced-*"))):
        if not _is_folder(folder):
            continue
        if not any((folder / mark).exists() for mark in MARKS) and {path.name for path in folder.iterdir()} - {LOCK}:
            raise StudyError(f"{folder}: holds no study (none of {', '.join(MARKS)}); nothing is deleted")
        what = "results" if folder.name == name else "an older study, set aside by --force"
        yield _leftover(what, folder, [path for pattern in OF_RESULTS for path in folder.glob(pattern)])


def _reports(name: str, reports: Path) -> Iterator[Leftover]:
    for report in (reports / name, *sorted(reports.glob(f"{_literal(name)}.replaced-*"))):
        if not _is_folder(report) or not (report / MANIFEST).exists():
            continue
        files = [report / file for file in read_manifest(report)["files"]]
        # the manifest may have been edited: a file of it that lies elsewhere stays
        inside = [file for file in files if file.is_file() and file.resolve().is_relative_to(report.resolve())]
        archive = [report / ARCHIVE] if (report / ARCHIVE / "archive.json").exists() else []
        what = "report" if report.name == name else "an older report, set aside"
        yield _leftover(what, report, [*inside, report / MANIFEST, *archive])
    own = f"{name}-audit"
    for audit in (reports / own, *sorted(reports.glob(f"{_literal(own)}.replaced-*"))):
        if not _is_folder(audit):
            continue
        yield _leftover("audit or ledger", audit, [path for pattern in OF_AUDITS for path in audit.glob(pattern)])


def _leftover(what: str, folder: Path, paths: list[Path]) -> Leftover:
    own = {path for path in paths if path.exists() or path.is_symlink()}
    tops = {path.relative_to(folder).parts[0] for path in own}
    return Leftover(what, folder, tuple(sorted(own)), tuple(sorted({p.name for p in folder.iterdir()} - tops)))


def _is_folder(folder: Path) -> bool:
    if folder.is_symlink():
        raise ConfigError(f"{folder}: is a link to another place; delete the link by hand")
    return folder.is_dir()


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def parts(folder: Path) -> dict[str, int]:
    """Return what is inside a folder of results -> its size: checkpoints, search, curves, ledger."""
    sizes = {
        "checkpoints of unfinished models": sum(n_bytes(path) for path in folder.rglob("checkpoint.bin")),
        "search: trials and their storage": n_bytes(folder / SEARCH),
        "curves of a tracker": n_bytes(folder / TRACKING),
        "ledger": n_bytes(folder / LEDGER),
    }
    return {what: size for what, size in sizes.items() if size}


def delete(found: list[Leftover]) -> None:
    """Delete what a study left; folders that hold something else stay with it.

    Raises:
        StudyError: a process is at work on the study; nothing is deleted then.
    """
    with ExitStack() as held:
        for one in found:
            for place in (one.folder, one.folder / LEDGER):
                if (place / LOCK).exists():
                    held.enter_context(lock(place))
            if _is_written(one.folder / SEARCH / "trials.db-wal"):
                raise StudyError(f"{one.folder}: a search is at work on this study; nothing is deleted")
        for one in found:
            for path in one.paths:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
    for one in found:
        folders = [path for path in one.folder.rglob("*") if path.is_dir() and not path.is_symlink()]
        for folder in [*sorted(folders, reverse=True), one.folder]:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _is_written(log: Path) -> bool:
    """Whether a search gives signs of life in the log that its database has while it is open."""
    return log.exists() and time.time() - log.stat().st_mtime < SILENT


def storage_note(folder: Path) -> str:
    """Say where trials lie that are not in the study's folder; '' where none do."""
    elsewhere = (folder / SEARCH).is_dir() and not (folder / SEARCH / "trials.db").exists()
    return "The trials of its search lie in a storage of their own (--storage), and stay there." if elsewhere else ""
