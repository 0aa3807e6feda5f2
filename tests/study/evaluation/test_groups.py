"""Classes, subgroups, calibration and decision curves of a finished study."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from mmbc.config import digest
from mmbc.data.splits import patient_values
from mmbc.errors import CohortError, ConfigError, StudyError
from study.design.study_file import load
from study.evaluation import groups
from study.evaluation.evaluation import evaluate
from study.evaluation.reliability import merged_bins, reliability
from study.evaluation.units import align, all_units
from study.stats.auc import delong


@pytest.fixture
def aligned(stored):
    units, _ = all_units(stored)
    patients = pd.Index(sorted(stored.cohort.images["patient_id"].unique()))
    return align(units, stored.arms, "patient", patients)


def ones(rows, n_draws=1):
    return np.ones((n_draws, int(rows.patients.max()) + 1))


def test_arms_are_aligned_and_the_baseline_stands_for_every_seed(stored, aligned):
    assert aligned.arms[-1] == "logistic" and aligned.n_runs == 2
    chosen = stored.predictions.query("arm == 'concat' and part == 'test' and repeat == 0")
    assert (aligned.runs == 0).sum() == chosen["patient_id"].nunique()
    units, _ = all_units(stored)
    with_seeds = pd.concat([units, units[units["arm"] != "logistic"].assign(seed=1)])
    more = align(with_seeds, stored.arms, "patient", pd.Index(sorted(units["patient_id"].unique())))
    assert more.n_runs == 4 and np.array_equal(more.logit[-1][more.runs == 0], more.logit[-1][more.runs == 1])


def test_edited_predictions_are_refused(stored):
    units, _ = all_units(stored)
    patients = pd.Index(sorted(units["patient_id"].unique()))
    first = units.index[(units["arm"] == "concat") & (units["level"] == "patient")][0]
    flipped = units.copy()
    flipped.loc[first, "label"] = 1 - flipped.loc[first, "label"]
    with pytest.raises(StudyError, match="same labels"):
        align(flipped, stored.arms, "patient", patients)
    with pytest.raises(StudyError, match=f"differing: {units.loc[first, 'patient_id']} .repeat 0"):
        align(units.drop(first), ["image", "concat"], "patient", patients)


def test_a_stored_nan_is_refused_with_its_cell(stored):
    predictions = stored.predictions.copy()
    at = predictions.index[predictions["arm"] == "concat"][0]
    predictions.loc[at, "logit"] = np.nan
    with pytest.raises(StudyError, match=f"concat.r0.f0.s0, image {predictions.loc[at, 'image_id']}"):
        all_units(dataclasses.replace(stored, predictions=predictions))


def test_within_groups_only_pairs_of_the_same_group_count(aligned):
    run = aligned.where(aligned.runs == 0)
    concordant, pairs = groups._pairs_within(run, run.rows["site"].to_numpy(), ones(run))
    total = 0.0
    for _, rows in run.rows.groupby(["fold", "site"]):
        labels, scores = rows["label"].to_numpy(), run.logit[0, rows.index]
        if 0 < labels.sum() < len(labels):
            total += delong(labels, scores).value[0] * labels.sum() * (1 - labels).sum()
    assert concordant[0, 0] == pytest.approx(total) and pairs[0] > 0


def test_subgroups_are_cut_suppressed_and_tested(stored):
    study = dataclasses.replace(
        stored,
        settings=stored.settings.model_copy(
            update={"protocol": stored.settings.protocol.model_copy(update={"subgroups": ("age", "view")})}
        ),
    )
    found = evaluate(study, n_replicates=100).subgroups
    assert set(found["column"]) == {"age", "view"}
    assert set(found.loc[found["column"] == "view", "level"]) == {"image"}
    small = found[found["suppressed"]]
    assert small[["value", "n_patients", "n_positive"]].isna().all(axis=None)
    known = found[~found["suppressed"]]
    assert (known["n_positive"] >= groups.SMALLEST_CELL).all() and known["value"].between(0, 1).all()
    tested = known[known["column"] == "view"]
    with_images = ~tested["arm"].isin(["tabular", "logistic"])
    assert tested.loc[with_images, "interaction_p"].between(0, 1).all()


def test_what_is_known_of_a_subgroup(stored, aligned, monkeypatch):
    """Contrasts and the common threshold in each, computed by hand; the size of what is too small to analyse."""
    monkeypatch.setattr(groups, "SMALLEST_CELL", 5)
    columns = groups.subgroup_columns(stored.cohort, ["site"])
    weights = np.vstack([ones(aligned), np.random.default_rng(0).multinomial(32, np.full(32, 1 / 32), 60)])
    found = groups.subgroups({"patient": aligned}, "patient", columns, stored.cohort, weights, [("concat", "logistic")])
    areas = found["subgroups"].set_index(["arm", "group"])["value"]
    contrasts = found["subgroup_contrasts"].set_index("group")
    for group in contrasts.index[~contrasts["suppressed"]]:
        assert contrasts.loc[group, "difference"] == pytest.approx(areas["concat", group] - areas["logistic", group])
        assert contrasts.loc[group, "low"] < contrasts.loc[group, "difference"] < contrasts.loc[group, "high"]
        inside = aligned.where((aligned.rows["site"] == group).to_numpy())
        lines = found["subgroup_performance"].query("arm == 'concat' and group == @group").set_index("metric")["value"]
        arm, positive = aligned.arms.index("concat"), inside.labels == 1
        assert lines["sensitivity_at_90_specificity"] == pytest.approx(inside.calls["flagged"][arm][positive].mean())
        assert lines["specificity_achieved"] == pytest.approx(1 - inside.calls["flagged"][arm][~positive].mean())
    assert contrasts["interaction_p"].nunique() == 1 and not contrasts["suppressed"].all()


def test_a_subgroup_that_is_too_small_has_its_size_unless_that_names_people(stored, aligned):
    some = pd.Series(np.where(stored.cohort.images["patient_id"] < "P0005", "few", "many"), stored.cohort.images.index)
    values = {"ward": groups._categories(some, "ward")}
    found = groups.subgroups({"patient": aligned}, "patient", values, stored.cohort, ones(aligned, 3))["subgroups"]
    sizes = found.drop_duplicates("group").set_index("group")
    n_few = stored.cohort.images.loc[some == "few", "patient_id"].nunique()
    assert 0 < n_few < 10 and np.isnan(sizes.loc["few", "n_patients"]) and sizes.loc["few", "suppressed"]
    assert sizes.loc["many", "n_patients"] == 32 - n_few


def test_calls_add_up_to_the_units_of_one_run(stored, aligned):
    found = evaluate(stored, n_replicates=20).cross_tabulation.query("level == 'patient'")
    counts = found[["tp", "fp", "fn", "tn"]]
    assert set(found["threshold"]) == {"called", "flagged", "cleared"} and (found["n_runs"] == 2).all()
    assert np.allclose(counts.sum(axis=1), 32) and np.allclose(found["tp"] + found["fn"], aligned.labels.sum() / 2)


def test_a_patient_is_in_the_subgroup_of_most_of_her_images():
    """Two ages in one patient do not turn the analysis into one of images; views do."""
    images = pd.DataFrame(
        [
            ("A", "A/1", "L", "a1", 30, "CC"),
            ("A", "A/2", "L", "a2", 60, "CC"),
            ("A", "A/2", "L", "a3", 60, "MLO"),
            ("B", "B/1", "L", "b1", 60, "CC"),
            ("B", "B/2", "L", "b2", 30, "CC"),
        ],
        columns=["patient_id", "case_id", "breast", "image_id", "age", "view"],
    )
    level, group_of = groups.group_by_unit(images, images["age"], groups._categories(images["age"], "age"), "patient")
    assert level == "patient" and group_of.set_index("patient_id")["group"].to_dict() == {"A": "60", "B": "30"}
    level, group_of = groups.group_by_unit(images, images["age"], groups._categories(images["age"], "age"), "breast")
    assert level == "breast" and group_of.set_index("case_id")["group"].to_dict() == {
        "A/1": "30",
        "A/2": "60",
        "B/1": "60",
        "B/2": "30",
    }
    level, group_of = groups.group_by_unit(
        images, images["view"], groups._categories(images["view"], "view"), "patient"
    )
    assert level == "image" and group_of.set_index("image_id")["group"]["a3"] == "MLO" and len(group_of) == 5


def test_a_band_is_that_of_the_value_that_table_one_counts():
    """Three examinations before 50, two at 49: most images are after 50, but most share the age of 49."""
    images = pd.DataFrame(
        {"patient_id": "A", "case_id": list("abcde"), "breast": "L", "image_id": list("abcde")}
        | {"age": [49.0, 49, 50, 51, 52]}
    )
    bands = groups._categories(pd.concat([images["age"], pd.Series([30.0, 71, 72])], ignore_index=True), "age")
    _, group_of = groups.group_by_unit(images, images["age"], bands[:5], "patient")
    assert group_of["group"].tolist() == ["< 50"] and patient_values(images, ["age"]).loc["A", "age"] == 49


def test_between_views_a_model_without_images_is_not_tested(stored):
    found = evaluate(stored, n_replicates=20)
    view = found.subgroups.query("column == 'view'").set_index("arm")
    assert (view["level"] == "image").all() and view["value"].notna().all()
    assert view.loc[["tabular", "logistic"], "interaction_p"].isna().all()
    assert view.loc[["image", "concat"], "interaction_p"].notna().all()


def test_subgroups_that_cannot_be_are_refused(stored):
    groups.check_subgroups(stored.cohort, ["Age", "view"])
    with pytest.raises(CohortError, match="no column 'densty' to group by; did you mean 'density'"):
        groups.check_subgroups(stored.cohort, ["densty"])
    with pytest.raises(CohortError, match="no column 'label'"):
        groups.check_subgroups(stored.cohort, ["label"])
    with pytest.raises(CohortError, match="'AGE' is named twice"):
        groups.check_subgroups(stored.cohort, ["age", "AGE"])


def test_groups_are_in_their_natural_order():
    ages = groups._categories(pd.Series([80.0, 30, 60, np.nan, 41, 42, 43, 44]), "age")
    assert list(ages.cat.categories) == ["< 50", "50 to < 70", "≥ 70", "unknown"] and list(ages[:4]) == [
        "≥ 70",
        "< 50",
        "50 to < 70",
        "unknown",
    ]
    levels = groups._categories(pd.Series([10.0, 2, np.nan]), "level")
    assert list(levels.cat.categories) == ["2", "10", "unknown"] and list(levels) == ["10", "2", "unknown"]
    dose = groups._categories(pd.Series([0.0] * 6 + [1, 2, 3, 4, 5, 6, 7]), "dose")
    assert list(dose.cat.categories) == ["< 0", "0 to < 3", "≥ 3", "unknown"], "terciles"
    many_zeros = groups._categories(pd.Series([0.0] * 20 + [1, 2, 3, 4, 5, 6, 7]), "dose")
    assert list(many_zeros.cat.categories) == ["< 0", "≥ 0", "unknown"], "terciles that are one value"
    sites = groups._categories(pd.Series(["B", None, "unknown", "A"]), "site")
    assert list(sites.cat.categories) == ["A", "B", "unknown"] and list(sites) == ["B", "unknown", "unknown", "A"]


def test_interaction_finds_a_planted_difference_and_no_other():
    rng = np.random.default_rng(0)
    same = [0.8 + rng.normal(size=2000) * 0.02 for _ in range(3)]
    for draws in same:
        draws[0] = 0.8
    assert groups._interaction(same) == pytest.approx(1.0)
    other = [*same[:2], same[2] - 0.1]
    assert groups._interaction(other) < 0.01
    assert np.isnan(groups._interaction(same[:1]))


def test_predictive_values_and_net_benefit_need_a_declared_prevalence(stored):
    assert not {"ppv", "npv"} & set(evaluate(stored, n_replicates=20).summary["metric"])
    declared = dataclasses.replace(
        stored,
        settings=stored.settings.model_copy(
            update={"protocol": stored.settings.protocol.model_copy(update={"prevalence": 0.05})}
        ),
    )
    found = evaluate(declared, n_replicates=50)
    values = found.summary.query("level == 'patient'").set_index(["arm", "metric"])["value"]
    sensitivity, specificity = (values["image", m] for m in ("sensitivity_at_90_specificity", "specificity_achieved"))
    assert found.decision["threshold"].between(0.0125, 0.5).all()
    known = found.decision[found.decision["low"].notna()]
    assert (known["low"] < known["high"]).all() and len(known) > len(found.decision) / 2
    assert (known["method"] != "none").all()
    if sensitivity + 1 - specificity > 0:  # both repeats are averaged, so the formula holds about
        expected = sensitivity * 0.05 / (sensitivity * 0.05 + (1 - specificity) * 0.95)
        assert values["image", "ppv"] == pytest.approx(expected, abs=0.1)


def test_decision_curves_keep_to_the_declared_thresholds(aligned):
    weights = ones(aligned)
    ends = groups.decision_curves(aligned, weights, 0.05, (0.02, 0.2))["threshold"]
    assert (ends.min(), ends.max()) == (0.02, 0.2) and {0.025, 0.05, 0.1} <= set(ends)
    assert groups.shown_thresholds(0.05, (0.02, 0.2)) == [0.02, 0.025, 0.05, 0.1, 0.2]
    assert groups.threshold_range(0.05, None) == (0.0125, 0.5)
    with pytest.raises(ConfigError, match="the lower first"):
        load("tiny", None, ["protocol.thresholds=[0.2, 0.02]"])
    assert digest(load("tiny", None, ["protocol.thresholds=[0.02, 0.2]"]).protocol) == digest(load("tiny").protocol)


def test_reliability_bins_hold_every_unit_once(aligned):
    found = reliability(aligned)
    sizes = found.groupby(["arm", "stage"])["n_units"].sum()
    assert (sizes == len(aligned.rows)).all()
    known = found.dropna()
    assert ((known["low"] <= known["observed"]) & (known["observed"] <= known["high"])).all()


def test_reliability_counts_each_arm_by_its_own_runs(stored):
    """The logistic regression has one seed: its bins are the same however many seeds the other arms have."""
    units, _ = all_units(stored)
    patients = pd.Index(sorted(units["patient_id"].unique()))
    again = units[units["arm"] != "logistic"].assign(seed=1, prob_calibrated=lambda rows: rows["prob_calibrated"] / 2)
    again["logit"] = again["logit"] / 2
    one, two = (
        reliability(align(rows, stored.arms, "patient", patients)) for rows in (units, pd.concat([units, again]))
    )
    pd.testing.assert_frame_equal(*(found[found["arm"] == "logistic"].reset_index(drop=True) for found in (one, two)))
    runs = two.drop_duplicates("arm").set_index("arm")["n_runs"]
    assert runs["logistic"] == 2 and runs["image"] == 4, "two repeats"
    assert two.query("arm == 'image' and stage == 'after'")["n_units"].sum() == 4 * len(patients)


def test_no_bin_is_nearly_empty():
    probs = np.concatenate([np.linspace(0, 0.3, 100), np.full(97, 0.4), [0.41] * 3, np.linspace(0.5, 0.9, 100)])
    bins = merged_bins(probs)
    sizes = np.bincount(bins)
    assert sizes.min() >= 15 and sizes.sum() == 300 and 5 < len(sizes) < 10
    assert (np.diff(bins) >= 0).all() and len(set(bins[100:197])) == 1, "equal probabilities stay together"
    assert set(merged_bins(np.full(50, 0.2))) == {0}
    assert np.bincount(merged_bins(np.linspace(0, 1, 100))).tolist() == [10] * 10
