"""Predictions of models trained elsewhere, as a study: the same numbers, the same refusals."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mmbc.errors import CohortError, ConfigError, LeakageError, MmbcError, SplitError, StudyError
from study import report
from study.design.study_file import BASELINE
from study.evaluation.evaluation import evaluate
from study.imports.imported_study import Import, default_contrasts, import_predictions
from study.records.stored_study import load_study


@pytest.fixture
def table():
    """Sixty patients, two arms, three folds, one row each; ages."""
    rng = np.random.default_rng(3)
    patients = pd.DataFrame({"patient_id": [f"P{n:02d}" for n in range(60)], "label": np.arange(60) % 3 % 2})
    patients = patients.assign(fold=np.arange(60) // 3 % 3, age=rng.integers(40, 80, 60))
    arms = [
        patients.assign(arm=arm, prob=1 / (1 + np.exp(-(patients["label"] * gain + rng.normal(size=60)))))
        for arm, gain in (("CNN (image)", 0.8), ("fusion", 1.6))
    ]
    return pd.concat(arms, ignore_index=True)


@pytest.fixture
def read(tmp_path):
    """Write a table and import it."""

    def run(table, **options):
        path = tmp_path / "mine.csv"
        table.to_csv(path, index=False)
        return import_predictions(Import(path, out=tmp_path / "results", **options))

    return run


def test_a_study_exported_and_imported_gives_the_same_numbers(stored, read):
    """The round trip over CSV: the same intervals and verdicts, from probabilities instead of logits."""
    facts = stored.cohort.images[["image_id", "age", "density"]]
    rows = stored.predictions[stored.predictions["arm"] != BASELINE].merge(facts, on="image_id")
    columns = ["image_id", "patient_id", "case_id", "breast", "view", "status", "site", "label", "age", "density"]
    again = read(rows[[*columns, "arm", "repeat", "fold", "seed", "part", "prob"]])
    assert again.imported and not stored.imported and again.history.empty
    assert again.arms == stored.arms, "the baseline is computed here, from the clinical columns"
    theirs, ours = (evaluate(study, n_replicates=200) for study in (again, stored))
    for name in ("summary", "comparisons"):
        a, b = getattr(theirs, name), getattr(ours, name)
        if name == "summary":
            a, b = (frame[frame["arm"] != BASELINE].reset_index(drop=True) for frame in (a, b))
        numeric = a.select_dtypes("number").columns
        np.testing.assert_allclose(a[numeric], b[numeric], rtol=1e-7, atol=1e-9)
    assert list(theirs.comparisons["verdict"]) == list(ours.comparisons["verdict"])


def test_labels_of_breasts_are_pooled_or_taken_by_breast_as_asked(table, read):
    """The left breast comes first and is negative in everybody: no fold is judged by a patient's first line."""
    sides = [table.assign(breast=side, label=table["label"] * (side == "R")) for side in "LR"]
    both = pd.concat(sides, ignore_index=True)
    with pytest.raises(
        CohortError, match=r"20 of 60 cases .*--label-level breast makes the breast the unit; or --conf"
    ):
        read(both)
    for asked, unit, n_units in (("conflicts=any", "patient", 60), ("label_level=breast", "breast", 120)):
        study = load_study(read(both, assignments=[f"data.{asked}"], force=True).folder)
        scores = evaluate(study, n_replicates=20).scores.query(f"level == '{unit}' and arm == 'fusion'")
        assert study.settings.unit == unit and len(scores) == n_units and scores["label"].sum() == 20
    assert study.settings.data.conflicts == "stop"


def test_without_validation_rows_probabilities_stand_as_given_and_no_threshold_is_made_up(table, read):
    study = read(table)
    evaluation = evaluate(study, n_replicates=100)
    assert set(study.settings.arms) == {"CNN-image", "fusion"}, "names fit for files and macros"
    assert "'CNN (image)' is CNN-image" in study.cohort.notes[-1]
    assert study.settings.protocol.contrasts == (("fusion", "CNN-image"),)
    metrics = set(evaluation.summary["metric"])
    assert {"roc_auc", "brier", "accuracy"} <= metrics and "sensitivity_at_90_specificity" not in metrics
    brier = evaluation.summary.set_index(["arm", "level", "metric"]).loc[("fusion", "patient", "brier"), "value"]
    mine = table[table["arm"] == "fusion"]
    assert brier == pytest.approx(((mine["prob"] - mine["label"]) ** 2).mean(), rel=1e-12)
    assert any("no validation rows" in gap for gap in evaluation.gaps)
    assert BASELINE in study.arms


