"""Partition of the patients: folds drawn as the protocol says, or the user's own, for fixed settings or a search."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mmbc.config import DataConfig
from mmbc.data.splits import Split, cross_validation, has_both_classes, holdout, inner_folds, patient_table, predefined
from mmbc.errors import LeakageError, SplitError, nearest, some
from study.design.folds import Fold, Folds
from study.design.study_file import Protocol
from study.text.format import count

FORMAT_SHOWN = "any study's folds.json shows the format"


def columns_used(protocol: Protocol) -> tuple[str, ...]:
    """Return the names of the columns that decide on the splits (words of `test_where` that are none do no harm)."""
    text = re.sub(r"'[^']*'|\"[^\"]*\"", " ", protocol.test_where)
    names = [quoted or word for quoted, word in re.findall(r"`([^`]+)`|([^\W\d]\w*)", text)]
    return tuple(dict.fromkeys([*([protocol.fold_column] if protocol.fold_column else []), *names]))


def make(images: pd.DataFrame, protocol: Protocol, *, n_inner: int | None = None) -> Folds:
    """Split the patients as the protocol says; repeat r is the same however many repeats are asked for.

    With `n_inner` every training part, its validation patients among it, is divided into inner folds (see `nested`).

    Raises:
        SplitError: a column or condition that the cohort does not have, or that divides a patient.
    """
    patients = patient_table(images)
    drawn = []
    for repeat in range(protocol.repeats):
        rng = _generator(protocol.split_seed, repeat)
        for number, (name, split) in enumerate(_named_splits(images, patients, protocol, rng)):
            named = {"name": name} if name else {}
            drawn.append(Fold.model_validate({"repeat": repeat, "fold": number, **named, **split.parts()}))
    folds = Folds(
        kind="holdout" if protocol.holdout is not None or protocol.test_where else "cross-validation",
        n_folds=len(drawn) // protocol.repeats,
        repeats=protocol.repeats,
        folds=tuple(drawn),
    )
    if protocol.fold_column or protocol.test_where:
        folds = folds.changed(predefined=True)
    return folds if n_inner is None else nested(folds, images, n_inner, protocol.split_seed)


def nested(folds: Folds, images: pd.DataFrame, n_inner: int, seed: int) -> Folds:
    """Return folds for a search inside each: no validation part, and the training part divided into inner folds."""
    patients = patient_table(images)

    def divided(ids: Sequence[str], *place: int) -> list[tuple[str, ...]]:
        among = patients[patients["patient_id"].isin(ids)].reset_index(drop=True)
        return inner_folds(among, n_folds=n_inner, rng=_generator(seed, n_inner, *place))

    inside = []
    for fold in folds.folds:
        train = sorted([*fold.train, *fold.validation])
        inside.append(fold.changed(train=train, validation=(), inner=divided(train, *fold.place)))
    return folds.changed(folds=inside, nested=True, whole=divided(list(patients["patient_id"])))


def unnested(folds: Folds, images: pd.DataFrame, protocol: Protocol) -> Folds:
    """Return a search's folds for a study of fixed settings: the same test parts, each with a validation part again."""
    patients = patient_table(images)
    plain = []
    for fold in folds.folds:
        rng = _generator(protocol.split_seed, *fold.place)
        split = predefined(patients, [set(fold.test)], validation=protocol.validation, rng=rng)[0]
        plain.append(fold.without("inner").changed(**split.parts()))
    return folds.without("nested", "whole").changed(folds=plain)


def _generator(*seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))


def _named_splits(
    images: pd.DataFrame, patients: pd.DataFrame, protocol: Protocol, rng: np.random.Generator
) -> list[tuple[str, Split]]:
    share = protocol.validation
    if protocol.fold_column:
        groups = _by_column(images, protocol.fold_column)
        for name, ids in groups.items():
            _both_classes(patients, ids, f"--folds {protocol.fold_column}, {name}")
        splits = predefined(patients, list(groups.values()), validation=share, rng=rng)
        return list(zip(groups, splits, strict=True))
    if protocol.test_where:
        tested = _where(images, protocol.test_where)
        _both_classes(patients, tested, f"--test-where {protocol.test_where!r}")
        return [(protocol.test_where, predefined(patients, [tested], validation=share, rng=rng)[0])]
    if protocol.holdout is not None:
        return [("", holdout(patients, test=protocol.holdout, validation=share, rng=rng))]
    return [("", split) for split in cross_validation(patients, n_folds=protocol.folds, validation=share, rng=rng)]


def _by_column(images: pd.DataFrame, column: str) -> dict[str, set[str]]:
    """Return the patients of each value of a column, in the order of the values."""
    if column not in images.columns or column in ("label", "path"):
        raise SplitError(f"--folds {column}: the cohort has no column {column!r}; {nearest(column, _usable(images))}")
    values = images[column]
    if values.isna().any():
        empty = images.loc[values.isna(), "patient_id"].unique()
        raise SplitError(f"--folds {column}: no value for {count(len(empty), 'patient')}: {some(empty)}; give them one")
    _undivided(images["patient_id"], values, f"--folds {column}", "values")
    groups = images.groupby(column, sort=True)["patient_id"].agg(set)
    if len(groups) < 2:
        raise SplitError(f"--folds {column}: only one value ({groups.index[0]}); at least two folds are needed")
    if len(groups) > len(images["patient_id"].unique()) / 2:
        raise SplitError(f"--folds {column}: {len(groups)} different values are too many for folds")
    return {_plain(value): ids for value, ids in groups.items()}


