"""Verdicts on declared contrasts in words (docs/explanation/estimands.md, "Verdicts")."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from study.stats.comparison import ALPHA, POWER, SEEDS_NEEDED, SMALL_GAIN, Comparison
from study.stats.procedure import CORRECTED, PROCEDURE
from study.text.format import difference, listed, p_equals, patients

NOT_ASSESSED = "not assessed"


def sentence(c: Comparison, delta: float) -> str:
    """Return the verdict in words, always with a direction, the difference and its interval."""
    verdict = c.verdict
    e1 = f"{difference(c.difference)} (95 % CI for these fitted models {_span(c.e1_low, c.e1_high)})"
    e2 = f"trained again, 95 % CI {_span(c.e2_low, c.e2_high)}"
    e2_90 = f"trained again, 90 % CI {_span(c.e2_low_90, c.e2_high_90)}"
    if verdict == NOT_ASSESSED:
        missing = (
            f"{c.n_seeds} training seed{'s' if c.n_seeds > 1 else ''}, {SEEDS_NEEDED} are needed"
            if c.n_seeds < SEEDS_NEEDED
            else "a single split has no spread between folds"
        )
        excludes = c.e1_p_holm < ALPHA and (c.e1_low > 0 or c.e1_high < 0)
        direction = "above" if c.difference > 0 else "below"
        first = (
            f"{c.first} was {direction} {c.second}" if excludes else f"{c.first} and {c.second} could not be told apart"
        )
        return (
            f"For these fitted models only, {first}: AUC difference {e1}, Holm-adjusted {p_equals(c.e1_p_holm)}. "
            f"Whether the models differ when trained again was not assessed ({missing})."
        )
    if verdict in ("better", "worse"):
        return (
            f"{c.first} is {verdict} than {c.second}, {size((c.e1_low, c.e1_high), (c.e2_low, c.e2_high), delta)}: AUC"
            f" difference {e1}; {e2}, Holm-adjusted {p_equals(c.e2_p_holm)}."
        )
    if verdict == "equivalent":
        return f"{c.first} and {c.second} are equivalent within ±{delta:g}: AUC difference {e1}; {e2_90}."
    if verdict == "non-inferior":
        return (
            f"{c.first} is not worse than {c.second} by {delta:g} or more: AUC difference {e1}; {e2_90}. That it is"
            " better was not shown."
        )
    if verdict == SMALL_GAIN:
        return (
            f"Any gain of {c.first} over {c.second} is below {delta:g}: AUC difference {e1}; {e2_90}. A loss was"
            " not ruled out."
        )
    needed = patients_needed(c)
    about = (
        f"; if the two do not differ, {needed} would be needed to show equivalence within ±{delta:g} (power"
        f" {100 * POWER:.0f} %)"
        if needed
        else ""
    )
    return (
        f"The comparison of {c.first} with {c.second} is inconclusive: AUC difference {e1}, compatible with "
        f"{difference(c.e2_low)} to {difference(c.e2_high)} (trained again, 95 % CI; Holm-adjusted "
        f"{p_equals(c.e2_p_holm)}){about}."
    )


OF_FOLDS = ("p_worse", "p_equivalent", "p_better")
"""Columns that are about training again, as those are whose name begins with `e2_`."""


def as_assessed(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Return contrasts as they are shown: where training again was not assessed, nothing is said of it."""
    if comparisons.empty:
        return comparisons
    about = [name for name in map(str, comparisons) if name.startswith("e2_") and name != "e2_method"]
    assessed = comparisons["verdict"] != NOT_ASSESSED
    return comparisons.assign(**{name: comparisons[name].where(assessed) for name in [*about, *OF_FOLDS]})


def patients_needed(c: Comparison) -> str:
    """Return how many patients would show equivalence, in words, or '' where these are enough or it is not known.

    A variance of few degrees of freedom gives a range.
    """
    if not c.patients_needed > c.n_patients:
        return ""
    text = patients(c.patients_needed, c.patients_low, c.patients_high)
    return text if text.startswith("more") else f"about {text}"


def size(e1: tuple[float, float], e2: tuple[float, float], delta: float) -> str:
    """Return the size of a difference in words, as far as its E1 and its E2 interval agree on it."""
    ends = [sorted((abs(low), abs(high))) for low, high in (e1, e2)]
    if min(near for near, _ in ends) > delta:
        return f"by more than {delta:g}"
    return f"by less than {delta:g}" if max(far for _, far in ends) < delta else "size unresolved"


def in_few_words(row: Mapping[Hashable, Any], delta: float) -> tuple[str, ...]:
    """Return a verdict in one or two pieces: the verdict, and the size of what was found or what is missing."""
    said = str(row["verdict"])
    if said == NOT_ASSESSED:
        split = bool(np.isnan(row["corrected_p"]))  # more seeds would not help
        return said, "(one split)" if split else f"({int(row['n_seeds'])} of {SEEDS_NEEDED} seeds)"
    if said in ("better", "worse"):
        return f"{said},", size((row["e1_low"], row["e1_high"]), (row["e2_low"], row["e2_high"]), delta)
    if said == SMALL_GAIN:
        return "any gain", f"below {delta:g}"
    return (said, f"(±{delta:g})") if said == "equivalent" else (said,)


def disagreement(c: Comparison) -> str:
    """Return where the methods disagree on a difference or on equivalence, in words; '' where they agree."""
    said = {
        "clustered DeLong (these fitted models)": c.e1_p < ALPHA,
        "patient bootstrap (these fitted models)": c.bootstrap_low > 0 or c.bootstrap_high < 0,
        "patient permutation": c.permutation_p < ALPHA,
    }
    e2 = {CORRECTED: c.corrected_p, PROCEDURE: c.procedure_p} if c.verdict != NOT_ASSESSED else {}
    said |= {f"{name} (trained again)": p < ALPHA for name, p in e2.items() if not np.isnan(p)}
    finding, not_finding = ([name for name, is_found in said.items() if is_found == side] for side in (True, False))
    about = []
    if finding and not_finding:
        does, do = (("s", "does") if len(names) == 1 else ("", "do") for names in (finding, not_finding))
        about.append(
            f"Without adjustment, at p < 0.05, {listed(finding)} find{does[0]} a difference; {listed(not_finding)}"
            f" {do[1]} not."
        )
    if c.p_equivalent > 1 - ALPHA and c.verdict not in ("equivalent", NOT_ASSESSED):
        about.append(
            f"The Bayesian correlated t test, from the fold scores alone, gives P(equivalent) = {c.p_equivalent:.2f};"
            " there are too few patients to confirm that."
        )
    return " ".join(about)


def _span(low: float, high: float) -> str:
    return f"{difference(low)} to {difference(high)}"
