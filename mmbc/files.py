"""Files and folders that are written whole or not at all, JSON, digests."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mmbc.errors import ConfigError, MmbcError, StudyError

LONGEST_NAME = 255
"""Bytes that file systems take of a file's name."""
LONGEST_PLACE = 3500
"""Bytes of a folder's path below which systems take those of the files in it."""
RESTORE = "restore it, or delete it and run the command of the study again"
"""The way on from a damaged file."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StudyError(f"{path}: could not be written ({error.strerror}); nothing written before is lost") from error


def check_place(folder: Path, option: str) -> None:
    """Try whether files can be written to a folder that is there or is still to be made; nothing is left behind.

    Raises:
        ConfigError: they cannot, with the reason.
    """
    try:
        n_bytes = [len(os.fsencode(part)) for part in folder.parts]
        if max(n_bytes, default=0) > LONGEST_NAME or sum(n_bytes) + len(n_bytes) > LONGEST_PLACE:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{there} is not a folder")
        tempfile.TemporaryDirectory(prefix=".mmbc-", dir=there).cleanup()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"{option} {str(folder)[:200]}: nothing can be written there ({reason}); name another place with {option}"
        ) from None


def check_file(file: Path, option: str, begins: Sequence[bytes] = ()) -> None:
    """Try whether a file can be written.

    Args:
        file: that is to be written.
        option: that names it.
        begins: how an older file of its kind begins; one that begins otherwise is something else, and stays.

    Raises:
        ConfigError: it is a folder, its folder is not there or cannot be written to, or it holds something else.
    """
    there = os.path.lexists(file)
    try:
        if begins and file.is_file():
            with file.open("rb") as old:
                start = old.read(256).lstrip()
            if start and not start.startswith(tuple(begins)):
                raise ConfigError(f"{option} {file}: holds something else, which would be lost; name another file")
        if there and file.is_dir():
            raise ConfigError(f"{option} {file}: is a folder; name a file")
        with file.open("ab"):
            pass
        if not there:
            file.unlink()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"{option} {str(file)[:200]}: cannot be written ({reason}); name another file with {option}"
        ) from None


@contextmanager
def build_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that takes its final name when the block ends; after an error nothing of it is left.

    It replaces an incomplete folder of that name. Where another process has just made the same one, that one stays.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield building
        shutil.rmtree(folder, ignore_errors=True)
        try:
            building.replace(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON (NaN refused) atomically."""
    write_atomically(path, (json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON (NaN refused); a missing or torn file is a StudyError that names it."""
    with reading(path):
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say of a file, whatever goes wrong when what it holds is read in the block, that it is damaged.

    Raises:
        StudyError: it is missing, torn, or holds something else than is looked for.
    """
    try:
        yield
    except MmbcError:
        raise
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror or error})") from None
    except KeyError as error:
        raise StudyError(f"{path}: is damaged (it has no {error}); {RESTORE}") from None
    except Exception as error:  # of whatever reads it
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            reason = f"{'.'.join(map(str, first['loc'])) or error.title}: {first['msg']}"
        raise StudyError(f"{path}: is damaged ({reason}); {RESTORE}") from None


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
