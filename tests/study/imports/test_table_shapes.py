"""Predictions in the shapes people have: the same numbers from all of them, or an error that says the way on."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mmbc.config import DataConfig
from mmbc.errors import CohortError, ConfigError
from study import report
from study.design.study_file import BASELINE
from study.evaluation.doubts import CHECK, doubts
from study.evaluation.evaluation import evaluate
from study.imports.imported_study import Import, import_predictions
from study.imports.predictions_table import read_predictions
from study.imports.score_scale import logits_of, read_scores

N = 60
RNG = np.random.default_rng(3)
LABEL = np.arange(N) % 3 % 2
PROB = {
    arm: 1 / (1 + np.exp(-(LABEL * gain - 0.5 + RNG.normal(size=N)))) for arm, gain in (("cnn", 0.8), ("fusion", 2))
}
PATIENTS = pd.DataFrame({"patient_id": [f"P{n:02d}" for n in range(N)], "label": LABEL, "fold": np.arange(N) // 3 % 3})
WIDE = PATIENTS.assign(**PROB, age=RNG.integers(40, 80, N))
LONG = pd.concat([WIDE.drop(columns=["cnn", "fusion"]).assign(arm=arm, prob=PROB[arm]) for arm in PROB])
SINGLE = PATIENTS.drop(columns="fold").assign(prob=PROB["fusion"])


@pytest.fixture
def read(tmp_path):
    """Write a table and read it; the rows with their logits, the roles, and the notes in one text."""

    def run(table, *, index=False, positive=(), columns=None, features=(), **options):
        path = tmp_path / "mine.csv"
        table.to_csv(path, index=index)
        data = DataConfig(positive=positive, columns=columns or {}, features=features)
        rows, roles, notes = read_predictions(path, data, **options)
        return rows, roles, " ".join(notes)

    return run


@pytest.fixture
def study(tmp_path):
    """Write a table and import it."""

    def run(table, **options):
        path = tmp_path / "mine.csv"
        table.to_csv(path, index=False)
        return import_predictions(Import(path, out=tmp_path / "results", **options))

    return run


def logits(rows, arm="model"):
    return rows.loc[rows["arm"] == arm, "logit"].to_numpy()


def test_a_column_a_model_gives_the_study_of_a_row_a_prediction(study):
    long, wide = study(LONG, name="long"), study(WIDE, name="wide")
    assert long.predictions.equals(wide.predictions) and long.arms == ["cnn", "fusion", BASELINE]
    assert "Each of these columns was taken as a model: 'cnn', 'fusion'." in " ".join(wide.cohort.notes)


@pytest.mark.parametrize("names", [("prob_cnn", "prob_fusion"), ("cnn score", "Fusion Score"), ("p.cnn", "p.fusion")])
def test_models_are_found_by_what_their_columns_are_called(read, names):
    rows, _, notes = read(WIDE.rename(columns=dict(zip(("cnn", "fusion"), names, strict=True))))
    assert [arm.lower() for arm in rows["arm"].unique()] == ["cnn", "fusion"] and names[0] in notes
    assert "age" in rows


def test_what_could_be_a_model_and_a_clinical_share_is_asked_about(read):
    unclear = WIDE.rename(columns={"cnn": "prob_cnn"}).assign(ki67=0.3 + 0.001 * np.arange(N))
    with pytest.raises(CohortError, match="'prob_cnn', 'fusion', 'ki67' could each be a model's .* --models"):
        read(unclear)
    rows, _, _ = read(unclear, models=("prob_cnn", "fusion"))
    assert list(rows["arm"].unique()) == ["cnn", "fusion"] and "ki67" in rows
    rows, _, notes = read(WIDE.rename(columns={"cnn": "prob_cnn", "fusion": "prob_fusion"}), models=("prob_cnn",))
    assert "prob_fusion" not in rows and "not used: 'prob_fusion'" in notes, "a model left aside is no clinical column"
    with pytest.raises(CohortError, match="'prob', 'prob_cnn' could each be"):
        read(SINGLE.assign(prob_cnn=PROB["cnn"]))
    with pytest.raises(CohortError, match="--models other: .* no such column"):
        read(WIDE, models=("other",))


def test_probabilities_of_classes_are_not_models(read):
    two = SINGLE.rename(columns={"prob": "p1"}).assign(p0=1 - SINGLE["prob"])
    rows, _, notes = read(two)
    np.testing.assert_allclose(logits(rows), logits_of(PROB["fusion"]), rtol=1e-12)
    assert "not used: 'p0'" in notes
    named = two.rename(columns={"p0": "prob_benign", "p1": "prob_malignant"})
    assert logits(read(named, positive=("malignant",))[0]).tolist() == logits(rows).tolist()
    with pytest.raises(CohortError, match="add up to 1 in every row.* --columns prob=NAME"):
        read(named)
    assert read(named, columns={"prob": "prob_malignant"})[0].columns.tolist().count("prob_benign") == 0
    three = two.drop(columns="p1").assign(p1=SINGLE["prob"] / 2, p2=SINGLE["prob"] / 2)
    with pytest.raises(CohortError, match=r"--positive with the word .* add up their probabilities"):
        read(three)
    words = three.rename(columns={"p0": "prob_normal", "p1": "prob_benign", "p2": "prob_cancer"})
    rows, _, notes = read(words, positive=("cancer",))
    np.testing.assert_allclose(logits(rows), logits_of(PROB["fusion"] / 2), rtol=1e-12)
    assert "not used: 'prob_normal', 'prob_benign'" in notes and rows["arm"].nunique() == 1


def test_columns_that_predictions_come_with_are_no_clinical_ones(read):
    extra = SINGLE.assign(y_pred=1, logit=0.3, loss=RNG.normal(size=N), age=LONG["age"][:N])
    rows, _, notes = read(extra, index=True)
    assert "Columns not used: 'Unnamed: 0', 'y_pred', 'logit', 'loss'." in notes
    assert "age" in rows and not {"Unnamed: 0", "y_pred", "logit_x", "loss"} & set(rows)
    assert "loss" in read(extra, features=("loss",))[0], "unless asked for"


def test_a_column_that_differs_between_predictions_is_left_out_and_one_misprint_is_not(study):
    kept = study(LONG.assign(epoch=RNG.integers(1, 99, 2 * N)))
    assert "differ between the predictions of an image: 'epoch'" in " ".join(kept.cohort.notes)
    assert [feature.name for feature in kept.cohort.features] == ["age"]
    with pytest.raises(CohortError, match="'age' differs between rows"):
        study(LONG.reset_index(drop=True).assign(age=lambda t: t["age"].where(t.index != 5, 99)), name="two")


def test_usual_names_are_taken_where_one_fits_and_said(read):
    named = SINGLE.rename(columns={"patient_id": "Subject ID", "label": "y_true", "prob": "y_score"})
    rows, roles, notes = read(named)
    assert (roles["patient_id"], roles["label"], roles["prob"]) == ("Subject ID", "y_true", "y_score")
    assert "'Subject ID' as patient_id, 'y_true' as label, 'y_score' as prob" in notes
    np.testing.assert_array_equal(logits(rows), logits_of(PROB["fusion"]))
    assert read(named.assign(y_pred=0))[1]["prob"] == "y_score", "classes beside scores are not the scores"
    assert read(SINGLE.rename(columns={"prob": "pred"}))[1]["prob"] == "pred"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            SINGLE.rename(columns={"prob": "y_prob"}).assign(score=PROB["cnn"]),
            "several columns could be 'prob': y_prob",
        ),
        (
            SINGLE.rename(columns={"patient_id": "patient"}).assign(subject=range(N)),
            "could be 'patient_id': patient, su",
        ),
        (SINGLE.assign(y_true=1 - LABEL), "'label' and 'y_true' could both be the label and differ in 60 rows"),
        (
            SINGLE.rename(columns={"prob": "result"}).assign(result="x"),
            r"no column is 'prob' .* patient_id, label, result",
        ),
        (
            SINGLE.drop(columns="label"),
            r"no column is 'label' \(the true class\); say which it is: --columns label=NAME",
        ),
        (SINGLE.rename(columns={"prob": "logit"}), "holds logits, by its name; say --scale logit"),
        (WIDE.assign(cnn=WIDE["cnn"].where(WIDE.index != 7)), r"'cnn' \(prob\) is empty in rows 9"),
    ],
)
def test_what_is_not_clear_lists_the_columns_and_the_way_on(read, table, message):
    with pytest.raises(CohortError, match=message):
        read(table)


def test_predictions_of_scikit_learn_with_their_index(read):
    frame = pd.DataFrame({"y_true": LABEL, "y_prob": PROB["fusion"]})
    with pytest.raises(CohortError, match=r"if every row is another patient: --columns \"patient_id=Unnamed: 0\""):
        read(frame, index=True)
    rows, _, _ = read(frame, index=True, columns={"patient_id": "Unnamed: 0"})
    assert rows["patient_id"].nunique() == N
    assert read(frame.set_index(PATIENTS["patient_id"]), index=True)[0]["patient_id"].tolist() == [
        *PATIENTS["patient_id"]
    ]


@pytest.mark.parametrize("write", ["{:.1f}", "{:.1f}%", "{:.1f} %", "{:.1f}\N{NO-BREAK SPACE}%"])
@pytest.mark.parametrize("comma", [False, True])
def test_percent_is_asked_about_and_never_changes_the_auc(write, comma, study):
    values = [write.format(100 * value) for value in PROB["fusion"]]
    table = SINGLE.assign(prob=[value.replace(".", ",") for value in values] if comma else values)
    with pytest.raises(CohortError, match="--scale percent"):
        study(table)
    percent = study(table, scale="percent")
    rounded = study(SINGLE.assign(prob=SINGLE["prob"].round(3)), name="rounded")
    np.testing.assert_allclose(percent.predictions["logit"], rounded.predictions["logit"], rtol=1e-9)


def test_logits_are_asked_about_and_kept_as_they_are(read):
    scores = 30 * logits_of(PROB["fusion"])
    table = SINGLE.assign(prob=scores)
    with pytest.raises(CohortError, match="look like logits, or another score without bounds: --scale logit"):
        read(table)
    np.testing.assert_array_equal(logits(read(table, scale="logit")[0]), scores)
    assert "lie between 0 and 1; as asked" in read(SINGLE, scale="logit")[2]
    assert "No value of 'prob' is above 1; as asked" in read(SINGLE, scale="percent")[2]
    with pytest.raises(ConfigError, match="did you mean 'percent'"):
        read(SINGLE, scale="percents")


@pytest.mark.parametrize(
    ("values", "scale", "message"),
    [
        (["12%", "40", "30%"], "percent", "2 of 3 values have a percent sign, the others none: row 1: '40'"),
        (["1", "4", "5"], "probability", "look like ratings: --scale logit"),
        (["-1", "40", "130"], "percent", r"percent .* between 0 and 100; 2 of 3 values are not"),
        (["12%", "40%", "30%"], "logit", "say --scale percent"),
        (["120", "400", "30"], "probability", "neither probabilities nor percent"),
        (["high", "0.2", "0.3"], "probability", "must hold numbers; 1 of 3 values is not: row 0: 'high'"),
    ],
)
def test_values_off_the_scale_stop_with_what_they_look_like(tmp_path, values, scale, message):
    with pytest.raises(CohortError, match=message):
        read_scores(tmp_path / "t.csv", pd.Series(values, dtype="str"), "prob", scale)


def test_two_different_probabilities_never_become_equal():
    probs = np.array([0, 1e-14, 1e-12, 1e-9, 0.5, 1 - 1e-10, 1 - 1e-12, 1])
    assert (np.diff(logits_of(probs)) > 0).all() and np.isfinite(logits_of(probs)).all()
    usual = np.array([0, 0.2, 1])
    edged = usual.clip(1e-9, 1 - 1e-9)
    np.testing.assert_array_equal(logits_of(usual), np.log(edged) - np.log1p(-edged))


def test_a_test_set_without_folds_is_one_test_part_and_the_report_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    SINGLE.to_csv("mine.csv", index=False)
    done = CliRunner().invoke(report.app, ["--predictions", "mine.csv", "--replicates", "100", "--no-figures"])
    assert done.exit_code == 0 and "the table has no column 'fold'" in done.output
    text = (tmp_path / "reports" / "mine" / "report.md").read_text()
    assert (
        "tested on one test part" in text
        and "no cross-validation" in text
        and "The study evaluated one model on" in text
    )


def test_a_column_of_parts_is_understood_and_training_rows_are_left_out(read):
    halves = np.where(np.arange(N) % 2, "train", "test")
    rows, roles, notes = read(SINGLE.assign(split=halves))
    assert roles["part"] == "split" and len(rows) == N // 2 and "30 rows of the training part" in notes
    rows, roles, _ = read(WIDE.assign(split=halves))
    assert "part" not in roles and len(rows) == 2 * N, "the division of the data set says nothing about folds"
    assert "split" not in rows


def test_file_names_tell_the_images_of_a_patient_apart(read):
    four = pd.concat([SINGLE.assign(filename=SINGLE["patient_id"] + f"_{view}.png") for view in range(4)])
    rows, roles, notes = read(four)
    assert roles["image_id"] == "filename" and rows["image_id"].nunique() == 4 * N and "taken as image_id" in notes


def test_copies_of_rows_and_contradictions_are_told_apart(study):
    some = SINGLE.iloc[[3, 4]]
    with pytest.raises(CohortError, match=r"2 of 62 rows are exact copies of others: rows 5, 62, rows 6, 63"):
        study(pd.concat([SINGLE, some]))
    with pytest.raises(CohortError, match=r"rows 5, 62, 6, 63 predict the same thing with different values \(P03, arm"):
        study(pd.concat([SINGLE, some.assign(prob=0.3)]))


def test_reversed_scores_are_said_aloud_and_not_turned_round(study):
    reversed_ = study(SINGLE.assign(prob=1 - SINGLE["prob"]))
    said = doubts(reversed_, evaluate(reversed_, n_replicates=100))
    assert any("may be reversed" in text and "model 0." in text for text in said)
    right = study(SINGLE, name="right")
    assert not any("reversed" in text for text in doubts(right, evaluate(right, n_replicates=100)))


def test_classes_are_not_contrasted_with_scores(study):
    table = WIDE.assign(hard=(WIDE["cnn"] > 0.5).astype(int))
    models = ("cnn", "fusion", "hard")
    hard = study(table, models=models)
    assert hard.settings.protocol.contrasts == (("fusion", "cnn"),)
    evaluation = evaluate(hard, n_replicates=100)
    assert "hard" not in set(evaluation.against_baseline["first"]) and "cnn" in set(
        evaluation.against_baseline["first"]
    )
    areas = evaluation.per_fold.query("arm == 'hard' and level == 'patient'").set_index("metric")["value"]
    np.testing.assert_allclose(areas["roc_auc"].mean(), areas["balanced_accuracy"].mean(), rtol=1e-12)
    assert any("hard gives two classes, not scores: the AUC is the balanced" in t for t in doubts(hard, evaluation))
    with pytest.raises(ConfigError, match="contrast fusion:hard: hard gives two classes"):
        study(table, models=models, contrasts=[("fusion", "hard")], name="asked")


def test_a_fold_that_no_arm_has_and_arms_of_different_patients_are_said_aloud(study):
    four = WIDE.assign(fold=np.arange(N) // 3 % 4)
    part = study(four[four["fold"] != 2])
    assert any(
        note.startswith(f"{CHECK}folds 0, 1, 3 are there, but no arm has a row of fold 2") for note in part.cohort.notes
    )
    whole = study(four.assign(fold=four["fold"] + 1), name="from-1")
    assert not any("no arm has a row" in note for note in whole.cohort.notes)


def test_a_table_that_excel_on_windows_saved(tmp_path):
    text = SINGLE.assign(patient_id="K\u00f6ln " + SINGLE["patient_id"]).to_csv(index=False, sep=";")
    (tmp_path / "t.csv").write_bytes(text.encode("cp1252"))
    with pytest.raises(CohortError, match="line 2 is not UTF-8 text .*'K\u00f6ln'.*--set data.encoding=cp1252"):
        read_predictions(tmp_path / "t.csv", DataConfig())
    rows, _, _ = read_predictions(tmp_path / "t.csv", DataConfig(encoding="cp1252"))
    assert rows["patient_id"].iloc[0] == "K\u00f6ln P00" and len(rows) == N


def test_the_last_digit_of_32_bits_is_no_misprint(read):
    rows, _, _ = read(SINGLE.assign(prob=[1.0000001, *SINGLE["prob"][1:]]))
    assert logits(rows)[0] == logits(rows).max()
    with pytest.raises(CohortError, match="1 of 60 values is not: row 2: '1.001'"):
        read(SINGLE.assign(prob=[1.001, *SINGLE["prob"][1:]]))


def test_both_breasts_of_a_patient_under_two_keys(study):
    sides = pd.concat([WIDE.assign(patient_id=WIDE["patient_id"] + side) for side in ("_L", "_R")])
    with pytest.raises(CohortError, match="60 keys occur in several spellings: 'P00_L' .* and 'P00_R' .*--merge-ids"):
        study(sides)


MARKUP = ["[/red]", "[bold]x", "[/]", "[link=x]y[/link]"]


@pytest.mark.parametrize("word", MARKUP)
def test_words_in_brackets_are_words(tmp_path, word):
    """What a screen would take for colours is printed as it stands."""
    PATIENTS.assign(prob=PROB["cnn"], label=np.where(LABEL, word, "no")).to_csv(tmp_path / "p.csv", index=False)
    places = ["--out", f"{tmp_path}/r", "--reports", f"{tmp_path}/rep", "--no-figures", "--replicates", "100"]
    options = ["--predictions", f"{tmp_path}/p.csv", "--positive", word, "--notice", f"made up {word}"]
    done = CliRunner(env={"COLUMNS": "300"}).invoke(report.app, [*options, *places])
    assert done.exit_code == 0 and f"made up {word}" in done.output, done.output


def test_what_people_export_is_read_or_asked_about_with_the_option(read, tmp_path):
    classes = SINGLE.rename(columns={"prob": "prob_fg"}).assign(pred=(SINGLE["prob"] > 0.5).astype(int))
    rows, roles, _ = read(classes)
    assert roles["prob"] == "prob_fg" and logits(rows, "fg").tolist() == logits_of(PROB["fusion"]).tolist()
    for name in ("case", "Case ID", "identifier", "groups", "filename"):
        with pytest.raises(CohortError, match=rf"if '{name}' is another one .* --columns '?patient_id={name}"):
            read(SINGLE.rename(columns={"patient_id": name}))
    pair = SINGLE.drop(columns="prob").assign(logit_0=-1.0, logit_1=np.linspace(-1, 1, N))
    with pytest.raises(CohortError, match="'logit_0', 'logit_1' as logits of classes .* the positive class.s minus"):
        read(pair, scale="logit")
    for text in ("[{0:.3f}, {1:.3f}]", "[{0:.3f} {1:.3f}]", "tensor({1:.3f})"):
        with pytest.raises(CohortError, match="One number a row is needed, that of the positive class"):
            read(SINGLE.assign(prob=[text.format(1 - p, p) for p in SINGLE["prob"]]))
    SINGLE.to_csv(tmp_path / "de.csv", index=False, sep=";", decimal=",", encoding="utf-8-sig")
    rows, _, _ = read_predictions(tmp_path / "de.csv", DataConfig())
    np.testing.assert_allclose(logits(rows), logits_of(PROB["fusion"]), rtol=1e-12)
    sheet = SINGLE.rename(columns={"patient_id": "PatientID", "prob": "Score"})
    sheet.assign(Score=[f"{100 * p:.1f} %" for p in sheet["Score"]]).to_excel(tmp_path / "t.xlsx", index=False)
    rows, roles, _ = read_predictions(tmp_path / "t.xlsx", DataConfig(), scale="percent")
    assert roles["patient_id"] == "PatientID" and np.corrcoef(logits(rows), logits_of(PROB["fusion"]))[0, 1] > 0.999
