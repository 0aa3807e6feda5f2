"""The shape of a table of predictions: one row per prediction, one column per model, or one model, by any usual names.

Names are taken for what they usually mean only where one column fits, and it is said which was taken for what.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from mmbc.config import DataConfig
from mmbc.data.readers import manifest
from mmbc.data.tables.columns import to_numbers
from mmbc.data.tables.text_table import assign_roles, normalise_name
from mmbc.errors import CohortError, count, nearest, some
from study.evaluation.doubts import CHECK
from study.imports.column_names import EXTRA, IMAGES, LESSER, LOGITS, PARTS, PERSONS, SYNONYMS
from study.imports.score_scale import read_scores

ROLES = {
    "patient_id": "the patient",
    "label": "the true class",
    "prob": "the predicted probability of the positive class",
}
"""Roles that a table must fill, with what they are."""
OPTIONAL = ("fold", "arm", "repeat", "seed", "part", "image_id", "case_id", "breast", "view", "status", "site")
PART_WORDS = {"test": "test", "validation": "validation", "val": "validation", "valid": "validation", "train": "train"}
PART_WORDS |= {"testing": "test", "training": "train"}
SCORE = r"(?:y[\W_]+)?(prob|proba|probability|score|p|pred|prediction)"
AFFIXED = (re.compile(rf"{SCORE}[\W_]+(?P<model>.+)", re.I), re.compile(rf"(?P<model>.+?)[\W_]+{SCORE}", re.I))
NO_FOLDS = (
    f"{CHECK}the table has no column 'fold': all rows were taken as one test set, with no cross-validation, so"
    " every interval is"
    " about these fitted models alone. If the predictions are out of fold, name the column of the folds (--columns"
    " fold=NAME): scores of different folds' models are on different scales."
)
ONE = "model"
"""Name of the arm of a table that names none."""


@dataclass(frozen=True)
class Shaped:
    """A table with one row per prediction.

    Attributes:
        rows: roles under their own names (`prob` absent, `logit` as float64, `arm` as text), then every other column;
            the index is the row in the file.
        roles: role -> column of the file.
        notes: what was taken for what, and what was not used.
    """

    rows: pd.DataFrame
    roles: dict[str, str]
    notes: list[str] = field(default_factory=list)


def shape(
    path: Path,
    table: pd.DataFrame,
    data: DataConfig,
    *,
    scale: str,
    models: Sequence[str] = (),
    needed: Sequence[str] = tuple(ROLES),
) -> Shaped:
    """Bring a table of text into the shape of one row per prediction.

    Args:
        path: the file, for messages.
        table: as `read_table` gives it.
        data: `columns`, `features`, `feature_kinds` and `positive` matter.
        scale: of the scores (`study.imports.score_scale`).
        models: columns that hold the scores of a model each; empty to find out.
        needed: roles that must be filled.

    Raises:
        CohortError: a role that no column fills, or several might; lists the columns and says how to name them.
    """
    columns = list(table.columns)
    roles, taken = _roles(path, table, data, models)
    rest = [column for column in columns if column not in roles.values()]
    scores = _score_columns(path, table, roles, rest, models, data)
    absent = [role for role in needed if role not in roles and not (role == "prob" and scores)]
    if absent:
        _refuse(path, columns, absent)
    manifest.check_filled(path, {role: table[roles[role]] for role in (*needed, "fold", "arm") if role in roles}, roles)
    logits, odd = _logits(path, table, scores, scale)
    others, unused = _clinical(path, table, [column for column in rest if column not in scores], roles, scores, data)
    kept = [role for role in roles if role != "prob"]
    rows = table[[*(roles[role] for role in kept), *others]].set_axis([*kept, *others], axis=1)
    arms = {column: {} if "arm" in roles else {"arm": name} for column, name in scores.items()}
    rows = pd.concat([rows.assign(logit=logits[column], **arms[column]) for column in scores])
    notes = [*_taken_notes(taken, roles, scores), *odd, *unused]
    return Shaped(rows, {**roles, "prob": ", ".join(scores)}, notes)


def _roles(
    path: Path, table: pd.DataFrame, data: DataConfig, models: Sequence[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return role -> column, and column -> role of those that were taken by their names."""
    roles = assign_roles(path, list(table.columns), (), (*ROLES, *OPTIONAL), data.columns)
    taken: dict[str, str] = {}
    for role in SYNONYMS:
        free = [column for column in table.columns if column not in roles.values()]
        wanted = role not in roles and not (models and role == "prob")
        if wanted and (column := _synonym(path, table, role, free)) and not _is_class(table, column, free):
            roles[role], taken[column] = column, role
    if "part" not in roles and (column := _part(table, roles)):
        roles["part"], taken[column] = column, "part"
    return roles, taken


