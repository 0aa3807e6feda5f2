"""Imputation, scaling and encoding of clinical columns, learned from training rows alone.

The fitted encoder is plain JSON: a record shows it, and a deployed model needs no pickle.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from mmbc.config import FeatureKind
from mmbc.data.tables.columns import Feature
from mmbc.errors import CohortError, nearest, some


class Column(BaseModel):
    """One fitted clinical column.

    Numeric and ordinal columns become (x - mean) / scale with the median in place of a missing value; categorical ones
    become one 0/1 column per category seen in training, all zero for a value that is missing or was never seen.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: FeatureKind
    order: tuple[str, ...] = ()
    """The words of an ordinal column in ascending order; they are encoded as 1, 2, ..."""
    median: float = 0.0
    mean: float = 0.0
    scale: float = 1.0
    categories: tuple[str, ...] = ()
    indicator: bool = False
    """Whether a 0/1 column says that the value was missing."""

    @property
    def n_outputs(self) -> int:
        """Number of encoded columns."""
        return (len(self.categories) if self.kind == "categorical" else 1) + self.indicator


class TabularEncoder(BaseModel):
    """The fitted columns in order, and a digest of the rows they were fitted on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: tuple[Column, ...]
    rows_digest: str
    """16 hex digits over the identifiers and values of the rows seen in fitting."""

    @property
    def n_outputs(self) -> int:
        """Width of the encoded table."""
        return sum(column.n_outputs for column in self.columns)

    def transform(self, rows: pd.DataFrame | Mapping[str, Any]) -> np.ndarray:
        """Encode rows, or one row given as a mapping: (n_rows, n_outputs) of float32.

        Raises:
            CohortError: a column is missing, or a numeric one holds text.
        """
        if not isinstance(rows, pd.DataFrame):
            _check_names(rows, [column.name for column in self.columns])
            rows = pd.DataFrame([dict(rows)])
        if not self.columns:
            return np.zeros((len(rows), 0), dtype=np.float32)
        return np.concatenate([_encode(column, rows) for column in self.columns], axis=1).astype(np.float32)


def fit(rows: pd.DataFrame, features: Sequence[Feature], *, missing_indicators: bool = False) -> TabularEncoder:
    """Learn medians, means, scales and categories from training rows.

    Args:
        rows: one row per image with `image_id` and the features.
        features: the clinical columns, in the order of the encoded table.
        missing_indicators: whether a column with missing values gets a 0/1 column that marks them.
    """
    columns = tuple(_fit_column(rows, feature, missing_indicators) for feature in features)
    seen = rows[["image_id", *(feature.name for feature in features)]].to_csv(index=False)
    return TabularEncoder(columns=columns, rows_digest=hashlib.sha256(seen.encode()).hexdigest()[:16])


def _fit_column(rows: pd.DataFrame, feature: Feature, missing_indicators: bool) -> Column:
    values = rows[feature.name]
    indicator = missing_indicators and bool(values.isna().any())
    if feature.kind == "categorical":
        categories = tuple(sorted(values.dropna().astype(str).unique()))
        return Column(name=feature.name, kind=feature.kind, categories=categories, indicator=indicator)
    numbers = _numbers(feature.name, values, feature.order)
    known = numbers[~np.isnan(numbers)]
    median = float(np.median(known)) if len(known) else 0.0
    filled = np.where(np.isnan(numbers), median, numbers)
    spread = float(filled.std())
    return Column(
        name=feature.name,
        kind=feature.kind,
        order=feature.order,
        median=median,
        mean=float(filled.mean()),
        scale=spread if spread > 0 else 1.0,
        indicator=indicator,
    )


def _encode(column: Column, rows: pd.DataFrame) -> np.ndarray:
    """Encode one column: (n_rows, column.n_outputs) of float64."""
    _check_names(rows.columns, [column.name])
    values = rows[column.name]
    parts: list[np.ndarray]
    if column.kind == "categorical":
        texts = (
            values.astype(object).where(values.notna(), None).map(lambda value: None if value is None else str(value))
        )
        parts = [(texts == category).to_numpy(dtype=float)[:, None] for category in column.categories]
    else:
        numbers = _numbers(column.name, values, column.order)
        filled = np.where(np.isnan(numbers), column.median, numbers)
        parts = [((filled - column.mean) / column.scale)[:, None]]
    if column.indicator:
        parts.append(values.isna().to_numpy(dtype=float)[:, None])
    return np.concatenate(parts, axis=1) if parts else np.zeros((len(rows), 0))


def _numbers(name: str, values: pd.Series, order: tuple[str, ...] = ()) -> np.ndarray:
    """Return a column as float64 (n_rows,), NaN where missing; the words of an order are 1, 2, ..."""
    if order:
        values, given = values.map(lambda value: order.index(str(value)) + 1 if str(value) in order else None), values
    else:
        given = values
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype="float64", na_value=np.nan)
    wrong = np.isnan(numbers) & given.notna().to_numpy()
    if wrong.any():
        what = f"outside the order {', '.join(order)}" if order else "that are not numbers"
        raise CohortError(f"clinical column {name!r} holds values {what}: {some(given[wrong].unique())}")
    return numbers


def _check_names(given: Any, needed: Sequence[str]) -> None:
    for name in needed:
        if name not in given:
            raise CohortError(f"the clinical column {name!r} is missing; {nearest(name, map(str, given))}")
