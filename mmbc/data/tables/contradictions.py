"""Contradictions: cases, breasts and identical images that have both labels, and the ways on.

Lesions are of a breast, and some tables label every image, so a patient with both labels is usual. Nothing is decided
without being asked: `data.conflicts` says what happens.

- `stop`: the run is refused, and the error names the ways on.
- `any`: a case (a breast) is positive if any of its images is. In training every image keeps its own label.
- `exclude`: breasts with both labels, and identical images with both, are left out and counted. Cases are not: patients
  with cancer in one breast alone would be removed, which selects on the outcome.
"""

from collections.abc import Sequence
from typing import Literal

import pandas as pd

from mmbc.data.tables.labels import name_rows
from mmbc.errors import CohortError, count

Conflicts = Literal["stop", "any", "exclude"]
EXCLUDED = "(--conflicts exclude)"
"""Words in every note on rows that were left out for their labels; a report repeats it among the limitations."""

SELECTION = "This selects on the outcome."
"""Last sentence of the note on breasts that were left out."""

WORDS = {1: "positive", 0: "negative"}


def unit_keys(level: str) -> list[str]:
    """Return the columns that identify what a label belongs to: a case or a breast."""
    return ["patient_id", "case_id", *(["breast"] if level == "breast" else [])]


def with_both_labels(rows: pd.DataFrame, label: pd.Series, level: str) -> pd.Series:
    """Whether the case (the breast) of each row has both labels, (n_rows,) of bool.

    Args:
        rows: with `patient_id`, `case_id` and `breast`.
        label: 1, 0 or NA by row; a row without a label says nothing about its unit.
        level: the unit of the label, `case` or `breast`.
    """
    known = rows[unit_keys(level)].assign(label=label.reindex(rows.index)).dropna(subset="label")
    mixed = known.groupby(unit_keys(level), dropna=False)["label"].transform("nunique") > 1
    return mixed.reindex(rows.index, fill_value=False).astype(bool)


def check_breasts(rows: pd.DataFrame, where: str) -> None:
    """Refuse rows without a breast, where labels belong to breasts.

    Raises:
        CohortError: there are some.
    """
    empty = rows[rows["breast"].isna()]
    if len(empty):
        raise CohortError(f"{where}: labels per breast need column 'breast' in every row; empty in {name_rows(empty)}")


def describe(rows: pd.DataFrame, label: pd.Series, level: str) -> str:
    """Return how many units have both labels, and one of them with its images.

    Args:
        rows: all rows with a label, with `patient_id`, `case_id`, `breast` and `image_id`; some unit has both labels.
        label: 1 or 0 by row.
        level: the unit of the label, `case` or `breast`.
    """
    keys, mixed = unit_keys(level), with_both_labels(rows, label, level)
    concerned = rows[mixed]
    first = concerned[(concerned[keys].astype(str) == concerned.iloc[0][keys].astype(str)).all(axis=1)]
    first = first.groupby(label[first.index].astype(int), sort=False).head(1)
    shown = name_rows(first.assign(image_id=first["image_id"].astype(str) + ", " + label[first.index].map(WORDS)))
    name = " ".join(str(first.iloc[0][key]) for key in keys[1:])
    patients = concerned["patient_id"].nunique()
    return (
        f"{_n_units(concerned, level)} of {_n_units(rows, level)} {level}s ({count(patients, 'patient')})"
        f" have images of both labels, for example {name}: {shown}"
    )


def ways_on(rows: pd.DataFrame, label: pd.Series, level: str, conflicts: Conflicts, side_option: str = "") -> str:
    """Return the options that settle units with both labels.

    Args:
        rows: see `describe`.
        label: see `describe`.
        level: see `describe`.
        conflicts: what was asked for.
        side_option: the option that tells breasts apart, where a column without a role seems to name them.
    """
    if level == "breast":
        return (
            "--conflicts any makes a breast positive if any of its images is; --conflicts exclude leaves these breasts"
            " out, which selects on the outcome and is reported"
        )
    refused = (
        "--conflicts exclude is for breasts and identical images, not for patients: it would remove those with cancer"
        " in one breast alone, which selects on the outcome. "
        if conflicts == "exclude"
        else ""
    )
    has_cases = (rows["case_id"] != rows["patient_id"]).any()
    examinations = "" if has_cases else "; or, if examinations have labels of their own, a column 'case_id'"
    return f"{refused}{_by_breast_or_pooled(rows, label, side_option)}{examinations}"


