"""A study that is continued keeps the contrasts that were declared when it was begun."""

import pytest

from mmbc.config import to_toml
from mmbc.errors import StudyError
from study.design.study_file import CONTRASTS_0_1, load
from study.records.study_folder import continued
from study.training.preparation import with_resolved_run

THREE = [list(pair) for pair in CONTRASTS_0_1]


def begun(tmp_path, *sets):
    (tmp_path / "study.toml").write_text(to_toml(load("tiny", None, list(sets))))
    return tmp_path


def test_images_are_measured_against_the_better_clinical_model_first():
    assert load("tiny").protocol.contrasts == (("concat", "logistic"), *CONTRASTS_0_1)


def test_a_study_of_the_former_default_is_continued_with_its_own_contrasts(tmp_path):
    folder = begun(tmp_path, f"protocol.contrasts={THREE}")
    assert continued(folder, load("tiny")).protocol.contrasts == CONTRASTS_0_1


def test_other_contrasts_are_still_another_study(tmp_path):
    folder = begun(tmp_path, f"protocol.contrasts={THREE}")
    with pytest.raises(StudyError, match="protocol.contrasts"):
        continued(folder, load("tiny", None, ['protocol.contrasts=[["image", "tabular"]]']))
    begun(tmp_path, 'protocol.contrasts=[["image", "tabular"]]')
    with pytest.raises(StudyError, match="protocol.contrasts"):
        continued(folder, load("tiny"))


def test_a_study_keeps_its_number_of_threads_unless_another_is_asked_for(tmp_path):
    begun(tmp_path, "run.threads=2")
    asked, file = load("default"), tmp_path / "study.toml"
    assert with_resolved_run(asked).run.threads == 1, "whatever the machine has"
    assert with_resolved_run(asked, begun=file).run.threads == 2
    assert with_resolved_run(load("default", None, ["run.threads=3"]), begun=file).run.threads == 3
