"""Nested and flat searches: nothing held out counts, budgets are equal, winners are refitted and tested once."""

import dataclasses
import hashlib
from itertools import pairwise

import numpy as np
import optuna
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from mmbc.data.images.store import ImageStore
from mmbc.errors import StudyError
from mmbc.files import read_json
from mmbc.toml import read_toml
from study.design.folds import inner_splits
from study.design.search_results import PARAMETER, WHOLE
from study.design.search_space import reference
from study.design.study_file import chosen_arms, load
from study.design.tuning_provenance import OPTIMISTIC
from study.evaluation.evaluation import evaluate
from study.evaluation.units import unit_auc
from study.records.progress import Observer
from study.records.search_archive import read_searched
from study.records.stored_study import load_study
from study.training.preparation import prepare, workspace_of
from study.tuning.search_loop import SearchLoop
from study.tuning.targets import targets_of
from study.tuning.waves import plan_trial, search_workspace, train_wave

TIMES = ["seconds", "wave", "wave_seconds", "worker"]


def test_every_target_has_its_budget_and_a_winner(nested_search):
    planned, found = nested_search
    sizes = found.trials.groupby(["arm", "repeat", "fold"]).size()
    assert set(sizes) == {3} and len(sizes) == 2 * (2 + 1), "two arms in two folds and on the whole cohort"
    assert found.trials.groupby(["arm", "fold"])["default"].sum().eq(1).all(), "the reference is a trial of each"
    assert {(one.arm, one.fold) for one in found.chosen} == {
        (a, f) for a in ("tabular", "concat") for f in (0, 1, WHOLE)
    }
    for one in found.chosen:
        mine = found.trials.query("arm == @one.arm and fold == @one.fold and state == 'complete'")
        assert one.value == mine["value"].max()
        assert one.epochs == round(np.median(one.best_epochs))
    assert read_searched(planned.folder).chosen == found.chosen


def test_a_trial_is_worth_the_mean_of_its_inner_folds(nested_search):
    planned, found = nested_search
    winner = found.winner("concat", 0, 1)
    outer = next(fold for fold in planned.folds.folds if fold.fold == 1)
    scores = []
    for number, split in enumerate(inner_splits(outer.inner)):
        rows = pd.read_parquet(planned.folder / f"search/cells/{winner.record}.i{number}/predictions.parquet")
        assert set(rows["patient_id"]) == set(split.validation) and set(rows["part"]) == {"validation"}
        assert not set(rows["patient_id"]) & set(outer.test)
        breasts = rows.groupby(["patient_id", "case_id", "breast"]).agg(label=("label", "max"), logit=("logit", "mean"))
        patients = breasts.groupby("patient_id").max()
        scores.append(roc_auc_score(patients["label"], patients["logit"]))
    assert winner.scores == pytest.approx(scores, abs=1e-12)
    assert winner.value == pytest.approx(np.mean(scores), abs=1e-12)


def test_the_winner_is_refitted_on_the_whole_training_part(nested_search):
    planned, found = nested_search
    for (repeat, fold), split in planned.folds.splits.items():
        assert split.validation == ()
        place = planned.folder / "cells" / f"concat.r{repeat}.f{fold}.s0"
        record, rows = read_json(place / "record.json"), pd.read_parquet(place / "predictions.parquet")
        winner = found.winner("concat", repeat, fold)
        assert record["n_epochs"] == record["best_epoch"] == winner.epochs
        config = record["model"]["config"]
        assert config["train"]["keep"] == "last"
        assert config["model"]["dropout"] == winner.set["model.dropout"]
        assert set(rows[rows["part"] == "test"]["patient_id"]) == set(split.test)
        mine = rows[rows["part"] == "validation"].set_index("image_id")["logit"]
        inner = pd.concat(
            pd.read_parquet(planned.folder / f"search/cells/{winner.record}.i{number}/predictions.parquet")
            for number in range(2)
        ).set_index("image_id")["logit"]
        assert set(rows[rows["part"] == "validation"]["patient_id"]) == set(split.train)
        pd.testing.assert_series_equal(mine.sort_index(), inner.sort_index())