def _taken_notes(taken: Mapping[str, str], roles: Mapping[str, str], scores: Mapping[str, str]) -> list[str]:
    """Say what was taken for what, and that there are no folds."""
    notes = []
    if taken:
        named = ", ".join(f"{column!r} as {role}" for column, role in taken.items())
        notes.append(f"Columns taken by their names: {named}. Where that is wrong, say --columns ROLE=NAME.")
    if "prob" not in roles:
        notes.append(
            f"Each of these columns was taken as a model: {', '.join(map(repr, scores))}. Where that is wrong, say"
            " --models NAME,NAME."
        )
    return notes if "fold" in roles else [*notes, NO_FOLDS]


def _logits(
    path: Path, table: pd.DataFrame, scores: Mapping[str, str], scale: str
) -> tuple[dict[str, pd.Series], list[str]]:
    """Return column -> logits of every column of scores, and notes on what is odd about them."""
    logits, notes = {}, []
    for column in scores:
        manifest.check_filled(path, {"prob": table[column]}, {"prob": column})
        if scale == "probability" and normalise_name(column) in LOGITS:
            raise CohortError(f"{path}: column {column!r} holds logits, by its name; say --scale logit")
        logits[column], odd = read_scores(path, table[column], column, scale)
        notes += odd
    return logits, notes


def _clinical(
    path: Path,
    table: pd.DataFrame,
    others: Sequence[str],
    roles: Mapping[str, str],
    scores: Mapping[str, str],
    data: DataConfig,
) -> tuple[list[str], list[str]]:
    """Return the clinical ones among the columns without a role, and a note on those that are none.

    Raises:
        CohortError: a second label that differs, or a column with the name of a role that another one has.
    """
    _check_labels(path, table, others, roles)
    unused = _unused(table, others, roles, scores, data)
    clinical = [column for column in others if column not in unused]
    clash = [column for column in clinical if column in (*ROLES, *OPTIONAL)]
    if clash:
        raise CohortError(
            f"{path}: columns {some(clash)} have the names of roles that other columns were given; rename them"
        )
    named = ", ".join(map(repr, unused))
    return clinical, [f"Columns not used: {named}. --features NAME makes one a clinical column."] if unused else []


def _synonym(path: Path, table: pd.DataFrame, role: str, columns: Sequence[str]) -> str | None:
    """Return the column that usually has a role, or None.

    Raises:
        CohortError: several might.
    """
    for names in (SYNONYMS[role], LESSER.get(role, ())):
        fitting = [column for column in columns if normalise_name(column) in names]
        if len(fitting) > 1 and len({tuple(table[column].fillna("")) for column in fitting}) > 1:
            raise CohortError(
                f"{path}: several columns could be {role!r}: {some(fitting)}; say which: --columns {role}=NAME"
            )
        if fitting:
            return fitting[0]
    return None


def _is_class(table: pd.DataFrame, column: str, others: Sequence[str]) -> bool:
    """Whether a column called `pred` or the like holds classes, and another one the scores behind them."""
    if normalise_name(column) not in LESSER["prob"] or not to_numbers(table[column]).isin([0, 1]).all():
        return False
    return any(pattern.fullmatch(name) and _fraction(table[name]) for name in others for pattern in AFFIXED)


