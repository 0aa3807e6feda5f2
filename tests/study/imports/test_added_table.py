"""A user's table beside a study that was trained here: matched, marked, and without effect on any other number."""

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import study as api
from mmbc.errors import CohortError, ConfigError, LeakageError, SplitError, StudyError
from study import report, verify
from study.design.study_file import BASELINE
from study.evaluation.evaluation import evaluate
from study.evaluation.frames import EVALUATION
from study.imports.added_table import Addition, add_predictions
from study.records.added_predictions import UNVERIFIED
from study.records.stored_study import load_study, write_archive
from study.reporting.figures.catalogue import catalogue
from study.stats.metrics import roc_auc

RUN = CliRunner(env={"COLUMNS": "400"})
MINE = ("added", "added_contrasts")


@pytest.fixture
def table(stored):
    """One score for each patient of the first repeat, near those of an arm; labels and folds as the study's."""
    rows = stored.predictions.query("arm == 'concat' and part == 'test' and repeat == 0")
    patients = rows.groupby("patient_id", as_index=False).agg(
        label=("label", "max"), fold=("fold", "first"), logit=("logit", "max")
    )
    noise = np.random.default_rng(2).normal(0, 0.4, len(patients))
    return patients.assign(prob=1 / (1 + np.exp(-patients["logit"] - noise))).drop(columns="logit")


@pytest.fixture
def add(stored, tmp_path):
    """Write a table and add it to the study."""

    def run(table, **options):
        path = tmp_path / "mine.csv"
        table.to_csv(path, index=False)
        return add_predictions(stored, Addition(path, **options))

    return run


def test_a_table_that_excel_on_windows_saved(stored, table, tmp_path):
    text = table.drop(columns="label").assign(read_by="M\u00fcller").to_csv(index=False)
    (tmp_path / "mine.csv").write_bytes(text.encode("cp1252"))
    with pytest.raises(CohortError, match="line 2 is not UTF-8 text .*'M\u00fcller'.*--set data.encoding=cp1252"):
        add_predictions(stored, Addition(tmp_path / "mine.csv"))
    found = add_predictions(stored, Addition(tmp_path / "mine.csv", assignments=["data.encoding=cp1252"]))
    assert found.added.facts.n_rows == len(table) and "Columns not read: 'read_by'" in notes(found)


def notes(study):
    return " ".join(study.added.facts.notes)


def test_no_number_of_the_trained_arms_changes_and_the_added_one_is_by_itself(evaluated, add, table):
    before = evaluated[1]
    after = evaluate(add(table[["patient_id", "prob"]]), n_replicates=200)
    for name in EVALUATION:
        if name not in MINE:
            pd.testing.assert_frame_equal(getattr(after, name), getattr(before, name), check_exact=True, obj=name)
    assert set(after.added["arm"]) == {"mine"} and set(after.added["estimand"]) == {"E1"}
    assert after.added["note"].str.startswith(UNVERIFIED).all()
    assert after.added_contrasts["note"].str.startswith(UNVERIFIED).all()
    assert list(after.added_contrasts["second"]) == [*evaluated[0].settings.arms, BASELINE]
    assert not {"verdict", "p", "e1_p_holm", "e2_low"} & set(after.added_contrasts), "no verdict, no test, no E2"


def test_the_auc_is_the_mean_of_those_within_the_folds_of_the_study(add, table):
    value = evaluate(add(table), n_replicates=100).added.set_index("metric").loc["roc_auc"]
    by_hand = [
        roc_auc(np.ones((1, len(fold))), fold["label"].to_numpy(), fold["prob"].to_numpy())[0]
        for _, fold in table.groupby("fold")
    ]
    assert value["value"] == pytest.approx(np.mean(by_hand), rel=1e-12)
    assert value["low"] < value["value"] < value["high"] and value["n_patients"] == len(table)


def test_predictions_of_an_arm_added_again_give_its_own_numbers_and_no_difference(evaluated, stored, add):
    """Image by image, with validation rows, over both repeats: the same intervals; the difference to itself is 0."""
    rows = stored.predictions.query("arm == 'concat'")
    again = add(rows[["image_id", "patient_id", "label", "repeat", "fold", "part", "prob"]])
    assert "matched by image" in notes(again) and "same test patients" in notes(again)
    found = evaluate(again, n_replicates=200)
    own = evaluated[1].summary.query("arm == 'concat' and level == 'patient'").set_index("metric")
    theirs = found.added.set_index("metric")
    assert list(theirs.index) == list(own.index)
    columns = ["value", "low", "high"]
    np.testing.assert_allclose(theirs[columns], own[columns].loc[theirs.index], rtol=1e-7, atol=1e-9)
    line = found.added_contrasts.set_index("second").loc["concat"]
    assert abs(line["difference"]) < 1e-12 and line["n_patients"] == stored.cohort.n_patients