def _by_breast_or_pooled(rows: pd.DataFrame, label: pd.Series, side_option: str) -> str:
    pooled = "--conflicts any makes a case positive if any of its images is"
    if rows["breast"].notna().all():
        mixed = with_both_labels(rows, label, "breast")
        if mixed.any():
            left = f"{_n_units(rows[mixed], 'breast')} of {_n_units(rows, 'breast')} breasts"
            return (
                f"{pooled}; or --label-level breast, where {left} still have both labels and need --conflicts any or"
                " --conflicts exclude as well"
            )
        return f"Within breasts the labels agree: --label-level breast makes the breast the unit; or {pooled}"
    if side_option:
        return f"{pooled}; or, if labels belong to breasts: {side_option} --label-level breast"
    if rows["breast"].notna().any():
        return f"{pooled}; or, if labels belong to breasts, complete the column 'breast' and use --label-level breast"
    return f"{pooled}; or, if labels belong to breasts, add a column 'breast' and use --label-level breast"


def _n_units(rows: pd.DataFrame, level: str) -> int:
    return len(rows[unit_keys(level)].drop_duplicates())


def losses(rows: pd.DataFrame, label: pd.Series, level: str, lost: pd.Series) -> str:
    """Return a note on units with both labels that are left out, by class.

    Args:
        rows: all rows with a label.
        label: 1 or 0 by row.
        level: the unit of the label.
        lost: whether each row is left out, (n_rows,) of bool.
    """
    positive = rows.assign(label=label).groupby(unit_keys(level), dropna=False)["label"].max()
    gone = set(rows.loc[lost, "patient_id"]) - set(rows.loc[~lost, "patient_id"])
    n_lost, n_positive, n_negative = _n_units(rows[lost], level), int((positive == 1).sum()), int((positive == 0).sum())
    return (
        f"Left out {EXCLUDED}: {n_lost} of the {n_positive} {level}s with a positive image, and none of the"
        f" {n_negative} without, because they have images of both labels; "
        f"{_by_class(rows[lost], label)}; "
        f"{len(gone)} {'patient has' if len(gone) == 1 else 'patients have'} no image left. {SELECTION}"
    )


def lost_copies(rows: pd.DataFrame, label: pd.Series) -> str:
    """Return a note on identical images with both labels that are left out, by class."""
    return f"Left out {EXCLUDED}: identical images that carry both labels; {_by_class(rows, label)}."


def _by_class(rows: pd.DataFrame, label: pd.Series) -> str:
    classes = rows["status"].astype(str) + " (" + label.reindex(rows.index).map(WORDS) + ")"
    counts = classes.value_counts().sort_index()
    return f"{count(len(rows), 'image')}: {', '.join(f'{n} {name}' for name, n in counts.items())}"


def pooled_note(rows: pd.DataFrame, level: str, mixed: pd.Series) -> str:
    """Return a note on units that are positive because one of their images is."""
    return (
        f"{_n_units(rows[mixed], level)} of {_n_units(rows, level)} {level}s have images of both labels. Each"
        " counts as positive, as any of its images is (--conflicts any); in training every image keeps its own label."
    )


def copies_refusal(pairs: Sequence[str], conflicts: str, *, excludable: bool) -> str:
    """Return why no study can be made of identical images with both labels, and the ways on.

    Args:
        pairs: names and classes of the images.
        conflicts: what was asked for.
        excludable: whether `--conflicts exclude` would be accepted.
    """
    shown = ", ".join(pairs[:10]) + (f" and {len(pairs) - 10} more" if len(pairs) > 10 else "")
    asked = "; --conflicts any does not say which label one image has" if conflicts == "any" else ""
    way = "leave them all out with --conflicts exclude" if excludable else "remove their rows from the table"
    return f"pixel-identical images carry different labels: {shown}{asked}. Correct the labels, or {way}"
