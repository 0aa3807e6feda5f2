"""environment.json: what a study was run with, so that somebody else can run it again. No host name, no user name."""

import os
import platform
import subprocess
import sys
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import mmbc

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


def describe(*, command: list[str], cohort_digest: str, store_digest: str | None, device: str) -> dict[str, Any]:
    """Return commit, versions, hardware, digests and command of this run."""
    return {
        "mmbc": mmbc.__version__,
        **_commit(),
        "command": command,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": memory_gib(),
        "device": device,
        "gomp_spincount": asdict(mmbc.SPIN_LIMIT),
        "cohort_digest": cohort_digest,
        "images_digest": store_digest,
    }


def _commit() -> dict[str, Any]:
    """Return the commit of the installed source and whether it was changed; None where it is no git checkout."""
    source = Path(mmbc.__file__).resolve().parent
    commit = _git(source, "rev-parse", "HEAD")
    changed = _git(source, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if commit is None else bool(changed)}


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
