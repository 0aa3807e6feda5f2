"""Finished studies put side by side: one evaluation of all their arms, paired, where their folds agree."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from mmbc.config import flatten
from mmbc.errors import StudyError, count, some
from study.design.study_file import BASELINE, Arm
from study.records.cell_records import CELL_COLUMNS, CellRecord
from study.records.environment import Imported
from study.records.progress import models_finished
from study.records.stored_study import StoredStudy

RULES = ("pool_views", "pool_breasts", "delta", "prevalence", "thresholds")
"""Settings of the protocol that change numbers without changing predictions; they must be the same."""
SAYS_NOTHING = (
    "preset",
    *(f"run.{key}" for key in ("device", "threads", "chunk_size", "trunk_batch", "precision")),
    "arms.",
    "protocol.repeats",
    "protocol.seeds",
    "protocol.subgroups",
    "protocol.contrasts",
)


@dataclass(frozen=True)
class JointStudy:
    """Several studies as one.

    Attributes:
        study: all arms under the names `STUDY-ARM`; its contrasts are each arm of a later study minus that of the
            first.
        names: of the studies, in order.
        differing: key, and the value in each study: the settings that the comparison is about.
        notes: what was left out so that every run has its pair.
        imported: whether one of them at least was trained elsewhere, so that its settings are not known.
    """

    study: StoredStudy
    names: tuple[str, ...]
    differing: pd.DataFrame
    notes: tuple[str, ...]
    imported: bool = False


def join_studies(studies: Sequence[StoredStudy]) -> JointStudy:
    """Join studies that were tested on the same patients in the same folds.

    Raises:
        StudyError: fewer than two, equal names, unfinished cells, other rules, labels or folds, or no arm in common.
    """
    names = _names(studies)
    first = studies[0]
    for other in studies[1:]:
        _check_rules(first, other)
        _check_rows(first, other)
        _check_folds(first, other)
    arms = [arm for arm in first.settings.arms if all(arm in study.settings.arms for study in studies)]
    if not arms:
        known = "; ".join(
            f"{name}: {', '.join(study.settings.arms)}" for name, study in zip(names, studies, strict=True)
        )
        raise StudyError(f"the studies have no arm in common ({known}); arms of the same name are compared")
    imported = any(study.imported for study in studies)
    repeats, seeds = (min(getattr(study.settings.protocol, key) for study in studies) for key in ("repeats", "seeds"))
    return JointStudy(
        study=_join(studies, names, arms, repeats, seeds),
        names=names,
        differing=pd.DataFrame() if imported else _differing_settings(studies, names),
        imported=imported,
        notes=tuple(_notes(studies, names, arms, repeats, seeds)),
    )


def _names(studies: Sequence[StoredStudy]) -> tuple[str, ...]:
    names = tuple(study.name for study in studies)
    if len(studies) < 2 or len(set(names)) < len(names):
        raise StudyError(f"two or more studies with different names are needed; got {some(names) or 'none'}")
    for study in studies:
        absent = [name for name in study.planned if name not in study.records]
        if absent:
            raise StudyError(
                f"{study.name}: is not finished ({models_finished(study.planned, study.records)}; missing:"
                f" {some(absent, 3)}); the command that began it continues it"
            )
    return names


def _check_rules(one: StoredStudy, other: StoredStudy) -> None:
    pairs = {key: tuple(getattr(s.settings.protocol, key) for s in (one, other)) for key in RULES}
    pairs["data.label_level"] = (one.settings.data.label_level, other.settings.data.label_level)
    apart = [f"{key}: {was!r} and {now!r}" for key, (was, now) in pairs.items() if was != now]
    if apart:
        raise StudyError(f"{one.name} and {other.name} are evaluated by different rules ({'; '.join(apart)})")


def _check_rows(one: StoredStudy, other: StoredStudy) -> None:
    """Refuse studies of other images, patients or labels."""
    keys = ["image_id", "patient_id", "label"]
    rows = [study.cohort.images[keys].sort_values("image_id", ignore_index=True) for study in (one, other)]
    if rows[0].equals(rows[1]):
        return
    sets = [set(map(tuple, frame.to_numpy().tolist())) for frame in rows]
    differing = sorted({row[0] for row in sets[0] ^ sets[1]})
    raise StudyError(
        f"{one.name} and {other.name} are not of the same rows: {count(len(differing), 'image is', 'images are')}"
        " in one alone, or have"
        f" another patient or label there: {some(differing, 3)}. Differences are paired by patient, so both need the"
        " same cohort"
    )


def _check_folds(one: StoredStudy, other: StoredStudy) -> None:
    """Refuse studies whose test parts differ in a repeat that both have."""
    first, second = one.folds.splits, other.folds.splits
    repeats = min(study.settings.protocol.repeats for study in (one, other))
    for place in sorted({place for place in [*first, *second] if place[0] < repeats}):
        tested, other_tested = (set(split[place].test) if place in split else set() for split in (first, second))
        if differing := tested ^ other_tested:
            raise StudyError(
                f"{one.name} and {other.name} have different folds: in repeat {place[0]}, fold {place[1]}, "
                f"{count(len(differing), 'patient is', 'patients are')} tested in one alone:"
                f" {some(sorted(differing), 3)}. Both need the "
                f"same folds (study.cv: --folds results/{one.name}/folds.json)"
            )


def _join(
    studies: Sequence[StoredStudy], names: Sequence[str], arms: Sequence[str], repeats: int, seeds: int
) -> StoredStudy:
    first = studies[0]
    frames: list[pd.DataFrame] = []
    records: dict[str, CellRecord] = {}
    for study, name in zip(studies, names, strict=True):
        rows = study.predictions
        kept = rows["arm"].isin(arms) & (rows["repeat"] < repeats) & (rows["seed"] < seeds)
        frames.append(rows[kept].assign(arm=f"{name}-" + rows.loc[kept, "arm"]))
        records |= {
            f"{name}-{cell}": record.changed(arm=f"{name}-{record.arm}")
            for cell, record in study.records.items()
            if record.arm in arms and record.repeat < repeats and record.seed < seeds
        }
    baseline = first.predictions[(first.predictions["arm"] == BASELINE) & (first.predictions["repeat"] < repeats)]
    frames.append(baseline)
    records |= {
        cell: record for cell, record in first.records.items() if record.arm == BASELINE and record.repeat < repeats
    }
    contrasts = tuple((f"{name}-{arm}", f"{names[0]}-{arm}") for name in names[1:] for arm in arms)
    protocol = first.settings.protocol.model_copy(update={"contrasts": contrasts, "repeats": repeats, "seeds": seeds})
    renamed = {f"{name}-{arm}": Arm(question="") for name in names for arm in arms}
    environment = first.environment.changed(imported=Imported(studies=tuple(names)), command=())
    return StoredStudy(
        folder=first.folder.with_name("-vs-".join(names)),
        cohort=first.cohort,
        cohort_digest=first.cohort_digest,
        settings=first.settings.model_copy(update={"arms": renamed, "protocol": protocol}),
        folds=first.folds,
        environment=environment,
        planned=tuple(records),
        records=records,
        predictions=pd.concat(frames, ignore_index=True)[
            [*CELL_COLUMNS, *first.predictions.columns.drop(list(CELL_COLUMNS))]
        ],
        history=first.history.iloc[:0],
    )


def _differing_settings(studies: Sequence[StoredStudy], names: Sequence[str]) -> pd.DataFrame:
    """Return the settings in which the studies differ: setting, and a column for each study."""
    flat = [flatten(study.settings) for study in studies]
    keys = sorted({key for settings in flat for key in settings if not key.startswith(SAYS_NOTHING)})
    rows = [
        {"setting": key, **dict(zip(names, (settings.get(key) for settings in flat), strict=True))}
        for key in keys
        if any(settings.get(key) != flat[0].get(key) for settings in flat)
    ]
    return pd.DataFrame(rows, columns=["setting", *names])


def _notes(
    studies: Sequence[StoredStudy], names: Sequence[str], arms: Sequence[str], repeats: int, seeds: int
) -> list[str]:
    notes = []
    for study, name in zip(studies, names, strict=True):
        protocol = study.settings.protocol
        alone = [arm for arm in study.settings.arms if arm not in arms]
        if alone:
            notes.append(f"{name} alone has the arms {some(alone)}; they have no pair and are left out.")
        if (protocol.repeats, protocol.seeds) != (repeats, seeds):
            notes.append(
                f"{name} has {count(protocol.repeats, 'repeat')} and {count(protocol.seeds, 'seed')}; the first"
                f" {repeats} and {seeds},"
                " which all studies have, are compared."
            )
    return notes
