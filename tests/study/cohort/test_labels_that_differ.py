"""Three cohorts whose labels differ within patients, each run as it came and with the option that the error names.

Made up in the shapes of contrast mammography (a label per image, some breasts with two classes), MIAS (one breast
normal, the other not) and an ultrasound set (no patients; copies of an image under two labels; the class in the name).
"""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from study import audit, cv
from study.evaluation.evaluation import evaluate
from study.records.stored_study import load_study
from study.reporting.text.label_limits import ceiling

RUN = CliRunner()
QUICK = ["--preset", "tiny", "--no-figures", "--ablation", "tabular"]


def save(file, rng):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 255, (40, 32), dtype=np.uint8)).save(file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    rng, folder = np.random.default_rng(5), tmp_path_factory.mktemp("shapes")
    contrast, mias, ultrasound = [], [], []
    for n in range(30):
        age = int(rng.integers(35, 80))
        for side in "LR":
            kind = ("Normal", "Benign", "Malignant")[int(rng.integers(3))]
            for view in ("CC", "MLO"):
                label = ("Malignant" if view == "CC" else "Benign") if n % 6 == 0 and side == "L" else kind
                contrast.append((f"images/P{n}_{side}_{view}.png", n + 1, side, view, age, label))
        sick = n % 3
        for number, side in enumerate(("left", "right")):
            label = "CIRC" if sick == number else "NORM"
            mias.append((f"mdb{2 * n + number + 1:03d}.png", f"p{n:02d}", side, age, label))
    for kind, n_images in (("benign", 20), ("malignant", 20), ("normal", 10)):
        ultrasound += [(f"{kind}/{kind} ({n + 1}).png", kind, float(rng.normal())) for n in range(n_images)]
    for name, rows, columns in (
        ("contrast", contrast, ["image", "Patient_ID", "Side", "view", "Age", "label"]),
        ("mias", mias, ["image", "patient_id", "breast", "age", "label"]),
        ("ultrasound", ultrasound, ["image", "label", "size"]),
    ):
        table = pd.DataFrame(rows, columns=columns)
        for image in table["image"]:
            save(folder / name / image, rng)
        table.to_csv(folder / name / f"{name}.csv", index=False)
    own = folder / "ultrasound"
    shutil.copy(own / "benign" / "benign (3).png", own / "malignant" / "malignant (7).png")
    return folder


def run(folder, name, *options, app=cv.app, expect=0):
    places = ["--out", f"{folder}/results", "--reports", f"{folder}/reports"]
    done = RUN.invoke(app, ["--data", f"{folder}/{name}/{name}.csv", *places, *options])
    assert done.exit_code == expect, done.output
    return " ".join(done.output.split())


def reported(folder, name):
    texts = [(folder / "reports" / name / f"{page}.md").read_text() for page in ("report", "supplement")]
    study = load_study(folder / "results" / name)
    return study, " ".join(" ".join(texts).split())


def test_contrast_mammography_runs_with_any(folder):
    asked = [*QUICK, "--ablation", "image", "--positive", "Malignant"]
    said = run(folder, "contrast", *asked, expect=2)
    assert "--conflicts any makes a case positive if any of its images is" in said
    assert "--columns breast=Side --label-level breast" in said
    run(folder, "contrast", *asked, "--conflicts", "any")
    study, text = reported(folder, "contrast-tiny-any")
    own = pd.read_csv(folder / "contrast" / "contrast.csv").set_index("image")["label"] == "Malignant"
    images = study.cohort.images.set_index("image_id")
    assert images["label"].astype(bool).equals(own.reindex(images.index).rename("label")), "images keep their labels"
    evaluation = evaluate(study, n_replicates=20)
    units = evaluation.scores.query("level == 'patient' and arm == 'image'").set_index("patient_id")["label"]
    expected = images.groupby("patient_id")["label"].max()
    assert units.sort_index().equals(expected.reindex(units.sort_index().index)), "a patient is positive if an image is"
    assert "positive if any of the patient's images is" in text


def test_torn_breasts_are_left_out_counted_and_drafted_as_a_limitation(folder):
    asked = [*QUICK, "--positive", "Malignant", "--columns", "breast=Side", "--label-level", "breast"]
    said = run(folder, "contrast", *asked, expect=2)
    assert "5 of 60 breasts (5 patients)" in said and "--conflicts exclude leaves these breasts out" in said
    said = run(folder, "contrast", *asked, "--conflicts", "exclude")
    loss = "images: 5 Benign (negative), 5 Malignant (positive); 0 patients have no image left"
    assert "Left out (--conflicts exclude): 5 of the" in said
    study, text = reported(folder, "contrast-tiny-breast-exclude")
    assert loss in text and "This selects on the outcome. A run that keeps these breasts would show" in text
    assert "breast" in study.settings.unit and len(study.cohort.images) == 110
    assert "cannot reach a breast-level AUC above" in text


def test_mias_runs_by_breast_with_patients_resampled(folder):
    asked = ["--preset", "tiny", "--no-figures", "--ablation", "tabular,image", "--positive", "CIRC"]
    said = run(folder, "mias", *asked, expect=2)
    assert "Within breasts the labels agree: --label-level breast" in said
    contrast = ["--set", 'protocol.contrasts=[["image","tabular"]]']
    run(folder, "mias", *asked, *contrast, "--label-level", "breast")
    study, text = reported(folder, "mias-tiny-breast")
    evaluation = evaluate(study, n_replicates=50)
    summary = evaluation.summary.query("level == 'breast' and metric == 'roc_auc'").set_index("arm")
    tested = evaluation.scores.query("level == 'breast' and arm == 'image'")
    assert len(tested) == 60 and tested["patient_id"].nunique() == 30 and summary.loc["image", "n_patients"] == 30
    assert summary.loc["tabular", "value"] < 0.75, "a mixed pair of breasts counts half"
    (by_patient,) = evaluation.comparisons_by_patient.to_dict("records")
    patients = evaluation.summary.query("level == 'patient' and metric == 'roc_auc'").set_index("arm")["value"]
    assert np.isclose(by_patient["difference"], patients["image"] - patients["tabular"])
    assert "Differences between models by patient" in text and "in 20 patients one breast is positive" in text
    for fold in study.folds.folds:
        assert not set(fold.train) & set(fold.test)
    numbers = json.loads((folder / "reports" / "mias-tiny-breast" / "numbers.json").read_text())
    (entry,) = (value for key, value in numbers.items() if key.startswith("contrast.") and key.endswith(".patient"))
    assert entry["value"] == by_patient["difference"] and entry["level"] == "patient"


def test_ultrasound_without_patients_runs_once_copies_are_left_out(folder):
    asked = [*QUICK, "--ablation", "image", "--positive", "malignant"]
    assert "if every image is of another patient: --columns patient_id=image." in run(
        folder, "ultrasound", *asked, expect=2
    )
    asked += ["--columns", "patient_id=image"]
    said = run(folder, "ultrasound", *asked, expect=2)
    assert "benign/benign (3).png (benign) and malignant/malignant (7).png (malignant)" in said
    assert "leave them all out with --conflicts exclude" in said
    assert "any does not say which label" in run(folder, "ultrasound", *asked, "--conflicts", "any", expect=2)
    run(folder, "ultrasound", *asked, "--conflicts", "exclude")
    study, text = reported(folder, "ultrasound-tiny-exclude")
    assert study.cohort.n_patients == len(study.cohort.images) == 48
    assert "2 images: 1 benign (negative), 1 malignant (positive)" in text
    assert "Each image counts as a patient of its own" in text
    assert "A run that keeps" not in text, "no run could keep one image under two labels"


def test_an_audit_and_a_description_list_conflicts(folder):
    asked = ["--positive", "CIRC", "--preset", "tiny"]
    file = folder / "audit.json"
    said = run(folder, "mias", *asked, "--quick", "--json", str(file), app=audit.app, expect=1)
    assert "A05" in said
    (finding,) = (one for one in json.loads(file.read_text())["findings"] if one["code"] == "A05")
    assert finding["status"] == "FAILED" and "20 of 30 cases" in finding["evidence"] and len(finding["rows"]) == 40
    said = run(folder, "mias", *asked, "--describe", "--json", str(file))
    facts = json.loads(file.read_text())
    assert ["--label-level breast" in problem for problem in facts["problems"]] == [True]
    assert facts["totals"]["images"] == 60 and "would stop the run" in said
    run(folder, "mias", *asked, "--quick", "--label-level", "breast", app=audit.app)


def test_the_ceiling_of_scores_that_are_the_same_for_both_breasts():
    rows = [("a", 1), ("a", 0), ("b", 1), ("b", 0), ("c", 0), ("c", 0), ("d", 1), ("d", 1)]
    images = pd.DataFrame(rows, columns=["patient_id", "label"])
    images = images.assign(case_id=images["patient_id"], breast=["L", "R"] * 4, age=[1, 1, 2, 2, 3, 3, 4, 4])
    assert ceiling(images, ["age"]) == 1 - 0.5 * 4 / 16, "the pairs of the two mixed patients count half"
    assert ceiling(images.assign(age=range(8)), ["age"]) == 1, "columns that differ between breasts cap nothing"


def test_breasts_can_be_compared_where_every_patient_has_a_cancer(tmp_path):
    rng, rows = np.random.default_rng(3), []
    for n in range(24):
        for side in "LR":
            label = int((side == "L") == (n % 2 == 0))
            rows += [(f"p{n}{side}{view}.png", f"P{n:02d}", side, label, 40 + n % 7) for view in ("CC", "MLO")]
    table = pd.DataFrame(rows, columns=["image", "patient_id", "breast", "label", "age"])
    for image in table["image"]:
        save(tmp_path / image, rng)
    table.to_csv(tmp_path / "t.csv", index=False)
    where = ["--out", f"{tmp_path}/results", "--reports", f"{tmp_path}/reports", "--name", "all-positive"]
    words = [*QUICK, "--data", f"{tmp_path}/t.csv", *where]
    for options in ([], ["--conflicts", "any"]):
        refused = RUN.invoke(cv.app, [*words, *options])
        assert refused.exit_code == 2 and "--label-level breast" in refused.output, refused.output
    done = RUN.invoke(cv.app, [*words, "--label-level", "breast"])
    assert done.exit_code == 0, done.output
    evaluation = evaluate(load_study(tmp_path / "results" / "all-positive"), n_replicates=50)
    areas = evaluation.summary.query("metric == 'roc_auc'").set_index("level")["value"]
    assert set(areas.index) == {"image", "breast"} and areas.notna().all() and not evaluation.gaps


def test_keys_are_compared_over_the_whole_cohort_when_a_sample_is_used(folder, tmp_path):
    table = pd.read_csv(folder / "mias" / "mias.csv").assign(image=lambda t: [f"i{n}.png" for n in t.index])
    table["label"] = (table.groupby("patient_id")["label"].transform("nunique") > 1).astype(int)
    table.loc[table["patient_id"].duplicated(), "patient_id"] = table["patient_id"].str.upper()
    table.to_csv(tmp_path / "t.csv", index=False)
    where = ["--out", f"{tmp_path}/results", "--reports", f"{tmp_path}/reports"]
    words = [*QUICK, "--data", f"{tmp_path}/t.csv", "--limit-patients", "20", *where]
    for extra in (["--dry-run"], ["--describe"]):
        text = RUN.invoke(cv.app, [*words, *extra]).output
        assert "30 keys occur in several spellings" in " ".join(text.split()), text
