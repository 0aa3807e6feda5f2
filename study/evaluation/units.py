"""Units of analysis from stored predictions: pooled, then calibrated and called by what validation rows give."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logsumexp

from mmbc.calibration import apply_platt, fit_platt
from mmbc.errors import StudyError, some
from study.design.study_file import Protocol
from study.evaluation.frames import UNITS
from study.records.cell_records import CELL_COLUMNS
from study.records.stored_study import StoredStudy
from study.stats.metrics import roc_auc
from study.stats.thresholds import threshold_at_sensitivity, threshold_at_specificity
from study.text.format import place

LEVELS = ("patient", "breast", "image")
UNIT_KEYS = {
    "image": ["patient_id", "case_id", "breast", "image_id"],
    "breast": ["patient_id", "case_id", "breast"],
    "patient": ["patient_id"],
}
TARGET = 0.9
"""Specificity, and sensitivity, that thresholds are chosen for."""
CALLS = ("called", "flagged", "cleared")
"""Columns of calls: probability of at least 0.5, above the threshold for 90 % specificity, and for 90 % sensitivity."""


def pool(
    rows: pd.DataFrame, level: str, views: str = "mean", breasts: str = "max", by: Sequence[str] = ()
) -> pd.DataFrame:
    """Pool image predictions to units: logits over a breast's views, then over a patient's breasts.

    See "Units of analysis" in docs/explanation/estimands.md.

    Args:
        rows: predictions of one cell and part, or of several with the columns `by` to tell them apart.
        level: one of `LEVELS`.
        views: `mean` or `max` over a breast's views.
        breasts: `max`, `mean` or `noisy-or` over a patient's breasts; the last gives the logit of 1 - prod(1 - p).
        by: columns whose values are pooled apart.

    Returns:
        One row per unit with `by`, `UNIT_KEYS[level]`, `status`, `site`, `label` (any positive), `logit`, `n_images`.
    """
    status = rows.sort_values("label", ascending=False, kind="stable")
    first = {"status": ("status", "first"), "site": ("site", "first"), "label": ("label", "max")}
    keys = [*by, *UNIT_KEYS["image" if level == "image" else "breast"]]
    pooled = status.groupby(keys, sort=True, dropna=False, observed=True).agg(
        **first, logit=("logit", "mean" if level == "image" else views), n_images=("logit", "size")
    )
    if level != "patient":
        return pooled.reset_index()
    over = _noisy_or if breasts == "noisy-or" else breasts
    by_patient = pooled.reset_index().sort_values("label", ascending=False, kind="stable")
    return (
        by_patient.groupby([*by, "patient_id"], sort=True, observed=True)
        .agg(**first, logit=("logit", over), n_images=("n_images", "sum"))
        .reset_index()
    )


def _noisy_or(logits: pd.Series) -> float:
    """Return the logit of 1 - prod(1 - expit(logits)), without leaving the scale of logits."""
    scores = logits.to_numpy(dtype=np.float64)
    nobody = -np.logaddexp(0, scores)  # log(1 - p) of each breast
    total = float(nobody.sum())
    if total < -1e-3:
        return -total + float(np.log1p(-np.exp(total)))
    # every p is tiny: log(1 - exp(total)) is about log(sum p), and p about exp(score)
    return float(logsumexp(scores + nobody)) - total / 2


def cell_units(rows: pd.DataFrame, level: str, protocol: Protocol) -> tuple[pd.DataFrame, str]:
    """Return a cell's test units, calibrated and called with what its validation units give; and a gap, or ''.

    Columns added to those of `pool`: `prob_calibrated` and `CALLS`.
    """
    how = protocol.pool_views, protocol.pool_breasts
    return _calibrate(*(pool(rows[rows["part"] == part], level, *how) for part in ("validation", "test")))


def _calibrate(validation: pd.DataFrame, test: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return the test units with probabilities and calls from the validation units of the same cell; and a gap, or ''.

    Without validation units (predictions of a model trained elsewhere) probabilities are taken as given, and there is
    no threshold: the calls that need one are NA.
    """
    if validation.empty and test["label"].nunique() == 2:
        probs = expit(test["logit"].to_numpy(dtype=float))
        unknown: dict[str, Any] = {"flagged": pd.NA, "cleared": pd.NA}
        return test.assign(prob_calibrated=probs, called=probs >= 0.5, **unknown), ""
    labels = validation["label"].to_numpy()
    if len(set(labels)) < 2 or test["label"].nunique() < 2:
        nothing: dict[str, Any] = dict.fromkeys(CALLS, False)
        return test.assign(prob_calibrated=np.nan, **nothing), "one class alone"
    logits = validation["logit"].to_numpy()
    slope, intercept = fit_platt(logits, labels)
    probs = apply_platt(test["logit"].to_numpy(), slope, intercept)
    calls: dict[str, Any] = {
        "called": probs >= 0.5,
        "flagged": test["logit"] > threshold_at_specificity(logits, labels, TARGET),
        "cleared": test["logit"] > threshold_at_sensitivity(logits, labels, TARGET),
    }
    return test.assign(prob_calibrated=probs, **calls), ""