def test_repeats_seeds_fold_names_and_words_are_understood(table, read):
    table["fold"] = table["fold"].map({0: "north", 1: "south", 2: "west"})
    table["label"] = table["label"].map({0: "benign", 1: "malignant"})
    twice = pd.concat([table.assign(seed=7), table.assign(seed=11, prob=table["prob"] * 0.9)])
    with pytest.raises(CohortError, match=r"which labels are positive\? Say --positive NAME"):
        read(twice)
    study = read(twice, assignments=["data.positive=malignant"])
    assert study.settings.protocol.seeds == 2 and study.folds.n_folds == 3
    assert [fold.name for fold in study.folds.folds] == ["north", "south", "west"]
    assert set(study.cohort.images["status"]) == {"benign", "malignant"}


def test_a_single_test_part_is_a_holdout(table, read):
    study = read(table.assign(fold=0))
    assert study.folds.kind == "holdout" and BASELINE not in study.arms
    assert set(evaluate(study, n_replicates=100).comparisons["verdict"]) == {"not assessed"}


def test_without_training_patients_there_is_no_baseline_and_the_report_says_so(table, read):
    """Two folds, each the validation part of the other, leave nobody to fit a logistic regression on."""
    test = table.assign(fold=table["fold"] % 2, part="test")
    study = read(pd.concat([test, test.assign(fold=1 - test["fold"], part="validation")], ignore_index=True))
    assert BASELINE not in study.arms and any("No logistic regression" in note for note in study.cohort.notes)


def spoilt(table, row, column, value):
    changed = table.astype({column: object})
    changed.loc[row, column] = value
    return changed


