"""Tables of a study: numbers of the evaluation, gaps that show, nothing about models trained elsewhere."""

import dataclasses

import pandas as pd
import pytest

from study.design.study_file import BASELINE
from study.evaluation.evaluation import LEVELS, evaluate
from study.records.environment import Environment, Imported
from study.reporting.tables import all_tables, table_files
from study.reporting.tables.base import sample
from study.reporting.tables.cohort import standardised_difference
from study.text.format import interval, span, whole

ARMS = ["image", "tabular", "concat", "attention", BASELINE]
NAMES = [
    "Images alone",
    "Clinical data alone",
    "Images + clinical data, concatenated",
    "Images + clinical data, attention",
    "Logistic regression",
]
THRESHOLDS = (
    "sensitivity_at_90_specificity",
    "specificity_achieved",
    "specificity_at_90_sensitivity",
    "sensitivity_achieved",
)


@pytest.fixture
def whole_study(evaluated):
    return evaluated


def named(study, evaluation):
    return {table.name: table for table in all_tables(study, evaluation)}


@pytest.fixture(scope="module")
def tables(evaluated):
    return named(*evaluated)


def without(stored, names):
    """Return the study as it is before some cells are finished."""
    cells = stored.predictions[["arm", "repeat", "fold", "seed"]].astype(str)
    cells = cells["arm"] + ".r" + cells["repeat"] + ".f" + cells["fold"] + ".s" + cells["seed"]
    return dataclasses.replace(
        stored,
        records={name: record for name, record in stored.records.items() if name not in names},
        predictions=stored.predictions[~cells.isin(names)],
    )


def with_protocol(stored, **values):
    protocol = stored.settings.protocol.model_copy(update=values)
    return dataclasses.replace(stored, settings=stored.settings.model_copy(update={"protocol": protocol}))


SUBGROUPS = ("subgroups", "subgroup_contrasts", "subgroup_performance")


def test_the_order_is_that_of_a_paper(tables):
    expected = [
        "flow",
        "table_1",
        "folds",
        "partitions",
        "main",
        "comparisons",
        "auc_by_estimand",
        "auc_by_class",
        "comparisons_by_class",
        "probabilities",
        "operating_points",
        "cross_tabulation",
        "calibration",
        *SUBGROUPS,
        "levels",
        "summary_patient",
        "summary_breast",
        "summary_image",
        "interval_methods",
        "variance",
        "reliability",
        "instability",
        "errors_by_class",
        "errors",
        "per_fold",
        "settings",
        "compute",
        "audit",
    ]
    assert [name for name in expected if name in tables] == list(tables)
    assert set(expected) - set(tables) <= {
        *SUBGROUPS,
        "auc_by_class",
        "comparisons_by_class",
        "auc_by_estimand",
        "probabilities",
    }


def test_every_cell_is_text_and_no_number_is_a_nan(tables):
    for name, table in tables.items():
        cells = table.shown.to_numpy().ravel().tolist()
        assert cells and all(isinstance(cell, str) for cell in cells), name
        assert not [cell for cell in cells if cell in ("nan", "NaN", "None", "<NA>")], name
        assert table.title and table.caption and "—" not in table.caption


def test_the_main_table_has_nine_columns_and_the_numbers_of_the_summary(whole_study, tables):
    _, evaluation = whole_study
    main = tables["main"]
    assert len(main.shown.columns) <= 9 and main.shown["Model"].tolist() == NAMES and main.data["arm"].tolist() == ARMS
    summary = evaluation.summary.set_index(["arm", "level", "metric"])
    for row, text in zip(main.data.to_dict("records"), main.shown.to_dict("records"), strict=True):
        for metric in ("roc_auc", "brier", "calibration_slope", "specificity_achieved"):
            line = summary.loc[(row["arm"], "patient", metric)]
            found = [row[metric], row[f"{metric}_low"], row[f"{metric}_high"]]
            assert found == pytest.approx(line[["value", "low", "high"]].tolist(), nan_ok=True, abs=0)
        line = summary.loc[(row["arm"], "patient", "roc_auc")]
        assert text["AUC"] == interval("roc_auc", line["value"], line["low"], line["high"])
        assert "[" not in "".join(text.values()) and "Specificity achieved" in text
        assert "Sensitivity at the threshold set for 90 % specificity" in text
    people = sample(evaluation, "patient")
    assert people.text("patient") in main.caption and people.n_units == people.n_patients
    assert "Values are means over 2 repeats." in main.caption


