"""Files that are missing or cannot be read: how many are tolerated, where files of their names lie, and what to do."""

import os
import re
import shlex
from itertools import islice
from pathlib import Path

from mmbc.data.account import Account
from mmbc.data.image_paths import BELOW, files_below, fits
from mmbc.errors import ImageError, count, some

FOREIGN_PATH = re.compile(r"^//[^/]|(^|/)[A-Za-z]:/")
"""A path on a network share or a drive of Windows."""

MOST_ENTRIES = 200_000
"""Files and folders that are looked at in the search for missing ones; it takes a second or two."""


def check_files(account: Account, *, allow_missing: bool, max_unreadable: int) -> None:
    """Refuse more missing or unreadable files than are tolerated.

    Raises:
        ImageError: their number, the names of up to ten, and where missing ones may lie.
    """
    missing, unreadable = account.step == "missing", account.step == "unreadable"
    if missing.any() and not allow_missing:
        paths = [Path(path) for path in account.rows.loc[missing, "path"]]
        names = some(path.name for path in paths)
        n_compared = int(account.label.notna().sum())
        raise ImageError(
            f"{int(missing.sum())} of {n_compared} listed images are missing: {names}. The first was looked for at"
            f" {paths[0]}. {_found(paths, account.image_base)}Complete the download or correct the paths (in a table of"
            " your own: relative to it, or to data.image_root), or go on with the rest: --allow-missing-images."
            f"{_hint(paths)}"
        )
    if unreadable.sum() > max_unreadable:
        bad = zip(account.rows.loc[unreadable, "path"], account.reason[unreadable], strict=True)
        names = some(f"{Path(path).name} ({error})" for path, error in bad)
        raise ImageError(
            f"{count(int(unreadable.sum()), 'image')} cannot be read: {names}. "
            f"Replace them, or tolerate them: --max-unreadable {int(unreadable.sum())}"
        )


def _found(paths: list[Path], base: Path | None) -> str:
    """Return where files of the missing names lie below the folder of the images, and the option that reads them."""
    if base is None or not base.is_dir():
        return ""
    found = files_below(base, {path.name for path in paths}, most=MOST_ENTRIES)
    if not found and (other := _in_other_letters(paths[0])):
        return f"{other} lies there: capital and small letters of names differ here, so write them alike. "
    fitting = {path: [file for file in found[path.name] if fits(file, path, base)] for path in paths}
    here = {path: files for path, files in fitting.items() if files}
    if not here:
        others = [file for path in paths for file in found[path.name]]
        return f"A file of that name lies elsewhere: {others[0]}. " if others else ""
    first, files = next(iter(here.items()))
    roots = {_root(files[0], path, base) for path, files in here.items() if len(files) == 1}
    root = next(iter(roots)) if len(roots) == 1 and len(here) == len(paths) else None
    where = f"{first.name} lies at {some(files, 3)}"
    if any(len(files) > 1 for files in here.values()):
        return f"{where}; where several files have one name, write the folder into the table. "
    option = f"--set {shlex.quote(f'data.image_root={root or base / BELOW}')}"
    return (
        f"{where}, and so do {len(here) - 1} others below {base}: {option} reads them. "
        if len(here) > 1
        else (f"{where}: {option} reads it. ")
    )


def _in_other_letters(path: Path) -> str:
    """Return the name of a file in the same folder that differs in capital and small letters alone; else ''."""
    if not path.parent.is_dir():
        return ""
    with os.scandir(path.parent) as entries:
        names = [entry.name for entry in islice(entries, MOST_ENTRIES)]
    return next((name for name in names if name.casefold() == path.name.casefold()), "")


def _root(file: Path, listed: Path, base: Path) -> Path | None:
    """Return the folder to which the listed path is relative if it is that file; None where there is no such folder."""
    parts = listed.relative_to(base).parts
    return Path(*file.parts[: -len(parts)]) if file.parts[-len(parts) :] == parts else None


def _hint(paths: list[Path]) -> str:
    """Return what to do about paths of Windows on another system; empty where there are none."""
    if paths and not any(path.suffix for path in paths):
        return " The names have no ending such as .png or .jpg: write the files' whole names into the table"
    foreign = os.name != "nt" and any(FOREIGN_PATH.search(path.as_posix()) for path in paths)
    return (
        " Drives (C:) and network shares (//server) are found on Windows alone: give the paths relative to a folder"
        " and name it, --set data.image_root=FOLDER"
        if foreign
        else ""
    )