def test_the_study_is_read_and_evaluated_as_any(nested_search):
    planned, _ = nested_search
    stored = load_study(planned.folder)
    evaluation = evaluate(stored, n_replicates=50)
    assert not evaluation.gaps and evaluation.is_calibrated
    assert set(evaluation.summary["arm"]) == {"tabular", "concat", "logistic"}
    assert OPTIMISTIC not in stored.cohort.notice


def corrupted(planned, patients):
    """Return a planned study with the labels, clinical values and pixels of some patients replaced."""
    hit = planned.cohort.images["patient_id"].isin(patients).to_numpy()
    images = planned.cohort.images.copy()
    images.loc[hit, "label"] = 1 - images.loc[hit, "label"]
    images.loc[hit, "age"] = 1e6
    images.loc[hit, "density"] = np.nan
    pixels = np.array(planned.store.pixels)
    pixels[hit] = np.random.default_rng(0).integers(0, 255, pixels[hit].shape)
    store = ImageStore(pixels, hashlib.sha256(pixels.tobytes()).hexdigest(), planned.store.pool)
    return dataclasses.replace(planned, cohort=dataclasses.replace(planned.cohort, images=images), store=store)


@pytest.fixture(scope="module")
def held_out(searching):
    """A search with one outer test part: how it was asked for, planned, and what was found."""
    request = searching.request("held-out", sets=["protocol.holdout=0.4"], whole=False)
    planned = prepare(request, Observer())
    return request, planned, searching.search(planned, request)


def test_corrupting_every_outer_test_row_changes_no_trial(searching, held_out):
    """The leak detector of the search: trials, values, winners and refitted weights stay, bit for bit."""
    request, honest, found = held_out
    (split,) = honest.folds.splits.values()
    other = dataclasses.replace(corrupted(honest, split.test), folder=honest.folder.with_name("held-out-corrupted"))
    again = searching.search(other, request)
    pd.testing.assert_frame_equal(found.trials.drop(columns=TIMES), again.trials.drop(columns=TIMES))
    assert found.chosen == again.chosen
    cells = [p.folder / "cells" / "concat.r0.f0.s0" for p in (honest, other)]
    assert cells[0].joinpath("model.safetensors").read_bytes() == cells[1].joinpath("model.safetensors").read_bytes()
    rows = [pd.read_parquet(place / "predictions.parquet") for place in cells]
    pd.testing.assert_frame_equal(*(frame[frame["part"] == "validation"] for frame in rows))
    tested = [frame.loc[frame["part"] == "test", "logit"].to_numpy() for frame in rows]
    assert not np.array_equal(*tested), "the corruption must reach the test predictions, or this test proves nothing"


def test_corrupting_training_rows_does_change_trials(searching, held_out):
    request, honest, found = held_out
    (split,) = honest.folds.splits.values()
    other = dataclasses.replace(corrupted(honest, split.train), folder=honest.folder.with_name("moved-trials"))
    assert searching.search(other, request).trials["value"].tolist() != found.trials["value"].tolist()


def test_in_flat_mode_the_reference_is_worth_what_cv_finds_in_validation(searching, tiny, finished_study):
    """`FixedTrial(reference)` and the cross-validation of the same settings give the same number, not a similar one."""
    sets = ["protocol.repeats=2"]
    planned = searching.plan("flat-objective", arms="all", sets=sets, mode="flat")
    workspace = search_workspace(workspace_of(planned, searching.request("flat-objective", sets=sets, mode="flat")))
    for target in targets_of(planned):
        trial = optuna.trial.FixedTrial(reference(target.study, target.arm, target.holes))
        (result,) = train_wave([plan_trial(target, trial, 0)], workspace)
        values = []
        for cell in finished_study.cells:
            if cell.arm == target.arm:
                rows = pd.read_parquet(finished_study.folder / "cells" / cell.name / "predictions.parquet")
                values.append(unit_auc(rows[rows["part"] == "validation"], "patient", planned.study.protocol))
        assert len(values) == 4
        assert result.scores == tuple(values) and result.value == float(np.mean(values))


def test_a_flat_search_is_called_optimistic_everywhere(searching):
    planned, found = searching.run("flat", arms="tabular", mode="flat")
    assert [(one.arm, one.fold, one.epochs) for one in found.chosen] == [("tabular", WHOLE, None)]
    stored = load_study(planned.folder)
    assert OPTIMISTIC in stored.cohort.notice
    assert all(stored.predictions.query("arm == 'tabular'").groupby("fold")["part"].nunique() == 2)
    best = load("default", planned.folder / "search" / "best.toml")
    assert best.tuned.cohort_digest == planned.cohort.digest


