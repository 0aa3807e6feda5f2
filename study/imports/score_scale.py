"""Scores of a table of predictions: text as probabilities, percent or logits; which of them is never guessed."""

from pathlib import Path

import numpy as np
import pandas as pd

from mmbc.data.tables.columns import to_numbers
from mmbc.errors import CohortError, ConfigError, nearest, some

SCALES = ("probability", "percent", "logit")
EDGE = 1e-9
"""Probabilities of 0 and 1 are kept this far from them, where a logit ends."""
NOISE = 1e-6
"""So much above 1, as a share, is the last digit of a number of 32 bits."""
MISPRINTS = 0.05
"""Up to this share of values outside the scale they look like misprints, not like another scale."""
RATINGS = 10
"""Whole numbers up to this one look like ratings, as those of readers."""


def read_scores(path: Path, values: pd.Series, column: str, scale: str) -> tuple[pd.Series, list[str]]:
    """Return scores (n_rows,) as logits, and notes on what is odd about them.

    Args:
        path: the table, for messages.
        values: text; the index is the row in the file.
        column: its name.
        scale: one of `SCALES`.

    Raises:
        CohortError: values that are no numbers or lie outside the scale; says what they look like.
        ConfigError: an unknown scale.
    """
    if scale not in SCALES:
        raise ConfigError(f"--scale {scale!r}; {nearest(scale, SCALES)}")
    percent = values.str.contains("%", regex=False)
    numbers = to_numbers(values.str.replace(r"\s*%$", "", regex=True))
    where = f"{path}: column {column!r} (prob)"
    if numbers.isna().any():
        several = values[numbers.isna()].str.match(r"\s*(\[|\(|tensor|array)", case=False).all()
        one = ". One number a row is needed, that of the positive class: in Python float(score[1])" if several else ""
        raise CohortError(f"{where}: must hold numbers; {_not(values, numbers.isna())}{one}")
    if percent.any() and not percent.all():
        fewer = percent if percent.sum() <= (~percent).sum() else ~percent
        raise CohortError(
            f"{where}: {int(percent.sum())} of {len(values)} values have a percent sign, the others none:"
            f" {some(f'row {row}: {value!r}' for row, value in values[fewer].items())}. Write all of them in one way"
        )
    if scale == "logit":
        if percent.any():
            raise CohortError(f"{where}: has percent signs, so these are not logits; say --scale percent")
        notes = [f"All values of {column!r} lie between 0 and 1; as asked, they were read as logits."]
        return numbers, notes if numbers.between(0, 1).all() else []
    top = 100 if scale == "percent" else 1
    numbers = numbers.mask((numbers > top) & (numbers <= top * (1 + NOISE)), top)
    outside = (numbers < 0) | (numbers > top)
    if percent.any() and scale == "probability":
        shown = some(map(repr, values.head(3)))
        raise CohortError(f"{where}: holds percent ({shown}), not probabilities between 0 and 1; say --scale percent")
    if outside.any():
        raise CohortError(
            f"{where}: must hold {'percent' if top == 100 else 'probabilities'} of the positive class between 0 and"
            f" {top}; {_not(values, outside)}. {_looks(numbers, outside)}"
        )
    notes = []
    if scale == "percent" and not percent.any() and numbers.max() <= 1:
        notes.append(
            f"No value of {column!r} is above 1; as asked, they were read as percent. If they are probabilities, leave"
            " --scale percent out."
        )
    return pd.Series(logits_of((numbers / top).to_numpy()), index=values.index), notes


def logits_of(probs: np.ndarray) -> np.ndarray:
    """Return logits (n,) of probabilities (n,); 0 and 1 get finite ones, and no two different values become equal."""
    edged = probs.clip(EDGE, 1 - EDGE)
    logits = np.log(edged) - np.log1p(-edged)
    inner = (probs > 0) & (probs < 1)
    if (edged != probs)[inner].any():
        logits[inner] = np.log(probs[inner]) - np.log1p(-probs[inner])
        logits[probs <= 0] = min(np.log(EDGE), logits[inner].min() - 1)
        logits[probs >= 1] = max(-np.log(EDGE), logits[inner].max() + 1)
    return logits


def _not(values: pd.Series, bad: pd.Series) -> str:
    """Return how many values are bad, and where the first are."""
    shown = some((f"row {row}: {value!r}" for row, value in values[bad].items()), 5)
    return f"{int(bad.sum())} of {len(values)} values {'is' if bad.sum() == 1 else 'are'} not: {shown}"


def _looks(numbers: pd.Series, outside: pd.Series) -> str:
    """Return what values outside the scale look like, and the option that reads them so."""
    logit = "--scale logit (any score will do for the AUC; calibration then describes 1 / (1 + exp(-score)))"
    if outside.mean() <= MISPRINTS:
        return (
            "The other values lie inside, so these look like misprints; correct them. If the whole column is on another"
            " scale, say --scale percent or --scale logit"
        )
    if (numbers < 0).any():
        return f"They look like logits, or another score without bounds: {logit}"
    if numbers.max() <= RATINGS and (numbers % 1 == 0).all():
        return f"They look like ratings: {logit}"
    if numbers.max() <= 100:
        return f"They look like percent: --scale percent. If they are logits: {logit}"
    return f"They are neither probabilities nor percent: {logit}"
