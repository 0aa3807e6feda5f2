"""Patient-grouped, stratified splitting of a patient table.

Patients are split, never rows: scikit-learn's `StratifiedGroupKFold(shuffle=True)` did not stratify before 1.8 and may
return an empty fold when groups are few.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit

from mmbc.data.tables import identifiers
from mmbc.errors import LeakageError, SplitError, count, some

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """The patients of one model: sorted ids for `train`, `validation` and `test`, no id in two of them."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def parts(self) -> dict[str, tuple[str, ...]]:
        """Return the three parts by name."""
        return {part: getattr(self, part) for part in PARTS}


def patient_table(images: pd.DataFrame) -> pd.DataFrame:
    """Return one row per patient, sorted by id: `patient_id`, `label` (any positive), `both`, `status`, `site`, images.

    Their number is `n_images`.
    The status is that of a positive row where there is one, so that it agrees with the label. Where every patient is
    positive, `both` says who has a negative breast too: such a patient brings both classes into a part.
    """
    ordered = images.sort_values(["patient_id", "label", "image_id"], ascending=[True, False, True])
    table = ordered.groupby("patient_id", sort=True).agg(
        label=("label", "max"),
        both=("label", "nunique"),
        status=("status", "first"),
        site=("site", "first"),
        n_images=("image_id", "size"),
    )
    table["both"] = (table["both"] > 1) & bool((table["label"] == 1).all())
    return table.reset_index()


def unit_values(images: pd.DataFrame, column: pd.Series, keys: Sequence[str]) -> pd.DataFrame:
    """Return each unit's value of a column: that of most of its images, sorted by `keys`; columns: keys, `value`.

    Of values that are equally frequent it is the smallest. A missing value counts as one, after all others.
    """
    sizes = images[list(keys)].assign(value=column).groupby([*keys, "value"], dropna=False, observed=True).size()
    most = sizes.sort_values(ascending=False, kind="stable").index.to_frame(index=False).drop_duplicates(list(keys))
    return most.sort_values(list(keys), ignore_index=True)


