"""Studies side by side: paired where their folds agree, refused with the reason where they do not."""

import dataclasses

import numpy as np
import pytest
from typer.testing import CliRunner

from mmbc.errors import StudyError
from study import compare
from study.evaluation.evaluation import evaluate
from study.evaluation.joint_study import join_studies
from study.records.stored_study import write_archive


def renamed(study, name):
    return dataclasses.replace(study, folder=study.folder.with_name(name))


def changed(study, name, gain):
    """The study under another name, its positives' logits higher by `gain`, with another dropout and precision."""
    rows = study.predictions.copy()
    rows["logit"] += gain * rows["label"] * (rows["arm"] != "logistic")
    sections = {"model": {"dropout": 0.25}, "run": {"threads": 2, "trunk_precision": "bfloat16"}}
    update = {key: getattr(study.settings, key).model_copy(update=values) for key, values in sections.items()}
    settings = study.settings.model_copy(update=update)
    return dataclasses.replace(renamed(study, name), predictions=rows, settings=settings)


def test_each_arm_is_compared_with_that_of_the_first_study(stored):
    joined = join_studies([renamed(stored, "A"), changed(stored, "B", 3.0)])
    assert joined.study.settings.protocol.contrasts == tuple(
        (f"B-{arm}", f"A-{arm}") for arm in ("image", "tabular", "concat", "attention")
    )
    assert joined.differing.to_dict("records") == [
        {"setting": "model.dropout", "A": 0.5, "B": 0.25},
        {"setting": "run.trunk_precision", "A": "float32", "B": "bfloat16"},
    ], "not the threads, which change the last bits alone"
    evaluation = evaluate(joined.study, n_replicates=100)
    assert set(evaluation.comparisons["first"]) == {"B-image", "B-tabular", "B-concat", "B-attention"}
    alone = {
        name: evaluate(study, n_replicates=100).summary
        for name, study in (("A", stored), ("B", changed(stored, "B", 3.0)))
    }
    for row in evaluation.comparisons.to_dict("records"):
        arm = row["first"].removeprefix("B-")
        first, second = (
            alone[name].set_index(["arm", "level", "metric"]).loc[(arm, "patient", "roc_auc"), "value"] for name in "BA"
        )
        assert row["difference"] == pytest.approx(first - second, abs=1e-12) and row["difference"] > 0


def test_a_study_with_itself_differs_in_nothing(stored):
    evaluation = evaluate(join_studies([renamed(stored, "A"), renamed(stored, "B")]).study, n_replicates=100)
    assert np.array_equal(evaluation.comparisons["difference"], np.zeros(4))


def test_what_does_not_agree_is_refused_with_the_reason(stored):
    first = renamed(stored, "A")
    with pytest.raises(StudyError, match="two or more studies with different names"):
        join_studies([first, first])
    missing = dataclasses.replace(
        renamed(stored, "B"), records={k: v for k, v in stored.records.items() if k != "image.r0.f0.s0"}
    )
    with pytest.raises(
        StudyError, match=r"B: is not finished \(15 of 16 models finished; missing: image\.r0\.f0\.s0\)"
    ):
        join_studies([first, missing])
    one, *others = stored.folds.folds
    swapped = stored.folds.changed(folds=[one.changed(test=one.train[:16], train=one.test), *others])
    with pytest.raises(StudyError, match=r"different folds: in repeat 0, fold 0, .* --folds results/A/folds\.json"):
        join_studies([first, dataclasses.replace(renamed(stored, "B"), folds=swapped)])
    images = stored.cohort.images.iloc[4:]
    with pytest.raises(StudyError, match="not of the same rows: 4 images are in one alone"):
        join_studies(
            [first, dataclasses.replace(renamed(stored, "B"), cohort=dataclasses.replace(stored.cohort, images=images))]
        )
    protocol = stored.settings.protocol.model_copy(update={"pool_views": "max"})
    settings = stored.settings.model_copy(update={"protocol": protocol})
    with pytest.raises(StudyError, match="evaluated by different rules .pool_views: 'mean' and 'max'"):
        join_studies([first, dataclasses.replace(renamed(stored, "B"), settings=settings)])
    settings = stored.settings.model_copy(update={"arms": {"other": next(iter(stored.settings.arms.values()))}})
    with pytest.raises(StudyError, match="no arm in common"):
        join_studies([first, dataclasses.replace(renamed(stored, "B"), settings=settings)])


def test_the_command_writes_a_report(stored, tmp_path):
    write_archive(renamed(stored, "A"), tmp_path / "A")
    write_archive(changed(stored, "B", 3.0), tmp_path / "B")
    done = CliRunner().invoke(
        compare.app, [f"{tmp_path}/A", f"{tmp_path}/B", "--reports", f"{tmp_path}/reports", "--replicates", "100"]
    )
    assert done.exit_code == 0, done.output
    folder = tmp_path / "reports" / "A-vs-B"
    text = (folder / "report.md").read_text()
    assert (
        "are therefore exploratory" in text
        and "| model.dropout | 0.5 | 0.25 |" in text
        and "B-concat minus A-concat" in text
    )
    assert "AUTHOR MUST FILL" not in text and "`seed`" not in text
    assert {"report.html", "tables.xlsx", "tables.docx"} <= {path.name for path in folder.iterdir()}
    assert (folder / "figures" / "contrasts.svg").exists() and (folder / "tables" / "comparisons.csv").exists()
    failed = CliRunner().invoke(compare.app, [f"{tmp_path}/A"])
    assert failed.exit_code == 2 and "two or more studies" in failed.output