def test_folds_of_other_names_are_the_same_folds_and_others_are_refused(add, table):
    assert evaluate(add(table.assign(fold=table["fold"].map({0: "b", 1: "a"}))), n_replicates=100).added.equals(
        evaluate(add(table), n_replicates=100).added
    )
    with pytest.raises(
        SplitError, match=r"'fold' \(fold\) divides .*: 2 of \d+ patients are elsewhere: P\d+ \(row \d+:"
    ):
        add(table.assign(fold=table["fold"].where(~table.index.isin([3, 5]), 1 - table["fold"])))
    with pytest.raises(SplitError, match="folds.json"):
        add(table.assign(fold=0))
    with pytest.raises(SplitError, match="3 values, and the study 2 repeats"):
        add(pd.concat([table.assign(repeat=number) for number in range(3)]))
    assert "no folds" in notes(add(table.drop(columns="fold")))


def test_validation_rows_calibrate_the_added_model_and_are_never_of_a_tested_patient(add, table):
    other = table.assign(part="validation", fold=1 - table["fold"])
    both = pd.concat([table.assign(part="test"), other])
    metrics = set(evaluate(add(both), n_replicates=100).added["metric"])
    assert "sensitivity_at_90_specificity" in metrics
    assert "sensitivity_at_90_specificity" not in set(evaluate(add(table), n_replicates=100).added["metric"])
    with pytest.raises(LeakageError, match="validation part of a fold that tests them: P"):
        add(pd.concat([table.assign(part="test"), table.assign(part="validation").head(4)]))
    assert "validation rows were left out" in notes(add(both.drop(columns="fold")))


def test_unknown_patients_are_refused_by_name_and_missing_ones_are_said(add, table, stored):
    with pytest.raises(CohortError, match=r"1 of \d+ patients are not in finished: 'X9' \(row \d+\).* --predictions"):
        add(pd.concat([table, table.head(1).assign(patient_id="X9")]))
    few = add(table.iloc[3:])
    gone = ", ".join(table["patient_id"][:3])
    n = len(table)
    assert f"mine: 3 of the study's {n} tested patients have no prediction ({gone})" in notes(few)
    found = evaluate(few, n_replicates=100)
    assert set(found.added_contrasts["n_patients"]) == {n - 3} and (found.added["n_patients"] == n - 3).all()
    spelt = table.assign(patient_id=table["patient_id"].str.lower())
    with pytest.raises(CohortError, match=r"are spelt otherwise in finished: 'p\d+' \(row 2\) is 'P\d+'.* --merge-ids"):
        add(spelt)
    assert add(spelt, assignments=['data.spellings="merge"']).added.rows.equals(add(table).added.rows)


def test_labels_are_the_study_s_and_a_table_that_says_otherwise_is_refused(add, table):
    words = table.assign(label=table["label"].map({0: "benign", 1: "cancer"}))
    assert add(words).added.rows.equals(add(table).added.rows) and "column 'label'" in notes(add(words))
    assert "Labels: the study's; the table has none." in notes(add(table.drop(columns="label")))
    unnamed = notes(add(table.assign(label=1 - table["label"]).rename(columns={"label": "befund"})))
    assert "no column of the table is named as a label's. Columns not read: 'befund'; if one has" in unnamed
    wrong = table.assign(label=table["label"].where(table.index != 4, 1 - table["label"]))
    with pytest.raises(CohortError, match=rf"of 1 of \d+ patients: {table['patient_id'][4]}\."):
        add(wrong)
    with pytest.raises(CohortError, match="classes the other way round"):
        add(table.assign(label=1 - table["label"]))