def unit_auc(rows: pd.DataFrame, unit: str, protocol: Protocol) -> float:
    """Return the AUC of image predictions pooled to the unit of analysis; NaN where there is one class alone.

    Args:
        rows: with the columns of `pool`; in a search, the validation rows of one fit.
        unit: one of `LEVELS`.
        protocol: how logits are pooled.
    """
    pooled = pool(rows, unit, protocol.pool_views, protocol.pool_breasts)
    labels, scores = pooled["label"].to_numpy(), pooled["logit"].to_numpy()
    return float(roc_auc(np.ones((1, len(labels))), labels, scores)[0])


class UnitScores:
    """AUC of changing logits of the same image rows, pooled as by `unit_auc` without grouping the rows again.

    A fit is scored after every epoch; 0.1 ms instead of 9 ms for 552 rows.

    Args:
        rows: (n,) with the ids and labels of `pool`.
        unit: `patient` or `breast`.
        protocol: how logits are pooled.
    """

    def __init__(self, rows: pd.DataFrame, unit: str, protocol: Protocol) -> None:
        self._protocol = protocol
        breasts = rows.groupby(UNIT_KEYS["breast"], sort=True, dropna=False, observed=True).ngroup().to_numpy()
        self._breasts = _Groups(breasts)
        # a patient's breasts follow each other, because the patient's id is the first key
        patients = rows.groupby("patient_id", sort=True).ngroup().to_numpy()
        by_breast = np.zeros(int(breasts.max()) + 1, dtype=np.int64)
        by_breast[breasts] = patients
        self._patients = _Groups(by_breast) if unit == "patient" else None
        units = breasts if self._patients is None else patients
        self._labels = _Groups(units).reduce(rows["label"].to_numpy(dtype=np.float64), "max")

    def auc(self, logits: np.ndarray) -> float:
        """Return the AUC of logits (n,), in the order of the rows."""
        scores = self._breasts.reduce(np.asarray(logits, dtype=np.float64), self._protocol.pool_views)
        if self._patients is not None:
            scores = self._patients.reduce(scores, self._protocol.pool_breasts)
        return float(roc_auc(np.ones((1, len(scores))), self._labels, scores)[0])


class _Groups:
    """Groups (n,) numbered from 0 without gaps, reduced again and again."""

    def __init__(self, groups: np.ndarray) -> None:
        self._order = np.argsort(groups, kind="stable")
        self._starts = np.searchsorted(groups[self._order], np.arange(int(groups.max()) + 1))
        self._sizes = np.bincount(groups)

    def reduce(self, values: np.ndarray, how: str) -> np.ndarray:
        """Return the `mean`, `max` or `noisy-or` of each group's values, (n_groups,)."""
        ordered = values[self._order]
        if how == "noisy-or":
            return np.array([_noisy_or(pd.Series(part)) for part in np.split(ordered, self._starts[1:])])
        if how == "max":
            return np.maximum.reduceat(ordered, self._starts)
        return np.add.reduceat(ordered, self._starts) / self._sizes


def all_units(study: StoredStudy, levels: Sequence[str] = LEVELS) -> tuple[pd.DataFrame, list[str]]:
    """Return the test units of every finished cell at some levels, and the gaps found on the way.

    Raises:
        StudyError: a stored logit that is no finite number.
    """
    rows = study.predictions
    bad = rows.iloc[np.flatnonzero(~np.isfinite(rows["logit"].to_numpy(dtype=float)))] if len(rows) else rows
    if len(bad):
        cells = (f"{r.arm}.r{r.repeat}.f{r.fold}.s{r.seed}, image {r.image_id}" for r in bad.itertuples())
        raise StudyError(
            f"logits that are no finite numbers in {len(bad)} stored predictions: {some(cells, 3)}. Delete the folders"
            " of these cells under cells/ and run the study again"
        )
    frames: list[pd.DataFrame] = []
    gaps = []
    protocol, keys = study.settings.protocol, list(CELL_COLUMNS)
    for level in levels if len(study.predictions) else ():
        pooled = pool(study.predictions, level, protocol.pool_views, protocol.pool_breasts, by=[*keys, "part"])
        parts = {cell: rows.drop(columns=[*keys, "part"]) for cell, rows in pooled.groupby([*keys, "part"], sort=False)}
        for coordinates in study.predictions[keys].drop_duplicates().itertuples(index=False, name=None):
            empty = pooled.iloc[:0]
            units, gap = _calibrate(*(parts.get((*coordinates, part), empty) for part in ("validation", "test")))
            named: dict[str, Any] = dict(zip(keys, coordinates, strict=True))
            frames.append(units.assign(level=level, **named))
            if gap:
                arm, repeat, fold, seed = coordinates
                gaps.append(f"{arm}, {place(repeat, fold, seed)}, {level} level: {gap}; no metric there.")
    return UNITS.check(pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(), "units"), gaps


def hard_arms(predictions: pd.DataFrame) -> set[str]:
    """Return the arms whose test rows have two different scores at most."""
    tested = predictions[predictions["part"] == "test"]
    n_values = tested.groupby("arm")["logit"].nunique()
    return set(n_values.index[n_values <= 2])


