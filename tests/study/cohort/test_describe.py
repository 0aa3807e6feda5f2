import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from mmbc.data.synthetic import hospital
from study import cv

RUN = CliRunner()


def describe(folder, *arguments):
    where = ["--out", f"{folder}/results", "--reports", f"{folder}/reports", "--json", f"{folder}/facts.json"]
    done = RUN.invoke(cv.app, [*where, "--describe", *arguments])
    assert done.exit_code == 0, done.output
    return json.loads((folder / "facts.json").read_text()), " ".join(done.output.split())


def test_the_phantom_is_understood(tmp_path):
    facts, text = describe(tmp_path, "--data", "phantom", "--preset", "tiny")
    assert facts["totals"] == {"images": 128, "patients": 32, "cases": 32, "breasts": 64, "units": 32, "positive": 13}
    assert facts["problems"] == [] and "Nothing stands in the way" in text
    assert "synthetic phantom cohort, not clinical evidence" in text
    page = (tmp_path / "reports" / "phantom" / "cohort.md").read_text()
    assert "Synthetic phantom cohort" in page and "| age | numeric |" in page and "36 x 48" in page
    assert not (tmp_path / "results" / "phantom-tiny").exists(), "nothing is trained or begun"


def test_models_of_clinical_columns_without_such_a_column_would_stop(tmp_path):
    hospital.write(tmp_path / "h", 24, 5)[["File", "PatID", "Outcome"]].to_csv(tmp_path / "h" / "made.csv", index=False)
    roles = "image=File,patient_id=PatID,label=Outcome"
    flags = ["--data", f"{tmp_path}/h/made.csv", "--columns", roles, "--positive", "malignant"]
    facts, text = describe(tmp_path, *flags)
    assert "use --ablation image" in facts["problems"][0] and "Nothing stands in the way" not in text
    facts, _ = describe(tmp_path, *flags, "--ablation", "image")
    assert facts["problems"] == []


def test_problems_are_collected_and_nothing_stops(tmp_path):
    table = hospital.write(tmp_path / "h", 24, 5)
    (tmp_path / "h" / table["File"].iloc[0]).unlink()
    (tmp_path / "h" / table["File"].iloc[9]).write_bytes(b"no image")
    table["Age"] = table["Age"].astype("float").fillna(999)
    table["FamilyHistory"] = table["FamilyHistory"].where(table["PatID"] > "005", table["FamilyHistory"].str.upper())
    table.to_csv(tmp_path / "h" / "made.csv", index=False)
    roles = "image=File,patient_id=PatID,label=Outcome,breast=Side,view=Projection,site=Hospital"
    flags = ["--data", f"{tmp_path}/h/made.csv", "--columns", roles]
    facts, _ = describe(tmp_path, *flags)
    assert len(facts["problems"]) == 1 and "--positive NAME" in facts["problems"][0]
    facts, _ = describe(tmp_path, *flags, "--positive", "malignant", "--folds", "20")
    missing, doubtful, leaky, folds = facts["problems"]
    assert "1 of 96 listed images are missing" in missing and "--allow-missing-images" in missing
    assert "'Biopsy' (AUC 1.00 alone)" in leaky
    assert "use fewer folds" in folds
    assert "column 'Age' holds '999' in" in doubtful
    assert "'FamilyHistory' has one category in several spellings: 'NO', 'no'" in doubtful
    real = '["FamilyHistory=NO", "FamilyHistory=no", "FamilyHistory=YES", "FamilyHistory=yes"]'
    settled = ["--set", 'data.missing_values=["Age=999"]', "--set", f"data.real_values={real}"]
    tolerant = [
        *settled,
        "--allow-missing-images",
        "--max-unreadable",
        "1",
        "--allow-leaky-column",
        "Biopsy",
        "--folds",
        "2",
    ]
    facts, _ = describe(tmp_path, *flags, "--positive", "malignant", *tolerant)
    assert facts["problems"] == []
    left_out = pd.DataFrame(facts["tables"]["Left out"])
    assert left_out["step"].tolist() == ["missing", "unreadable"]


def test_own_arms_are_shown_with_their_question_and_differences(tmp_path):
    (tmp_path / "study.toml").write_text(
        '[arms.small]\nquestion = "Is a small one enough?"\nset = { "model.inputs" = ["image"], "model.dropout" = 0.1 }'
    )
    arguments = [
        "--data",
        "phantom",
        "--preset",
        "tiny",
        "--config",
        f"{tmp_path}/study.toml",
        "--ablation",
        "image,small",
    ]
    facts, _ = describe(tmp_path, *arguments)
    assert facts["tables"]["Arms"] == [
        {
            "arm": "image",
            "question": "How well do the mammograms alone tell?",
            "differs in": "model.inputs = ['image']",
        },
        {
            "arm": "small",
            "question": "Is a small one enough?",
            "differs in": "model.inputs = ['image'], model.dropout = 0.1",
        },
    ]


@pytest.mark.parametrize("word", ["[/benign]", "[bold]b"])
def test_classes_in_brackets_are_shown_as_they_stand(tmp_path, word):
    table = hospital.write(tmp_path / "h", 24, 5)
    table.assign(Outcome=table["Outcome"].where(table["Outcome"] == "malignant", word)).to_csv(
        tmp_path / "h" / "made.csv", index=False
    )
    roles = "image=File,patient_id=PatID,label=Outcome"
    flags = ["--data", f"{tmp_path}/h/made.csv", "--columns", roles, "--positive", "malignant", "--features", "Age"]
    plan = ["--preset", "tiny", "--ablation", "tabular", "--dry-run", "--out", f"{tmp_path}/results"]
    done = RUN.invoke(cv.app, [*flags, *plan])
    assert done.exit_code == 0 and word in done.output, done.output


def test_the_full_lists_need_no_image(real_data, tmp_path):
    facts, _ = describe(tmp_path, "--data", f"{real_data}/MINI-DDSM-Complete-JPEG-8", "--ablation", "tabular")
    assert facts["totals"]["images"] == 7808 and facts["totals"]["positive"] == 679
    assert facts["problems"] == [] and "Image files" not in facts["tables"]


def test_a_folds_file_is_read_as_a_run_reads_it(tmp_path):
    for content, reason in (
        ("[]", "--folds"),
        ('{"folds": []}', "there are no folds"),
        ("{", "is not JSON"),
        ("\ufeff[]", "--folds"),
        (9**5 * "[", "is not JSON"),
    ):
        (tmp_path / "f.json").write_text(content)
        flags = ["--data", "phantom", "--preset", "tiny", "--folds", f"{tmp_path}/f.json"]
        facts, text = describe(tmp_path, *flags)
        assert len(facts["problems"]) == 1 and reason in facts["problems"][0] and "Nothing stands" not in text
        stopped = RUN.invoke(cv.app, [*flags, "--out", f"{tmp_path}/results", "--dry-run"])
        assert stopped.exit_code == 2 and facts["problems"][0] in " ".join(stopped.output.split())
