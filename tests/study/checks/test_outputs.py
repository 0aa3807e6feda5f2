"""What an audit writes: the certificate, the clean list, the page; and the command."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from study import audit, ledger
from study.checks import page
from study.checks.certificate import certificate, pseudonym, to_markdown
from study.checks.clean_list import COLUMNS, clean_list, write_clean_list
from study.checks.findings import findings_of
from study.checks.reference import reference_table
from study.checks.registry import CHECKS
from study.records.finding import FAILED, Finding
from tests.study.checks.conftest import facts_of, subject_of
from tests.study.checks.test_fast import on_two_sides, patient_in_no_part, unknown_patient


def certified(subject, near=()):
    return certificate("clean", subject, read={"Cohort": "clean"}, near=near)


def test_the_certificate_confirms_that_nobody_is_in_two_parts(subject):
    found = certified(subject)
    assert found["statement"].startswith("Confirmed: in none of 5 splits")
    assert {value for row in found["overlap"] for key, value in row.items() if " and " in key} == {0}
    member = {entry["image"]: entry for entry in found["membership"]}
    for (_, fold), split in subject.folds.splits.items():
        for image in subject.images.loc[subject.images["patient_id"].isin(split.test), "image_id"]:
            assert member[image]["tested_in"] == {"0": fold}
    assert member["P000_L_CC.png"]["sha256"] == "c0"
    assert "P000" not in json.dumps([entry["patient"] for entry in found["membership"]])
    assert member["P000_L_CC.png"]["patient"] == pseudonym("P000")


def test_the_certificate_refuses_to_confirm(listing):
    found = certified(on_two_sides(listing))
    assert found["statement"].startswith("NOT confirmed: up to 1 of 240 patients")
    assert found["overlap"][0]["train and test"] == 1
    assert certified(unknown_patient(listing))["statement"].startswith(
        "NOT confirmed: 1 patient of the splits is not in"
    )
    assert (
        certified(patient_in_no_part(listing))["statement"]
        == "NOT confirmed: 1 patient of the cohort in no part of a split."
    )
    assert found["digest"] != certified(subject_of(listing))["digest"]


def test_near_duplicates_on_two_sides_qualify_the_certificate(subject):
    first = subject.folds.folds[0]

    def cluster(*patients):
        return {"images": [f"{patient}_L_CC.png" for patient in patients], "patient_keys": len(set(patients))}

    found = certified(subject, [cluster(first.test[0], first.train[0]), cluster(first.test[0])])
    assert [one["on_two_sides"] for one in found["near_duplicates"]] == [True, False]
    assert "BUT 1 cluster of images" in found["statement"]
    assert "2 clusters of near-duplicates" in to_markdown(found) and "1 on two sides" in to_markdown(found)
    assert "BUT" not in certified(subject)["statement"]
    assert "not looked for" in certified(subject, None)["statement"]


def test_the_certificate_names_copies_and_how_they_were_merged(listing):
    facts = facts_of(listing.images)
    facts.loc[[1, 13], "pixel_digest"] = ["p0", "p12"]  # a copy within P000, one of P003 under the same key
    facts.loc[17, "pixel_digest"] = "p8"  # P002 and P004 share an image
    groups = {group["pixels"]: group for group in certified(subject_of(listing, facts))["copies"]}
    assert groups["p0"]["used"] == ["P000_L_CC.png"]
    assert groups["p8"]["patient_keys"] == 2
    assert "1 group joined several patient keys" in to_markdown(certified(subject_of(listing, facts)))


def test_the_clean_list_says_what_is_known_of_every_listed_file(listing, tmp_path):
    facts = facts_of(listing.images)
    cancer_left = (listing.images["status"] == "Cancer") & (listing.images["breast"] == "L")
    facts["n_outline_pixels"] = np.where(cancer_left, 50, 0)
    facts.loc[1, "pixel_digest"] = "p0"
    facts.loc[2, "error"] = "missing"
    subject = subject_of(replace(listing, sides="pixels"), facts)
    found = clean_list(subject).set_index("image")
    assert list(clean_list(subject).columns) == list(COLUMNS)
    assert len(found) == len(listing.images)
    assert found.loc["P000_L_MLO.png", ["use", "duplicate_of"]].tolist() == ["duplicate", "P000_L_CC.png"]
    assert found.loc["P000_R_CC.png", "use"] == "missing" and pd.isna(found.loc["P000_R_CC.png", "fold"])
    assert found.loc["P003_R_CC.png", "breast_status"] == "Contralateral"
    assert found.loc["P003_L_CC.png", ["breast_status", "outlined"]].tolist() == ["Cancer", 1]
    assert set(found["fold"].dropna()) == {0, 1, 2, 3, 4}
    write_clean_list(subject, tmp_path / "clean.csv")
    assert len(pd.read_csv(tmp_path / "clean.csv")) == len(listing.images)
    assert all(f"`{name}`" in (tmp_path / "clean-columns.md").read_text() for name in COLUMNS)


def test_the_page_puts_what_failed_first_and_explains_it(subject):
    findings = [*findings_of(subject, CHECKS[1:3]), Finding("A01", FAILED, "All gone.")]
    text = page.to_markdown("x", findings)
    assert text.index("A01") < text.index("A02")
    assert "- what to do: Complete the download." in text
    assert [finding.code for finding in page.failed(findings)] == ["A01"]
    assert page.failed(findings, ("A01",)) == []
    assert "1 failed but ignored (A01)" in page.counted(findings, ("A01",))


# a phantom may have a warning by chance; this has none
SMALL = [
    "--data",
    "phantom",
    "--set",
    "data.phantom.n_patients=150",
    "--set",
    "data.phantom.height=96",
    "--set",
    "data.phantom.seed=104",
]


def run(tmp_path, *arguments, command=audit):
    places = ["--out", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]
    return CliRunner().invoke(command.app, [*arguments, *places])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("audit")


@pytest.mark.slow
def test_the_phantom_passes_every_check(place):
    done = run(place, *SMALL, "--json", str(place / "audit.json"), "--write-clean-list", str(place / "clean.csv"))
    assert done.exit_code == 0, done.output
    found = json.loads((place / "audit.json").read_text())
    doubtful = [finding for finding in found["findings"] if finding["status"] in ("FAILED", "WARNING")]
    codes = {finding["code"] for finding in doubtful}
    assert "A07" in codes <= {"A07", "A26", "A31"}, "by design; parts of few patients differ by chance"
    assert all("chance may explain" in finding["evidence"] for finding in doubtful if finding["code"] == "A26")
    made = {finding["code"] for finding in found["findings"]}
    assert made == {check.code for check in CHECKS} - {"A24", "A28", "A29", "A30", "A32"}
    folder = place / "reports" / "phantom-audit"
    assert {path.name for path in folder.iterdir()} == {"audit.md", "certificate.md", "certificate.json"}
    assert "Synthetic phantom cohort" in (folder / "audit.md").read_text()
    assert (place / "clean.csv").exists()


@pytest.mark.slow
def test_a_failed_check_is_an_exit_code_unless_it_is_ignored(place, tmp_path):
    """Folds of one's own that divide a patient."""
    run(place, *SMALL, "--quick")
    patients = sorted(pd.read_csv(place / "clean.csv")["patient_key"].unique())
    test, validation, train = patients[:50], patients[50:75], patients[75:]
    folds = {"folds": [{"repeat": 0, "fold": 0, "train": [*train, test[0]], "validation": validation, "test": test}]}
    (tmp_path / "folds.json").write_text(json.dumps(folds))
    own = [*SMALL, "--quick", "--folds", str(tmp_path / "folds.json")]
    done = run(place, *own)
    assert done.exit_code == 1 and "A25" in done.output
    assert run(place, *own, "--ignore", "a25,A27").exit_code == 0


