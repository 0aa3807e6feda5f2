"""Pages on cohorts and audits, each with a mark of what it is of: none takes the place of a page on something else."""

import hashlib
import re
from pathlib import Path

from mmbc.files import write_atomically
from study.design.request import Request

MARK = re.compile(r"<!-- made of ([0-9a-f]+) -->")


def origin_of(request: Request) -> str:
    """Return where the cohort of a request lies."""
    path = request.source.path
    return str(path.resolve()) if path is not None else request.source.kind


def write_page(file: Path, text: str, origin: str) -> None:
    """Write a page with the mark of what it is of."""
    write_atomically(file, f"{text}\n<!-- made of {_digest(origin)} -->\n".encode())


def is_of_another(file: Path, origin: str) -> bool:
    """Whether a page lies there and says that it is of something else."""
    found = MARK.search(file.read_text(encoding="utf-8", errors="replace")) if file.is_file() else None
    return found is not None and found[1] != _digest(origin)


def _digest(origin: str) -> str:
    return hashlib.sha256(origin.encode(errors="replace")).hexdigest()[:16]