def test_who_is_counted_at_each_level(whole_study):
    stored, evaluation = whole_study
    images = stored.cohort.images
    by_level = {level: sample(evaluation, level) for level in LEVELS}
    assert by_level["patient"].n_units == images["patient_id"].nunique()
    assert by_level["image"].n_units == len(images) and by_level["image"].n_positive == images["label"].sum()
    assert by_level["patient"].n_positive == images.groupby("patient_id")["label"].max().sum()
    assert f"of {by_level['image'].n_patients} patients" in by_level["breast"].text("breast")


def test_the_benign_status_is_the_one_beside_the_headline(whole_study, tables):
    """Where there are several negative statuses, whatever the results."""
    stored, _ = whole_study
    negatives = stored.cohort.images.loc[stored.cohort.images["label"] == 0, "status"].unique()
    against = [column for column in tables["main"].shown if column.startswith("AUC against")]
    assert against == (["AUC against Benign"] if len(negatives) > 1 else [])
    assert "AUC within sites" in tables["main"].shown


def test_methods_have_their_width_and_what_they_are_about(tables):
    """Those about training again are in the data alone, as one seed does not assess it."""
    methods = tables["interval_methods"]
    assert (methods.data["width"] == methods.data["high"] - methods.data["low"]).all()
    assert set(methods.data["estimand"]) == {"E1", "E2"}
    assert set(methods.shown["About"]) == {"these fitted models, new patients"}
    assert len(methods.shown) == (methods.data["estimand"] == "E1").sum()
    assert (methods.shown.groupby("Model").size() >= 2).all()


def test_levels_stand_beside_each_other(tables):
    shown = tables["levels"].shown
    assert shown.columns.tolist() == ["Metric", "Model", "Patient level", "Breast level", "Image level"]
    assert (shown.groupby("Metric").size() == len(ARMS)).all()


def test_counts_at_the_operating_point_add_up(whole_study, tables):
    _, evaluation = whole_study
    who, shown = sample(evaluation, "patient"), tables["cross_tabulation"].shown
    assert list(shown["Threshold"].unique()) == ["90 % specificity", "90 % sensitivity", "probability 0.5"]
    for row in shown.set_index(["Threshold", "Model"]).astype(float).to_dict("records"):
        assert row["True positive"] + row["False negative"] == pytest.approx(who.n_positive), "not twice: two repeats"
        assert sum(row.values()) == pytest.approx(who.n_units)


def test_predictive_values_only_where_a_prevalence_is_declared(whole_study, tables):
    declared = with_protocol(whole_study[0], prevalence=0.05)
    found = named(declared, evaluate(declared, n_replicates=100))
    assert "PPV" in found["operating_points"].shown and "PPV" not in tables["operating_points"].shown
    assert "decision" in found and "decision" not in tables
    assert found["decision"].shown["Threshold"].tolist() == ["2.5 %", "5 %", "10 %", "25 %"]