@dataclass(frozen=True)
class Aligned:
    """The test units of some arms at one level, row by row the same units.

    Attributes:
        level: `patient`, `breast` or `image`.
        arms: in order.
        rows: repeat, fold, seed, ids, status, site, label, n_images (n_rows).
        patients: position of each row's patient among the tested ones (n_rows,).
        logit, prob: (n_arms, n_rows); `prob` is calibrated.
        calls: name of `CALLS` -> (n_arms, n_rows) of bool; those that need validation rows are absent where there are
            none.
    """

    level: str
    arms: tuple[str, ...]
    rows: pd.DataFrame
    patients: np.ndarray
    logit: np.ndarray
    prob: np.ndarray
    calls: dict[str, np.ndarray]

    @cached_property
    def labels(self) -> np.ndarray:
        """Labels (n_rows,), 0 or 1."""
        return self.rows["label"].to_numpy()

    @cached_property
    def folds(self) -> np.ndarray:
        """Test folds (n_rows,)."""
        return self.rows["fold"].to_numpy()

    @cached_property
    def runs(self) -> np.ndarray:
        """Number of the run (repeat and seed) of each row (n_rows,)."""
        return self.rows.groupby(["repeat", "seed"], sort=True).ngroup().to_numpy()

    @cached_property
    def parts(self) -> np.ndarray:
        """Number of the test part (run and fold) of each row (n_rows,)."""
        return self.rows.groupby(["repeat", "seed", "fold"], sort=True).ngroup().to_numpy()

    @cached_property
    def n_runs(self) -> int:
        """Number of runs."""
        return int(self.runs.max()) + 1

    def own_rows(self, arm: int) -> np.ndarray:
        """Return which rows (n_rows,) are of the arm's own runs: one seed in a repeat where all seeds agree."""
        keys = [self.rows[key] for key in ("repeat", "fold", *UNIT_KEYS[self.level])]
        agree = pd.Series(self.logit[arm]).groupby(keys, dropna=False).nunique().max() <= 1
        first = (self.rows["seed"] == self.rows.groupby("repeat")["seed"].transform("min")).to_numpy()
        return first if agree else np.ones(len(first), dtype=bool)

    def where(self, mask: np.ndarray) -> "Aligned":
        """Return some of the rows; `mask` is (n_rows,) of bool."""
        return Aligned(
            self.level,
            self.arms,
            self.rows[mask].reset_index(drop=True),
            self.patients[mask],
            self.logit[:, mask],
            self.prob[:, mask],
            {name: called[:, mask] for name, called in self.calls.items()},
        )

    def with_both_classes(self) -> "Aligned":
        """Return the rows of test parts that have both classes."""
        share = self.rows.groupby(["repeat", "seed", "fold"])["label"].transform("mean").to_numpy()
        return self.where((share > 0) & (share < 1))


def align(units: pd.DataFrame, arms: Sequence[str], level: str, patients: pd.Index) -> Aligned:
    """Bring the units of some arms at one level into the same order.

    An arm that draws nothing at random (the baseline) has one seed; its predictions stand for every seed.

    Raises:
        StudyError: two arms that were not tested on the same units, or with other labels.
    """
    keys = ["repeat", "seed", "fold", *UNIT_KEYS[level]]
    at_level = units[units["level"] == level]
    seeds = sorted(at_level.loc[at_level["arm"].isin(arms), "seed"].unique())
    frames = []
    for arm in arms:
        of_arm = at_level[at_level["arm"] == arm]
        if of_arm["seed"].nunique() == 1 and len(seeds) > 1:
            of_arm = pd.concat([of_arm.assign(seed=seed) for seed in seeds])
        frames.append(of_arm.sort_values(keys, kind="stable").reset_index(drop=True))
    for arm, frame in zip(arms, frames, strict=True):
        if not frames[0][[*keys, "label"]].equals(frame[[*keys, "label"]]):
            one, other = (set(map(tuple, f[[*keys, "label"]].astype(str).to_numpy())) for f in (frames[0], frame))
            where = [" ".join(row[3:-1]) + f" (repeat {row[0]}, seed {row[1]}, fold {row[2]})" for row in one ^ other]
            raise StudyError(
                f"{arms[0]} and {arm} were not tested on the same {level}s with the same labels; differing:"
                f" {some(sorted(set(where)))}. Delete the folder of the altered cell under cells/ and run the study"
                " again"
            )
    rows = frames[0][[*keys, "status", "site", "label", "n_images"]]
    return Aligned(
        level,
        tuple(arms),
        rows,
        patients.get_indexer(pd.Index(rows["patient_id"])).astype(np.int64),
        np.stack([frame["logit"].to_numpy() for frame in frames]),
        np.stack([frame["prob_calibrated"].to_numpy() for frame in frames]),
        {
            name: np.stack([frame[name].to_numpy(dtype=bool) for frame in frames])
            for name in CALLS
            if not any(frame[name].isna().any() for frame in frames)
        },
    )
