"""A table of one's own through a whole study, however little it says."""

from dataclasses import replace

import pytest

from mmbc.data.readers import find_source
from mmbc.data.synthetic import hospital
from mmbc.deploy import load as load_model
from mmbc.errors import CohortError
from study.checks.study_start import start_findings
from study.evaluation.evaluation import evaluate
from study.records.progress import Observer
from study.records.stored_study import load_study
from study.training.preparation import prepare
from study.training.run import carry_out


def request_for(tiny, folder, name, *, arms, columns, sets=()):
    table = hospital.write(folder, 24, 5)
    table[columns].to_csv(folder / "made.csv", index=False)
    roles = {"image": "File", "patient_id": "PatID", "label": "Outcome"}
    named = [f'data.columns.{role}="{column}"' for role, column in roles.items() if column in columns]
    request = tiny.request(name, arms=arms, sets=['data.positive=["malignant"]', *named, *sets])
    return replace(request, source=find_source(str(folder / "made.csv")))


def run(tiny, folder, name, **options):
    request = request_for(tiny, folder, name, **options)
    planned = prepare(request, Observer())
    carry_out(planned, request, Observer(), command=["test"], findings=start_findings(planned, request, Observer()))
    return evaluate(load_study(planned.folder), n_replicates=50)


def test_images_patients_and_labels_are_enough(tiny, tmp_path):
    evaluation = run(tiny, tmp_path, "bare", arms="image", columns=["File", "PatID", "Outcome"])
    assert evaluation.gaps == ()
    aucs = evaluation.summary.query("metric == 'roc_auc' and level == 'patient'").set_index("arm")["value"]
    assert set(aucs.index) == {"image"}, "without a column there is no baseline"
    assert evaluation.summary.query("arm == 'image'")["value"].notna().all()
    with pytest.raises(
        CohortError, match=r"no clinical column, which the arms tabular, concat, attention need; use --abl"
    ):
        prepare(request_for(tiny, tmp_path, "x", arms="all", columns=["File", "PatID", "Outcome"]), Observer())


def test_words_numbers_and_gaps_reach_the_deployed_model(tiny, tmp_path):
    columns = ["File", "PatID", "Outcome", "Age", "FamilyHistory", "Density"]
    kinds = 'data.feature_kinds.Density=["a","b","c","d"]'
    run(tiny, tmp_path, "words", arms="concat", columns=columns, sets=[kinds, "data.missing_indicators=true"])
    predictor = load_model(tiny.folder / "words" / "cells" / "concat.r0.f0.s0")
    image = next((tmp_path / "images").glob("*.png"))
    woman = {"Age": 60, "FamilyHistory": "yes", "Density": "d"}
    assert predictor(image, woman) != predictor(image, woman | {"Density": "a"})
    assert predictor(image, woman) != predictor(image, woman | {"FamilyHistory": None})
    with pytest.raises(CohortError, match="'Density' holds values outside the order a, b, c, d: e"):
        predictor(image, woman | {"Density": "e"})


def test_folds_by_a_column_under_its_own_name(tiny, tmp_path):
    columns = ["File", "PatID", "Outcome", "Age", "Hospital"]
    sets = ["data.columns.site=Hospital", "protocol.fold_column=Hospital"]
    request = request_for(tiny, tmp_path, "by-hospital", arms="tabular", columns=columns, sets=sets)
    planned = prepare(request, Observer())
    assert [fold.name for fold in planned.folds.folds] == ["North", "South"]
    assert [feature.name for feature in planned.cohort.features] == ["Age"]


def test_other_labels_and_splits_have_names_of_their_own(tiny):
    sets = ["data.label_level=breast", "data.negative=Benign", "protocol.fold_column=site"]
    names = [tiny.plan("", arms="tabular", sets=chosen).folder.name for chosen in ([], *([one] for one in sets), sets)]
    assert names == [
        "phantom-tiny",
        "phantom-tiny-breast",
        "phantom-tiny-vs-Benign",
        "phantom-tiny-by-site",
        "phantom-tiny-vs-Benign-breast-by-site",
    ]