def test_an_unfinished_arm_keeps_its_row(whole_study):
    stored, _ = whole_study
    n_planned = sum(name.startswith("image.") for name in stored.planned)
    partial = without(stored, ["image.r1.f0.s0"])
    found = named(partial, evaluate(partial, n_replicates=100))
    row = found["main"].shown.set_index("Model").loc["Images alone"]
    state = f"not finished ({n_planned - 1} of {n_planned} fits)"
    assert row["AUC"] == state and set(row.drop("AUC")) == {"n/a"}
    assert found["main"].data.set_index("arm").loc["image", "state"] == state
    contrasts = found["comparisons"].shown.set_index("Contrast")["Verdict"]
    assert (
        contrasts["Adding clinical data to mammograms"] == f"image {state}"
        and "not finished" not in contrasts["Adding mammograms to clinical data (network)"]
    )
    assert len(contrasts) == len(found["comparisons"].data) == len(stored.settings.protocol.contrasts)
    assert "adjusted for 3 contrasts alone" in found["comparisons"].caption
    assert found["compute"].shown.set_index("Model").loc["Images alone", "Fits"] == f"{n_planned - 1} of {n_planned}"


def test_an_arm_without_any_cell_keeps_its_row_too(whole_study):
    stored, _ = whole_study
    partial = without(stored, [name for name in stored.planned if name.startswith("attention.")])
    found = named(partial, evaluate(partial, n_replicates=100))
    assert (
        "not finished (0 of" in found["main"].shown.set_index("Model").loc["Images + clinical data, attention", "AUC"]
    )
    assert found["compute"].shown.set_index("Model").loc["Images + clinical data, attention", "Seconds a fit"] == "n/a"
    assert found["main"].shown["Model"].tolist() == NAMES


def test_a_study_with_nothing_finished_has_its_cohort_and_settings(whole_study):
    stored, _ = whole_study
    empty = without(stored, list(stored.planned))
    empty = dataclasses.replace(empty, history=stored.history.iloc[:0])
    found = named(empty, evaluate(empty, n_replicates=100))
    assert set(found) == {"flow", "table_1", "folds", "partitions", "settings", "audit"}
    assert set(table_files(list(found.values()), "", "none")) >= {"tables.xlsx", "tables.docx", "tables/all.tex"}


def test_one_arm_without_a_baseline(whole_study):
    stored, _ = whole_study
    others = [name for name in stored.planned if not name.startswith("concat.")]
    alone = without(stored, others)
    settings = stored.settings.model_copy(update={"arms": {"concat": stored.settings.arms["concat"]}})
    planned = tuple(name for name in stored.planned if name not in others)
    alone = dataclasses.replace(alone, settings=settings, planned=planned)
    found = named(alone, evaluate(alone, n_replicates=100))
    assert (
        found["main"].shown["Model"].tolist() == ["Images + clinical data, concatenated"] and "comparisons" not in found
    )
    assert "clinical columns alone" not in found["main"].caption


def test_a_hold_out_speaks_of_no_folds(whole_study):
    stored, _ = whole_study
    keep = [name for name in stored.planned if ".r0.f0." in name]
    first = [fold for fold in stored.folds.folds if fold.place == (0, 0)]
    folds = stored.folds.changed(kind="holdout", n_folds=1, repeats=1, folds=first)
    held = without(stored, [name for name in stored.planned if name not in keep])
    held = with_protocol(dataclasses.replace(held, folds=folds, planned=tuple(keep)), repeats=1, holdout=0.3)
    found = named(held, evaluate(held, n_replicates=100))
    for name in ("main", "operating_points", "calibration", "summary_patient"):
        assert "fold" not in found[name].caption, name
    assert found["main"].caption.startswith("Held-out predictions") and "auc_by_estimand" not in found


def imported(stored, evaluation):
    """Return a study as of models trained elsewhere: no validation rows, no site, no clinical columns."""
    stored = dataclasses.replace(
        stored,
        environment=Environment(imported=Imported()),
        cohort=dataclasses.replace(
            stored.cohort, images=stored.cohort.images.assign(site=None), features=(), n_outlined=0
        ),
    )
    kept = {
        name: frame[~frame["metric"].isin(THRESHOLDS)]
        for name in ("per_fold", "intervals", "summary")
        if len(frame := getattr(evaluation, name))
    }
    return stored, dataclasses.replace(evaluation, contrasts_by_class=pd.DataFrame(), **kept)


