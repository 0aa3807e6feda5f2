import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from mmbc.calibration import apply_platt, fit_platt
from study.design.study_file import Protocol
from study.evaluation.arm_metrics import BOOTSTRAP, BOOTSTRAP_SE, NO_INTERVAL
from study.evaluation.evaluation import METRICS, cell_units, evaluate, pool


@pytest.fixture
def evaluation(evaluated):
    return evaluated[1]


def rows_by_hand():
    """Three patients: views of a breast are averaged, of two breasts the greater counts, over two cases too."""
    table = [
        ("A", "A/1", "L", "CC", 0, 1.0),
        ("A", "A/1", "L", "MLO", 0, 3.0),
        ("A", "A/1", "R", "CC", 0, -5.0),
        ("B", "B/1", "L", "CC", 1, 0.5),
        ("C", "C/1", "L", "CC", 0, -1.0),
        ("C", "C/2", "L", "CC", 1, -2.0),
    ]
    frame = pd.DataFrame(table, columns=["patient_id", "case_id", "breast", "view", "label", "logit"])
    return frame.assign(
        image_id=[str(i) for i in range(len(frame))], status=np.where(frame["label"], "Cancer", "Normal"), site="A"
    )


def test_pooling_by_hand():
    patients = pool(rows_by_hand(), "patient").set_index("patient_id")
    assert patients["logit"].to_dict() == {"A": 2.0, "B": 0.5, "C": -1.0}
    assert patients["label"].to_dict() == {"A": 0, "B": 1, "C": 1}
    assert patients["status"].to_dict() == {"A": "Normal", "B": "Cancer", "C": "Cancer"}
    assert patients["n_images"].to_dict() == {"A": 3, "B": 1, "C": 2}
    assert pool(rows_by_hand(), "breast")["logit"].tolist() == [2.0, -5.0, 0.5, -1.0, -2.0]
    assert len(pool(rows_by_hand(), "image")) == 6


def test_values_are_means_of_fold_values_and_pooled_counts(stored, evaluation):
    test = stored.predictions[(stored.predictions["part"] == "test") & (stored.predictions["arm"] == "concat")]
    folds = [pool(rows, "patient") for _, rows in test.groupby(["repeat", "fold"])]
    line = evaluation.summary.set_index(["arm", "level", "metric"]).loc[("concat", "patient", "roc_auc")]
    assert line["value"] == pytest.approx(np.mean([roc_auc_score(f["label"], f["logit"]) for f in folds]))
    counts = evaluation.confusion.set_index(["arm", "level"]).loc[("concat", "patient")]
    accuracy = evaluation.summary.set_index(["arm", "level", "metric"]).loc[("concat", "patient", "accuracy"), "value"]
    assert accuracy == pytest.approx((counts["tp"] + counts["tn"]) / counts.sum())
    assert counts.sum() == 2 * stored.cohort.n_patients, "summed over two repeats"


def test_everything_is_there_with_an_interval_around_it(stored, evaluation):
    assert evaluation.gaps == ()
    assert len(evaluation.summary) == 5 * 3 * len(METRICS)
    known = evaluation.summary[evaluation.summary["low"].notna()]
    bad = known[(known["low"] > known["value"] + 1e-9) | (known["value"] > known["high"] + 1e-9)]
    assert bad.empty, bad
    led = evaluation.summary.set_index("metric")["method"]
    spread = {"pr_auc", "partial_auc", "ece", "ece_equal_mass"}
    assert set(led[led == BOOTSTRAP_SE].index) == spread
    beside = evaluation.intervals.query("metric in @spread and not primary")
    assert set(beside["method"]) == {BOOTSTRAP} and len(beside) == 5 * 3 * len(spread)
    assert len(known) > 0.9 * len(evaluation.summary)
    assert set(evaluation.contrasts_by_class["metric"]) == {"against Benign", "against Normal", "within sites"}
    cancers_and_normals = stored.cohort.images.query("status != 'Benign'")["patient_id"].nunique()
    chosen = evaluation.contrasts_by_class.query("metric == 'against Normal'")
    assert (chosen["n_patients"] == cancers_and_normals).all()
    again = evaluate(stored, n_replicates=200)
    pd.testing.assert_frame_equal(evaluation.summary, again.summary)


