"""The R script of a report makes its numbers again, for every kind of study, and says so when one was changed."""

import dataclasses
import gzip
import shutil
import subprocess

import pandas as pd
import pytest

from study.evaluation.evaluation import evaluate
from study.reporting import r_script
from study.reporting.differences import differences
from study.reporting.r_script import r_files
from study.reporting.tables import all_tables, to_csv
from study.reporting.verification import verify
from tests.study.reporting.conftest import few_figures
from tests.study.reporting.test_figures import altered, breasts, half_finished, hold_out, three_seeds, with_prevalence

needs_r = pytest.mark.skipif(shutil.which("Rscript") is None, reason="Rscript is not installed")


def without_validation(study):
    return altered(study, study.predictions[study.predictions["part"] == "test"])


def perfect(study):
    """One model separates both classes everywhere, another in one test part."""
    rows = study.predictions.copy()
    away = 100 * (2 * rows["label"] - 1)
    rows.loc[rows["arm"] == "image", "logit"] += away
    rows.loc[(rows["arm"] == "concat") & (rows["fold"] == 0), "logit"] += away
    return altered(study, rows)


def three_seeds_once(study):
    return three_seeds(altered(study, study.predictions[study.predictions["repeat"] == 0], repeats=1))


CASES = {
    "two repeats": with_prevalence,
    "three seeds": three_seeds,
    "three seeds of one repeat": three_seeds_once,
    "hold-out": hold_out,
    "half": half_finished,
    "breasts": breasts,
    "perfect": perfect,
    "no validation rows": without_validation,
}


def written(study, folder):
    """Write the files that the script needs, and return its folder."""
    evaluation = evaluate(study, n_replicates=100)
    files = {f"tables/{table.name}.csv": to_csv(table, "made up").encode() for table in all_tables(study, evaluation)}
    for name, data in (files | r_files(study, evaluation, "made up")).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder / "R"


def run(folder):
    """Run the script from elsewhere; return its status and what it printed."""
    done = subprocess.run(["Rscript", folder / "main_table.R"], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


ONCE = ("two repeats", "three seeds of one repeat", "hold-out")


@needs_r
@pytest.mark.parametrize(
    "case", [case if case in ONCE else pytest.param(case, marks=pytest.mark.exhaustive) for case in CASES]
)
def test_every_number_comes_out_again(case, evaluated, tmp_path):
    study = CASES[case](evaluated[0])
    status, printed = run(written(study, tmp_path))
    assert status == 0 and "numbers agree with the pack." in printed, printed
    shown = pd.read_csv(tmp_path / "tables" / "main.csv").set_index("arm")
    for arm in shown.index[shown["state"] == "finished"]:
        assert f"{shown.loc[arm, 'brier']:.4f} (" in printed
    assert ("Sensitivity at 90" in printed) == (case != "no validation rows")


@needs_r
def test_a_changed_number_is_named_and_fails(evaluated, tmp_path):
    folder = written(with_prevalence(evaluated[0]), tmp_path)
    table = tmp_path / "tables" / "main.csv"
    lines = pd.read_csv(table)
    lines.loc[lines["arm"] == "concat", "brier_high"] += 2e-5
    lines.to_csv(table, index=False)
    status, printed = run(folder)
    assert status == 1 and "1 DIFFER" in printed and "concat, Brier score" in printed
    path = tmp_path / "tables" / "comparisons.csv"
    path.write_text(path.read_text().replace("not assessed", "better", 1))
    status, printed = run(folder)
    assert status == 1 and "verdict" in printed


@needs_r
def test_changed_predictions_fail(evaluated, tmp_path):
    folder = written(evaluated[0], tmp_path)
    rows = pd.read_csv(folder / "predictions.csv")
    rows.loc[rows["part"] == "validation", "logit"] *= 1.01
    rows.to_csv(folder / "predictions.csv", index=False)
    status, printed = run(folder)
    assert status == 1 and "calibration of cell" in printed


def test_the_predictions_are_those_of_the_evaluation_without_keys(evaluated):
    study, evaluation = evaluated
    rows = r_script.unit_predictions(study, evaluation)
    scores = evaluation.scores[evaluation.scores["level"] == evaluation.unit]
    test = rows[rows["part"] == "test"]
    assert test["prob_calibrated"].tolist() == scores["prob_calibrated"].tolist()
    assert test["patient"].nunique() == study.cohort.n_patients == rows["patient"].max()
    assert not {"patient_id", "case_id"} & {*rows}
    pairs = pd.DataFrame({"number": test["patient"].to_numpy(), "key": scores["patient_id"].to_numpy()})
    assert len(pairs.drop_duplicates()) == study.cohort.n_patients, "a number stands for the same patient everywhere"


def test_large_predictions_are_compressed_alike_every_time(evaluated, monkeypatch):
    study, evaluation = evaluated
    plain = r_files(study, evaluation, "a notice")["R/predictions.csv"]
    monkeypatch.setattr(r_script, "LARGEST", 1000)
    packed = r_files(study, evaluation, "a notice")
    assert gzip.decompress(packed["R/predictions.csv.gz"]) == plain and "R/predictions.csv" not in packed
    assert packed == r_files(study, evaluation, "a notice")
    other = gzip.compress(plain.replace(b"validation", b"test", 1))
    assert [one.where for one in differences("R/predictions.csv.gz", other, packed["R/predictions.csv.gz"])] != []
    assert not list(differences("R/predictions.csv.gz", gzip.compress(plain, 1), packed["R/predictions.csv.gz"]))


@needs_r
def test_r_reads_compressed_predictions(evaluated, tmp_path, monkeypatch):
    monkeypatch.setattr(r_script, "LARGEST", 1000)
    folder = written(evaluated[0], tmp_path)
    assert (folder / "predictions.csv.gz").is_file() and run(folder)[0] == 0


def test_verify_reads_them(packed, tmp_path):
    folder = shutil.copytree(packed, tmp_path / "finished")
    path = folder / "R" / "predictions.csv"
    path.write_text(path.read_text().replace(",test,", ",validation,", 1))
    (folder / "R" / "notes.R").write_text("x")
    with few_figures():
        found = {(one.file, one.where) for one in verify(folder)}
    assert ("R/predictions.csv", "row 2, column 'part'") in found
    assert {file for file, _ in found} == {"R/predictions.csv", "R/notes.R"}


def test_nothing_is_written_of_a_study_without_a_finished_model(evaluated):
    study, evaluation = evaluated
    empty = dataclasses.replace(evaluation, summary=pd.DataFrame())
    assert r_files(study, empty, "") == {}