def patient_values(images: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the value that stands for each patient (`unit_values`) in some columns, by patient_id."""
    index = pd.Index(sorted(images["patient_id"].unique()), name="patient_id")
    found = {name: unit_values(images, images[name], ["patient_id"])["value"].to_numpy() for name in names}
    return pd.DataFrame(found, index=index).astype({name: images[name].dtype for name in names})


def n_with_several_values(images: pd.DataFrame, names: Sequence[str]) -> int:
    """Return how many patients have several values, a missing one among them, in any of some columns."""
    differ = images.groupby("patient_id")[list(names)].nunique(dropna=False) > 1
    return int(differ.any(axis=1).sum())


def has_both_classes(patients: pd.DataFrame) -> bool:
    """Whether some of the patients (rows of `patient_table`) have both classes between them."""
    return patients["label"].nunique() == 2 or bool(patients["both"].any())


def strata(patients: pd.DataFrame, at_least: int) -> np.ndarray:
    """Return a stratum (status by site) for each patient, (n_patients,) of str.

    A stratum of fewer than `at_least` patients is merged with the others of its status, then of its label.
    """
    finest = patients["status"].astype(str) + "|" + patients["site"].fillna("").astype(str)
    levels = [finest, patients["status"].astype(str), patients["label"].astype(str)]
    result = levels[0]
    for coarser in levels[1:]:
        small = result.map(result.value_counts()) < at_least
        # whole coarser groups merge their small members into one remainder, the large ones stay
        result = result.mask(small, coarser + "|rest")
    small = result.map(result.value_counts()) < at_least
    largest = result.groupby(patients["label"]).transform(lambda group: group.value_counts().index[0])
    return result.mask(small, largest).to_numpy(dtype=str)


def cross_validation(
    patients: pd.DataFrame, *, n_folds: int, validation: float, rng: np.random.Generator
) -> list[Split]:
    """Split the patients into `n_folds` test parts and each rest into training and validation.

    Raises:
        SplitError: fewer patients of a class than folds.
    """
    _enough(patients, n_folds)
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=_state(rng))
    groups = strata(patients, n_folds)
    return [_with_validation(patients, rest, test, validation, rng) for rest, test in splitter.split(groups, groups)]


def holdout(patients: pd.DataFrame, *, test: float, validation: float, rng: np.random.Generator) -> Split:
    """Split once, with a share `test` of the patients as the test part.

    Raises:
        SplitError: fewer than three patients of a class.
    """
    _enough(patients, 3)
    rest, tested = _shuffle_split(patients, np.arange(len(patients)), test, rng)
    return _with_validation(patients, rest, tested, validation, rng)


def inner_folds(patients: pd.DataFrame, *, n_folds: int, rng: np.random.Generator) -> list[tuple[str, ...]]:
    """Divide patients into `n_folds` stratified parts of sorted ids; each is the validation part of the others in turn.

    Raises:
        SplitError: fewer patients of a class than parts.
    """
    _enough(patients, n_folds, "inner folds (--inner-folds)")
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=_state(rng))
    groups, ids = strata(patients, n_folds), patients["patient_id"].to_numpy(dtype=str)
    return [tuple(sorted(ids[part].tolist())) for _, part in splitter.split(groups, groups)]


def predefined(
    patients: pd.DataFrame, tests: list[set[str]], *, validation: float, rng: np.random.Generator
) -> list[Split]:
    """Return one split for each given test part; the other patients are divided into training and validation."""
    splits = []
    for ids in tests:
        tested = patients["patient_id"].isin(ids).to_numpy()
        splits.append(_with_validation(patients, np.flatnonzero(~tested), np.flatnonzero(tested), validation, rng))
    return splits


def _with_validation(
    patients: pd.DataFrame, rest: np.ndarray, test: np.ndarray, share: float, rng: np.random.Generator
) -> Split:
    train, validation = _shuffle_split(patients, rest, share, rng)
    ids = patients["patient_id"].to_numpy(dtype=str)
    return Split(*(tuple(sorted(ids[part].tolist())) for part in (train, validation, test)))


def _shuffle_split(
    patients: pd.DataFrame, rows: np.ndarray, share: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Divide `rows` (n,) into a rest and a stratified share, each with both classes."""
    among = patients.iloc[rows].reset_index(drop=True)
    n_held = round(share * len(rows))
    groups = strata(among, 2)
    sizes = np.unique(groups, return_counts=True)[1]
    if sizes.min() > 1 and len(sizes) <= min(n_held, len(rows) - n_held):
        splitter = StratifiedShuffleSplit(1, test_size=n_held, random_state=_state(rng))
        kept, held = next(splitter.split(groups, groups))
        if has_both_classes(among.iloc[kept]) and has_both_classes(among.iloc[held]):
            return rows[kept], rows[held]
    return _by_label(among, rows, share, rng)


def _by_label(
    among: pd.DataFrame, rows: np.ndarray, share: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Divide a few rows by label alone, at least one of each class on either side."""
    labels, held = among["label"].to_numpy(), np.zeros(len(rows), dtype=bool)
    for label in (1,) if among["both"].any() else (0, 1):
        members = rng.permutation(np.flatnonzero(labels == label))
        if len(members) < 2:
            raise SplitError(
                f"{count(len(rows), 'patient')} cannot be divided into two parts with both classes, such as"
                " training and "
                f"validation: {len(members)} of them {'has' if len(members) == 1 else 'have'} label {label}, two are "
                "needed; use another number of folds (--folds), a smaller test part, or more patients"
            )
        held[members[: min(max(1, round(share * len(members))), len(members) - 1)]] = True
    return rows[~held], rows[held]


def _enough(patients: pd.DataFrame, n: int, what: str = "folds (--folds)") -> None:
    counts = {0: int(((patients["label"] == 0) | patients["both"]).sum()), 1: int((patients["label"] == 1).sum())}
    for label in (0, 1):
        if counts[label] < n:
            n_of = "1 patient has" if counts[label] == 1 else f"{counts[label]} patients have"
            raise SplitError(
                f"{n_of} label {label}, but every one of {n} parts needs at least one; "
                f"use fewer {what} or more patients"
            )


def _state(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def check(
    split: Split, patients: pd.DataFrame, *, where: str, tolerance: float | None, parts: Sequence[str] = PARTS
) -> None:
    """Verify one split against the patient table.

    Args:
        split: the patients of its parts.
        patients: see `patient_table`.
        where: beginning of every message.
        tolerance: largest difference between the prevalence of a part and of the cohort; None for any.
        parts: the parts that must have patients of both classes.

    Raises:
        LeakageError: a patient on two sides, with the ids.
        SplitError: an unknown or left-out patient, an empty part, one class, or a prevalence out of tolerance.
    """
    sides = {part: set(ids) for part, ids in split.parts().items()}
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        both = sorted(sides[one] & sides[other])
        if both:
            raise LeakageError(f"{where}: patients both in {one} and in {other}: {some(both)}")
    known, used = set(patients["patient_id"]), set().union(*sides.values())
    if used - known:
        strangers = sorted(used - known)
        raise SplitError(
            f"{where}: patients that the cohort does not have: {some(strangers)}{_spelled(strangers, known)}"
        )
    if known - used:
        raise SplitError(f"{where}: patients in no part: {some(sorted(known - used))}")
    by_id = patients.set_index("patient_id")
    for part in parts:
        chosen = by_id.loc[list(split.parts()[part])]
        _check_part(f"{where}, {part} part", chosen, float(by_id["label"].mean()), tolerance)


def _spelled(strangers: Sequence[str], known: set[str]) -> str:
    """Return a sentence on those that the cohort has in another spelling; '' if there is none."""
    forms = {identifiers.normal_form(patient): patient for patient in known}
    pairs = [(patient, forms.get(identifiers.normal_form(patient))) for patient in strangers]
    shown = [f"{identifiers.shown(patient)} for {identifiers.shown(own)}" for patient, own in pairs if own is not None]
    return (
        f". {len(shown)} of them are spelled otherwise than in the cohort ({some(shown, 5)}): --merge-ids takes them as"
        " the cohort spells them"
        if shown
        else ""
    )


def _check_part(where: str, patients: pd.DataFrame, prevalence: float, tolerance: float | None) -> None:
    labels = patients["label"]
    if not has_both_classes(patients):
        raise SplitError(
            f"{where}: {count(len(labels), 'patient')}, not both classes; found labels {sorted(set(labels))}"
        )
    if tolerance is None:
        return
    # two patients either way are rounding, whatever the share they make in a small part
    allowed = max(tolerance, 2 / len(labels))
    if abs(labels.mean() - prevalence) > allowed:
        raise SplitError(
            f"{where}: {labels.mean():.3f} of its {len(labels)} patients are positive, in the cohort {prevalence:.3f}; "
            f"more than {allowed:.3f} apart (protocol.prevalence_tolerance). Among them: {some(labels.index)}"
        )


def nested_share(
    ids: Sequence[str], labels: Mapping[str, int], fraction: float, rng: np.random.Generator
) -> tuple[str, ...]:
    """Return a share of some patients, sorted, as many of each class in proportion, at least one of each.

    With generators of the same seed a smaller share is a subset of a larger one.

    Args:
        ids: patients.
        labels: patient -> label.
        fraction: share, above 0; 1 for all of them.
        rng: draws the order in which patients enter.
    """
    chosen: list[str] = []
    for label in (0, 1):
        members = sorted(patient for patient in ids if labels[patient] == label)
        n = max(round(fraction * len(members)), min(1, len(members)))
        chosen += [members[place] for place in rng.permutation(len(members))[:n]]
    return tuple(sorted(chosen))


def rows_of(split: Split, images: pd.DataFrame) -> Mapping[str, np.ndarray]:
    """Return part -> sorted row numbers of `images`, each (n_rows,) of int64."""
    return {
        part: np.flatnonzero(images["patient_id"].isin(ids).to_numpy()).astype(np.int64)
        for part, ids in split.parts().items()
    }
