"""Folds of a study: every split by patient, written once to folds.json and validated at every use."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import pandas as pd
from pydantic import ConfigDict, model_validator

from mmbc.config import digest
from mmbc.data.splits import PARTS, Split, has_both_classes, patient_table
from mmbc.data.splits import check as check_split
from mmbc.data.tables.identifiers import respelled
from mmbc.documents import Document
from mmbc.errors import LeakageError, MmbcError, SplitError, some
from study.design.study_file import Protocol
from study.text.format import count

COUNTED = ("repeat", "fold", "name", "part", "n_patients", "n_positive", "n_images", "prevalence")
"""Columns of `Folds.table`."""

FEW_POSITIVE = 50
"""Fewer positive validation patients than this make the choice of the epoch noisy (docs/explanation/estimands.md)."""

Patients = tuple[str, ...]
Place = tuple[int, int]
"""Repeat and fold."""


class Fold(Document):
    """One split of a study: its place, and the patients of each part in the order of the file."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    repeat: int
    fold: int
    name: str = ""
    """Value of the column, or condition, that made the test part."""
    train: Patients
    validation: Patients
    """Empty in a nested search."""
    test: Patients
    inner: tuple[Patients, ...] = ()
    """Inner folds of the training part, in a nested search."""

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        lacking = [key for key in ("repeat", "fold", *PARTS) if key not in values]
        if lacking:
            raise ValueError(f"an entry of the folds lacks {some(lacking)}; every one has repeat, fold, {some(PARTS)}")
        for part in PARTS:
            if isinstance(values[part], str) or not isinstance(values[part], Iterable):
                raise ValueError(
                    f"repeat {values['repeat']}, fold {values['fold']}: {part} is {values[part]!r}; it has to be a list"
                    " of patients"
                )
        return values

    @property
    def place(self) -> Place:
        """Repeat and fold."""
        return self.repeat, self.fold

    @property
    def split(self) -> Split:
        """The patients of each part, sorted."""
        return Split(*(tuple(sorted(ids)) for ids in (self.train, self.validation, self.test)))

    def __str__(self) -> str:
        return f"repeat {self.repeat}, fold {self.fold}" + (f" ({self.name})" if self.name else "")