def _where(images: pd.DataFrame, condition: str) -> set[str]:
    """Return the patients that meet a condition."""
    table = images.drop(columns=["label", "path", "pixel_digest"], errors="ignore")
    try:
        met = table.eval(condition, engine="python", local_dict={}, global_dict={})  # nothing but columns has a name
    except Exception as error:  # whatever the user wrote is evaluated
        raise SplitError(
            f"--test-where {condition!r}: cannot be evaluated ({error}); write it like \"site == 'B'\" with "
            f"{some(_usable(images), 20)}, or any other column of your table in its exact spelling"
        ) from None
    if not isinstance(met, pd.Series) or met.dtype != bool:
        raise SplitError(f"--test-where {condition!r}: is not true or false for every row")
    for name in columns_used(Protocol(test_where=condition)):
        if name in table.columns and table[name].isna().any():
            empty = table.loc[table[name].isna(), "patient_id"].unique()
            raise SplitError(
                f"--test-where {condition!r}: {name!r} is not known for {count(len(empty), 'patient')}: {some(empty)}"
            )
    _undivided(images["patient_id"], met, f"--test-where {condition!r}", "sides")
    n_met = int(met.sum())
    if n_met in (0, len(met)):
        raise SplitError(f"--test-where {condition!r}: {'no' if n_met == 0 else 'every'} row meets it")
    return set(images.loc[met, "patient_id"])


def _both_classes(patients: pd.DataFrame, tested: set[str], where: str) -> None:
    """Check that the test part and the rest have positive and negative patients."""
    inside = patients["patient_id"].isin(tested)
    for part, chosen in (("test part", patients[inside]), ("rest", patients[~inside])):
        if not has_both_classes(chosen):
            raise SplitError(
                f"{where}: the {part} has {count(len(chosen), 'patient')}, not both classes"
                f" ({int(chosen['label'].sum())} positive); join small values in a column of your own"
            )


def _undivided(patients: pd.Series, values: pd.Series, where: str, what: str) -> None:
    """Check that no patient has two values."""
    several = values.groupby(patients).nunique()
    divided = several.index[several > 1]
    if len(divided):
        raise LeakageError(
            f"{where}: {count(len(divided), 'patient is', 'patients are')} on two {what}: {some(divided)}"
        )


def _usable(images: pd.DataFrame) -> list[str]:
    return [name for name in images.columns if name not in ("label", "path", "pixel_digest", "image_id", "patient_id")]


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def read_own(path: Path, images: pd.DataFrame | None = None, data: DataConfig = DataConfig()) -> Folds:
    """Read the user's own folds; what they hold is not checked against a cohort.

    With `data.spellings = "merge"` the patients of `images` are found in any spelling.

    Raises:
        SplitError: a file that is not there, no JSON, or lacks a key.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SplitError(
            f"--folds {path}: cannot be read ({error.strerror}); give a number, column:NAME or a file"
        ) from None
    except (ValueError, RecursionError) as error:
        raise SplitError(f"--folds {path}: is not JSON ({error}); {FORMAT_SHOWN}") from None
    try:
        folds = Folds.of(values, f"--folds {path}")
    except SplitError as error:
        raise SplitError(f"{error}; {FORMAT_SHOWN}") from None
    return folds if images is None or data.spellings != "merge" else folds.spelled_as(images["patient_id"])


def for_study(
    stored: Path | None,
    given: Path | None,
    images: pd.DataFrame,
    protocol: Protocol,
    data: DataConfig = DataConfig(),
    *,
    n_inner: int | None = None,
) -> Folds:
    """Return the folds of a study: the stored ones (with repeats added), the user's own, or new ones; checked.

    Nothing is `stored` of a study that has not begun.

    With `n_inner` they are nested, without it they are not, whatever the user's own are.

    Raises:
        SplitError: the user's own folds differ from those the study has already begun with.
    """
    patients = patient_table(images)
    if data.label_level == "case" and patients["both"].any():
        raise SplitError(
            f"every one of {len(patients)} patients is positive, so patients cannot be compared;"
            f" {patients['both'].sum()} have negative images too. If labels belong to breasts, compare breasts:"
            " --label-level breast (with a column 'breast')"
        )
    own = read_own(given, images, data) if given is not None else None
    if own is not None and (n_inner is not None) != own.nested:
        own.check(images, protocol)
        own = unnested(own, images, protocol) if n_inner is None else nested(own, images, n_inner, protocol.split_seed)
    if stored is not None and stored.exists():
        folds = Folds.read(stored)
        if own is not None and own.splits != folds.splits:
            raise SplitError(f"{given}: differs from {stored}, with which this study began; use another --name")
        if folds.repeats < protocol.repeats and not folds.own:
            folds = make(images, protocol, n_inner=n_inner)
    elif own is not None:
        folds = _counted(own)
    else:
        folds = make(images, protocol, n_inner=n_inner)
    folds.check(images, protocol)
    return folds


def _counted(own: Folds) -> Folds:
    """Return the user's own folds with their kind and number, as far as the file does not say it."""
    n_folds = 1 + max(fold.fold for fold in own.folds)
    folds = own.changed(n_folds=n_folds, repeats=1 + max(fold.repeat for fold in own.folds), own=True)
    kind = "cross-validation" if n_folds > 1 else "holdout"
    return folds if "kind" in own.model_fields_set else folds.changed(kind=kind)
