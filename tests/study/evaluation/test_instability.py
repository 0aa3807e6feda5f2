"""Instability of predictions: numbers that can be done by hand, and what is said with one run."""

import dataclasses

import pandas as pd
import pytest
from matplotlib.text import Text

from study.evaluation.evaluation import evaluate
from study.evaluation.instability import instability
from study.reporting.figures import instability as figure
from study.reporting.figures.catalogue import catalogue
from study.reporting.figures.style import Look
from study.reporting.tables import all_tables
from study.reporting.text.sections import instability as sentences
from tests.study.reporting.test_figures import altered, three_seeds

LOOK = Look("black", "-", "o", "Images alone")


def units(probs, arm="image", **columns):
    """Units of patients by run: probs is patient -> probability in each run, called at 0.5 and flagged at 0.8."""
    return pd.DataFrame(
        [
            {
                **{"arm": arm, "repeat": 0, "seed": seed, "fold": 0, "level": "patient", "patient_id": patient},
                **{"prob_calibrated": p, "called": p >= 0.5, "flagged": p > 0.8, **columns},
            }
            for patient, values in probs.items()
            for seed, p in enumerate(values)
        ]
    )


def test_by_hand():
    rows = units({"A": [0.2, 0.3, 0.4], "B": [0.4, 0.6, 0.8], "C": [0.9, 0.9, 0.9], "D": [0.7, 0.8, 0.9]})
    once = units({"A": [0.1], "B": [0.9]}, arm="logistic")
    (line,) = instability(pd.concat([rows, once]), ["image", "logistic"], "patient").to_dict("records")
    assert (line["arm"], line["n_units"], line["n_runs"]) == ("image", 4, 3), "one run of an arm is no spread"
    # means .3, .6, .9, .8; distances of the patients (.1 + 0 + .1) / 3, (.2 + 0 + .2) / 3, 0 and (.1 + 0 + .1) / 3
    assert line["mape"] == pytest.approx((0.2 + 0.4 + 0 + 0.2) / 12)
    assert line["mape_95"] == pytest.approx(0.2 / 3 + 0.85 * 0.2 / 3)
    assert (line["called_changed"], line["flagged_changed"]) == (0.25, 0.25)


def test_without_thresholds_and_with_one_run():
    rows = units({"A": [0.2, 0.6], "B": [0.1, 0.1]}, flagged=pd.NA)
    (line,) = instability(rows, ["image"], "patient").to_dict("records")
    assert line["called_changed"] == 0.5 and pd.isna(line["flagged_changed"])
    assert instability(units({"A": [0.2], "B": [0.7]}), ["image"], "patient").empty


def test_units_that_were_predicted_once_do_not_count():
    rows = pd.concat([units({"A": [0.2, 0.4], "B": [0.7]}), units({"C": [0.5, float("nan")]})])
    (line,) = instability(rows, ["image"], "patient").to_dict("records")
    assert line["n_units"] == 1 and line["mape"] == pytest.approx(0.1)


def test_one_run_makes_no_figure_and_no_table_and_says_so(evaluated):
    study = altered(evaluated[0], evaluated[0].predictions[evaluated[0].predictions["repeat"] == 0], repeats=1)
    evaluation = evaluate(study, n_replicates=50)
    assert evaluation.instability.empty
    assert "instability" not in {*catalogue(study, evaluation), *(t.name for t in all_tables(study, evaluation))}
    assert "was predicted once" in sentences(study, evaluation)


def test_what_is_drawn_is_what_was_computed(evaluated, monkeypatch):
    study = three_seeds(evaluated[0])
    evaluation = evaluate(study, n_replicates=50)
    drawing = catalogue(study, evaluation)["instability"]
    _, data = drawing.draw()
    assert "2 repeats and 3 training seeds" in drawing.caption and "are drawn" not in drawing.caption
    by_unit = (data["prob_calibrated"] - data["mean_prob"]).abs().groupby([data["arm"], data["unit"]]).mean()
    found = by_unit.groupby(level="arm").mean()
    assert found.to_dict() == pytest.approx(evaluation.instability.set_index("arm")["mape"].to_dict(), abs=1e-5)
    runs = evaluation.instability.set_index("arm")["n_runs"].to_dict()
    assert (runs["concat"], runs["logistic"]) == (6, 2), "the baseline has one seed, and draws other folds in a repeat"
    text = sentences(study, evaluation)
    least = evaluation.instability.sort_values("mape").iloc[0]
    assert f"by {least['mape']:.3f} (" in text and "one of 6 runs (2 repeats and 3 training seeds)" in text
    assert text.count(". ") == 1, "two sentences"
    monkeypatch.setattr(figure, "MOST", 60)
    drawing = catalogue(study, evaluation)["instability"]
    assert "10 patients of a model are drawn" in drawing.caption
    assert (drawing.draw()[1].groupby("arm")["unit"].nunique() == 10).all()


def test_one_arm_has_its_own_sentence(evaluated):
    study, evaluation = evaluated
    alone = dataclasses.replace(evaluation, instability=evaluation.instability[:1])
    assert "differed by" in sentences(study, alone) and " to " not in sentences(study, alone)


def test_a_model_that_never_reaches_one_half_is_judged_at_the_threshold():
    """Two patients change sides of the threshold, none of 0.5."""
    rows = units({"A": [0.1, 0.3], "B": [0.3, 0.1], "C": [0.2, 0.2], "D": [0.4, 0.4]}).assign(status="x", label=0)
    rows["flagged"] = rows["prob_calibrated"] > 0.25
    found = instability(rows, ["image"], "patient")
    assert found["called_changed"].tolist() == [0] and found["flagged_changed"].tolist() == [0.5]
    drawn, data = figure.predictions_by_run(rows, found, {"image": LOOK}, "patient")
    said = " ".join(text.get_text() for text in drawn.findobj(Text))
    assert "50.0 % classified differently" in said and "mean absolute change 0.050" in said and "MAPE" not in said
    assert (data["prob_calibrated"] == data["prob_calibrated"].round(5)).all()
    without = found.assign(flagged_changed=float("nan"))
    drawn, _ = figure.predictions_by_run(rows, without, {"image": LOOK}, "patient")
    assert any("0.0 % classified differently" in text.get_text() for text in drawn.findobj(Text))
