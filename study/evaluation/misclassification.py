"""Errors of the arms, unit by unit, at calibrated probability 0.5."""

import numpy as np
import pandas as pd

from study.evaluation.units import UNIT_KEYS, Aligned


def errors_by_arm(rows: Aligned) -> pd.DataFrame:
    """Return one line per unit and arm, over all runs.

    Columns: the unit's ids, status, site, label, arm, mean_prob (calibrated, mean over repeats and seeds), wrong (share
    of the runs in which the probability was on the other side of 0.5 than the label).
    """
    keys = UNIT_KEYS[rows.level]
    frames = []
    for arm, name in enumerate(rows.arms):
        frame = rows.rows[[*keys, "status", "site", "label"]].assign(
            arm=name, mean_prob=rows.prob[arm], wrong=rows.calls["called"][arm] != (rows.labels == 1)
        )
        by_unit = frame.groupby(keys, sort=True, dropna=False).agg(
            status=("status", "first"),
            site=("site", "first"),
            label=("label", "first"),
            arm=("arm", "first"),
            mean_prob=("mean_prob", "mean"),
            wrong=("wrong", "mean"),
        )
        frames.append(by_unit.reset_index())
    return pd.concat(frames, ignore_index=True)


def errors_by_unit(errors: pd.DataFrame, level: str) -> pd.DataFrame:
    """Return one line per unit: in how many arms it is wrong in most runs, and the mean probability over arms.

    Columns: the unit's ids, status, site, label, n_wrong, n_arms, mean_prob, distance (of the probability from the
        label).
    """
    by_unit = errors.groupby(UNIT_KEYS[level], sort=True, dropna=False).agg(
        status=("status", "first"),
        site=("site", "first"),
        label=("label", "first"),
        n_wrong=("wrong", lambda wrong: int((wrong > 0.5).sum())),
        n_arms=("arm", "size"),
        mean_prob=("mean_prob", "mean"),
    )
    return by_unit.assign(distance=np.abs(by_unit["label"] - by_unit["mean_prob"])).reset_index()
