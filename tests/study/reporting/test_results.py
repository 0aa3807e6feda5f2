"""Results in words: where a model is useful, which bins are off, ranges of models, and results by image."""

import dataclasses

import pandas as pd
import pytest

from study.reporting.text.results import by_image, off_bins, performance, useful_thresholds, utility
from tests.study.reporting.test_prose import imported, with_protocol


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([0.03, 0.02, 0.01, 0.00], "2 % to 10 %"),
        ([0.03, 0.02, -0.01, 0.01], "2 % to 5 % and 20 %"),
        ([0.02, 0.0, -0.01, -0.02], ""),
    ],
)
def test_a_model_is_useful_where_it_beats_both_recalling_everybody_and_nobody(value, said):
    lines = pd.DataFrame({"threshold": [0.02, 0.05, 0.1, 0.2], "value": value, "treat_all": [0.02, 0.0, -0.1, -0.3]})
    assert useful_thresholds(lines.iloc[::-1]) == said


def test_the_shape_of_calibration_is_that_of_the_bins_whose_interval_excludes_the_prediction(stored):
    bins = pd.DataFrame({"arm": "image", "mean_prob": [0.8, 0.2, 0.7], "observed": [0.9, 0.1, 0.85]})
    assert off_bins(stored, bins) == [
        "of Images alone, it lies below the prediction at a predicted risk of 0.200 and above the prediction at"
        " predicted risks of 0.700 and 0.800"
    ]


def with_values(evaluation, **by_arm):
    """The evaluation with other AUCs: arm -> (by patient, by image)."""
    rows = evaluation.summary.copy()
    for arm, values in by_arm.items():
        for level, value in zip(("patient", "image"), values, strict=True):
            at = (rows["arm"] == arm) & (rows["metric"] == "roc_auc") & (rows["level"] == level)
            rows.loc[at, "value"] = value
    return dataclasses.replace(evaluation, summary=rows)


def test_performance_is_given_as_ranges_and_ranks_nobody(evaluated):
    study, evaluation = evaluated
    found = with_values(evaluation, image=(0.8, 0.7), concat=(0.9, 0.8), attention=(0.85, 0.7), tabular=(0.6, 0.6))
    text = performance(study, found, compared=True)
    assert text.startswith("By patient, the AUC was 0.800 to 0.900 in the 3 models that see images and 0.")
    assert "in the 2 models that do not." in text and "chapter Differences between models" in text
    assert "in the 5 models." in performance(imported(study), found, compared=False)


def test_a_gain_by_image_is_not_read_as_one_for_patients(evaluated):
    study, evaluation = evaluated
    found = with_values(evaluation, image=(0.9, 0.7), concat=(0.9, 0.8), attention=(0.9, 0.8))
    text = by_image(study, found)
    assert "lower: 0.700 to 0.800, against 0.900 by patient" in text
    assert "adding clinical data to mammograms changed the AUC by +0.100 by image and by 0.000 by patient." in text
    assert "Clinical data are the same for both breasts" in text and text.endswith("gain for patients.")
    assert by_image(study, with_values(evaluation, image=(0.6, 0.7))) == "", "it is not lower"
    own = study.settings.data.model_copy(update={"conflicts": "any"})
    study = dataclasses.replace(study, settings=study.settings.model_copy(update={"data": own}))
    assert by_image(study, found) == "", "every image has its own label"


def test_the_threshold_for_sensitivity_is_told_without_a_prevalence_too(evaluated):
    study, evaluation = evaluated
    assert "net benefit" not in utility(study, evaluation) and "for 90 % sensitivity" in utility(study, evaluation)
    curves = pd.DataFrame(
        [
            {"arm": arm, "threshold": 0.05, "value": value, "low": 0.0, "high": 0.1, "treat_all": 0.0, "method": "x"}
            for arm, value in (("image", 0.02), ("tabular", -0.01))
        ]
    )
    text = utility(with_protocol(study, prevalence=0.05), dataclasses.replace(evaluation, decision=curves))
    assert "nobody at thresholds of 5 % for Images alone; at no threshold for Clinical data alone." in text