def _part(table: pd.DataFrame, roles: Mapping[str, str]) -> str | None:
    """Return a column that says which rows are training, validation and test rows of one split, or None.

    Beside a column of folds it does so only where it differs within a patient: a patient's place in an original
    division of the data set says nothing about the folds.
    """
    for column in table.columns:
        values = table[column].str.lower()
        if normalise_name(column) not in PARTS or column in roles.values() or not values.isin(list(PART_WORDS)).all():
            continue
        patients = table[roles["patient_id"]] if "patient_id" in roles else None
        if "fold" not in roles or (patients is not None and (values.groupby(patients).nunique() > 1).any()):
            return str(column)
    return None


def _score_columns(
    path: Path, table: pd.DataFrame, roles: dict[str, str], rest: Sequence[str], models: Sequence[str], data: DataConfig
) -> dict[str, str]:
    """Return column -> arm of every column of scores.

    Raises:
        CohortError: none, or columns of which it is not clear whether they are models.
    """
    for name in models:
        if name not in table.columns:
            raise CohortError(f"--models {name}: {path.name} has no such column; {nearest(name, table.columns)}")
    if models:
        if "prob" in roles or "arm" in roles:
            used = [roles[role] for role in ("prob", "arm") if role in roles]
            if not set(used) <= set(models) and "arm" in roles:
                raise CohortError(
                    f"--models: the table has a column {roles['arm']!r} (arm) with the models' names; leave"
                    " --models out, or rename that column"
                )
            roles.pop("prob", None)
        return {name: _model(name) for name in models}
    affixed = [name for name in rest if any(pattern.fullmatch(name) for pattern in AFFIXED)]
    sure = [name for name in affixed if not re.search(r"(?:^|[\W_])pred(?:iction)?(?:[\W_]|$)", name, re.I)]
    if "prob" in roles:
        score = to_numbers(table[roles["prob"]])
        more = [name for name in sure if re.search("prob", name, re.I) and _fraction(table[name])]
        more = [name for name in more if not np.allclose(to_numbers(table[name]) + score, 1, atol=2e-3)]
        if "arm" not in roles and more and not {*more} <= {*data.features, *data.feature_kinds}:
            raise CohortError(
                f"{path}: {some(map(repr, [roles['prob'], *more]))} could each be a model's scores; say which are:"
                " --models NAME,NAME"
            )
        return {roles["prob"]: ONE}
    if "arm" in roles:
        return {}
    affixed = sure or affixed
    other = [name for name in rest if name not in affixed and normalise_name(name) not in EXTRA]
    plain = [name for name in other if _fraction(table[name])]
    if affixed and plain:
        raise CohortError(
            f"{path}: {some(map(repr, [*affixed, *plain]))} could each be a model's scores; say which are: --models"
            " NAME,NAME"
        )
    found = affixed or plain
    if positive := _positive_class(path, table, found, data):
        return {positive: ONE}
    arms = {name: _model(name) for name in found}
    if len(set(arms.values())) < len(arms):
        raise CohortError(
            f"{path}: {some(map(repr, found))} are several scores of one model; say which to take: --models NAME,NAME"
        )
    return arms


def _model(column: str) -> str:
    """Return the name of the model whose scores a column holds: without `prob_` or `_score`."""
    match = next(filter(None, (pattern.fullmatch(column) for pattern in AFFIXED)), None)
    return match["model"] if match else column


def _fraction(values: pd.Series) -> bool:
    """Whether all known values are numbers between 0 and 1, and not just these two."""
    known = values.dropna()
    numbers = to_numbers(known)
    return bool(len(known) and numbers.between(0, 1).all() and not numbers.isin([0, 1]).all())


