from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmbc.deploy import load
from mmbc.deploy.predictor import ModelError
from mmbc.errors import CohortError, ImageError
from study.records.cell_records import PREDICTION_COLUMNS


@pytest.mark.parametrize("arm", ["image", "tabular", "concat", "attention"])
def test_equals_the_stored_predictions(finished_study, arm):
    cell = finished_study.folder / "cells" / f"{arm}.r0.f0.s0"
    predictor = load(cell)
    stored = pd.read_parquet(cell / "predictions.parquet")
    assert list(stored.columns) == list(PREDICTION_COLUMNS)
    images = finished_study.cohort.images.set_index("image_id")
    for row in stored.iloc[::9].itertuples():
        source = images.loc[row.image_id]
        clinical = {"age": source["age"], "density": source["density"]}
        assert predictor(source["path"], clinical) == row.prob_calibrated, "an image alone has the bits of the study"
        assert predictor(str(source["path"]), clinical) == predictor(source["path"], clinical)


def test_inputs_that_are_missing_or_wrong_are_named(finished_study):
    predictor = load(finished_study.folder / "cells" / "concat.r0.f0.s0")
    path = finished_study.cohort.images["path"][0]
    with pytest.raises(ModelError, match="needs an image"):
        predictor(None, {"age": 50, "density": 2})
    with pytest.raises(ModelError, match="clinical columns age, density"):
        predictor(path)
    with pytest.raises(CohortError, match="'density' is missing"):
        predictor(path, {"age": 50})
    with pytest.raises(ImageError, match="absent.png"):
        predictor(Path("absent.png"), {"age": 50, "density": 2})
    assert 0 < predictor(np.zeros((50, 40), np.uint8), {"age": None, "density": None}) < 1


def test_folders_without_a_network_are_refused(finished_study, tmp_path):
    with pytest.raises(ModelError, match="no finished cell"):
        load(tmp_path)
    with pytest.raises(ModelError, match="logistic baseline"):
        load(finished_study.folder / "cells" / "logistic.r0.f0.s0")