BAD = {
    "a missing cell": (lambda t: spoilt(t, 5, "prob", None), CohortError, r"'prob' \(prob\) is empty in rows 7"),
    "no number": (lambda t: spoilt(t, 5, "prob", "high"), CohortError, "row 7: 'high'"),
    "nan": (lambda t: spoilt(t, 5, "prob", "NaN"), CohortError, "empty in rows 7"),
    "a logit": (
        lambda t: spoilt(t, 5, "prob", 2.3),
        CohortError,
        r"between 0 and 1; 1 of 120 values is not: row 7: '2\.3'\. .* misprints",
    ),
    "an unknown label": (lambda t: spoilt(t, 5, "label", None), CohortError, "'label' .* is empty in rows 7"),
    "two labels": (lambda t: spoilt(t, 5, "label", 1 - t["label"][5]), CohortError, "'label' differs .* P05"),
    "two ages": (lambda t: spoilt(t, 5, "age", 99), CohortError, "'age' differs between rows"),
    "a patient in two folds": (
        lambda t: pd.concat([t, t[t["patient_id"] == "P07"].assign(fold=0)]),
        LeakageError,
        r"1 patient is tested in several folds: P07 \(folds",
    ),
    "validation is test": (
        lambda t: pd.concat([t.assign(part="test"), t[t["fold"] == 1].assign(part="validation")]),
        LeakageError,
        "fold 1: patients in the validation and in the test part: P03",
    ),
    "a missing pair": (
        lambda t: t.drop(index=70),
        StudyError,
        r"different patients \(60 and 59; 1 in CNN-image alone: P10\)",
    ),
    "one class in a fold": (
        lambda t: t[(t["fold"] != 1) | (t["label"] == 0)],
        SplitError,
        "fold 1: 14 patients, all with label 0",
    ),
    "a row twice": (
        lambda t: pd.concat([t, t.loc[[5]]]),
        CohortError,
        "1 of 121 rows are exact copies of others: rows 7, 122",
    ),
    "never tested": (
        lambda t: pd.concat([t.assign(repeat=0), t[t["patient_id"] != "P04"].assign(repeat=1)]),
        SplitError,
        "repeat 1: 1 patient is never tested: P04",
    ),
    "no such column": (
        lambda t: t.drop(columns="patient_id"),
        CohortError,
        r"no column is 'patient_id' \(the patient\); say which it is: --columns patient_id=NAME\. The file has .* fold",
    ),
    "no test rows": (lambda t: t.assign(part="validation"), CohortError, "no row is of the test part"),
    "another part": (lambda t: t.assign(part="holdout"), CohortError, "is test, validation or train: 'holdout'"),
    "arms alike": (
        lambda t: t.assign(arm=t["arm"].replace({"fusion": "CNN image", "CNN (image)": "CNN-image"})),
        CohortError,
        "cannot be told apart by letters and digits",
    ),
    "the baseline's name": (
        lambda t: t.assign(arm=t["arm"].replace("fusion", "logistic")),
        CohortError,
        "is that of the baseline this program fits",
    ),
    "a column that tells": (
        lambda t: t.assign(biopsy=t["label"].map({0: "benign", 1: "cancer"})),
        MmbcError,
        "'biopsy'",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_are_refused_by_row_and_column(table, read, case):
    spoil, error, message = BAD[case]
    with pytest.raises(error, match=message):
        read(spoil(table))


def test_contrasts_are_declared_or_the_usual_ones(table, read):
    assert default_contrasts(["image", "tabular", "concat"]) == (("concat", "tabular"), ("concat", "image"))
    with_columns = default_contrasts(["tabular", "concat"], baseline=True)
    assert with_columns == (("concat", "logistic"), ("concat", "tabular"))
    assert default_contrasts(["a", "concat"], baseline=True) == (("concat", "a"),)
    assert default_contrasts(["a", "b", "c"]) == (("b", "a"), ("c", "a"))
    study = read(table, contrasts=[("CNN (image)", "fusion")])
    assert study.settings.protocol.contrasts == (("CNN-image", "fusion"),), "by the names of the table"
    with pytest.raises(ConfigError, match="no arm 'other'"):
        read(table, contrasts=[("other", "fusion")])
    text = (study.folder / "study.toml").read_text()
    assert "[model]" not in text and "[train]" not in text, "nothing is made up of how models were trained"


def test_other_predictions_replace_a_study_only_where_asked_and_never_one_trained_here(table, read, tmp_path, stored):
    first = read(table)
    assert read(table).predictions.equals(first.predictions), "the same table again is no question"
    with pytest.raises(StudyError, match=r"holds the predictions of mine\.csv; use another --name, or --force"):
        read(table.assign(prob=table["prob"] ** 2))
    second = read(table.assign(prob=table["prob"] ** 2), force=True)
    assert first.folder == second.folder and not first.predictions.equals(second.predictions)
    assert load_study(tmp_path / "results" / "mine.replaced-1").predictions.equals(first.predictions)
    folder = tmp_path / "results" / "trained"
    folder.mkdir()
    (folder / "study.toml").write_bytes((stored.folder / "study.toml").read_bytes())
    with pytest.raises(StudyError, match="holds a study that was trained here"):
        read(table, name="trained")


def test_what_is_kept_says_where_it_is_from_without_a_path(table, read, tmp_path):
    study = load_study(
        read(table, command=["python", "-m", "study.report", "--predictions", str(tmp_path / "mine.csv")]).folder
    )
    assert study.environment.imported.file == "mine.csv"
    assert study.environment.command[-1] == "mine.csv"
    text = "".join(p.read_text() for p in study.folder.iterdir() if p.suffix in (".json", ".toml"))
    assert str(tmp_path) not in text


def test_the_smallest_table_there_can_be_gets_a_pack_that_says_only_what_is_so(table, tmp_path, monkeypatch):
    """Patients alone: no site, view, breast, part, seed or status; other column names, words for labels."""
    monkeypatch.chdir(tmp_path)
    table["label"] = table["label"].map({0: "benign", 1: "malignant"})
    table.rename(columns={"prob": "Score", "age": "Age (years)"}).to_csv("mine.csv", index=False, sep=";")
    named = ["--columns", "prob=Score", "--positive", "malignant"]
    done = CliRunner().invoke(report.app, ["--predictions", "mine.csv", *named, "--replicates", "100", "--no-figures"])
    assert done.exit_code == 0, done.output
    assert "Report: reports/mine/report.md" in done.output and "n/a" in done.output
    text = "\n".join(path.read_text() for path in (tmp_path / "reports" / "mine").glob("*.md"))
    untrue = (
        "60 images",
        "breast level",
        "image level",
        " view",
        "by site",
        "before the run",
        "calibrated probability",
        "was opened",
    )
    assert [words for words in untrue if words in text] == []
    true = (
        "were not analysed: Age (years) < 50",
        "no validation rows",
        "a logistic regression",
        "Every patient has one label",
        "malignant",
        "Whether fusion or CNN-image is better remains open",
    )
    assert [words for words in true if words not in text] == []
    assert not (tmp_path / "reports" / "mine" / "tables" / "summary_image.csv").exists()
    assert "train" not in (tmp_path / "reports" / "mine" / "tables" / "folds.md").read_text().lower().split("|")


def test_patients_under_two_spellings_are_not_two_patients(table, read):
    """A second row of each, in another fold under another spelling, is the leak that the folds are checked for."""
    again = table.assign(patient_id=table["patient_id"].str.lower(), fold=(table["fold"] + 1) % 3)
    both = pd.concat([table, again], ignore_index=True)
    with pytest.raises(CohortError, match=r"60 keys occur in several spellings: 'P00' \(row 2\) and 'p00' \(row 122\)"):
        read(both)
    with pytest.raises(LeakageError, match="60 patients are tested in several folds"):
        read(both, assignments=["data.spellings=merge"])
    distinct = read(both, assignments=["data.spellings=distinct"], name="distinct")
    assert distinct.cohort.n_patients == 120


def test_arms_that_spell_patients_otherwise_are_joined_when_asked(table, read):
    other = table["patient_id"].where(table["arm"] == "fusion", table["patient_id"] + ".0")
    joined = read(table.assign(patient_id=other), assignments=["data.spellings=merge"])
    assert joined.cohort.n_patients == 60
    assert "60 patient keys were joined" in " ".join(joined.cohort.notes)