def test_folds_that_cannot_be_read_stop_the_audit(place, tmp_path):
    entry = '{"repeat": 0, "fold": 0, "train": ["a"], "validation": [], "test": ["b"]}'
    for text, said in (
        ("{", "is not JSON"),
        (f'{{"folds": [{entry}, {entry}]}}', "repeat 0, fold 0 occurs twice"),
        ('{"folds": [' + entry.replace('["a"]', '"a"') + "]}", "train is 'a'"),
        ('{"folds": [3]}', "study's folds.json"),
        ('{"folds": [{"fold": 0}]}', "lacks"),
    ):
        (tmp_path / "folds.json").write_text(text)
        done = run(place, *SMALL, "--quick", "--folds", str(tmp_path / "folds.json"))
        assert done.exit_code == 2 and said in " ".join(done.output.split()), done.output


def test_folds_of_another_cohort_are_a_finding(place, tmp_path):
    entries = [
        {"repeat": 0, "fold": fold, "train": ["x"], "validation": ["y"], "test": [f"z{fold}"]} for fold in range(2)
    ]
    (tmp_path / "folds.json").write_text(json.dumps({"folds": entries}))
    done = run(place, *SMALL, "--quick", "--folds", str(tmp_path / "folds.json"), "--name", "other")
    assert done.exit_code == 1 and "A27" in done.output, done.output
    assert "NOT confirmed" in (place / "reports" / "other-audit" / "certificate.md").read_text()


