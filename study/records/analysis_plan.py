"""The analysis plan of a study: what was decided before testing, as a document for people that programs can compare.

    analysis_plan.md    Markdown; its last block, TOML, has what programs compare, and one line the SHA-256 of the rest

`python -m study.cv --write-plan FILE` writes it, `--plan FILE` keeps a copy in the folder of the study, and every
report of the study has it too. It is locked: an edit breaks its SHA-256. This keeps nobody from writing another one,
which has another date and another SHA-256; a registry shows readers that it is the first.
"""

import hashlib
import re
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from mmbc.documents import Document
from mmbc.errors import ConfigError, MmbcError, StudyError
from mmbc.files import RESTORE, write_atomically

FILE = "analysis_plan.md"
"""Where a study's folder, an archive and a report keep it."""
UNSEALED = "0" * 64
SEAL = re.compile(r"(?<=SHA-256 of everything else in this file: `)[0-9a-f]{64}(?=`)")
BLOCK = re.compile(r"(?ms)^```toml\n(.*?)^```$")
ANSWER = re.compile(r"(?s)<!-- authors: ([\w-]+) -->(.*?)<!-- end -->")
PROMPT = "[authors:"
"""Beginning of a place that the authors have not filled in."""


class PlanFacts(Document):
    """What programs compare of an analysis plan."""

    ERROR: ClassVar[type[MmbcError]] = ConfigError

    written: str
    """When it was locked, in UTC."""
    mmbc: str
    """Version of the program."""
    study: str
    """Name of the study."""
    tested: tuple[str, ...] = ()
    """Studies of the same cohort that had tested models when it was written, as far as they lay in the same folder."""
    cohort: dict[str, Any]
    """Name, digest and counts."""
    folds: dict[str, Any]
    """Kind, number and digest of the partition of the patients."""
    rules: dict[str, Any]
    """Of the analysis, which no setting changes, and of the evaluation."""
    settings: dict[str, Any]
    """Dotted keys of the study file and their values."""
    arms: dict[str, dict[str, Any]]
    """Arm -> what it changes of the reference configuration."""
    earlier: tuple[dict[str, str], ...] = ()
    """Earlier versions: when they were written, and their SHA-256."""


@dataclass(frozen=True)
class AnalysisPlan:
    """An analysis plan as read.

    Attributes:
        text: the whole document.
        facts: its last block.
    """

    text: str
    facts: PlanFacts

    @cached_property
    def digest(self) -> str:
        """The SHA-256 that it carries, 64 hex digits."""
        found = SEAL.search(self.text)
        return found[0] if found else ""

    @cached_property
    def intact(self) -> bool:
        """Whether nothing of it was edited after it was locked."""
        return bool(self.digest) and sealed(self.text) == self.text

    @property
    def date(self) -> str:
        """The day on which it was locked: 3 March 2026."""
        return day(self.facts.written)

    @cached_property
    def answers(self) -> dict[str, str]:
        """What the authors have written, by the key of the place."""
        found = {key: text.strip() for key, text in ANSWER.findall(self.text)}
        return {key: text for key, text in found.items() if text and not text.startswith(PROMPT)}

    @property
    def n_open(self) -> int:
        """Number of places that the authors have not filled in."""
        return len(ANSWER.findall(self.text)) - len(self.answers)


def now() -> str:
    """Return the time in UTC, to the second, so that later times sort behind earlier ones."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def day(moment: str) -> str:
    """Return the day of a time as `now` writes it: 3 March 2026."""
    date = datetime.fromisoformat(moment)
    return f"{date.day} {date:%B %Y}"


def sealed(text: str) -> str:
    """Return a plan with the SHA-256 of everything else in it."""
    digest = hashlib.sha256(SEAL.sub(UNSEALED, text, count=1).encode()).hexdigest()
    return SEAL.sub(digest, text, count=1)


def parse_plan(text: str, where: str) -> AnalysisPlan:
    """Return a plan from its text, edited or not.

    Raises:
        ConfigError: it is no plan, or its last block cannot be read.
    """
    blocks = BLOCK.findall(text)
    if not blocks or SEAL.search(text) is None:
        raise ConfigError(f"{where}: is no analysis plan of this program; --write-plan writes one")
    try:
        values = tomllib.loads(blocks[-1])
        facts = PlanFacts.of(values, f"{where}: the last block")
        day(facts.written)
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise ConfigError(f"{where}: the last block was edited and cannot be read ({error})") from None
    return AnalysisPlan(text, facts)


def read_plan(file: Path, option: str = "--plan") -> AnalysisPlan:
    """Read a plan that a user names.

    Raises:
        ConfigError: it cannot be read, or is no plan.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
        raise ConfigError(f"{option} {file}: cannot be read ({reason})") from None
    return parse_plan(text, f"{option} {file}")


def locked_plan(file: Path) -> AnalysisPlan:
    """Read the plan that a study is to follow.

    Raises:
        ConfigError: it was edited after it was locked.
    """
    plan = read_plan(file)
    if not plan.intact:
        raise ConfigError(
            f"--plan {file}: was edited after it was locked ({plan.date}). The command that wrote it, with --write-plan"
            f" {file}, locks it again: it keeps what stands in the places for authors and gives it the date of that day"
        )
    return plan


def stored_plan(folder: Path) -> AnalysisPlan | None:
    """Return the plan in the folder of a study or an archive, edited or not; None where there is none.

    Raises:
        StudyError: it cannot be read.
    """
    file = folder / FILE
    if not file.exists():
        return None
    try:
        return parse_plan(file.read_text(encoding="utf-8"), str(file))
    except (ConfigError, OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{error}; {RESTORE}") from None


def plan_to_follow(folder: Path, given: AnalysisPlan | None) -> AnalysisPlan | None:
    """Return the plan of a study: the one given, else the one that lies in its folder.

    Raises:
        StudyError: the one in the folder was edited; or another one is given, and models have been tested.
    """
    stored = stored_plan(folder)
    if stored is not None and not stored.intact:
        raise StudyError(
            f"{folder / FILE}: was edited after it was locked ({stored.date}); restore it, or use another --name"
        )
    if given is None or stored is None or given.digest == stored.digest:
        return given or stored
    if any(folder.glob("cells/*/record.json")):
        raise StudyError(
            f"{folder}: was begun with the plan of {stored.date} ({stored.digest[:16]}), and models have been tested;"
            f" --plan names that of {given.date} ({given.digest[:16]}). Leave --plan out, or use another --name"
        )
    return given


def write_plan(folder: Path, plan: AnalysisPlan | None) -> None:
    """Keep a plan in the folder of a study or an archive; an old one goes where there is none."""
    if plan is None:
        (folder / FILE).unlink(missing_ok=True)
    else:
        write_atomically(folder / FILE, plan.text.encode())
