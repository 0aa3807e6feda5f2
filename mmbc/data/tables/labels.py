"""Labels: which rows are positive, which negative, and whether a label belongs to a case or to a breast.

Labels per case are taken as distributed. With labels per breast, the positive breast of a positive case is the
annotated one, in any of its views, and the contralateral breast is negative. Where annotations do not decide, the case
is left out.
"""

import difflib
from collections.abc import Sequence
from typing import Literal

import pandas as pd

from mmbc.data.tables.identifiers import normal_form
from mmbc.data.tables.unknown_values import means_unknown
from mmbc.errors import CohortError, count, nearest, some

Sides = Literal["pixels", "listed", "given", "unknown"]
"""What tells the positive breast of a case: outlines in the pixels, annotations in the list, a label for each breast,
or nothing."""

CONTRALATERAL = "Contralateral"
"""Status of the negative breasts of positive cases."""

MALIGNANT, BENIGN = "MALIGNANT", "BENIGN"
"""Pathologies of an annotated image that decide on its breast; any other leaves the breast undecided."""


def label_classes(
    rows: pd.DataFrame, where: str, positive: Sequence[str], negative: Sequence[str], *, level: str = "case"
) -> pd.Series:
    """Return 1 (positive), 0 (negative) or NA (neither) for every row.

    Args:
        rows: listed rows with `status` and, where the label has other names than the status, `outcome`.
        where: name of the cohort, for messages.
        positive: values of `outcome` (else of `status`) that are labelled 1.
        negative: values of either that are labelled 0; empty for all that are not positive. With labels per breast
            `CONTRALATERAL` may be among them, although no row is listed as that.
        level: the unit of the label, `case` or `breast`.

    Raises:
        CohortError: no positive class is known, a name that no row has or that is on both sides, or one class only.
    """
    outcome = rows["outcome"] if "outcome" in rows else rows["status"]
    counts = outcome.value_counts(sort=False).sort_index()
    shown = ", ".join(f"{name!r} ({count(n, 'row')})" for name, n in list(counts.items())[:12])
    if not positive:
        raise CohortError(f"{where}: which labels are positive? Say --positive NAME; found: {shown}")
    for name in positive:
        if name not in counts.index:
            raise CohortError(f"{where}: no image has the label {name!r} (--positive); found: {shown}")
    is_positive = outcome.isin(list(positive))
    known = set(outcome[~is_positive]) | set(rows["status"][~is_positive])
    for name in negative:
        if name in positive:
            raise CohortError(f"{where}: {name!r} is named as positive and as negative")
        if name not in known and not (name == CONTRALATERAL and level == "breast"):
            raise CohortError(f"{where}: no negative image has the label {name!r} (--negative); {nearest(name, known)}")
    is_negative = ~is_positive & (outcome.isin(list(negative)) | rows["status"].isin(list(negative)) | (not negative))
    if not is_negative.any() and not (CONTRALATERAL in negative and level == "breast"):
        raise CohortError(f"{where}: every image is labelled {some(positive)}; two classes are needed")
    if not negative:
        _check_unknown(outcome[~is_positive], where)
    label = pd.Series(pd.NA, index=rows.index, dtype="Int64").mask(is_positive, 1).mask(is_negative, 0)
    for words in (outcome, rows["status"]):
        _check_spelling(words, label, {*positive, *negative}, where)
    return label


CODES = ("9", "99", "999", "-1", "-9", "-99")
"""Labels that may mean 'not known' beside others."""


def _check_unknown(others: pd.Series, where: str) -> None:
    """Refuse labels that may mean 'not known' and would count as negative, because nobody named the negative ones."""
    counts = others.value_counts()
    doubtful = [word for word in counts.index if means_unknown(word) or word in CODES]
    doubtful += ["2"] if set(counts.index) - set(doubtful) == {"0", "2"} else []
    rest = [word for word in sorted(counts.index) if word not in doubtful]
    if doubtful and rest:
        shown = some(f"{word!r} ({count(counts[word], 'row')})" for word in doubtful)
        raise CohortError(
            f"{where}: labels that may mean 'not known' would count as negative: {shown}. Name the negative ones, and"
            f" images with another label are left out: --negative {','.join(rest)}"
        )