def test_options_without_effect_are_refused(finished_study, tmp_path):
    study = ["--study", str(finished_study.folder)]
    for options, said in (
        ([*study, "--outlines", "keep", "--set", "train.lr=1"], "--outlines, --set"),
        ([*study, "--quick"], "--quick"),
        ([*study, "--limit-patients", "8"], "--limit-patients"),
        ([*study, "--name", "../x"], "--name"),
        ([*SMALL, "--write-clean-list", "clean.xlsx"], "has to be a CSV file"),
        ([*SMALL, "--ledger", "--candidates", "2"], "python -m study.ledger"),
    ):
        done = run(tmp_path, *options)
        assert done.exit_code == 2 and said in " ".join(done.output.split()), done.output


def test_options_without_effect_on_a_ledger_are_refused(finished_study, tmp_path):
    study = ["--study", str(finished_study.folder)]
    for options, said in (
        ([*study, "--seeds", "2", "--label-level", "breast"], "--label-level: with --study"),
        ([*study, "--seeds", "2", "--name", "mine"], "--name: the ledger of a study"),
        ([*study, "--ablation", "concta"], "did you mean 'concat'"),
        ([*SMALL, "--ignore", "A01"], "--ignore"),
    ):
        done = run(tmp_path, *options, command=ledger)
        assert done.exit_code == 2 and said in " ".join(done.output.split()), done.output


def test_an_audit_with_other_options_has_a_name_of_its_own(place):
    run(place, *SMALL, "--quick", "--limit-patients", "60", "--negative", "Normal")
    page_ = (place / "reports" / "phantom-vs-Normal-60-patients-quick-audit" / "audit.md").read_text()
    assert "A sample of 60 of the 150" in page_ and "Cancer against Normal" in page_
    assert "A04, A09, A10, A11, A12, A15" in page_ and "A24, A28, A29, A30, A32 (they need --study)" in page_
    run(place, *SMALL, "--quick", "--name", "mine")
    assert (place / "reports" / "mine-audit" / "audit.md").exists()


def test_an_unknown_code_is_refused_with_the_nearest(tmp_path):
    done = run(tmp_path, *SMALL, "--ignore", "A99")
    assert done.exit_code == 2 and "there is no such check" in done.output


def test_a_study_is_audited_with_its_own_folds(finished_study, tmp_path):
    done = run(tmp_path, "--study", str(finished_study.folder), "--json", str(tmp_path / "facts.json"))
    assert done.exit_code == 0, done.output
    found = {
        finding["code"]: finding["status"] for finding in json.loads((tmp_path / "facts.json").read_text())["findings"]
    }
    assert {found[code] for code in ("A24", "A25", "A27", "A28", "A32")} == {"PASSED"}
    page_ = (tmp_path / "reports" / "finished-audit" / "audit.md").read_text()
    assert "Confirmed: in none of 4 splits" in page_
    assert "The files were not looked at" in done.output


def test_a_study_of_other_images_is_refused(finished_study, tmp_path):
    done = run(tmp_path, "--study", str(finished_study.folder), "--data", "phantom", "--limit-patients", "8", "--quick")
    assert done.exit_code == 2 and "is a study of other images" in done.output


def test_the_reference_has_every_check_in_order():
    head, _, *lines = reference_table().splitlines()
    assert head == "| code | check | group | needs | at worst | made |"
    for check, line in zip(CHECKS, lines, strict=True):
        made = "at the start of a study" if check.fast else "by an audit"
        cells = [f"[{check.code}](#{check.code.lower()})", check.title, check.group, ", ".join(check.needs)]
        assert line == f"| {' | '.join([*cells, check.severity, made])} |"