class Folds(Document):
    """Every split of a study."""

    ERROR: ClassVar[type[MmbcError]] = SplitError

    kind: Literal["cross-validation", "holdout"] = "cross-validation"
    n_folds: int = 1
    """Test parts of a repeat."""
    repeats: int = 1
    folds: tuple[Fold, ...]
    predefined: bool = False
    """Whether a column or a condition of the cohort made the test parts."""
    own: bool = False
    """Whether they are the user's own, and no protocol can add repeats."""
    nested: bool = False
    """Whether a search goes on inside each fold: training parts are divided into inner folds."""
    whole: tuple[Patients, ...] = ()
    """Inner folds of all patients, in a nested search."""

    @model_validator(mode="after")
    def _numbered(self) -> Self:
        if not self.folds:
            raise ValueError("there are no folds")
        twice = [place for place, n in Counter(fold.place for fold in self.folds).items() if n > 1]
        if twice:
            raise ValueError(
                "repeat {}, fold {} occurs twice; number the folds of each repeat from 0".format(*twice[0])
            )
        return self

    @property
    def holdout(self) -> bool:
        """Whether there is a single test part that does not cover the cohort."""
        return self.kind == "holdout"

    @cached_property
    def splits(self) -> Mapping[Place, Split]:
        """(repeat, fold) -> split, in the order of the file."""
        return {fold.place: fold.split for fold in self.folds}

    def spelled_as(self, patients: Iterable[str]) -> Self:
        """Return the folds with patients as they are spelled here, where a key differs from one of these by that alone.

        Spellings of one patient in one part become one entry.
        """
        listed = {patient for fold in self.folds for ids in fold.split.parts().values() for patient in ids}
        own = respelled(sorted(listed), patients)

        def spelled(ids: Patients) -> Patients:
            return tuple(dict.fromkeys(own.get(patient, patient) for patient in ids))

        folds = []
        for fold in self.folds:
            inner = {"inner": [spelled(ids) for ids in fold.inner]} if fold.inner else {}
            folds.append(fold.changed(**{part: spelled(ids) for part, ids in fold.split.parts().items()}, **inner))
        whole = {"whole": [spelled(ids) for ids in self.whole]} if self.whole else {}
        return self.changed(folds=folds, **whole)

    def until(self, repeats: int) -> list[Fold]:
        """Return the folds of the first `repeats` repeats."""
        return [fold for fold in self.folds if fold.repeat < repeats]

    def test_fold_of(self, repeat: int = 0) -> dict[str, int]:
        """Return patient -> the fold of a repeat that tests the patient."""
        return {patient: fold.fold for fold in self.folds if fold.repeat == repeat for patient in fold.test}

    def check(self, images: pd.DataFrame, protocol: Protocol) -> None:
        """Check every split against the cohort.

        Raises:
            LeakageError: a patient on two sides of a split.
            SplitError: a fold that is missing or wrong, or a patient not tested exactly once in a repeat.
        """
        patients = patient_table(images)
        tolerance = None if self.predefined else protocol.prevalence_tolerance
        parts = ("train", "test") if self.nested else PARTS
        for fold in self.folds:
            check_split(fold.split, patients, where=str(fold), tolerance=tolerance, parts=parts)
        if not self.holdout:
            self._check_tested_once(patients)
        if self.nested:
            self._check_inner(patients)

    def _check_tested_once(self, patients: pd.DataFrame) -> None:
        for repeat in sorted({fold.repeat for fold in self.folds}):
            tested = Counter(patient for fold in self.folds if fold.repeat == repeat for patient in fold.test)
            twice = [patient for patient, n in tested.items() if n > 1]
            if twice:
                raise SplitError(f"repeat {repeat}: patients tested more than once: {some(twice)}")
            never = sorted(set(patients["patient_id"]) - set(tested))
            if never:
                raise SplitError(f"repeat {repeat}: patients never tested: {some(never)}")

    def _check_inner(self, patients: pd.DataFrame) -> None:
        """Check that inner folds are a partition of their training part, each with both classes."""
        by_id = patients.set_index("patient_id")
        places = [(f"repeat {fold.repeat}, fold {fold.fold}", fold.inner, fold.train) for fold in self.folds]
        for where, inner, train in [*places, ("the whole cohort", self.whole, tuple(patients["patient_id"]))]:
            listed = Counter(patient for part in inner for patient in part)
            wrong = set(listed) ^ set(train) or {patient for patient, n in listed.items() if n > 1}
            if wrong:
                raise LeakageError(
                    f"{where}: inner folds do not divide the training part; wrong: {some(sorted(wrong))}"
                )
            if not all(has_both_classes(by_id.loc[list(part)]) for part in inner):
                raise SplitError(f"{where}: an inner fold has one class alone; use fewer inner folds")

    def digest(self, repeats: int) -> str:
        """Return 16 hex digits over the partition of the patients in the first repeats, inner folds included."""
        parts = [
            [*fold.place, *map(list, fold.split.parts().values()), *map(sorted, fold.inner)]
            for fold in self.until(repeats)
        ]
        return digest({"folds": parts})

    def table(self, images: pd.DataFrame) -> pd.DataFrame:
        """Return one row per (repeat, fold, part) with the columns `COUNTED`.

        A part without patients has none; ids that the cohort does not have do not count (`check` refuses
        them).
        """
        by_patient = images.groupby("patient_id")["label"]
        labels, n_images = by_patient.max().to_dict(), by_patient.size().to_dict()
        rows = []
        for fold in self.folds:
            for part, ids in fold.split.parts().items():
                known = labels.keys() & set(ids)
                if not known:  # no validation part in a nested search
                    continue
                n_positive = sum(int(labels[patient]) for patient in known)
                rows.append(
                    {
                        "repeat": fold.repeat,
                        "fold": fold.fold,
                        "name": fold.name,
                        "part": part,
                        "n_patients": len(known),
                        "n_positive": n_positive,
                        "n_images": sum(n_images[patient] for patient in known),
                        "prevalence": n_positive / len(known),
                    }
                )
        return pd.DataFrame(rows, columns=COUNTED)

    def warnings(self, images: pd.DataFrame) -> list[str]:
        """Return sentences about parts that are too small for what they are used for."""
        counts = self.table(images)
        notes = []
        if self.predefined:
            tests = counts[counts["part"] == "test"]
            shares = [
                f"{name} {100 * share:.0f} %" for name, share in zip(tests["name"], tests["prevalence"], strict=True)
            ]
            notes.append(
                f"Predefined test parts are not balanced by the program; positive patients: {', '.join(shares)}."
            )
        if self.nested:
            return notes
        fewest = counts.loc[counts["part"] == "validation", "n_positive"].min()
        if fewest < FEW_POSITIVE:
            notes.append(
                f"The smallest validation part has {count(int(fewest), 'positive patient')}; with fewer than"
                f" {FEW_POSITIVE}, the choice of the epoch is unreliable. Fixed epochs avoid it: --set train.keep=last"
                " --set train.max_epochs=N."
            )
        return notes


def inner_splits(parts: Sequence[Sequence[str]]) -> list[Split]:
    """Return one split for each inner fold: it is the validation part, the others are the training part."""
    return [
        Split(tuple(sorted(p for other in parts if other is not part for p in other)), tuple(sorted(part)), ())
        for part in parts
    ]


def split_digest(split: Split) -> str:
    """Return 16 hex digits over the patients of a split."""
    return digest({part: list(ids) for part, ids in split.parts().items()})
