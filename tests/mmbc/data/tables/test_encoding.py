import numpy as np
import pandas as pd
import pytest

from mmbc.data.tables.columns import Feature
from mmbc.data.tables.encoding import TabularEncoder, fit
from mmbc.errors import CohortError

FEATURES = (Feature("age", "numeric"), Feature("density", "ordinal"), Feature("history", "categorical"))
ROWS = pd.DataFrame(
    {
        "image_id": list("abcde"),
        "age": [40.0, 50.0, 60.0, np.nan, 70.0],
        "density": [1, 2, 3, 4, 2],
        "history": ["yes", "no", None, "no", "yes"],
    }
)


def test_impute_scale_encode_by_hand():
    encoder = fit(ROWS, FEATURES)
    table = encoder.transform(ROWS)
    assert table.shape == (5, 4) == (5, encoder.n_outputs)
    filled = np.array([40, 50, 60, 55, 70.0])
    np.testing.assert_allclose(table[:, 0], (filled - filled.mean()) / filled.std(), rtol=1e-6)
    np.testing.assert_array_equal(table[:, 2:], [[0, 1], [1, 0], [0, 0], [1, 0], [0, 1]])


def test_missing_indicators_only_where_training_misses():
    encoder = fit(ROWS, FEATURES, missing_indicators=True)
    assert [column.indicator for column in encoder.columns] == [True, False, True]
    assert encoder.transform(ROWS)[:, 1].tolist() == [0, 0, 0, 1, 0]


def test_unseen_values_and_json_round_trip():
    encoder = TabularEncoder.model_validate_json(fit(ROWS, FEATURES).model_dump_json())
    row = encoder.transform({"age": None, "density": 2, "history": "grandmother"})
    np.testing.assert_array_equal(
        row, encoder.transform(ROWS.assign(history=None))[3:4] * [1, 0, 1, 1] + [0, row[0, 1], 0, 0]
    )
    assert row[0, 2:].tolist() == [0, 0]


def test_constant_and_wholly_missing_columns_are_finite():
    rows = ROWS.assign(age=np.nan, density=3)
    assert np.isfinite(fit(rows, FEATURES).transform(rows)).all()


def test_rows_digest_tells_which_rows_were_seen():
    assert fit(ROWS, FEATURES).rows_digest != fit(ROWS.head(4), FEATURES).rows_digest


def test_errors_name_the_column():
    encoder = fit(ROWS, FEATURES)
    with pytest.raises(CohortError, match="'age'.*fifty"):
        encoder.transform({"age": "fifty", "density": 1, "history": "no"})
    with pytest.raises(CohortError, match="'density' is missing"):
        encoder.transform({"age": 50, "history": "no"})