def test_images_are_matched_by_file_name_and_foreign_ones_refused(add, stored):
    rows = stored.predictions.query("arm == 'image' and part == 'test' and repeat == 0")
    by_file = rows.assign(image_id="C:\\scans\\" + rows["image_id"] + ".png")[["patient_id", "image_id", "prob"]]
    assert "matched by image" in notes(add(by_file))
    assert "1 image of these patients have no prediction" in notes(add(by_file.iloc[1:]))
    with pytest.raises(CohortError, match="1 of .* rows are of images that the study does not have: other.png"):
        add(by_file.assign(image_id=by_file["image_id"].where(by_file.index != by_file.index[0], "other.png")))
    swapped = by_file.assign(patient_id=by_file["patient_id"].to_numpy()[::-1])
    with pytest.raises(CohortError, match="give an image another patient"):
        add(swapped)


def test_several_models_scales_and_names_work_as_in_predictions(add, table):
    wide = table.rename(columns={"prob": "cnn", "patient_id": "PatientID"}).assign(fusion=1 - table["prob"])
    study = add(wide.drop(columns="label"), models=("cnn", "fusion"))
    assert study.added.arms == ("cnn", "fusion")
    assert len(evaluate(study, n_replicates=100).added_contrasts) == 2 * len(study.arms)
    named = add(table.assign(arm="concat"))
    assert named.added.arms == ("concat-added",) and "'concat' is concat-added" in notes(named)
    percent = add(table.assign(prob=(100 * table["prob"]).map("{:.3f} %".format)), scale="percent")
    np.testing.assert_allclose(percent.added.rows["logit"], add(table).added.rows["logit"], atol=1e-3)
    classes = add(table.assign(prob=(table["prob"] > 0.5).astype(float)))
    hard = evaluate(classes, n_replicates=100)
    assert len(hard.added) and hard.added_contrasts.empty, "classes are not compared with scores"
    for added, evaluation, n_panels in ((study, evaluate(study, n_replicates=100), 4), (classes, hard, 1)):
        drawing = catalogue(added, evaluation)["added"]
        figure, data = drawing.draw()
        assert len(figure.axes) == n_panels and set(data["arm"]) == set(added.added.arms)
        assert UNVERIFIED in drawing.caption and ("Exploratory" in drawing.caption) == (n_panels == 4)


def test_only_a_study_that_was_trained_here_with_a_finished_arm_takes_a_table(add, table, stored, tmp_path):
    table.to_csv(tmp_path / "t.csv", index=False)
    nothing = dataclasses.replace(stored, records={}, predictions=stored.predictions.iloc[:0])
    with pytest.raises(StudyError, match="has no finished arm"):
        add_predictions(nothing, Addition(tmp_path / "t.csv"))
    own = api.evaluate(table, n_replicates=100).study.stored
    with pytest.raises(StudyError, match="put all models into one table"):
        add_predictions(own, Addition(tmp_path / "t.csv"))


def test_labels_of_breasts_are_matched_by_breast(stored, tmp_path):
    data = stored.settings.data.model_copy(update={"label_level": "breast"})
    by_breast = dataclasses.replace(stored, settings=stored.settings.model_copy(update={"data": data}))
    rows = stored.predictions.query("arm == 'image' and part == 'test' and repeat == 0")
    units = rows.groupby(["patient_id", "breast"], as_index=False).agg(logit=("logit", "mean"), label=("label", "max"))
    units.to_csv(tmp_path / "mine.csv", index=False)
    added = add_predictions(by_breast, Addition(tmp_path / "mine.csv", scale="logit", models=("logit",)))
    assert "matched by patient and breast" in notes(added)
    found = evaluate(added, n_replicates=100)
    assert set(found.added["level"]) == {"breast"}
    line = found.added_contrasts.set_index("second").loc["image"]
    assert abs(line["difference"]) < 1e-12
    units.drop(columns="breast").drop_duplicates("patient_id").to_csv(tmp_path / "mine.csv", index=False)
    with pytest.raises(CohortError, match="every row needs its breast"):
        add_predictions(by_breast, Addition(tmp_path / "mine.csv", scale="logit", models=("logit",)))


