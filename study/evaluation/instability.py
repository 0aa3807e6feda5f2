"""Instability of predictions: how far a unit's prediction changes from one training run to another.

Riley and Collins (2023, Biometrical Journal 65:2200302) develop a model again on bootstrap samples and compare each
person's predictions with those of the original model. Here the runs are the repeats and seeds of the study, which share
the cohort, and the reference is their mean: a lower bound of what another sample would change.
"""

from collections.abc import Sequence

import pandas as pd

from study.evaluation.units import UNIT_KEYS


def instability(units: pd.DataFrame, arms: Sequence[str], level: str) -> pd.DataFrame:
    """Return one line per arm whose units were predicted in several runs (see `study.evaluation.frames`).

    An arm that draws nothing at random has one run in a repeat, whatever the number of seeds.

    Args:
        units: test units of all runs, with calibrated probabilities and calls.
        arms: those to describe.
        level: of the units.
    """
    rows = several_runs(units[(units["level"] == level) & units["arm"].isin(arms)], level)
    if rows.empty:
        return pd.DataFrame()
    rows = rows.assign(distance=(rows["prob_calibrated"] - rows["mean_prob"]).abs())
    by_unit = rows.groupby(["arm", *UNIT_KEYS[level]], sort=False, dropna=False, observed=True).agg(
        n_runs=("distance", "size"),
        distance=("distance", "mean"),
        called=("called", "nunique"),
        flagged=("flagged", "nunique"),  # 0 where there is no threshold
    )
    lines = []
    for arm, of_arm in by_unit.groupby(level="arm", sort=False):
        thresholds = bool((of_arm["flagged"] > 0).all())
        lines.append(
            {
                "arm": str(arm),
                "n_units": len(of_arm),
                "n_runs": int(of_arm["n_runs"].max()),
                "mape": float(of_arm["distance"].mean()),
                "mape_95": float(of_arm["distance"].quantile(0.95)),
                "called_changed": float((of_arm["called"] > 1).mean()),
                "flagged_changed": float((of_arm["flagged"] > 1).mean()) if thresholds else float("nan"),
            }
        )
    return pd.DataFrame(lines)


def several_runs(units: pd.DataFrame, level: str) -> pd.DataFrame:
    """Return the rows of units with predictions of several runs, with their mean over runs: `mean_prob`."""
    known = units[units["prob_calibrated"].notna()]
    probs = known.groupby(["arm", *UNIT_KEYS[level]], sort=False, dropna=False, observed=True)["prob_calibrated"]
    return known.assign(mean_prob=probs.transform("mean"))[probs.transform("size") > 1]
