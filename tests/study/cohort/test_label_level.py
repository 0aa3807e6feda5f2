"""Labels per breast through a whole study: training, evaluation at the breast, report."""

from dataclasses import replace

import numpy as np
import pytest

from study.evaluation.evaluation import evaluate
from study.records.stored_study import load_study
from study.reporting.manifest import Options
from study.reporting.pack import write_pack

BREAST = ["data.label_level=breast"]


@pytest.fixture(scope="module")
def breasts(tiny):
    planned = tiny.run("breasts", arms="image,tabular", sets=BREAST)
    return load_study(planned.folder)


def test_the_contralateral_breast_is_negative_and_stays_with_its_patient(breasts):
    images = breasts.cohort.images
    by_breast = images.drop_duplicates(["patient_id", "breast"])
    cancers = by_breast[by_breast["patient_id"].isin(images.loc[images["label"] == 1, "patient_id"])]
    assert cancers.groupby("patient_id")["label"].sum().eq(1).all()
    assert set(cancers.loc[cancers["label"] == 0, "status"]) == {"Contralateral"}
    for fold in breasts.folds.folds:
        assert not set(fold.train) & set(fold.test)


def test_the_breast_is_the_unit_of_every_headline(breasts, tmp_path):
    evaluation = evaluate(breasts, n_replicates=100)
    assert evaluation.unit == "breast"
    assert "against Contralateral" in set(evaluation.contrasts_by_class["metric"])
    assert set(evaluation.contrasts_by_class["level"]) == {"breast"}
    text = write_pack(breasts, evaluation, tmp_path, Options(figures=False)).read_text()
    n_breasts = breasts.cohort.images.drop_duplicates(["patient_id", "case_id", "breast"]).shape[0]
    assert f"so breasts are the unit of analysis: {n_breasts} breasts" in text
    assert "Results are given at the breast level" in text and "Performance of the models, breast level" in text
    assert "Performance, patient level" in (tmp_path / "supplement.md").read_text()


def test_noisy_or_is_part_of_the_study(tiny, breasts):
    from mmbc.errors import StudyError

    with pytest.raises(StudyError, match=r"protocol.pool_breasts: 'max' there, 'noisy-or' asked for"):
        tiny.plan("breasts", arms="image", sets=[*BREAST, "protocol.pool_breasts=noisy-or"])


def test_pooling_changes_patients_alone(breasts):
    changed = breasts.settings.protocol.model_copy(update={"pool_breasts": "noisy-or"})
    other = replace(breasts, settings=breasts.settings.model_copy(update={"protocol": changed}))
    one, two = (evaluate(study, n_replicates=20).scores for study in (breasts, other))
    same = one["level"] != "patient"
    assert np.array_equal(one.loc[same, "logit"], two.loc[same, "logit"])
    assert not np.array_equal(one.loc[~same, "logit"], two.loc[~same, "logit"])
