"""A study's folder: begun once, continued by the same command, extended by repeats, seeds and arms, never mixed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mmbc.config import flatten, to_toml
from mmbc.data.cohort import Cohort
from mmbc.errors import StudyError, count
from mmbc.files import write_atomically
from study.design.folds import Folds
from study.design.study_file import BASELINE, CONTRASTS_0_1, Protocol, Search, StudyFile
from study.records.cell_records import delete_checkpoint, read_settings
from study.records.environment import Environment
from study.records.stored_cohort import read_facts, write_cohort

EXTENDS = ("protocol.repeats", "protocol.seeds", "search.trials", "preset")
"""Settings that add cells and change none (the name of a preset is a label)."""
REPORTS = ("protocol.prevalence", "protocol.thresholds", "protocol.subgroups", "data.image_name", "data.feature_names")
"""Settings of the report alone: they change no cell and no declared comparison; the last ones set hold."""


def lock(folder: Path, *, wait: float = 0) -> FileLock:
    """Return the lock of a study, held while it runs.

    Args:
        folder: of the study.
        wait: seconds to wait for another process to be done.

    Raises:
        StudyError: another process is at work on this study.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held = FileLock(folder / ".lock")
    try:
        held.acquire(timeout=wait)
    except Timeout:
        raise StudyError(
            f"{folder}: another process is at work on this study; wait for it or use another --name"
        ) from None
    return held


def set_aside(folder: Path, *, holds: str = "study.toml") -> Path | None:
    """Move a study, known by a file it has, out of the way (`--force`); return where it went, or None."""
    return rename_aside(folder) if (folder / holds).exists() else None


def rename_aside(path: Path, suffix: str = "") -> Path:
    """Give a file or folder the next free name `NAME.replaced-1` and return it; a file keeps its suffix."""
    stem, number = path.name.removesuffix(suffix), 1
    while (place := path.with_name(f"{stem}.replaced-{number}{suffix}")).exists():
        number += 1
    path.rename(place)
    return place


def continued(folder: Path, asked: StudyFile) -> StudyFile:
    """Return the study that results when what is asked for meets what the folder holds.

    Raises:
        StudyError: anything but repeats, seeds, arms and `REPORTS` differs; with the differences.
    """
    if not (folder / "study.toml").exists():
        return asked
    stored = read_settings(folder)
    if asked.protocol.contrasts == Protocol().contrasts and stored.protocol.contrasts == CONTRASTS_0_1:
        # what was declared before the run stays, though the default has changed since
        kept = asked.protocol.model_copy(update={"contrasts": stored.protocol.contrasts})
        asked = asked.model_copy(update={"protocol": kept})
    if stored.search is not None and asked.search is not None:
        asked = asked.model_copy(update={"search": _with_budget(folder, stored.search, asked.search)})
    changes = differences(stored, asked)
    if changes:
        raise StudyError(
            f"{folder} was begun with other settings:\n"
            + "\n".join(f"  {key}: {was!r} there, {now!r} asked for" for key, (was, now) in changes.items())
            + "\nUse another --name, or start over with --force (the old study is kept aside)"
        )
    protocol = stored.protocol.model_copy(
        update={
            "repeats": max(stored.protocol.repeats, asked.protocol.repeats),
            "seeds": max(stored.protocol.seeds, asked.protocol.seeds),
            "prevalence": asked.protocol.prevalence or stored.protocol.prevalence,
            "thresholds": asked.protocol.thresholds or stored.protocol.thresholds,
            "subgroups": asked.protocol.subgroups or stored.protocol.subgroups,
        }
    )
    changed = {
        "arms": {**stored.arms, **asked.arms},
        "protocol": protocol,
        "audit": asked.audit or stored.audit,
        "names": {**stored.names, **asked.names},
        "data": asked.data.model_copy(
            update={
                "image_name": asked.data.image_name or stored.data.image_name,
                "feature_names": {**stored.data.feature_names, **asked.data.feature_names},
            }
        ),
    }
    return asked.model_copy(update=changed)


def _with_budget(folder: Path, stored: Search, asked: Search) -> Search:
    """Return a search with the larger of two budgets; none is raised any more once a winner has been tested.

    Raises:
        StudyError: more trials are asked for, and the test parts have been looked at.
    """
    tested = [record for record in folder.glob("cells/*/record.json") if not record.parent.name.startswith(BASELINE)]
    if asked.trials > stored.trials and tested:
        raise StudyError(
            f"{folder}: its winners have been tested with {count(stored.trials, 'trial')} each; more trials now"
            " would be a"
            " choice made on test results. Use another --name for a larger search"
        )
    return asked.model_copy(update={"trials": max(stored.trials, asked.trials)})


def differences(stored: StudyFile, asked: StudyFile) -> dict[str, tuple[Any, Any]]:
    """Return key -> (stored, asked) for every setting that may not change once a study has begun."""
    arms = {name: (stored.arms[name], asked.arms[name]) for name in stored.arms if name in asked.arms}
    changes: dict[str, tuple[Any, Any]] = {
        f"arms.{name}.set": (was.set, now.set) for name, (was, now) in arms.items() if was.set != now.set
    }
    was, now = (_comparable(study) for study in (stored, asked))
    for key in sorted(was.keys() | now.keys()):
        if was.get(key) != now.get(key):
            changes[key] = (was.get(key), now.get(key))
    return changes


def _comparable(study: StudyFile) -> Mapping[str, Any]:
    compared = flatten(study.model_copy(update={"arms": {}, "audit": None, "names": {}}))
    return {key: value for key, value in compared.items() if key not in (*EXTENDS, *REPORTS)}


def begin(
    folder: Path, study: StudyFile, cohort: Cohort, folds: Folds, environment: Environment, *, trains_more: bool = True
) -> None:
    """Write the study's own files, or check that the folder's cohort is this one.

    What a finished study was run with stays on record where nothing more is trained.

    Raises:
        StudyError: the folder belongs to another cohort, or to one whose images were not checked.
    """
    if (folder / "cohort.json").exists():
        check_cohort(folder, cohort)
    else:
        write_cohort(folder, cohort)
    for record in folder.glob("cells/*/record.json"):
        delete_checkpoint(record.parent)
    folds.write(folder / "folds.json")
    write_atomically(folder / "study.toml", to_toml(study).encode())
    file = folder / "environment.json"
    if file.exists() and not trains_more:
        return
    environment.with_runs(Environment.read(file) if file.exists() else None).write(file)


def check_cohort(folder: Path, cohort: Cohort) -> None:
    """Refuse a cohort that is not the one a study was begun with."""
    if not (folder / "cohort.json").exists():
        return
    stored = read_facts(folder)
    if stored.digest == cohort.digest:
        return
    if stored.images_checked != cohort.images_checked:
        opened = {True: "with every image file checked", False: "without opening any image (no arm used them)"}
        raise StudyError(
            f"{folder} was begun {opened[stored.images_checked]}, this run is {opened[cohort.images_checked]}; their"
            " rows may differ and are never mixed: use another --name"
        )
    raise StudyError(
        f"{folder} belongs to another cohort (digest {stored.digest}, now {cohort.digest}): rows, labels, clinical "
        "values or pixels changed. Use another --name, or start over with --force"
    )