def test_nothing_is_said_of_how_imported_models_were_trained(whole_study):
    stored, evaluation = imported(*whole_study)
    found = named(stored, evaluation)
    assert not {"settings", "compute", "auc_by_class"} & set(found)
    assert set(found["main"].shown.filter(like="Sensitivity").iloc[:, 0]) == {"n/a"}
    assert "AUC within sites" not in found["main"].shown and "without validation predictions" in found["main"].caption
    assert "Specificity achieved" not in found["operating_points"].shown
    assert "declared before the run" not in found["comparisons"].caption and "opened" not in found["flow"].caption
    assert not [
        name for name, table in found.items() if "calibrated prob" in table.caption.replace("perfectly calibrated", "")
    ]
    assert "Without validation predictions" in found["operating_points"].caption
    assert not found["table_1"].shown[""].str.startswith("site").any()
    assert set(table_files(list(found.values()), stored.cohort.notice, "t"))


def test_splits_of_which_only_the_test_parts_are_known(whole_study):
    stored, evaluation = whole_study
    tested = [fold.changed(train=[], validation=[]) for fold in stored.folds.folds]
    found = named(dataclasses.replace(stored, folds=stored.folds.changed(folds=tested)), evaluation)
    assert found["folds"].shown.columns.tolist() == ["Repeat", "Fold", "Test"]
    assert set(found["folds"].data["part"]) == {"test"}


def test_settings_say_which_arm_differs(tables):
    shown = tables["settings"].shown.set_index("Key")
    assert shown.loc["model.inputs", "Other models"] == "image (Images alone); tabular (Clinical data alone)"
    assert shown.loc["model.dropout", "Other models"] == ""
    data = tables["settings"].data
    assert set(data["arm"]) == set(ARMS[:-1]) and (data.groupby("key").size() == 4).all()


def test_settings_leave_out_what_no_arm_uses_and_the_folder_of_weights(whole_study):
    stored, evaluation = whole_study
    arms = {"tabular": stored.settings.arms["tabular"]}
    settings = stored.settings.model_copy(update={"arms": arms})
    keys = set(named(dataclasses.replace(stored, settings=settings), evaluation)["settings"].shown["Key"])
    assert "model.backbone" not in keys and "model.tabular_hidden" in keys and "model.fusion" not in keys
    weights = stored.settings.model.model_copy(update={"weights": "file:/somewhere/private/trunk.safetensors"})
    settings = stored.settings.model_copy(update={"model": weights})
    table = named(dataclasses.replace(stored, settings=settings), evaluation)["settings"]
    assert table.shown.set_index("Key").loc["model.weights", "Reference"] == "file trunk.safetensors"
    assert "private" not in table.data.to_csv()


def test_compute_counts_the_fits(whole_study, tables):
    stored, _ = whole_study
    data = tables["compute"].data.set_index("arm")
    seconds = [record.seconds for record in stored.records.values() if record.arm == "concat"]
    assert data.loc["concat", "seconds_mean"] == pytest.approx(sum(seconds) / len(seconds), rel=1e-12)
    assert data.loc["concat", "n_fits"] == len(seconds)
    baseline = tables["compute"].shown.set_index("Model").loc["Logistic regression"]
    assert baseline["Seconds a fit"] == baseline["Epochs"] == "n/a"


def test_standardised_difference_by_hand():
    assert standardised_difference(1.0, 1.0, 3.0) == pytest.approx(1 / 2**0.5)
    assert pd.isna(standardised_difference(1.0, 0.0, 0.0))


def test_counts_as_text():
    assert (whole(1448033.0), whole(float("nan")), span(3.0, 8.0), span(8.0, 8.0)) == (
        "1,448,033",
        "n/a",
        "3 to 8",
        "8",
    )


def test_files_are_the_same_each_time(whole_study):
    tables = all_tables(*whole_study)
    first, again = (table_files(tables, "made up", "Tables") for _ in range(2))
    assert first == again
    assert {f"tables/{table.name}.{kind}" for table in tables for kind in ("csv", "md", "tex")} <= set(first)
