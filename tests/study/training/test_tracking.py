"""Curves in trackers: what TensorBoard, MLflow and Weights & Biases have of a study, read back."""

import importlib.util
import io
import shlex

import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from study import cv
from study.console.live_view import View
from study.design.request import TRACKERS
from study.records.progress import Observer
from study.training import tracking
from study.training.preparation import prepare
from study.training.run import carry_out

SCALARS = {"train_loss", "val_loss", "val_auc", "lr", "head_lr", "seconds", "monitored"}


def run(tiny, name, track, observer=None, **options):
    request = tiny.request(name, arms="tabular,image", track=track, **options)
    planned = prepare(request, Observer())
    carry_out(planned, request, observer or Observer(), command=["test"], findings=[])
    return planned


def history(planned, cell):
    return pd.read_csv(planned.folder / "cells" / cell / "history.csv")


def scalars(folder):
    """Return tag -> events of a cell as TensorBoard loads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}


def same(events, wanted):
    assert [event.step for event in events] == [int(epoch) for epoch in wanted["epoch"]]
    assert [event.value for event in events] == pytest.approx(list(wanted["val_loss"]), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.exhaustive)])
def test_tensorboard_shows_the_history_of_every_cell(tiny, jobs):
    planned = run(tiny, f"curves-{jobs}", "tensorboard", jobs=jobs)
    place = planned.folder / "tracking" / "tensorboard"
    assert {path.name for path in place.iterdir()} == {cell.name for cell in planned.cells}
    for cell in planned.cells:
        found = scalars(place / cell.name)
        assert set(found) >= SCALARS and "epoch" not in found
        same(found["val_loss"], history(planned, cell.name))


def test_epochs_that_are_made_again_are_shown_once(tiny):
    planned = tiny.plan("again", arms="tabular", sets=["train.max_epochs=4", "train.patience=4"])

    class Stop(Observer):
        def epoch_ended(self, progress):
            if progress.epoch == 4:
                raise KeyboardInterrupt

    request = tiny.request("again", arms="tabular", sets=["train.max_epochs=4", "train.patience=4"])
    request = type(request)(**{**vars(request), "track": "tensorboard", "checkpoint_every": 2})
    with pytest.raises(KeyboardInterrupt):
        carry_out(planned, request, Stop(), command=["test"], findings=[])
    carry_out(planned, request, Observer(), command=["test"], findings=[])
    for cell in planned.cells:
        found = scalars(planned.folder / "tracking" / "tensorboard" / cell.name)
        same(found["val_loss"], history(planned, cell.name))


@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_a_run_for_every_cell(tiny, monkeypatch):
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    planned = run(tiny, "mlflow", "mlflow")
    client = MlflowClient(tracking_uri=f"sqlite:///{planned.folder / 'tracking' / 'mlflow' / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("mlflow").experiment_id])
    assert {one.info.run_name for one in runs} == {cell.name for cell in planned.cells}
    for one in runs:
        assert one.info.status == "FINISHED" and one.data.params["train.batch_size"]
        metrics = sorted(client.get_metric_history(one.info.run_id, "val_loss"), key=lambda metric: metric.step)
        assert [metric.value for metric in metrics] == pytest.approx(
            list(history(planned, one.info.run_name)["val_loss"])
        )


@pytest.mark.filterwarnings("ignore")
def test_wandb_keeps_runs_beside_the_study(tiny, monkeypatch):
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    planned = run(tiny, "wandb", "wandb")
    files = list((planned.folder / "tracking" / "wandb").glob("wandb/offline-run-*/*.wandb"))
    assert len(files) == len(planned.cells)
    assert all(b"val_loss" in file.read_bytes() for file in files)


def test_a_tracker_that_fails_does_not_stop_the_training(tiny, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    said = []

    class Told(Observer):
        def noted(self, text):
            said.append(text)

    monkeypatch.setattr(tracking.TensorBoard, "_append", full)
    planned = run(tiny, "unlucky", "tensorboard", Told())
    assert not planned.unfinished(planned.cells)
    (failure,) = [text for text in said if "nothing more is tracked" in text]
    assert "No space left on device" in failure and failure.endswith("training goes on")


def test_where_the_curves_are_can_be_pasted(tmp_path):
    for name, kind in tracking.KINDS.items():
        words = shlex.split(kind(tmp_path / "my studies" / name, "x", Observer()).seen_with())
        assert words[0] == name and any("my studies" in word for word in words)
    assert tuple(tracking.KINDS) == TRACKERS


def test_a_missing_extra_is_named_before_anything_is_read(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name in TRACKERS else find(name, *more)
    )
    monkeypatch.setattr("study.training.preparation.open_cohort", lambda *_, **__: pytest.fail("a cohort was opened"))
    where = ["--data", "phantom", "--preset", "tiny", "--out", str(tmp_path)]
    for name in TRACKERS:
        done = CliRunner().invoke(cv.app, [*where, "--track", name])
        assert done.exit_code == 2 and f"pip install 'mmbc[{name}]'" in " ".join(done.output.split())
    done = CliRunner().invoke(cv.app, [*where, "--track", "tensorbord"])
    assert done.exit_code == 2 and "did you mean 'tensorboard'" in " ".join(done.output.split())


def test_the_view_prints_notes():
    view = View(Console(file=(file := io.StringIO())))
    view.noted("Curves of training: tensorboard --logdir 'a b'")
    assert file.getvalue() == "Curves of training: tensorboard --logdir 'a b'\n"