def test_an_archive_carries_what_was_added(add, table, tmp_path):
    study = add(table)
    write_archive(study, tmp_path / "archive")
    back = load_study(tmp_path / "archive")
    assert back.added.facts == study.added.facts
    pd.testing.assert_frame_equal(back.added.rows, study.added.rows, check_dtype=False)
    write_archive(dataclasses.replace(study, added=None), tmp_path / "archive")
    assert load_study(tmp_path / "archive").added is None and not (tmp_path / "archive" / "added.parquet").exists()


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_command_marks_the_added_model_wherever_it_is_shown_and_verify_recomputes_it(
    finished_study, table, tmp_path
):
    table.to_csv(tmp_path / "mine.csv", index=False)
    options = [
        "--replicates",
        "100",
        "--no-figures",
        "--reports",
        str(tmp_path),
        "--json",
        str(tmp_path / "facts.json"),
    ]
    done = RUN.invoke(report.app, [str(finished_study.folder), "--add-predictions", f"{tmp_path}/mine.csv", *options])
    assert done.exit_code == 0 and UNVERIFIED in done.output and "mine*" in done.output, done.output
    folder = tmp_path / "finished"
    for path in [*folder.rglob("*.md"), *folder.rglob("*.csv"), folder / "report.html", folder / "numbers.json"]:
        text = path.read_text()
        assert not re.search(r"\bmine\b", text) or UNVERIFIED in text, path
    assert "mine (added; " in (folder / "tables" / "main.md").read_text()
    numbers = json.loads((folder / "numbers.json").read_text())
    assert numbers["added.auc.mine"]["estimand"] == "E1" and UNVERIFIED in numbers["added.auc.mine"]["about"]
    assert {"added", "added_contrasts"} < set(json.loads((tmp_path / "facts.json").read_text()))
    checked = RUN.invoke(verify.app, [str(folder)])
    assert checked.exit_code == 0, checked.output
    rows = pd.read_parquet(folder / "study" / "added.parquet")
    rows.assign(logit=-rows["logit"]).to_parquet(folder / "study" / "added.parquet")
    checked = RUN.invoke(verify.app, [str(folder)])
    assert checked.exit_code == 1 and "study/added.parquet" in checked.output
    again = RUN.invoke(report.app, [str(finished_study.folder), *options])
    assert again.exit_code == 0 and UNVERIFIED not in again.output
    assert not (folder / "study" / "added.parquet").exists() and RUN.invoke(verify.app, [str(folder)]).exit_code == 0


def test_options_that_mean_nothing_beside_an_added_table_are_refused(finished_study, table, tmp_path):
    table.to_csv(tmp_path / "mine.csv", index=False)
    added = ["--add-predictions", f"{tmp_path}/mine.csv"]
    for words, message in (
        ([str(finished_study.folder), *added, "--notice", "x"], "--notice: means nothing with --add-predictions"),
        ([str(finished_study.folder), *added, "--features", "age"], "--features: means nothing"),
        (["--predictions", f"{tmp_path}/mine.csv", *added], "name the study"),
        ([str(finished_study.folder), "--add-predictions", f"{tmp_path}/none.csv"], "none.csv"),
    ):
        done = RUN.invoke(report.app, [*words, "--reports", str(tmp_path)])
        assert done.exit_code == 2 and message in " ".join(done.output.split()), done.output


def test_from_python_too(finished_study, table, tmp_path):
    result = api.evaluate(finished_study.folder, add_predictions=table, n_replicates=100)
    assert set(result.added["arm"]) == {"predictions"} and len(result.added_contrasts)
    result.write(tmp_path / "pack", figures=False)
    assert (tmp_path / "pack" / "study" / "added.json").exists()
    renamed = table.rename(columns={"prob": "Score", "patient_id": "who"})
    roles = {"prob": "Score", "patient_id": "who"}
    again = api.evaluate(finished_study.folder, add_predictions=renamed, columns=roles, n_replicates=100)
    assert again.added.equals(result.added)
    with pytest.raises(CohortError, match="^the table: 1 of"):
        api.evaluate(finished_study.folder, add_predictions=table.replace({table["patient_id"][0]: "X9"}))
    for wrong in ({"name": "x"}, {"notice": "x"}):
        with pytest.raises(ConfigError):
            api.evaluate(finished_study.folder, add_predictions=table, **wrong)
    with pytest.raises(ConfigError, match="name 'a/b': is a path, or begins with a dot; it is the name of a folder"):
        api.evaluate(table, name="a/b")
    with pytest.raises(ConfigError, match="name the study"):
        api.evaluate(table, add_predictions=table)
    with pytest.raises(ConfigError, match="No such file"):
        api.evaluate(finished_study.folder, add_predictions=tmp_path / "none.csv")
