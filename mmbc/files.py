"""Files and folders that are written whole or not at all, JSON, digests."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmbc.errors import StudyError


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StudyError(f"{path}: could not be written ({error.strerror}); nothing written before is lost") from error


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
    """Read JSON; a missing or torn file is a StudyError that names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise StudyError(f"{path}: is damaged ({error}); delete it and run the command of the study again") from None


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
