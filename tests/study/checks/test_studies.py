"""Checks of a finished study: each passes on an honest one and finds its planted fault."""

import copy
from dataclasses import replace

import pandas as pd
import pytest

from study.checks import columns, studies
from study.checks.findings import findings_of, with_findings
from study.checks.subject import subject_of_study
from study.design.search_results import ChosenSettings, SearchResult
from study.design.study_file import Search
from study.records.environment import Environment, Imported
from study.records.finding import FAILED, NOT_CHECKED, PASSED, WARNING
from study.records.stored_study import load_study, write_archive
from tests.study.checks.conftest import shown

OF_STUDY = {"A24", "A28", "A29", "A30", "A31", "A32"}


def test_an_honest_study_passes(stored):
    found = {finding.code: finding.status for finding in findings_of(subject_of_study(stored))}
    assert {code: found[code] for code in ("A24", "A28", "A32")} == dict.fromkeys(("A24", "A28", "A32"), PASSED)
    assert found["A30"] == NOT_CHECKED


def a_record(stored, arm="concat"):
    return next(record for record in stored.records.values() if record.arm == arm)


def test_a_scaler_of_other_rows_is_found(stored):
    a_record(stored).preprocessing["columns"][0]["mean"] += 0.25
    found = shown(columns.preprocessing, stored)
    assert (found.status, len(found.rows)) == (FAILED, 1)


def test_an_imputer_of_other_rows_is_found(stored):
    a_record(stored, "tabular").preprocessing["rows_digest"] = "0" * 16
    assert shown(columns.preprocessing, stored).status == FAILED


def test_selection_on_test_rows_is_found(stored):
    rows = stored.predictions
    cell = (rows["arm"] == "image") & (rows["repeat"] == 0) & (rows["fold"] == 0)
    leaked = rows[cell & (rows["part"] == "test")].head(1).assign(part="validation")
    found = shown(studies.selection, replace(stored, predictions=pd.concat([rows, leaked])))
    assert found.status == FAILED
    assert found.rows == ({"cell": "image.r0.f0.s0"},)


def test_settings_tuned_on_the_tested_are_found(stored):
    notice = "optimistic: hyper-parameters were chosen on these patients"
    assert shown(studies.selection, replace(stored, cohort=replace(stored.cohort, notice=notice))).status == FAILED


def test_fits_that_were_cut_off_are_found(stored):
    for name, record in stored.records.items():
        if record.best_epoch:
            best = stored.settings.train.max_epochs if record.arm == "image" else 1
            stored.records[name] = record.changed(best_epoch=best)
    found = shown(studies.epochs, stored)
    assert found.status == WARNING
    assert "image" in found.evidence and "tabular" not in found.evidence


def with_search(stored, values, n_trials=(4, 4)):
    """The study as if dropout had been searched from 0.2 to 0.6 in two folds."""
    search = Search(trials=4, space={"model.dropout": {"range": [0.2, 0.6]}})
    chosen = tuple(
        ChosenSettings("image", 0, fold, 1, f"image.t{fold}", 0.7, (0.7,), (1,), 1, 10, False, {"model.dropout": value})
        for fold, value in enumerate(values)
    )
    trials = pd.DataFrame(
        [{"arm": "image", "repeat": 0, "fold": fold} for fold, n in enumerate(n_trials) for _ in range(n)]
    )
    settings = stored.settings.model_copy(update={"search": search})
    return replace(stored, settings=settings, searched=SearchResult(trials, chosen, pd.DataFrame()))


def test_values_at_the_edge_of_the_space_are_found(stored):
    assert shown(studies.edges, with_search(stored, (0.4, 0.3))).status == PASSED
    found = shown(studies.edges, with_search(stored, (0.2, 0.201)))
    assert found.status == WARNING
    assert "model.dropout at its lower (0.2)" in found.evidence


@pytest.mark.parametrize(
    ("kind", "ends", "value", "end", "at"),
    [
        ("log", (1e-5, 1e-1), 1.05e-5, 1e-5, True),
        ("log", (1e-5, 1e-1), 1e-4, 1e-5, False),
        ("int", (0, 4), 4, 4, True),
        ("int", (0, 4), 3, 4, False),
        ("range", (0.0, 1.0), 0.985, 1.0, True),
    ],
)
def test_what_counts_as_an_end(kind, ends, value, end, at):
    assert studies._at(value, end, ends, kind) is at


def test_an_undeclared_difference_breaks_the_contract(stored):
    a_record(stored, "attention").model.config["train"]["lr"] = 0.5
    found = shown(studies.contract, stored)
    assert found.status == FAILED
    assert "train.lr = 0.5, undeclared" in found.evidence


@pytest.mark.parametrize("fact", ["split_digest", "fit_seed", "stream_seed"])
def test_arms_that_were_not_trained_alike_break_the_contract(stored, fact):
    record = a_record(stored, "image")
    stored.records[record.name] = record.changed(**{fact: 1 if fact.endswith("seed") else "other"})
    assert shown(studies.contract, stored).status == FAILED


def test_unequal_search_budgets_break_the_contract(stored):
    broken = list(studies._unequal_budgets(with_search(stored, (0.4,), n_trials=(4, 3))))
    assert [row["what"] for row in broken] == ["image was searched with 3 trials (repeat 1, fold 2), others with 4"]
    assert list(studies._unequal_budgets(with_search(stored, (0.4,)))) == []


def test_an_unfinished_study_is_not_compared_yet(stored):
    records = {name: record for name, record in stored.records.items() if name != "image.r0.f0.s0"}
    assert shown(studies.contract, replace(stored, records=records)).status == WARNING


def test_predictions_from_elsewhere_are_not_checked(stored):
    elsewhere = replace(stored, environment=Environment(imported=Imported(file="x")))
    statuses = {
        finding.code: finding.status for finding in findings_of(subject_of_study(elsewhere)) if finding.code in OF_STUDY
    }
    assert [code for code, status in statuses.items() if status != NOT_CHECKED] == ["A31"]
    unvalidated = [fold.changed(validation=[]) for fold in stored.folds.folds]
    elsewhere = replace(elsewhere, folds=stored.folds.changed(folds=unvalidated))
    assert shown(studies.few_positives, elsewhere).status != FAILED
    assert shown(studies.few_positives, replace(stored, folds=elsewhere.folds)).status == FAILED


def test_an_archive_says_what_the_folder_says(stored, tmp_path):
    found = with_findings(stored)
    assert [finding.code for finding in found.findings] == sorted({finding.code for finding in found.findings})
    write_archive(found, tmp_path / "archive")
    again = with_findings(load_study(tmp_path / "archive"))
    assert again.archived
    assert [(f.code, f.status, f.evidence) for f in again.findings] == [
        (f.code, f.status, f.evidence) for f in found.findings
    ]


def test_the_checks_leave_the_study_as_it_was(stored):
    before = copy.deepcopy(stored.records)
    findings_of(subject_of_study(stored))
    assert stored.records == before
