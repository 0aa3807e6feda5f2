import dataclasses

import openpyxl
import pandas as pd
import pytest
from PIL import Image

from study.evaluate import evaluate
from study.paper import format as shown
from study.paper.pack import write_report
from study.paper.style import look
from study.stats.procedure import PROCEDURE

NOTICE = "synthetic phantom cohort, not clinical evidence"
FIGURES = {
    "flow", "main", "contrasts", "roc_pr", "auc_by_fold", "calibration", "risk", "confusion", "subgroups",
    "loss_accuracy", "f1_auc", "generalisation_gap", "study_grid",
}  # fmt: skip


@pytest.fixture(scope="module")
def pack(finished_study, tmp_path_factory):
    from study.record import load_study

    stored = load_study(finished_study.folder)
    evaluation = evaluate(stored, n_replicates=200)
    folder = tmp_path_factory.mktemp("reports") / "finished"
    return stored, evaluation, write_report(stored, evaluation, folder)


def test_figures_are_png_at_300_dpi_pdf_and_csv(pack):
    figures = pack[2].parent / "figures"
    assert {path.stem for path in figures.iterdir()} == FIGURES
    for name in FIGURES:
        with Image.open(figures / f"{name}.png") as image:
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
            assert image.width in (1051, 2161), "one or two journal columns"
        assert (figures / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert len(pd.read_csv(figures / f"{name}.csv"))


def test_the_notice_is_on_every_table_and_in_the_report(pack):
    _, _, report = pack
    text = report.read_text()
    n_tables = sum(line.startswith("| --- |") for line in text.splitlines())
    assert n_tables == text.count(f"**{NOTICE}.**") - len(FIGURES)
    for file in (report.parent / "tables").glob("*.csv"):
        assert (pd.read_csv(file)["notice"] == NOTICE).all(), file.name
    workbook = openpyxl.load_workbook(report.parent / "tables.xlsx")
    assert all(NOTICE in sheet["A2"].value for sheet in workbook)


def test_the_report_says_what_the_numbers_say(pack):
    stored, evaluation, report = pack
    text = report.read_text()
    line = evaluation.summary.set_index(["arm", "level", "metric"]).loc[("concat", "patient", "roc_auc")]
    assert shown.interval("roc_auc", line["value"], line["low"], line["high"]) in text
    assert f"{len(stored.cohort.images)} images of {stored.cohort.n_patients} patients" in text
    for phrase in ("For these fitted models only", "below 50 early stopping is noisy", "| used |"):
        assert phrase in text
    assert "significant" not in text.lower() and "nan" not in text.split("## Provenance")[0].split()


def test_every_figure_has_a_caption_with_its_level(pack):
    text = pack[2].read_text()
    for name in FIGURES - {"flow", "study_grid"}:
        caption = text.split(f"![{name}]")[1].split("\n\n")[1]
        assert "patient level" in caption or "image level" in caption, name


def test_a_study_with_nothing_finished_still_gets_a_report(pack, tmp_path):
    stored = dataclasses.replace(
        pack[0], records={}, predictions=pack[0].predictions.iloc[:0], history=pack[0].history.iloc[:0]
    )
    text = write_report(stored, evaluate(stored, n_replicates=100), tmp_path).read_text()
    assert "No arm is finished yet" in text and "**Unfinished: 20 of 20 cells are not there yet" in text


def test_a_study_without_one_arm_says_so_at_the_top_and_reports_the_others(pack, tmp_path):
    stored, _, report = pack
    assert "Unfinished" not in report.read_text()
    records = {name: record for name, record in stored.records.items() if not name.startswith("image.r1")}
    partial = dataclasses.replace(
        stored, records=records, predictions=stored.predictions.query("not (arm == 'image' and repeat == 1)")
    )
    head = write_report(partial, evaluate(partial, n_replicates=100), tmp_path).read_text().split("\n\n")
    assert head[2].startswith("> **Unfinished: 2 of 20 cells are not there yet")
    assert head[3].startswith("3 arms (tabular, concat and attention) were compared")
    alone = {name: record for name, record in records.items() if name.startswith("logistic")}
    partial = dataclasses.replace(
        stored,
        records=alone,
        predictions=stored.predictions.query("arm == 'logistic'"),
        history=stored.history.iloc[:0],
    )
    text = write_report(partial, evaluate(partial, n_replicates=100), tmp_path).read_text()
    assert "No arm is finished yet" in text and "none" not in text.split("## Cohort")[0]


def test_a_declared_prevalence_gives_predictive_values_and_net_benefit(pack, tmp_path):
    protocol = pack[0].settings.protocol.model_copy(update={"prevalence": 0.05})
    stored = dataclasses.replace(pack[0], settings=pack[0].settings.model_copy(update={"protocol": protocol}))
    evaluation = evaluate(stored, n_replicates=100)
    text = write_report(stored, evaluation, tmp_path).read_text()
    assert "| PPV | NPV |" in text and "| PPV | NPV |" not in pack[2].read_text()
    table = text.split("**Net benefit**")[1].split("Net benefit in true positives")[0].strip().splitlines()
    assert [line.split("|")[1].strip() for line in table[2:]] == ["2.5 %", "5 %", "10 %", "25 %"]
    middle = next(line for line in table if line.startswith("| 5"))
    assert middle.split("|")[-2].strip() in ("0.0", "0.1", "−0.1", "0.2", "−0.2", "0.3", "−0.3"), "near prevalence"


def test_both_estimands_of_every_arm_stand_beside_each_other(pack):
    """From two repeats the procedure's interval leads, and it is never narrower than that of the fitted models."""
    report = pack[2]
    table = pd.read_csv(report.parent / "tables" / "auc_by_estimand.csv").set_index(["arm", "estimand"])
    for arm in ("image", "tabular", "concat", "attention", "logistic"):
        e1, e2 = table.loc[(arm, "E1")], table.loc[(arm, "E2")]
        assert e2["method"] == PROCEDURE and e2["high"] - e2["low"] > e1["high"] - e1["low"]
        assert shown.interval("roc_auc", e2["value"], e2["low"], e2["high"]) in report.read_text()


def test_rounding():
    assert shown.interval("roc_auc", 0.84751, 0.7939, 0.9021) == "0.848 (0.794 to 0.902)"
    assert shown.interval("accuracy", 0.91349, 0.88, 0.941) == "91.3 % (88.0 to 94.1)"
    assert shown.number("roc_auc", float("nan")) == shown.number("f1", None) == "n/a"
    assert shown.listed(["a", "b", "c"]) == "a, b and c" and shown.count(1, "image") == "1 image"


def test_an_arm_keeps_its_look():
    assert look("concat", ["concat"]) == look("concat", ["image", "concat", "mine"])
    assert look("mine", ["image", "mine"]) != look("image", ["image", "mine"])


def test_table_one_by_hand(pack):
    stored = pack[0]
    table = pd.read_csv(pack[2].parent / "tables" / "table_1.csv").set_index(["characteristic", "group"])
    patients = stored.cohort.images.drop_duplicates("patient_id")
    ages = patients.groupby("status")["age"]
    assert table.loc[("age, mean (SD)", "Cancer"), "mean"] == pytest.approx(ages.mean()["Cancer"], rel=1e-12)
    assert table.loc[("Patients, n", "All"), "n"] == len(patients)
    one, other = (patients.loc[patients["label"] == label, "age"] for label in (1, 0))
    expected = (one.mean() - other.mean()) / ((one.var() + other.var()) / 2) ** 0.5
    assert table.loc[("age, mean (SD)", "All"), "standardised_difference"] == pytest.approx(expected)
    known = patients["site"] == "A"
    assert table.loc[("site A, n (%)", "All"), "share"] == pytest.approx(known.mean())