def _positive_class(path: Path, table: pd.DataFrame, found: Sequence[str], data: DataConfig) -> str | None:
    """Return the column of the positive class where columns are the probabilities of classes, which add up to 1.

    None where they do not.

    Raises:
        CohortError: it is not clear which class is positive, or there are more than two.
    """
    numbers = pd.DataFrame({name: to_numbers(table[name]) for name in found})
    if len(found) < 2 or numbers.isna().any(axis=None) or not np.isclose(numbers.sum(axis=1), 1, atol=2e-3).all():
        return None
    ends = {name: re.split(r"[\W_]+", name)[-1].lower() for name in found}
    positive = {"1", "true", "pos", "positive", *(word.lower() for word in data.positive)}
    fitting = [name for name, end in ends.items() if end in positive or re.fullmatch(r"[a-z]+1", end)]
    if len(found) == 2 and len(fitting) == 1:
        return fitting[0]
    named = [name for name, end in ends.items() if end in {word.lower() for word in data.positive}]
    if len(named) == 1:
        return named[0]
    how = (
        "--columns prob=NAME, or --positive with the word that its name ends with"
        if len(found) == 2
        else "--positive with the word that its name ends with; or, where several classes are positive, add up their"
        " probabilities in one column 'prob' (or the table is of several classes, and each question needs a report of"
        " its own)"
    )
    raise CohortError(
        f"{path}: {some(map(repr, found))} add up to 1 in every row, as the probabilities of classes do, not of models;"
        f" the one of the positive class is needed: {how}"
    )


def _refuse(path: Path, columns: Sequence[str], absent: Sequence[str]) -> None:
    """Raise the error that lists the columns and says how to name what is needed."""
    what = " and ".join(f"{role!r} ({ROLES[role]})" for role in absent)
    also = ""
    if "prob" in absent:
        also += "; if each model has a column of its own: --models NAME,NAME"
        pair = [column for column in columns if re.fullmatch(r"logits?[\W_]*\w+", column, re.I)]
        if len(pair) > 1:
            also += (
                f"; of {some(map(repr, pair))} as logits of classes no single one is the score: put the positive"
                " class's minus the other's in one column 'logit'"
            )
    persons = [column for column in columns if normalise_name(column) in (*PERSONS, *IMAGES)]
    if "patient_id" in absent and persons:
        also += (
            f"; if {persons[0]!r} is another one for every patient: --columns {shlex.quote(f'patient_id={persons[0]}')}"
        )
    if "patient_id" in absent and "Unnamed: 0" in columns:
        also += '; if every row is another patient: --columns "patient_id=Unnamed: 0"'
    raise CohortError(
        f"{path}: no column is {what}; say which it is: --columns {','.join(f'{role}=NAME' for role in absent)}{also}."
        f" The file has the columns {some(columns, 30)}"
    )


def _check_labels(path: Path, table: pd.DataFrame, others: Sequence[str], roles: Mapping[str, str]) -> None:
    """Refuse a second column of labels that says something else: one of the two may be the predicted class."""
    twins = [column for column in others if normalise_name(column) in SYNONYMS["label"]] if "label" in roles else []
    for column in twins:
        both = [manifest.outcomes(table[name]).str.lower().fillna("") for name in (roles["label"], column)]
        differ = both[0].index[both[0] != both[1]]
        if len(differ) and both[0].nunique() == both[1].nunique():
            raise CohortError(
                f"{path}: columns {roles['label']!r} and {column!r} could both be the label and differ in"
                f" {count(len(differ), 'row')} ({some(differ, 4)}); delete the one that is not the truth"
            )


def _unused(
    table: pd.DataFrame, others: Sequence[str], roles: Mapping[str, str], scores: Mapping[str, str], data: DataConfig
) -> list[str]:
    """Return columns that are no clinical ones: by-products of predictions, and an index."""
    asked = {*data.features, *data.feature_kinds}
    known = [to_numbers(table[name]) for name in scores]
    twins = SYNONYMS["label"] if "label" in roles else ()
    unused = []
    for name in others:
        plain, numbers = normalise_name(name), to_numbers(table[name])
        complement = any(np.allclose(numbers + score, 1, atol=2e-3) for score in known if numbers.notna().all())
        by_name = plain in EXTRA or plain.startswith(("y_", "unnamed")) or plain in twins
        division = plain in PARTS and table[name].str.lower().isin(list(PART_WORDS)).all()
        another = "prob" not in roles and bool(re.search(r"(?:^|[\W_])prob(?:a|ability)?(?:[\W_]|$)", name, re.I))
        if name not in asked and (by_name or division or complement or another):
            unused.append(name)
    return unused