def test_settings_for_new_data_are_optimistic_on_the_old(nested_search, tiny):
    planned, found = nested_search
    file = planned.folder / "search" / "best.toml"
    assert set(read_toml(file)["arms"]) == {"tabular", "concat"}
    study = load("tiny", file)
    winner = found.winner("concat", 0, WHOLE)
    assert study.arm_config("concat").model.dropout == winner.set["model.dropout"]
    assert chosen_arms(study, "all") == ("tabular", "concat"), "arms that were not searched are not compared with these"
    assert chosen_arms(study, "image,concat") == ("image", "concat")
    one = load("tiny", planned.folder / "search" / "best" / "tabular.toml")
    assert one.arm_config("tabular").train.head_lr == found.winner("tabular", 0, WHOLE).set["train.head_lr"]

    def notice(*sets, **options):
        request = dataclasses.replace(tiny.request("tuned", **options), study=load("tiny", file, list(sets)))
        return prepare(dataclasses.replace(request, name="tuned-" + "-".join(sets)), Observer()).cohort.notice

    assert OPTIMISTIC in notice()
    assert "chosen on 32 of the 48 patients, by their ids" in notice("data.phantom.n_patients=48")
    elsewhere = study.tuned.model_copy(update={"cohort_digest": "0", "patients": ("00000000",)})
    request = dataclasses.replace(tiny.request("tuned-new"), study=study.model_copy(update={"tuned": elsewhere}))
    assert OPTIMISTIC not in prepare(request, Observer()).cohort.notice


def test_more_trials_may_be_asked_for_until_a_winner_is_tested(searching, nested_search):
    with pytest.raises(StudyError, match="tested with 3 trials"):
        searching.plan("nested", trials=4)
    assert searching.plan("nested", trials=2).study.search.trials == 3


def test_a_flat_search_on_one_split_is_not_optimistic(searching):
    """Its test part is in nobody's validation part."""
    planned = searching.plan("flat-once", arms="tabular", mode="flat", sets=["protocol.holdout=0.4"])
    assert OPTIMISTIC not in planned.cohort.notice


class StopError(Exception):
    """In place of Ctrl-C."""


def test_a_search_stopped_between_waves_continues_to_the_same_trials(searching, monkeypatch):
    _, whole = searching.run("unbroken", arms="tabular", trials=5)

    def stop(self, original=SearchLoop.ask):
        if self.n_waves == 1:
            raise StopError
        return original(self)

    with monkeypatch.context() as patched:
        patched.setattr(SearchLoop, "ask", stop)
        with pytest.raises(StopError):
            searching.run("broken", arms="tabular", trials=5)
    _, found = searching.run("broken", arms="tabular", trials=5)
    kept = ["arm", "fold", "value", *(c for c in whole.trials if c.startswith(PARAMETER))]
    pd.testing.assert_frame_equal(found.trials[kept], whole.trials[kept])


def test_a_wave_that_is_interrupted_is_handed_back(searching, monkeypatch):
    from study.tuning import waves

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(waves, "execute", interrupted)
        with pytest.raises(KeyboardInterrupt):
            searching.run("handed-back", arms="tabular")
    _, found = searching.run("handed-back", arms="tabular")
    assert found.trials.groupby("fold").size().tolist() == [3, 3, 3]
    assert found.trials.groupby("fold")["default"].sum().tolist() == [1, 1, 1], "the reference among them"
    numbers = found.trials.query("fold == 0")["number"].tolist()
    assert all(one < other for one, other in pairwise(numbers)) and numbers[0] >= 2, "made again under new numbers"


def test_a_search_of_another_kind_is_not_continued(searching, nested_search):
    with pytest.raises(StudyError, match="search.inner_folds"):
        searching.plan("nested", inner_folds=3)
    with pytest.raises(StudyError, match="search.mode"):
        searching.plan("nested", mode="flat")


def test_a_cohort_too_small_for_inner_folds_is_refused(searching):
    from mmbc.errors import SplitError

    with pytest.raises(SplitError, match="every one of 9 parts"):
        searching.plan("too-many", inner_folds=9)