def _check_spelling(words: pd.Series, label: pd.Series, named: set[str], where: str) -> None:
    """Refuse words that differ in spelling alone and got different labels, unless the user names each of them."""
    sides = {1: "positive", 0: "negative"}
    frame = pd.DataFrame({"word": words, "side": label.map(sides).astype(object).fillna("not compared")}).dropna()
    counts = frame.value_counts(["word", "side"], sort=False).reset_index(name="n")
    for _, alike in counts.groupby(counts["word"].map(normal_form)):
        if alike["side"].nunique() < 2 or alike["word"].nunique() < 2 or set(alike["word"]) <= named:
            continue
        shown = ", ".join(f"{row.word!a} ({count(int(str(row.n)), 'row')}: {row.side})" for row in alike.itertuples())
        raise CohortError(
            f"{where}: labels that differ in upper and lower case, blanks or invisible characters alone would be"
            f" different classes: {shown}. Write them alike in the table, or name every spelling: --positive or"
            f" --negative {','.join(alike['word'])}"
        )


def describe_negatives(outcome: pd.Series, label: pd.Series, positive: Sequence[str]) -> list[str]:
    """Return a note of the labels that count as negative because nobody named them, where they are several."""
    counts = outcome[label == 0].value_counts()
    if len(counts) < 2:
        return []
    shown = some(f"{word!r} ({count(n, 'row')})" for word, n in counts.items())
    wanted = {normal_form(word): word for word in positive}
    doubts = [
        f"Is {word!r} a misspelling of {wanted[close[0]]!r}?"
        for word in counts.index
        if (close := difflib.get_close_matches(normal_form(word), wanted, n=1, cutoff=0.85))
    ]
    return [" ".join([f"Labels that count as negative, because --negative names none: {shown}.", *doubts])]


def name_rows(rows: pd.DataFrame) -> str:
    """Return the names of some rows: their images, and their row numbers where the list has them."""
    numbers = rows["row"] if "row" in rows else [None] * len(rows)
    pairs = zip(rows["image_id"], numbers, strict=True)
    return some(f"{image}" if number is None else f"row {number} ({image})" for image, number in pairs)


def label_breasts(rows: pd.DataFrame, label: pd.Series, annotated: pd.Series) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Turn labels of cases into labels of breasts.

    Args:
        rows: `case_id`, `breast`, `status` and, where files name it, `pathology` (upper case, empty if not known).
        label: of the case, 1 or 0.
        annotated: whether the image carries an annotation; NA where its file could not be read.

    Returns:
        label, status and reason by row; the reason is empty, or why the case cannot be decided.
    """
    new_label, status = label.copy(), rows["status"].copy()
    reason = pd.Series("", index=rows.index)
    pathology = rows["pathology"] if "pathology" in rows else pd.Series("", index=rows.index)
    for _, case in rows[label == 1].groupby("case_id", sort=False):
        evidence = {
            str(breast): _evidence(annotated[one.index], pathology[one.index])
            for breast, one in case.groupby("breast", sort=True)
        }
        positive, why = _positive_breasts(evidence)
        reason[case.index] = why
        contralateral = case.index[~case["breast"].isin(positive)]
        new_label[contralateral] = 0
        status[contralateral] = CONTRALATERAL
    # a case that is left out keeps the status it is listed under
    return new_label.where(reason == "", label), status.where(reason == "", rows["status"]), reason


def _evidence(annotated: pd.Series, pathology: pd.Series) -> str:
    """Return the evidence on a breast over its views: `none`, `unknown`, `annotated`, `MALIGNANT` or `BENIGN`."""
    known = annotated.dropna()
    if not known.any():
        return "none" if len(known) else "unknown"
    words = {word for text in pathology for word in text.split()}
    if MALIGNANT in words:
        return MALIGNANT
    return BENIGN if words and all(word.startswith(BENIGN) for word in words) else "annotated"


def _positive_breasts(evidence: dict[str, str]) -> tuple[set[str], str]:
    """Return the positive breasts of a positive case and an empty reason, or none and the reason."""
    marked = {breast for breast, what in evidence.items() if what not in ("none", "unknown")}
    malignant = {breast for breast, what in evidence.items() if what == MALIGNANT}
    if "unknown" in evidence.values():
        return set(), "the images of one breast are missing, so its annotation is not known"
    if not marked:
        return set(), "no breast is annotated"
    if len(marked) == 1:
        return (
            (set(), "the annotated breast is benign by pathology")
            if evidence[next(iter(marked))] == BENIGN
            else (marked, "")
        )
    if malignant and all(evidence[breast] in (MALIGNANT, BENIGN) for breast in marked):
        return malignant, ""
    return set(), "both breasts are annotated and no pathology decides"
