"""Test folds of a table of predictions compared with a study's: the same patients in each, whatever they are called."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from mmbc.errors import LeakageError, SplitError, some
from study.design.folds import Folds
from study.text.format import count


def place(path: Path, rows: pd.DataFrame, roles: Mapping[str, str], folds: Folds) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows with the study's folds, and notes on how these were found and who was left out.

    Args:
        path: the table, for messages.
        rows: repeat and fold numbered from 0, `told_fold` as the table has it, part, patient_id.
        roles: role -> column of the table.
        folds: of the study.

    Raises:
        LeakageError: a validation patient of a fold is tested in it.
        SplitError: more repeats than the study has, or folds that divide the patients otherwise.
    """
    n_repeats = len({fold.repeat for fold in folds.folds})
    if rows["repeat"].max() >= n_repeats:
        raise SplitError(
            f"{path}: column {roles['repeat']!r} (repeat) has {rows['repeat'].nunique()} values, and the study"
            f" {count(n_repeats, 'repeat')}; leave the others out"
        )
    tested_in = {(fold.repeat, patient): fold.fold for fold in folds.folds for patient in fold.test}
    ours = pd.Series(
        [tested_in.get(where, -1) for where in zip(rows["repeat"], rows["patient_id"], strict=True)], rows.index
    )
    is_test = rows["part"] == "test"
    notes = []
    untested = rows.loc[is_test & (ours == -1), "patient_id"].unique()
    if len(untested):
        notes.append(
            f"{count(len(untested), 'patient')} are not in the study's test part and were left out: {some(untested)}."
        )
    tests = rows.assign(ours=ours)[is_test & (ours != -1)]
    if tests.empty:
        raise SplitError(f"{path}: no row is of a patient whom the study tested")
    if "fold" not in roles:
        notes.append("The table has no folds; every patient was placed in the test fold that the study has for them.")
        n_validation = int((~is_test).sum())
        if n_validation and not folds.holdout:
            notes.append(f"{n_validation} validation rows were left out: without a fold nothing says whose they are.")
            return tests.assign(fold=tests["ours"]).drop(columns="ours"), notes
        validation = rows[~is_test].assign(ours=folds.folds[0].fold)
    else:
        _check_division(path, tests, roles["fold"])
        names = tests.drop_duplicates(["repeat", "fold"]).set_index(["repeat", "fold"])["ours"]
        validation = rows[~is_test]
        where = pd.MultiIndex.from_frame(validation[["repeat", "fold"]])
        validation = validation.assign(ours=names.reindex(where).to_numpy()).dropna(subset="ours")
        notes.append("The table's folds have the same test patients as the study's.")
    seen = [
        patient
        for repeat, fold, patient in validation[["repeat", "ours", "patient_id"]].itertuples(index=False)
        if tested_in.get((repeat, patient)) == fold
    ]
    if seen:
        raise LeakageError(
            f"{path}: patients in the validation part of a fold that tests them: {some(sorted(set(seen)))}"
        )
    both = pd.concat([tests, validation])
    return both.assign(fold=both["ours"].astype("int64")).drop(columns="ours"), notes


def _check_division(path: Path, tests: pd.DataFrame, column: str) -> None:
    """Refuse folds that are not, each of them, one of the study's.

    Raises:
        SplitError: names patients.
    """
    pairs = tests.drop_duplicates(["repeat", "fold", "ours"])
    if not any(pairs.duplicated(["repeat", side]).any() for side in ("fold", "ours")):
        return
    sizes = tests.drop_duplicates(["repeat", "fold", "ours", "patient_id"]).value_counts(["repeat", "fold", "ours"])
    usual = sizes.reset_index().sort_values("count", ascending=False, kind="stable")
    usual = usual.drop_duplicates(["repeat", "fold"]).drop_duplicates(["repeat", "ours"])
    agreed = set(usual[["repeat", "fold", "ours"]].itertuples(index=False, name=None))
    places = tests[["repeat", "fold", "ours"]].itertuples(index=False, name=None)
    apart = tests[[where not in agreed for where in places]].drop_duplicates("patient_id")
    shown = some(
        (f"{r.patient_id} (row {r.row}: {r.told_fold} there, fold {r.ours} of the study)" for r in apart.itertuples()),
        5,
    )
    raise SplitError(
        f"{path}: column {column!r} (fold) divides the patients otherwise than the study:"
        f" {len(apart)} of {count(tests['patient_id'].nunique(), 'patient')} are elsewhere: {shown}. Scores are"
        " compared within a test fold, which has to be the same: train in the study's folds (its folds.json). If the"
        " column is no test fold, rename it, and every patient is placed in the fold the study has for them"
    )
