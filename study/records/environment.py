"""environment.json: what a study was run with, so that somebody else can run it again. No host name, no user name."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import mmbc
from mmbc.documents import Document
from mmbc.spin_limit import SpinLimit
from study.records.python_call import is_call, with_texts

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "scikit-learn",
    "scipy",
    "statsmodels",
    "pandas",
    "numpy",
    "pillow",
    "opencv-python-headless",
    "pyarrow",
    "safetensors",
    "pydantic",
    "matplotlib",
    "optuna",
)


class Imported(Document):
    """Where predictions of models trained elsewhere come from."""

    file: str = ""
    sha256: str = ""
    n_rows: int = 0
    columns: dict[str, str] = {}
    """Role -> column of the user's table."""
    studies: tuple[str, ...] = ()
    """Names of several studies side by side, in place of a table."""


class Environment(Document):
    """What a study was run with."""

    mmbc: str = ""
    commit: str | None = None
    """Of the installed source; None where it is no git checkout."""
    dirty: bool | None = None
    """Whether the source was changed after the commit."""
    command: tuple[str, ...] = ()
    python: str = ""
    packages: dict[str, str | None] = {}
    platform: str = ""
    processor: str = ""
    cores: int | None = None
    memory_gib: float | None = None
    device: str = ""
    gomp_spincount: SpinLimit | None = None
    """Limit on how long OpenMP's threads spin; None in studies of programs that had none."""
    cohort_digest: str = ""
    images_digest: str | None = None
    """None where no image was opened."""
    plan: str | None = None
    """SHA-256 of the analysis plan that the study follows."""
    imported: Imported | None = None
    runs: tuple["Environment", ...] = ()
    """Every run of the study that differed from the one before in more than its command."""

    def with_runs(self, before: "Environment | None") -> "Environment":
        """Return this run's environment with the runs of a study before it, and itself among them if it is another."""
        runs = before.runs if before is not None else ()
        same = bool(runs) and runs[-1].without("command").plain() == self.without("command").plain()
        return self.changed(runs=runs if same else (*runs, self))

    def without_paths(self) -> "Environment":
        """Return it without former runs; its command names the last part of every path alone."""
        shorten = (lambda call: with_texts(call, last_part)) if is_call(self.command) else last_part
        return self.without("runs").changed(command=[shorten(word) for word in self.command])


def from_here(word: str) -> str:
    """Return an absolute path, also behind `key=` or `kind:`, relative to the working directory if both lie together.

    So a command can be typed again where it was typed, and tells no more of the machine than it must.
    """
    start = _path_start(word)
    if start is None or not word[start:].startswith("/"):
        return word
    path, here = Path(word[start:]), Path.cwd()
    together = len(path.parts) > 2 and len(here.parts) > 1 and path.parts[:2] == here.parts[:2]
    return word[:start] + os.path.relpath(path, here) if together else word


def _path_start(word: str) -> int | None:
    """Return where an absolute path begins in a word, at its start or behind `key=` or `kind:`."""
    start = min((at for mark in ("../", "/", "~") if (at := word.find(mark)) >= 0), default=-1)
    return None if start < 0 or (start > 0 and word[start - 1] not in "=:") else start


def last_part(word: str) -> str:
    """Shorten an absolute path, also behind `key=` or `kind:`."""
    start = _path_start(word)
    return word if start is None else word[:start] + Path(word[start:]).name


def describe(
    *, command: list[str], cohort_digest: str, store_digest: str | None, device: str, plan: str | None = None
) -> Environment:
    """Return commit, versions, hardware, digests and command of this run."""
    commit, dirty = _commit()
    return Environment(
        mmbc=mmbc.__version__,
        commit=commit,
        dirty=dirty,
        command=tuple(map(from_here, command)),
        python=platform.python_version(),
        packages={name: _version(name) for name in PACKAGES},
        platform=f"{platform.system()} {platform.machine()}",
        processor=processor(),
        cores=os.cpu_count(),
        memory_gib=memory_gib(),
        device=device,
        gomp_spincount=mmbc.SPIN_LIMIT,
        cohort_digest=cohort_digest,
        images_digest=store_digest,
        **({"plan": plan} if plan is not None else {}),
    )


def _commit() -> tuple[str | None, bool | None]:
    """Return the commit of the installed source and whether it was changed; None where it is no git checkout."""
    source = Path(mmbc.__file__).resolve().parent
    commit = _git(source, "rev-parse", "HEAD")
    changed = _git(source, "status", "--porcelain", "--untracked-files=no")
    return commit, None if commit is None else bool(changed)


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def memory_gib() -> float | None:
    """Return the machine's memory in GiB."""
    if sys.platform == "win32":
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