def test_replicates_without_spread_give_no_interval(stored):
    """Every test patient of an arm scored perfectly: no replicate differs, which is no certainty."""
    perfect = stored.predictions.assign(logit=np.where(stored.predictions["label"] == 1, 4.0, -4.0))
    found = evaluate(dataclasses.replace(stored, predictions=perfect), n_replicates=50).summary
    lines = found[found["metric"].isin(["pr_auc", "f1"])]
    assert (lines["value"] == 1).all() and lines[["low", "high"]].isna().all(axis=None)
    assert set(lines["method"]) == {NO_INTERVAL} and lines["note"].str.contains("resampling says nothing").all()


def test_calibration_and_thresholds_come_from_validation_rows_alone(stored):
    cell = stored.predictions.query("arm == 'image' and repeat == 0 and fold == 0")
    units, _ = cell_units(cell, "patient", Protocol())
    flipped = cell.assign(label=np.where(cell["part"] == "test", 1 - cell["label"], cell["label"]))
    other, _ = cell_units(flipped, "patient", Protocol())
    assert np.array_equal(units["flagged"], other["flagged"])
    assert np.array_equal(units["prob_calibrated"], other["prob_calibrated"])
    validation = pool(cell[cell["part"] == "validation"], "patient")
    platt = fit_platt(validation["logit"].to_numpy(), validation["label"].to_numpy())
    np.testing.assert_allclose(units["prob_calibrated"], apply_platt(units["logit"].to_numpy(), *platt))


def test_a_half_finished_study_says_so_and_summarises_whole_arms_alone(stored):
    lost = "attention.r1.f0.s0"
    records = {name: record for name, record in stored.records.items() if name != lost}
    keep = ~((stored.predictions[["arm", "repeat", "fold"]] == ["attention", 1, 0]).all(axis=1))
    half = dataclasses.replace(stored, records=records, predictions=stored.predictions[keep])
    evaluation = evaluate(half, n_replicates=100)
    assert evaluation.gaps[0].startswith("attention, 1 fit is not finished")
    assert "attention" not in set(evaluation.summary["arm"]) and "attention" in set(evaluation.per_fold["arm"])


def test_one_class_in_a_test_fold_is_a_gap_not_a_number(stored):
    rows = stored.predictions
    chosen = (rows["arm"] == "image") & (rows["fold"] == 0) & (rows["repeat"] == 0) & (rows["part"] == "test")
    evaluation = evaluate(
        dataclasses.replace(stored, predictions=rows.assign(label=rows["label"].mask(chosen, 0))), n_replicates=100
    )
    assert any("one class alone" in gap for gap in evaluation.gaps)
    values = evaluation.per_fold.query("arm == 'image' and fold == 0 and repeat == 0")["value"]
    assert values.isna().all() and "image" not in set(evaluation.summary["arm"])


def test_nothing_finished_gives_an_empty_evaluation(stored):
    nothing = dataclasses.replace(stored, records={}, predictions=stored.predictions.iloc[:0])
    evaluation = evaluate(nothing, n_replicates=100)
    assert evaluation.summary.empty and len(evaluation.gaps) == 5


def test_other_ways_of_pooling_by_hand():
    rows = rows_by_hand()
    assert pool(rows, "breast", views="max")["logit"].tolist() == [3.0, -5.0, 0.5, -1.0, -2.0]
    mean = pool(rows, "patient", breasts="mean").set_index("patient_id")["logit"]
    assert mean.to_dict() == {"A": -1.5, "B": 0.5, "C": -1.5}
    noisy = pool(rows, "patient", breasts="noisy-or").set_index("patient_id")["logit"]
    chance = apply_platt(np.array([2.0, -5.0]), 1, 0)
    expected = 1 - np.prod(1 - chance)
    assert noisy["A"] == pytest.approx(np.log(expected / (1 - expected)))
    assert noisy["B"] == pytest.approx(0.5), "one breast alone is unchanged"
    assert pool(rows, "image", views="max")["logit"].tolist() == pool(rows, "image")["logit"].tolist()


def test_noisy_or_survives_extreme_logits():
    rows = rows_by_hand().assign(logit=[800.0, 800.0, -800.0, -40.0, -45.0, -700.0])
    noisy = pool(rows, "patient", breasts="noisy-or").set_index("patient_id")["logit"]
    assert noisy["A"] == pytest.approx(800) and noisy["B"] == pytest.approx(-40) and noisy["C"] == pytest.approx(-45)
