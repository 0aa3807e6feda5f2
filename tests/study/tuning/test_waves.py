"""Waves: scores after each epoch, pruning on the mean over folds, fits that diverge, waves that memory limits."""

import dataclasses

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.trial import FixedTrial

from mmbc.files import read_json
from study.design.search_space import reference
from study.design.study_file import Protocol
from study.evaluation.units import UnitScores, unit_auc
from study.training.memory import Memory
from study.training.preparation import workspace_of
from study.tuning.forecast import trials_together
from study.tuning.refit import winner_cells
from study.tuning.targets import targets_of
from study.tuning.waves import plan_trial, search_workspace, train_wave
from study.tuning.winners import best_trial


@pytest.mark.parametrize("unit", ["patient", "breast"])
@pytest.mark.parametrize("views", ["mean", "max"])
@pytest.mark.parametrize("breasts", ["max", "mean", "noisy-or"])
def test_scores_without_grouping_anew_equal_the_pooled_ones(unit, views, breasts):
    rng = np.random.default_rng(3)
    rows = [
        (f"p{p}", f"p{p}c{case}", side if rng.random() > 0.1 else None, int(p % 3 == 0))
        for p in range(40)
        for case in range(rng.integers(1, 3))
        for side in "LLRR"
    ]
    frame = pd.DataFrame(rows, columns=["patient_id", "case_id", "breast", "label"])
    frame = frame.assign(image_id=frame.index.astype(str), status="s", site="A").sample(frac=1, random_state=1)
    protocol = Protocol(pool_views=views, pool_breasts=breasts)
    scores = UnitScores(frame, unit, protocol)
    for _ in range(3):
        logits = rng.normal(size=len(frame))
        assert scores.auc(logits) == unit_auc(frame.assign(logit=logits), unit, protocol)


class Told(FixedTrial):
    """A trial with fixed values that notes what it is told, and is given up after an epoch."""

    def __init__(self, values, until=None):
        super().__init__(values)
        self.until, self.told = until, []

    def report(self, value, step):
        self.told.append((step, value))

    def should_prune(self):
        return self.until is not None and len(self.told) >= self.until


@pytest.fixture(scope="module")
def place(searching):
    options = {"arms": "tabular,concat", "sets": ["train.max_epochs=4", "train.patience=4"], "whole": False}
    planned = searching.plan("waves", **options)
    return targets_of(planned), search_workspace(workspace_of(planned, searching.request("waves", **options)))


def asked(target, number, until=None, **values):
    chosen = reference(target.study, target.arm, target.holes) | values
    return plan_trial(target, Told(chosen, until), number)


def records(asked, workspace):
    return [read_json(workspace.folder / "cells" / cell.name / "record.json") for cell in asked.cells]


def test_a_trial_is_pruned_on_its_mean_over_the_folds(place):
    targets, workspace = place
    kept, pruned = asked(targets[1], 0), asked(targets[1], 1, until=2)
    results = train_wave([kept, pruned], workspace)
    assert [result.state for result in results] == ["complete", "pruned"]
    assert [step for step, _ in kept.trial.told] == [1, 2, 3, 4]
    assert [step for step, _ in pruned.trial.told] == [1, 2], "no epoch after the one it was given up in"
    assert results[0].epochs == (4, 4) and results[1].epochs == (2, 2), "all folds of a trial stop together"
    assert {record["stopped"] for record in records(pruned, workspace)} == {"pruned"}
    for one, result in zip((kept, pruned), results, strict=True):
        assert one.trial.told[-1][1] == result.value == np.mean(result.scores), "the last report is the trial's value"
    assert kept.trial.told[:2] == pruned.trial.told, "the same values, trained side by side, do the same"


def test_lockstep_and_one_fit_after_the_other_find_the_same(place):
    targets, workspace = place
    wave = [asked(target, 2, **{"model.dropout": 0.4}) for target in targets]
    alone = dataclasses.replace(workspace, folder=workspace.folder.with_name("alone"), executor="sequential")
    for one, other in zip(train_wave(wave, workspace), train_wave(wave, alone), strict=True):
        assert dataclasses.replace(one, seconds=0) == dataclasses.replace(other, seconds=0)


def test_fits_that_do_not_fit_into_memory_together_are_not_pruned_but_count(place):
    targets, workspace = place
    one = asked(targets[1], 3, until=1)
    (result,) = train_wave([one], dataclasses.replace(workspace, max_live_fits=1))
    assert result.state == "complete" and one.trial.told == []


def test_a_trial_that_diverges_is_spared_and_takes_no_other_with_it(place):
    targets, workspace = place
    target = targets[0]
    wild = asked(target, 4)
    config = wild.config.model_copy(update={"train": wild.config.train.model_copy(update={"head_lr": 1e30})})
    wild = dataclasses.replace(wild, config=config, cells=tuple(target.cells(4, config)))
    calm = asked(target, 5)
    results = train_wave([wild, calm], workspace)
    assert [result.state for result in results] == ["diverged", "complete"]
    assert np.isnan(results[0].value) and results[0].scores == ()


def finished(values, costs, scores=((0.5, 0.6),)):
    study = optuna.create_study(direction="maximize")
    for value, cost in zip(values, costs, strict=True):
        trial = study.ask()
        trial.set_user_attr("n_trainable", cost)
        trial.set_user_attr("fold_scores", list(scores[0]))
        study.tell(trial, value) if value is not None else study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    return study.get_trials()


def test_the_best_mean_wins_and_ties_go_to_the_cheaper_model():
    assert best_trial(finished([0.6, 0.8, 0.8, None], [9, 5, 3, 1]), "best").number == 2
    assert best_trial(finished([0.8, 0.8], [3, 3]), "best").number == 0, "then to the earlier one"
    # scores .5 and .6: standard deviation .0707, standard error .05
    assert best_trial(finished([0.74, 0.76, 0.80], [1, 2, 9]), "one-se").number == 1
    assert best_trial(finished([0.76, 0.80, 0.78], [5, 5, 5]), "one-se").number == 1, "of equally cheap ones the best"
    with pytest.raises(ValueError, match="no trial has completed"):
        best_trial(finished([None, None], [1, 1]), "best")


def test_a_wave_is_sized_to_memory(searching):
    planned = searching.plan("sized", arms="tabular,concat")
    targets, request = targets_of(planned), searching.request("sized", arms="tabular,concat")
    n_fits = 3 * len(targets) * 2
    room = Memory(shared=0, per_fit=100, free=100 * 10 * n_fits, n_cells=n_fits)
    assert trials_together(targets, 3, request, [room]) == 3 * len(targets)
    tight = Memory(shared=0, per_fit=100, free=int(100 * 7 / 0.8), n_cells=n_fits)
    assert trials_together(targets, 3, request, [room, tight]) == 3, "seven fits are three trials of two"
    none = Memory(shared=1000, per_fit=100, free=10, n_cells=n_fits)
    assert trials_together(targets, 3, request, [none]) == 1


def test_the_fits_of_a_winner_are_those_of_its_trial(searching, nested_search):
    planned, found = nested_search
    from study.tuning.storage import close_storage, open_storage
    from study.tuning.target_study import TargetStudy

    storage = open_storage(None, planned.folder / "search")
    target = targets_of(planned)[1]
    one = TargetStudy(target, planned.folder.name, storage, planned.cohort.digest)
    won = found.winner(target.arm, target.repeat, target.fold)
    for cell in winner_cells(one, won):
        record = read_json(planned.folder / "search" / "cells" / cell.name / "record.json")
        assert {name: record[name] for name in cell.key} == cell.key
    close_storage(storage)
